// Memory of a program per chip: peak liveness.
//
// Weights and KV cache are held for the phase; activations, gathered weights and logits from the op
// that makes them to the last that reads them, two chunks of each tensor that a looped collective
// streams. The parts are those alive at the peak, so they sum to the total.
#pragma once

#include <array>
#include <cstddef>

#include "slicewise/program/program.h"
#include "slicewise/units/quantity.h"

namespace slicewise {

struct MemoryUse {
  Bytes weights;
  Bytes kv_cache;
  Bytes activations;
  Bytes gathered_weights;
  Bytes logits;

  [[nodiscard]] Bytes total() const {
    return weights + kv_cache + activations + gathered_weights + logits;
  }
  bool operator==(const MemoryUse&) const = default;
};

// What a program holds for any number of sequences that its ops are for.
struct MemoryCurve {
  // For the phase.
  Amount<Bytes> weights, kv_cache, activations;
  // A streamed activation whose chunks are padded otherwise than the whole: the smaller counts.
  struct Capped {
    Amount<Bytes> whole, chunks;
  };
  // What is alive at an op beyond that.
  struct Alive {
    Amount<Bytes> certain;  // the sum of the three parts
    Amount<Bytes> activations, gathered_weights, logits;
    // Further activations: queries, keys and values on their way to attention's batch shards, or
    // what was attended on its way back.
    std::array<Capped, 3> capped;
    std::size_t capped_count;
  };
  // In order of the ops, those that may be the fullest: no other op holds as much of everything.
  FixedVector<Alive, kMaxOps> peaks;
};

// Neither allocates. What a program holds is its curve at its own sequences, to the last bit.
void TraceMemory(const Program& program, MemoryCurve& curve);
[[nodiscard]] MemoryUse PeakMemory(const MemoryCurve& curve, const Sequences& sequences);
[[nodiscard]] MemoryUse PeakMemory(const Program& program);

}  // namespace slicewise
