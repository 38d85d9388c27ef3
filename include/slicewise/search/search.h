// Search over the layouts of one slice: ranked plans per phase, and deployments that join a prefill
// and a decode plan.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"

namespace slicewise {

enum class Objective : std::uint8_t {
  kLatency,  // smallest latency
  kMfu,      // largest MFU
  kCost,     // fewest chip-seconds per token
};
[[nodiscard]] std::string_view Name(Objective objective);

// Total order: plans that fit before plans that do not (by how little they miss), then the
// objective, then latency, then memory, then the layout's text.
[[nodiscard]] bool Better(const Plan& a, const Plan& b, Objective objective, const Mesh& mesh);

struct Rejected {
  std::size_t count = 0;
  std::map<std::string, std::size_t> by_reason;  // "memory", "pad_heads"
  std::optional<Plan> nearest;                   // the one that misses by least
};

struct PhasePlans {
  Phase phase = Phase::kPrefill;
  std::size_t layouts = 0;  // enumerated, before relabelling equal axes
  std::vector<Plan> plans;  // one per class, feasible, best first; all of them, not only the top
  Rejected rejected;
};

// Prices one layout of every class that the filter matches.
[[nodiscard]] PhasePlans SearchPhase(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                                     Objective objective);

// A prefill and a decode plan of one slice that share the stored weights: the same weights part,
// the same count of stored heads and, with grouped-query attention, the same order of them.
struct Deployment {
  Plan prefill;
  Plan decode;
  std::int64_t stored_heads = 0;
  Seconds latency;     // one prefill at its batch, then the decode at its
  double mfu = 0;      // over both phases
  Seconds kv_reshard;  // moving one prefill batch's KV cache from its prefill to its decode layout
};

// The fastest deployment whose two plans fit, over every weights part, head count and head order;
// nullopt when there is none. Exact: once these are fixed, the best of either phase is independent
// of the other.
[[nodiscard]] std::optional<Deployment> SearchDeployment(Evaluator& evaluator,
                                                         const LayoutFilter& filter);

// Time to move the KV cache of one prefill batch between two attention layouts (program/reshard.h).
[[nodiscard]] Seconds KvReshardTime(const Evaluator& evaluator, const Plan& prefill,
                                    const Plan& decode);

}  // namespace slicewise
