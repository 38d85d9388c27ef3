// Search over slices, batch sizes and weight formats: for each such point the best layout, and over
// all points the best few, or those that no other beats in both latency and cost.
//
// Points are pruned by lower bounds (docs/search.md has the proof): the weights must fit, a
// target must be within reach of the chip's rates, and the bound must not already be worse than
// what is kept. Results are those of the exhaustive search, and do not depend on the number of
// threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/search/deployment.h"
#include "slicewise/search/search.h"

namespace slicewise {

struct SweepSpace {
  std::vector<Slice> slices;
  std::vector<std::int64_t> prefill_batches, decode_batches;
  std::vector<DataType> weights;
  std::string layout = "*/*/*";  // filter
  LayoutSpace layouts = LayoutSpace::kPaper;

  [[nodiscard]] const std::vector<std::int64_t>& batches(Phase phase) const {
    return phase == Phase::kPrefill ? prefill_batches : decode_batches;
  }
  // Combinations of slice, weight format and batch.
  [[nodiscard]] std::size_t points(Phase phase) const {
    return slices.size() * weights.size() * batches(phase).size();
  }
};

struct SweepPoint {
  Slice slice;
  DataType weights = DataType::kBf16;
  std::int64_t batch = 1;
  Plan plan;  // the best layout
};

// What the search did; a test pins them.
struct SweepCounters {
  std::size_t points = 0;         // slice x weight format x batch
  std::size_t pruned_points = 0;  // left out by a bound, with all their layouts
  std::size_t layouts = 0;        // enumerated, one per class, over all points
  std::size_t pruned = 0;         // layouts of pruned points, or whose replicas do not fit
  std::size_t lowered = 0;        // programs made; one serves many batches
  std::size_t priced = 0;         // plans: costed, memory counted, or refused for the head count
  std::size_t infeasible = 0;     // of those priced: miss memory, a target or the head count

  SweepCounters& operator+=(const SweepCounters& other);
  bool operator==(const SweepCounters&) const = default;
};

struct SweepOptions {
  Objective objective = Objective::kLatency;
  Targets targets;
  std::size_t keep = 0;  // best points by objective; 0: all
  bool front = false;    // only points that none beats in latency (decode: of a step) and cost
  bool prune = true;
  int threads = 1;
  // Called as points are finished, from one thread at a time.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

struct PhaseSweep {
  Phase phase = Phase::kPrefill;
  std::vector<SweepPoint> points;  // feasible, best first; a front in order of latency
  SweepCounters counters;
};

// `base` gives everything that the space does not. Exact: every point's best layout among the
// classes that the filter matches.
[[nodiscard]] PhaseSweep SweepPhase(const Setting& base, const SweepSpace& space, Phase phase,
                                    const SweepOptions& options);

// The best deployment of each slice and weight format, best first by the objective.
struct DeploymentPoint {
  Slice slice;
  DataType weights = DataType::kBf16;
  Deployment deployment;
};
[[nodiscard]] std::vector<DeploymentPoint> SweepDeployments(const Setting& base,
                                                            const SweepSpace& space,
                                                            const SweepOptions& options,
                                                            bool same_layout = false);

// The deployments of all slices and formats that none beats in both latency and tokens per
// chip-second, in order of latency.
[[nodiscard]] std::vector<DeploymentPoint> SweepDeploymentFront(const Setting& base,
                                                                const SweepSpace& space,
                                                                const SweepOptions& options,
                                                                bool same_layout = false);

// A prefill slice beside a decode slice, each with the point that serves its phase best.
struct PairedDeployment {
  SweepPoint prefill;
  SweepPoint decode;
  double prefill_slices_per_decode_slice = 0;  // that keep each other busy
  Seconds kv_transfer;  // one prefill batch's cache over the hosts of the smaller slice; zero where
                        // the chip's file gives no host bandwidth
  ServingFigures figures;
};
// Of two points that keep the targets: those that are best by PairObjective.
[[nodiscard]] PairedDeployment PairPhases(const Setting& base, const SweepPoint& prefill,
                                          const SweepPoint& decode);
// By what each phase is chosen on a slice of its own: latency by latency; else, since any number of
// slices may stand side by side, by cost.
[[nodiscard]] Objective PairObjective(Objective objective);

// Bounds that no layout of a point goes below.
struct PointBounds {
  Seconds latency;  // the whole phase
  Bytes memory;     // per chip
};
[[nodiscard]] PointBounds BoundsOf(const Setting& setting, Phase phase);

}  // namespace slicewise
