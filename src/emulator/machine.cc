#include "machine.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace slicewise::emulator {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// Visits all positions of a box: visit(flat position, true indices).
template <class Visit>
void ForEach(const Box& box, Visit visit) {
  std::size_t flat = 0;
  for (int i : *box.held[0]) {
    for (int j : *box.held[1]) {
      for (int k : *box.held[2]) {
        for (int l : *box.held[3]) {
          visit(flat++, std::array<int, 4>{i, j, k, l});
        }
      }
    }
  }
}

bool IsPadding(const std::array<int, 4>& at) {
  return at[0] < 0 || at[1] < 0 || at[2] < 0 || at[3] < 0;
}

// Strides of the true tensor, row-major; 0 for missing dims.
struct TrueShape {
  std::array<std::int64_t, 4> stride = {};
  std::int64_t elements = 1;
  [[nodiscard]] std::int64_t At(const std::array<int, 4>& index) const {
    return index[0] * stride[0] + index[1] * stride[1] + index[2] * stride[2] +
           index[3] * stride[3];
  }
};

TrueShape ShapeOf(const Machine& machine, const Tensor& tensor) {
  TrueShape shape;
  for (std::size_t i = tensor.rank; i-- > 0;) {
    shape.stride[i] = shape.elements;
    shape.elements *= machine.placement.TrueSize(tensor.dims[i]);
  }
  return shape;
}

// One copy of a tensor: what the chips with the same coordinates along `axes` hold together.
void PutTogether(Machine& machine, TensorId id, const std::vector<int>& chips, std::size_t slot,
                 Values& whole) {
  const Tensor& tensor = machine.tensor(id);
  const TrueShape shape = ShapeOf(machine, tensor);
  for (int chip : chips) {
    const Values& shard = machine.shards[id][slot][static_cast<std::size_t>(chip)];
    if (shard.size() == 0) {
      continue;
    }
    ForEach(machine.BoxOf(id, chip), [&](std::size_t flat, const std::array<int, 4>& at) {
      if (IsPadding(at)) {
        return;
      }
      const double value = shard[static_cast<std::int64_t>(flat)];
      double& there = whole[shape.At(at)];
      if (!std::isnan(there) && std::abs(there - value) > 1e-9 * (1 + std::abs(value))) {
        machine.Raise(fmt::format("copies of {} differ", Name(tensor.role)));
      }
      there = value;
    });
  }
}

}  // namespace

Machine::Machine(const Model& a_model, const Program& a_program)
    : model(a_model), program(a_program), placement(model, program) {
  chips = program.mesh.slice().chips();
  shards.resize(program.tensors.size());
  for (std::size_t i = 0; i < program.tensors.size(); ++i) {
    const auto layers = PerLayer(program.tensors[i]) ? static_cast<std::size_t>(program.layers) : 1;
    shards[i].assign(layers, std::vector<Values>(static_cast<std::size_t>(chips)));
  }
  link_bytes.resize(program.ops.size());
  traffic.resize(program.ops.size());
  if (!placement.flaw().empty()) {
    Raise(placement.flaw());
  }
}

void Machine::Raise(const std::string& reason) {
  if (!fault) {
    fault = Fault{.op = op, .reason = reason};
  }
}

std::size_t Machine::Slot(TensorId id, int of_layer) const {
  const bool inside = of_layer >= 0 && static_cast<std::size_t>(of_layer) < shards[id].size();
  return inside ? static_cast<std::size_t>(of_layer) : 0;
}

const Values& Machine::Read(TensorId id, int chip) {
  Values& shard = shards[id][Slot(id, layer)][static_cast<std::size_t>(chip)];
  if (shard.size() == 0) {
    Raise(fmt::format("{} is read before it is written", Name(tensor(id).role)));
    shard = Values::Zero(static_cast<std::int64_t>(BoxOf(id, chip).elements()));
  }
  return shard;
}

