// The result of `plan` as one value, and its renderings: text, JSON, CSV, Markdown.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/search/breakdown.h"
#include "slicewise/search/deployment.h"
#include "slicewise/search/execution.h"
#include "slicewise/search/request.h"
#include "slicewise/search/search.h"

namespace slicewise {

struct PlanEntry {
  int rank = 1;
  Plan plan;
  std::string layout;       // canonical text
  std::string description;  // in words
  std::vector<BreakdownRow> breakdown;
  std::vector<PaddingRow> padding;
  bool inside_range = true;  // of the calibration
};

struct PhaseReport {
  Phase phase = Phase::kPrefill;
  std::vector<PlanEntry> entries;
  std::size_t layouts = 0;  // enumerated
  std::size_t classes = 0;  // priced
  Rejected rejected;
  std::string nearest_layout;
  std::string why;  // why the first beats the second; empty with fewer than two
  // The best layout that uses R or S, where only the paper's were asked for and it beats them all.
  std::optional<PlanEntry> beyond_paper;
};

struct PlanReport {
  Request request;
  std::vector<PhaseReport> phases;
  std::optional<Deployment> deployment;  // only when both phases were asked for
  // Where one layout was asked for in both phases: the best deployment with two.
  std::optional<Deployment> with_two_layouts;
  // Of the deployment, or of the best plan of the one phase; null where there is none that fits.
  std::optional<Execution> execution;

  // Whether some phase has no feasible plan.
  [[nodiscard]] bool infeasible() const;
};

// Runs the search of a request for one slice and workload (`setting`), and gathers what every
// rendering needs. A filter that names one layout prices it even when it does not fit.
[[nodiscard]] PlanReport MakePlanReport(const Request& request);

// `width` columns are at hand: below what one line per plan needs, each plan takes two.
[[nodiscard]] std::string PlanText(const PlanReport& report, std::size_t width);
[[nodiscard]] std::string PlanMarkdown(const PlanReport& report);
[[nodiscard]] std::string PlanCsv(const PlanReport& report);
// The document of docs/plan-format.md and configs/schemas/plan.schema.json.
[[nodiscard]] nlohmann::ordered_json PlanJson(const PlanReport& report);

// The `execution` section.
[[nodiscard]] nlohmann::ordered_json ExecutionJson(const Execution& execution);

// Parts that other documents share.
[[nodiscard]] nlohmann::ordered_json RequestJson(const PlanReport& report);
[[nodiscard]] nlohmann::ordered_json ProvenanceJson(const PlanReport& report);
[[nodiscard]] nlohmann::ordered_json FiguresJson(const ServingFigures& figures);
// Latency with its interval, step, rate, MFU, cost.
[[nodiscard]] nlohmann::ordered_json PlanFiguresJson(const Plan& plan);
[[nodiscard]] nlohmann::ordered_json PlanEntryJson(const PlanEntry& entry, const Chip& chip);
// What kept each phase from a feasible plan, a line each; empty where nothing did.
[[nodiscard]] std::string InfeasibleText(const PlanReport& report);
// A limit as a person reads it: "needs 41.2 GiB per chip, has 30.8 GiB".
[[nodiscard]] std::string Words(const Violation& violation);
// "PaLM 540B on tpu-v4 4x4x4 (64 chips, v4-128: 128 TensorCores)" and the workload, for headings.
[[nodiscard]] std::string HeadingText(const PlanReport& report);

}  // namespace slicewise
