#include "slicewise/report/plan_report.h"

#include <algorithm>

#include "slicewise/search/enumerate.h"

namespace slicewise {
namespace {

PlanEntry MakeEntry(Evaluator& evaluator, const Plan& plan, int rank) {
  // Priced afresh: the search keeps plans, not breakdowns.
  const std::optional<Plan> again = evaluator.Evaluate(plan.layout, plan.phase, plan.stored_heads);
  PlanEntry entry;
  entry.rank = rank;
  entry.plan = *again;
  entry.layout = ToString(plan.layout, evaluator.mesh());
  entry.description = Describe(plan.layout, evaluator.mesh());
  entry.breakdown = Breakdown(evaluator);
  entry.padding = Padding(evaluator.program());
  entry.inside_range =
      InsideRange(evaluator.setting().calibration, evaluator.setting(), plan.phase);
  return entry;
}

PhaseReport MakePhaseReport(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                            Objective objective, std::size_t top) {
  PhasePlans found = SearchPhase(evaluator, filter, phase, objective);
  PhaseReport report;
  report.phase = phase;
  report.layouts = found.layouts;
  report.classes = found.plans.size() + found.rejected.count;
  report.rejected = found.rejected;
  if (filter.exact() && found.plans.empty() && found.rejected.nearest) {
    found.plans.push_back(*found.rejected.nearest);
  }
  if (found.rejected.nearest) {
    report.nearest_layout = ToString(found.rejected.nearest->layout, evaluator.mesh());
  }
  const std::size_t kept = std::min(std::max<std::size_t>(top, 2), found.plans.size());
  for (std::size_t i = 0; i < kept; ++i) {
    report.entries.push_back(MakeEntry(evaluator, found.plans[i], static_cast<int>(i) + 1));
  }
  if (report.entries.size() > 1) {
    report.why = WhyFaster(report.entries[0].breakdown, report.entries[1].breakdown);
  }
  report.entries.resize(std::min(top, report.entries.size()));
  return report;
}

// The layouts that a runtime is to execute; nullopt where no plan fits.
std::optional<ExecutionLayouts> LayoutsToExecute(const PlanReport& report) {
  if (report.infeasible()) {
    return std::nullopt;
  }
  if (report.phases.size() == 1) {
    const Plan& plan = report.phases.front().entries.front().plan;
    ExecutionLayouts layouts;
    (plan.phase == Phase::kPrefill ? layouts.prefill : layouts.decode) = plan.layout;
    layouts.stored_heads = plan.stored_heads;
    return layouts;
  }
  if (!report.deployment) {
    return std::nullopt;
  }
  return ExecutionLayouts{.prefill = report.deployment->prefill.layout,
                          .decode = report.deployment->decode.layout,
                          .stored_heads = report.deployment->stored_heads};
}

}  // namespace

bool PlanReport::infeasible() const {
  return std::any_of(phases.begin(), phases.end(), [](const PhaseReport& phase) {
    return phase.entries.empty() || !phase.entries.front().plan.fits();
  });
}

PlanReport MakePlanReport(const Setting& setting, const Provenance& provenance,
                          const std::vector<Phase>& phases, const std::string& layout_filter,
                          Objective objective, std::size_t top) {
  PlanReport report;
  report.setting = setting;
  report.provenance = provenance;
  report.layout_filter = layout_filter;
  report.objective = objective;
  Evaluator evaluator(setting);
  const LayoutFilter filter(layout_filter, evaluator.mesh());
  for (Phase phase : phases) {
    report.phases.push_back(MakePhaseReport(evaluator, filter, phase, objective, top));
  }
  if (phases.size() == 2 && !report.infeasible()) {
    report.deployment = SearchDeployment(evaluator, filter);
  }
  if (const std::optional<ExecutionLayouts> layouts = LayoutsToExecute(report)) {
    report.execution = MakeExecution(setting, *layouts);
  }
  return report;
}

}  // namespace slicewise
