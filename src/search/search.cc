#include "slicewise/search/search.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <tuple>

#include "slicewise/program/reshard.h"
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
  }
  return 0;
}

// How the latest plan's stored heads are ordered over chips: with grouped-query attention, axes
// that stay in heads come first, so two phases share their weights only when they agree. Axes that
// do not shard the stored heads matter only before ones that do.
std::string StoredHeadOrder(const Evaluator& evaluator) {
  const Program& program = evaluator.program();
  const Model& model = evaluator.setting().model;
  if (model.multihead() || model.multiquery() || !model.has_attention()) {
    return "";
  }
  AxisSet stored;
  AxisSet kv_stored;
  for (const Tensor& tensor : program.tensors) {
    if (tensor.role == TensorRole::kQueryWeights) {
      stored = tensor.ShardingOf(Dim::kHeads);
    } else if (tensor.role == TensorRole::kKeyWeights) {
      kv_stored = tensor.ShardingOf(Dim::kKvHeads);
    }
  }
  const AxisOrder& order = program.dim(Dim::kHeads).order;
  std::string text;
  std::size_t significant = 0;
  for (int i = 0; i < order.size(); ++i) {
    text += program.mesh.name(order[i]);
    significant = stored.Has(order[i]) ? text.size() : significant;
  }
  return text.substr(0, significant) + "/" + program.mesh.Names(kv_stored);
}

struct BestPair {
  std::optional<Plan> prefill;
  std::optional<Plan> decode;
};

void Offer(const Plan& plan, std::optional<Plan>& best, const Mesh& mesh) {
  if (!best || Better(plan, *best, Objective::kLatency, mesh)) {
    best = plan;
  }
}

// Head counts that can serve both phases of a weights part: the fewest for each pair of head ways.
std::set<std::int64_t> SharedHeadCounts(const Evaluator& evaluator,
                                        const std::vector<Layout>& layouts) {
  if (evaluator.setting().padded_heads != 0) {
    return {evaluator.setting().padded_heads};
  }
  std::set<std::int64_t> ways;
  for (const Layout& layout : layouts) {
    ways.insert(HeadWays(layout, evaluator.mesh()));
  }
  std::set<std::int64_t> counts;
  for (std::int64_t a : ways) {
    for (std::int64_t b : ways) {
      counts.insert(PaddedHeads(evaluator.setting().model, std::lcm(a, b)));
    }
  }
  return counts;
}

// What the filter matches. Without attention the attention part means nothing, and one choice of it
// stands for all.
std::vector<Layout> LayoutsToPrice(const Evaluator& evaluator, const LayoutFilter& filter) {
  std::vector<Layout> layouts = EnumerateLayouts(evaluator.mesh(), filter);
  if (!evaluator.setting().model.has_attention() && !filter.exact()) {
    std::erase_if(layouts,
                  [](const Layout& layout) { return layout.attention_batch != layout.gathered; });
  }
  return layouts;
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
  }
  return "";
}

bool Better(const Plan& a, const Plan& b, Objective objective, const Mesh& mesh) {
  const auto key = [&](const Plan& plan) {
    return std::tuple(Excess(plan), Score(plan, objective), plan.latency, plan.memory.total());
  };
  const auto key_a = key(a);
  const auto key_b = key(b);
  return key_a != key_b ? key_a < key_b : ToString(a.layout, mesh) < ToString(b.layout, mesh);
}

PhasePlans SearchPhase(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                       Objective objective) {
  const Mesh& mesh = evaluator.mesh();
  PhasePlans result;
  result.phase = phase;
  const std::vector<Layout> layouts = LayoutsToPrice(evaluator, filter);
  result.layouts = layouts.size();
  for (const Layout& layout : ClassRepresentatives(layouts, mesh)) {
    const std::optional<Plan> plan = evaluator.Evaluate(layout, phase);
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

std::optional<Deployment> SearchDeployment(Evaluator& evaluator, const LayoutFilter& filter) {
  const Mesh& mesh = evaluator.mesh();
  std::vector<Layout> layouts = LayoutsToPrice(evaluator, filter);
  const Model& model = evaluator.setting().model;
  if (model.multihead() || model.multiquery() || !model.has_attention()) {
    // With grouped-query attention relabelling changes the order of stored heads, on which the two
    // phases must agree; otherwise one layout stands for its class.
    layouts = ClassRepresentatives(layouts, mesh);
  }
  const std::set<std::int64_t> counts = SharedHeadCounts(evaluator, layouts);
  std::map<std::tuple<AxisSet, AxisSet, std::int64_t, std::string>, BestPair> best;
  for (const Layout& layout : layouts) {
    for (std::int64_t count : counts) {
      for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
        const std::optional<Plan> plan = evaluator.Evaluate(layout, phase, count);
        if (plan && plan->fits()) {
          BestPair& pair =
              best[{layout.weights_embed, layout.replicas, count, StoredHeadOrder(evaluator)}];
          Offer(*plan, phase == Phase::kPrefill ? pair.prefill : pair.decode, mesh);
        }
      }
    }
  }
  std::optional<Deployment> chosen;
  for (const auto& [key, pair] : best) {
    if (!pair.prefill || !pair.decode) {
      continue;
    }
    const Seconds latency = pair.prefill->latency + pair.decode->latency;
    if (!chosen || latency < chosen->latency) {
      chosen = Deployment{.prefill = *pair.prefill,
                          .decode = *pair.decode,
                          .stored_heads = pair.prefill->stored_heads,
                          .latency = latency};
    }
  }
  if (chosen) {
    const Setting& s = evaluator.setting();
    const double tokens = s.workload.tokens(Phase::kPrefill) + s.workload.tokens(Phase::kDecode);
    chosen->mfu = FlopsOf(2 * MfuParameters(s.model) * tokens) /
                  (s.chip.peak_bf16 * chosen->latency * static_cast<double>(s.slice.chips()));
    chosen->kv_reshard = KvReshardTime(evaluator, chosen->prefill, chosen->decode);
  }
  return chosen;
}

Seconds KvReshardTime(const Evaluator& evaluator, const Plan& prefill, const Plan& decode) {
  const Setting& s = evaluator.setting();
  Program program;
  LowerKvReshard({&s.model, &s.workload, Phase::kPrefill, prefill.stored_heads}, prefill.layout,
                 decode.layout, evaluator.mesh(), program);
  Calibration calibration = s.calibration;
  calibration.step_latency = 0;  // no forward pass is made
  PhaseCost cost;
  CostModel(s.chip, evaluator.mesh(), calibration, s.network).Price(program, cost);
  return cost.latency;
}

}  // namespace slicewise
