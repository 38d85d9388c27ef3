// Plans priced per second on one core, and allocations per plan.
//
//   build/tests/bench/slicewise_bench
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstdlib>
#include <new>

#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/cost/plan.h"
#include "slicewise/search/enumerate.h"
#include "slicewise/search/search.h"
#include "slicewise/search/sweep.h"

namespace {
std::size_t g_allocations = 0;  // the benchmark's own: counts what the loop under test allocates
}  // namespace

#if defined(__GNUC__) && !defined(__clang__)
// GCC does not see that the two replacements below belong together.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

void* operator new(std::size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size)) {
    return memory;
  }
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace slicewise {
namespace {

Setting PalmSetting() {
  Setting setting;
  setting.model = LoadModel("palm-540b").model;
  setting.chip = LoadChip("tpu-v4");
  setting.slice = ParseSlice("4x4x4", setting.chip);
  setting.calibration = LoadCalibration("tpu-v4");
  setting.workload.decode_batch = 64;
  setting.workload.weights = DataType::kInt8;
  return setting;
}

void CountPlans(benchmark::State& state, std::size_t plans, std::size_t allocations_before) {
  state.counters["plans_per_second"] =
      benchmark::Counter(static_cast<double>(plans), benchmark::Counter::kIsRate);
  state.counters["allocations_per_plan"] =
      static_cast<double>(g_allocations - allocations_before) / static_cast<double>(plans);
}

// Plans of one batch, nothing reused: each is lowered, costed, its memory counted.
void BM_PlansOfOneBatch(benchmark::State& state) {
  Evaluator evaluator(PalmSetting());
  const std::vector<Layout> layouts =
      EnumerateLayouts(evaluator.mesh(), LayoutFilter("*/*/*", evaluator.mesh()));
  const auto phase = static_cast<Phase>(state.range(0));
  std::size_t plans = 0;
  const std::size_t before = g_allocations;
  for (auto _ : state) {
    benchmark::DoNotOptimize(evaluator.Evaluate(layouts[plans % layouts.size()], phase));
    ++plans;
  }
  CountPlans(state, plans, before);
}
BENCHMARK(BM_PlansOfOneBatch)->Arg(0)->Arg(1);

// Plans of batches 1 to 1024, as a sweep prices them: a layout is lowered once and its curve priced
// for one batch after another.
void BM_PlansOfElevenBatches(benchmark::State& state) {
  Evaluator evaluator(PalmSetting());
  const std::vector<Layout> layouts =
      EnumerateLayouts(evaluator.mesh(), LayoutFilter("*/*/*", evaluator.mesh()));
  const auto phase = static_cast<Phase>(state.range(0));
  PlanCurve curve;
  std::size_t plans = 0;
  const std::size_t before = g_allocations;
  for (auto _ : state) {
    const Layout& layout = layouts[plans % layouts.size()];
    for (std::int64_t batch = 1; batch <= 1024; batch *= 2) {
      if (batch == 1 || !curve.Covers(batch)) {
        benchmark::DoNotOptimize(evaluator.Trace(layout, phase, batch, curve));
      }
      benchmark::DoNotOptimize(evaluator.At(curve, evaluator.FiguresOf(phase, batch)));
      ++plans;
    }
  }
  CountPlans(state, plans, before);
}
BENCHMARK(BM_PlansOfElevenBatches)->Arg(0)->Arg(1);

// The search behind `plan`, one phase: enumeration, classes, pricing, ranking.
void BM_SearchPhase(benchmark::State& state) {
  Evaluator evaluator(PalmSetting());
  const LayoutFilter filter("*/*/*", evaluator.mesh());
  for (auto _ : state) {
    benchmark::DoNotOptimize(SearchPhase(evaluator, filter, Phase::kDecode, Objective::kLatency));
  }
}
BENCHMARK(BM_SearchPhase)->Unit(benchmark::kMicrosecond);

// All v4 slices up to 256 chips, batches 1 to 1024, bf16 and int8, both phases, one thread: every
// point's best layout. Arguments: whether points that a bound rules out are left out; whether all
// layouts are looked at or the paper's.
void BM_SweepTo256Chips(benchmark::State& state) {
  const Setting base = PalmSetting();
  SweepSpace space;
  space.slices = LegalSlices(base.chip, 256);
  for (std::int64_t batch = 1; batch <= 1024; batch *= 2) {
    space.prefill_batches.push_back(batch);
    space.decode_batches.push_back(batch);
  }
  space.weights = {DataType::kBf16, DataType::kInt8};
  SweepOptions options;
  options.prune = state.range(0) != 0;
  space.layouts = state.range(1) != 0 ? LayoutSpace::kAll : LayoutSpace::kPaper;
  SweepCounters counters;
  std::size_t plans = 0;
  const std::size_t before = g_allocations;
  for (auto _ : state) {
    counters = {};
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      counters += SweepPhase(base, space, phase, options).counters;
    }
    plans += counters.priced;
  }
  CountPlans(state, plans, before);
  state.counters["layouts"] = static_cast<double>(counters.layouts);
  state.counters["pruned"] = static_cast<double>(counters.pruned);
  state.counters["lowered"] = static_cast<double>(counters.lowered);
  state.counters["priced"] = static_cast<double>(counters.priced);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_memory_MiB"] = static_cast<double>(usage.ru_maxrss) / 1024;
}
BENCHMARK(BM_SweepTo256Chips)->ArgsProduct({{0, 1}, {0, 1}})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace slicewise

BENCHMARK_MAIN();
