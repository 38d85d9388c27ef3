// A layout: which mesh axes shard which tensor dimension, and its one canonical notation.
//
//   <weights>/<ffn>/<attention>[/<residual>]       Ex.Fyz/wg-x/Bx.Hyz
//
// weights    E: axes that shard d_model of the stored weights; F: axes that shard d_ff and heads.
//            `Fxyz` is the paper's 1D weight-stationary (section 3.2.1), `Ex.Fyz` its 2D (3.2.2).
//            R: axes over which the weights are replicated and the batch is sharded throughout
//            (beyond the paper).
// ffn        `ws` weight-stationary; `wg-<axes>` weight-gathered over those axes, activations
//            batch-sharded over them (3.2.3).
// attention  H: axes that shard heads; B: axes that shard batch (3.3). S: axes that shard the
//            tokens of the KV cache; each chip attends to its part, and the parts are combined
//            (beyond the paper).
// residual   `E<axes>`: the residual keeps d_model over those axes only and is replicated over the
//            rest, as the paper's released 1D code does. Absent: d_model over all axes not
//            gathered.
//
// A layout speaks of the axes of a Mesh, which holds only axes longer than 1. `x1` and `x2` are the
// factors of an axis, major first (hardware/mesh.h); `x` is both.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "slicewise/hardware/mesh.h"

namespace slicewise {

struct Layout {
  AxisSet weights_embed;            // E of the weights part
  AxisSet weights_ffn;              // F of the weights part
  AxisSet replicas;                 // R of the weights part
  AxisSet gathered;                 // axes the weights are gathered over; empty: weight-stationary
  AxisSet attention_batch;          // B of the attention part
  AxisSet attention_heads;          // H of the attention part
  AxisSet attention_sequence;       // S of the attention part
  std::optional<AxisSet> residual;  // the fourth part

  bool operator==(const Layout&) const = default;

  // Axes that shard d_model of the residual: the fourth part, or all weight axes not gathered.
  [[nodiscard]] AxisSet residual_embed() const {
    return residual.value_or((weights_embed | weights_ffn) - gathered);
  }
};

// The factors (hardware/mesh.h) that the layout treats differently from their other half; empty
// for a layout of whole axes.
[[nodiscard]] AxisSet SplitAxes(const Layout& layout, const Mesh& mesh);
// Whether the layout uses what the paper does not have: R, S or factors of an axis.
[[nodiscard]] bool IsBeyondPaper(const Layout& layout, const Mesh& mesh);

// Canonical text: letters alphabetical, axes x1 < x2 < y1 < ... A part with no axes prints its last
// letter alone ("F/ws/H" on a single chip).
[[nodiscard]] std::string ToString(const Layout& layout, const Mesh& mesh);

// The canonical text without allocation, for comparing many.
class LayoutText {
 public:
  LayoutText(const Layout& layout, const Mesh& mesh);
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }

 private:
  // Three parts of three letters, a fourth of one, every axis at most once in each.
  std::array<char, 4 * (std::size_t{2} * kMaxMeshAxes + 6)> text_;
  std::size_t size_ = 0;
};

// The parts of the canonical text.
[[nodiscard]] std::string WeightsText(const Layout& layout, const Mesh& mesh);
[[nodiscard]] std::string FfnText(const Layout& layout, const Mesh& mesh);
[[nodiscard]] std::string AttentionText(const Layout& layout, const Mesh& mesh);

// Reads any order of letters and axes; axes of length 1 are dropped. Throws InputError naming the
// text, the part and the reason, illegal layouts included (see WhyIllegal).
[[nodiscard]] Layout ParseLayout(std::string_view text, const Mesh& mesh);

// Why the layout is not legal on the mesh, as a sentence; nullopt when it is legal: every axis
// exactly once in weights and exactly once in attention, the gathered set within E and F of the
// weights, gathered and replica axes within attention's batch axes, and a fourth part, if any, that
// holds every E axis not gathered and no gathered or replica axis.
[[nodiscard]] std::optional<std::string> WhyIllegal(const Layout& layout, const Mesh& mesh);

// "2D weight-stationary, attention over batch".
[[nodiscard]] std::string Describe(const Layout& layout, const Mesh& mesh);

// A filter such as '*/ws/*' or 'Ex.Fyz/*/Bxyz': `*` stands for any value of one whole part. A
// filter of three parts takes layouts without a fourth part; a fourth part, or `*`, asks for them.
class LayoutFilter {
 public:
  LayoutFilter() = default;
  // Throws InputError. Parts that are not `*` are parsed and normalised like a layout's.
  LayoutFilter(std::string_view text, const Mesh& mesh);

  [[nodiscard]] bool Matches(const Layout& layout) const;
  // Whether no part is `*`: the filter names exactly one layout.
  [[nodiscard]] bool exact() const { return layout_.has_value(); }
  // The layout of an exact filter.
  [[nodiscard]] const std::optional<Layout>& layout() const { return layout_; }
  // Whether layouts with a fourth part can match, so that the enumeration must produce them.
  [[nodiscard]] bool wants_residual() const { return any_residual_ || residual_.has_value(); }
  // Whether a part names R, S or a factor, so that only layouts beyond the paper's can match.
  [[nodiscard]] bool beyond_paper() const { return beyond_paper_; }

 private:
  struct Triple {  // the axes under a part's letters, in alphabetical order
    AxisSet first, second, third;
    [[nodiscard]] AxisSet all() const { return first | second | third; }
    bool operator==(const Triple&) const = default;
  };
  std::optional<Triple> weights_;
  std::optional<AxisSet> ffn_;
  std::optional<Triple> attention_;
  std::optional<AxisSet> residual_;
  std::optional<Layout> layout_;
  bool any_residual_ = false;
  bool beyond_paper_ = false;
};

}  // namespace slicewise
