// Ranking, rejection and deployments, against brute force.
#include "slicewise/search/search.h"

#include <map>
#include <numeric>
#include <random>
#include <set>

#include "program/program_test_util.h"
#include "slicewise/program/reshard.h"
#include "slicewise/search/deployment.h"

namespace slicewise {
namespace {

LayoutFilter All(const Mesh& mesh) { return {"*/*/*", mesh}; }

Setting Base(const Model& model, const Slice& slice = SliceOf(4, 4, 4)) {
  return SettingOf(model, slice, SmallWorkload(), RoughCalibration());
}

TEST(SearchPhase, FindsTheBestOfAllLayouts) {
  for (const Model& model : TestModels()) {
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      SCOPED_TRACE(testing::Message() << model.name << " " << Name(phase));
      Evaluator evaluator(Base(model));
      const PhasePlans found =
          SearchPhase(evaluator, All(evaluator.mesh()), phase, Objective::kLatency);
      EXPECT_EQ(found.layouts, 216U);
      EXPECT_EQ(found.plans.size() + found.rejected.count, 56U);
      double best = 1e9;
      double worst = 0;
      for (const Layout& layout : AllLayouts(evaluator.mesh())) {
        const double latency = evaluator.Evaluate(layout, phase)->latency.base();
        best = std::min(best, latency);
        worst = std::max(worst, latency);
      }
      EXPECT_NEAR(found.plans.front().latency.base() / best, 1, 1e-12);
      EXPECT_NEAR(found.plans.back().latency.base() / worst, 1, 1e-12);
    }
  }
}

TEST(SearchPhase, OrderFollowsTheObjective) {
  Evaluator evaluator(Base(MultiqueryModel()));
  const Mesh& mesh = evaluator.mesh();
  for (Objective objective :
       {Objective::kLatency, Objective::kMfu, Objective::kCost, Objective::kThroughput}) {
    const PhasePlans found = SearchPhase(evaluator, All(mesh), Phase::kDecode, objective);
    for (std::size_t i = 1; i < found.plans.size(); ++i) {
      const Plan& a = found.plans[i - 1];
      const Plan& b = found.plans[i];
      EXPECT_TRUE(Better(a, b, objective, mesh));
      EXPECT_FALSE(Better(b, a, objective, mesh));
      switch (objective) {
        case Objective::kThroughput:
          EXPECT_GE(a.tokens_per_second, b.tokens_per_second);
          break;
        case Objective::kLatency:
          EXPECT_LE(a.latency, b.latency);
          break;
        case Objective::kMfu:
          EXPECT_GE(a.mfu, b.mfu);
          break;
        case Objective::kCost:
          EXPECT_LE(a.chip_seconds_per_token, b.chip_seconds_per_token);
          break;
      }
    }
  }
  EXPECT_EQ(Name(Objective::kLatency), "latency");
  EXPECT_EQ(Name(Objective::kMfu), "mfu");
  EXPECT_EQ(Name(Objective::kCost), "cost");
  EXPECT_EQ(Name(Objective::kThroughput), "throughput");
}

TEST(SearchPhase, IsDeterministic) {
  const auto texts = [] {
    Evaluator evaluator(Base(GroupedModel()));
    std::string text;
    for (const Plan& plan :
         SearchPhase(evaluator, All(evaluator.mesh()), Phase::kDecode, Objective::kLatency).plans) {
      text += ToString(plan.layout, evaluator.mesh()) + " ";
    }
    return text;
  };
  EXPECT_EQ(texts(), texts());
}

Plan PlanOf(double latency, double memory, std::optional<double> excess = std::nullopt) {
  Plan plan;
  plan.latency = SecondsOf(latency);
  plan.mfu = 1 / latency;
  plan.chip_seconds_per_token = SecondsOf(latency);
  plan.memory.weights = BytesOf(memory);
  if (excess) {
    plan.violation = Violation{Violation::Code::kMemory, *excess * 100, 100};
  }
  return plan;
}

TEST(Better, FitsThenObjectiveThenLatencyThenMemoryThenText) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const auto better = [&](const Plan& a, const Plan& b) {
    return Better(a, b, Objective::kLatency, mesh);
  };
  EXPECT_TRUE(better(PlanOf(9, 9), PlanOf(1, 1, 1.5)));       // fits
  EXPECT_TRUE(better(PlanOf(9, 9, 1.1), PlanOf(1, 1, 1.5)));  // misses by less
  EXPECT_TRUE(better(PlanOf(1, 9), PlanOf(2, 1)));            // faster
  EXPECT_TRUE(better(PlanOf(1, 1), PlanOf(1, 2)));            // smaller
  Plan a = PlanOf(1, 1);
  Plan b = PlanOf(1, 1);
  a.layout = ParseLayout("Ex.Fyz/ws/Bxyz", mesh);
  b.layout = ParseLayout("Ex.Fyz/ws/Hxyz", mesh);
  EXPECT_TRUE(better(a, b));
  EXPECT_FALSE(better(b, a));
  EXPECT_FALSE(better(a, a));
}

