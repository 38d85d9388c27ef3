// Validation: what the model predicts against everything that was published.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/calibrate/fit.h"
#include "slicewise/calibrate/measurement.h"

namespace slicewise {

struct ValidationRow {
  const Measurement* measurement = nullptr;
  Prediction prediction;
  double error = 0;        // predicted / published - 1, decode layers scaled as published
  double plain_error = 0;  // the same without that scaling
  bool covered = false;    // the published latency lies within the predicted interval
};

// One number that was published beside the measured rows.
struct Check {
  std::string name;
  std::string request;  // how to ask the tool for it
  double published = 0;
  double predicted = 0;
  double tolerance = 0;  // of |predicted / published - 1|
  std::string unit;

  [[nodiscard]] double error() const { return predicted / published - 1; }
  [[nodiscard]] bool holds() const { return std::abs(error()) <= tolerance; }
};

struct Validation {
  std::string title;
  std::string calibration;
  std::vector<ValidationRow> rows;
  std::vector<ErrorSummary> groups;      // per source and split, then fit, holdout and all
  std::optional<ErrorSummary> unscaled;  // rows with decode_layers, that scaling undone
  double coverage = 0;                   // of the intervals, over holdout rows
  double left_out_coverage = 0;  // the same with each row's own residual left out of its interval
  std::vector<Check> checks;     // Figure 3, Table 1 and the claims of the text
};

// The measurements must outlive the result, whose rows point to them.
[[nodiscard]] Validation Validate(const MeasurementFile& file, const Calibration& calibration,
                                  NetworkKind network);

// The text's claims that a planner can state, for PaLM 540B on TPU v4. `base` is palm-540b on 4x4x4
// with 64 stored heads under the calibration to judge.
[[nodiscard]] std::vector<Check> TextClaims(const Setting& base);

// Figure 3 out of the programs under the paper network: one check per value, all exact to 6 digits.
[[nodiscard]] std::vector<Check> VolumeChecks(const VolumeFigure& figure);
[[nodiscard]] std::vector<Check> ContextChecks(const ContextTable& table);

}  // namespace slicewise
