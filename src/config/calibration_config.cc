#include "slicewise/config/calibration_config.h"

#include <fmt/format.h>

#include "slicewise/config/json_reader.h"
#include "slicewise/config/presets.h"

namespace slicewise {
namespace {

double ReadParameter(JsonReader& parameters, const CalibrationParameter& parameter) {
  const std::string key(parameter.name);
  JsonReader entry = parameters.Object(key);
  const double value = entry.Number("value");
  if (value < parameter.lower || value > parameter.upper) {
    entry.Fail("value", fmt::format("found {}, expected {} to {} ({})", value, parameter.lower,
                                    parameter.upper, parameter.unit));
  }
  // Written by `slicewise calibrate` for people; pricing does not need them.
  for (std::string_view note : {"unit", "standard_error", "status", "meaning", "source"}) {
    entry.Skip(note);
  }
  return value;
}

Calibration::Interval ReadInterval(JsonReader reader) {
  Calibration::Interval interval;
  interval.coverage = reader.Positive("coverage");
  interval.factor_low = reader.Positive("factor_low");
  interval.factor_high = reader.Positive("factor_high");
  if (interval.coverage >= 1) {
    reader.Fail("coverage", "expected a fraction below 1");
  }
  if (interval.factor_low > interval.factor_high) {
    reader.Fail("factor_low", "is above factor_high");
  }
  return interval;
}

Calibration::Range ReadRange(JsonReader reader) {
  Calibration::Range range;
  range.min_chips = reader.Number("min_chips");
  range.max_chips = reader.Number("max_chips");
  range.min_rows = reader.Number("min_rows");
  range.max_rows = reader.Number("max_rows");
  range.min_context = reader.Number("min_context");
  range.max_context = reader.Number("max_context");
  range.weight_types = reader.Texts("weight_types");
  return range;
}

}  // namespace

Calibration LoadCalibration(const std::string& name_or_path) {
  if (name_or_path == "roofline") {
    return {};
  }
  JsonReader root =
      JsonReader::Parse(LoadPresetOrFile("calibrations", "calibration", name_or_path));
  Calibration calibration;
  calibration.name = root.Text("name");
  calibration.ideal_schedules = false;
  for (std::string_view note : {"schema", "chip", "provenance"}) {
    root.Skip(note);
  }
  JsonReader parameters = root.Object("parameters");
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    calibration.*parameter.member = ReadParameter(parameters, parameter);
  }
  if (root.Has("intervals")) {
    JsonReader intervals = root.Object("intervals");
    calibration.inside = ReadInterval(intervals.Object("inside"));
    calibration.outside = ReadInterval(intervals.Object("outside"));
  }
  if (root.Has("range")) {
    calibration.range = ReadRange(root.Object("range"));
  }
  root.Finish();
  return calibration;
}

}  // namespace slicewise
