// What the tests of programs, costs and searches share: chips, slices, models and workloads small
// enough to reason about, and all layouts written down without the search room's enumerator.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "slicewise/cost/calibration.h"
#include "slicewise/cost/plan.h"
#include "slicewise/program/lower.h"
#include "slicewise/program/traffic.h"
#include "slicewise/units/input_error.h"

namespace slicewise {

// TPU v4 with the numbers of its datasheet, written out so that no test of the lower rooms reads
// JSON.
inline Chip TestChip() {
  Chip chip;
  chip.name = "tpu-v4";
  chip.accelerator_prefix = "v4";
  chip.peak_bf16 = TeraflopsPerSecond(275);
  chip.peak_int8 = TeraflopsPerSecond(275);
  chip.hbm_nominal = Gibibytes(32);
  chip.hbm_usable = Gibibytes(30.75);
  chip.hbm_bandwidth = GigabytesPerSecond(1200);
  chip.on_chip_memory = Gibibytes(0.125);
  chip.link_bandwidth = GigabytesPerSecond(45);
  chip.paper_bandwidth = GigabytesPerSecond(270);
  chip.small_shapes = {{1, 2, 2}, {2, 2, 2}, {2, 2, 4}, {2, 4, 4}};
  return chip;
}

// Wraps as v4 does: when every dimension is a multiple of 4.
inline Slice SliceOf(int x, int y, int z) {
  return {.dims = {x, y, z}, .wraps = x % 4 == 0 && y % 4 == 0 && z % 4 == 0};
}
inline Mesh MeshOf(int x, int y, int z) { return Mesh(SliceOf(x, y, z)); }

// The feed-forward block alone: no attention, no norm, no embedding.
inline Model FfnModel(std::int64_t embed, std::int64_t ffn) {
  Model model;
  model.name = "ffn";
  model.layers = 1;
  model.embed_dim = embed;
  model.ffn_dim = ffn;
  model.norm = NormKind::kNone;
  model.norms_per_layer = 0;
  model.final_norm = false;
  return model;
}

// PaLM's kind: parallel, gated, multiquery, one norm without bias, tied embedding.
inline Model MultiqueryModel() {
  Model model;
  model.name = "multiquery";
  model.layers = 3;
  model.embed_dim = 512;
  model.ffn_dim = 2048;
  model.gated = true;
  model.query_heads = 12;
  model.kv_heads = 1;
  model.head_dim = 16;
  model.vocabulary = 1000;
  model.block = BlockKind::kParallel;
  model.norm = NormKind::kLayerNorm;
  model.norm_bias = false;
  model.norms_per_layer = 1;
  return model;
}

// LLaMA's kind: serial, gated, grouped-query, RMSNorm, untied.
inline Model GroupedModel() {
  Model model = MultiqueryModel();
  model.name = "grouped-query";
  model.query_heads = 24;
  model.kv_heads = 8;
  model.block = BlockKind::kSerial;
  model.norm = NormKind::kRms;
  model.norms_per_layer = 2;
  model.tied_embedding = false;
  return model;
}

// GPT-3's kind: serial, not gated, multihead, LayerNorm, biases everywhere, learned positions.
inline Model MultiheadModel() {
  Model model = MultiqueryModel();
  model.name = "multihead";
  model.query_heads = 12;
  model.kv_heads = 12;
  model.gated = false;
  model.block = BlockKind::kSerial;
  model.norm_bias = true;
  model.norms_per_layer = 2;
  model.biases = {.attention_qkv = true, .attention_output = true, .ffn = true};
  model.positions = PositionKind::kLearned;
  model.max_positions = 128;
  return model;
}

// Falcon-40B's kind: parallel with two norms, grouped-query, not gated.
inline Model ParallelGroupedModel() {
  Model model = MultiqueryModel();
  model.name = "parallel grouped-query";
  model.query_heads = 24;
  model.kv_heads = 3;
  model.gated = false;
  model.norms_per_layer = 2;
  return model;
}

inline std::vector<Model> TestModels() {
  return {MultiqueryModel(), GroupedModel(), MultiheadModel(), ParallelGroupedModel()};
}

// The paper's 6^k layouts of k axes: each takes E or F, times gathered, attention over B, attention
// over H. With `beyond`, all 9^k: attention over S too, or R.
inline std::vector<Layout> LayoutsOver(const std::vector<AxisSet>& axes, bool beyond) {
  std::vector<Layout> layouts = {Layout()};
  for (AxisSet set : axes) {
    std::vector<Layout> more;
    for (const Layout& base : layouts) {
      for (int option = 0; option < (beyond ? 3 : 0); ++option) {
        Layout layout = base;
        (option == 0   ? layout.weights_embed
         : option == 1 ? layout.weights_ffn
                       : layout.replicas) |= set;
        (option == 2 ? layout.attention_batch : layout.attention_sequence) |= set;
        more.push_back(layout);
      }
      for (int option = 0; option < 6; ++option) {
        Layout layout = base;
        (option < 3 ? layout.weights_embed : layout.weights_ffn) |= set;
        (option % 3 == 0 ? layout.attention_heads : layout.attention_batch) |= set;
        layout.gathered |= option % 3 == 1 ? set : AxisSet();
        more.push_back(layout);
      }
    }
    layouts = more;
  }
  return layouts;
}

// Of a mesh's whole axes.
inline std::vector<Layout> AllLayouts(const Mesh& mesh, bool beyond = false) {
  return LayoutsOver(mesh.Parts(mesh.all()), beyond);
}

// Every layout with every legal fourth part that says something.
inline std::vector<Layout> ResidualLayouts(const Mesh& mesh) {
  std::vector<Layout> layouts;
  for (const Layout& base : AllLayouts(mesh, true)) {
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

// Those in which the factors of one axis differ.
inline std::vector<Layout> SplitLayouts(const Mesh& mesh) {
  std::vector<Layout> layouts;
  for (AxisSet split : mesh.Parts(mesh.all())) {
    std::vector<AxisSet> axes = mesh.Parts(mesh.all() - split);
    for (int factor : split) {
      axes.push_back(AxisSet::Of(factor));
    }
    for (const Layout& layout : LayoutsOver(axes, true)) {
      if (!SplitAxes(layout, mesh).empty()) {
        layouts.push_back(layout);
      }
    }
  }
  return layouts;
}

// The set after renaming physical axes p to to[p].
inline AxisSet Relabelled(AxisSet set, const std::array<int, 3>& to, const Mesh& mesh) {
  AxisSet out;
  for (int axis : set) {
    const int physical = mesh.axis(axis).physical;
    const int factor = axis - mesh.Physical(physical).first();
    out |= AxisSet::Of(mesh.Physical(to[static_cast<std::size_t>(physical)]).first() + factor);
  }
  return out;
}

inline std::vector<Layout> EveryLayout(const Mesh& mesh) {
  std::vector<Layout> layouts = AllLayouts(mesh, true);
  const std::vector<Layout> more = ResidualLayouts(mesh);
  layouts.insert(layouts.end(), more.begin(), more.end());
  return layouts;
}

// And one in thirteen of those that split an axis, which meets all options of all axes.
inline std::vector<Layout> WithSplits(const Mesh& mesh) {
  std::vector<Layout> layouts = EveryLayout(mesh);
  const std::vector<Layout> split = SplitLayouts(mesh);
  for (std::size_t i = 0; i < split.size(); i += 13) {
    layouts.push_back(split[i]);
  }
  return layouts;
}

inline Workload SmallWorkload() {
  Workload work;
  work.prefill_batch = 128;
  work.decode_batch = 128;
  work.input_length = 32;
  work.output_length = 4;
  return work;
}

inline Program Lowered(const Model& model, const Workload& work, Phase phase, const Layout& layout,
                       const Mesh& mesh, std::int64_t padded_heads = 0) {
  Program program;
  Lower({&model, &work, phase, padded_heads}, layout, mesh, program);
  return program;
}

// Bytes that the collectives of one layer move, in the paper's count.
inline double LayerVolume(const Program& program, OpKind kind) {
  double bytes = 0;
  for (std::size_t i = program.layer.begin; i < program.layer.end; ++i) {
    if (program.ops[i].kind == kind) {
      bytes += CollectiveTraffic(program, program.ops[i]).volume.base();
    }
  }
  return bytes;
}
inline double LayerVolume(const Program& program) {
  double bytes = 0;
  for (OpKind kind :
       {OpKind::kAllGather, OpKind::kReduceScatter, OpKind::kAllReduce, OpKind::kAllToAll}) {
    bytes += LayerVolume(program, kind);
  }
  return bytes;
}

// Every parameter off its ideal, so that a law that holds under it holds in general.
inline Calibration RoughCalibration() {
  Calibration calibration;
  calibration.name = "rough";
  calibration.matmul_efficiency = 0.8;
  calibration.matmul_half_rows = 50;
  calibration.stream_exposed_fraction = 0.4;
  calibration.score_traffic = 12;
  calibration.float32_passes = 3;
  calibration.weight_bandwidth = 0.6;
  calibration.int8_weight_bandwidth = 0.4;
  calibration.cache_bandwidth = 0.5;
  calibration.elementwise_traffic = 0.9;
  calibration.link_bandwidth = 0.9;
  calibration.gather_bandwidth = 0.85;
  calibration.scatter_passes = 1.6;
  calibration.hop_latency = 1e-6;
  calibration.launch_latency = 2e-6;
  calibration.message_latency = 3e-7;
  calibration.step_latency = 1e-5;
  calibration.exposed_fraction = 0.7;
  calibration.gather_exposed_fraction = 0.1;
  calibration.ideal_schedules = false;
  return calibration;
}

inline Setting SettingOf(const Model& model, const Slice& slice, const Workload& work,
                         const Calibration& calibration,
                         NetworkKind network = NetworkKind::kTorus) {
  Setting setting;
  setting.model = model;
  setting.chip = TestChip();
  setting.slice = slice;
  setting.workload = work;
  setting.calibration = calibration;
  setting.network = network;
  return setting;
}

// The message of the InputError that the call throws; "no error" where it throws none.
inline std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace slicewise