// A strict total order over everything that can be compared: of any two plans exactly one is
// better, and better of better is better.
TEST(Better, IsAStrictTotalOrder) {
  Setting setting = Base(MultiqueryModel(), SliceOf(1, 2, 2));
  Evaluator evaluator(setting);
  std::vector<Plan> plans;
  for (const Layout& layout : AllLayouts(evaluator.mesh())) {
    plans.push_back(*evaluator.Evaluate(layout, Phase::kDecode));
  }
  for (Objective objective : {Objective::kLatency, Objective::kMfu, Objective::kCost}) {
    for (const Plan& a : plans) {
      for (const Plan& b : plans) {
        const bool ab = Better(a, b, objective, evaluator.mesh());
        EXPECT_NE(ab || a.layout == b.layout, Better(b, a, objective, evaluator.mesh()));
        for (const Plan& c : plans) {
          if (ab && Better(b, c, objective, evaluator.mesh())) {
            EXPECT_TRUE(Better(a, c, objective, evaluator.mesh()));
          }
        }
      }
    }
  }
}

TEST(SearchPhase, CountsWhatIsRejectedAndNamesTheNearest) {
  Setting setting = Base(MultiqueryModel());
  Evaluator all(setting);
  // Room for less than half of the layouts.
  std::vector<double> needed;
  for (const Plan& plan :
       SearchPhase(all, All(all.mesh()), Phase::kDecode, Objective::kLatency).plans) {
    needed.push_back(plan.memory.total().base());
  }
  ASSERT_EQ(needed.size(), 56U);
  std::sort(needed.begin(), needed.end());
  setting.chip.hbm_usable = BytesOf(needed[20]);
  const auto fitting = static_cast<std::size_t>(
      std::upper_bound(needed.begin(), needed.end(), needed[20]) - needed.begin());
  Evaluator evaluator(setting);
  const PhasePlans found =
      SearchPhase(evaluator, All(evaluator.mesh()), Phase::kDecode, Objective::kLatency);
  EXPECT_EQ(found.plans.size(), fitting);
  EXPECT_EQ(found.rejected.count, 56 - fitting);
  EXPECT_EQ(found.rejected.by_reason.at("memory"), 56 - fitting);
  ASSERT_TRUE(found.rejected.nearest.has_value());
  EXPECT_DOUBLE_EQ(found.rejected.nearest->violation->needed, needed[fitting]);
  EXPECT_DOUBLE_EQ(found.rejected.nearest->violation->available, needed[20]);
}

// 16 stored heads fit layouts that shard heads at most 16 ways; the others are rejected by name.
TEST(SearchPhase, RejectsLayoutsThatTheHeadCountDoesNotFit) {
  Setting setting = Base(MultiqueryModel());
  setting.padded_heads = 16;
  Evaluator evaluator(setting);
  const PhasePlans found =
      SearchPhase(evaluator, All(evaluator.mesh()), Phase::kDecode, Objective::kLatency);
  // All three axes in F or H: per axis E with H, or F: 4 options of 6, C(3 + 3, 3) = 20 classes.
  EXPECT_EQ(found.rejected.by_reason.at("pad_heads"), 20U);
  for (const Plan& plan : found.plans) {
    EXPECT_EQ(plan.stored_heads, 16);
    EXPECT_LE(HeadWays(plan.layout, evaluator.mesh()), 16);
  }
}

