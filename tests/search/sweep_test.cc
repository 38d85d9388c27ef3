// Searches over slices, batches and weight formats, against brute force.
#include "slicewise/search/sweep.h"

#include <gmock/gmock.h>

#include <random>

#include "search/sweep_test_util.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

// The counters of a search add up, whatever it was asked.
void ExpectCounted(const PhaseSweep& sweep, const SweepSpace& space) {
  const SweepCounters& c = sweep.counters;
  EXPECT_EQ(c.points, space.points(sweep.phase));
  EXPECT_EQ(c.pruned + c.priced, c.layouts);
  EXPECT_LE(c.infeasible, c.priced);
  EXPECT_LE(sweep.points.size(), c.points - c.pruned_points);
}

void ExpectPrunedEqualsExhaustive(const Setting& base, const SweepSpace& space,
                                  SweepOptions options) {
  for (Phase phase : kPhases) {
    options.prune = false;
    const PhaseSweep exhaustive = SweepPhase(base, space, phase, options);
    options.prune = true;
    const PhaseSweep pruned = SweepPhase(base, space, phase, options);
    EXPECT_EQ(Text(pruned), Text(exhaustive)) << Name(phase);
    ExpectCounted(pruned, space);
    ExpectCounted(exhaustive, space);
    EXPECT_EQ(exhaustive.counters.pruned_points, 0U);
    EXPECT_EQ(exhaustive.counters.priced, exhaustive.counters.layouts);
  }
}

// keep 1, 5 and all, and the front, under every objective.
void ExpectPrunedEqualsExhaustiveInEveryMode(const Setting& base, const SweepSpace& space,
                                             const Targets& targets) {
  for (Objective objective : kObjectives) {
    for (std::size_t keep : {0U, 1U, 5U}) {
      SCOPED_TRACE(testing::Message() << Name(objective) << ", keep " << keep);
      ExpectPrunedEqualsExhaustive(base, space,
                                   {.objective = objective, .targets = targets, .keep = keep});
    }
  }
  SCOPED_TRACE("front");
  ExpectPrunedEqualsExhaustive(base, space, {.targets = targets, .front = true});
}

// Multiquery, grouped-query and multihead, on all slices of up to 64 chips.
TEST(SweepPhase, PrunedEqualsExhaustive) {
  for (const char* model : {"palm-8b", "llama-3-8b", "palm-62b", "palm-540b-multihead"}) {
    const Setting base = PresetSetting(model);
    const SweepSpace space = SpaceOf(base.chip, 64, {1, 8, 64, 512});
    const std::vector<Targets> targets = {
        {},
        {.ttft = Milliseconds(400), .tpot = Milliseconds(12)},
        {.min_context = 32768},
        {.ttft = Seconds::FromBase(2), .tpot = Milliseconds(60), .min_context = 8192}};
    for (std::size_t i = 0; i < targets.size(); ++i) {
      SCOPED_TRACE(testing::Message() << model << ", targets " << i);
      ExpectPrunedEqualsExhaustiveInEveryMode(base, space, targets[i]);
    }
  }
}

// Once five int8 decodes are kept, bf16 with batch 1 cannot be as fast as the best of them and yet
// is among the five best; with batch 4096 it cannot be.
TEST(SweepPhase, PrunesByTheLastOfThoseKept) {
  const Setting base = PresetSetting("palm-62b");
  const SweepSpace space = {.slices = {SliceOf(2, 2, 2)},
                            .prefill_batches = {1},
                            .decode_batches = {1, 64, 128, 256, 512, 4096},
                            .weights = {DataType::kInt8, DataType::kBf16}};
  const PhaseSweep found = SweepPhase(base, space, Phase::kDecode, {.keep = 5});
  ASSERT_EQ(found.points.size(), 5U);
  EXPECT_EQ(found.points[0].weights, DataType::kInt8);
  EXPECT_EQ(found.points[2].weights, DataType::kBf16);
  EXPECT_EQ(found.points[2].batch, 1);
  Setting bf16 = base;
  bf16.slice = SliceOf(2, 2, 2);
  EXPECT_GT(BoundsOf(bf16, Phase::kDecode).latency, found.points[0].plan.latency);
  EXPECT_GT(found.counters.pruned_points, 0U);
  ExpectPrunedEqualsExhaustive(base, space, {.keep = 5});
}

