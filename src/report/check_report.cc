#include "slicewise/report/check_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

std::string AllowedText(Metric metric, const Tolerance& tolerance) {
  if (tolerance.kind == Tolerance::Kind::kRelative) {
    return fmt::format("{:g}%", 100 * tolerance.amount);
  }
  return metric == Metric::kMfu ? fmt::format("{:g} points", 100 * tolerance.amount)
                                : FormatMetric(metric, tolerance.amount);
}

// The metrics beyond their tolerance that got worse, or the ones that got better.
void AddMetrics(const TargetComparison& target, Verdict verdict, std::vector<std::string>& out) {
  for (const MetricComparison& metric : target.metrics) {
    if (metric.verdict == verdict) {
      out.push_back(fmt::format(
          "{} {} is {}, accepted {} ({}, allowed {})", Name(target.target), Name(metric.metric),
          FormatMetric(metric.metric, metric.found), FormatMetric(metric.metric, metric.accepted),
          FormatChange(metric.change()), AllowedText(metric.metric, metric.tolerance)));
    }
  }
}

std::string MissingText(const TargetComparison& target) {
  return target.accepted.fits
             ? fmt::format("{} is accepted, but no longer asked for", Name(target.target))
             : fmt::format("nothing is accepted of {} yet", Name(target.target));
}

// What the layout that misses by least would need.
std::string NearestText(const TargetPrediction& found) {
  return found.layout.empty() ? ""
                              : fmt::format(" (the nearest, {}, needs {} per chip)", found.layout,
                                            Format(found.memory));
}

// Everything but the metrics.
void AddOther(const TargetComparison& target, std::vector<std::string>& out) {
  const std::string_view name = Name(target.target);
  switch (target.verdict) {
    case Verdict::kMissing:
      out.push_back(MissingText(target));
      return;
    case Verdict::kFeasible:
      out.push_back(
          fmt::format("{} fits with {}, accepted as not fitting", name, target.found.layout));
      return;
    case Verdict::kInfeasible:
      out.push_back(fmt::format("{} no longer fits{}, accepted {} at {}", name,
                                NearestText(target.found), target.accepted.layout,
                                Format(target.accepted.latency)));
      return;
    case Verdict::kOk:
    case Verdict::kStale:
    case Verdict::kLayoutChanged:
    case Verdict::kRegression:
      break;
  }
  if (target.accepted.layout != target.found.layout) {
    out.push_back(fmt::format("{} layout is {}, accepted {}", name, target.found.layout,
                              target.accepted.layout));
  }
  if (target.verdict != Verdict::kOk && !target.terms.empty()) {
    out.push_back(fmt::format("{} time: {}", name, FormatTerms(target.terms)));
  }
}

std::string CauseText(const ScenarioComparison& scenario) {
  std::vector<std::string> names;
  for (Cause cause : scenario.causes) {
    names.push_back(cause == Cause::kTool
                        ? fmt::format("tool version (accepted with {})", scenario.accepted_version)
                        : std::string(Name(cause)));
  }
  return fmt::format("changed: {}", fmt::join(names, ", "));
}

// ▲ more, ▼ less, and whether that is good.
std::string Arrow(const MetricComparison& metric) {
  if (metric.found == metric.accepted) {
    return "=";
  }
  return fmt::format("{} {}", metric.found > metric.accepted ? "▲" : "▼",
                     FormatChange(metric.change()));
}

std::string MarkdownVerdict(Verdict verdict) {
  const std::string name(Name(verdict));
  return verdict == Verdict::kOk ? name : "**" + name + "**";
}

// A cell must not end its column.
std::string Cell(const std::string& text) {
  std::string cell;
  for (char c : text) {
    cell += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  }
  return cell;
}

Table MarkdownTable(const CheckReport& report) {
  Table table;
  table.columns = {
      {"scenario", false}, {"of", false}, {"verdict", false}, {"latency"}, {"Δ"}, {"MFU"}, {"Δ"},
      {"cost Δ"},          {"memory Δ"},  {"layout", false}};
  for (const ScenarioComparison& scenario : report.scenarios) {
    for (const TargetComparison& target : scenario.targets) {
      std::vector<std::string> row = {Cell(scenario.name), std::string(Name(target.target)),
                                      MarkdownVerdict(target.verdict)};
      const TargetPrediction& found = target.found;
      const bool compared = target.metrics.size() == kMetrics.size();
      const auto arrow = [&](Metric metric) {
        return compared ? Arrow(target.metrics[static_cast<std::size_t>(metric)]) : "";
      };
      row.push_back(found.fits ? Format(found.latency) : "does not fit");
      row.push_back(arrow(Metric::kLatency));
      row.push_back(found.fits ? FormatMetric(Metric::kMfu, found.mfu) : "");
      row.push_back(arrow(Metric::kMfu));
      row.push_back(arrow(Metric::kCost));
      row.push_back(arrow(Metric::kMemory));
      row.push_back(!found.fits ? ""
                    : !compared || found.layout == target.accepted.layout
                        ? found.layout
                        : fmt::format("{} (was {})", found.layout, target.accepted.layout));
      table.rows.push_back(row);
    }
  }
  return table;
}

}  // namespace

