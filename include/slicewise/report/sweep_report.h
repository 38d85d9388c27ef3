// The results of searches over slices, batch sizes and weight formats as values, and their
// renderings: `plan` over lists, and `pareto`.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/report/plan_report.h"
#include "slicewise/search/sweep.h"

namespace slicewise {

using Progress = std::function<void(std::size_t done, std::size_t total)>;

struct SweepReport {
  Request request;
  std::vector<PhaseSweep> phases;            // the best points of each phase asked for
  std::vector<DeploymentPoint> deployments;  // with both phases: the best of each slice and format
  std::optional<PairedDeployment> pair;      // with both phases: a slice for each
  // Where one layout was asked for in both phases: the best deployment with two.
  std::optional<DeploymentPoint> with_two_layouts;
  // The plan of the winning slice, batches and format: of the best deployment, or of the one
  // phase's best point. Of the first point where nothing is feasible.
  PlanReport winner;

  // Whether some phase has no feasible point.
  [[nodiscard]] bool infeasible() const;
};

[[nodiscard]] SweepReport MakeSweepReport(const Request& request, const Progress& progress);

[[nodiscard]] std::string SweepText(const SweepReport& report, std::size_t width);
[[nodiscard]] std::string SweepMarkdown(const SweepReport& report);
[[nodiscard]] std::string SweepCsv(const SweepReport& report);
// The winner's plan document with one more member, `sweep`.
[[nodiscard]] nlohmann::ordered_json SweepJson(const SweepReport& report);

// Latency against cost: points that none beats in both, of each phase; with both phases, of
// deployments on one slice too.
struct ParetoReport {
  Request request;
  std::vector<PhaseSweep> phases;
  std::vector<DeploymentPoint> deployments;

  // Whether some phase has no feasible point.
  [[nodiscard]] bool infeasible() const;
};
[[nodiscard]] ParetoReport MakeParetoReport(const Request& request, const Progress& progress);

// A table and a chart of each front.
[[nodiscard]] std::string ParetoText(const ParetoReport& report, std::size_t width);
[[nodiscard]] std::string ParetoMarkdown(const ParetoReport& report);
[[nodiscard]] std::string ParetoCsv(const ParetoReport& report);
[[nodiscard]] nlohmann::ordered_json ParetoJson(const ParetoReport& report);

// What nearly answers a request that nothing answers, a line for each phase: the best that its
// slices reach, and the fewest chips that would do. Empty for phases that have an answer.
[[nodiscard]] std::string OffersText(const Request& request);

}  // namespace slicewise