// Which stored heads, and which KV heads, every chip of a program holds: written out index by
// index.
std::string PlacementOfHeads(const Program& program, const Model& model) {
  const Mesh& mesh = program.mesh;
  std::string text;
  for (const Tensor& tensor : program.tensors) {
    const bool keys = tensor.role == TensorRole::kKeyWeights;
    if (!keys && tensor.role != TensorRole::kQueryWeights) {
      continue;
    }
    const Dim dim = keys ? Dim::kKvHeads : Dim::kHeads;
    const AxisSet cut = tensor.ShardingOf(dim);
    const AxisOrder& order = program.dim(dim).order;
    const auto size = static_cast<int>(program.dim(dim).padded);
    for (int chip = 0; chip < mesh.IntSize(mesh.all()); ++chip) {
      for (int index = 0; index < size; ++index) {
        // The index in digits, major to minor; the chip's coordinates, last axis fastest.
        bool held = true;
        int block = size;
        int rest = index;
        for (int i = 0; i < order.size(); ++i) {
          block /= mesh.axis(order[i]).size;
          const int digit = rest / block;
          rest %= block;
          int stride = 1;
          for (int axis = order[i] + 1; axis < mesh.axis_count(); ++axis) {
            stride *= mesh.axis(axis).size;
          }
          const int coordinate = chip / stride % mesh.axis(order[i]).size;
          held = held && (!cut.Has(order[i]) || coordinate == digit);
        }
        const std::int64_t head =
            keys && !model.multihead()
                ? KvHeadOfSlot(index, model.kv_heads, mesh.IntSize(order.set()))
                : index;
        text += held ? static_cast<char>('0' + head) : ' ';
      }
    }
  }
  return text;
}

// Every pair of layouts that share weights, head count and where each head lies, for every head
// count.
struct BestPair {
  double latency = 1e30;
  std::string text;
};

// One copy of the weights and all of decode's cache, while either a prefill runs or a decode step.
bool FitTogether(const Plan& prefill, const Plan& decode, const Chip& chip) {
  const auto passing = [](const MemoryUse& use) {
    return (use.activations + use.gathered_weights + use.logits).base();
  };
  const double prefilling = passing(prefill.memory) + prefill.memory.kv_cache.base();
  return decode.memory.weights.base() + decode.memory.kv_cache.base() +
             std::max(prefilling, passing(decode.memory)) <=
         chip.hbm_usable.base();
}

BestPair BruteForce(const Setting& setting, LayoutSpace space) {
  Evaluator evaluator(setting);
  const Mesh& mesh = evaluator.mesh();
  const std::vector<Layout> layouts =
      space == LayoutSpace::kPaper ? AllLayouts(mesh) : EnumerateLayouts(mesh, All(mesh), space);
  std::set<std::int64_t> counts;
  for (const Layout& layout : layouts) {
    for (const Layout& other : layouts) {
      counts.insert(PaddedHeads(setting.model, std::lcm(HeadWays(layout, evaluator.mesh()),
                                                        HeadWays(other, evaluator.mesh()))));
    }
  }
  if (setting.padded_heads != 0) {
    counts = {setting.padded_heads};
  }
  BestPair best;
  // Stored weights -> the plans of either phase.
  struct Pair {
    std::vector<Plan> prefill, decode;
  };
  std::map<std::pair<unsigned, std::string>, Pair> pairs;
  const bool grouped = !setting.model.multihead() && !setting.model.multiquery();
  for (std::int64_t count : counts) {
    pairs.clear();
    for (const Layout& layout : layouts) {
      for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
        const auto plan = evaluator.Evaluate(layout, phase, count);
        if (!plan || !plan->fits()) {
          continue;
        }
        Pair& pair = pairs[{layout.weights_embed.bits() << 8U | layout.replicas.bits(),
                            grouped ? PlacementOfHeads(evaluator.program(), setting.model) : ""}];
        (phase == Phase::kPrefill ? pair.prefill : pair.decode).push_back(*plan);
      }
    }
    for (const auto& [key, pair] : pairs) {
      for (const Plan& prefill : pair.prefill) {
        for (const Plan& decode : pair.decode) {
          const double latency = (prefill.latency + decode.latency).base();
          if (latency < best.latency && FitTogether(prefill, decode, setting.chip)) {
            best = {latency, ToString(prefill.layout, evaluator.mesh()) + " then " +
                                 ToString(decode.layout, evaluator.mesh())};
          }
        }
      }
    }
  }
  return best;
}

