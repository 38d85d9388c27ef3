// Provisioning, and the compiler's flags.
#include <fmt/format.h>

#include <algorithm>

#include "export_targets.h"

namespace slicewise {
namespace {

// Collectives of a kind and schedule that hide behind an einsum, over all phases: "op 7, 20".
std::string OverlappedOps(const Execution& execution, OpKind kind, Schedule schedule) {
  std::vector<std::string> found;
  for (const auto& [name, phase] : {std::pair{"prefill", execution.phases.prefill},
                                    std::pair{"decode", execution.phases.decode}}) {
    if (!phase) {
      continue;
    }
    std::vector<std::int64_t> ops;
    for (const ExecutionOp& op : phase->ops) {
      if (op.overlaps && op.kind == Name(kind) && *op.schedule == Name(schedule)) {
        ops.push_back(op.index);
      }
    }
    if (!ops.empty()) {
      found.push_back(fmt::format("{} ops {}", name, fmt::join(ops, ", ")));
    }
  }
  return fmt::format("{}", fmt::join(found, "; "));
}

}  // namespace

Exported ExportGcloud(const ExportInput& input) {
  const Slice& slice = input.setting.slice;
  const Chip& chip = input.setting.chip;
  std::vector<std::string> downgrades;
  // The provisioner writes shapes in ascending order.
  Slice ascending = slice;
  std::sort(ascending.dims.begin(), ascending.dims.end());
  if (ascending.dims != slice.dims) {
    downgrades.push_back(
        fmt::format("the slice {} in this order: shapes are given in ascending order; the plan's "
                    "axes are this slice's in another order",
                    ToString(slice)));
  }
  const std::string topology = ToString(ascending);
  const std::string& type = chip.accelerator_prefix;
  std::string text = DowngradeComments(downgrades);
  text += fmt::format("# {} chips; {} counts TensorCores\n", slice.chips(),
                      AcceleratorType(slice, chip));
  text += fmt::format(
      "gcloud compute tpus tpu-vm create NAME --zone=ZONE --type={} --topology={} "
      "--version=tpu-ubuntu2204-base\n",
      type, topology);
  text += fmt::format(
      "# GKE node selector:\n"
      "#   cloud.google.com/gke-tpu-accelerator: tpu-{}-podslice\n"
      "#   cloud.google.com/gke-tpu-topology: {}\n",
      type, topology);
  text += fmt::format("# xpk: --tpu-type={}\n", AcceleratorType(slice, chip));
  return {text, downgrades};
}

Exported ExportXlaFlags(const ExportInput& input) {
  const Execution& execution = input.execution;
  const std::string gathers = OverlappedOps(execution, OpKind::kAllGather, Schedule::kLoopedTwoWay);
  const std::string scatters =
      OverlappedOps(execution, OpKind::kReduceScatter, Schedule::kLoopedTwoWay);
  const std::string weights = OverlappedOps(execution, OpKind::kAllGather, Schedule::kLoopedOneWay);
  struct Flag {
    const char* name;
    std::string reason;  // empty: the plan does not need it
  };
  const auto because = [](const char* what, const std::string& ops) {
    return ops.empty() ? std::string() : fmt::format("{} ({})", what, ops);
  };
  const std::string any = !gathers.empty() ? gathers : !scatters.empty() ? scatters : weights;
  const std::vector<Flag> flags = {
      {"--xla_tpu_decompose_all_gather_einsum=true",
       because("collective matmul: all-gathers of activations loop with their einsum", gathers)},
      {"--xla_tpu_decompose_einsum_reduce_scatter=true",
       because("collective matmul: reduce-scatters loop with the einsum before them", scatters)},
      {"--xla_enable_async_all_gather=true",
       because("all-gathers of weights run beside the einsum before", weights)},
      {"--xla_tpu_enable_async_collective_fusion=true",
       because("collectives are fused with the einsum that hides them", any)},
      {"--xla_tpu_enable_async_collective_fusion_fuse_all_gather=true",
       because("all-gathers of weights are fused too", weights)},
      {"--xla_tpu_enable_async_collective_fusion_multiple_steps=true",
       because("gathering a layer's weights outlasts one fusion", weights)},
      {"--xla_tpu_overlap_compute_collective_tc=true",
       because("TensorCores compute while collectives move", any)},
  };
  std::string text;
  std::vector<std::string> chosen;
  for (const Flag& flag : flags) {
    if (!flag.reason.empty()) {
      text += fmt::format("# {}\n#   {}\n", flag.name, flag.reason);
      chosen.emplace_back(flag.name);
    }
  }
  if (chosen.empty()) {
    return {"# no collective of the plan hides behind an einsum: no flag is needed\n", {}};
  }
  return {text + fmt::format("export LIBTPU_INIT_ARGS=\"{}\"\n", fmt::join(chosen, " ")), {}};
}

}  // namespace slicewise
