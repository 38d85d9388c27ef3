#include "slicewise/program/traffic.h"

#include <cmath>

namespace slicewise {
namespace {

// Elements of the operand when every dim that receives digits is padded to equal chunks, one for
// each receiver.
double ScatteredElements(const Program& program, const Tensor& operand, const Tensor& result,
                         AxisSet axes) {
  double elements = 1;
  AxisSet cut;
  for (std::size_t i = 0; i < operand.rank; ++i) {
    const AxisSet gained = (result.sharding[i] - operand.sharding[i]) & axes;
    elements *= program.dim(gained.empty() ? operand.dims[i] : result.dims[i]).padded;
    cut |= gained.empty() ? operand.sharding[i] : result.sharding[i] - gained;
  }
  return elements / program.mesh.Size(cut);
}

// Tokens that a chip's attention attends to: those of its shard of the cache.
double LocalContext(const Program& program, const Op& op) {
  const Tensor& keys = program.tensor(op.terms[1].rhs);
  return program.LocalSize(Dim::kContext, keys.ShardingOf(Dim::kCacheLength));
}

double VolumeElements(const Program& program, OpKind kind, const Term& term, AxisSet axes) {
  const Tensor& operand = program.tensor(term.lhs);
  const double ways = program.mesh.Size(axes);
  switch (kind) {
    case OpKind::kAllGather:
      return operand.elements * ways;
    case OpKind::kReduceScatter:
    case OpKind::kAllToAll:
      return ScatteredElements(program, operand, program.tensor(term.out), axes);
    case OpKind::kAllReduce:
      // A reduce-scatter and an all-gather of equal chunks.
      return 2 * std::ceil(operand.elements / ways) * ways;
    case OpKind::kEinsum:
    case OpKind::kAttention:
    case OpKind::kElementwise:
      break;
  }
  return 0;
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

Traffic CollectiveTraffic(const Program& program, const Op& op) {
  Traffic traffic;
  if (!IsCollective(op.kind)) {
    return traffic;
  }
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const Term& term = op.terms[i];
    const AxisSet axes = TermAxes(program, op, term);
    const double ways = program.mesh.Size(axes);
    const Bytes volume =
        VolumeElements(program, op.kind, term, axes) * ElementBytes(program.tensor(term.lhs).type);
    traffic.volume += volume;
    traffic.sent += volume / ways * (ways - 1);
  }
  return traffic;
}

namespace {

// Activations lead with batch and length.
double RowsOf(const Program& program, const Tensor& activation) {
  return program.dim(activation.dims[0]).padded * program.dim(activation.dims[1]).padded /
         program.mesh.Size(activation.sharding[0] | activation.sharding[1]);
}

}  // namespace

double EinsumRows(const Program& program, const Op& op) {
  const Tensor& lhs = program.tensor(op.terms[0].lhs);
  return RowsOf(program, lhs);
}

Flops OpFlops(const Program& program, const Op& op) {
  double multiply_adds = 0;
  if (op.kind == OpKind::kEinsum) {
    double rows = 0;
    TensorId last = kNoTensor;
    for (std::size_t i = 0; i < op.term_count; ++i) {
      // All dims of an activation but batch and length are contracted.
      const TensorId lhs = op.terms[i].lhs;
      rows = lhs == last ? rows : RowsOf(program, program.tensor(lhs));
      last = lhs;
      multiply_adds += rows * program.tensor(op.terms[i].rhs).elements;
    }
  } else if (op.kind == OpKind::kAttention) {
    const Tensor& query = program.tensor(op.terms[0].lhs);
    multiply_adds = 2 * query.elements * LocalContext(program, op);
  }
  return FlopsOf(2 * multiply_adds);
}

double AttentionScores(const Program& program, const Op& op) {
  const Tensor& query = program.tensor(op.terms[0].lhs);
  return query.elements / program.dim(Dim::kHeadDim).padded * LocalContext(program, op);
}

Bytes StreamedBytes(const Program& program, const Op& op) {
  Bytes bytes;
  if (op.kind == OpKind::kEinsum) {
    for (std::size_t i = 0; i < op.term_count; ++i) {
      bytes += TensorBytes(program.tensor(op.terms[i].rhs));
    }
  } else if (op.kind == OpKind::kAttention) {
    const Tensor& keys = program.tensor(op.terms[1].rhs);
    const double attended =
        program.dim(Dim::kContext).padded / program.dim(Dim::kCacheLength).padded;
    bytes = 2 * attended * TensorBytes(keys);
  }
  return bytes;
}

Bytes ReductionBytes(OpKind kind, const Traffic& traffic) {
  // Every partial sum that arrives is read, added to one's own and written back; half of an
  // all-reduce gathers.
  return kind == OpKind::kReduceScatter ? 3 * traffic.sent
         : kind == OpKind::kAllReduce   ? 1.5 * traffic.sent
                                        : Bytes();
}

Bytes ElementwiseBytes(const Program& program, const Op& op) {
  if (IsCollective(op.kind)) {
    return ReductionBytes(op.kind, CollectiveTraffic(program, op));
  }
  switch (op.function) {
    case Elementwise::kNone:
    case Elementwise::kSlice:
    case Elementwise::kLastToken:
      return {};
    case Elementwise::kLookup:
      // One row per token is read, whatever the size of the table.
      return 2 * TensorBytes(program.tensor(op.terms[0].out));
    case Elementwise::kSample: {
      const Tensor& logits = program.tensor(op.terms[0].lhs);
      return TensorBytes(logits) / program.LocalSize(logits, 1);
    }
    case Elementwise::kStatistics:
    case Elementwise::kNormalize:
    case Elementwise::kActivate:
    case Elementwise::kAdd:
    case Elementwise::kCombine:
      break;
  }
  Bytes bytes;
  for (std::size_t i = 0; i < op.term_count; ++i) {
    for (TensorId id : {op.terms[i].lhs, op.terms[i].rhs, op.terms[i].out}) {
      // Vectors are read once and stay on the chip.
      if (id != kNoTensor && program.tensor(id).lifetime != Lifetime::kPersistent) {
        bytes += TensorBytes(program.tensor(id));
      }
    }
  }
  return bytes;
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
