// Measurement files: configs/measurements/*.json and a user's own.
#pragma once

#include <string>

#include "slicewise/calibrate/validate.h"

namespace slicewise {

// A preset's name or a file of the schema slicewise-measurements/1. Throws InputError naming the
// file, the row's id and the field: a missing or unknown field, a latency that is not positive, a
// layout illegal on the slice, an unknown model or chip, a repeated id.
[[nodiscard]] MeasurementFile LoadMeasurements(const std::string& name_or_path);

// Figure 3 and Table 1 of the paper beside its measurements, where a file has them.
[[nodiscard]] PublishedExtras LoadPublishedExtras(const std::string& name_or_path);

}  // namespace slicewise
