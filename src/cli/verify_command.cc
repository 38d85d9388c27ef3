#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/config/plan_config.h"
#include "slicewise/report/verify_report.h"
#include "slicewise/search/enumerate.h"
#include "slicewise/search/search.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

struct VerifyCommandOptions {
  CommonOptions common;
  std::string plan_file;
  bool all = false;
};

// One layout to run.
struct Candidate {
  Layout layout;
  std::int64_t padded_heads = 0;
};

std::string Render(const VerifySummary& summary, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return VerifyText(summary, width);
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
  std::vector<Layout> layouts =
      ClassRepresentatives(EnumerateLayouts(mesh, filter, request.layouts), mesh);
  std::erase_if(layouts, [&](const Layout& layout) {
    return request.setting.model.has_attention() &&
           StoredHeads(request.setting.model, layout, mesh, request.setting.padded_heads) == 0;
  });
  if (all || layouts.size() <= 1) {
    return layouts;
  }
  Evaluator evaluator(request.setting);
  const PhasePlans found = SearchPhase(evaluator, filter, request.phases.back(),
                                       Objective::kLatency, {}, request.layouts);
  if (!found.plans.empty()) {
    return {found.plans.front().layout};
  }
  return {layouts.front()};
}

// What the command line, or a plan file, asks to run.
struct Task {
  Setting setting;
  std::vector<Candidate> candidates;
};

Task FromPlanFile(const std::string& path, std::ostream& err) {
  const PlanFile file = LoadPlanFile(path);
  for (const ChangedInput& input : file.changed) {
    err << "slicewise: note: " << input.message << "\n";
  }
  Task task = {file.setting, {}};
  for (const PlanFileEntry& entry : file.plans) {
    const auto same = [&](const Candidate& other) {
      return other.layout == entry.layout && other.padded_heads == entry.stored_heads;
    };
    // Both phases of a layout run anyway.
    if (std::none_of(task.candidates.begin(), task.candidates.end(), same)) {
      task.candidates.push_back({entry.layout, entry.stored_heads});
    }
  }
  return task;
}

Task FromOptions(const VerifyCommandOptions& options) {
  const Request request = ResolveRequest(options.common.request);
  Task task = {request.setting, {}};
  for (const Layout& layout : Choose(request, Mesh(request.setting.slice), options.all)) {
    task.candidates.push_back({layout, request.setting.padded_heads});
  }
  return task;
}

ExitCode RunVerify(const VerifyCommandOptions& options, Streams streams) {
  const OutputFormat format = ResolveFormat(options.common);
  if (!options.plan_file.empty() &&
      (options.common.request.model || options.common.request.slice)) {
    throw InputError(
        "verify: a plan file names its model and slice; --model and --slice do not go "
        "with it");
  }
  const Task task = options.plan_file.empty() ? FromOptions(options)
                                              : FromPlanFile(options.plan_file, streams.err);
  if (task.candidates.empty()) {
    streams.err << "slicewise: no legal layout matches\n";
    return ExitCode::kInfeasible;
  }
  VerifySummary summary;
  summary.model = task.setting.model.name;
  summary.slice = ToString(task.setting.slice);
  const bool progress = streams.terminal.interactive && task.candidates.size() > 1;
  for (const Candidate& candidate : task.candidates) {
    VerifyOptions verify;
    verify.workload = task.setting.workload;
    verify.padded_heads = candidate.padded_heads;
    summary.reports.push_back(
        Verify(task.setting.model, task.setting.slice, candidate.layout, verify));
    if (progress) {
      streams.err << fmt::format("\r{} of {} layouts", summary.reports.size(),
                                 task.candidates.size())
                  << std::flush;
    }
  }
  if (progress) {
    streams.err << "\n";
  }
  const std::size_t width = ResultWidth(options.common.output, streams.terminal);
  WriteResult(Render(summary, format, width), options.common.output, streams.out);
  return summary.passed() ? ExitCode::kDone : ExitCode::kCheckFailed;
}

}  // namespace

Command AddVerify(CLI::App& root) {
  auto options = std::make_shared<VerifyCommandOptions>();
  CLI::App* app = root.add_subcommand(
      "verify", "Execute layouts on a virtual torus; compare numbers, traffic and memory.");
  app->add_option(
      "plan", options->plan_file,
      "plan document (plan --format json): its layouts are run, in place of --model ...");
  AddModelOptions(*app, options->common.request);
  AddWorkloadOptions(*app, options->common.request);
  AddSearchOptions(*app, options->common.request);
  app->add_flag("--all", options->all, "every class of layout that --layout matches");
  AddOutputOptions(*app, options->common);
  app->footer("Example: slicewise verify --model palm-540b --slice 2x2x2 --layout Ex.Fyz/ws/Bxyz");
  return {app, [options](Streams streams) { return RunVerify(*options, streams); }};
}

}  // namespace slicewise::cli
