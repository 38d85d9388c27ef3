#include "slicewise/search/sweep.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <tuple>

#include "slicewise/search/enumerate.h"
#include "slicewise/search/front.h"

namespace slicewise {
namespace {

// What the front trades for cost: the time a user waits for.
Seconds WaitOf(const Plan& plan) {
  return plan.phase == Phase::kPrefill ? plan.latency : plan.step;
}

// The same of a phase's latency.
Seconds WaitOf(const Workload& workload, Phase phase, Seconds latency) {
  return phase == Phase::kPrefill ? latency : latency / static_cast<double>(workload.steps(phase));
}

// Whether no layout of the point fits in memory and keeps the limit on time.
bool IsHopeless(const Setting& setting, Phase phase, const PointBounds& bounds,
                const Targets& targets) {
  const Seconds limit = phase == Phase::kPrefill ? targets.ttft : targets.tpot;
  return bounds.memory > setting.chip.hbm_usable ||
         (limit > Seconds() && WaitOf(setting.workload, phase, bounds.latency) > limit);
}

double ScoreOf(Objective objective, Seconds latency, double tokens, double chips) {
  switch (objective) {
    case Objective::kLatency:
      return latency.base();
    case Objective::kMfu:
    case Objective::kCost:
      // MFU is tokens per chip-second times a constant of model and chip.
      return latency.base() * chips / tokens;
    case Objective::kThroughput:
      return latency.base() / tokens;
  }
  return 0;
}

// Total order of points: the objective, then latency, chips, batch, format and shape.
auto KeyOf(const SweepPoint& point, Objective objective, Phase phase, const Workload& base) {
  Workload work = base;
  work.SetBatch(phase, point.batch);
  const double score =
      ScoreOf(objective, point.plan.latency, work.tokens(phase), point.slice.chips());
  return std::tuple(score, point.plan.latency, point.slice.chips(), point.batch, point.weights,
                    point.slice.dims);
}

// A layout may take just what the bound says, summed in another order: rounding must not put the
// bound above it.
constexpr double kRounding = 1 - 1e-12;

// What a chip holds of all layers' matrices, cut `ways` ways, at the least.
Bytes StoredMatrices(const Setting& setting, double ways) {
  const auto elements = static_cast<double>(LayerMatrixElements(setting.model));
  return elements / ways * ElementBytes(setting.workload.weights) *
         (static_cast<double>(setting.model.layers) * kRounding);
}

// The points of one slice.
class SliceSweep {
 public:
  SliceSweep(const Setting& base, const SweepSpace& space, Phase phase, const SweepOptions& options,
             const Slice& slice)
      : base_(base), space_(space), phase_(phase), options_(options) {
    base_.slice = slice;
    const Mesh mesh(slice);
    const LayoutFilter filter(space.layout, mesh);
    layouts_ = ClassRepresentatives(LayoutsToPrice(base.model, mesh, filter, space.layouts), mesh);
  }

