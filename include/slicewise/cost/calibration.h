// The efficiency parameters of the cost model: how far a real chip stays below its datasheet.
//
// Every parameter is a physical quantity with a unit and plausible bounds (CalibrationParameters()).
// The default-constructed calibration is the roofline: datasheet rates, no latency, everything that
// can overlap overlapped. A calibration is fitted to measurements by `slicewise calibrate`
// (docs/calibration.md) and lives in configs/calibrations/.
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
  // Attention's two matmuls, as a fraction of peak.
  double attention_efficiency = 1;
  // Passes of the bf16 unit that one float32 matmul takes.
  double float32_passes = 1;
  // HBM: fraction of nominal bandwidth when streaming weights, and when streaming the KV cache.
  double weight_bandwidth = 1;
  double cache_bandwidth = 1;
  // Fraction of the traffic of unfused elementwise ops that reaches HBM.
  double elementwise_traffic = 0;
  // Links: fraction of nominal bandwidth of blocking and two-way looped collectives, and of the
  // one-way loop that gathers weights.
  double link_bandwidth = 1;
  double gather_bandwidth = 1;
  // Seconds per hop of a collective, and per launch of one.
  double hop_latency = 0;
  double launch_latency = 0;
  // Seconds of every forward pass that no op accounts for: dispatch, sampling bookkeeping.
  double step_latency = 0;
  // Fraction of the shorter of compute and network that an overlap group fails to hide.
  double exposed_fraction = 0;

  // Price every schedule as rings along all its axes both ways: the lower bound over schedules.
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
  double Calibration::* member;
  double ideal;  // the roofline's value
  double lower;  // plausible bounds of a fit
  double upper;
  std::string_view meaning;
};
[[nodiscard]] std::span<const CalibrationParameter> CalibrationParameters();

}  // namespace slicewise
