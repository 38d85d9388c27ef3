// The result of `check` and its renderings: for people, and in the formats that CI systems read.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/search/compare.h"

namespace slicewise {

struct CheckReport {
  std::string baseline;  // the file's path
  std::string tool_version;
  bool allow_stale = false;  // gains and harmless changes of layout do not fail the check
  std::vector<ScenarioComparison> scenarios;

  [[nodiscard]] bool Fails(Verdict verdict) const;
  [[nodiscard]] bool Fails() const;
  [[nodiscard]] std::size_t Count(Verdict verdict) const;
};

// What there is to say of a scenario, one line each, the worst first: metrics beyond their
// tolerance, layouts, what of the cost moved, and what changed it. Empty where all is as accepted.
[[nodiscard]] std::vector<std::string> Findings(const ScenarioComparison& scenario);
// "20 scenarios: 18 ok, 2 regression".
[[nodiscard]] std::string SummaryLine(const CheckReport& report);

[[nodiscard]] std::string CheckText(const CheckReport& report, std::size_t width = 200);
// A table with arrows, for a pull request.
[[nodiscard]] std::string CheckMarkdown(const CheckReport& report);
// configs/schemas/check.schema.json.
[[nodiscard]] nlohmann::ordered_json CheckJson(const CheckReport& report);
// Workflow commands of GitHub Actions: one annotation per finding, at the scenario's line.
[[nodiscard]] std::string CheckGithub(const CheckReport& report);
// JUnit XML as Jenkins and GitLab read it: one test case per scenario.
[[nodiscard]] std::string CheckJunit(const CheckReport& report);
// SARIF 2.1.0: one result per scenario that is not ok.
[[nodiscard]] nlohmann::ordered_json CheckSarif(const CheckReport& report);
// What github-action-benchmark reads with tool customSmallerIsBetter: latency, cost and memory of
// every target that fits. MFU, of which more is better, moves against latency and is left out.
[[nodiscard]] nlohmann::ordered_json CheckBenchmark(const CheckReport& report);

// A metric's value for people: "28.5 ms", "43.2%", "1.20 ms/token" (of chip time), "21.4 GiB".
[[nodiscard]] std::string FormatMetric(Metric metric, double value);
// "+1.2%".
[[nodiscard]] std::string FormatChange(double fraction);
// "+1.2 ms ffn einsum, -0.3 ms attention all-to-all over xyz": the largest, and no more than three.
[[nodiscard]] std::string FormatTerms(const std::vector<TermChange>& terms);

}  // namespace slicewise
