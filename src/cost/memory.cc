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
  std::array<double, decltype(Program::ops)::capacity() + 1> change;
  const std::size_t ops = program.ops.size();
  std::fill_n(change.begin(), ops + 1, 0.0);
  for (const Tensor& tensor : program.tensors) {
    const Bytes bytes = StoredBytes(tensor) * (tensor.per_layer ? program.layers : 1);
    if (tensor.lifetime == Lifetime::kPersistent) {
      held.weights += bytes;
    } else if (tensor.role == TensorRole::kKeyCache || tensor.role == TensorRole::kValueCache) {
      held.kv_cache += bytes;
    } else if (tensor.lifetime == Lifetime::kPhase) {
      held.activations += bytes;
    } else if (tensor.first_op != kNoOp) {
      const double once = StoredBytes(tensor).base();  // of a layer's weights, for that layer
      change[tensor.first_op] += once;
      change[tensor.last_op + 1U] -= once;
    }
  }
  double now = 0;
  double most = 0;
  std::size_t fullest = 0;
  for (std::size_t i = 0; i < ops; ++i) {
    now += change[i];
    if (now > most) {
      most = now;
      fullest = i;
    }
  }
  Usage peak = {};
  for (const Tensor& tensor : program.tensors) {
    if (tensor.lifetime == Lifetime::kTransient && tensor.first_op <= fullest &&
        fullest <= tensor.last_op) {
      peak[KindOf(tensor.role)] += StoredBytes(tensor).base();
    }
  }
  held.activations += BytesOf(peak[kActivations]);
  held.gathered_weights = BytesOf(peak[kGathered]);
  held.logits = BytesOf(peak[kLogits]);
  return held;
}

}  // namespace slicewise
