#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/measurement_config.h"
#include "slicewise/report/validation_report.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

struct ValidateOptions {
  std::vector<std::string> files;
  std::optional<std::string> max_median, max_p90;
  CommonOptions common;
};

// "4%" or "0.04".
std::optional<double> ParseLimit(const std::string& option,
                                 const std::optional<std::string>& text) {
  if (!text) {
    return std::nullopt;
  }
  double value = 0;
  const char* end_of_text = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), end_of_text, value);
  const std::string_view rest(end, static_cast<std::size_t>(end_of_text - end));
  if (error != std::errc() || !(value > 0) || !std::isfinite(value) ||
      (!rest.empty() && rest != "%")) {
    throw InputError(
        fmt::format("{}: found '{}', expected a positive error such as 4% or 0.04", option, *text));
  }
  return rest == "%" ? value / 100 : value;
}

std::string Render(const Validation& validation, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return ValidationText(validation, width);
    case OutputFormat::kJson:
      return ValidationJson(validation).dump(2) + "\n";
    case OutputFormat::kCsv:
      return ValidationCsv(validation);
    case OutputFormat::kMarkdown:
      return ValidationMarkdown(validation);
  }
  return "";
}

// The summary over all rows against one limit.
bool Within(const char* what, double found, const std::optional<double>& limit, std::ostream& err) {
  if (!limit || found <= *limit) {
    return true;
  }
  err << fmt::format("slicewise: {} error {:.2f}% exceeds the limit {:g}%\n", what, 100 * found,
                     100 * *limit);
  return false;
}

ExitCode RunValidate(const ValidateOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options.common);
  const auto max_median = ParseLimit("--max-median-error", options.max_median);
  const auto max_p90 = ParseLimit("--max-p90-error", options.max_p90);
  const Calibration calibration = LoadCalibration(options.common.calibration.value_or("tpu-v4"));
  const NetworkKind network =
      options.common.network &&
              ParseChoice("--network", *options.common.network, {"torus", "paper"}) == 1
          ? NetworkKind::kPaper
          : NetworkKind::kTorus;
  std::vector<std::string> files = options.files;
  if (files.empty()) {
    files = {"pope2022"};
  }
  const std::size_t width = ResultWidth(options.common.output, streams.terminal);
  std::string text;
  bool within = true;
  for (const std::string& path : files) {
    const MeasurementFile file = LoadMeasurements(path);
    const Validation validation = Validate(file, LoadPublishedExtras(path), calibration, network);
    text += Render(validation, format, width);
    const ErrorSummary& all = validation.groups.back();
    within = Within("median", all.median, max_median, streams.err) && within;
    within = Within("90th percentile", all.p90, max_p90, streams.err) && within;
  }
  WriteResult(text, options.common.output, streams.out);
  return within ? ExitCode::kDone : ExitCode::kCheckFailed;
}

struct CalibrateOptions {
  std::vector<std::string> files;
  std::string output, start = "prior", name;
};

ExitCode RunCalibrate(const CalibrateOptions& options, Streams streams) {
  std::vector<Measurement> rows;
  std::string chip;
  for (const std::string& path : options.files) {
    const MeasurementFile file = LoadMeasurements(path);
    if (!chip.empty() && chip != file.chip) {
      throw InputError(fmt::format("{}: measurements of {}, but the files before are of {}", path,
                                   file.chip, chip));
    }
    chip = file.chip;
    rows.insert(rows.end(), file.rows.begin(), file.rows.end());
  }
  const Calibration start =
      options.start == "prior" ? PriorCalibration() : LoadCalibration(options.start);
  const auto progress = [&](int iteration, double loss) {
    if (streams.terminal.interactive) {
      streams.err << fmt::format("\riteration {}, loss {:.6f}", iteration, loss) << std::flush;
    }
  };
  const FitResult result = Fit(rows, start, options.name.empty() ? chip : options.name, progress);
  if (streams.terminal.interactive) {
    streams.err << "\n";
  }
  WriteResult(CalibrationJson(result, options.files, chip, SLICEWISE_VERSION).dump(2) + "\n",
              options.output, streams.out);
  streams.err << FitText(result);
  return ExitCode::kDone;
}

}  // namespace

Command AddValidate(CLI::App& root) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* app =
      root.add_subcommand("validate", "Compare predictions with published or own measurements.");
  app->add_option("files", options->files,
                  "measurement files or presets (default pope2022, the paper's)");
  app->add_option("--calibration", options->common.calibration,
                  "preset or file, or roofline (default tpu-v4)");
  app->add_option("--network", options->common.network, "torus or paper (default torus)");
  app->add_option("--max-median-error", options->max_median,
                  "exit 1 when the median error over all rows is larger, such as 4%");
  app->add_option("--max-p90-error", options->max_p90,
                  "exit 1 when the 90th percentile over all rows is larger, such as 10%");
  AddOutputOptions(*app, options->common);
  return {app, [options](Streams streams) { return RunValidate(*options, streams); }};
}

Command AddCalibrate(CLI::App& root) {
  auto options = std::make_shared<CalibrateOptions>();
  CLI::App* app =
      root.add_subcommand("calibrate", "Fit the cost model's parameters to measurements.");
  app->add_option("files", options->files, "measurement files or presets")->required();
  app->add_option("-o,--output", options->output, "calibration file to write, or - for stdout")
      ->required();
  app->add_option("--start", options->start,
                  "calibration to start from and keep where the data say nothing: prior, or a "
                  "preset or file (default prior)");
  app->add_option("--name", options->name, "name of the calibration (default the chip's)");
  app->footer("Example: slicewise calibrate pope2022 -o configs/calibrations/tpu-v4.json");
  return {app, [options](Streams streams) { return RunCalibrate(*options, streams); }};
}

}  // namespace slicewise::cli
