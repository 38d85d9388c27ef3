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

// The paper's Figure 3: communication volume of the feed-forward layer.
struct VolumeFigure {
  struct Row {
    double tokens = 0;
    std::vector<double> gigabytes;  // published, per layout
  };
  std::string source;
  Setting setting;
  std::vector<std::string> layouts;
  std::vector<Row> rows;
};
// The paper's Table 1: maximum context length.
struct ContextRow {
  std::string variant;
  Setting setting;
  std::string attention;
  std::int64_t published = 0;
};
struct ContextTable {
  std::string source;
  double kv_budget_fraction = 0;  // of nominal HBM
  std::vector<ContextRow> rows;
};

struct MeasurementFile {
  std::string source;  // for messages and provenance
  std::string title;
  std::string chip;
  std::vector<Measurement> rows;
  std::optional<VolumeFigure> figure3;
  std::optional<ContextTable> table1;
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
