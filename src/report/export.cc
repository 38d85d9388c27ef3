#include "slicewise/report/export.h"

#include <fmt/format.h>

#include "export_targets.h"

namespace slicewise {
namespace {

const ExecutionTensor* Find(const std::vector<ExecutionTensor>& tensors, std::string_view name) {
  for (const ExecutionTensor& tensor : tensors) {
    if (tensor.name == name) {
      return &tensor;
    }
  }
  return nullptr;
}

// The axes that cut a dim of a tensor; none where it, or its dim, does not exist.
PhaseAxes::Names Cut(const ExecutionTensor* tensor, std::string_view dim) {
  if (tensor != nullptr) {
    for (const ExecutionShard& shard : tensor->dims) {
      if (shard.name == dim) {
        return shard.axes;
      }
    }
  }
  return {};
}

// The axes that cut neither dim of the feed-forward weights.
PhaseAxes::Names ReplicaAxes(const Execution& execution, const PhaseAxes& axes) {
  PhaseAxes::Names replicas;
  for (const ExecutionAxis& axis : execution.mesh.axes) {
    if (!Has(axes.weights_embed, axis.name) && !Has(axes.weights_ffn, axis.name)) {
      replicas.push_back(axis.name);
    }
  }
  return replicas;
}

// The axes over which the layers' all-gathers read stored weights.
PhaseAxes::Names GatheredAxes(const Execution& execution, const ExecutionPhase& phase) {
  for (const ExecutionOp& op : phase.ops) {
    if (op.section == "layer" && op.kind == Name(OpKind::kAllGather) && op.terms[0].lhs &&
        Find(execution.weights, *op.terms[0].lhs) != nullptr) {
      return op.axes;
    }
  }
  return {};
}

const ExecutionOp* AttentionOp(const ExecutionPhase& phase) {
  for (const ExecutionOp& op : phase.ops) {
    if (op.kind == Name(OpKind::kAttention)) {
      return &op;
    }
  }
  return nullptr;
}

}  // namespace

const std::vector<std::string>& ExportTargetNames() {
  static const std::vector<std::string> kNames = {"jax",        "maxtext", "vllm-tpu",
                                                  "esti-rules", "gcloud",  "xla-flags"};
  return kNames;
}

std::int64_t ExportInput::SizeOf(const std::string& axis) const {
  for (const ExecutionAxis& candidate : execution.mesh.axes) {
    if (candidate.name == axis) {
      return candidate.size;
    }
  }
  return 1;
}

std::int64_t ExportInput::SizeOf(const PhaseAxes::Names& names) const {
  std::int64_t size = 1;
  for (const std::string& axis : names) {
    size *= SizeOf(axis);
  }
  return size;
}

std::string DowngradeComments(const std::vector<std::string>& downgrades) {
  std::string text;
  for (const std::string& downgrade : downgrades) {
    text += fmt::format("# not honoured: {}\n", downgrade);
  }
  return text;
}

void NoteOneLayout(const ExportInput& input, std::vector<std::string>& downgrades) {
  if (input.phases_differ()) {
    downgrades.push_back(fmt::format(
        "prefill under {} and decode under {}: the target has one layout; both use decode's",
        input.execution.phases.prefill->layout, input.execution.phases.decode->layout));
  }
}

PhaseAxes AxesOf(const Execution& execution, const ExecutionPhase& phase) {
  const ExecutionTensor* const input = Find(execution.weights, Name(TensorRole::kFfnInputWeights));
  const ExecutionTensor* const residual = Find(phase.tensors, Name(TensorRole::kResidual));
  const ExecutionTensor* const keys = Find(phase.tensors, Name(TensorRole::kKeyCache));
  PhaseAxes axes;
  axes.weights_embed = Cut(input, Name(Dim::kEmbed));
  axes.weights_ffn = Cut(input, Name(Dim::kFfn));
  axes.replicas = ReplicaAxes(execution, axes);
  axes.gathered = GatheredAxes(execution, phase);
  axes.residual_batch = Cut(residual, Name(Dim::kBatch));
  axes.residual_embed = Cut(residual, Name(Dim::kEmbed));
  axes.kv_heads = Cut(Find(execution.weights, Name(TensorRole::kKeyWeights)), Name(Dim::kKvHeads));
  axes.cache_kv_heads = Cut(keys, Name(Dim::kCacheKvHeads));
  axes.cache_length = Cut(keys, Name(Dim::kCacheLength));
  axes.attention_batch = Cut(keys, Name(Dim::kAttentionBatch));
  if (const ExecutionOp* const attention = AttentionOp(phase)) {
    axes.attention_heads = Cut(Find(phase.tensors, *attention->terms[0].out), Name(Dim::kHeads));
  }
  return axes;
}

Exported Export(const Setting& setting, const Execution& execution, ExportTarget target) {
  const ExecutionPhase& phase =
      execution.phases.decode ? *execution.phases.decode : *execution.phases.prefill;
  const ExportInput input = {setting, execution, phase, AxesOf(execution, phase)};
  switch (target) {
    case ExportTarget::kJax:
      return ExportJax(input);
    case ExportTarget::kMaxText:
      return ExportMaxText(input);
    case ExportTarget::kVllmTpu:
      return ExportVllmTpu(input);
    case ExportTarget::kEstiRules:
      return ExportEstiRules(input);
    case ExportTarget::kGcloud:
      return ExportGcloud(input);
    case ExportTarget::kXlaFlags:
      return ExportXlaFlags(input);
  }
  return {};
}

}  // namespace slicewise
