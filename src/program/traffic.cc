#include "slicewise/program/traffic.h"

#include <algorithm>
#include <cmath>

namespace slicewise {
namespace {

// Elements of the operand when every dim that receives digits is padded to equal chunks, one for
// each receiver.
void AddScattered(const Program& program, const Tensor& operand, const Tensor& result, AxisSet axes,
                  Amount<Bytes>& bytes) {
  double elements = 1;
  AxisSet cut;
  Follows follows = Follows::kNothing;
  for (std::size_t i = 0; i < operand.rank; ++i) {
    const AxisSet gained = (result.sharding[i] - operand.sharding[i]) & axes;
    const Dim dim = gained.empty() ? operand.dims[i] : result.dims[i];
    elements *= program.UnitSize(dim);
    follows = std::max(follows, FollowedBy(dim));
    cut |= gained.empty() ? operand.sharding[i] : result.sharding[i] - gained;
  }
  bytes.Add(follows, elements / program.mesh.Size(cut) * ElementBytes(operand.type));
}

// Tokens that a chip's attention attends to: those of its shard of the cache.
double LocalContext(const Program& program, const Op& op) {
  const Tensor& keys = program.tensor(op.terms[1].rhs);
  return program.LocalSize(Dim::kContext, keys.ShardingOf(Dim::kCacheLength));
}

// D of one term.
Amount<Bytes> TermVolume(const Program& program, OpKind kind, const Term& term, AxisSet axes,
                         const ChunkSteps& steps) {
  const Tensor& operand = program.tensor(term.lhs);
  const double ways = program.mesh.Size(axes);
  Amount<Bytes> bytes;
  switch (kind) {
    case OpKind::kAllGather:
      bytes.Add(operand.follows, operand.unit_elements * ways * ElementBytes(operand.type));
      break;
    case OpKind::kReduceScatter:
    case OpKind::kAllToAll:
      AddScattered(program, operand, program.tensor(term.out), axes, bytes);
      break;
    case OpKind::kAllReduce:
      // A reduce-scatter and an all-gather of equal chunks.
      bytes.Add(operand.follows,
                2 * (steps.items > 0 ? ways : operand.unit_elements) * ElementBytes(operand.type));
      break;
    case OpKind::kEinsum:
    case OpKind::kAttention:
    case OpKind::kElementwise:
      break;
  }
  return bytes;
}

}  // namespace

AxisSet TermAxes(const Program& program, const Op& op, const Term& term) {
  const Tensor& operand = program.tensor(term.lhs);
  const Tensor& result = program.tensor(term.out);
  switch (op.kind) {
    case OpKind::kAllGather:
      return operand.sharded() - result.sharded();
    case OpKind::kReduceScatter:
    case OpKind::kAllReduce:
      return operand.partial - result.partial;
    case OpKind::kAllToAll:
      return op.axes.set();
    case OpKind::kEinsum:
    case OpKind::kAttention:
    case OpKind::kElementwise:
      break;
  }
  return {};
}

TrafficAmount CollectiveAmount(const Program& program, const Op& op) {
  TrafficAmount traffic;
  if (!IsCollective(op.kind)) {
    return traffic;
  }
  if (op.kind == OpKind::kAllReduce) {
    const Tensor& operand = program.tensor(op.terms[0].lhs);
    const double ways = program.mesh.Size(TermAxes(program, op, op.terms[0]));
    if (std::fmod(operand.unit_elements, ways) != 0) {
      traffic.steps = {operand.follows, operand.unit_elements, ways};
    }
  }
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const Term& term = op.terms[i];
    const AxisSet axes = TermAxes(program, op, term);
    const double ways = program.mesh.Size(axes);
    const Amount<Bytes> volume = TermVolume(program, op.kind, term, axes, traffic.steps);
    traffic.volume += volume;
    traffic.sent += volume / ways * (ways - 1);
  }
  return traffic;
}

Traffic CollectiveTraffic(const Program& program, const Op& op) {
  const TrafficAmount amount = CollectiveAmount(program, op);
  const Sequences sequences = amount.steps.Round(program.sequences);
  return {amount.volume.At(sequences), amount.sent.At(sequences)};
}

