// Memory of a program per chip: peak liveness.
//
// Weights and KV cache are held for the phase; activations, gathered weights and logits from the op
// that makes them to the last that reads them, two chunks of each tensor that a looped collective
// streams. The parts are those alive at the peak, so they sum to the total.
#pragma once

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

// Does not allocate.
[[nodiscard]] MemoryUse PeakMemory(const Program& program);

}  // namespace slicewise
