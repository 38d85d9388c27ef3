// A plan in the terms of a runtime: what `slicewise export` prints (docs/runtimes.md).
//
// A target takes what it can and names what it cannot: the command refuses a plan with such
// features, or, asked for a lossy export, prints the nearest that the target can do and says so in
// the output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/search/execution.h"

namespace slicewise {

enum class ExportTarget : std::uint8_t {
  kJax,        // mesh and PartitionSpecs as JSON
  kMaxText,    // a whole MaxText configuration, YAML
  kVllmTpu,    // the command line of vLLM on TPU
  kEstiRules,  // logical-axis rules of the paper's released code, Python
  kGcloud,     // commands that provision the slice
  kXlaFlags,   // flags for the overlap that the plan assumes
};
// Names in the order of the enum: "jax", "maxtext", ...
[[nodiscard]] const std::vector<std::string>& ExportTargetNames();

struct Exported {
  std::string text;
  // What the target cannot honour, and what the text does instead: one line each.
  std::vector<std::string> downgrades;
};
[[nodiscard]] Exported Export(const Setting& setting, const Execution& execution,
                              ExportTarget target);

// The mesh axes of one phase's layout by their use, read off its tensors.
struct PhaseAxes {
  using Names = std::vector<std::string>;
  Names weights_embed, weights_ffn;        // of the stored weights
  Names replicas;                          // over which the stored weights are replicated
  Names gathered;                          // over which layer weights are gathered
  Names attention_batch, attention_heads;  // of the attention's output
  Names cache_length;                      // of the cache
  Names kv_heads, cache_kv_heads;          // of the key weights, and of the cache
  Names residual_batch, residual_embed;
};
[[nodiscard]] PhaseAxes AxesOf(const Execution& execution, const ExecutionPhase& phase);

// How jax.experimental.mesh_utils.create_device_mesh would lay the axes, given by size in the order
// that it is handed them, over the physical torus: for each logical axis the physical axes it gets;
// empty where it raises NotImplementedError (jax/_src/mesh_utils.py,
// _create_device_mesh_for_nd_torus: from the last logical axis to the first, the first combination
// of the most physical axes whose product is the size).
[[nodiscard]] std::vector<std::vector<int>> GreedyAssignment(const std::vector<int>& physical,
                                                             const std::vector<int>& logical);

}  // namespace slicewise
