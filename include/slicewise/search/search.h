// Search over the layouts of one slice and workload: ranked plans per phase.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"
#include "slicewise/search/enumerate.h"

namespace slicewise {

enum class Objective : std::uint8_t {
  kLatency,     // smallest latency
  kMfu,         // largest MFU
  kCost,        // fewest chip-seconds per token
  kThroughput,  // most tokens per second, however many chips
};
[[nodiscard]] std::string_view Name(Objective objective);

// Total order: plans that fit before plans that do not (by how little they miss), then the
// objective, then latency, then memory, then the layout's text.
[[nodiscard]] bool Better(const Plan& a, const Plan& b, Objective objective, const Mesh& mesh);

struct Rejected {
  std::size_t count = 0;
  std::map<std::string, std::size_t> by_reason;  // "memory", "ttft", ..., "pad_heads"
  std::optional<Plan> nearest;                   // the one that misses by least
};

struct PhasePlans {
  Phase phase = Phase::kPrefill;
  std::size_t layouts = 0;  // enumerated, before relabelling equal axes
  std::vector<Plan> plans;  // one per class, feasible, best first; all of them, not only the top
  Rejected rejected;
};

// Prices one layout of every class that the filter matches. A plan that misses a target is rejected
// as one that does not fit is; its violation says which limit it misses.
[[nodiscard]] PhasePlans SearchPhase(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                                     Objective objective, const Targets& targets = {},
                                     LayoutSpace space = LayoutSpace::kPaper);

// The layouts of the space that the filter matches. Without attention the attention part means
// nothing, and one choice of it stands for all.
[[nodiscard]] std::vector<Layout> LayoutsToPrice(const Model& model, const Mesh& mesh,
                                                 const LayoutFilter& filter, LayoutSpace space);

}  // namespace slicewise
