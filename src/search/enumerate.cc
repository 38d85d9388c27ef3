#include "slicewise/search/enumerate.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <utility>

namespace slicewise {
namespace {

constexpr int kPaperOptions = 6;
constexpr int kAllOptions = 9;

// Options 0..5: E or F in the weights, times attention over H, over B, or gathered (and B).
// 6 and 7: E or F with attention over S. 8: replicated (and B).
void SetAxis(int axis, int option, Layout& layout) {
  const AxisSet set = AxisSet::Of(axis);
  if (option >= kPaperOptions) {
    (option == 6   ? layout.weights_embed
     : option == 7 ? layout.weights_ffn
                   : layout.replicas) |= set;
    (option == 8 ? layout.attention_batch : layout.attention_sequence) |= set;
    return;
  }
  (option < 3 ? layout.weights_embed : layout.weights_ffn) |= set;
  (option % 3 == 0 ? layout.attention_heads : layout.attention_batch) |= set;
  if (option % 3 == 2) {
    layout.gathered |= set;
  }
}

// What a layout does with one axis, residual included.
int OptionOf(const Layout& layout, int axis) {
  const bool embed = layout.weights_embed.Has(axis);
  int option = embed ? 0 : 3;
  option += layout.gathered.Has(axis) ? 2 : layout.attention_batch.Has(axis) ? 1 : 0;
  if (layout.attention_sequence.Has(axis)) {
    option = embed ? 6 : 7;
  } else if (layout.replicas.Has(axis)) {
    option = 8;
  }
  return layout.residual && layout.residual->Has(axis) ? option + kAllOptions : option;
}

// Equal for two layouts exactly when relabelling equal axes turns one into the other: a number for
// each axis, of its size, whether it wraps, its option, and whether the layout names a residual.
using ClassKey = std::array<int, kMaxMeshAxes>;
ClassKey KeyOf(const Layout& layout, const Mesh& mesh) {
  constexpr int kOptions = 2 * kAllOptions;
  ClassKey key = {};
  for (int i = 0; i < mesh.axis_count(); ++i) {
    const MeshAxis& axis = mesh.axis(i);
    const int kind = axis.size * 2 + (axis.wraps ? 1 : 0);
    key[static_cast<std::size_t>(i)] =
        (kind * kOptions + OptionOf(layout, i)) * 2 + (layout.residual ? 1 : 0);
  }
  std::sort(key.begin(), key.end());  // axes that the mesh lacks are zero and come first
  return key;
}

// The layout itself and, when asked for, every narrower residual it allows.
void AppendMatching(Layout layout, const LayoutFilter& filter, std::vector<Layout>& out) {
  if (filter.Matches(layout)) {
    out.push_back(layout);
  }
  if (!filter.wants_residual()) {
    return;
  }
  const AxisSet required = layout.weights_embed - layout.gathered;
  const AxisSet optional = layout.weights_ffn - layout.gathered;
  // Proper subsets of the optional axes; all of them is the layout without a fourth part.
  for (unsigned bits = 0; bits <= optional.bits(); ++bits) {
    const AxisSet kept = AxisSet::FromBits(bits);
    if (optional.HasAll(kept) && kept != optional) {
      layout.residual = required | kept;
      if (filter.Matches(layout)) {
        out.push_back(layout);
      }
    }
  }
}

// Every combination of the first `options` options.
void AppendLayouts(const Mesh& mesh, const LayoutFilter& filter, int options,
                   std::vector<Layout>& layouts) {
  int total = 1;
  for (int i = 0; i < mesh.axis_count(); ++i) {
    total *= options;
  }
  for (int code = 0; code < total; ++code) {
    Layout layout;
    for (int axis = 0, rest = code; axis < mesh.axis_count(); ++axis, rest /= options) {
      SetAxis(axis, rest % options, layout);
    }
    AppendMatching(layout, filter, layouts);
  }
}

}  // namespace

std::string_view Name(LayoutSpace space) { return space == LayoutSpace::kPaper ? "paper" : "all"; }

std::vector<Layout> EnumerateLayouts(const Mesh& mesh, const LayoutFilter& filter,
                                     LayoutSpace space) {
  std::vector<Layout> layouts;
  AppendLayouts(mesh, filter, kPaperOptions, layouts);
  if (space == LayoutSpace::kAll || filter.beyond_paper()) {
    std::vector<Layout> all;
    AppendLayouts(mesh, filter, kAllOptions, all);
    std::copy_if(all.begin(), all.end(), std::back_inserter(layouts),
                 [](const Layout& layout) { return layout.beyond_paper(); });
  }
  return layouts;
}

std::vector<Layout> ClassRepresentatives(const std::vector<Layout>& layouts, const Mesh& mesh) {
  using Member = std::pair<ClassKey, std::size_t>;
  std::vector<Member> members;
  members.reserve(layouts.size());
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    members.emplace_back(KeyOf(layouts[i], mesh), i);
  }
  std::sort(members.begin(), members.end());
  // Of each class where it was first met, and the layout that stands for it.
  std::vector<std::pair<std::size_t, std::size_t>> classes;
  for (auto first = members.begin(); first != members.end();) {
    const auto end = std::find_if(first, members.end(),
                                  [&](const Member& m) { return m.first != first->first; });
    std::size_t best = first->second;
    std::string best_text = end - first > 1 ? ToString(layouts[best], mesh) : std::string();
    for (auto member = first + 1; member < end; ++member) {
      std::string text = ToString(layouts[member->second], mesh);
      if (text < best_text) {
        best = member->second;
        best_text = std::move(text);
      }
    }
    classes.emplace_back(first->second, best);
    first = end;
  }
  std::sort(classes.begin(), classes.end());
  std::vector<Layout> representatives;
  representatives.reserve(classes.size());
  for (const auto& [met, representative] : classes) {
    representatives.push_back(layouts[representative]);
  }
  return representatives;
}

}  // namespace slicewise
