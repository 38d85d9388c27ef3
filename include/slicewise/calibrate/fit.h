// Nonlinear least squares of the calibration's parameters on log latency.
//
// Minimises, over the rows of the fit split, the sum of a robust loss (Huber, in units of 5 %) of
// log(predicted / published), plus a pull of every parameter to its starting value, as by one
// measurement of its prior width (cost/calibration.h; the widths are those of a TPU v4, and narrow
// for HBM bandwidth), so that what the data do not determine stays where it was.
// Levenberg-Marquardt with the parameters scaled to their bounds [0, 1] and held within them;
// deterministic.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "slicewise/calibrate/measurement.h"

namespace slicewise {

struct FittedParameter {
  std::string name;
  double value = 0;
  double start = 0;
  double standard_error = 0;  // from the curvature at the optimum; 0 when not determined
  bool determined = true;     // the data move it: see kDeterminedSensitivity in fit.cc
  bool at_bound = false;
};

// Errors of log latency over a group of rows: |predicted / published - 1|.
struct ErrorSummary {
  std::string group;
  std::size_t rows = 0;
  double median = 0;
  double p90 = 0;
  double bias = 0;  // median of predicted / published - 1
  double worst = 0;
  std::string worst_id;
};
[[nodiscard]] ErrorSummary Summarize(const std::string& group,
                                     const std::vector<std::pair<std::string, double>>& errors);

struct FitResult {
  Calibration calibration;  // intervals and range included
  std::vector<FittedParameter> parameters;
  ErrorSummary fit;
  ErrorSummary holdout;  // rows == 0 when there is no holdout
  int iterations = 0;
};

// `progress` is called with the iteration and the loss; may be empty.
[[nodiscard]] FitResult Fit(std::span<const Measurement> rows, const Calibration& start,
                            const std::string& name,
                            const std::function<void(int, double)>& progress);

// The starting calibration of a fit from nothing: the table's priors.
[[nodiscard]] Calibration PriorCalibration();

// Intervals of 80 % coverage from residuals: log(published / predicted).
[[nodiscard]] Calibration::Interval IntervalFrom(std::vector<double> log_residuals,
                                                 double coverage);

}  // namespace slicewise
