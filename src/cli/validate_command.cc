#include <fmt/format.h>

#include <algorithm>
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

// Several files read as one; ids must differ between them, and the chip must not.
MeasurementFile LoadAll(const std::vector<std::string>& paths) {
  MeasurementFile all = LoadMeasurements(paths.front());
  for (std::size_t i = 1; i < paths.size(); ++i) {
    const MeasurementFile next = LoadMeasurements(paths[i]);
    if (next.chip != all.chip) {
      throw InputError(fmt::format("{}: measurements of {}, but the files before are of {}",
                                   paths[i], next.chip, all.chip));
    }
    for (const Measurement& row : next.rows) {
      const auto same = [&](const Measurement& other) { return other.id == row.id; };
      if (std::any_of(all.rows.begin(), all.rows.end(), same)) {
        throw InputError(fmt::format("{}: row '{}' is in an earlier file too", paths[i], row.id));
      }
      all.rows.push_back(row);
    }
    all.title += "; " + next.title;
    all.figure3 = all.figure3 ? all.figure3 : next.figure3;
    all.table1 = all.table1 ? all.table1 : next.table1;
  }
  return all;
}

ExitCode RunValidate(const ValidateOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options.common);
  const auto max_median = ParseLimit("--max-median-error", options.max_median);
  const auto max_p90 = ParseLimit("--max-p90-error", options.max_p90);
  const Calibration calibration =
      LoadCalibration(options.common.request.calibration.value_or("tpu-v4"));
  const NetworkKind network =
      options.common.request.network &&
              ParseChoice("--network", *options.common.request.network, {"torus", "paper"}) == 1
          ? NetworkKind::kPaper
          : NetworkKind::kTorus;
  std::vector<std::string> files = options.files;
  if (files.empty()) {
    files = {"pope2022"};
  }
  const std::size_t width = ResultWidth(options.common.output, streams.terminal);
  const MeasurementFile file = LoadAll(files);
  const Validation validation = Validate(file, calibration, network);
  WriteResult(Render(validation, format, width), options.common.output, streams.out);
  const ErrorSummary& all = validation.groups.back();
  const bool median = Within("median", all.median, max_median, streams.err);
  const bool p90 = Within("90th percentile", all.p90, max_p90, streams.err);
  return median && p90 ? ExitCode::kDone : ExitCode::kCheckFailed;
}

struct CalibrateOptions {
  std::vector<std::string> files;
  std::string output, start = "prior", name;
};

ExitCode RunCalibrate(const CalibrateOptions& options, Streams streams) {
  const MeasurementFile file = LoadAll(options.files);
  const Calibration start =
      options.start == "prior" ? PriorCalibration() : LoadCalibration(options.start);
  const auto progress = [&](int iteration, double loss) {
    if (streams.terminal.interactive) {
      streams.err << fmt::format("\riteration {}, loss {:.6f}", iteration, loss) << std::flush;
    }
  };
  const FitResult result =
      Fit(file.rows, start, options.name.empty() ? file.chip : options.name, progress);
  if (streams.terminal.interactive) {
    streams.err << "\n";
  }
  WriteResult(CalibrationJson(result, options.files, file.chip, SLICEWISE_VERSION).dump(2) + "\n",
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
  app->add_option("--calibration", options->common.request.calibration,
                  "preset or file, or roofline (default tpu-v4)");
  app->add_option("--network", options->common.request.network, "torus or paper (default torus)");
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