  PhaseSweep Run() {
    result_.phase = phase_;
    for (DataType weights : space_.weights) {
      base_.workload.weights = weights;
      PriceFormat();
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] double chips() const { return base_.slice.chips(); }

  [[nodiscard]] bool Prunable() const {
    const PointBounds bounds = BoundsOf(base_, phase_);
    if (IsHopeless(base_, phase_, bounds, options_.targets)) {
      return true;
    }
    const Seconds wait = WaitOf(base_.workload, phase_, bounds.latency);
    const double tokens = base_.workload.tokens(phase_);
    if (options_.front) {
      const double cost = ScoreOf(Objective::kCost, bounds.latency, tokens, chips());
      return std::any_of(result_.points.begin(), result_.points.end(), [&](const SweepPoint& p) {
        return WaitOf(p.plan) < wait && p.plan.chip_seconds_per_token.base() < cost;
      });
    }
    const double score = ScoreOf(options_.objective, bounds.latency, tokens, chips());
    return options_.keep > 0 && best_scores_.size() >= options_.keep && score > best_scores_.back();
  }

  // A batch at the present weight format, and its best layout so far.
  struct Point {
    BatchFigures batch;
    std::optional<Plan> best;
  };

  // Layouts outermost: a layout is lowered once, and most batches share its ops.
  void PriceFormat() {
    Evaluator evaluator(base_);
    std::vector<Point> points = Possible(evaluator);
    for (const Layout& layout : layouts_) {
      const double ways = evaluator.mesh().Size(layout.weights_embed | layout.weights_ffn);
      if (options_.prune && StoredMatrices(base_, ways) > base_.chip.hbm_usable) {
        result_.counters.pruned += points.size();
        continue;
      }
      PlanCurve curve;
      for (Point& point : points) {
        const std::int64_t batch = point.batch.batch;
        ++result_.counters.priced;
        if (!curve.Covers(batch)) {
          if (!evaluator.Trace(layout, phase_, batch, curve)) {
            ++result_.counters.infeasible;  // for its head count
            continue;
          }
          ++result_.counters.lowered;
        }
        Keep(evaluator.At(curve, point.batch), evaluator.mesh(), point);
      }
    }
    for (const Point& point : points) {
      Finish(point);
    }
  }

  // The batches that no bound rules out.
  std::vector<Point> Possible(const Evaluator& evaluator) {
    std::vector<Point> points;
    for (std::int64_t batch : space_.batches(phase_)) {
      base_.workload.SetBatch(phase_, batch);
      ++result_.counters.points;
      result_.counters.layouts += layouts_.size();
      if (options_.prune && Prunable()) {
        ++result_.counters.pruned_points;
        result_.counters.pruned += layouts_.size();
      } else {
        points.push_back({evaluator.FiguresOf(phase_, batch), std::nullopt});
      }
    }
    return points;
  }

  void Keep(const Plan& plan, const Mesh& mesh, Point& point) {
    if (MissedBy(plan, base_.workload, base_.chip, options_.targets)) {
      ++result_.counters.infeasible;
    } else if (!point.best || Better(plan, *point.best, options_.objective, mesh)) {
      point.best = plan;
    }
  }

  void Finish(const Point& point) {
    if (!point.best) {
      return;
    }
    result_.points.push_back({base_.slice, base_.workload.weights, point.batch.batch, *point.best});
    if (options_.keep > 0) {
      const double score =
          ScoreOf(options_.objective, point.best->latency, point.batch.tokens, chips());
      best_scores_.insert(std::upper_bound(best_scores_.begin(), best_scores_.end(), score), score);
      best_scores_.resize(std::min(best_scores_.size(), options_.keep));
    }
  }

  Setting base_;
  const SweepSpace& space_;
  const Phase phase_;
  const SweepOptions& options_;
  std::vector<Layout> layouts_;
  std::vector<double> best_scores_;  // of the best points so far, best first
  PhaseSweep result_;
};

// Runs task(0) ... task(count - 1) on some threads; each writes to a place of its own. What a task
// throws ends them all and is thrown again.
void RunTasks(std::size_t count, const SweepOptions& options,
              const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next = 0;
  std::size_t done = 0;
  std::exception_ptr failure;
  std::mutex reporting;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        const std::scoped_lock lock(reporting);
        failure = std::current_exception();
        next = count;
        return;
      }
      const std::scoped_lock lock(reporting);
      ++done;
      if (options.progress) {
        options.progress(done, count);
      }
    }
  };
  std::vector<std::thread> threads;
  const auto most = std::min<std::size_t>(count, static_cast<std::size_t>(options.threads));
  for (std::size_t i = 1; i < most; ++i) {
    threads.emplace_back(work);
  }
  work();
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

double ScoreOf(const DeploymentPoint& point, Objective objective) {
  const ServingFigures& figures = point.deployment.figures;
  switch (objective) {
    case Objective::kLatency:
      return point.deployment.latency.base();
    case Objective::kMfu:
    case Objective::kCost:
      return -figures.tokens_per_chip_second;
    case Objective::kThroughput:
      return -figures.requests_per_second;
  }
  return 0;
}

// Batches whose bounds leave them a chance.
std::vector<std::int64_t> Possible(const Setting& base, const std::vector<std::int64_t>& batches,
                                   Phase phase, const SweepOptions& options) {
  std::vector<std::int64_t> possible;
  for (std::int64_t batch : batches) {
    Setting setting = base;
    setting.workload.SetBatch(phase, batch);
    if (!options.prune || !IsHopeless(setting, phase, BoundsOf(setting, phase), options.targets)) {
      possible.push_back(batch);
    }
  }
  return possible;
}

// Runs `search(setting, options)` for every slice and weight format; all their deployments.
template <class Search>
std::vector<DeploymentPoint> ForEachSlice(const Setting& base, const SweepSpace& space,
                                          const SweepOptions& options, bool same_layout,
                                          const Search& search) {
  const std::size_t formats = space.weights.size();
  std::vector<std::vector<Deployment>> found(space.slices.size() * formats);
  const auto setting_of = [&](std::size_t i) {
    Setting setting = base;
    setting.slice = space.slices[i / formats];
    setting.workload.weights = space.weights[i % formats];
    return setting;
  };
  RunTasks(found.size(), options, [&](std::size_t i) {
    const Setting setting = setting_of(i);
    const DeploymentOptions one = {
        .objective = options.objective,
        .targets = options.targets,
        .same_layout = same_layout,
        .space = space.layouts,
        .prefill_batches = Possible(setting, space.prefill_batches, Phase::kPrefill, options),
        .decode_batches = Possible(setting, space.decode_batches, Phase::kDecode, options)};
    if (!one.prefill_batches.empty() && !one.decode_batches.empty()) {
      Evaluator evaluator(setting);
      found[i] = search(evaluator, LayoutFilter(space.layout, evaluator.mesh()), one);
    }
  });
  std::vector<DeploymentPoint> points;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Setting setting = setting_of(i);
    for (const Deployment& deployment : found[i]) {
      points.push_back({setting.slice, setting.workload.weights, deployment});
    }
  }
  return points;
}

}  // namespace

