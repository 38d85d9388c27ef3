#include "slicewise/cost/memory.h"

#include <algorithm>
#include <array>

namespace slicewise {
namespace {

Bytes StoredBytes(const Tensor& tensor) { return tensor.stored * ElementBytes(tensor.type); }

// Which part of MemoryUse a transient belongs to.
enum Kind : std::size_t { kActivations, kGathered, kLogits, kKinds };

Kind KindOf(TensorRole role) {
  if (role == TensorRole::kGatheredWeights) {
    return kGathered;
  }
  return role == TensorRole::kLogits || role == TensorRole::kCandidates ? kLogits : kActivations;
}

using Usage = std::array<double, kKinds>;

}  // namespace

MemoryUse PeakMemory(const Program& program) {
  MemoryUse held;
  std::array<Usage, decltype(Program::ops)::capacity() + 1> change;
  const std::size_t ops = program.ops.size();
  std::fill_n(change.begin(), ops + 1, Usage());
  for (const Tensor& tensor : program.tensors) {
    const Bytes bytes = StoredBytes(tensor) * (tensor.per_layer ? program.layers : 1);
    if (tensor.lifetime == Lifetime::kPersistent) {
      held.weights += bytes;
    } else if (tensor.role == TensorRole::kKeyCache || tensor.role == TensorRole::kValueCache) {
      held.kv_cache += bytes;
    } else if (tensor.lifetime == Lifetime::kPhase) {
      held.activations += bytes;
    } else if (tensor.first_op != kNoOp) {
      const Kind kind = KindOf(tensor.role);
      const double stored = StoredBytes(tensor).base();
      change[tensor.first_op][kind] += stored;
      change[tensor.last_op + 1U][kind] -= stored;
    }
  }
  Usage now = {};
  Usage peak = {};
  double most = 0;
  for (std::size_t i = 0; i < ops; ++i) {
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      now[kind] += change[i][kind];
    }
    const double total = now[kActivations] + now[kGathered] + now[kLogits];
    if (total > most) {
      most = total;
      peak = now;
    }
  }
  held.activations += BytesOf(peak[kActivations]);
  held.gathered_weights = BytesOf(peak[kGathered]);
  held.logits = BytesOf(peak[kLogits]);
  return held;
}

}  // namespace slicewise
