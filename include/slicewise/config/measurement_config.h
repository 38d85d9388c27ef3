// Measurement files: configs/measurements/*.json and a user's own.
#pragma once

#include <string>

#include "slicewise/calibrate/measurement.h"

namespace slicewise {

// A preset's name or a file of the schema slicewise-measurements/1. Throws InputError naming the
// file, the row's id and the field: a missing or unknown field, a latency that is not positive, a
// layout illegal on the slice, an unknown model or chip, a repeated id.
[[nodiscard]] MeasurementFile LoadMeasurements(const std::string& name_or_path);

}  // namespace slicewise
