// Deployments over lists of batches against brute force over all pairs of plans, and their figures
// by hand. tests/search/search_test.cc has the rest: one batch each, and grouped-query attention,
// where the order of stored heads decides which plans can share weights.
#include "slicewise/search/deployment.h"

#include <fmt/format.h>

#include <map>
#include <numeric>
#include <set>

#include "program/program_test_util.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/search/sweep.h"

namespace slicewise {
namespace {

const std::vector<std::int64_t> kPrefillBatches = {1, 4, 16};
const std::vector<std::int64_t> kDecodeBatches = {2, 64};

Setting Base(const Model& model, const Slice& slice = SliceOf(2, 2, 2)) {
  return SettingOf(model, slice, SmallWorkload(), RoughCalibration());
}

// Large enough that prefill and decode want different layouts, and that more chips serve more while
// fewer serve cheaper.
Setting LargeBase(Model model) {
  model.embed_dim = 8192;
  model.ffn_dim = 32768;
  Setting setting = Base(model);
  setting.workload.input_length = 1024;
  return setting;
}

DeploymentOptions OptionsFor(Objective objective) {
  return {
      .objective = objective, .prefill_batches = kPrefillBatches, .decode_batches = kDecodeBatches};
}

std::optional<Deployment> Found(const Setting& setting, const DeploymentOptions& options,
                                const char* filter = "*/*/*") {
  Evaluator evaluator(setting);
  return SearchDeployment(evaluator, LayoutFilter(filter, evaluator.mesh()), options);
}

struct Candidate {
  Plan plan;
  std::int64_t batch = 1;

