// Dimensions and tensors of a program.
//
// A program has a small table of dimensions. Each has one order of mesh axes, major to minor: its
// index is a number written in digits, one digit per axis and a remainder. A tensor is sharded by
// naming, per dimension, the subset of those digits it is cut by; a chip holds the indices whose
// cut digits equal its own coordinates. So a collective only ever adds or removes digits, and every
// shard of every tensor of a program agrees on which index lives where.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "slicewise/hardware/axis_set.h"
#include "slicewise/program/amount.h"
#include "slicewise/units/data_type.h"

namespace slicewise {

enum class Dim : std::uint8_t {
  kBatch,           // B: sequences, padded to the gathered axes
  kAttentionBatch,  // B: the same sequences, padded further to attention's batch axes
  kLength,          // L: query tokens per sequence and pass
  kLogitLength,     // positions whose logits are wanted
  kContext,         // T: tokens attended to, the pass's own included
  // S: slots of the KV cache. Cut by axes, shards take positions in turn, so that they fill evenly:
  // slot j of shard i of n holds position j n + i.
  kCacheLength,
  kSequenceShard,  // one index for each shard of the cache's length
  kEmbed,          // E: d_model
  kFfn,            // F: d_ff
  kHeads,          // H: stored query heads
  kKvHeads,        // K: KV heads as projected; a head repeated over axes fills several slots
  kCacheKvHeads,   // K: KV heads as cached
  kHeadDim,        // D
  kVocabulary,     // V
  kStatistic,      // the mean square (RMSNorm), and the mean (LayerNorm)
  kNormRow,        // scale, and bias (LayerNorm with bias)
  kCandidate,      // one candidate token per shard of the vocabulary
  kPair,           // a candidate's logit and its token
  kPosition,       // rows of a learned position table
};
inline constexpr std::size_t kDimCount = 19;

// The letter of the paper: "B", "L", "E", ...
[[nodiscard]] std::string_view Letter(Dim dim);
// "batch", "embed", ... for JSON.
[[nodiscard]] std::string_view Name(Dim dim);

struct DimInfo {
  double size = 1;    // true size
  double padded = 1;  // size with padding and repetition; divisible by the axes of `order`
  AxisOrder order;
};

enum class TensorRole : std::uint8_t {
  // Weights, persistent.
  kEmbedding,
  kUnembedding,
  kPositionTable,
  kFfnInputWeights,
  kFfnGateWeights,
  kFfnOutputWeights,
  kQueryWeights,
  kKeyWeights,
  kValueWeights,
  kAttentionOutputWeights,
  kNormVectors,
  kSecondNormVectors,
  kFinalNormVectors,
  kFfnInputBias,
  kFfnGateBias,
  kFfnOutputBias,
  kQueryBias,
  kKeyBias,
  kValueBias,
  kAttentionOutputBias,
  // The KV cache, for the phase.
  kKeyCache,
  kValueCache,
  // Activations.
  kTokens,
  kEmbedded,
  kResidual,
  kGatheredResidual,
  kStatistics,
  kNormalized,
  kSecondNormalized,
  kBatchSlice,
  kFfnHidden,
  kFfnGate,
  kFfnActivated,
  kQuery,
  kKey,
  kValue,
  kAttended,
  kAttendedShard,  // over the chip's shard of the cache, normalised there
  kLogSumExp,      // of the scores of each shard: its share of the softmax
  kBlockOutput,
  kFinalHidden,
  kLogits,
  kCandidates,
  kGatheredWeights,  // any weight after its all-gather
};

// "ffn_input_weights", "key_cache", ... for explain and JSON.
[[nodiscard]] std::string_view Name(TensorRole role);

enum class Lifetime : std::uint8_t {
  kPersistent,  // weights: one copy per layer, or one for the model
  kPhase,       // the KV cache (per layer) and the residual stream
  kTransient,   // from the op that makes it to the last that reads it
};
[[nodiscard]] std::string_view Name(Lifetime lifetime);

using TensorId = std::uint8_t;
inline constexpr TensorId kNoTensor = 255;
inline constexpr std::uint8_t kNoOp = 255;
inline constexpr std::size_t kMaxTensorRank = 4;

struct Tensor {
  TensorRole role;
  DataType type;
  Lifetime lifetime;
  bool per_layer;         // persistent and phase tensors: one for each layer
  bool streamed;          // one side of a looped collective: only two chunks exist at a time
  std::uint8_t first_op;  // of Program::ops, the first and the last that name the tensor;
  std::uint8_t last_op;   // kNoOp while none does
  std::uint8_t rank;
  std::array<Dim, kMaxTensorRank> dims;
  std::array<AxisSet, kMaxTensorRank> sharding;  // per dim
  AxisSet partial;                               // an unreduced partial sum over these axes
  // Elements per chip, padding included, for one sequence of what the tensor follows; when
  // streamed, also the elements of two chunks for one sequence of what they follow.
  Follows follows;
  Follows chunks_follow;
  double unit_elements;
  double unit_chunks;

  // Position of the dim, or -1.
  [[nodiscard]] int Find(Dim dim) const {
    for (int i = 0; i < rank; ++i) {
      if (dims[static_cast<std::size_t>(i)] == dim) {
        return i;
      }
    }
    return -1;
  }
  // All axes that cut some dim.
  [[nodiscard]] AxisSet sharded() const {
    AxisSet axes;
    for (std::size_t i = 0; i < rank; ++i) {
      axes |= sharding[i];
    }
    return axes;
  }
  // The axes that cut the dim; none when the tensor does not have it.
  [[nodiscard]] AxisSet ShardingOf(Dim dim) const {
    const int i = Find(dim);
    return i < 0 ? AxisSet() : sharding[static_cast<std::size_t>(i)];
  }
};

}  // namespace slicewise
