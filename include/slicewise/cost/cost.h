// Time of a program: what each op takes, what of it is exposed, and what bounds it.
//
// - einsum: max(FLOPs / (peak x efficiency(rows)), weight bytes / (HBM bandwidth x efficiency))
//   + stream_exposed_fraction x min
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
// part is taken off the shorter side's ops in proportion. Exposed times of all ops, times layers
// and steps, sum to the latency.
#pragma once

#include "slicewise/cost/calibration.h"
#include "slicewise/cost/network.h"
#include "slicewise/hardware/chip.h"
#include "slicewise/program/program.h"

namespace slicewise {

enum class Bound : std::uint8_t { kCompute, kHbm, kNetwork, kLatency };
[[nodiscard]] std::string_view Name(Bound bound);

// One op, one execution.
struct OpCost {
  Seconds compute;            // FLOPs at the calibrated rate
  Seconds hbm;                // bytes streamed from or to HBM
  Seconds unhidden;           // what of the shorter of the two an einsum fails to hide
  Seconds network_bandwidth;  // bytes over links
  Seconds network_latency;    // hops and launch
  Seconds exposed;            // what the op adds to the step

  // The op's own time when nothing overlaps.
  [[nodiscard]] Seconds alone() const {
    return (compute > hbm ? compute : hbm) + unhidden + network_bandwidth + network_latency;
  }
};

struct PhaseCost {
  FixedVector<OpCost, 64> ops;  // parallel to Program::ops; one execution each
  Seconds step;                 // one forward pass
  Seconds latency;              // all passes of the phase
  // Exposed seconds of one step by what bounds them; they sum to `step`.
  std::array<Seconds, 4> bound_seconds;
  Bound bound = Bound::kCompute;  // the largest of them
};

class CostModel {
 public:
  CostModel(const Chip& chip, const Mesh& mesh, const Calibration& calibration,
            NetworkKind network);

  // Fills `cost`, reusing its storage; allocates nothing. The program must be of this mesh.
  void Price(const Program& program, PhaseCost& cost) const;
  [[nodiscard]] OpCost PriceOp(const Program& program, const Op& op) const;

 private:
  // Bytes of intermediate results that do not stay on the chip.
  [[nodiscard]] double Spilled(double bytes) const {
    return bytes > on_chip_ ? bytes - on_chip_ : 0;
  }
  void PriceOp(const Program& program, const Op& op, OpCost& cost) const;
  void PriceEinsum(const Program& program, const Op& op, OpCost& cost) const;
  void PriceSection(const Program& program, Section section, double times, PhaseCost& cost) const;

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