SweepCounters& SweepCounters::operator+=(const SweepCounters& other) {
  points += other.points;
  pruned_points += other.pruned_points;
  layouts += other.layouts;
  pruned += other.pruned;
  lowered += other.lowered;
  priced += other.priced;
  infeasible += other.infeasible;
  return *this;
}

PointBounds BoundsOf(const Setting& setting, Phase phase) {
  const Model& model = setting.model;
  const Workload& work = setting.workload;
  const Calibration& calibration = setting.calibration;
  const auto matrices = static_cast<double>(LayerMatrixElements(model));
  const double layers = static_cast<double>(model.layers);
  const double chips = setting.slice.chips();
  const double rows =
      static_cast<double>(work.batch(phase)) * static_cast<double>(work.query_length(phase));
  const bool int8 = work.weights == DataType::kInt8;
  const bool int8_matmul = int8 && work.activations == DataType::kInt8;
  const FlopsPerSecond rate = setting.chip.Peak(int8_matmul ? DataType::kInt8 : DataType::kBf16) *
                              calibration.matmul_efficiency;
  const BytesPerSecond bandwidth =
      setting.chip.hbm_bandwidth *
      (int8 ? calibration.int8_weight_bandwidth : calibration.weight_bandwidth);
  const Bytes shard = matrices / chips * ElementBytes(work.weights);
  const Seconds layer = std::max(FlopsOf(2 * matrices * rows / chips) / rate, shard / bandwidth);
  PointBounds bounds;
  bounds.latency = (layer * layers + SecondsOf(calibration.step_latency)) *
                   (static_cast<double>(work.steps(phase)) * kRounding);
  const double cached =
      static_cast<double>(work.batch(phase)) * static_cast<double>(work.cached_at_end(phase));
  const double cache = cached * static_cast<double>(KvElementsPerToken(model)) / chips;
  bounds.memory = StoredMatrices(setting, chips) + cache * ElementBytes(work.kv_cache) * kRounding;
  return bounds;
}

