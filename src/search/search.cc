#include "slicewise/search/search.h"

#include <algorithm>
#include <tuple>

#include "slicewise/search/enumerate.h"

namespace slicewise {
namespace {

double Excess(const Plan& plan) {
  return plan.violation ? plan.violation->needed / plan.violation->available : 0;
}

double Score(const Plan& plan, Objective objective) {
  switch (objective) {
    case Objective::kLatency:
      return plan.latency.base();
    case Objective::kMfu:
      return -plan.mfu;
    case Objective::kCost:
      return plan.chip_seconds_per_token.base();
    case Objective::kThroughput:
      return -plan.tokens_per_second;
  }
  return 0;
}

}  // namespace

std::string_view Name(Objective objective) {
  switch (objective) {
    case Objective::kLatency:
      return "latency";
    case Objective::kMfu:
      return "mfu";
    case Objective::kCost:
      return "cost";
    case Objective::kThroughput:
      return "throughput";
  }
  return "";
}

bool Better(const Plan& a, const Plan& b, Objective objective, const Mesh& mesh) {
  const auto key = [&](const Plan& plan) {
    return std::tuple(Excess(plan), Score(plan, objective), plan.latency, plan.memory.total());
  };
  const auto key_a = key(a);
  const auto key_b = key(b);
  return key_a != key_b ? key_a < key_b
                        : LayoutText(a.layout, mesh).view() < LayoutText(b.layout, mesh).view();
}

std::vector<Layout> LayoutsToPrice(const Model& model, const Mesh& mesh, const LayoutFilter& filter,
                                   LayoutSpace space) {
  std::vector<Layout> layouts = EnumerateLayouts(mesh, filter, space);
  if (!model.has_attention() && !filter.exact()) {
    std::erase_if(layouts, [](const Layout& layout) {
      return layout.attention_batch != (layout.gathered | layout.replicas) ||
             !layout.attention_sequence.empty();
    });
  }
  return layouts;
}

PhasePlans SearchPhase(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                       Objective objective, const Targets& targets, LayoutSpace space) {
  const Mesh& mesh = evaluator.mesh();
  const Setting& setting = evaluator.setting();
  PhasePlans result;
  result.phase = phase;
  const std::vector<Layout> layouts = LayoutsToPrice(setting.model, mesh, filter, space);
  result.layouts = layouts.size();
  for (const Layout& layout : ClassRepresentatives(layouts, mesh)) {
    std::optional<Plan> plan = evaluator.Evaluate(layout, phase);
    if (plan) {
      plan->violation = MissedBy(*plan, setting.workload, setting.chip, targets);
    }
    if (plan && plan->fits()) {
      result.plans.push_back(*plan);
      continue;
    }
    ++result.rejected.count;
    ++result.rejected.by_reason[plan ? std::string(Name(plan->violation->code)) : "pad_heads"];
    if (plan &&
        (!result.rejected.nearest || Better(*plan, *result.rejected.nearest, objective, mesh))) {
      result.rejected.nearest = plan;
    }
  }
  std::sort(result.plans.begin(), result.plans.end(),
            [&](const Plan& a, const Plan& b) { return Better(a, b, objective, mesh); });
  return result;
}

}  // namespace slicewise
