// What the tests of sweeps share: spaces of presets, points as text, and the search without bounds.
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "program/program_test_util.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/search/sweep.h"

namespace slicewise {

inline constexpr std::array<Phase, 2> kPhases = {Phase::kPrefill, Phase::kDecode};
inline constexpr std::array<Objective, 4> kObjectives = {Objective::kLatency, Objective::kMfu,
                                                         Objective::kCost, Objective::kThroughput};
inline const std::vector<DataType> kFormats = {DataType::kBf16, DataType::kInt8};

inline Setting PresetSetting(const char* model) {
  Setting setting;
  setting.model = LoadModel(model).model;
  setting.chip = LoadChip("tpu-v4");
  setting.slice = SliceOf(4, 4, 4);
  setting.calibration = LoadCalibration("tpu-v4");
  return setting;
}

inline std::vector<std::int64_t> PowersOfTwo(std::int64_t last) {
  std::vector<std::int64_t> batches;
  for (std::int64_t batch = 1; batch <= last; batch *= 2) {
    batches.push_back(batch);
  }
  return batches;
}

inline SweepSpace SpaceOf(const Chip& chip, int most_chips,
                          const std::vector<std::int64_t>& batches,
                          const std::vector<DataType>& weights = kFormats) {
  return {.slices = LegalSlices(chip, most_chips),
          .prefill_batches = batches,
          .decode_batches = batches,
          .weights = weights};
}

inline Seconds WaitOf(const Plan& plan) {
  return plan.phase == Phase::kPrefill ? plan.latency : plan.step;
}

// A point to the bit: {:a} prints all of a double.
inline std::string Text(const SweepPoint& p) {
  const Plan& plan = p.plan;
  return fmt::format("{} {} batch {} {}, {} heads: {:a} s, step {:a} s, {:a} bytes, mfu {:a}\n",
                     ToString(p.slice), Name(p.weights), p.batch,
                     ToString(plan.layout, Mesh(p.slice)), plan.stored_heads, plan.latency.base(),
                     plan.step.base(), plan.memory.total().base(), plan.mfu);
}

inline std::string Text(const PhaseSweep& sweep) {
  std::string text;
  for (const SweepPoint& point : sweep.points) {
    text += Text(point);
  }
  return text;
}

// What an objective makes of a point, written out.
inline double ScoreOf(const SweepPoint& p, Phase phase, Objective objective, const Setting& base) {
  const double length = static_cast<double>(phase == Phase::kPrefill ? base.workload.input_length
                                                                     : base.workload.output_length);
  const double tokens = static_cast<double>(p.batch) * length;
  const double seconds = p.plan.latency.base();
  const double chips = p.slice.dims[0] * p.slice.dims[1] * p.slice.dims[2];
  switch (objective) {
    case Objective::kLatency:
      return seconds;
    case Objective::kMfu:
      return -2 * MfuParameters(base.model) * tokens / (chips * 275e12 * seconds);
    case Objective::kCost:
      return chips * seconds / tokens;
    case Objective::kThroughput:
      return -tokens / seconds;
  }
  return 0;
}

// The best plan of every point by the search of one slice and workload, with no bound.
inline std::vector<SweepPoint> BruteForce(const Setting& base, const SweepSpace& space, Phase phase,
                                          const SweepOptions& options) {
  std::vector<SweepPoint> points;
  for (const Slice& slice : space.slices) {
    for (DataType weights : space.weights) {
      for (std::int64_t batch : space.batches(phase)) {
        Setting setting = base;
        setting.slice = slice;
        setting.workload.weights = weights;
        setting.workload.prefill_batch = setting.workload.decode_batch = batch;
        Evaluator evaluator(setting);
        const LayoutFilter filter(space.layout, evaluator.mesh());
        const PhasePlans found = SearchPhase(evaluator, filter, phase, options.objective,
                                             options.targets, space.layouts);
        if (!found.plans.empty()) {
          points.push_back({slice, weights, batch, found.plans.front()});
        }
      }
    }
  }
  return points;
}

}  // namespace slicewise