// One workload, model shape, chip and set of targets drawn from wide ranges.
class Draws {
 public:
  explicit Draws(unsigned seed) : random_(seed) {}

  Setting Next() {
    const std::vector<Model> models = TestModels();
    Setting setting =
        SettingOf(models[static_cast<std::size_t>(From({0, 1, 2, 3}))], SliceOf(4, 4, 4),
                  SmallWorkload(), From({0, 1}) == 0 ? RoughCalibration() : Calibration());
    setting.model.embed_dim = From({256, 1024, 8192});
    setting.model.ffn_dim = From({1024, 4096, 32768});
    setting.model.layers = From({1, 4, 64});
    setting.workload.input_length = From({1, 64, 2048});
    setting.workload.output_length = From({1, 64, 1024});
    setting.workload.context = From({0, 100, 100000});
    setting.workload.prefill_chunk = From({0, 0, 48});
    setting.workload.activations = From({0, 1}) == 0 ? DataType::kBf16 : DataType::kInt8;
    setting.workload.kv_cache = From({0, 1}) == 0 ? DataType::kBf16 : DataType::kInt8;
    setting.workload.logits = From({0, 1}) == 0 ? Logits::kLast : Logits::kAll;
    setting.workload.scope = From({0, 1}) == 0 ? Scope::kEndToEnd : Scope::kLayers;
    setting.network = From({0, 1}) == 0 ? NetworkKind::kTorus : NetworkKind::kPaper;
    // Memory that some points fill and some do not.
    setting.chip.hbm_usable = Bytes::FromBase(1e6 * static_cast<double>(From({3, 30, 300, 30000})));
    return setting;
  }
  std::int64_t From(std::initializer_list<std::int64_t> values) {
    const int last = static_cast<int>(values.size()) - 1;
    return *(values.begin() + std::uniform_int_distribution<int>(0, last)(random_));
  }

 private:
  std::mt19937 random_;
};

TEST(SweepPhase, PrunedEqualsExhaustiveForRandomWorkloads) {
  constexpr unsigned kSeed = 2211;
  Draws draws(kSeed);
  std::size_t pruned = 0;
  std::size_t kept = 0;
  for (int i = 0; i < 60; ++i) {
    const Setting base = draws.Next();
    SweepSpace space = SpaceOf(base.chip, i % 6 == 5 ? 16 : 64, {1, 16, 256});
    space.layouts = i % 6 == 5 ? LayoutSpace::kAll : LayoutSpace::kPaper;
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", draw " << i << ": " << base.model.name
                                    << ", E " << base.model.embed_dim);
    // Targets near what the points take: some meet them and some do not.
    const PhaseSweep all = SweepPhase(base, space, Phase::kDecode, {});
    Targets targets;
    if (!all.points.empty()) {
      targets.tpot = all.points[all.points.size() / 2].plan.step;
    }
    const SweepOptions options = {.objective = kObjectives[static_cast<std::size_t>(i % 4)],
                                  .targets = targets,
                                  .keep = static_cast<std::size_t>(draws.From({0, 1, 5})),
                                  .front = draws.From({0, 1}) == 1};
    ExpectPrunedEqualsExhaustive(base, space, options);
    const PhaseSweep sweep = SweepPhase(base, space, Phase::kDecode, options);
    pruned += sweep.counters.pruned_points;
    kept += sweep.points.size();
  }
  EXPECT_GT(pruned, 100U) << "draws that prune nothing test nothing";
  EXPECT_GT(kept, 100U);
}

