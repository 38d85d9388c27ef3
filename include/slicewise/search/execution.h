// What a runtime needs to execute a plan: the mesh, every tensor with its shards, and the ops in
// order. It is the program (program/program.h) of one or both phases as plain names and numbers,
// and what the plan document's `execution` section holds (docs/plan-format.md says how to read it).
//
// Written by report, compared by config when a document is read back: both walk the same fields
// with VisitFields, so that what is written is what is checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"

namespace slicewise {

// The resolved model, by the names of model files.
struct ExecutionModel {
  std::string name;
  std::int64_t layers = 0, embed_dim = 0, ffn_dim = 0;
  bool gated = false;
  std::int64_t query_heads = 0, kv_heads = 0, head_dim = 0, vocabulary = 0;
  bool tied_embedding = false;
  std::string block, norm;  // "parallel", "serial"; "none", "rms", "layer"
  bool norm_bias = false;
  std::int64_t norms_per_layer = 0;
  bool final_norm = false, query_key_norm = false;
  bool attention_qkv_bias = false, attention_output_bias = false, ffn_bias = false;
  std::string positions;  // "none", "rotary", "alibi", "learned"
  std::int64_t max_positions = 0;
  double mfu_parameters = 0;
};

struct ExecutionAxis {
  std::string name;
  std::int64_t size = 0;
  std::string physical_axis;  // "x", "y", "z" of the slice
  bool wraps = false;
};

// Mesh axes in device order: the device at mesh index (i, j, ...) is the chip whose coordinate
// along each axis' physical axis is that index; factors of one physical axis are its digits, major
// first.
struct ExecutionMesh {
  std::string slice;
  bool twisted = false;
  std::vector<ExecutionAxis> axes;
};

// One dim of a phase. An index of it, padding included, is a number in digits: one for each axis,
// major to minor, and a remainder. `indices` says what each padded index stands for, -1 for
// padding; empty where index i is i and padding comes last.
struct ExecutionDim {
  std::string name, letter;
  std::int64_t size = 0, padded_size = 0;
  std::vector<std::string> axes;
  std::vector<std::int64_t> indices;
};

// A dim of one tensor and the axes that cut it, major to minor.
struct ExecutionShard {
  std::string name, letter;
  std::int64_t size = 0, padded_size = 0;
  std::vector<std::string> axes;
  std::int64_t local_size = 0;
};

struct ExecutionTensor {
  std::string name;  // the role, and "#2", "#3" for further tensors of one role
  std::string role, dtype, lifetime;
  bool per_layer = false, streamed = false;
  std::vector<ExecutionShard> dims;
  std::vector<std::string> partial_axes;
  std::vector<std::int64_t> shape_per_chip;
  double bytes_per_chip = 0;
};

// Operands and results by tensor name, as program.h's Term.
struct ExecutionTerm {
  std::optional<std::string> lhs, rhs, out;
};

struct ExecutionOp {
  std::int64_t index = 0;
  std::string section, kind;
  std::optional<std::string> function;  // of an elementwise op
  std::string part;
  std::vector<std::string> axes;        // of a collective
  std::optional<std::string> schedule;  // of a collective
  std::int64_t group = 0;
  std::optional<std::int64_t> overlaps;  // the einsum that a looped collective hides behind
  std::vector<ExecutionTerm> terms;
  double volume_bytes = 0, sent_bytes = 0, flops = 0;  // per chip and execution
};

struct ExecutionPhase {
  std::string layout;
  std::int64_t batch = 0, query_length = 0, cache_length = 0, layers = 0, steps = 0;
  std::vector<ExecutionDim> dims;
  std::vector<ExecutionTensor> tensors;  // activations and caches; the weights are shared
  std::vector<ExecutionOp> ops;
};

struct ExecutionPhases {
  std::optional<ExecutionPhase> prefill, decode;
};

// Moving the KV cache of one prefill batch into decode's layout (program/reshard.h), per layer.
struct ExecutionChanges {
  std::int64_t batch = 0, layers = 0;
  std::vector<ExecutionTensor> tensors;
  std::vector<ExecutionOp> ops;
};

struct Execution {
  ExecutionModel model;
  ExecutionMesh mesh;
  std::int64_t stored_heads = 0;
  std::vector<ExecutionTensor> weights;
  ExecutionPhases phases;
  std::optional<ExecutionChanges> changes;  // only with both phases and a cache
};

// The layouts to describe, of one phase or both; those of both must share their weights.
struct ExecutionLayouts {
  std::optional<Layout> prefill, decode;
  std::int64_t stored_heads = 0;
};
[[nodiscard]] Execution MakeExecution(const Setting& setting, const ExecutionLayouts& layouts);
[[nodiscard]] ExecutionModel DescribeModel(const Model& model);

// What each padded index of a dim stands for, -1 for padding; empty as in ExecutionDim.
[[nodiscard]] std::vector<std::int64_t> TrueIndices(const Program& program, const Model& model,
                                                    Dim dim);

}  // namespace slicewise
