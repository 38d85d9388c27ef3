#include "slicewise/search/fingerprint.h"

#include <fmt/format.h>

#include "slicewise/search/execution_fields.h"
#include "slicewise/units/sha256.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

// The canonical text: a line for each field.
class Lines {
 public:
  void operator()(std::string_view name, const std::string& value) { Add(name, value); }
  void operator()(std::string_view name, double value) { Add(name, FormatExact(value)); }
  void operator()(std::string_view name, std::int64_t value) { Add(name, std::to_string(value)); }
  void operator()(std::string_view name, int value) { Add(name, std::to_string(value)); }
  void operator()(std::string_view name, bool value) { Add(name, value ? "true" : "false"); }

  [[nodiscard]] std::string Digest() const { return Sha256(text_); }

 private:
  void Add(std::string_view name, std::string_view value) {
    text_ += fmt::format("{}={}\n", name, value);
  }
  std::string text_;
};

std::string DigestOf(const Model& model) {
  Lines lines;
  VisitFields(DescribeModel(model), lines);
  return lines.Digest();
}

std::string DigestOf(const Chip& chip) {
  Lines lines;
  lines("name", chip.name);
  lines("accelerator_prefix", chip.accelerator_prefix);
  lines("cores_per_chip", chip.cores_per_chip);
  lines("peak_bf16", chip.peak_bf16.base());
  lines("peak_int8", chip.peak_int8.base());
  lines("hbm_nominal", chip.hbm_nominal.base());
  lines("hbm_usable", chip.hbm_usable.base());
  lines("hbm_bandwidth", chip.hbm_bandwidth.base());
  lines("on_chip_memory", chip.on_chip_memory.base());
  lines("link_bandwidth", chip.link_bandwidth.base());
  lines("paper_bandwidth", chip.paper_bandwidth.base());
  lines("torus_rank", chip.torus_rank);
  lines("wrap_rule", static_cast<int>(chip.wrap_rule));
  lines("wrap_multiple", chip.wrap_multiple);
  lines("max_chips", chip.max_chips);
  for (const std::vector<int>& shape : chip.small_shapes) {
    lines("small_shape", fmt::format("{}", fmt::join(shape, "x")));
  }
  lines("chips_per_host", chip.chips_per_host);
  lines("price_per_chip_hour", chip.price_per_chip_hour.base());
  return lines.Digest();
}

std::string DigestOf(const Calibration& calibration) {
  Lines lines;
  lines("name", calibration.name);
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    lines(parameter.name, calibration.*parameter.member);
  }
  lines("ideal_schedules", calibration.ideal_schedules);
  for (const Calibration::Interval& interval : {calibration.inside, calibration.outside}) {
    lines("coverage", interval.coverage);
    lines("factor_low", interval.factor_low);
    lines("factor_high", interval.factor_high);
  }
  const Calibration::Range& range = calibration.range;
  lines("min_chips", range.min_chips);
  lines("max_chips", range.max_chips);
  lines("min_rows", range.min_rows);
  lines("max_rows", range.max_rows);
  lines("min_context", range.min_context);
  lines("max_context", range.max_context);
  lines("weight_types", fmt::format("{}", fmt::join(range.weight_types, ",")));
  return lines.Digest();
}

}  // namespace

Fingerprints FingerprintsOf(const Setting& setting) {
  return {DigestOf(setting.model), DigestOf(setting.chip), DigestOf(setting.calibration)};
}

}  // namespace slicewise
