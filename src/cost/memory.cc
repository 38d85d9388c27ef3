#include "slicewise/cost/memory.h"

#include <array>

namespace slicewise {
namespace {

Bytes StoredBytes(const Tensor& tensor) { return tensor.stored * ElementBytes(tensor.type); }

// The part of MemoryUse that a transient belongs to.
Bytes& PartOf(const Tensor& tensor, MemoryUse& use) {
  switch (tensor.role) {
    case TensorRole::kGatheredWeights:
      return use.gathered_weights;
    case TensorRole::kLogits:
    case TensorRole::kCandidates:
      return use.logits;
    default:
      return use.activations;
  }
}

// Visits the transients that an op names, operands and results, each term in turn.
template <class Visit>
void ForEachTransient(const Program& program, const Op& op, Visit visit) {
  for (std::size_t i = 0; i < op.term_count; ++i) {
    for (TensorId id : {op.terms[i].lhs, op.terms[i].rhs, op.terms[i].out}) {
      if (id != kNoTensor && program.tensor(id).lifetime == Lifetime::kTransient) {
        visit(id);
      }
    }
  }
}

// Walks one section and keeps the fullest moment in `peak`; `held` is what lives throughout.
void WalkSection(const Program& program, Section section, const MemoryUse& held, MemoryUse& peak) {
  std::array<std::uint8_t, decltype(Program::tensors)::capacity()> last_use;
  std::array<bool, decltype(Program::tensors)::capacity()> alive;
  alive.fill(false);
  for (std::size_t i = section.begin; i < section.end; ++i) {
    ForEachTransient(program, program.ops[i],
                     [&](TensorId id) { last_use[id] = static_cast<std::uint8_t>(i); });
  }
  MemoryUse now = held;
  for (std::size_t i = section.begin; i < section.end; ++i) {
    ForEachTransient(program, program.ops[i], [&](TensorId id) {
      if (!alive[id]) {
        alive[id] = true;
        PartOf(program.tensor(id), now) += StoredBytes(program.tensor(id));
      }
    });
    if (now.total() > peak.total()) {
      peak = now;
    }
    ForEachTransient(program, program.ops[i], [&](TensorId id) {
      if (alive[id] && last_use[id] == i) {
        alive[id] = false;
        PartOf(program.tensor(id), now) -= StoredBytes(program.tensor(id));
      }
    });
  }
}

}  // namespace

MemoryUse PeakMemory(const Program& program) {
  MemoryUse held;
  for (const Tensor& tensor : program.tensors) {
    const Bytes bytes = StoredBytes(tensor) * (tensor.per_layer ? program.layers : 1);
    if (tensor.lifetime == Lifetime::kPersistent) {
      held.weights += bytes;
    } else if (tensor.role == TensorRole::kKeyCache || tensor.role == TensorRole::kValueCache) {
      held.kv_cache += bytes;
    } else if (tensor.lifetime == Lifetime::kPhase) {
      held.activations += bytes;
    }
  }
  MemoryUse peak = held;
  for (Section section : {program.prologue, program.layer, program.epilogue}) {
    WalkSection(program, section, held, peak);
  }
  return peak;
}

}  // namespace slicewise