PhaseSweep SweepPhase(const Setting& base, const SweepSpace& space, Phase phase,
                      const SweepOptions& options) {
  std::vector<PhaseSweep> slices(space.slices.size());
  RunTasks(slices.size(), options, [&](std::size_t i) {
    slices[i] = SliceSweep(base, space, phase, options, space.slices[i]).Run();
  });
  PhaseSweep all;
  all.phase = phase;
  for (PhaseSweep& one : slices) {
    all.counters += one.counters;
    std::move(one.points.begin(), one.points.end(), std::back_inserter(all.points));
  }
  std::sort(all.points.begin(), all.points.end(), [&](const SweepPoint& a, const SweepPoint& b) {
    return KeyOf(a, options.objective, phase, base.workload) <
           KeyOf(b, options.objective, phase, base.workload);
  });
  if (options.front) {
    KeepFront(all.points, [](const SweepPoint& point) {
      return std::tuple(WaitOf(point.plan), point.plan.chip_seconds_per_token);
    });
  } else if (options.keep > 0 && all.points.size() > options.keep) {
    all.points.resize(options.keep);
  }
  return all;
}

std::vector<DeploymentPoint> SweepDeployments(const Setting& base, const SweepSpace& space,
                                              const SweepOptions& options, bool same_layout) {
  std::vector<DeploymentPoint> points = ForEachSlice(
      base, space, options, same_layout,
      [](Evaluator& evaluator, const LayoutFilter& filter, const DeploymentOptions& one) {
        const std::optional<Deployment> best = SearchDeployment(evaluator, filter, one);
        return best ? std::vector<Deployment>{*best} : std::vector<Deployment>();
      });
  std::stable_sort(points.begin(), points.end(), [&](const auto& a, const auto& b) {
    return std::tuple(ScoreOf(a, options.objective), a.slice.chips()) <
           std::tuple(ScoreOf(b, options.objective), b.slice.chips());
  });
  return points;
}

std::vector<DeploymentPoint> SweepDeploymentFront(const Setting& base, const SweepSpace& space,
                                                  const SweepOptions& options, bool same_layout) {
  std::vector<DeploymentPoint> points =
      ForEachSlice(base, space, options, same_layout, DeploymentFront);
  KeepFront(points, [](const DeploymentPoint& point) {
    return std::tuple(point.deployment.latency, -point.deployment.figures.tokens_per_chip_second);
  });
  return points;
}

Objective PairObjective(Objective objective) {
  return objective == Objective::kLatency ? objective : Objective::kCost;
}

PairedDeployment PairPhases(const Setting& base, const SweepPoint& prefill,
                            const SweepPoint& decode) {
  PairedDeployment pair{.prefill = prefill, .decode = decode};
  const Seconds prefill_request =
      pair.prefill.plan.latency / static_cast<double>(pair.prefill.batch);
  const Seconds decode_request = pair.decode.plan.latency / static_cast<double>(pair.decode.batch);
  pair.prefill_slices_per_decode_slice = prefill_request / decode_request;
  const double prefill_chips = pair.prefill_slices_per_decode_slice * pair.prefill.slice.chips();
  pair.figures = FiguresOf(base.workload, base.chip, prefill_chips + pair.decode.slice.chips(),
                           pair.prefill.plan, pair.decode.plan, decode_request);
  if (base.chip.host_bandwidth > BytesPerSecond()) {
    const double hosts =
        std::max(1, std::min(pair.prefill.slice.chips(), pair.decode.slice.chips()) /
                        base.chip.chips_per_host);
    const double tokens = static_cast<double>(pair.prefill.batch) *
                          static_cast<double>(base.workload.cached_at_end(Phase::kPrefill));
    const Bytes cache = tokens * static_cast<double>(KvElementsPerToken(base.model)) *
                        ElementBytes(base.workload.kv_cache);
    pair.kv_transfer = cache / (base.chip.host_bandwidth * hosts);
  }
  return pair;
}

}  // namespace slicewise
