// A MaxText configuration. MaxText shards by rules from logical axis names to mesh axes, and its
// mesh axes have fixed names; each use that a plan makes of an axis takes one of them:
//
//   weights over  gathered  attention over  mesh axis
//   d_ff, heads   no        heads           tensor; tensor_sequence where KV heads are repeated
//   d_ff, heads   no        batch           autoregressive
//   d_ff, heads   no        cache length    context_autoregressive
//   d_ff, heads   yes       batch           data
//   d_model       no        heads           tensor_transpose
//   d_model       no        batch           fsdp_transpose
//   d_model       no        cache length    sequence
//   d_model       yes       batch           fsdp
//   replicated    no        batch           data
//
// Names and their order: MaxText, configs/base.yml (mesh_axes) and pyconfig.py
// (create_parallelisms_list); rule names: configs/inference/multihost/interleaved.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "export_targets.h"

namespace slicewise {
namespace {

using Names = PhaseAxes::Names;

// Mesh axes in MaxText's order, with the option that sizes each.
constexpr std::array<std::pair<const char*, const char*>, 12> kMeshAxes = {{
    {"data", "ici_data_parallelism"},
    {"stage", "ici_pipeline_parallelism"},
    {"fsdp", "ici_fsdp_parallelism"},
    {"fsdp_transpose", "ici_fsdp_transpose_parallelism"},
    {"sequence", "ici_sequence_parallelism"},
    {"context", "ici_context_parallelism"},
    {"context_autoregressive", "ici_context_autoregressive_parallelism"},
    {"tensor", "ici_tensor_parallelism"},
    {"tensor_transpose", "ici_tensor_transpose_parallelism"},
    {"tensor_sequence", "ici_tensor_sequence_parallelism"},
    {"expert", "ici_expert_parallelism"},
    {"autoregressive", "ici_autoregressive_parallelism"},
}};

std::string MeshAxisOf(const PhaseAxes& axes, const std::string& axis) {
  if (Has(axes.replicas, axis)) {
    return "data";
  }
  if (Has(axes.cache_length, axis)) {
    return Has(axes.weights_embed, axis) ? "sequence" : "context_autoregressive";
  }
  const bool batch = Has(axes.attention_batch, axis);
  const bool repeats_kv = !axes.cache_kv_heads.empty() && !Has(axes.cache_kv_heads, axis);
  if (Has(axes.gathered, axis)) {
    return Has(axes.weights_embed, axis) ? "fsdp" : "data";
  }
  if (Has(axes.weights_embed, axis)) {
    return batch ? "fsdp_transpose" : "tensor_transpose";
  }
  return batch ? "autoregressive" : repeats_kv ? "tensor_sequence" : "tensor";
}

class MaxText {
 public:
  explicit MaxText(const ExportInput& input) : input_(input), axes_(input.axes) {}

  Exported Run() {
    CheckWhatIsLost();
    const std::string body = Model() + Mesh() + Rules() + Batch();
    return {DowngradeComments(downgrades_) +
                "base_config: \"inference/inference_jetstream.yml\"\n" + body,
            downgrades_};
  }

 private:
  void CheckWhatIsLost() {
    NoteOneLayout(input_, downgrades_);
    const ExecutionModel& model = input_.execution.model;
    if (model.block == "parallel") {
      downgrades_.push_back(
          "the parallel block: MaxText's decoder blocks are serial; the rules are for the same "
          "matrices in a serial block");
    }
    if (input_.execution.stored_heads != model.query_heads) {
      downgrades_.push_back(fmt::format(
          "padding of {} query heads to {}: MaxText has no padded heads; base_num_query_heads is "
          "the padded count, to be loaded with zero heads",
          model.query_heads, input_.execution.stored_heads));
    }
    const Workload& work = input_.setting.workload;
    if (work.activations == DataType::kInt8 && work.weights != DataType::kInt8) {
      downgrades_.emplace_back(
          "int8 activations with bf16 weights: MaxText quantizes weights or both; neither is");
    }
    // One layer's loop over one axis at a time is the released code's, not a sharding rule's.
    if (!axes_.gathered.empty()) {
      downgrades_.emplace_back(
          "the looped gathering of weights: MaxText's rules only place the weights; XLA chooses "
          "when and how to gather them");
    }
    if (!axes_.cache_length.empty()) {
      downgrades_.push_back(fmt::format(
          "the KV cache's positions dealt out in turn over {}, and the parts' log sums of "
          "exponentials: MaxText's rules cut the cache into consecutive blocks, and XLA chooses "
          "how to combine their softmax",
          fmt::join(axes_.cache_length, ",")));
    }
  }