  [[nodiscard]] double per_request() const {
    return plan.latency.base() / static_cast<double>(batch);
  }
};
struct Candidates {
  std::vector<Candidate> prefill, decode;
};

// Every plan of every layout and batch that fits and keeps the targets, by what its stored weights
// are: the E axes and the count of heads. Not for grouped-query attention.
std::map<std::pair<unsigned, std::int64_t>, Candidates> AllCandidates(
    const Setting& setting, const DeploymentOptions& options) {
  Evaluator evaluator(setting);
  const std::vector<Layout> layouts = AllLayouts(evaluator.mesh());
  std::set<std::int64_t> counts;
  for (const Layout& a : layouts) {
    for (const Layout& b : layouts) {
      counts.insert(PaddedHeads(
          setting.model, std::lcm(HeadWays(a, evaluator.mesh()), HeadWays(b, evaluator.mesh()))));
    }
  }
  std::map<std::pair<unsigned, std::int64_t>, Candidates> all;
  for (const Layout& layout : layouts) {
    for (std::int64_t heads : counts) {
      Candidates& own = all[{layout.weights_embed.bits(), heads}];
      for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
        const bool prefill = phase == Phase::kPrefill;
        for (std::int64_t batch : prefill ? options.prefill_batches : options.decode_batches) {
          Workload work = setting.workload;
          (prefill ? work.prefill_batch : work.decode_batch) = batch;
          evaluator.SetWorkload(work);
          const std::optional<Plan> plan = evaluator.Evaluate(layout, phase, heads);
          if (plan && !MissedBy(*plan, work, setting.chip, options.targets)) {
            (prefill ? own.prefill : own.decode).push_back({*plan, batch});
          }
        }
      }
    }
  }
  return all;
}

// One copy of the weights and decode's cache, beside a prefill under way or a decode step.
double MemoryTogether(const Plan& prefill, const Plan& decode) {
  const auto passing = [](const MemoryUse& use) {
    return (use.activations + use.gathered_weights + use.logits).base();
  };
  return prefill.memory.weights.base() + decode.memory.kv_cache.base() +
         std::max(prefill.memory.kv_cache.base() + passing(prefill.memory), passing(decode.memory));
}

// What the best pair scores: seconds of latency, or seconds of the slice per request.
double BruteForce(const Setting& setting, const DeploymentOptions& options) {
  double best = 1e30;
  Evaluator evaluator(setting);
  for (const auto& [key, own] : AllCandidates(setting, options)) {
    for (const Candidate& p : own.prefill) {
      for (const Candidate& d : own.decode) {
        if (MemoryTogether(p.plan, d.plan) > setting.chip.hbm_usable.base() ||
            (options.same_layout && !(p.plan.layout == d.plan.layout))) {
          continue;
        }
        if (options.objective == Objective::kLatency) {
          best = std::min(best, (p.plan.latency + d.plan.latency).base());
        } else if (p.per_request() + d.per_request() < best) {  // else no reshard can help
          Workload work = setting.workload;
          work.prefill_batch = p.batch;
          evaluator.SetWorkload(work);
          const double moving = KvReshardTime(evaluator, p.plan, d.plan).base();
          best = std::min(
              best, p.per_request() + moving / static_cast<double>(p.batch) + d.per_request());
        }
      }
    }
  }
  return best;
}

double ScoreOf(const Deployment& d, Objective objective) {
  return objective == Objective::kLatency ? d.latency.base() : 1 / d.figures.requests_per_second;
}

TEST(SearchDeployment, OverBatchesEqualsBruteForce) {
  for (const Model& model : {MultiqueryModel(), MultiheadModel()}) {
    for (const Slice& slice : {SliceOf(2, 2, 2), SliceOf(2, 2, 4)}) {
      for (Objective objective : {Objective::kLatency, Objective::kCost}) {
        for (bool same_layout : {false, true}) {
          Setting setting = Base(model, slice);
          DeploymentOptions options = OptionsFor(objective);
          options.same_layout = same_layout;
          // Again and again with just too little memory for the best so far.
          for (int round = 0; round < 3; ++round) {
            SCOPED_TRACE(testing::Message()
                         << model.name << " on " << ToString(slice) << " by " << Name(objective)
                         << (same_layout ? ", one layout" : "") << ", round " << round);
            const auto found = Found(setting, options);
            if (!found) {
              EXPECT_GT(round, 0);
              EXPECT_TRUE(std::isinf(BruteForce(setting, options)));
              break;
            }
            EXPECT_NEAR(ScoreOf(*found, objective) / BruteForce(setting, options), 1, 1e-12);
            EXPECT_DOUBLE_EQ(found->memory.base(), MemoryTogether(found->prefill, found->decode));
            EXPECT_LE(found->memory, setting.chip.hbm_usable);
            setting.chip.hbm_usable = found->memory * 0.9999;
          }
        }
      }
    }
  }
}

// Where prefill and decode want different layouts, moving the cache between them counts.
TEST(SearchDeployment, OverBatchesEqualsBruteForceWhereTheCacheMoves) {
  for (const Model& model : {MultiqueryModel(), MultiheadModel()}) {
    const Setting setting = LargeBase(model);
    const DeploymentOptions options = OptionsFor(Objective::kCost);
    const auto found = Found(setting, options);
    ASSERT_TRUE(found.has_value());
    EXPECT_NEAR(ScoreOf(*found, Objective::kCost) / BruteForce(setting, options), 1, 1e-12)
        << model.name;
  }
}

TEST(SearchDeployment, TargetsOfBothPhasesAreKept) {
  const Setting setting = Base(MultiqueryModel());
  DeploymentOptions options = OptionsFor(Objective::kCost);
  const auto free = Found(setting, options);
  options.targets = {.ttft = free->figures.ttft * 0.8, .tpot = free->figures.tpot * 0.9};
  const auto held = Found(setting, options);
  ASSERT_TRUE(held.has_value());
  EXPECT_LE(held->figures.ttft, options.targets.ttft);
  EXPECT_LE(held->figures.tpot, options.targets.tpot);
  EXPECT_LT(held->figures.requests_per_second, free->figures.requests_per_second);
  EXPECT_NEAR(ScoreOf(*held, Objective::kCost) / BruteForce(setting, options), 1, 1e-12);
  options.targets.tpot = Microseconds(0.001);
  EXPECT_FALSE(Found(setting, options).has_value());
}

// One layout for both phases is one pair of many: never better, and no worse where there is only
// one.
TEST(SearchDeployment, OneLayoutIsNeverBetter) {
  std::size_t worse = 0;
  for (const Model& model : TestModels()) {
    const Setting setting = LargeBase(model);
    for (Objective objective : {Objective::kLatency, Objective::kCost}) {
      SCOPED_TRACE(testing::Message() << model.name << " " << Name(objective));
      DeploymentOptions options = OptionsFor(objective);
      const auto two = Found(setting, options);
      const auto named_two = Found(setting, options, "Ex.Fyz/ws/Bxyz");
      options.same_layout = true;
      const auto one = Found(setting, options);
      const auto named_one = Found(setting, options, "Ex.Fyz/ws/Bxyz");
      EXPECT_TRUE(one->prefill.layout == one->decode.layout);
      EXPECT_EQ(one->kv_reshard, Seconds());
      EXPECT_GE(ScoreOf(*one, objective), ScoreOf(*two, objective));
      worse += ScoreOf(*one, objective) > ScoreOf(*two, objective) ? 1 : 0;
      EXPECT_EQ(ScoreOf(*named_one, objective), ScoreOf(*named_two, objective));
    }
  }
  EXPECT_GT(worse, 0U);
}

Plan PlanOf(Phase phase, const Layout& layout, Seconds latency, std::int64_t steps) {
  Plan plan;
  plan.phase = phase;
  plan.layout = layout;
  plan.latency = latency;
  plan.step = latency / static_cast<double>(steps);
  return plan;
}

TEST(JointMemory, IsTheWeightsDecodesCacheAndTheFullerPhase) {
  Plan prefill;
  Plan decode;
  prefill.memory = {.weights = BytesOf(100),
                    .kv_cache = BytesOf(20),
                    .activations = BytesOf(5),
                    .gathered_weights = BytesOf(2),
                    .logits = BytesOf(1)};
  decode.memory = {.weights = BytesOf(100),
                   .kv_cache = BytesOf(400),
                   .activations = BytesOf(3),
                   .gathered_weights = BytesOf(0),
                   .logits = BytesOf(7)};
  // 100 + 400 + max(20 + 5 + 2 + 1, 3 + 0 + 7)
  EXPECT_EQ(JointMemory(prefill, decode), BytesOf(528));
  decode.memory.logits = BytesOf(70);  // 100 + 400 + max(28, 73)
  EXPECT_EQ(JointMemory(prefill, decode), BytesOf(573));
}

// 2000 + 100 tokens; a request takes 0.25 s of 64 chips at 3.60 USD an hour, 0.001 a second.
TEST(FiguresOf, ByHand) {
  Workload work;
  work.input_length = 2000;
  work.output_length = 100;
  Chip chip = TestChip();
  chip.price_per_chip_hour = Dollars::FromBase(3.60);
  const ServingFigures figures =
      FiguresOf(work, chip, 64, PlanOf(Phase::kPrefill, {}, SecondsOf(1.5), 1),
                PlanOf(Phase::kDecode, {}, SecondsOf(3), 100), SecondsOf(0.25));
  EXPECT_EQ(figures.ttft, SecondsOf(1.5));
  EXPECT_EQ(figures.tpot, Milliseconds(30));
  EXPECT_DOUBLE_EQ(figures.requests_per_second, 4);
  EXPECT_DOUBLE_EQ(figures.tokens_per_chip_second, 131.25);  // 4 x 2100 / 64
  EXPECT_DOUBLE_EQ(figures.price_per_million_tokens.base(), 0.001 / 131.25 * 1e6);
}

std::vector<Deployment> FrontOf(const Setting& setting, const DeploymentOptions& options) {
  Evaluator evaluator(setting);
  return DeploymentFront(evaluator, LayoutFilter("*/*/*", evaluator.mesh()), options);
}

// A cycle: as many prefills, each with its cache moved, as fill the decode batch; then the decode.
TEST(DeploymentFront, RequestsPerSecondAreADecodeBatchOverACycle) {
  std::size_t moved = 0;
  for (const Model& model : TestModels()) {
    Setting setting = LargeBase(model);
    setting.chip.price_per_chip_hour = Dollars::FromBase(3.60);
    for (const Deployment& d : FrontOf(setting, OptionsFor(Objective::kCost))) {
      const auto decode_batch = static_cast<double>(d.decode_batch);
      const double prefills = decode_batch / static_cast<double>(d.prefill_batch);
      const double cycle =
          prefills * (d.prefill.latency + d.kv_reshard).base() + d.decode.latency.base();
      // 1024 + 4 tokens a request, 8 chips.
      const double rate = decode_batch / cycle * 1028 / 8;
      EXPECT_NEAR(d.figures.requests_per_second / (decode_batch / cycle), 1, 1e-12);
      EXPECT_NEAR(d.figures.tokens_per_chip_second / rate, 1, 1e-12);
      EXPECT_NEAR(d.figures.price_per_million_tokens.base() / (0.001 * 1e6 / rate), 1, 1e-12);
      EXPECT_EQ(d.figures.ttft, d.prefill.latency);
      EXPECT_EQ(d.figures.tpot, d.decode.step);
      EXPECT_EQ(d.latency, d.prefill.latency + d.decode.latency);
      moved += d.kv_reshard > Seconds() ? 1 : 0;
    }
  }
  EXPECT_GT(moved, 0U) << "moving the cache is part of a cycle";
}

SweepPoint PointOf(const Slice& slice, std::int64_t batch, const Plan& plan) {
  return {.slice = slice, .batch = batch, .plan = plan};
}

// Prefill: a batch of 4 in 2 s on 8 chips, 2 requests/s. Decode: 32 in 4 s on 64 chips, 8
// requests/s. So 4 prefill slices keep a decode slice busy: 4 x 8 + 64 = 96 chips.
TEST(PairPhases, Balances) {
  Setting base = Base(MultiqueryModel());
  base.workload.input_length = 2048;
  base.workload.output_length = 64;
  base.chip.price_per_chip_hour = Dollars::FromBase(3.60);
  base.chip.host_bandwidth = GigabytesPerSecond(25);
  const SweepPoint prefill =
      PointOf(SliceOf(2, 2, 2), 4, PlanOf(Phase::kPrefill, {}, SecondsOf(2), 1));
  // Faster, and dear: 64 x 1 s for one request against 8 x 0.5 s.
  const SweepPoint fast_prefill =
      PointOf(SliceOf(4, 4, 4), 1, PlanOf(Phase::kPrefill, {}, SecondsOf(1), 1));
  const SweepPoint decode =
      PointOf(SliceOf(4, 4, 4), 32, PlanOf(Phase::kDecode, {}, SecondsOf(4), 64));
  const PairedDeployment pair = PairPhases(base, prefill, decode);
  EXPECT_EQ(pair.prefill.batch, 4);
  EXPECT_DOUBLE_EQ(pair.prefill_slices_per_decode_slice, 4);
  EXPECT_DOUBLE_EQ(4 / 2.0 * pair.prefill_slices_per_decode_slice, 32 / 4.0);
  EXPECT_DOUBLE_EQ(pair.figures.requests_per_second, 8);
  EXPECT_DOUBLE_EQ(pair.figures.tokens_per_chip_second, 176);  // 8 x 2112 / 96
  EXPECT_DOUBLE_EQ(pair.figures.price_per_million_tokens.base(), 0.001 / 176 * 1e6);
  EXPECT_EQ(pair.figures.ttft, SecondsOf(2));
  EXPECT_EQ(pair.figures.tpot, Milliseconds(62.5));
  // 4 x 2048 tokens of 2 x 3 layers x 1 head x 16 bf16 elements, over the 2 hosts of 8 chips.
  EXPECT_DOUBLE_EQ(pair.kv_transfer.base(), 4 * 2048 * 96 * 2 / (2 * 25e9));
  // 1 s against 4 s / 32.
  EXPECT_DOUBLE_EQ(PairPhases(base, fast_prefill, decode).prefill_slices_per_decode_slice, 8);
  base.chip.host_bandwidth = {};
  EXPECT_EQ(PairPhases(base, prefill, decode).kv_transfer, Seconds());
}

// What a phase is chosen by on a slice of its own.
TEST(PairPhases, AreChosenByLatencyOrByCost) {
  EXPECT_EQ(PairObjective(Objective::kLatency), Objective::kLatency);
  for (Objective objective : {Objective::kCost, Objective::kMfu, Objective::kThroughput}) {
    EXPECT_EQ(PairObjective(objective), Objective::kCost);
  }
}

void ExpectFront(const std::vector<Deployment>& front) {
  ASSERT_FALSE(front.empty());
  for (std::size_t i = 1; i < front.size(); ++i) {
    EXPECT_LT(front[i - 1].latency, front[i].latency);
    EXPECT_LT(front[i - 1].figures.tokens_per_chip_second, front[i].figures.tokens_per_chip_second);
  }
}

// In order of both, so none beats another; its ends are the best by either objective.
TEST(DeploymentFront, ReachesFromTheFastestToTheCheapest) {
  for (const Model& model : TestModels()) {
    for (bool same_layout : {false, true}) {
      const Setting setting = LargeBase(model);
      SCOPED_TRACE(testing::Message() << model.name << (same_layout ? ", one layout" : ""));
      DeploymentOptions options = OptionsFor(Objective::kLatency);
      options.same_layout = same_layout;
      const std::vector<Deployment> front = FrontOf(setting, options);
      ExpectFront(front);
      EXPECT_EQ(front.front().latency, Found(setting, options)->latency);
      options.objective = Objective::kCost;
      EXPECT_NEAR(front.back().figures.requests_per_second /
                      Found(setting, options)->figures.requests_per_second,
                  1, 1e-12);
      for (const Deployment& d : front) {
        EXPECT_DOUBLE_EQ(d.memory.base(), MemoryTogether(d.prefill, d.decode));
        EXPECT_LE(d.memory, setting.chip.hbm_usable);
        EXPECT_TRUE(!same_layout || d.prefill.layout == d.decode.layout);
      }
    }
  }
}

// With one layout for both phases no cache moves, and the whole front is that of all pairs.
TEST(DeploymentFront, OfOneLayoutEqualsBruteForce) {
  for (const char* model : {"palm-8b", "palm-62b"}) {
    Setting setting = Base(LoadModel(model).model, SliceOf(2, 2, 4));
    setting.workload.input_length = 2048;
    setting.calibration = LoadCalibration("tpu-v4");
    DeploymentOptions options = OptionsFor(Objective::kLatency);
    options.same_layout = true;
    std::vector<std::pair<double, double>> pairs;  // latency, seconds per request
    for (const auto& [key, own] : AllCandidates(setting, options)) {
      for (const Candidate& p : own.prefill) {
        for (const Candidate& d : own.decode) {
          if (p.plan.layout == d.plan.layout &&
              MemoryTogether(p.plan, d.plan) <= setting.chip.hbm_usable.base()) {
            pairs.emplace_back((p.plan.latency + d.plan.latency).base(),
                               p.per_request() + d.per_request());
          }
        }
      }
    }
    std::sort(pairs.begin(), pairs.end());
    std::vector<std::pair<double, double>> expected;
    for (const auto& pair : pairs) {
      if (expected.empty() || pair.second < expected.back().second * (1 - 1e-12)) {
        expected.push_back(pair);
      }
    }
    const std::vector<Deployment> front = FrontOf(setting, options);
    ASSERT_EQ(front.size(), expected.size()) << model;
    for (std::size_t i = 0; i < front.size(); ++i) {
      EXPECT_NEAR(front[i].latency.base() / expected[i].first, 1, 1e-12);
      EXPECT_NEAR(1 / front[i].figures.requests_per_second / expected[i].second, 1, 1e-12);
    }
  }
}

SweepSpace SmallSpace(const Chip& chip) {
  return {.slices = LegalSlices(chip, 32),
          .prefill_batches = kPrefillBatches,
          .decode_batches = kDecodeBatches,
          .weights = {DataType::kBf16, DataType::kInt8}};
}

std::string Text(const std::vector<DeploymentPoint>& points) {
  std::string text;
  for (const DeploymentPoint& p : points) {
    const Deployment& d = p.deployment;
    const Mesh mesh(p.slice);
    text += fmt::format("{} {} {}/{} {} {} {:a} {:a}\n", ToString(p.slice), Name(p.weights),
                        d.prefill_batch, d.decode_batch, ToString(d.prefill.layout, mesh),
                        ToString(d.decode.layout, mesh), d.latency.base(),
                        d.figures.requests_per_second);
  }
  return text;
}

TEST(SweepDeployments, AreTheBestOfEachSliceAndFormat) {
  const Setting base = LargeBase(MultiqueryModel());
  const SweepSpace space = SmallSpace(base.chip);
  for (Objective objective :
       {Objective::kLatency, Objective::kMfu, Objective::kCost, Objective::kThroughput}) {
    SCOPED_TRACE(Name(objective));
    const SweepOptions options = {.objective = objective};
    const std::vector<DeploymentPoint> points = SweepDeployments(base, space, options);
    ASSERT_EQ(points.size(), 8U);  // 1x2x2, 2x2x2, 2x2x4, 2x4x4; bf16 and int8
    for (std::size_t i = 0; i < points.size(); ++i) {
      Setting setting = base;
      setting.slice = points[i].slice;
      setting.workload.weights = points[i].weights;
      const auto one = Found(setting, OptionsFor(objective));
      EXPECT_EQ(points[i].deployment.latency, one->latency);
      EXPECT_EQ(points[i].deployment.figures, one->figures);
      if (i > 0) {
        const Deployment& before = points[i - 1].deployment;
        const Deployment& after = points[i].deployment;
        EXPECT_TRUE(objective == Objective::kLatency ? before.latency <= after.latency
                    : objective == Objective::kThroughput
                        ? before.figures.requests_per_second >= after.figures.requests_per_second
                        : before.figures.tokens_per_chip_second >=
                              after.figures.tokens_per_chip_second);
      }
    }
  }
}

TEST(SweepDeployments, DoNotDependOnBoundsOrThreads) {
  Setting base = Base(MultiqueryModel());
  base.chip.hbm_usable = BytesOf(3e6);  // some batches of some slices do not fit
  const SweepSpace space = SmallSpace(base.chip);
  const Targets targets = {.ttft = Milliseconds(1), .tpot = Microseconds(300)};
  for (Objective objective : {Objective::kLatency, Objective::kCost}) {
    SweepOptions options = {.objective = objective, .targets = targets, .prune = false};
    const std::string exhaustive = Text(SweepDeployments(base, space, options));
    const std::string front = Text(SweepDeploymentFront(base, space, options));
    EXPECT_NE(exhaustive, "");
    options.prune = true;
    for (int threads : {1, 2, 4}) {
      options.threads = threads;
      EXPECT_EQ(Text(SweepDeployments(base, space, options)), exhaustive) << threads;
      EXPECT_EQ(Text(SweepDeploymentFront(base, space, options)), front) << threads;
    }
  }
}

TEST(SweepDeploymentFront, IsTheFrontOfAllSlices) {
  const Setting base = LargeBase(MultiheadModel());
  const SweepSpace space = SmallSpace(base.chip);
  for (bool same_layout : {false, true}) {
    const std::vector<DeploymentPoint> points = SweepDeploymentFront(base, space, {}, same_layout);
    std::vector<Deployment> front;
    for (const DeploymentPoint& point : points) {
      front.push_back(point.deployment);
    }
    ExpectFront(front);
    const SweepOptions by_cost = {.objective = Objective::kCost};
    EXPECT_EQ(front.front().latency,
              SweepDeployments(base, space, {}, same_layout).front().deployment.latency);
    EXPECT_NEAR(front.back().figures.tokens_per_chip_second /
                    SweepDeployments(base, space, by_cost, same_layout)
                        .front()
                        .deployment.figures.tokens_per_chip_second,
                1, 1e-12);
  }
}

}  // namespace
}  // namespace slicewise
