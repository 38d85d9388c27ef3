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
  entry.plan.violation = plan.violation;
  entry.layout = ToString(plan.layout, evaluator.mesh());
  entry.description = Describe(plan.layout, evaluator.mesh());
  entry.breakdown = Breakdown(evaluator);
  entry.padding = Padding(evaluator.program());
  entry.inside_range = InsideRange(evaluator.setting().calibration, evaluator.setting().slice,
                                   evaluator.setting().workload, plan.phase);
  return entry;
}

// The best layout beyond the paper's, if it beats the best of them.
std::optional<PlanEntry> BeyondPaper(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                                     const Request& request, const std::vector<Plan>& plans) {
  if (request.layouts != LayoutSpace::kPaper || filter.beyond_paper() || filter.exact()) {
    return std::nullopt;
  }
  const PhasePlans all =
      SearchPhase(evaluator, filter, phase, request.objective, request.targets, LayoutSpace::kAll);
  const bool better =
      !all.plans.empty() && IsBeyondPaper(all.plans.front().layout, evaluator.mesh()) &&
      (plans.empty() ||
       Better(all.plans.front(), plans.front(), request.objective, evaluator.mesh()));
  return better ? std::optional(MakeEntry(evaluator, all.plans.front(), 1)) : std::nullopt;
}

PhaseReport MakePhaseReport(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                            const Request& request) {
  const std::size_t top = request.top;
  PhasePlans found =
      SearchPhase(evaluator, filter, phase, request.objective, request.targets, request.layouts);
  PhaseReport report;
  report.phase = phase;
  report.layouts = found.layouts;
  report.classes = found.plans.size() + found.rejected.count;
  report.rejected = found.rejected;
  report.beyond_paper = BeyondPaper(evaluator, filter, phase, request, found.plans);
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

PlanReport MakePlanReport(const Request& request) {
  PlanReport report;
  report.request = request;
  Evaluator evaluator(request.setting);
  const LayoutFilter filter(request.layout, evaluator.mesh());
  for (Phase phase : request.phases) {
    report.phases.push_back(MakePhaseReport(evaluator, filter, phase, request));
  }
  if (request.phases.size() == 2 && !report.infeasible()) {
    DeploymentOptions options = OptionsOf(request);
    report.deployment = SearchDeployment(evaluator, filter, options);
    if (request.same_layout) {
      options.same_layout = false;
      report.with_two_layouts = SearchDeployment(evaluator, filter, options);
    }
  }
  if (const std::optional<ExecutionLayouts> layouts = LayoutsToExecute(report)) {
    report.execution = MakeExecution(request.setting, *layouts);
  }
  return report;
}

}  // namespace slicewise
