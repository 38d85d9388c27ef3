// Time of a program: what each op takes, what of it is exposed, and what bounds it.
//
// - einsum: max(FLOPs / (peak x efficiency), weight bytes / (HBM bandwidth x efficiency))
//   + stream_exposed_fraction x min; the FLOPs are those of matmul_half_rows more rows
// - attention: max(FLOPs / (peak x efficiency), (KV bytes + score bytes) / (HBM bandwidth x
//   efficiency))
// - elementwise, and the additions of reductions: bytes / HBM bandwidth x the fraction not fused
// away
// - collective: cost/network.h
//
// Scores and elementwise results count only beyond the chip's on-chip memory.
//
// An overlap group (an einsum and the looped collectives it hides) takes max(compute, network) +
// exposed fraction x min, first of the einsum and the loop that gathers its weights, then of the
// two and the loops over activations; each kind of loop has its own exposed fraction. The hidden
// part is taken off the shorter side's ops in proportion. What a loop leaves to blocking
// collectives is exposed. Exposed times of all ops, times layers and steps, sum to the latency.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>

#include "slicewise/cost/calibration.h"
#include "slicewise/cost/network.h"
#include "slicewise/hardware/chip.h"
#include "slicewise/program/program.h"

namespace slicewise {

enum class Bound : std::uint8_t { kCompute, kHbm, kNetwork, kLatency };
[[nodiscard]] std::string_view Name(Bound bound);

// One op, one execution.
struct OpCost {
  Seconds compute;             // FLOPs at the calibrated rate
  Seconds hbm;                 // bytes streamed from or to HBM
  Seconds unhidden;            // what of the shorter of the two an einsum fails to hide
  Seconds network_bandwidth;   // bytes over links
  Seconds network_latency;     // hops and launch
  Seconds blocking_bandwidth;  // of these two, what a loop cannot overlap
  Seconds blocking_latency;
  Seconds exposed;  // what the op adds to the step

  // The op's own time when nothing overlaps.
  [[nodiscard]] Seconds alone() const {
    return (compute > hbm ? compute : hbm) + unhidden + network_bandwidth + network_latency;
  }
};

// The cost of an op as a function of the sequences that a chip holds: linear but for what stays on
// the chip, and for the steps of an all-reduce.
struct OpCurve {
  enum Quantity : std::size_t {
    kCompute,  // seconds
    kHbm,      // seconds
    kNetwork,  // seconds
    kResults,  // bytes, of which those beyond the on-chip memory go to HBM
    kQuantities,
  };
  // By what they follow, then by quantity, so that a sum of products has them side by side.
  std::array<std::array<double, kQuantities>, std::tuple_size_v<Sequences>> each;
  double results_per_byte;  // seconds
  double unhidden_fraction;
  double blocking_fraction;  // of kNetwork, what its loop cannot overlap
  double network_latency;    // seconds
  double blocking_latency;   // of them, what its loop cannot overlap
  ChunkSteps steps;
  std::uint8_t group;    // of PhaseCurve::groups
  std::uint8_t section;  // of PhaseCurve::groups, the one of its section that nothing hides
  std::uint8_t side;     // of the group: einsum, gathering loop, loop over activations
};

// A program's costs for any number of sequences that its ops are for.
struct PhaseCurve {
  struct Group {
    double times;   // executions in a pass
    bool overlaps;  // an overlap group; else the section's ops that nothing hides
  };
  FixedVector<OpCurve, kMaxOps> ops;  // parallel to Program::ops
  FixedVector<Group, 16> groups;
  double steps = 1;
};

struct PhaseCost {
  Seconds step;     // one forward pass
  Seconds latency;  // all passes of the phase
  // Exposed seconds of one step by what bounds them; they sum to `step`.
  std::array<Seconds, 4> bound_seconds;
  Bound bound = Bound::kCompute;     // the largest of them
  FixedVector<OpCost, kMaxOps> ops;  // parallel to Program::ops; one execution each
};

class CostModel {
 public:
  CostModel(const Chip& chip, const Mesh& mesh, const Calibration& calibration,
            NetworkKind network);

  // Fill `curve` and `cost`, reusing their storage; allocate nothing. The program must be of this
  // mesh. What a program costs is its curve at its own sequences, to the last bit.
  void Trace(const Program& program, PhaseCurve& curve) const;
  // All but PhaseCost::ops, which is left as it was.
  void Price(const PhaseCurve& curve, const Sequences& sequences, PhaseCost& cost) const;
  void PriceWithOps(const PhaseCurve& curve, const Sequences& sequences, PhaseCost& cost) const;
  // With ops.
  void Price(const Program& program, PhaseCost& cost) const;

 private:
  struct Totals;
  void TraceSection(const Program& program, Section section, double times, PhaseCurve& curve) const;
  void TraceOp(const Program& program, const Op& op, OpCurve& curve) const;
  void TraceEinsum(const Program& program, const Op& op, OpCurve& curve) const;
  void TraceCollective(const Program& program, const Op& op, OpCurve& curve) const;
  [[nodiscard]] OpCost PriceOp(const OpCurve& curve, const Sequences& sequences) const;
  void PriceGroups(const PhaseCurve& curve, const Sequences& sequences, Totals& totals) const;
  void Sum(const PhaseCurve& curve, const Totals& totals, PhaseCost& cost) const;

  Network network_;
  std::array<double, 2> seconds_per_flop_ = {};  // bf16, int8
  double half_rows_ = 0;
  double float32_passes_ = 1;
  std::array<double, 2> weight_per_byte_ = {};  // bf16, int8
  double cache_per_byte_ = 0;
  double score_bytes_ = 0;
  double on_chip_ = 0;
  double stream_exposed_fraction_ = 0;
  double elementwise_per_byte_ = 0;
  double exposed_fraction_ = 0;
  double gather_exposed_fraction_ = 0;
  double step_latency_ = 0;
};

}  // namespace slicewise
