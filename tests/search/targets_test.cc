// Limits of a search, and what is offered where nothing keeps them.
#include <gmock/gmock.h>

#include "search/sweep_test_util.h"
#include "slicewise/search/offer.h"

namespace slicewise {
namespace {

// The least memory that the decode of a point takes with room for so many tokens, counted by
// planning a decode that ends with that many in the cache.
std::optional<Bytes> MemoryWithRoomFor(std::int64_t tokens, const Setting& base, const Slice& slice,
                                       std::int64_t batch, const Layout& layout) {
  Setting setting = base;
  setting.slice = slice;
  setting.workload.decode_batch = batch;
  setting.workload.context =
      tokens - setting.workload.input_length - setting.workload.output_length;
  Evaluator evaluator(setting);
  const std::optional<Plan> plan = evaluator.Evaluate(layout, Phase::kDecode);
  return plan ? std::optional(plan->memory.total()) : std::nullopt;
}

TEST(Targets, MinContextIsAMemoryCount) {
  const Setting base = PresetSetting("palm-62b");
  const SweepSpace space = SpaceOf(base.chip, 64, {1, 64, 512}, {DataType::kBf16});
  std::size_t kept = 0;
  std::size_t missed = 0;
  for (std::int64_t least : {2112, 2113, 8192, 32768, 131072}) {
    const SweepOptions options = {.targets = {.min_context = least}};
    const PhaseSweep sweep = SweepPhase(base, space, Phase::kDecode, options);
    for (const Slice& slice : space.slices) {
      for (std::int64_t batch : space.decode_batches) {
        const bool fits = [&] {
          const std::vector<Layout> layouts = AllLayouts(Mesh(slice));
          return std::any_of(layouts.begin(), layouts.end(), [&](const Layout& layout) {
            const auto memory = MemoryWithRoomFor(least, base, slice, batch, layout);
            return memory && *memory <= base.chip.hbm_usable;
          });
        }();
        const bool found = std::any_of(
            sweep.points.begin(), sweep.points.end(),
            [&](const SweepPoint& point) { return point.slice == slice && point.batch == batch; });
        EXPECT_EQ(found, fits) << ToString(slice) << " batch " << batch << ", " << least
                               << " tokens";
        ++(found ? kept : missed);
      }
    }
    for (const SweepPoint& point : sweep.points) {
      EXPECT_LE(*MemoryWithRoomFor(least, base, point.slice, point.batch, point.plan.layout),
                base.chip.hbm_usable)
          << Text(point);
    }
  }
  EXPECT_GT(kept, 10U);
  EXPECT_GT(missed, 10U);
}

// No point misses a target, and a looser target never makes the winner worse.
TEST(Targets, AreHardFilters) {
  const Setting base = PresetSetting("palm-62b");
  const SweepSpace space = SpaceOf(base.chip, 128, PowersOfTwo(256));
  for (Objective objective : kObjectives) {
    for (Phase phase : kPhases) {
      SCOPED_TRACE(testing::Message() << Name(objective) << " " << Name(phase));
      const double scale = phase == Phase::kPrefill ? 10 : 1;
      double before = std::numeric_limits<double>::infinity();
      std::size_t points = 0;
      for (double milliseconds : {1.0, 8.0, 15.0, 30.0, 60.0, 1000.0}) {
        const Seconds limit = Milliseconds(milliseconds * scale);
        const PhaseSweep found =
            SweepPhase(base, space, phase,
                       {.objective = objective, .targets = {.ttft = limit, .tpot = limit}});
        EXPECT_GE(found.points.size(), points);
        points = found.points.size();
        for (const SweepPoint& point : found.points) {
          EXPECT_LE(WaitOf(point.plan), limit) << Text(point);
        }
        if (!found.points.empty()) {
          const double score = ScoreOf(found.points.front(), phase, objective, base);
          EXPECT_LE(score, before);
          before = score;
        }
      }
      EXPECT_GT(points, 80U);  // of 6 slices x 9 batches x 2 formats = 108
    }
  }
}

// A time equal to its target passes; the next double below does not.
TEST(Targets, ATimeEqualToItsTargetPasses) {
  const Setting base = PresetSetting("palm-62b");
  const SweepSpace space = SpaceOf(base.chip, 64, {16}, {DataType::kBf16});
  for (Phase phase : kPhases) {
    const PhaseSweep free = SweepPhase(base, space, phase, {.keep = 1});
    const Seconds best = WaitOf(free.points.at(0).plan);
    const auto with = [&](Seconds limit) {
      return Text(SweepPhase(base, space, phase, {.targets = {.ttft = limit, .tpot = limit}}));
    };
    EXPECT_EQ(with(best), Text(free)) << Name(phase);
    EXPECT_EQ(with(SecondsOf(std::nextafter(best.base(), 0))), "") << Name(phase);
  }
}

// A limit on prefill says nothing of decode, nor the other way round.
TEST(Targets, BindTheirOwnPhase) {
  const Setting base = PresetSetting("palm-62b");
  const SweepSpace space = SpaceOf(base.chip, 64, {1, 16});
  const Targets ttft = {.ttft = Microseconds(1)};
  const Targets tpot = {.tpot = Microseconds(1)};
  EXPECT_TRUE(SweepPhase(base, space, Phase::kPrefill, {.targets = ttft}).points.empty());
  EXPECT_TRUE(SweepPhase(base, space, Phase::kDecode, {.targets = tpot}).points.empty());
  EXPECT_EQ(Text(SweepPhase(base, space, Phase::kPrefill, {.targets = tpot})),
            Text(SweepPhase(base, space, Phase::kPrefill, {})));
  EXPECT_EQ(Text(SweepPhase(base, space, Phase::kDecode, {.targets = ttft})),
            Text(SweepPhase(base, space, Phase::kDecode, {})));
}

// What nearly answers a request on `slices`; PaLM 540B in bf16, one batch.
std::optional<Offer> OfferFor(const std::vector<Slice>& slices, std::int64_t batch,
                              const Targets& targets, const char* layout = "*/*/*") {
  const Setting base = PresetSetting("palm-540b");
  const SweepSpace space = {.slices = slices,
                            .prefill_batches = {batch},
                            .decode_batches = {batch},
                            .weights = {DataType::kBf16},
                            .layout = layout};
  return NearestOffer(base, space, Phase::kDecode, {.targets = targets});
}

// The fewest chips that keep the limit, and nothing smaller does.
TEST(NearestOffer, NamesWhatBindsAndTheFewestChips) {
  EXPECT_FALSE(OfferFor({SliceOf(4, 4, 4)}, 64, {}).has_value());

  // 1.08 TB of weights: 31.4 GiB a chip on 32 of them, so 64.
  const auto memory = OfferFor({SliceOf(2, 2, 2)}, 1, {});
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->binding, Violation::Code::kMemory);
  EXPECT_FALSE(memory->fastest.has_value());
  EXPECT_EQ(memory->sufficient->slice.chips(), 64);

