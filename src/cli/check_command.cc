#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/config/baseline_config.h"
#include "slicewise/report/check_report.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise::cli {
namespace {

struct CheckOptions {
  std::string baseline;
  std::vector<std::string> scenarios;
  std::optional<std::string> reason, format, output;
  bool update = false, init = false, allow_stale = false;
};

enum class CheckFormat { kText, kJson, kGithub, kJunit, kSarif, kMarkdown, kBenchmark };

CheckFormat FormatOf(const CheckOptions& options) {
  return static_cast<CheckFormat>(
      ParseChoice("--format", options.format.value_or("text"),
                  {"text", "json", "github", "junit", "sarif", "markdown", "benchmark"}));
}

std::string Render(const CheckReport& report, CheckFormat format, std::size_t width) {
  switch (format) {
    case CheckFormat::kText:
      return CheckText(report, width);
    case CheckFormat::kJson:
      return CheckJson(report).dump(2) + "\n";
    case CheckFormat::kGithub:
      return CheckGithub(report);
    case CheckFormat::kJunit:
      return CheckJunit(report);
    case CheckFormat::kSarif:
      return CheckSarif(report).dump(2) + "\n";
    case CheckFormat::kMarkdown:
      return CheckMarkdown(report);
    case CheckFormat::kBenchmark:
      return CheckBenchmark(report).dump(2) + "\n";
  }
  return "";
}

// The positions of the scenarios to plan: those named, or all.
std::vector<std::size_t> Chosen(const Baseline& baseline, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const BaselineScenario& scenario : baseline.scenarios) {
    known.push_back(scenario.name);
  }
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw InputError(fmt::format("--scenario: found '{}', which {} does not have{}", name,
                                   baseline.source, DidYouMean(name, known)));
    }
  }
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (names.empty() || std::find(names.begin(), names.end(), known[i]) != names.end()) {
      chosen.push_back(i);
    }
  }
  return chosen;
}

ScenarioComparison CompareScenario(const BaselineScenario& scenario,
                                   const std::vector<TargetPrediction>& found) {
  ScenarioComparison comparison;
  comparison.name = scenario.name;
  comparison.line = scenario.line;
  comparison.accepted_version = scenario.inputs.version;
  comparison.targets = Compare(scenario.accepted, found, scenario.tolerances);
  for (const TargetComparison& target : comparison.targets) {
    comparison.verdict = std::max(comparison.verdict, target.verdict);
  }
  if (comparison.verdict != Verdict::kOk && !scenario.accepted.empty()) {
    comparison.causes = CausesOf(scenario.inputs, scenario.request, comparison.targets);
  }
  return comparison;
}

// Whether anything but the tool's version would be written otherwise.
bool Differs(const BaselineScenario& scenario, const Acceptance& fresh) {
  Inputs inputs = fresh.inputs;
  inputs.version = scenario.inputs.version;
  return fresh.predictions != scenario.accepted || inputs != scenario.inputs;
}

// What planning afresh has shown.
struct Outcome {
  CheckReport report;
  std::vector<Acceptance> news;  // what --update would write
};

Outcome PlanAfresh(const Baseline& baseline, const CheckOptions& options, std::ostream& err) {
  Outcome outcome;
  outcome.report = {baseline.source, SLICEWISE_VERSION, options.allow_stale, {}};
  for (std::size_t index : Chosen(baseline, options.scenarios)) {
    const BaselineScenario& scenario = baseline.scenarios[index];
    for (const std::string& note : scenario.request.provenance.notes) {
      err << fmt::format("slicewise: note: {}: {}\n", scenario.name, note);
    }
    const Acceptance fresh = {index, Predict(scenario.request), InputsOf(scenario.request)};
    outcome.report.scenarios.push_back(CompareScenario(scenario, fresh.predictions));
    if (Differs(scenario, fresh)) {
      outcome.news.push_back(fresh);
    }
  }
  return outcome;
}

ExitCode ExitCodeOf(const CheckReport& report) {
  if (report.Count(Verdict::kInfeasible) > 0) {
    return ExitCode::kInfeasible;
  }
  return report.Fails() ? ExitCode::kCheckFailed : ExitCode::kDone;
}

