// Accepted predictions against fresh ones: what was lost, what was gained, and what changed it.
// Pure functions of values; `slicewise check` is built on them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/search/fingerprint.h"
#include "slicewise/search/prediction.h"

namespace slicewise {

// How far a metric may move either way. The edge itself is allowed.
struct Tolerance {
  enum class Kind : std::uint8_t { kRelative, kAbsolute };
  Kind kind = Kind::kRelative;
  double amount = 0.001;  // a fraction of the accepted value, or in the metric's base unit

  [[nodiscard]] bool Allows(double accepted, double found) const;
  bool operator==(const Tolerance&) const = default;
};

struct Tolerances {
  std::array<Tolerance, kMetrics.size()> metrics;  // in the order of kMetrics
  bool any_layout = false;                         // the best layout may change

  bool operator==(const Tolerances&) const = default;
};

// In rising order of gravity: the worst of several stands for them.
enum class Verdict : std::uint8_t {
  kOk,
  kStale,          // better than accepted by more than the tolerance: the baseline gates nothing
  kFeasible,       // accepted as not fitting, but fits: stale too
  kLayoutChanged,  // another best layout, nothing lost
  kMissing,        // nothing was accepted yet, or what was accepted is no longer asked for
  kRegression,     // worse than accepted by more than the tolerance
  kInfeasible,     // fitted, and no longer does
};
// "ok", "stale", "feasible", "layout_changed", "missing", "regression", "infeasible".
[[nodiscard]] std::string_view Name(Verdict verdict);
// One sentence for the rule lists of CI systems.
[[nodiscard]] std::string_view Describe(Verdict verdict);
inline constexpr std::array<Verdict, 7> kVerdicts = {
    Verdict::kOk,      Verdict::kStale,      Verdict::kFeasible,  Verdict::kLayoutChanged,
    Verdict::kMissing, Verdict::kRegression, Verdict::kInfeasible};

struct MetricComparison {
  Metric metric = Metric::kLatency;
  double accepted = 0;
  double found = 0;
  Tolerance tolerance;
  Verdict verdict = Verdict::kOk;  // kOk, kStale or kRegression

  // As a fraction of the accepted value.
  [[nodiscard]] double change() const { return accepted == 0 ? 0 : found / accepted - 1; }
};

// What of the cost changed by how much; `before` or `after` is 0 where a term is new or gone.
struct TermChange {
  std::string name;
  Seconds before;
  Seconds after;

  [[nodiscard]] Seconds change() const { return after - before; }
};

struct TargetComparison {
  Target target = Target::kPrefill;
  Verdict verdict = Verdict::kOk;
  TargetPrediction accepted;
  TargetPrediction found;
  std::vector<MetricComparison> metrics;  // empty unless both fit
  std::vector<TermChange> terms;          // that differ, largest change first
};

// One comparison per target of either side, in the order of kTargets.
[[nodiscard]] std::vector<TargetComparison> Compare(const std::vector<TargetPrediction>& accepted,
                                                    const std::vector<TargetPrediction>& found,
                                                    const Tolerances& tolerances);

// The terms that differ, largest change first.
[[nodiscard]] std::vector<TermChange> TermChanges(const std::vector<CostTerm>& before,
                                                  const std::vector<CostTerm>& after);

enum class Cause : std::uint8_t {
  kRequest,
  kModel,
  kChip,
  kCalibration,
  kTool,       // its version
  kCostModel,  // same inputs, same version: the accepted layout is priced otherwise
  kSearch,     // same inputs, same version, same price: another layout is found
};
// "request", "model", "chip", "calibration", "tool version", "cost model", "search".
[[nodiscard]] std::string_view Name(Cause cause);

// Every input that differs from the accepted ones. Where none does, the accepted layouts are priced
// again to tell the cost model from the search; where no layout was accepted, it may be either.
[[nodiscard]] std::vector<Cause> CausesOf(const Inputs& accepted, const Request& request,
                                          const std::vector<TargetComparison>& targets);

struct ScenarioComparison {
  std::string name;
  std::size_t line = 0;  // of the scenario in the baseline file, from 1
  Verdict verdict = Verdict::kOk;
  std::vector<TargetComparison> targets;
  std::vector<Cause> causes;     // empty where nothing is to be explained
  std::string accepted_version;  // of the tool
};

}  // namespace slicewise
