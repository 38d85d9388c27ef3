// Renderings of a check that machines read.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "slicewise/report/check_report.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string Joined(const std::vector<std::string>& lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

// What a scenario that is not ok is called in annotations and reports.
std::string Title(const ScenarioComparison& scenario) {
  return fmt::format("{}: {}", scenario.name, Name(scenario.verdict));
}

// Data of a workflow command; of a property, which ends at a comma or colon, more is escaped.
std::string WorkflowText(const std::string& text, bool property) {
  std::string out;
  for (char c : text) {
    const bool escaped = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    out += escaped ? fmt::format("%{:02X}", static_cast<unsigned>(c)) : std::string(1, c);
  }
  return out;
}

// Characters that XML 1.0 cannot hold become U+FFFD.
std::string XmlText(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' ? "\xEF\xBF\xBD"
                                                                              : std::string(1, c);
    }
  }
  return out;
}

// A path as a URI reference (RFC 3986).
std::string UriOf(const std::string& path) {
  constexpr std::string_view kPlain = "-._~/";
  std::string uri = path.starts_with('/') ? "file://" : "";
  for (char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kPlain.find(c) != std::string_view::npos;
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return uri;
}

std::string_view SarifLevel(const CheckReport& report, Verdict verdict) {
  return report.Fails(verdict) ? "error" : "note";
}

Json SarifRules(const CheckReport& report) {
  Json rules = Json::array();
  for (Verdict verdict : kVerdicts) {
    if (verdict != Verdict::kOk) {
      rules.push_back({{"id", Name(verdict)},
                       {"shortDescription", {{"text", Describe(verdict)}}},
                       {"defaultConfiguration", {{"level", SarifLevel(report, verdict)}}}});
    }
  }
  return rules;
}

Json SarifResult(const CheckReport& report, const ScenarioComparison& scenario) {
  const Json place = {{"physicalLocation",
                       {{"artifactLocation", {{"uri", UriOf(report.baseline)}}},
                        {"region", {{"startLine", scenario.line}}}}},
                      {"logicalLocations", Json::array({{{"name", scenario.name}}})}};
  return {{"ruleId", Name(scenario.verdict)},
          {"level", SarifLevel(report, scenario.verdict)},
          {"message", {{"text", Title(scenario) + "\n" + Joined(Findings(scenario))}}},
          {"locations", Json::array({place})},
          {"partialFingerprints", {{"scenario/v1", Title(scenario)}}}};
}

Json MetricJson(const MetricComparison& metric) {
  const bool relative = metric.tolerance.kind == Tolerance::Kind::kRelative;
  return {{"metric", KeyOf(metric.metric)},
          {"verdict", Name(metric.verdict)},
          {"accepted", metric.accepted},
          {"found", metric.found},
          {"change", metric.change()},
          {"tolerance", {{relative ? "relative" : "absolute", metric.tolerance.amount}}}};
}

Json TargetJson(const TargetComparison& target) {
  Json metrics = Json::array();
  for (const MetricComparison& metric : target.metrics) {
    metrics.push_back(MetricJson(metric));
  }
  Json terms = Json::array();
  for (const TermChange& term : target.terms) {
    terms.push_back({{"name", term.name},
                     {"accepted_seconds", term.before.base()},
                     {"found_seconds", term.after.base()},
                     {"change_seconds", term.change().base()}});
  }
  const auto layout = [](const TargetPrediction& p) { return p.fits ? Json(p.layout) : Json(); };
  return {{"target", Name(target.target)},
          {"verdict", Name(target.verdict)},
          {"accepted_layout", layout(target.accepted)},
          {"found_layout", layout(target.found)},
          {"metrics", metrics},
          {"terms", terms}};
}

Json ScenarioJson(const CheckReport& report, const ScenarioComparison& scenario) {
  Json causes = Json::array();
  for (Cause cause : scenario.causes) {
    causes.push_back(Name(cause));
  }
  Json targets = Json::array();
  for (const TargetComparison& target : scenario.targets) {
    targets.push_back(TargetJson(target));
  }
  return {{"name", scenario.name},
          {"line", scenario.line},
          {"verdict", Name(scenario.verdict)},
          {"fails", report.Fails(scenario.verdict)},
          {"accepted_version",
           scenario.accepted_version.empty() ? Json() : Json(scenario.accepted_version)},
          {"causes", causes},
          {"findings", Findings(scenario)},
          {"targets", targets}};
}

}  // namespace

