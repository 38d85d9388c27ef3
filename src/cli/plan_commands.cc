#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/report/explain_report.h"
#include "slicewise/report/plan_report.h"

namespace slicewise::cli {
namespace {

void PrintNotes(const Provenance& provenance, std::ostream& err) {
  for (const std::string& note : provenance.notes) {
    err << "slicewise: note: " << note << "\n";
  }
}

// What kept a phase from a feasible plan, for stderr.
void PrintInfeasible(const PlanReport& report, std::ostream& err) {
  for (const PhaseReport& phase : report.phases) {
    if (!phase.entries.empty() && phase.entries.front().plan.fits()) {
      continue;
    }
    if (!phase.entries.empty()) {
      const PlanEntry& entry = phase.entries.front();  // named by --layout
      err << fmt::format(
          "slicewise: {}: {} does not fit: it needs {:.1f} GiB per chip and has {:.1f} GiB\n",
          Name(phase.phase), entry.layout, entry.plan.violation->needed / Gibibytes(1).base(),
          entry.plan.violation->available / Gibibytes(1).base());
    } else if (phase.rejected.nearest) {
      const Violation& violation = *phase.rejected.nearest->violation;
      err << fmt::format(
          "slicewise: {}: no layout fits; the nearest, {}, needs {:.1f} GiB per chip and has "
          "{:.1f} "
          "GiB\n",
          Name(phase.phase), phase.nearest_layout, violation.needed / Gibibytes(1).base(),
          violation.available / Gibibytes(1).base());
    } else {
      err << fmt::format("slicewise: {}: no legal layout{}\n", Name(phase.phase),
                         report.setting.padded_heads > 0
                             ? fmt::format(" holds exactly {} heads", report.setting.padded_heads)
                             : "");
    }
  }
}

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

CLI::App* AddPlanLike(CLI::App& root, const char* name, const char* help, CommonOptions& options) {
  CLI::App* app = root.add_subcommand(name, help);
  AddModelOptions(*app, options.request);
  AddWorkloadOptions(*app, options.request);
  AddSearchOptions(*app, options.request);
  AddOutputOptions(*app, options);
  return app;
}

}  // namespace

Command AddPlan(CLI::App& root) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App* app = AddPlanLike(root, "plan", "Rank the layouts of a model on a slice.", *options);
  app->footer(
      "Example: slicewise plan --model palm-540b --slice 4x4x4 --decode-batch 64 --weights int8");
  return {app, [options](Streams streams) {
            const OutputFormat format = ResolveFormat(*options);
            const Request request = ResolveRequest(options->request);
            const PlanReport report =
                MakePlanReport(request.setting, request.provenance, request.phases, request.layout,
                               request.objective, request.top);
            PrintNotes(request.provenance, streams.err);
            const std::size_t width = ResultWidth(options->output, streams.terminal);
            WriteResult(RenderPlan(report, format, width), options->output, streams.out);
            if (report.infeasible()) {
              PrintInfeasible(report, streams.err);
              return ExitCode::kInfeasible;
            }
            return ExitCode::kDone;
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
            const ExplainReport report =
                MakeExplainReport(request.setting, request.provenance, request.phases,
                                  request.layout, request.objective);
            PrintNotes(request.provenance, streams.err);
            const std::size_t width = ResultWidth(options->output, streams.terminal);
            WriteResult(RenderExplain(report, format, width), options->output, streams.out);
            if (report.plan.infeasible()) {
              PrintInfeasible(report.plan, streams.err);
              return ExitCode::kInfeasible;
            }
            return ExitCode::kDone;
          }};
}

}  // namespace slicewise::cli