// No layout of a point goes below its bounds, with R and S or without.
void ExpectBounds(const Setting& setting) {
  Evaluator evaluator(setting);
  for (Phase phase : kPhases) {
    const PointBounds bounds = BoundsOf(setting, phase);
    for (const Layout& layout : WithSplits(evaluator.mesh())) {
      const std::optional<Plan> plan = evaluator.Evaluate(layout, phase);
      if (plan) {
        ASSERT_LE(bounds.latency, plan->latency)
            << Name(phase) << " " << ToString(layout, evaluator.mesh());
        ASSERT_LE(bounds.memory, plan->memory.total())
            << Name(phase) << " " << ToString(layout, evaluator.mesh());
      }
    }
  }
}

TEST(BoundsOf, AreBoundsOfEveryLayout) {
  for (const char* model : {"palm-8b", "llama-3-8b", "palm-62b"}) {
    for (const char* calibration : {"tpu-v4", "roofline"}) {
      for (const Slice& slice : {SliceOf(1, 2, 2), SliceOf(2, 2, 4), SliceOf(4, 4, 4)}) {
        for (DataType weights : kFormats) {
          SCOPED_TRACE(testing::Message() << model << " " << calibration << " " << ToString(slice)
                                          << " " << Name(weights));
          Setting setting = PresetSetting(model);
          setting.slice = slice;
          setting.calibration = LoadCalibration(calibration);
          setting.workload.weights = weights;
          setting.workload.decode_batch = 256;
          ExpectBounds(setting);
        }
      }
    }
  }
}

TEST(BoundsOf, AreBoundsForRandomWorkloads) {
  constexpr unsigned kSeed = 5102;
  Draws draws(kSeed);
  for (int i = 0; i < 40; ++i) {
    Setting setting = draws.Next();
    setting.slice = LegalSlices(setting.chip, 64)[static_cast<std::size_t>(i % 5)];
    setting.workload.prefill_batch = draws.From({1, 16, 256});
    setting.workload.decode_batch = draws.From({1, 16, 256});
    setting.workload.weights = kFormats[static_cast<std::size_t>(i % 2)];
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", draw " << i);
    ExpectBounds(setting);
  }
}

// A block of two matrices and nothing else, on the roofline: the bound is the time itself, and
// rounding must not put it above.
TEST(BoundsOf, AreReachedAndNotPassed) {
  for (std::int64_t rows : {1, 3, 7, 100, 1000, 99999}) {
    for (std::int64_t embed : {48, 336, 1200}) {
      Setting setting =
          SettingOf(FfnModel(embed, 3 * embed), SliceOf(1, 2, 2), SmallWorkload(), Calibration());
      setting.model.layers = 7;
      setting.workload.prefill_batch = rows * 4;
      setting.workload.input_length = 1;
      setting.workload.scope = Scope::kLayers;
      setting.chip.link_bandwidth = GigabytesPerSecond(1e9);  // the network is never what counts
      Evaluator evaluator(setting);
      const Seconds bound = BoundsOf(setting, Phase::kPrefill).latency;
      Seconds best = SecondsOf(1e9);
      for (const Layout& layout : AllLayouts(evaluator.mesh())) {
        best = std::min(best, evaluator.Evaluate(layout, Phase::kPrefill)->latency);
      }
      EXPECT_LE(bound, best) << rows << " rows of " << embed;
      EXPECT_NEAR(bound / best, 1, 1e-6) << rows << " rows of " << embed;
      // So a target of exactly the best time is met.
      const SweepSpace space = {.slices = {setting.slice},
                                .prefill_batches = {rows * 4},
                                .decode_batches = {1},
                                .weights = {DataType::kBf16}};
      EXPECT_EQ(
          SweepPhase(setting, space, Phase::kPrefill, {.targets = {.ttft = best}}).points.size(),
          1U);
    }
  }
}

TEST(SweepPhase, DoesNotDependOnThreads) {
  const Setting base = PresetSetting("palm-62b");
  const SweepSpace space = SpaceOf(base.chip, 256, PowersOfTwo(512));
  for (bool front : {false, true}) {
    for (Phase phase : kPhases) {
      SweepOptions options = {.objective = Objective::kCost, .keep = 5, .front = front};
      const PhaseSweep one = SweepPhase(base, space, phase, options);
      for (int threads : {2, 4, 100}) {
        options.threads = threads;
        const PhaseSweep many = SweepPhase(base, space, phase, options);
        EXPECT_EQ(Text(many), Text(one)) << threads << " threads";
        EXPECT_EQ(many.counters, one.counters) << threads << " threads";
      }
    }
  }
}

