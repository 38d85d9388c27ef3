#include "slicewise/search/compare.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

// Predictions carry nine digits, so a difference of two is known to about this fraction of either.
constexpr double kRounding = 2e-9;

const TargetPrediction* Find(const std::vector<TargetPrediction>& predictions, Target target) {
  const auto at = std::find_if(predictions.begin(), predictions.end(),
                               [&](const TargetPrediction& p) { return p.target == target; });
  return at == predictions.end() ? nullptr : &*at;
}

MetricComparison CompareMetric(Metric metric, const TargetPrediction& accepted,
                               const TargetPrediction& found, const Tolerances& tolerances) {
  MetricComparison comparison = {metric,
                                 ValueOf(accepted, metric),
                                 ValueOf(found, metric),
                                 tolerances.metrics[static_cast<std::size_t>(metric)],
                                 {}};
  if (!comparison.tolerance.Allows(comparison.accepted, comparison.found)) {
    const bool more = comparison.found > comparison.accepted;
    comparison.verdict = more == MoreIsBetter(metric) ? Verdict::kStale : Verdict::kRegression;
  }
  return comparison;
}

// Fills in the verdict of a target of which both sides have a prediction.
void Judge(TargetComparison& comparison, const Tolerances& tolerances) {
  const TargetPrediction& accepted = comparison.accepted;
  const TargetPrediction& found = comparison.found;
  if (!accepted.fits || !found.fits) {
    comparison.verdict = accepted.fits == found.fits ? Verdict::kOk
                         : found.fits                ? Verdict::kFeasible
                                                     : Verdict::kInfeasible;
    return;
  }
  if (accepted.layout != found.layout && !tolerances.any_layout) {
    comparison.verdict = Verdict::kLayoutChanged;
  }
  for (Metric metric : kMetrics) {
    comparison.metrics.push_back(CompareMetric(metric, accepted, found, tolerances));
    comparison.verdict = std::max(comparison.verdict, comparison.metrics.back().verdict);
  }
  comparison.terms = TermChanges(accepted.terms, found.terms);
}

// Whether the accepted plan of a phase is priced today as it was.
bool PricedAsAccepted(Evaluator& evaluator, const TargetPrediction& accepted) {
  const Phase phase = accepted.target == Target::kPrefill ? Phase::kPrefill : Phase::kDecode;
  std::optional<Plan> plan;
  try {
    plan = evaluator.Evaluate(ParseLayout(accepted.layout, evaluator.mesh()), phase);
  } catch (const InputError&) {
    return false;  // a layout of another tool
  }
  const auto near = [](double a, double b) { return std::abs(a - b) <= kRounding * std::abs(b); };
  return plan && near(plan->latency.base(), accepted.latency.base()) &&
         near(plan->memory.total().base(), accepted.memory.base());
}

}  // namespace

bool Tolerance::Allows(double accepted, double found) const {
  const double allowed = kind == Kind::kRelative ? amount * std::abs(accepted) : amount;
  return std::abs(found - accepted) <= allowed + kRounding * std::abs(accepted);
}

std::string_view Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kStale:
      return "stale";
    case Verdict::kFeasible:
      return "feasible";
    case Verdict::kLayoutChanged:
      return "layout_changed";
    case Verdict::kMissing:
      return "missing";
    case Verdict::kRegression:
      return "regression";
    case Verdict::kInfeasible:
      return "infeasible";
  }
  return "";
}

std::string_view Describe(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "The prediction is as accepted.";
    case Verdict::kStale:
      return "The prediction is better than accepted by more than the tolerance.";
    case Verdict::kFeasible:
      return "The scenario was accepted as not fitting, and fits.";
    case Verdict::kLayoutChanged:
      return "Another layout is the best, and nothing is lost.";
    case Verdict::kMissing:
      return "Nothing is accepted yet, or what is accepted is no longer asked for.";
    case Verdict::kRegression:
      return "The prediction is worse than accepted by more than the tolerance.";
    case Verdict::kInfeasible:
      return "The scenario fitted, and no longer does.";
  }
  return "";
}

std::vector<TargetComparison> Compare(const std::vector<TargetPrediction>& accepted,
                                      const std::vector<TargetPrediction>& found,
                                      const Tolerances& tolerances) {
  std::vector<TargetComparison> comparisons;
  for (Target target : kTargets) {
    const TargetPrediction* before = Find(accepted, target);
    const TargetPrediction* after = Find(found, target);
    if (before == nullptr && after == nullptr) {
      continue;
    }
    TargetComparison& comparison = comparisons.emplace_back();
    comparison.target = target;
    comparison.accepted = before == nullptr ? TargetPrediction{.target = target} : *before;
    comparison.found = after == nullptr ? TargetPrediction{.target = target} : *after;
    if (before == nullptr || after == nullptr) {
      comparison.verdict = Verdict::kMissing;
    } else {
      Judge(comparison, tolerances);
    }
  }
  return comparisons;
}

std::vector<TermChange> TermChanges(const std::vector<CostTerm>& before,
                                    const std::vector<CostTerm>& after) {
  std::vector<TermChange> changes;
  for (const CostTerm& term : before) {
    changes.push_back({term.name, term.exposed, {}});
  }
  for (const CostTerm& term : after) {
    const auto at = std::find_if(changes.begin(), changes.end(), [&](const TermChange& change) {
      return change.name == term.name;
    });
    if (at == changes.end()) {
      changes.push_back({term.name, {}, term.exposed});
    } else {
      at->after = term.exposed;
    }
  }
  std::erase_if(changes, [](const TermChange& change) { return change.before == change.after; });
  std::stable_sort(changes.begin(), changes.end(), [](const TermChange& a, const TermChange& b) {
    return std::abs(a.change().base()) > std::abs(b.change().base());
  });
  return changes;
}

std::string_view Name(Cause cause) {
  switch (cause) {
    case Cause::kRequest:
      return "request";
    case Cause::kModel:
      return "model";
    case Cause::kChip:
      return "chip";
    case Cause::kCalibration:
      return "calibration";
    case Cause::kTool:
      return "tool version";
    case Cause::kCostModel:
      return "cost model";
    case Cause::kSearch:
      return "search";
  }
  return "";
}

std::vector<Cause> CausesOf(const Inputs& accepted, const Request& request,
                            const std::vector<TargetComparison>& targets) {
  const Inputs found = InputsOf(request);
  std::vector<Cause> causes;
  const auto add = [&](const std::string& before, const std::string& after, Cause cause) {
    if (before != after) {
      causes.push_back(cause);
    }
  };
  add(accepted.request, found.request, Cause::kRequest);
  add(accepted.model, found.model, Cause::kModel);
  add(accepted.chip, found.chip, Cause::kChip);
  add(accepted.calibration, found.calibration, Cause::kCalibration);
  add(accepted.version, found.version, Cause::kTool);
  if (!causes.empty()) {
    return causes;
  }
  Evaluator evaluator(request.setting);
  bool priced = false;
  for (const TargetComparison& comparison : targets) {
    const TargetPrediction& before = comparison.accepted;
    if (!before.fits || before.target == Target::kDeployment) {
      continue;
    }
    priced = true;
    if (!PricedAsAccepted(evaluator, before)) {
      return {Cause::kCostModel};
    }
  }
  return priced ? std::vector{Cause::kSearch} : std::vector{Cause::kCostModel, Cause::kSearch};
}

}  // namespace slicewise
