#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "process.h"
#include "slicewise/config/baseline_config.h"
#include "slicewise/report/diff_report.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

struct DiffOptions {
  std::optional<std::string> before, after, grid, scenarios, top;
  CommonOptions common;
};

std::string Render(const DiffReport& report, OutputFormat format, std::size_t top,
                   std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return DiffText(report, top, width);
    case OutputFormat::kJson:
      return DiffJson(report).dump(2) + "\n";
    case OutputFormat::kCsv:
      return DiffCsv(report);
    case OutputFormat::kMarkdown:
      return DiffMarkdown(report, top);
  }
  return "";
}

// What another slicewise predicts of the scenarios: one call for all of them.
std::vector<NamedPredictions> PredictWith(const std::string& binary, const Document& scenarios) {
  const ProcessResult result = RunProcess({binary, "check", "--init", "-"}, scenarios.text);
  if (result.exit_code != 0) {
    throw InputError(fmt::format("'{} check --init -' ended with {}: {}", binary, result.exit_code,
                                 result.err.substr(0, result.err.find('\n'))));
  }
  return ReadPredictions({.source = binary, .text = result.out});
}

std::vector<NamedPredictions> PredictHere(const Document& scenarios) {
  std::vector<NamedPredictions> all;
  for (const BaselineScenario& scenario : ReadBaseline(scenarios).scenarios) {
    all.push_back({scenario.name, Predict(scenario.request)});
  }
  return all;
}

DiffReport GridDiff(const DiffOptions& options) {
  const Document scenarios =
      NewBaseline(LoadPresetOrFile("scenarios", "scenarios", options.scenarios.value_or("grid")));
  const std::vector<NamedPredictions> after = PredictHere(scenarios);
  return MakeDiffReport(*options.grid, PredictWith(*options.grid, scenarios),
                        std::string("slicewise ") + SLICEWISE_VERSION, after);
}

DiffReport FileDiff(const DiffOptions& options) {
  return MakeDiffReport(*options.before, ReadPredictions(LoadFile(*options.before)), *options.after,
                        ReadPredictions(LoadFile(*options.after)));
}

ExitCode RunDiff(const DiffOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options.common);
  const auto top = static_cast<std::size_t>(ParseWhole("--top", options.top.value_or("20"), 1));
  if (options.grid ? options.before.has_value() : !options.after.has_value()) {
    throw InputError("diff: expected two files, or --grid with another slicewise binary");
  }
  if (options.scenarios && !options.grid) {
    throw InputError("diff: --scenarios goes with --grid");
  }
  const DiffReport report = options.grid ? GridDiff(options) : FileDiff(options);
  const std::size_t width = ResultWidth(options.common.output, streams.terminal);
  WriteResult(Render(report, format, top, width), options.common.output, streams.out);
  return ExitCode::kDone;
}

}  // namespace

Command AddDiff(CLI::App& root) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* app = root.add_subcommand(
      "diff", "Show what differs between two plan documents, baselines or binaries, op by op.");
  app->add_option("before", options->before, "plan document (plan --format json) or baseline");
  app->add_option("after", options->after, "the same, of what is compared with it");
  app->add_option("--grid", options->grid,
                  "another slicewise binary: compare its predictions with one's own");
  app->add_option("--scenarios", options->scenarios,
                  "for --grid: preset or file of the scenarios to predict (default grid)");
  app->add_option("--top", options->top, "ops to print (default 20)");
  AddOutputOptions(*app, options->common);
  app->footer("Example: slicewise diff old-plan.json new-plan.json");
  return {app, [options](Streams streams) { return RunDiff(*options, streams); }};
}

}  // namespace slicewise::cli