Json CheckJson(const CheckReport& report) {
  Json counts = Json::object();
  for (Verdict verdict : kVerdicts) {
    counts[std::string(Name(verdict))] = report.Count(verdict);
  }
  Json scenarios = Json::array();
  for (const ScenarioComparison& scenario : report.scenarios) {
    scenarios.push_back(ScenarioJson(report, scenario));
  }
  return {{"schema", "slicewise-check/1"},
          {"baseline", report.baseline},
          {"version", report.tool_version},
          {"passed", !report.Fails()},
          {"counts", counts},
          {"scenarios", scenarios}};
}

std::string CheckGithub(const CheckReport& report) {
  std::string text;
  for (const ScenarioComparison& scenario : report.scenarios) {
    if (scenario.verdict != Verdict::kOk) {
      text += fmt::format("::{} file={},line={},title={}::{}\n",
                          report.Fails(scenario.verdict) ? "error" : "notice",
                          WorkflowText(report.baseline, true), scenario.line,
                          WorkflowText(Title(scenario), true),
                          WorkflowText(Joined(Findings(scenario)), false));
    }
  }
  return text + SummaryLine(report) + "\n";
}

std::string CheckJunit(const CheckReport& report) {
  std::string cases;
  std::size_t failures = 0;
  for (const ScenarioComparison& scenario : report.scenarios) {
    cases += fmt::format("    <testcase classname=\"slicewise.check\" name=\"{}\">",
                         XmlText(scenario.name));
    const std::vector<std::string> findings = Findings(scenario);
    if (report.Fails(scenario.verdict)) {
      ++failures;
      cases += fmt::format("\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    ",
                           Name(scenario.verdict),
                           XmlText(findings.empty() ? Title(scenario) : findings.front()),
                           XmlText(Joined(findings)));
    } else if (!findings.empty()) {
      cases += fmt::format("\n      <system-out>{}</system-out>\n    ", XmlText(Joined(findings)));
    }
    cases += "</testcase>\n";
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"slicewise check\" tests=\"{0}\" failures=\"{1}\" errors=\"0\">\n"
      "  <testsuite name=\"{2}\" tests=\"{0}\" failures=\"{1}\" errors=\"0\" skipped=\"0\">\n"
      "{3}"
      "  </testsuite>\n"
      "</testsuites>\n",
      report.scenarios.size(), failures, XmlText(report.baseline), cases);
}

Json CheckSarif(const CheckReport& report) {
  Json results = Json::array();
  for (const ScenarioComparison& scenario : report.scenarios) {
    if (scenario.verdict != Verdict::kOk) {
      results.push_back(SarifResult(report, scenario));
    }
  }
  const Json driver = {
      {"name", "slicewise"}, {"version", report.tool_version}, {"rules", SarifRules(report)}};
  return {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs", Json::array({{{"tool", {{"driver", driver}}}, {"results", results}}})}};
}

Json CheckBenchmark(const CheckReport& report) {
  Json points = Json::array();
  for (const ScenarioComparison& scenario : report.scenarios) {
    for (const TargetComparison& target : scenario.targets) {
      for (Metric metric : {Metric::kLatency, Metric::kCost, Metric::kMemory}) {
        if (target.found.fits) {
          points.push_back(
              {{"name", fmt::format("{} {} {}", scenario.name, Name(target.target), Name(metric))},
               {"unit", metric == Metric::kMemory ? "bytes/chip"
                        : metric == Metric::kCost ? "chip-seconds/token"
                                                  : "seconds"},
               {"value", ValueOf(target.found, metric)},
               {"extra", target.found.layout}});
        }
      }
    }
  }
  return points;
}

}  // namespace slicewise
