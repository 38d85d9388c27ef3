// The results of `validate` and `calibrate`, rendered.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "slicewise/calibrate/fit.h"
#include "slicewise/calibrate/validate.h"

namespace slicewise {

[[nodiscard]] std::string ValidationText(const Validation& validation, std::size_t width = 200);
// docs/validation.md is this rendering of configs/measurements/pope2022.json.
[[nodiscard]] std::string ValidationMarkdown(const Validation& validation);
[[nodiscard]] std::string ValidationCsv(const Validation& validation);
[[nodiscard]] nlohmann::ordered_json ValidationJson(const Validation& validation);

// The parameters with their standard errors, and the errors of fit and holdout.
[[nodiscard]] std::string FitText(const FitResult& result);
// The calibration file: everything config/calibration_config.h reads, and for people the data, the
// split, the errors, the standard errors and the tool's version.
[[nodiscard]] nlohmann::ordered_json CalibrationJson(const FitResult& result,
                                                     const std::vector<std::string>& files,
                                                     const std::string& chip,
                                                     const std::string& tool_version);

}  // namespace slicewise