bool CheckReport::Fails(Verdict verdict) const {
  switch (verdict) {
    case Verdict::kOk:
      return false;
    case Verdict::kStale:
    case Verdict::kFeasible:
    case Verdict::kLayoutChanged:
      return !allow_stale;
    case Verdict::kMissing:
    case Verdict::kRegression:
    case Verdict::kInfeasible:
      return true;
  }
  return true;
}

bool CheckReport::Fails() const {
  return std::any_of(scenarios.begin(), scenarios.end(),
                     [&](const ScenarioComparison& s) { return Fails(s.verdict); });
}

std::size_t CheckReport::Count(Verdict verdict) const {
  return static_cast<std::size_t>(
      std::count_if(scenarios.begin(), scenarios.end(),
                    [&](const ScenarioComparison& s) { return s.verdict == verdict; }));
}

std::string FormatMetric(Metric metric, double value) {
  switch (metric) {
    case Metric::kLatency:
      return Format(SecondsOf(value));
    case Metric::kCost:
      return Format(SecondsOf(value)) + "/token";
    case Metric::kMfu:
      return fmt::format("{:.1f}%", 100 * value);
    case Metric::kMemory:
      return Format(BytesOf(value));
  }
  return "";
}

std::string FormatChange(double fraction) { return fmt::format("{:+.2f}%", 100 * fraction); }

std::string FormatTerms(const std::vector<TermChange>& terms) {
  constexpr std::size_t kMost = 3;
  // A share of the largest below which a term explains nothing.
  constexpr double kLeast = 0.02;
  std::vector<std::string> texts;
  for (const TermChange& term : terms) {
    const double change = term.change().base();
    if (texts.size() == kMost ||
        std::abs(change) < kLeast * std::abs(terms.front().change().base())) {
      break;
    }
    texts.push_back(fmt::format("{}{} {}", change > 0 ? "+" : "-",
                                Format(SecondsOf(std::abs(change))), term.name));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::vector<std::string> Findings(const ScenarioComparison& scenario) {
  std::vector<std::string> findings;
  for (Verdict verdict : {Verdict::kRegression, Verdict::kStale}) {
    for (const TargetComparison& target : scenario.targets) {
      AddMetrics(target, verdict, findings);
    }
  }
  for (const TargetComparison& target : scenario.targets) {
    AddOther(target, findings);
  }
  if (!findings.empty() && !scenario.causes.empty()) {
    findings.push_back(CauseText(scenario));
  }
  return findings;
}

std::string SummaryLine(const CheckReport& report) {
  std::vector<std::string> counts;
  for (Verdict verdict : kVerdicts) {
    if (const std::size_t count = report.Count(verdict); count > 0) {
      counts.push_back(fmt::format("{} {}", count, Name(verdict)));
    }
  }
  return fmt::format("{} {}: {}", report.scenarios.size(),
                     report.scenarios.size() == 1 ? "scenario" : "scenarios",
                     fmt::join(counts, ", "));
}

std::string CheckText(const CheckReport& report, std::size_t width) {
  std::string text;
  for (const ScenarioComparison& scenario : report.scenarios) {
    text += fmt::format("{}: {}\n", scenario.name, Name(scenario.verdict));
    for (const std::string& finding : Findings(scenario)) {
      text += "  " + finding + "\n";
    }
  }
  return Wrap(text + SummaryLine(report) + "\n", width);
}

std::string CheckMarkdown(const CheckReport& report) {
  std::string text = fmt::format("### slicewise check: {}\n\n{}\n\n",
                                 report.Fails() ? "failed" : "passed", SummaryLine(report));
  text += TableMarkdown(MarkdownTable(report));
  for (const ScenarioComparison& scenario : report.scenarios) {
    if (scenario.verdict == Verdict::kOk) {
      continue;
    }
    text += fmt::format("\n**{}**: {}\n\n", scenario.name, Name(scenario.verdict));
    for (const std::string& finding : Findings(scenario)) {
      text += "- " + finding + "\n";
    }
  }
  return text;
}

}  // namespace slicewise