  [[nodiscard]] std::string Model() const {
    const ExecutionModel& model = input_.execution.model;
    return fmt::format(
        "# {}\n"
        "base_emb_dim: {}\nbase_mlp_dim: {}\nbase_num_decoder_layers: {}\n"
        "base_num_query_heads: {}\nbase_num_kv_heads: {}\nhead_dim: {}\nvocab_size: {}\n"
        "logits_via_embedding: {}\n",
        model.name, model.embed_dim, model.ffn_dim, model.layers, input_.execution.stored_heads,
        model.kv_heads == model.query_heads ? input_.execution.stored_heads : model.kv_heads,
        model.head_dim, model.vocabulary, model.tied_embedding);
  }

  [[nodiscard]] std::string Mesh() const {
    std::string names;
    std::string sizes;
    for (const auto& [name, option] : kMeshAxes) {
      std::int64_t size = 1;
      for (const ExecutionAxis& axis : input_.execution.mesh.axes) {
        size *= MeshAxisOf(axes_, axis.name) == name ? axis.size : 1;
      }
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
      sizes += fmt::format("{}: {}\n", option, size);
    }
    return fmt::format("mesh_axes: [{}]\n{}allow_split_physical_axes: true\n", names, sizes);
  }

  // The mesh axes that stand for the plan's, each once, in their order. One that stands for more of
  // the plan's axes than these is left out: it would cut the dim too finely.
  std::string MeshNames(const std::string& rule, const Names& axes) {
    Names names;
    Names seen;
    for (const std::string& axis : axes) {
      const std::string name = MeshAxisOf(axes_, axis);
      if (Has(seen, name)) {
        continue;
      }
      seen.push_back(name);
      Names missing;
      for (const ExecutionAxis& other : input_.execution.mesh.axes) {
        if (MeshAxisOf(axes_, other.name) == name && !Has(axes, other.name)) {
          missing.push_back(other.name);
        }
      }
      if (missing.empty()) {
        names.push_back(name);
      } else {
        downgrades_.push_back(
            fmt::format("{} over {} and not {}: MaxText's axis '{}' stands for all of these; {} is "
                        "not sharded over it",
                        rule, fmt::join(axes, ","), fmt::join(missing, ","), name, rule));
      }
    }
    return names.empty() ? "[]" : fmt::format("['{}']", fmt::join(names, "', '"));
  }

  std::string Rules() {
    Names hidden = axes_.weights_ffn;
    std::erase_if(hidden, [&](const std::string& axis) { return Has(axes_.gathered, axis); });
    const std::vector<std::pair<const char*, Names>> rules = {
        {"embed", axes_.weights_embed},
        {"mlp", axes_.weights_ffn},
        {"vocab", axes_.weights_ffn},
        {"heads", axes_.weights_ffn},
        {"q_heads", axes_.weights_ffn},
        {"kv_heads", axes_.kv_heads},
        {"kv", {}},
        {"kv_head_dim", {}},
        {"norm", {}},
        {"activation_batch", axes_.residual_batch},
        {"activation_length", {}},
        {"activation_embed", axes_.residual_embed},
        {"activation_mlp", hidden},
        {"activation_vocab", hidden},
        {"activation_heads", axes_.attention_heads},
        {"activation_kv_heads", axes_.cache_kv_heads},
        {"activation_kv", {}},
        {"activation_kv_head_dim", {}},
        {"activation_kv_batch", axes_.attention_batch},
        {"activation_prefill_kv_batch", axes_.attention_batch},
        {"cache_batch", axes_.attention_batch},
        {"cache_batch_prefill", axes_.attention_batch},
        {"cache_sequence", axes_.cache_length},
        {"cache_heads", axes_.cache_kv_heads},
        {"cache_kv", {}},
    };
    std::string text = "override_logical_axis_rules: true\nlogical_axis_rules: [\n";
    for (const auto& [name, axes] : rules) {
      text += fmt::format("  ['{}', {}],\n", name, MeshNames(name, axes));
    }
    return text + "]\n";
  }

  [[nodiscard]] std::string Batch() const {
    const Workload& work = input_.setting.workload;
    std::string text = fmt::format(
        "per_device_batch_size: {}\nmax_prefill_predict_length: {}\nmax_target_length: {}\n",
        static_cast<double>(input_.phase.batch) / input_.setting.slice.chips(),
        work.context + work.input_length, work.context + work.input_length + work.output_length);
    if (work.weights == DataType::kInt8) {
      // int8 quantizes both operands of a matmul, int8w the weights alone.
      text += fmt::format("quantization: '{}'\n",
                          work.activations == DataType::kInt8 ? "int8" : "int8w");
    }
    if (work.kv_cache == DataType::kInt8) {
      text += "quantize_kvcache: true\nkv_quant_dtype: 'int8'\n";
    }
    return text;
  }

  const ExportInput& input_;
  const PhaseAxes& axes_;
  std::vector<std::string> downgrades_;
};

}  // namespace

Exported ExportMaxText(const ExportInput& input) { return MaxText(input).Run(); }

}  // namespace slicewise
