#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/config/plan_config.h"
#include "slicewise/report/export.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

struct ExportOptions {
  CommonOptions common;
  std::string plan_file;
  std::optional<std::string> target;
  bool lossy = false;
};

// Shardings depend on model and chip; the calibration only chose among them.
void CheckInputs(const PlanFile& file, bool lossy, std::ostream& err) {
  for (const ChangedInput& input : file.changed) {
    if (!lossy || input.kind != ChangedInput::Kind::kCalibration) {
      throw InputError(input.message);
    }
    err << "slicewise: warning: " << input.message << "\n";
  }
}

// What the target cannot honour: an error, or with --lossy a warning for each.
void CheckDowngrades(const Exported& exported, const std::string& target, bool lossy,
                     std::ostream& err) {
  if (exported.downgrades.empty()) {
    return;
  }
  if (!lossy) {
    throw InputError(fmt::format("export: {} cannot honour {}; --lossy exports the nearest it can",
                                 target, fmt::join(exported.downgrades, "; and ")));
  }
  for (const std::string& downgrade : exported.downgrades) {
    err << fmt::format("slicewise: warning: {} cannot honour {}\n", target, downgrade);
  }
}

ExitCode RunExport(const ExportOptions& options, Streams streams) {
  if (options.plan_file.empty()) {
    throw InputError("export: a plan document is required: a file, or - for standard input");
  }
  if (!options.target) {
    throw InputError(fmt::format("--to is required: {}", fmt::join(ExportTargetNames(), ", ")));
  }
  const auto target =
      static_cast<ExportTarget>(ParseChoice("--to", *options.target, ExportTargetNames()));
  const PlanFile file = LoadPlanFile(options.plan_file);
  if (!file.execution) {
    streams.err << fmt::format(
        "slicewise: {}: /execution is null: the document has no plan that fits\n",
        options.plan_file);
    return ExitCode::kInfeasible;
  }
  CheckInputs(file, options.lossy, streams.err);
  const Exported exported = Export(file.setting, *file.execution, target);
  CheckDowngrades(exported, *options.target, options.lossy, streams.err);
  WriteResult(exported.text, options.common.output, streams.out);
  return ExitCode::kDone;
}

}  // namespace

Command AddExport(CLI::App& root) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* app = root.add_subcommand(
      "export", "Write a plan in the terms of a runtime: shardings, flags, ...");
  app->add_option("plan", options->plan_file,
                  "plan document (plan --format json), or - for standard input (required)");
  app->add_option("--to", options->target,
                  fmt::format("{} (required)", fmt::join(ExportTargetNames(), ", ")));
  app->add_flag("--lossy", options->lossy,
                "export the nearest that the target can do, and say what is lost");
  app->add_option("--output", options->common.output, "write to this file, whole or not at all");
  app->footer("Example: slicewise export plan.json --to jax");
  return {app, [options](Streams streams) { return RunExport(*options, streams); }};
}

}  // namespace slicewise::cli