// From one thread at a time, once for each slice, the last time with all of them.
TEST(SweepPhase, ReportsItsProgress) {
  const Setting base = PresetSetting("palm-8b");
  const SweepSpace space = SpaceOf(base.chip, 256, {1});
  for (int threads : {1, 4}) {
    std::vector<std::size_t> done;
    SweepOptions options = {.threads = threads};
    options.progress = [&](std::size_t at, std::size_t total) {
      EXPECT_EQ(total, 9U);
      done.push_back(at);
    };
    static_cast<void>(SweepPhase(base, space, Phase::kDecode, options));
    EXPECT_EQ(done, (std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
}

// PaLM 540B over all v4 slices of up to 256 chips, batches 1 to 1024, bf16 and int8.
//
// An axis takes one of 6 options, and layouts that differ by relabelling equal axes are one class:
//   1x2x2                       two equal axes      C(7,2)     =  21 classes of  36 layouts
//   2x2x2, 4x4x4                three equal axes    C(8,3)     =  56 classes of 216
//   2x2x4, 2x4x4, 4x4x8,        two equal and one   21 x 6     = 126 classes of 216
//   4x4x12, 4x4x16, 4x8x8
// 21 + 2 x 56 + 6 x 126 = 889 classes on 9 slices, for each of 11 batches and 2 formats: 198 points
// and 889 x 22 = 19558 plans at most.
TEST(SweepPhase, CountersOfPalm540bUpTo256Chips) {
  const Setting base = PresetSetting("palm-540b");
  const SweepSpace space = SpaceOf(base.chip, 256, PowersOfTwo(1024));
  ASSERT_EQ(space.points(Phase::kDecode), 198U);  // 9 x 11 x 2
  const auto text = [&](Phase phase, const SweepOptions& options) {
    const SweepCounters c = SweepPhase(base, space, phase, options).counters;
    return fmt::format(
        "{} points, {} pruned; {} layouts, {} pruned, {} priced, {} infeasible; {} programs",
        c.points, c.pruned_points, c.layouts, c.pruned, c.priced, c.infeasible, c.lowered);
  };
  // The matrices alone, 536e9 elements, rule out 4, 8 and 16 chips even in int8 (31.2 GiB of 30.75
  // on 16) and 32 chips in bf16: 3 x 22 + 11 = 77 points of (21 + 56 + 126) x 22 + 126 x 11 = 5852
  // layouts. What is left is lowered once for each of 889 x 2 - 203 x 2 - 126 = 1246 layouts and
  // formats, whatever the batches.
  const SweepOptions by_cost = {.objective = Objective::kCost, .keep = 5};
  EXPECT_EQ(text(Phase::kPrefill, {}),
            "198 points, 77 pruned; 19558 layouts, 5852 pruned, 13706 priced, 1424 infeasible; "
            "1246 programs");
  EXPECT_EQ(text(Phase::kDecode, {}),
            "198 points, 77 pruned; 19558 layouts, 5852 pruned, 13706 priced, 814 infeasible; 1246 "
            "programs");
  // Time rules out more where only the best five are kept: large batches for latency, whose bounds
  // are above the small ones' times, and small ones for cost.
  EXPECT_EQ(text(Phase::kPrefill, {.keep = 5}),
            "198 points, 107 pruned; 19558 layouts, 9212 pruned, 10346 priced, 963 infeasible; "
            "1246 programs");
  EXPECT_EQ(text(Phase::kDecode, {.keep = 5}),
            "198 points, 84 pruned; 19558 layouts, 6594 pruned, 12964 priced, 648 infeasible; 1246 "
            "programs");
  EXPECT_EQ(text(Phase::kPrefill, by_cost),
            "198 points, 77 pruned; 19558 layouts, 5852 pruned, 13706 priced, 1424 infeasible; "
            "1246 programs");
  EXPECT_EQ(text(Phase::kDecode, by_cost),
            "198 points, 100 pruned; 19558 layouts, 8400 pruned, 11158 priced, 814 infeasible; "
            "1246 programs");
  EXPECT_EQ(text(Phase::kDecode, {.front = true}),
            "198 points, 77 pruned; 19558 layouts, 5852 pruned, 13706 priced, 814 infeasible; 1246 "
            "programs");
}

// All layouts, of which classes are, with 9 options for an axis and 72 for a split one:
//   1x2x2   C(10,2)                                                45
//   2x2x2   C(11,3)                                               165
//   2x2x4   45 x 9, and 4 split 72 x 45                          3645
//   2x4x4   9 x 45, and a 4 split 9 x 9 x 72                     6237
//   4x4x4   165, and a 4 split 72 x 45                           3405
//   4x4x8, 4x4x12, 4x4x16, 4x8x8: 45 x 9, the odd one split 72 x 45, another 9 x 9 x 72: 9477
// 51405 on 9 slices. At int8 the matrices rule out the first three, 3855, and on 2x4x4, where 16
// ways are too few, all with R: of 6237 the 8 x C(9,2) + 8 x 8 x 56 = 3872 without it are left.
TEST(SweepPhase, CountersOfAllLayouts) {
  const Setting base = PresetSetting("palm-540b");
  SweepSpace space = SpaceOf(base.chip, 256, {64});
  space.weights = {DataType::kInt8};
  space.layouts = LayoutSpace::kAll;
  const SweepCounters all = SweepPhase(base, space, Phase::kDecode, {}).counters;
  EXPECT_EQ(all.layouts, 51405U);
  EXPECT_EQ(all.pruned_points, 3U);
  EXPECT_EQ(all.pruned + all.priced, all.layouts);
  EXPECT_EQ(all.lowered, all.priced);
  space.slices = {SliceOf(2, 4, 4)};
  const SweepCounters one = SweepPhase(base, space, Phase::kDecode, {}).counters;
  EXPECT_EQ(one.layouts, 6237U);
  EXPECT_EQ(one.priced, 3872U);
}

// A slice is a box of chips: how it is turned relabels the axes and nothing else.
TEST(SweepPhase, OrientationsAddNothing) {
  for (const char* model : {"palm-8b", "palm-62b", "llama-3-8b", "llama-2-70b", "starcoder",
                            "gpt-3-175b", "falcon-40b", "qwen3-32b"}) {
    for (Phase phase : kPhases) {
      std::vector<double> best;
      for (const Slice& slice : {SliceOf(2, 2, 4), SliceOf(2, 4, 2), SliceOf(4, 2, 2)}) {
        Setting setting = PresetSetting(model);
        setting.slice = slice;
        setting.chip.hbm_usable = Gibibytes(1000);
        setting.workload.decode_batch = 64;
        Evaluator evaluator(setting);
        const LayoutFilter all("*/*/*", evaluator.mesh());
        best.push_back(
            SearchPhase(evaluator, all, phase, Objective::kLatency, {}, LayoutSpace::kAll)
                .plans.front()
                .latency.base());
      }
      EXPECT_NEAR(best[1] / best[0], 1, 1e-12) << model << " " << Name(phase);
      EXPECT_NEAR(best[2] / best[0], 1, 1e-12) << model << " " << Name(phase);
    }
  }
}

// So a sweep over all slices has each shape once: every box of three multiples of 4, and the four
// small shapes, with ascending dimensions.
TEST(SweepPhase, AllSlicesHoldEachShapeOnce) {
  const Chip chip = LoadChip("tpu-v4");
  std::vector<std::array<int, 3>> expected = {{1, 2, 2}, {2, 2, 2}, {2, 2, 4}, {2, 4, 4}};
  for (int a = 4; a <= 512; a += 4) {
    for (int b = a; a * b <= 512; b += 4) {
      for (int c = b; a * b * c <= 512; c += 4) {
        expected.push_back({a, b, c});
      }
    }
  }
  std::vector<std::array<int, 3>> found;
  for (const Slice& slice : LegalSlices(chip, 512)) {
    found.push_back(slice.dims);
  }
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, expected);
}

TEST(SweepPhase, EachObjectiveFindsTheBruteForceWinner) {
  for (const char* model : {"palm-540b", "llama-3-8b"}) {
    const Setting base = PresetSetting(model);
    const SweepSpace space = SpaceOf(base.chip, 256, {1, 16, 256});
    for (Phase phase : kPhases) {
      for (Objective objective : kObjectives) {
        SCOPED_TRACE(testing::Message() << model << " " << Name(phase) << " " << Name(objective));
        const SweepOptions options = {.objective = objective, .keep = 3};
        std::vector<double> scores;
        for (const SweepPoint& point : BruteForce(base, space, phase, options)) {
          scores.push_back(ScoreOf(point, phase, objective, base));
        }
        std::sort(scores.begin(), scores.end());
        const PhaseSweep found = SweepPhase(base, space, phase, options);
        ASSERT_EQ(found.points.size(), 3U);
        for (std::size_t i = 0; i < 3; ++i) {
          EXPECT_NEAR(ScoreOf(found.points[i], phase, objective, base) / scores[i], 1, 1e-12);
        }
      }
    }
  }
}

// PaLM 540B decode, batches of 64 and 512 sequences on 64 to 256 chips: a step is fastest on most
// chips with the small batch, cheapest per token on the fewest with the large one, which is also
// where MFU is highest; most tokens per second come of most chips and the large batch.
TEST(SweepPhase, ObjectivesDisagree) {
  const Setting base = PresetSetting("palm-540b");
  SweepSpace space = SpaceOf(base.chip, 256, {64, 512}, {DataType::kBf16});
  std::erase_if(space.slices, [](const Slice& slice) { return slice.chips() < 64; });
  const auto winner = [&](Objective objective) {
    const PhaseSweep found =
        SweepPhase(base, space, Phase::kDecode, {.objective = objective, .keep = 1});
    return fmt::format("{} chips, batch {}", found.points.at(0).slice.chips(),
                       found.points.at(0).batch);
  };
  EXPECT_EQ(winner(Objective::kLatency), "256 chips, batch 64");
  EXPECT_EQ(winner(Objective::kCost), "64 chips, batch 512");
  EXPECT_EQ(winner(Objective::kMfu), "64 chips, batch 512");
  EXPECT_EQ(winner(Objective::kThroughput), "256 chips, batch 512");
}

TEST(SweepPhase, TheFrontIsWhatNothingBeatsInBoth) {
  for (Phase phase : kPhases) {
    const Setting base = PresetSetting("palm-62b");
    const SweepSpace space = SpaceOf(base.chip, 256, PowersOfTwo(1024));
    const std::vector<SweepPoint> all = BruteForce(base, space, phase, {});
    const PhaseSweep front = SweepPhase(base, space, phase, {.front = true});
    const auto beats = [](const Plan& a, const Plan& b) {
      return WaitOf(a) <= WaitOf(b) && a.chip_seconds_per_token <= b.chip_seconds_per_token &&
             (WaitOf(a) < WaitOf(b) || a.chip_seconds_per_token < b.chip_seconds_per_token);
    };
    std::size_t expected = 0;
    for (const SweepPoint& point : all) {
      expected += std::none_of(all.begin(), all.end(), [&](const SweepPoint& other) {
        return beats(other.plan, point.plan);
      });
    }
    EXPECT_EQ(front.points.size(), expected) << Name(phase);
    EXPECT_GT(expected, 5U);
    for (std::size_t i = 1; i < front.points.size(); ++i) {
      EXPECT_LT(WaitOf(front.points[i - 1].plan), WaitOf(front.points[i].plan));
      EXPECT_GT(front.points[i - 1].plan.chip_seconds_per_token,
                front.points[i].plan.chip_seconds_per_token);
    }
    for (const SweepPoint& point : front.points) {
      EXPECT_TRUE(std::none_of(all.begin(), all.end(), [&](const SweepPoint& other) {
        return beats(other.plan, point.plan);
      })) << Text(point);
    }
  }
}

}  // namespace
}  // namespace slicewise
