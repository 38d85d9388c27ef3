// vLLM on TPU, and the rules of the paper's released code.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "export_targets.h"

namespace slicewise {
namespace {

using Names = PhaseAxes::Names;

// The ways that vLLM's degrees take of the chips: data parallelism replicates the weights; the
// others share tensor_parallel_size (tpu-inference, layers/common/sharding.py).
struct VllmWays {
  std::int64_t data = 1, tensor = 1;  // together all chips
  std::int64_t attention_batch = 1, cache_length = 1;
};

VllmWays WaysOf(const ExportInput& input) {
  const PhaseAxes& axes = input.axes;
  const std::int64_t replicas = input.SizeOf(axes.replicas);
  return {.data = replicas,
          .tensor = input.setting.slice.chips() / replicas,
          .attention_batch = input.SizeOf(Without(axes.attention_batch, axes.replicas)),
          .cache_length = input.SizeOf(axes.cache_length)};
}

// vLLM shards the cache's length over chips that would else repeat its KV heads
// (ModelConfig.verify_with_parallel_config).
bool CanShardLength(const ExecutionModel& model, const VllmWays& ways) {
  return ways.cache_length == 1 || (ways.tensor >= ways.cache_length * model.kv_heads &&
                                    model.query_heads / model.kv_heads % ways.cache_length == 0);
}

// An option of the command line, where it is not the default.
std::string Degree(const char* option, std::int64_t ways) {
  return ways > 1 ? fmt::format(" --{} {}", option, ways) : std::string();
}

void NoteVllmLosses(const ExportInput& input, std::vector<std::string>& downgrades) {
  NoteOneLayout(input, downgrades);
  const PhaseAxes& axes = input.axes;
  const Workload& work = input.setting.workload;
  if (!axes.gathered.empty()) {
    downgrades.push_back(
        fmt::format("weight-gathered feed-forward over {}: vLLM keeps weights in place",
                    fmt::join(axes.gathered, ",")));
  }
  if (!axes.weights_embed.empty()) {
    downgrades.push_back(
        fmt::format("d_model of the weights over {}: vLLM shards d_ff and heads only; these axes "
                    "shard d_ff and heads too",
                    fmt::join(axes.weights_embed, ",")));
  }
  const ExecutionModel& model = input.execution.model;
  if (const VllmWays ways = WaysOf(input); !CanShardLength(model, ways)) {
    downgrades.push_back(fmt::format(
        "the KV cache's length over {}: vLLM needs a tensor_parallel_size of at least {} x {} KV "
        "heads (found {}), and {} to divide the {} query heads of each; these axes shard heads",
        fmt::join(axes.cache_length, ","), ways.cache_length, model.kv_heads, ways.tensor,
        ways.cache_length, model.query_heads / model.kv_heads));
  }
  if (work.activations == DataType::kInt8) {
    downgrades.emplace_back("int8 activations: they stay in bf16");
  }
  if (work.weights == DataType::kInt8) {
    downgrades.emplace_back(
        "int8 weights: vLLM takes them from a quantized checkpoint; MODEL must name one");
  }
  if (work.kv_cache == DataType::kInt8) {
    downgrades.emplace_back("an int8 KV cache: the nearest is fp8");
  }
}

// The released code's axes and how the plan's stand for them.
struct EstiAxes {
  // Plan axes in the roles of x, y, z; empty where the plan has fewer.
  std::array<std::string, 3> xyz;
  std::string kind;  // "two_d", "one_d", "weight_gathered"
  int attention_axes = 0;
};

bool SameSet(Names a, Names b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

// x holds d_model; of y and z attention shards batch over z first (AttnAllToAll).
EstiAxes MatchTwoD(const PhaseAxes& axes) {
  EstiAxes match;
  match.kind = "two_d";
  match.xyz[0] = axes.weights_embed.front();
  Names rest = axes.weights_ffn;
  std::stable_sort(rest.begin(), rest.end(), [&](const std::string& a, const std::string& b) {
    return !Has(axes.attention_batch, a) && Has(axes.attention_batch, b);
  });
  match.xyz[1] = rest.size() > 1 ? rest[rest.size() - 2] : "";
  match.xyz[2] = rest.empty() ? "" : rest.back();
  match.attention_axes = static_cast<int>(axes.attention_batch.size());
  return match;
}

class EstiRules {
 public:
  explicit EstiRules(const ExportInput& input)
      : input_(input), mesh_(input.execution.mesh.axes), axes_(input.axes) {
    for (std::size_t i = 1; i < mesh_.size(); ++i) {
      if (mesh_[i].physical_axis == mesh_[i - 1].physical_axis) {
        JoinFactors(i - 1);
      }
    }
    axes_.attention_batch = Without(axes_.attention_batch, axes_.replicas);
  }

  Exported Run() {
    NoteModel();
    NoteOneLayout(input_, downgrades_);
    NoteBeyondPaper();
    const EstiAxes match = Match();
    std::string text = DowngradeComments(downgrades_);
    text += fmt::format("# mesh axes of the released code: x = {}, y = {}, z = {}\n",
                        Title(match.xyz[0]), Title(match.xyz[1]), Title(match.xyz[2]));
    text += fmt::format("mesh_shape = ({}, {}, {})\n", Size(match.xyz[0]), Size(match.xyz[1]),
                        Size(match.xyz[2]));
    text += "rules = [\n";
    for (const auto& [logical, physical] : Rules(match)) {
      text += fmt::format("    ('{}', {}),\n", logical, physical);
    }
    constexpr std::array<const char*, 4> kAllToAll = {"NONE", "AXIS_Z", "AXES_YZ", "AXES_YZX"};
    const bool gathered = match.kind == "weight_gathered";
    text += "]\n";
    text += fmt::format("attn_all_to_all = AttnAllToAll.{}\n",
                        kAllToAll[static_cast<std::size_t>(gathered ? 0 : match.attention_axes)]);
    text += "latency_collectives = False\nshard_seqlen_vs_batch = False\n";
    text += fmt::format("batch_unsharded = {}\n", match.kind == "two_d" ? "True" : "False");
    return {text, downgrades_};
  }

 private:
  // The rules know three axes: factors become one, in the major's roles.
  void JoinFactors(std::size_t major) {
    const std::string first = mesh_[major].name;
    const std::string second = mesh_[major + 1].name;
    mesh_[major].name = mesh_[major].physical_axis;
    mesh_[major].size *= mesh_[major + 1].size;
    mesh_.erase(mesh_.begin() + static_cast<std::ptrdiff_t>(major) + 1);
    bool alike = true;
    for (Names* names : {&axes_.weights_embed, &axes_.weights_ffn, &axes_.replicas, &axes_.gathered,
                         &axes_.attention_batch, &axes_.cache_length, &axes_.cache_kv_heads,
                         &axes_.residual_embed}) {
      alike = alike && Has(*names, first) == Has(*names, second);
      std::erase(*names, second);
      std::replace(names->begin(), names->end(), first, mesh_[major].name);
    }
    if (!alike) {
      Lose(fmt::format("these have {} whole, where {} is", mesh_[major].name, first));
    }
  }

  [[nodiscard]] std::string Title(const std::string& axis) const {
    return axis.empty() ? "none" : fmt::format("{} ({} chips)", axis, Size(axis));
  }
  [[nodiscard]] std::int64_t Size(const std::string& axis) const {
    const auto at = std::find_if(mesh_.begin(), mesh_.end(),
                                 [&](const ExecutionAxis& other) { return other.name == axis; });
    return at == mesh_.end() ? 1 : at->size;
  }

  void NoteModel() {
    const ExecutionModel& model = input_.execution.model;
    if (model.block != "parallel" || model.kv_heads != 1 || !model.gated) {
      downgrades_.push_back(fmt::format(
          "model {}: the released code runs PaLM's block (parallel, gated, multiquery); the rules "
          "are for that block",
          model.name));
    }
  }

  void NoteBeyondPaper() {
    if (!axes_.replicas.empty()) {
      downgrades_.push_back(fmt::format(
          "weights replicated over {}: the released code has one copy of them; these are the rules "
          "of one replica of {}",
          fmt::join(axes_.replicas, ","), input_.SizeOf(input_.axes.replicas)));
    }
    if (!axes_.cache_length.empty()) {
      downgrades_.push_back(fmt::format(
          "the KV cache's length over {}: the released code shards the cache over batch "
          "or heads; these axes shard heads",
          fmt::join(axes_.cache_length, ",")));
    }
  }

  void Lose(const std::string& instead) {
    downgrades_.push_back(fmt::format("layout {}: the released code has no such rules; {}",
                                      input_.phase.layout, instead));
  }

  EstiAxes Match() {
    const Names all = [&] {
      Names names;
      for (const ExecutionAxis& axis : mesh_) {
        names.push_back(axis.name);
      }
      return Without(names, axes_.replicas);
    }();
    if (axes_.weights_embed.empty()) {
      return MatchOneD(all);
    }
    if (axes_.weights_embed.size() > 1 || all.size() != 3) {
      Lose("these are its 2D rules over the first axis of d_model");
    }
    EstiAxes match = MatchTwoD(axes_);
    if (!axes_.gathered.empty()) {
      match.kind = "weight_gathered";
      if (!SameSet(axes_.gathered, all)) {
        Lose("these are its weight-gathered rules, over all axes");
      }
      return match;
    }
    // Batch takes z, then y, then x: AttnAllToAll has no other order.
    if (match.attention_axes < 3 && Has(axes_.attention_batch, match.xyz[0])) {
      Lose("these shard attention's batch over z before y before x");
    }
    if (axes_.residual_embed.size() != all.size()) {
      Lose("these keep the residual over all axes");
    }
    return match;
  }

  // The released 1D code: residual over x alone, attention over heads (Fxyz/ws/Hxyz/Ex).
  EstiAxes MatchOneD(const Names& all) {
    EstiAxes match;
    match.kind = "one_d";
    for (std::size_t i = 0; i < std::min<std::size_t>(3, all.size()); ++i) {
      match.xyz[i] = all[i];
    }
    if (!axes_.gathered.empty() || !axes_.attention_batch.empty() ||
        axes_.residual_embed != Names{match.xyz[0]}) {
      Lose("these are its 1D rules: weight-stationary, attention over heads, residual over x");
    }
    return match;
  }

  using Rule = std::pair<const char*, const char*>;

  // make_rules_two_d(batch_unsharded=True), make_rules_one_d and make_rules_weight_gathered of the
  // released partitioning.py. batch_unsharded keeps the residual's d_model over all axes, as the
  // paper and the plan do.
  static std::vector<Rule> Rules(const EstiAxes& match) {
    constexpr std::array<const char*, 4> kBatch = {"None", "'z'", "('y', 'z')", "('y', 'z', 'x')"};
    const bool one_d = match.kind == "one_d";
    const bool gathered = match.kind == "weight_gathered";
    const char* const xyz = "('x', 'y', 'z')";
    const auto pick = [&](const char* two, const char* one, const char* all) {
      return one_d ? one : gathered ? all : two;
    };
    return {
        {"prefix_time", "None"},
        {"prefix_layers", "None"},
        {"prefix_qkv", "None"},
        {"batch", "None"},
        {"residual_batch", pick("None", "None", xyz)},
        {"logit_batch", pick("None", "None", "'x'")},
        {"residual_embed", pick(xyz, "'x'", "None")},
        {"residual_time", "None"},
        {"post_norm_batch", pick("None", "None", xyz)},
        {"post_norm_embed", pick("'x'", "'x'", "None")},
        {"heads", pick("('y', 'z', 'x')", xyz, "None")},
        {"qkv", "None"},
        {"params_heads", pick("('y', 'z')", xyz, "('y', 'z')")},
        {"params_embed", pick("'x'", "None", "'x'")},
        {"params_kv_embed", pick("'x'", "'x'", "None")},
        {"params_vocab", "('y', 'z')"},
        {"embedding_embed", "'x'"},
        {"vocab", pick("('y', 'z', 'x')", "('y', 'z', 'x')", "('y', 'z')")},
        {"attn_batch", pick(kBatch[static_cast<std::size_t>(match.attention_axes)], "None", xyz)}};
  }

  const ExportInput& input_;
  std::vector<ExecutionAxis> mesh_;  // whole axes
  PhaseAxes axes_;                   // of one replica, over these
  std::vector<std::string> downgrades_;
};

}  // namespace

// tpu-inference's mesh: `attn_dp` shards attention's batch, `model` its heads, `dcp` the cache's
// length (positions in turn), and all together d_ff and the heads of the projections; `data` shards
// the batch throughout.
Exported ExportVllmTpu(const ExportInput& input) {
  std::vector<std::string> downgrades;
  NoteVllmLosses(input, downgrades);
  VllmWays ways = WaysOf(input);
  if (!CanShardLength(input.execution.model, ways)) {
    ways.cache_length = 1;
  }
  const Workload& work = input.setting.workload;
  // The degree over all of attention's axes; tpu-inference divides the others out of it.
  nlohmann::ordered_json strategy = {{"tensor_parallelism", ways.tensor}};
  if (ways.attention_batch > 1) {
    strategy["enable_dp_attention"] = true;
    strategy["attn_dp_size"] = ways.attention_batch;
  }
  const nlohmann::ordered_json config = {{"sharding", {{"sharding_strategy", strategy}}}};
  std::string text = DowngradeComments(downgrades);
  text += fmt::format(
      "# attention over batch {} ways, over heads {} ways, over the cache's length {} ways\n",
      ways.data * ways.attention_batch, ways.tensor / ways.attention_batch / ways.cache_length,
      ways.cache_length);
  // attn_dp and context parallelism need the new model design.
  text += ways.attention_batch * ways.cache_length > 1 ? "export NEW_MODEL_DESIGN=1\n" : "";
  text += "export TPU_MESH_SORT_BY_COORDS=1\n";
  text += fmt::format("vllm serve MODEL --tensor-parallel-size {}", ways.tensor);
  text += Degree("data-parallel-size", ways.data);
  text += Degree("decode-context-parallel-size", ways.cache_length);
  text +=
      fmt::format(" --max-model-len {} --max-num-seqs {}{} --additional_config='{}'\n",
                  work.context + work.input_length + work.output_length, input.phase.batch,
                  work.kv_cache == DataType::kInt8 ? " --kv-cache-dtype fp8" : "", config.dump());
  return {text, downgrades};
}

Exported ExportEstiRules(const ExportInput& input) { return EstiRules(input).Run(); }

}  // namespace slicewise