// What a deployment promises, and that nothing is faster.
void ExpectBestDeployment(const Setting& setting, LayoutSpace space = LayoutSpace::kPaper) {
  Evaluator evaluator(setting);
  DeploymentOptions options;
  options.space = space;
  const auto found = SearchDeployment(evaluator, All(evaluator.mesh()), options);
  ASSERT_TRUE(found.has_value());
  const BestPair best = BruteForce(setting, space);
  EXPECT_NEAR(found->latency.base() / best.latency, 1, 1e-12)
      << "found " << ToString(found->prefill.layout, evaluator.mesh()) << " then "
      << ToString(found->decode.layout, evaluator.mesh()) << ", " << found->stored_heads
      << " heads; brute force: " << best.text;
  EXPECT_EQ(found->prefill.layout.weights_embed, found->decode.layout.weights_embed);
  EXPECT_EQ(found->prefill.stored_heads, found->decode.stored_heads);
  EXPECT_EQ(found->prefill.stored_heads, found->stored_heads);
  EXPECT_DOUBLE_EQ(found->latency.base(), (found->prefill.latency + found->decode.latency).base());
  EXPECT_DOUBLE_EQ(found->kv_reshard.base(),
                   KvReshardTime(evaluator, found->prefill, found->decode).base());
  if (!setting.model.multihead() && !setting.model.multiquery()) {
    static_cast<void>(
        evaluator.Evaluate(found->prefill.layout, Phase::kPrefill, found->stored_heads));
    const std::string prefill = PlacementOfHeads(evaluator.program(), setting.model);
    static_cast<void>(
        evaluator.Evaluate(found->decode.layout, Phase::kDecode, found->stored_heads));
    EXPECT_EQ(prefill, PlacementOfHeads(evaluator.program(), setting.model));
  }
}

TEST(SearchDeployment, EqualsBruteForceOverAllPairs) {
  for (const Slice& slice : {SliceOf(2, 2, 2), SliceOf(4, 4, 4), SliceOf(2, 4, 4)}) {
    for (Model model : TestModels()) {
      for (std::int64_t heads : {0, 192}) {
        SCOPED_TRACE(testing::Message()
                     << model.name << " on " << ToString(slice) << ", heads " << heads);
        Setting setting = Base(model, slice);
        setting.workload.prefill_batch = 2;
        setting.padded_heads = heads;
        ExpectBestDeployment(setting);
      }
    }
  }
}

// With R, S and factors: phases that share weights may split different axes.
TEST(SearchDeployment, EqualsBruteForceOverTheWholeSpace) {
  for (const Slice& slice : {SliceOf(1, 1, 4), SliceOf(1, 2, 4)}) {
    for (const Model& model : TestModels()) {
      SCOPED_TRACE(testing::Message() << model.name << " on " << ToString(slice));
      Setting setting = Base(model, slice);
      setting.workload.prefill_batch = 2;
      ExpectBestDeployment(setting, LayoutSpace::kAll);
    }
  }
}

// Random workloads and shapes of two kinds of model.
void ExpectBestForRandomWorkloads(const std::vector<Model>& models, int draws) {
  constexpr unsigned kSeed = 540;
  std::mt19937 random(kSeed);
  const auto draw = [&](std::initializer_list<std::int64_t> values) {
    return *(values.begin() +
             std::uniform_int_distribution<int>(0, static_cast<int>(values.size()) - 1)(random));
  };
  const std::vector<Slice> slices = {SliceOf(4, 4, 4), SliceOf(2, 2, 2), SliceOf(2, 4, 4)};
  for (int i = 0; i < draws; ++i) {
    const auto at = static_cast<std::size_t>(i);
    Setting setting = Base(models[at % models.size()], slices[at % slices.size()]);
    setting.model.embed_dim = draw({256, 1024, 8192});
    setting.model.ffn_dim = draw({1024, 4096, 32768});
    setting.workload.prefill_batch = draw({1, 8, 64, 512});
    setting.workload.decode_batch = draw({1, 8, 64, 512});
    setting.workload.input_length = draw({1, 64, 2048});
    setting.workload.output_length = draw({1, 64, 1024});
    SCOPED_TRACE(testing::Message()
                 << "seed " << kSeed << ", draw " << i << ": " << setting.model.name << " on "
                 << ToString(setting.slice) << ", E " << setting.model.embed_dim << ", F "
                 << setting.model.ffn_dim << ", batches " << setting.workload.prefill_batch << " "
                 << setting.workload.decode_batch << ", lengths " << setting.workload.input_length
                 << " " << setting.workload.output_length);
    ExpectBestDeployment(setting);
  }
}

