// The efficiency parameters of the cost model: how far a real chip stays below its datasheet.
//
// Every parameter is a physical quantity with a unit and plausible bounds
// (CalibrationParameters()). The default-constructed calibration is the roofline: datasheet rates,
// no latency, everything that can overlap overlapped. A calibration is fitted to measurements by
// `slicewise calibrate` (docs/calibration.md) and lives in configs/calibrations/.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/units/quantity.h"

namespace slicewise {

struct Calibration {
  std::string name = "roofline";

  // Matmul: FLOP/s = peak x matmul_efficiency x rows / (rows + matmul_half_rows).
  double matmul_efficiency = 1;
  double matmul_half_rows = 0;
  // Fraction of the shorter of compute and weight streaming that an einsum fails to hide.
  double stream_exposed_fraction = 0;
  // Attention: HBM bytes per score (query token x attended token x head). 0: scores never leave the
  // chip; 12: float32 scores and bf16 probabilities are both written and read back.
  double score_traffic = 0;
  // Passes of the bf16 unit that one float32 matmul takes.
  double float32_passes = 1;
  // HBM: fraction of nominal bandwidth when streaming bf16 weights, int8 weights (which are widened
  // to bf16 on the way to the matmul), and the KV cache.
  double weight_bandwidth = 1;
  double int8_weight_bandwidth = 1;
  double cache_bandwidth = 1;
  // Fraction of the traffic of unfused elementwise ops that reaches HBM.
  double elementwise_traffic = 0;
  // Links: fraction of nominal bandwidth of blocking and two-way looped collectives, and of the
  // one-way loop that gathers weights.
  double link_bandwidth = 1;
  double gather_bandwidth = 1;
  // What a blocking reduce-scatter costs in passes over its rings: 1 as a ring does it, 2 as an
  // all-reduce of which the chip keeps a slice.
  double scatter_passes = 1;
  // Seconds per hop of a collective, per launch of one, and per message that a chip sends in an
  // all-to-all (one to each of the others).
  double hop_latency = 0;
  double launch_latency = 0;
  double message_latency = 0;
  // Seconds of every forward pass that no op accounts for: dispatch, sampling bookkeeping.
  double step_latency = 0;
  // Fraction of the shorter of compute and network that a looped einsum fails to hide: for loops
  // over activations, and for the loop that gathers weights.
  double exposed_fraction = 0;
  double gather_exposed_fraction = 0;

  // Price every schedule at the lower bound over schedules (network.h): all axes at once, all links
  // both ways.
  bool ideal_schedules = true;

  // Prediction intervals: the latency is within [factor_low, factor_high] x prediction for
  // `coverage` of the holdout measurements; both 1 where there is none (roofline).
  struct Interval {
    double coverage = 0;
    double factor_low = 1;
    double factor_high = 1;
    bool operator==(const Interval&) const = default;
  };
  Interval inside;   // within the calibrated range
  Interval outside;  // outside it: another chip count, dtype or context regime
  // The calibrated range.
  struct Range {
    double min_chips = 0, max_chips = 0;
    double min_rows = 0, max_rows = 0;        // batch x query length of one pass
    double min_context = 0, max_context = 0;  // attended tokens
    std::vector<std::string> weight_types;
    bool operator==(const Range&) const = default;
  };
  Range range;

  bool operator==(const Calibration&) const = default;
};

// One row of the table that JSON, `calibrate` and the docs are generated from.
struct CalibrationParameter {
  std::string_view name;
  std::string_view unit;
  double Calibration::*member;
  double ideal;        // the roofline's value
  double prior;        // what a fit from nothing starts from, and is pulled to ...
  double prior_width;  // ... as by a measurement of this standard error
  double lower;        // plausible bounds of a fit
  double upper;
  std::string_view meaning;
};
[[nodiscard]] std::span<const CalibrationParameter> CalibrationParameters();

}  // namespace slicewise
