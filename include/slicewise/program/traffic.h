// What an op computes and moves, per chip, read off the tensors of its program: as an amount for
// any number of sequences, and for the program's own.
#pragma once

#include <cmath>

#include "slicewise/program/program.h"
#include "slicewise/units/quantity.h"

namespace slicewise {

// An all-reduce cuts its operand into equal chunks. Where one sequence does not fill them evenly,
// what it moves grows by one item of every chunk at a time, and amounts are for such an item
// instead of a sequence.
struct ChunkSteps {
  Follows follows = Follows::kNothing;
  double items = 0;  // of the operand, for one sequence; 0: no steps
  double ways = 1;   // chunks

  // What the amounts are to be taken at.
  [[nodiscard]] Sequences Round(Sequences sequences) const {
    if (items > 0) {
      double& count = sequences[static_cast<std::size_t>(follows)];
      count = std::ceil(count * items / ways);
    }
    return sequences;
  }
};

// The collective of one op, summed over its terms.
struct Traffic {
  // D of appendix A.1: all-gather output, reduce-scatter input, twice the operand for an
  // all-reduce, the local operand for an all-to-all. Dims that receive digits count padded to equal
  // chunks. 0 over one chip.
  Bytes volume;
  // Bytes that one chip sends on its links: D (K-1)/K over K chips.
  Bytes sent;
  bool operator==(const Traffic&) const = default;
};
// To be taken at steps.Round(sequences). The terms of an all-reduce are shaped alike.
struct TrafficAmount {
  Amount<Bytes> volume, sent;
  ChunkSteps steps;
};
[[nodiscard]] TrafficAmount CollectiveAmount(const Program& program, const Op& op);
[[nodiscard]] Traffic CollectiveTraffic(const Program& program, const Op& op);

// The axes over which one term of a collective communicates: a weight that is not sharded over some
// of the op's axes takes no part along them.
[[nodiscard]] AxisSet TermAxes(const Program& program, const Op& op, const Term& term);

// FLOPs of an einsum or attention on one chip, padding included: 2 per multiply-add. Attention
// counts the full rectangle of queries by attended tokens, as a masked dense einsum computes it.
[[nodiscard]] Amount<Flops> FlopsAmount(const Program& program, const Op& op);
[[nodiscard]] Flops OpFlops(const Program& program, const Op& op);

// Elements of the weights that an einsum multiplies by: half the FLOPs of one row.
[[nodiscard]] double EinsumWeights(const Program& program, const Op& op);

// Weight bytes an einsum streams from HBM, or KV-cache bytes that attention does: keys and values
// of every attended token.
[[nodiscard]] Amount<Bytes> StreamedAmount(const Program& program, const Op& op);
[[nodiscard]] Bytes StreamedBytes(const Program& program, const Op& op);

// Attention scores of one chip: query tokens x attended tokens x heads, the full rectangle.
[[nodiscard]] Amount<double> ScoresAmount(const Program& program, const Op& op);

// Bytes that the additions of a reduce-scatter or all-reduce read and write for each byte sent.
[[nodiscard]] double ReductionBytesPerSent(OpKind kind);

// Bytes an elementwise op reads and writes when nothing of it is fused into its neighbours.
[[nodiscard]] Amount<Bytes> ElementwiseAmount(const Program& program, const Op& op);
[[nodiscard]] Bytes ElementwiseBytes(const Program& program, const Op& op);

// The dim that one axis leaves (all-gather, all-to-all) or enters (reduce-scatter) in a term;
// nullopt where there is none (all-reduce, or the axis takes no part).
struct AxisMove {
  bool from_partial = false;
  bool has_from = false, has_to = false;
  Dim from = Dim::kBatch, to = Dim::kBatch;
};
[[nodiscard]] AxisMove MoveOf(const Program& program, const Term& term, int axis);

}  // namespace slicewise