TEST(SearchDeployment, EqualsBruteForceForRandomWorkloads) {
  ExpectBestForRandomWorkloads({MultiqueryModel(), MultiheadModel()}, 40);
}

// With grouped-query attention the orders of stored heads of two class representatives may differ
// where those of other members agree, so every member counts.
TEST(SearchDeployment, EqualsBruteForceForRandomWorkloadsOfGroupedQuery) {
  ExpectBestForRandomWorkloads({GroupedModel(), ParallelGroupedModel()}, 60);
}

// Memory decides: with room for the fastest pair gone the next best is found, as by brute force.
TEST(SearchDeployment, EqualsBruteForceWhenMemoryIsTight) {
  Setting setting = Base(MultiheadModel(), SliceOf(2, 2, 2));
  Evaluator roomy(setting);
  const auto first = SearchDeployment(roomy, All(roomy.mesh()));
  ASSERT_TRUE(first.has_value());
  setting.chip.hbm_usable = first->memory * 0.999;
  Evaluator tight(setting);
  const auto second = SearchDeployment(tight, All(tight.mesh()));
  ASSERT_TRUE(second.has_value());
  EXPECT_NEAR(second->latency.base() / BruteForce(setting, LayoutSpace::kPaper).latency, 1, 1e-12);
  EXPECT_GE(second->latency, first->latency);
  setting.chip.hbm_usable = BytesOf(1);
  Evaluator none(setting);
  EXPECT_FALSE(SearchDeployment(none, All(none.mesh())).has_value());
}

// MFU over both phases: real tokens of both over the sum of latencies.
TEST(SearchDeployment, MfuCountsBothPhases) {
  Setting setting = Base(MultiqueryModel());
  setting.model.nominal_parameters = 1e9;
  Evaluator evaluator(setting);
  const auto found = SearchDeployment(evaluator, All(evaluator.mesh()));
  ASSERT_TRUE(found.has_value());
  // 128 x 32 in, 128 x 4 out.
  EXPECT_DOUBLE_EQ(found->mfu, 2 * 1e9 * (4096 + 512) / (64 * 275e12 * found->latency.base()));
}

// The time of the reshard program under the paper's network: volume over 270 GB/s, times layers.
TEST(KvReshardTime, PricesTheReshardProgram) {
  Setting setting = Base(MultiqueryModel());
  setting.model.query_heads = 64;
  setting.calibration = Calibration();
  setting.network = NetworkKind::kPaper;
  Evaluator evaluator(setting);
  const Mesh& mesh = evaluator.mesh();
  const auto plan = [&](const char* layout, Phase phase) {
    return *evaluator.Evaluate(ParseLayout(layout, mesh), phase);
  };
  // All-gather of keys and values, 128 x 32 x 16 bf16 each, over 3 layers.
  EXPECT_DOUBLE_EQ(KvReshardTime(evaluator, plan("Ex.Fyz/ws/Bxyz", Phase::kPrefill),
                                 plan("Ex.Fyz/ws/Hxyz", Phase::kDecode))
                       .base(),
                   3 * 2 * 2 * 128.0 * 32 * 16 / 270e9);
  EXPECT_EQ(KvReshardTime(evaluator, plan("Ex.Fyz/ws/Hxyz", Phase::kPrefill),
                          plan("Ex.Fyz/ws/Bxyz", Phase::kDecode)),
            Seconds());
}

}  // namespace
}  // namespace slicewise
