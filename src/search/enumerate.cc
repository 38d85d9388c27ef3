#include "slicewise/search/enumerate.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace slicewise {
namespace {

constexpr int kPaperOptions = 6;
constexpr int kAllOptions = 9;

// Options 0..5: E or F in the weights, times attention over H, over B, or gathered (and B).
// 6 and 7: E or F with attention over S. 8: replicated (and B).
void SetAxes(AxisSet set, int option, Layout& layout) {
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

// What a layout does with one axis, residual included: below 2^5.
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

// Equal for two layouts exactly when relabelling equal axes turns one into the other: bits for each
// physical axis, of its length, the options of its factors, and whether the layout names a
// residual.
using ClassKey = std::array<std::uint64_t, 3>;
ClassKey KeyOf(const Layout& layout, const Mesh& mesh) {
  ClassKey key = {};
  for (int physical = 0; physical < 3; ++physical) {
    const AxisSet factors = mesh.Physical(physical);
    std::uint64_t& bits = key[static_cast<std::size_t>(physical)];
    bits = static_cast<std::uint64_t>(mesh.IntSize(factors));
    for (int axis : factors) {
      bits = bits << 5U | static_cast<std::uint64_t>(OptionOf(layout, axis));
    }
    bits = bits << 1U | (layout.residual ? 1U : 0U);
    bits = bits << 1U | (factors.count() > 1 ? 1U : 0U);
  }
  std::sort(key.begin(), key.end());
  return key;
}

// The layout itself and, when asked for, every narrower residual it allows.
void AppendMatching(Layout layout, const Mesh& mesh, const LayoutFilter& filter,
                    std::vector<Layout>& out) {
  if (filter.Matches(layout)) {
    out.push_back(layout);
  }
  if (!filter.wants_residual()) {
    return;
  }
  const AxisSet required = layout.weights_embed - layout.gathered;
  const AxisSet optional = layout.weights_ffn - layout.gathered;
  const AxisSet split = SplitAxes(layout, mesh);
  // Proper subsets of the optional axes, of factors only where the layout splits; all of them is
  // the layout without a fourth part.
  for (unsigned bits = 0; bits <= optional.bits(); ++bits) {
    const AxisSet kept = AxisSet::FromBits(bits);
    if (optional.HasAll(kept) && kept != optional && split.HasAll(mesh.Factors(kept))) {
      layout.residual = required | kept;
      if (filter.Matches(layout)) {
        out.push_back(layout);
      }
    }
  }
}

// Calls take(options) for every choice of one of `count` options for each of `places`.
template <typename Take>
void ForEachChoice(std::size_t places, int count, Take&& take) {
  std::array<int, kMaxMeshAxes> options = {};
  for (bool more = true; more;) {
    take(options);
    more = false;
    for (std::size_t place = 0; place < places && !more; ++place) {
      options[place] = (options[place] + 1) % count;
      more = options[place] != 0;
    }
  }
}

// Every combination of the first `options` options of whole axes.
void AppendLayouts(const Mesh& mesh, const LayoutFilter& filter, int options,
                   std::vector<Layout>& layouts) {
  const std::vector<AxisSet> axes = mesh.Parts(mesh.all());
  ForEachChoice(axes.size(), options, [&](const auto& choice) {
    Layout layout;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      SetAxes(axes[i], choice[i], layout);
    }
    AppendMatching(layout, mesh, filter, layouts);
  });
}

// Every combination in which the factors of one axis, and of no other, take different options.
void AppendSplitLayouts(const Mesh& mesh, const LayoutFilter& filter,
                        std::vector<Layout>& layouts) {
  for (AxisSet split : mesh.Parts(mesh.all())) {
    if (split.count() < 2) {
      continue;
    }
    std::vector<AxisSet> axes = mesh.Parts(mesh.all() - split);
    for (int factor : split) {
      axes.push_back(AxisSet::Of(factor));
    }
    ForEachChoice(axes.size(), kAllOptions, [&](const auto& choice) {
      if (choice[axes.size() - 1] == choice[axes.size() - 2]) {
        return;
      }
      Layout layout;
      for (std::size_t i = 0; i < axes.size(); ++i) {
        SetAxes(axes[i], choice[i], layout);
      }
      AppendMatching(layout, mesh, filter, layouts);
    });
  }
}

}  // namespace

std::string_view Name(LayoutSpace space) { return space == LayoutSpace::kPaper ? "paper" : "all"; }

std::vector<Layout> EnumerateLayouts(const Mesh& mesh, const LayoutFilter& filter,
                                     LayoutSpace space) {
  if (filter.exact()) {
    return {*filter.layout()};
  }
  std::vector<Layout> layouts;
  AppendLayouts(mesh, filter, kPaperOptions, layouts);
  if (space == LayoutSpace::kAll || filter.beyond_paper()) {
    std::vector<Layout> all;
    AppendLayouts(mesh, filter, kAllOptions, all);
    std::copy_if(all.begin(), all.end(), std::back_inserter(layouts),
                 [&](const Layout& layout) { return IsBeyondPaper(layout, mesh); });
    AppendSplitLayouts(mesh, filter, layouts);
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
    for (auto member = first + 1; member < end; ++member) {
      const LayoutText text(layouts[member->second], mesh);
      if (text.view() < LayoutText(layouts[best], mesh).view()) {
        best = member->second;
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
