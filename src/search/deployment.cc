#include "slicewise/search/deployment.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "slicewise/program/reshard.h"
#include "slicewise/search/front.h"

namespace slicewise {
namespace {

// What two phases must agree on to share their stored weights.
struct StoredWeights {
  AxisSet embed, replicas;
  std::int64_t heads = 0;
  std::uint64_t head_order = 0;

  auto operator<=>(const StoredWeights&) const = default;
};

// How the latest plan's stored heads are ordered over chips: with grouped-query attention, axes
// that stay in heads come first, so two phases share their weights only when they agree. Axes that
// do not shard the stored heads matter only before ones that do. Digits of the order up to the last
// axis that counts, then the axes that shard KV heads.
std::uint64_t StoredHeadOrder(const Evaluator& evaluator) {
  const Program& program = evaluator.program();
  const Model& model = evaluator.setting().model;
  if (model.multihead() || model.multiquery() || !model.has_attention()) {
    return 0;
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
  std::uint64_t digits = 0;
  std::uint64_t significant = 0;
  for (int i = 0; i < order.size(); ++i) {
    digits = digits * (kMaxMeshAxes + 1) + static_cast<std::uint64_t>(order[i]) + 1;
    significant = stored.Has(order[i]) ? digits : significant;
  }
  return significant << 8U | kv_stored.bits();
}

struct Choice {
  Plan plan;
  std::int64_t batch = 1;
  Seconds term;  // what the phase adds to the score of a pair

  [[nodiscard]] Seconds per_request() const { return plan.latency / static_cast<double>(batch); }
  // No worse in anything that a pair's latency, rate and memory depend on, and better in something.
  [[nodiscard]] bool Beats(const Choice& other) const {
    const auto worse = [&](auto a, auto b) { return a > b; };
    const MemoryUse& m = plan.memory;
    const MemoryUse& o = other.plan.memory;
    const Bytes passing = m.total() - m.weights - m.kv_cache;
    const Bytes other_passing = o.total() - o.weights - o.kv_cache;
    if (worse(plan.latency, other.plan.latency) || worse(per_request(), other.per_request()) ||
        worse(m.weights, o.weights) || worse(m.kv_cache, o.kv_cache) ||
        worse(passing, other_passing)) {
      return false;
    }
    return plan.latency < other.plan.latency || per_request() < other.per_request();
  }
};

struct Pair {
  Choice prefill, decode;
};

struct Choices {
  std::vector<Choice> prefill, decode;
};

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

class Search {
 public:
  Search(Evaluator& evaluator, const LayoutFilter& filter, const DeploymentOptions& options)
      : evaluator_(evaluator), options_(options), workload_(evaluator.setting().workload) {
    const Model& model = evaluator.setting().model;
    layouts_ = LayoutsToPrice(model, evaluator.mesh(), filter, options.space);
    if (model.multihead() || model.multiquery() || !model.has_attention()) {
      // With grouped-query attention relabelling changes the order of stored heads, on which the
      // two phases must agree; otherwise one layout stands for its class.
      layouts_ = ClassRepresentatives(layouts_, evaluator.mesh());
    }
  }

  std::optional<Deployment> Best() {
    PriceAll();
    for (auto& [key, choices] : choices_) {
      Join(choices);
    }
    if (best_) {
      Finish(*best_);
    }
    return best_;
  }

  std::vector<Deployment> Front() {
    PriceAll();
    std::vector<Pair> pairs;
    for (auto& [key, choices] : choices_) {
      const std::vector<Choice> decodes = Undominated(choices.decode);
      for (const Choice& prefill : Undominated(choices.prefill)) {
        for (const Choice& decode : decodes) {
          if (Allowed(prefill, decode)) {
            pairs.push_back({prefill, decode});
          }
        }
      }
    }
    KeepFront(pairs, [](const Pair& pair) {
      return std::tuple(pair.prefill.plan.latency + pair.decode.plan.latency,
                        pair.prefill.per_request() + pair.decode.per_request());
    });
    std::vector<Deployment> front;
    for (const Pair& pair : pairs) {
      front.push_back(Joined(pair.prefill, pair.decode));
      Finish(front.back());
    }
    return front;
  }

 private:
  void PriceAll() {
    const std::set<std::int64_t> counts = SharedHeadCounts(evaluator_, layouts_);
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      std::vector<BatchFigures> batches;
      for (std::int64_t batch : BatchesOf(phase)) {
        batches.push_back(evaluator_.FiguresOf(phase, batch));
      }
      for (const Layout& layout : layouts_) {
        for (std::int64_t heads : counts) {
          Price(layout, heads, phase, batches);
        }
      }
    }
  }

  [[nodiscard]] std::vector<std::int64_t> BatchesOf(Phase phase) const {
    const auto& asked =
        phase == Phase::kPrefill ? options_.prefill_batches : options_.decode_batches;
    return asked.empty() ? std::vector{workload_.batch(phase)} : asked;
  }

  // A pair with a choice that another beats is beaten by the pair with that other; where both
  // phases have one layout, only if the other has that layout too.
  [[nodiscard]] std::vector<Choice> Undominated(const std::vector<Choice>& choices) const {
    std::vector<Choice> kept;
    for (const Choice& a : choices) {
      if (std::none_of(choices.begin(), choices.end(), [&](const Choice& b) {
            return b.Beats(a) && (!options_.same_layout || b.plan.layout == a.plan.layout);
          })) {
        kept.push_back(a);
      }
    }
    return kept;
  }

  [[nodiscard]] bool Allowed(const Choice& prefill, const Choice& decode) const {
    return (!options_.same_layout || prefill.plan.layout == decode.plan.layout) &&
           JointMemory(prefill.plan, decode.plan) <= evaluator_.setting().chip.hbm_usable;
  }

  Deployment Joined(const Choice& prefill, const Choice& decode) {
    return {.prefill = prefill.plan,
            .decode = decode.plan,
            .prefill_batch = prefill.batch,
            .decode_batch = decode.batch,
            .stored_heads = prefill.plan.stored_heads,
            .latency = prefill.plan.latency + decode.plan.latency,
            .kv_reshard = Reshard(prefill, decode),
            .memory = JointMemory(prefill.plan, decode.plan)};
  }

  [[nodiscard]] bool by_latency() const { return options_.objective == Objective::kLatency; }

  // Lowered once for all batches that share its ops.
  void Price(const Layout& layout, std::int64_t heads, Phase phase,
             const std::vector<BatchFigures>& batches) {
    PlanCurve curve;
    Choices* choices = nullptr;
    for (const BatchFigures& batch : batches) {
      if (!curve.Covers(batch.batch)) {
        if (!evaluator_.Trace(layout, phase, batch.batch, curve, heads)) {
          return;
        }
        choices =
            &choices_[{layout.weights_embed, layout.replicas, heads, StoredHeadOrder(evaluator_)}];
      }
      const Plan plan = evaluator_.At(curve, batch);
      const Setting& setting = evaluator_.setting();
      if (!MissedBy(plan, setting.workload, setting.chip, options_.targets)) {
        Choice choice = {plan, batch.batch, plan.latency};
        choice.term = by_latency() ? plan.latency : choice.per_request();
        (phase == Phase::kPrefill ? choices->prefill : choices->decode).push_back(choice);
      }
    }
  }

  // Least term first; then as plans are ranked; then the larger batch, which serves more for the
  // same.
  void Sort(std::vector<Choice>& choices) const {
    const auto better = [&](const Choice& a, const Choice& b) {
      return Better(a.plan, b.plan, Objective::kLatency, evaluator_.mesh());
    };
    std::sort(choices.begin(), choices.end(), [&](const Choice& a, const Choice& b) {
      if (a.term != b.term) {
        return a.term < b.term;
      }
      return better(a, b) || (!better(b, a) && a.batch > b.batch);
    });
  }

  // Pairs in order of their terms' sum, which no reshard makes smaller.
  void Join(Choices& choices) {
    Sort(choices.prefill);
    Sort(choices.decode);
    for (const Choice& prefill : choices.prefill) {
      for (const Choice& decode : choices.decode) {
        const Seconds sum = prefill.term + decode.term;
        if (best_ && sum >= score_) {
          break;
        }
        if (Allowed(prefill, decode)) {
          Offer(prefill, decode, sum);
        }
      }
    }
  }

  void Offer(const Choice& prefill, const Choice& decode, Seconds sum) {
    const Deployment found = Joined(prefill, decode);
    const auto batch = static_cast<double>(prefill.batch);
    const Seconds score = by_latency() ? sum : sum + found.kv_reshard / batch;
    if (!best_ || score < score_) {
      score_ = score;
      best_ = found;
    }
  }

  Seconds Reshard(const Choice& prefill, const Choice& decode) {
    Workload work = workload_;
    work.prefill_batch = prefill.batch;
    evaluator_.SetWorkload(work);
    const Seconds time = KvReshardTime(evaluator_, prefill.plan, decode.plan);
    evaluator_.SetWorkload(workload_);
    return time;
  }

  void Finish(Deployment& found) const {
    const Setting& s = evaluator_.setting();
    const auto prefill_batch = static_cast<double>(found.prefill_batch);
    const auto decode_batch = static_cast<double>(found.decode_batch);
    const double tokens = prefill_batch * static_cast<double>(s.workload.input_length) +
                          decode_batch * static_cast<double>(s.workload.output_length);
    const auto chips = static_cast<double>(s.slice.chips());
    found.mfu = Mfu(MfuParameters(s.model), tokens, s.chip, found.latency * chips);
    const Seconds per_request = (found.prefill.latency + found.kv_reshard) / prefill_batch +
                                found.decode.latency / decode_batch;
    found.figures = FiguresOf(s.workload, s.chip, chips, found.prefill, found.decode, per_request);
  }

  Evaluator& evaluator_;
  const DeploymentOptions& options_;
  const Workload workload_;
  std::vector<Layout> layouts_;
  std::map<StoredWeights, Choices> choices_;
  std::optional<Deployment> best_;
  Seconds score_;
};

}  // namespace

std::optional<Deployment> SearchDeployment(Evaluator& evaluator, const LayoutFilter& filter,
                                           const DeploymentOptions& options) {
  return Search(evaluator, filter, options).Best();
}

std::vector<Deployment> DeploymentFront(Evaluator& evaluator, const LayoutFilter& filter,
                                        const DeploymentOptions& options) {
  std::vector<Deployment> front = Search(evaluator, filter, options).Front();
  // Cheapest with the KV cache moved may be a pair that is not without.
  DeploymentOptions by_cost = options;
  by_cost.objective = Objective::kCost;
  if (const std::optional<Deployment> cheapest = SearchDeployment(evaluator, filter, by_cost)) {
    front.push_back(*cheapest);
  }
  KeepFront(front, [](const Deployment& deployment) {
    return std::tuple(deployment.latency, -deployment.figures.tokens_per_chip_second);
  });
  return front;
}

Bytes JointMemory(const Plan& prefill, const Plan& decode) {
  const MemoryUse& first = prefill.memory;
  const MemoryUse& second = decode.memory;
  const Bytes prefilling =
      first.kv_cache + first.activations + first.gathered_weights + first.logits;
  const Bytes decoding = second.activations + second.gathered_weights + second.logits;
  return std::max(first.weights, second.weights) + second.kv_cache + std::max(prefilling, decoding);
}

ServingFigures FiguresOf(const Workload& workload, const Chip& chip, double chips,
                         const Plan& prefill, const Plan& decode, Seconds per_request) {
  const auto tokens = static_cast<double>(workload.input_length + workload.output_length);
  ServingFigures figures;
  figures.ttft = prefill.latency;
  figures.tpot = decode.step;
  figures.requests_per_second = SecondsOf(1) / per_request;
  figures.tokens_per_chip_second = figures.requests_per_second * tokens / chips;
  figures.price_per_million_tokens =
      chip.price_per_chip_hour * (1e6 / 3600 / figures.tokens_per_chip_second);
  return figures;
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
