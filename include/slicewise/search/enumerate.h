// The space of layouts.
//
// A physical axis independently takes one of six options: E or F in the weights part, times not
// gathered with attention over B, not gathered over H, or gathered (which implies B). So k axes
// have 6^k layouts: 216 on 4x4x4. Relabelling axes of equal length changes nothing, so layouts fall
// into classes: multisets of options per group of equal axes, C(8,3) = 56 on 4x4x4.
//
// Beyond the paper an axis has three more: E or F with attention over the cache's length (S), or
// weights replicated over it (R, which implies B): 9^k layouts, 729 on 4x4x4 in C(11,3) = 165
// classes. And one of the axes that have factors (hardware/mesh.h) may be split, its two factors
// taking different options: s 72 9^(k-1) more with s such axes, 17,496 on 4x4x4 in 72 C(10,2) =
// 3,240 classes. Layouts that split several axes are legal, but not enumerated; nor are fourth
// parts that split another axis than the layout does.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "slicewise/layout/layout.h"

namespace slicewise {

enum class LayoutSpace : std::uint8_t {
  kPaper,  // 6^k
  kAll,    // with R, S and one axis split
};
[[nodiscard]] std::string_view Name(LayoutSpace space);

// Every legal layout of the space that the filter matches, in a fixed order, the paper's first. A
// filter that names R, S or a factor asks for the whole space; one that names a single layout has
// that layout alone, enumerated or not. Layouts with a fourth part are produced only when the
// filter asks for them.
[[nodiscard]] std::vector<Layout> EnumerateLayouts(const Mesh& mesh, const LayoutFilter& filter,
                                                   LayoutSpace space = LayoutSpace::kPaper);

// One layout of each class: the one whose text is lexicographically smallest among those given.
// Order follows the first member of each class.
[[nodiscard]] std::vector<Layout> ClassRepresentatives(const std::vector<Layout>& layouts,
                                                       const Mesh& mesh);

}  // namespace slicewise