Amount<Flops> FlopsAmount(const Program& program, const Op& op) {
  Amount<Flops> flops;
  if (op.kind == OpKind::kEinsum) {
    for (std::size_t i = 0; i < op.term_count; ++i) {
      // All dims of an activation but batch and length, with which it leads, are contracted.
      const Tensor& lhs = program.tensor(op.terms[i].lhs);
      const double rows = program.UnitSize(lhs.dims[0]) * program.UnitSize(lhs.dims[1]) /
                          program.mesh.Size(lhs.sharding[0] | lhs.sharding[1]);
      flops.Add(lhs.follows, FlopsOf(2 * rows * program.tensor(op.terms[i].rhs).unit_elements));
    }
  } else if (op.kind == OpKind::kAttention) {
    const Tensor& query = program.tensor(op.terms[0].lhs);
    flops.Add(query.follows, FlopsOf(4 * query.unit_elements * LocalContext(program, op)));
  }
  return flops;
}

Flops OpFlops(const Program& program, const Op& op) {
  return FlopsAmount(program, op).At(program.sequences);
}

double EinsumWeights(const Program& program, const Op& op) {
  double elements = 0;
  for (std::size_t i = 0; i < op.term_count; ++i) {
    elements += program.tensor(op.terms[i].rhs).unit_elements;
  }
  return elements;
}

Amount<double> ScoresAmount(const Program& program, const Op& op) {
  const Tensor& query = program.tensor(op.terms[0].lhs);
  Amount<double> scores;
  scores.Add(query.follows,
             query.unit_elements / program.dim(Dim::kHeadDim).padded * LocalContext(program, op));
  return scores;
}

Amount<Bytes> StreamedAmount(const Program& program, const Op& op) {
  Amount<Bytes> bytes;
  if (op.kind == OpKind::kEinsum) {
    for (std::size_t i = 0; i < op.term_count; ++i) {
      const Tensor& weights = program.tensor(op.terms[i].rhs);
      bytes.Add(weights.follows, weights.unit_elements * ElementBytes(weights.type));
    }
  } else if (op.kind == OpKind::kAttention) {
    const Tensor& keys = program.tensor(op.terms[1].rhs);
    const double attended =
        program.dim(Dim::kContext).padded / program.dim(Dim::kCacheLength).padded;
    bytes.Add(keys.follows, 2 * attended * keys.unit_elements * ElementBytes(keys.type));
  }
  return bytes;
}

Bytes StreamedBytes(const Program& program, const Op& op) {
  return StreamedAmount(program, op).At(program.sequences);
}

double ReductionBytesPerSent(OpKind kind) {
  // Every partial sum that arrives is read, added to one's own and written back; half of an
  // all-reduce gathers.
  return kind == OpKind::kReduceScatter ? 3 : kind == OpKind::kAllReduce ? 1.5 : 0;
}

Amount<Bytes> ElementwiseAmount(const Program& program, const Op& op) {
  Amount<Bytes> bytes;
  const auto add = [&](TensorId id, double share) {
    const Tensor& tensor = program.tensor(id);
    bytes.Add(tensor.follows, tensor.unit_elements * ElementBytes(tensor.type) * share);
  };
  switch (op.function) {
    case Elementwise::kNone:
    case Elementwise::kSlice:
    case Elementwise::kLastToken:
      return bytes;
    case Elementwise::kLookup:
      // One row per token is read, whatever the size of the table.
      add(op.terms[0].out, 2);
      return bytes;
    case Elementwise::kSample:
      add(op.terms[0].lhs, 1 / program.LocalSize(program.tensor(op.terms[0].lhs), 1));
      return bytes;
    case Elementwise::kStatistics:
    case Elementwise::kNormalize:
    case Elementwise::kActivate:
    case Elementwise::kAdd:
    case Elementwise::kCombine:
      break;
  }
  for (std::size_t i = 0; i < op.term_count; ++i) {
    for (TensorId id : {op.terms[i].lhs, op.terms[i].rhs, op.terms[i].out}) {
      // Vectors are read once and stay on the chip.
      if (id != kNoTensor && program.tensor(id).lifetime != Lifetime::kPersistent) {
        add(id, 1);
      }
    }
  }
  return bytes;
}

Bytes ElementwiseBytes(const Program& program, const Op& op) {
  return ElementwiseAmount(program, op).At(program.sequences);
}

AxisMove MoveOf(const Program& program, const Term& term, int axis) {
  const Tensor& operand = program.tensor(term.lhs);
  const Tensor& result = program.tensor(term.out);
  AxisMove move;
  move.from_partial = operand.partial.Has(axis) && !result.partial.Has(axis);
  for (std::size_t i = 0; i < operand.rank; ++i) {
    if (operand.sharding[i].Has(axis) && !result.sharding[i].Has(axis)) {
      move.has_from = true;
      move.from = operand.dims[i];
    }
    if (!operand.sharding[i].Has(axis) && result.sharding[i].Has(axis)) {
      move.has_to = true;
      move.to = result.dims[i];
    }
  }
  return move;
}

}  // namespace slicewise