Values& Machine::Write(TensorId id, int chip) {
  Values& shard = shards[id][Slot(id, layer)][static_cast<std::size_t>(chip)];
  if (shard.size() == 0) {
    shard = Values::Zero(static_cast<std::int64_t>(BoxOf(id, chip).elements()));
  }
  return shard;
}

void Clear(const Box& box, double* target) {
  ForEach(box, [&](std::size_t flat, const std::array<int, 4>& at) {
    target[flat] = IsPadding(at) ? 0 : kMissing;
  });
}

void Overlay(Placement& placement, const Box& to, double* target, const Box& from,
             const double* source) {
  std::array<const Placement::Matches*, 4> match = {};
  for (std::size_t i = 0; i < 4; ++i) {
    match[i] = &placement.MatchesOf(to.held[i], from.held[i]);
  }
  for (const auto& [to0, from0] : *match[0]) {
    for (const auto& [to1, from1] : *match[1]) {
      const std::size_t to01 =
          static_cast<std::size_t>(to0) * to.size(1) + static_cast<std::size_t>(to1);
      const std::size_t from01 =
          static_cast<std::size_t>(from0) * from.size(1) + static_cast<std::size_t>(from1);
      for (const auto& [to2, from2] : *match[2]) {
        double* row = target + (to01 * to.size(2) + static_cast<std::size_t>(to2)) * to.size(3);
        const double* other =
            source + (from01 * from.size(2) + static_cast<std::size_t>(from2)) * from.size(3);
        for (const auto& [to3, from3] : *match[3]) {
          row[to3] = other[from3];
        }
      }
    }
  }
}

bool HasMissing(const Values& values) { return values.hasNaN(); }

void LayOut(Machine& machine, const Weights& weights) {
  if (machine.fault) {
    return;
  }
  for (std::size_t i = 0; i < machine.program.tensors.size(); ++i) {
    const auto id = static_cast<TensorId>(i);
    const Tensor& tensor = machine.tensor(id);
    if (tensor.lifetime == Lifetime::kTransient) {
      continue;
    }
    const TrueShape shape = ShapeOf(machine, tensor);
    for (std::size_t slot = 0; slot < machine.shards[i].size(); ++slot) {
      machine.layer = static_cast<int>(slot);
      const Values* values =
          tensor.lifetime == Lifetime::kPersistent ? weights.Find(tensor.role, slot) : nullptr;
      for (int chip = 0; chip < machine.chips; ++chip) {
        Values& shard = machine.Write(id, chip);
        if (values == nullptr) {
          continue;
        }
        ForEach(machine.BoxOf(id, chip), [&](std::size_t flat, const std::array<int, 4>& at) {
          shard[static_cast<std::int64_t>(flat)] = IsPadding(at) ? 0 : (*values)[shape.At(at)];
        });
      }
    }
  }
}

Values Collect(Machine& machine, TensorId id, int layer) {
  const Tensor& tensor = machine.tensor(id);
  const std::size_t slot = machine.Slot(id, layer);
  const AxisSet copies = machine.program.mesh.all() - tensor.sharded() - tensor.partial;
  const std::int64_t elements = ShapeOf(machine, tensor).elements;
  // Chips that together hold the tensor, its summands and copies: one group for each summand.
  const auto summands = Groups(machine.program.mesh, tensor.sharded() | copies);
  Values total = Values::Zero(elements);
  for (const std::vector<int>& chips : summands) {
    Values whole = Values::Constant(elements, kMissing);
    PutTogether(machine, id, chips, slot, whole);
    total += whole;
  }
  return total;
}

void RunOp(Machine& machine) {
  switch (machine.current().kind) {
    case OpKind::kEinsum:
      return RunEinsum(machine);
    case OpKind::kAttention:
      return RunAttention(machine);
    case OpKind::kElementwise:
      return RunElementwise(machine);
    case OpKind::kAllGather:
    case OpKind::kReduceScatter:
    case OpKind::kAllReduce:
    case OpKind::kAllToAll:
      return RunCollective(machine);
  }
}

}  // namespace slicewise::emulator
