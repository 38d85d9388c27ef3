#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "slicewise/report/sweep_report.h"

namespace slicewise::cli {
namespace {

std::string Render(const ParetoReport& report, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return ParetoText(report, width);
    case OutputFormat::kJson:
      return ParetoJson(report).dump(2) + "\n";
    case OutputFormat::kCsv:
      return ParetoCsv(report);
    case OutputFormat::kMarkdown:
      return ParetoMarkdown(report);
  }
  return "";
}

}  // namespace

Command AddPareto(CLI::App& root) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App* app = root.add_subcommand(
      "pareto",
      "Latency against cost over slices, batches and formats: what nothing beats in both.");
  AddModelOptions(*app, options->request);
  AddWorkloadOptions(*app, options->request);
  AddSearchOptions(*app, options->request);
  AddOutputOptions(*app, *options);
  AddSweepOptions(*app, options->request);
  app->footer(
      "Example: slicewise pareto --model palm-540b --max-chips 256 --batch 1..1024 --weights "
      "bf16,int8 --phase decode");
  return {app, [options](Streams streams) {
            const OutputFormat format = ResolveFormat(*options);
            const Request request = ResolveRequest(options->request, Lists::kAllowed);
            PrintNotes(request.provenance, streams.err);
            const ProgressBar progress(streams);
            const ParetoReport report = MakeParetoReport(request, progress.callback());
            progress.Clear();
            const std::size_t width = ResultWidth(options->output, streams.terminal);
            WriteResult(Render(report, format, width), options->output, streams.out);
            if (report.infeasible()) {
              PrintLines(OffersText(request), streams.err);
              return ExitCode::kInfeasible;
            }
            return ExitCode::kDone;
          }};
}

}  // namespace slicewise::cli