  // A sequence on each of 64 chips: 180e3 x 118 x 2 x 256 bf16 elements are 20.3 GiB, and the
  // weights 15.7 GiB on 64 chips, 7.9 GiB on 128.
  const auto context = OfferFor({SliceOf(4, 4, 4)}, 64, {.min_context = 180'000});
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->binding, Violation::Code::kContext);
  EXPECT_FALSE(context->fastest.has_value());  // the context is no limit on time
  ASSERT_TRUE(context->sufficient.has_value());
  EXPECT_EQ(context->sufficient->slice.chips(), 128);

  const auto time = OfferFor({SliceOf(4, 4, 4)}, 64, {.tpot = Milliseconds(23)});
  ASSERT_TRUE(time.has_value());
  EXPECT_EQ(time->binding, Violation::Code::kTpot);
  EXPECT_GT(time->fastest->plan.step, Milliseconds(23));
  ASSERT_TRUE(time->sufficient.has_value());
  EXPECT_LE(time->sufficient->plan.step, Milliseconds(23));
  for (const Slice& slice : LegalSlices(LoadChip("tpu-v4"), time->sufficient->slice.chips() - 1)) {
    EXPECT_TRUE(OfferFor({slice}, 64, {.tpot = Milliseconds(23)}).has_value()) << ToString(slice);
  }

  const auto beyond = OfferFor({SliceOf(4, 4, 4)}, 64, {.tpot = Microseconds(1)});
  ASSERT_TRUE(beyond.has_value());
  EXPECT_FALSE(beyond->sufficient.has_value());
  EXPECT_TRUE(beyond->fastest.has_value());
}

// A layout of two axes cannot be named on most other slices; those are not offered.
TEST(NearestOffer, KeepsToSlicesThatTheLayoutCanBeNamedOn) {
  const auto offer = OfferFor({SliceOf(1, 2, 2)}, 1, {}, "Fyz/ws/Byz");
  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(offer->binding, Violation::Code::kMemory);
  EXPECT_FALSE(offer->sufficient.has_value());
}

// In a thread of its own too.
TEST(SweepPhase, ALayoutThatASliceCannotNameIsAnError) {
  const Setting base = PresetSetting("palm-8b");
  SweepSpace space = SpaceOf(base.chip, 64, {1});
  space.layout = "Fyz/ws/Byz";
  for (int threads : {1, 4}) {
    EXPECT_THAT(ErrorOf([&] {
                  static_cast<void>(SweepPhase(base, space, Phase::kDecode, {.threads = threads}));
                }),
                testing::HasSubstr("layout 'Fyz/ws/Byz': axis x is missing"));
  }
}

}  // namespace
}  // namespace slicewise