ExitCode RunInit(const CheckOptions& options, Streams streams) {
  const Document document = NewBaseline(LoadFile(options.baseline));
  const Baseline baseline = ReadBaseline(document);
  const Outcome outcome = PlanAfresh(baseline, options, streams.err);
  for (const Acceptance& fresh : outcome.news) {
    for (const TargetPrediction& prediction : fresh.predictions) {
      if (!prediction.fits && prediction.target != Target::kDeployment) {
        streams.err << fmt::format("slicewise: note: {}: {} does not fit, and is accepted so\n",
                                   baseline.scenarios[fresh.index].name, Name(prediction.target));
      }
    }
  }
  WriteResult(AcceptedBaseline(document, outcome.news, options.reason.value_or("first baseline"),
                               SLICEWISE_VERSION),
              options.output, streams.out);
  return ExitCode::kDone;
}

ExitCode RunUpdate(const CheckOptions& options, CheckFormat format, Streams streams) {
  if (!options.reason || options.reason->empty()) {
    throw InputError("check: --update needs --reason, which the file keeps");
  }
  const Document document = LoadFile(options.baseline);
  const Baseline baseline = ReadBaseline(document);
  const Outcome outcome = PlanAfresh(baseline, options, streams.err);
  const std::string target = options.output.value_or(options.baseline);
  // Where the document itself goes to standard output, what is said of it goes to standard error.
  std::ostream& report = target == "-" ? streams.err : streams.out;
  std::string text = document.text;
  if (!outcome.news.empty()) {
    text = AcceptedBaseline(document, outcome.news, *options.reason, SLICEWISE_VERSION);
  }
  if (!outcome.news.empty() || target != options.baseline || target == "-") {
    WriteResult(text, target, streams.out);
  }
  report << Render(outcome.report, format, streams.terminal.width);
  std::vector<std::string> names;
  for (const Acceptance& fresh : outcome.news) {
    names.push_back(baseline.scenarios[fresh.index].name);
  }
  streams.err << fmt::format(
      "slicewise: note: {}\n",
      names.empty() ? "nothing is new" : fmt::format("accepted anew: {}", fmt::join(names, ", ")));
  return ExitCode::kDone;
}

ExitCode RunCheck(const CheckOptions& options, Streams streams) {
  const CheckFormat format = FormatOf(options);
  if (options.init && options.update) {
    throw InputError("check: --init and --update do not go together");
  }
  if (options.reason && !options.init && !options.update) {
    throw InputError("check: --reason goes with --update or --init");
  }
  if (options.init) {
    return RunInit(options, streams);
  }
  if (options.update) {
    return RunUpdate(options, format, streams);
  }
  const Baseline baseline = ReadBaseline(LoadFile(options.baseline));
  const CheckReport report = PlanAfresh(baseline, options, streams.err).report;
  WriteResult(Render(report, format, ResultWidth(options.output, streams.terminal)), options.output,
              streams.out);
  return ExitCodeOf(report);
}

}  // namespace

Command AddCheck(CLI::App& root) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* app =
      root.add_subcommand("check", "Compare predictions with an accepted baseline, for CI.");
  app->add_option("baseline", options->baseline,
                  "baseline file; with --init a file of scenarios; - is standard input")
      ->required();
  app->add_option("--scenario", options->scenarios, "only this one; may be given several times")
      ->expected(1)
      ->take_all();
  app->add_flag("--update", options->update, "accept what is predicted now, in the same file");
  app->add_flag("--init", options->init, "make a baseline of a file of scenarios");
  app->add_option("--reason", options->reason, "why, for the file's history (--update needs it)");
  app->add_flag("--allow-stale", options->allow_stale,
                "gains, and changes of layout that lose nothing, do not fail the check");
  app->add_option("--format", options->format,
                  "text, json, github, junit, sarif, markdown or benchmark (default text)");
  app->add_option("--output", options->output, "write to this file, whole or not at all");
  app->footer("Example: slicewise check tests/baseline/presets.json --format github");
  return {app, [options](Streams streams) { return RunCheck(*options, streams); }};
}

}  // namespace slicewise::cli
