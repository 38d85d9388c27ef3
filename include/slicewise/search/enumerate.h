// The space of layouts.
//
// An axis of a mesh independently takes one of six options: E or F in the weights part, times
// not gathered with attention over B, not gathered over H, or gathered (which implies B). So k axes
// have 6^k layouts: 216 on 4x4x4. Relabelling axes of equal length changes nothing, so layouts fall
// into classes: multisets of options per group of equal axes, C(8,3) = 56 on 4x4x4.
#pragma once

#include <vector>

#include "slicewise/layout/layout.h"

namespace slicewise {

// Every legal layout that the filter matches, in a fixed order. Layouts with a fourth part are
// produced only when the filter asks for them.
[[nodiscard]] std::vector<Layout> EnumerateLayouts(const Mesh& mesh, const LayoutFilter& filter);

// One layout of each class: the one whose text is lexicographically smallest among those given.
// Order follows the first member of each class.
[[nodiscard]] std::vector<Layout> ClassRepresentatives(const std::vector<Layout>& layouts,
                                                       const Mesh& mesh);

}  // namespace slicewise
