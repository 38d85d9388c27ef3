// Calibrations from and to JSON.
#pragma once

#include <string>

#include "slicewise/cost/calibration.h"

namespace slicewise {

// "roofline" (no parameters), a preset's name, or a calibration file. Throws InputError.
[[nodiscard]] Calibration LoadCalibration(const std::string& name_or_path);

}  // namespace slicewise
