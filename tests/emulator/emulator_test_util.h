// Layouts, models and slices that the emulator's tests run.
#pragma once

#include <string>
#include <vector>

#include "slicewise/search/verify.h"

namespace slicewise {

inline Slice MakeSlice(std::array<int, 3> dims, bool wraps = false, bool twisted = false) {
  return Slice{.dims = dims, .wraps = wraps, .twisted = twisted};
}

// All 9^k layouts of k axes, written down without the search room's enumerator: each axis takes E
// or F, times gathered, attention over B, H or S, or it takes R. Of them 6^k are the paper's,
// without R and S.
inline std::vector<Layout> LayoutsOver(const std::vector<AxisSet>& axes, bool paper_only = false) {
  std::vector<Layout> layouts = {Layout()};
  for (AxisSet set : axes) {
    std::vector<Layout> more;
    for (const Layout& base : layouts) {
      for (AxisSet Layout::*weights : {&Layout::weights_embed, &Layout::weights_ffn}) {
        for (int attention = 0; attention < (paper_only ? 3 : 4); ++attention) {
          Layout layout = base;
          layout.*weights |= set;
          layout.gathered |= attention == 0 ? set : AxisSet();
          (attention == 3   ? layout.attention_sequence
           : attention == 2 ? layout.attention_heads
                            : layout.attention_batch) |= set;
          more.push_back(layout);
        }
      }
      if (!paper_only) {
        Layout layout = base;
        layout.replicas |= set;
        layout.attention_batch |= set;
        more.push_back(layout);
      }
    }
    layouts = more;
  }
  return layouts;
}

// Of a mesh's whole axes.
inline std::vector<Layout> AllLayouts(const Mesh& mesh, bool paper_only = false) {
  return LayoutsOver(mesh.Parts(mesh.all()), paper_only);
}

// Those in which factors of an axis differ, of one or of several.
inline std::vector<Layout> SplitLayouts(const Mesh& mesh) {
  std::vector<AxisSet> axes;
  for (int axis : mesh.all()) {
    axes.push_back(AxisSet::Of(axis));
  }
  std::vector<Layout> layouts = LayoutsOver(axes);
  std::erase_if(layouts, [&](const Layout& l) { return SplitAxes(l, mesh).empty(); });
  return layouts;
}

// Layouts with every legal fourth part.
inline std::vector<Layout> ResidualLayouts(const Mesh& mesh) {
  std::vector<Layout> layouts;
  for (const Layout& base : AllLayouts(mesh)) {
    for (unsigned bits = 0; bits <= mesh.all().bits(); ++bits) {
      Layout layout = base;
      layout.residual = AxisSet::FromBits(bits);
      if (mesh.Factors(*layout.residual).empty() && !WhyIllegal(layout, mesh) &&
          layout.residual_embed() != base.residual_embed()) {
        layouts.push_back(layout);
      }
    }
  }
  return layouts;
}

// Small, with nothing divisible by anything: every dim takes padding on every slice.
inline Model SmallModel() {
  Model model;
  model.name = "small";
  model.layers = 2;
  model.embed_dim = 11;
  model.ffn_dim = 21;
  model.gated = true;
  model.query_heads = 6;
  model.kv_heads = 1;
  model.head_dim = 2;
  model.vocabulary = 13;
  model.block = BlockKind::kParallel;
  model.norms_per_layer = 1;
  return model;
}

// PaLM's kind: parallel, gated, multiquery, LayerNorm without bias, tied embedding.
inline Model Multiquery() {
  Model model = SmallModel();
  model.norm = NormKind::kLayerNorm;
  model.norm_bias = false;
  return model;
}

// LLaMA's kind: serial, gated, grouped-query, RMSNorm.
inline Model Grouped() {
  Model model = SmallModel();
  model.kv_heads = 3;
  model.block = BlockKind::kSerial;
  model.norms_per_layer = 2;
  model.tied_embedding = false;
  return model;
}

// GPT-3's kind: serial, not gated, multihead, LayerNorm, biases everywhere, learned positions.
inline Model Multihead() {
  Model model = SmallModel();
  model.kv_heads = 6;
  model.gated = false;
  model.block = BlockKind::kSerial;
  model.norm = NormKind::kLayerNorm;
  model.norms_per_layer = 2;
  model.biases = {.attention_qkv = true, .attention_output = true, .ffn = true};
  model.positions = PositionKind::kLearned;
  model.max_positions = 32;
  return model;
}

// Falcon-40B's kind: parallel with two norms, grouped-query, not gated.
inline Model ParallelGrouped() {
  Model model = SmallModel();
  model.kv_heads = 2;
  model.gated = false;
  model.norm = NormKind::kLayerNorm;
  model.norms_per_layer = 2;
  return model;
}

// Parallel and multihead, gated with biases.
inline Model ParallelMultihead() {
  Model model = Multihead();
  model.block = BlockKind::kParallel;
  model.gated = true;
  return model;
}

inline Model SerialMultiquery() {
  Model model = SmallModel();
  model.block = BlockKind::kSerial;
  model.gated = false;
  return model;
}

struct NamedModel {
  std::string name;
  Model (*make)();
};
inline std::vector<NamedModel> AllModels() {
  return {{"Multiquery", Multiquery},
          {"Grouped", Grouped},
          {"Multihead", Multihead},
          {"ParallelGrouped", ParallelGrouped},
          {"ParallelMultihead", ParallelMultihead},
          {"SerialMultiquery", SerialMultiquery}};
}

// Five sequences: never a multiple of the axes.
inline VerifyOptions UnevenBatch() {
  VerifyOptions options;
  options.workload.prefill_batch = 5;
  options.workload.decode_batch = 5;
  return options;
}

}  // namespace slicewise
