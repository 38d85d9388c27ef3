#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/report/verify_report.h"
#include "slicewise/search/enumerate.h"
#include "slicewise/search/search.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

struct VerifyCommandOptions {
  CommonOptions common;
  bool all = false;
};

std::string Render(const VerifySummary& summary, OutputFormat format) {
  switch (format) {
    case OutputFormat::kTable:
      return VerifyText(summary);
    case OutputFormat::kJson:
      return VerifyJson(summary).dump(2) + "\n";
    case OutputFormat::kCsv:
      return VerifyCsv(summary);
    case OutputFormat::kMarkdown:
      return VerifyMarkdown(summary);
  }
  return "";
}

// The layouts to run: one that is named, all that a filter matches, or by default the fastest that
// fits the decode phase.
std::vector<Layout> Choose(const Request& request, const Mesh& mesh, bool all) {
  const LayoutFilter filter(request.layout, mesh);
  std::vector<Layout> layouts = ClassRepresentatives(EnumerateLayouts(mesh, filter), mesh);
  std::erase_if(layouts, [&](const Layout& layout) {
    return request.setting.model.has_attention() &&
           StoredHeads(request.setting.model, layout, mesh, request.setting.padded_heads) == 0;
  });
  if (all || layouts.size() <= 1) {
    return layouts;
  }
  Evaluator evaluator(request.setting);
  const PhasePlans found =
      SearchPhase(evaluator, filter, request.phases.back(), Objective::kLatency);
  if (!found.plans.empty()) {
    return {found.plans.front().layout};
  }
  return {layouts.front()};
}

ExitCode RunVerify(const VerifyCommandOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options.common);
  const Request request = Resolve(options.common);
  const Mesh mesh(request.setting.slice);
  VerifySummary summary;
  summary.model = request.setting.model.name;
  summary.slice = ToString(request.setting.slice);
  VerifyOptions verify;
  verify.workload = request.setting.workload;
  verify.padded_heads = request.setting.padded_heads;
  const std::vector<Layout> layouts = Choose(request, mesh, options.all);
  if (layouts.empty()) {
    streams.err << "slicewise: no legal layout matches\n";
    return ExitCode::kInfeasible;
  }
  for (const Layout& layout : layouts) {
    summary.reports.push_back(Verify(request.setting.model, request.setting.slice, layout, verify));
    if (streams.terminal.interactive && layouts.size() > 1) {
      streams.err << fmt::format("\r{} of {} layouts", summary.reports.size(), layouts.size())
                  << std::flush;
    }
  }
  if (streams.terminal.interactive && layouts.size() > 1) {
    streams.err << "\n";
  }
  WriteResult(Render(summary, format), options.common.output, streams.out);
  return summary.passed() ? ExitCode::kDone : ExitCode::kCheckFailed;
}

}  // namespace

Command AddVerify(CLI::App& root) {
  auto options = std::make_shared<VerifyCommandOptions>();
  CLI::App* app = root.add_subcommand(
      "verify", "Execute layouts on a virtual torus; compare numbers, traffic and memory.");
  AddModelOptions(*app, options->common);
  AddWorkloadOptions(*app, options->common);
  AddSearchOptions(*app, options->common);
  app->add_flag("--all", options->all, "every class of layout that --layout matches");
  AddOutputOptions(*app, options->common);
  app->footer("Example: slicewise verify --model palm-540b --slice 2x2x2 --layout Ex.Fyz/ws/Bxyz");
  return {app, [options](Streams streams) { return RunVerify(*options, streams); }};
}

}  // namespace slicewise::cli
