// The layer program: the explicit per-chip operations of one phase under one layout.
//
// It is the one source of the project. Cost prices it, memory is its peak liveness, `explain`
// prints it, the emulator executes it, export turns it into shardings and collectives. Nothing
// downstream looks at a Layout.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>

#include "slicewise/hardware/mesh.h"
#include "slicewise/program/fixed_vector.h"
#include "slicewise/program/tensor.h"
#include "slicewise/workload/workload.h"

namespace slicewise {

enum class OpKind : std::uint8_t {
  kEinsum,         // each term: out (+)= lhs x rhs; terms with one `out` add up
  kAttention,      // softmax(q k^T) v over the KV cache, after appending k and v to it
  kAllGather,      // each term: operand lhs -> result out; a dim loses digits
  kReduceScatter,  // a partial sum becomes digits of a dim
  kAllReduce,      // a partial sum is summed everywhere
  kAllToAll,       // digits move from one dim to another
  kElementwise,
};
[[nodiscard]] std::string_view Name(OpKind kind);
[[nodiscard]] constexpr bool IsCollective(OpKind kind) {
  return kind == OpKind::kAllGather || kind == OpKind::kReduceScatter ||
         kind == OpKind::kAllReduce || kind == OpKind::kAllToAll;
}

// What an elementwise op does.
enum class Elementwise : std::uint8_t {
  kNone,
  kLookup,      // rows of the embedding table for the tokens of this chip's vocabulary shard
  kStatistics,  // partial sums of the norm's statistics
  kNormalize,   // normalise, scale
  kSlice,       // keep this chip's part of a replicated tensor: free
  kActivate,    // nonlinearity, and the product with the gate
  kAdd,         // residual addition
  kLastToken,   // keep the positions whose logits are wanted: free
  kSample,      // best candidate of this chip's vocabulary shard
  kCombine,     // scale a shard's attention by its share of the whole softmax
};
[[nodiscard]] std::string_view Name(Elementwise function);

enum class Part : std::uint8_t { kFfn, kAttention, kShared, kEmbedding, kHead };
[[nodiscard]] std::string_view Name(Part part);

// How a collective uses the links (paper section 3.5 and the released code's collective einsums).
enum class Schedule : std::uint8_t {
  kBlocking,      // rings along all its axes at once, both ways, nothing overlapped
  kLoopedOneWay,  // a loop of K-1 steps over one link, an einsum chunk behind each step
  kLoopedTwoWay,  // the same both ways round the rings
};
[[nodiscard]] std::string_view Name(Schedule schedule);

struct Term {
  TensorId lhs, rhs, out;  // kNoTensor where there is none
};
inline constexpr std::size_t kMaxTerms = 7;

// Operands by kind:
//   einsum       term i: lhs (activation) x rhs (weights) -> out
//   collective   term i: lhs -> out (rhs unused); several terms share one launch
//   attention    (query, key, attended) (value, key cache, value cache), then, where there are,
//                (query, key, value bias) and, with a cache sharded over its length, (-, -, log sum
//                of exponentials)
//   elementwise  term 0: lhs, rhs -> out; further terms: more operands
struct Op {
  OpKind kind;
  Elementwise function;
  Part part;
  Schedule schedule;
  std::uint8_t group;  // overlap group within the section; 0: none
  std::uint8_t term_count;
  AxisOrder axes;  // collectives: in execution order
  AxisSet looped;  // of these, the ones its loop goes over; the collectives of the others block
  std::array<Term, kMaxTerms> terms;
};

// A range of Program::ops.
struct Section {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// How a program shares out a batch, and the batches that its ops are for.
struct Batching {
  double shards = 1;          // of Dim::kBatch, over all axes of its order
  double attention_cuts = 1;  // of each of them, in Dim::kAttentionBatch
  double min_sequences = 1;   // of a shard
  double max_sequences = std::numeric_limits<double>::infinity();

  // Shards are padded alike, attention's within those of the other activations: padding nests.
  [[nodiscard]] Sequences Share(std::int64_t batch) const;
  // Whether lowering gives the same ops for this batch.
  [[nodiscard]] bool Covers(std::int64_t batch) const;
};

inline constexpr std::size_t kMaxOps = 64;

struct Program {
  Mesh mesh;
  Phase phase = Phase::kPrefill;
  std::array<DimInfo, kDimCount> dims;
  FixedVector<Tensor, 96> tensors;
  FixedVector<Op, kMaxOps> ops;
  Section prologue;  // once per step: embedding
  Section layer;     // `layers` times per step
  Section epilogue;  // once per step: norm, unembedding, sampling
  double layers = 0;
  double steps = 1;  // forward passes of the phase
  Batching batching;
  // Within its batching, all that a program owes to the batch is this and the two batch dims.
  Sequences sequences = {1, 1, 1};
  bool gated = false;
  bool parallel = false;

  [[nodiscard]] const DimInfo& dim(Dim d) const { return dims[static_cast<std::size_t>(d)]; }
  DimInfo& dim(Dim d) { return dims[static_cast<std::size_t>(d)]; }
  [[nodiscard]] const Tensor& tensor(TensorId id) const { return tensors[id]; }
  // Sets `sequences` and pads the two batch dims to them.
  void SetSequences(const Sequences& count);

  [[nodiscard]] double Count(Follows follows) const {
    return sequences[static_cast<std::size_t>(follows)];
  }
  // Elements on one chip, padding included, and of these the ones held in memory at once: two
  // chunks when streamed, if that is less than all.
  [[nodiscard]] double Elements(const Tensor& tensor) const {
    return tensor.unit_elements * Count(tensor.follows);
  }
  [[nodiscard]] double StoredElements(const Tensor& tensor) const {
    const double all = Elements(tensor);
    return tensor.streamed ? std::min(all, tensor.unit_chunks * Count(tensor.chunks_follow)) : all;
  }
  // The padded size of a dim when every shard holds one sequence.
  [[nodiscard]] double UnitSize(Dim d) const {
    return d == Dim::kBatch            ? batching.shards
           : d == Dim::kAttentionBatch ? batching.shards * batching.attention_cuts
                                       : dim(d).padded;
  }
  // Sets what the tensor follows and its elements, none of them streamed, from its dims and cuts.
  void SetElements(Tensor& tensor) const;
  // Indices of a dim that one chip holds under a sharding, padding included.
  [[nodiscard]] double LocalSize(Dim d, AxisSet sharding) const {
    return sharding.empty() ? dim(d).padded : dim(d).padded / mesh.Size(sharding);
  }
  // Indices of the tensor's i-th dim that one chip holds.
  [[nodiscard]] double LocalSize(const Tensor& tensor, int i) const {
    const auto index = static_cast<std::size_t>(i);
    return LocalSize(tensor.dims[index], tensor.sharding[index]);
  }
};

// "prologue", "layer" or "epilogue": where an op stands.
[[nodiscard]] std::string_view SectionName(const Program& program, std::size_t op);

[[nodiscard]] constexpr Follows FollowedBy(Dim dim) {
  return dim == Dim::kBatch            ? Follows::kBatch
         : dim == Dim::kAttentionBatch ? Follows::kAttentionBatch
                                       : Follows::kNothing;
}

// Bytes of the tensor on one chip, padding included.
[[nodiscard]] inline Bytes TensorBytes(const Program& program, const Tensor& tensor) {
  return program.Elements(tensor) * ElementBytes(tensor.type);
}

}  // namespace slicewise
