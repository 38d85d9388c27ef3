// Measurement files: configs/measurements/*.json and a user's own.
#pragma once

#include <string>

#include "slicewise/calibrate/measurement.h"

namespace slicewise {

// A preset's name or a file of the schema slicewise-measurements/1. Throws InputError naming the
// file, the row's id and the field: a missing or unknown field, a latency that is not positive, a
// layout illegal on the slice, an unknown model or chip, a repeated id.
[[nodiscard]] MeasurementFile LoadMeasurements(const std::string& name_or_path);

// The paper's Figure 3 and Table 1 beside its measurements, where a file has them.
struct VolumeRow {
  double tokens = 0;
  std::vector<double> gigabytes;  // per layout
};
struct VolumeFigure {
  std::string source, model, slice;
  std::vector<std::string> layouts;
  std::vector<VolumeRow> rows;
};
struct ContextRow {
  std::string variant, model, attention;
  std::int64_t batch = 0;
  std::int64_t max_context = 0;
};
struct ContextTable {
  std::string source, slice;
  std::int64_t padded_heads = 0;
  double kv_budget_fraction = 0;
  std::vector<ContextRow> rows;
};
struct PublishedExtras {
  std::optional<VolumeFigure> figure3;
  std::optional<ContextTable> table1;
};
[[nodiscard]] PublishedExtras LoadPublishedExtras(const std::string& name_or_path);

}  // namespace slicewise
