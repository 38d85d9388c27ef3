// The result of `plan` as one value, and its renderings: text, JSON, CSV, Markdown.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/search/breakdown.h"
#include "slicewise/search/execution.h"
#include "slicewise/search/search.h"

namespace slicewise {

// Where the inputs came from.
struct Provenance {
  std::string tool_version;
  std::string model_source;
  std::string chip_source;
  std::string calibration_source;
  std::vector<std::string> notes;  // what the person must hear of, one line each
};

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
};

struct PlanReport {
  Setting setting;
  Provenance provenance;
  std::string layout_filter;
  Objective objective = Objective::kLatency;
  std::vector<PhaseReport> phases;
  std::optional<Deployment> deployment;  // only when both phases were asked for
  // Of the deployment, or of the best plan of the one phase; null where there is none that fits.
  std::optional<Execution> execution;

  // Whether some phase has no feasible plan.
  [[nodiscard]] bool infeasible() const;
};

// Runs the search and gathers what every rendering needs. A filter that names one layout prices it
// even when it does not fit.
[[nodiscard]] PlanReport MakePlanReport(const Setting& setting, const Provenance& provenance,
                                        const std::vector<Phase>& phases,
                                        const std::string& layout_filter, Objective objective,
                                        std::size_t top);

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
[[nodiscard]] nlohmann::ordered_json PlanEntryJson(const PlanEntry& entry, const Chip& chip);
// "PaLM 540B on tpu-v4 4x4x4 (64 chips, v4-128: 128 TensorCores)" and the workload, for headings.
[[nodiscard]] std::string HeadingText(const PlanReport& report);

}  // namespace slicewise
