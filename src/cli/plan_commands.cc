#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "scenarios.h"
#include "slicewise/report/explain_report.h"
#include "slicewise/report/plan_report.h"
#include "slicewise/report/sweep_report.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

std::string RenderPlan(const PlanReport& report, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return PlanText(report, width);
    case OutputFormat::kJson:
      return PlanJson(report).dump(2) + "\n";
    case OutputFormat::kCsv:
      return PlanCsv(report);
    case OutputFormat::kMarkdown:
      return PlanMarkdown(report);
  }
  return "";
}

std::string RenderExplain(const ExplainReport& report, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return ExplainText(report, width);
    case OutputFormat::kJson:
      return ExplainJson(report).dump(2) + "\n";
    case OutputFormat::kCsv:
      return ExplainCsv(report);
    case OutputFormat::kMarkdown:
      return ExplainMarkdown(report);
  }
  return "";
}

std::string RenderSweep(const SweepReport& report, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return SweepText(report, width);
    case OutputFormat::kJson:
      return SweepJson(report).dump(2) + "\n";
    case OutputFormat::kCsv:
      return SweepCsv(report);
    case OutputFormat::kMarkdown:
      return SweepMarkdown(report);
  }
  return "";
}

// Each line of --scenarios is a whole request: what else is asked for would be ignored.
void RefuseBesideScenarios(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (option->count() > 0 && name != "--scenarios" && name != "--output" && name != "--threads") {
      throw InputError(fmt::format(
          "{}: found a value, expected none beside --scenarios: each line is a whole request",
          name));
    }
  }
}

CLI::App* AddPlanLike(CLI::App& root, const char* name, const char* help, CommonOptions& options) {
  CLI::App* app = root.add_subcommand(name, help);
  AddModelOptions(*app, options.request);
  AddWorkloadOptions(*app, options.request);
  AddSearchOptions(*app, options.request);
  AddOutputOptions(*app, options);
  return app;
}

ExitCode PlanOne(const Request& request, const CommonOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options);
  const PlanReport report = MakePlanReport(request);
  const std::size_t width = ResultWidth(options.output, streams.terminal);
  WriteResult(RenderPlan(report, format, width), options.output, streams.out);
  if (!report.infeasible()) {
    return ExitCode::kDone;
  }
  PrintLines(InfeasibleText(report) + OffersText(request), streams.err);
  return ExitCode::kInfeasible;
}

ExitCode PlanSweep(const Request& request, const CommonOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options);
  const ProgressBar progress(streams);
  const SweepReport report = MakeSweepReport(request, progress.callback());
  progress.Clear();
  const std::size_t width = ResultWidth(options.output, streams.terminal);
  WriteResult(RenderSweep(report, format, width), options.output, streams.out);
  if (!report.infeasible()) {
    return ExitCode::kDone;
  }
  PrintLines(OffersText(request), streams.err);
  return ExitCode::kInfeasible;
}

}  // namespace

Command AddPlan(CLI::App& root) {
  auto options = std::make_shared<CommonOptions>();
  auto scenarios = std::make_shared<std::string>();
  CLI::App* app =
      AddPlanLike(root, "plan", "Rank the layouts of a model on a slice, or on many.", *options);
  AddSweepOptions(*app, options->request);
  app->add_option("--scenarios", *scenarios,
                  "file of JSON lines, one request each, or - for standard input; writes one plan "
                  "document per line, in order");
  app->footer(
      "Examples:\n  slicewise plan --model palm-540b --slice 4x4x4 --decode-batch 64 --weights "
      "int8\n"
      "  slicewise plan --model palm-540b --max-chips 256 --batch 1..512 --weights bf16,int8 "
      "--ttft 2s --tpot 40ms --objective cost");
  return {app, [app, options, scenarios](Streams streams) {
            if (!scenarios->empty()) {
              RefuseBesideScenarios(*app);
              return PlanScenarios(*scenarios, *options, streams);
            }
            const Request request = ResolveRequest(options->request, Lists::kAllowed);
            PrintNotes(request.provenance, streams.err);
            return request.sweeps() ? PlanSweep(request, *options, streams)
                                    : PlanOne(request, *options, streams);
          }};
}

Command AddExplain(CLI::App& root) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App* app =
      AddPlanLike(root, "explain",
                  "Show the layer program of the best (or a named) layout, op by op.", *options);
  app->footer(
      "Example: slicewise explain --model palm-540b --slice 4x4x4 --phase decode --batch 64 "
      "--layout Ex.Fyz/ws/Bxyz");
  return {app, [options](Streams streams) {
            const OutputFormat format = ResolveFormat(*options);
            const Request request = ResolveRequest(options->request);
            const ExplainReport report = MakeExplainReport(request);
            PrintNotes(request.provenance, streams.err);
            const std::size_t width = ResultWidth(options->output, streams.terminal);
            WriteResult(RenderExplain(report, format, width), options->output, streams.out);
            if (report.plan.infeasible()) {
              PrintLines(InfeasibleText(report.plan), streams.err);
              return ExitCode::kInfeasible;
            }
            return ExitCode::kDone;
          }};
}

}  // namespace slicewise::cli
