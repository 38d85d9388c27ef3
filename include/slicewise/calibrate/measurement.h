// Published or own measurements of a chip, and what the cost model predicts for them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"

namespace slicewise {

enum class Split : std::uint8_t { kFit, kHoldout };
[[nodiscard]] std::string_view Name(Split split);

// One measured latency. `setting` holds model, chip, slice and workload; its calibration and
// network are replaced by those of the prediction.
struct Measurement {
  std::string id;
  std::string source;  // "Table D.3": the group that errors are summed over
  Split split = Split::kFit;
  Setting setting;
  std::vector<Phase> phases;  // one, or prefill then decode
  Layout layout;
  std::string layout_text;
  Seconds latency;
  std::optional<double> mfu;  // as published
  // Layers that the decode time of the published figure was scaled to, where that differs from the
  // model's; 0 otherwise.
  std::int64_t decode_layers = 0;
};

struct MeasurementFile {
  std::string source;  // for messages and provenance
  std::string title;
  std::string chip;
  std::vector<Measurement> rows;
};

struct Prediction {
  Seconds latency;
  Seconds latency_low, latency_high;  // zero without intervals
  double mfu = 0;
  bool fits = true;
  bool inside_range = true;
  // The latency with decode time scaled to the measurement's decode_layers; equal to `latency`
  // where the measurement has none.
  Seconds as_published;
};

// Predicts a measurement under a calibration. Prices rows whether or not they fit.
[[nodiscard]] Prediction Predict(const Measurement& measurement, const Calibration& calibration,
                                 NetworkKind network);

}  // namespace slicewise
