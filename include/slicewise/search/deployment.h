// Deployments: a prefill and a decode plan that serve requests together.
//
// On one slice the two phases take turns and share the stored weights: the same weights part, the
// same count of stored heads and, with grouped-query attention, the same order of them. A cycle
// prefills as many batches as fill one decode batch, moves their KV cache to decode's layout, and
// decodes them. On two slices prefill and decode have one each, with weights of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "slicewise/search/search.h"

namespace slicewise {

// How a deployment serves. Rates count every chip of it.
struct ServingFigures {
  Seconds ttft;                    // one prefill, its first sample included
  Seconds tpot;                    // the mean decode step
  double requests_per_second = 0;  // one decode batch over one cycle; two slices: per decode slice
  double tokens_per_chip_second = 0;  // input and output tokens
  Dollars price_per_million_tokens;   // of input and output tokens, at the chip's price per hour

  bool operator==(const ServingFigures&) const = default;
};

struct Deployment {
  Plan prefill;
  Plan decode;
  std::int64_t prefill_batch = 1;
  std::int64_t decode_batch = 1;
  std::int64_t stored_heads = 0;
  Seconds latency;     // one prefill at its batch, then the decode at its
  double mfu = 0;      // over both phases
  Seconds kv_reshard;  // moving one prefill batch's KV cache from its prefill to its decode layout
  // Per chip, both phases at once: the weights, decode's whole KV cache, and the fuller of a
  // prefill batch under way (its KV cache included) and a decode step.
  Bytes memory;
  ServingFigures figures;
};

struct DeploymentOptions {
  Objective objective = Objective::kLatency;
  Targets targets;
  bool same_layout = false;  // one layout for both phases
  LayoutSpace space = LayoutSpace::kPaper;
  // Empty: the workload's own.
  std::vector<std::int64_t> prefill_batches, decode_batches;
};

// The best deployment on one slice: both plans and their joint memory fit and keep the targets.
// nullopt when there is none. By objective: latency, the least `latency`; the others, the most
// requests per second, which on one slice is also the lowest cost and the highest MFU of a cycle.
// Exact: for each weights part, head count and head order the pairs are looked at in order of what
// the phases take, until no pair left can be better.
[[nodiscard]] std::optional<Deployment> SearchDeployment(Evaluator& evaluator,
                                                         const LayoutFilter& filter,
                                                         const DeploymentOptions& options = {});

// Deployments that none beats in both latency and tokens per chip-second, in order of latency. Both
// ends are exact; between them pairs are chosen by what their phases take, and moving the KV cache
// is added to those afterwards.
[[nodiscard]] std::vector<Deployment> DeploymentFront(Evaluator& evaluator,
                                                      const LayoutFilter& filter,
                                                      const DeploymentOptions& options);

// Time to move the KV cache of one prefill batch between two attention layouts (program/reshard.h).
[[nodiscard]] Seconds KvReshardTime(const Evaluator& evaluator, const Plan& prefill,
                                    const Plan& decode);

// Weights, decode's KV cache, and the fuller of the two phases' other memory.
[[nodiscard]] Bytes JointMemory(const Plan& prefill, const Plan& decode);

// Requests of `input` and `output` tokens on `chips` chips that take `seconds` of all of them each.
[[nodiscard]] ServingFigures FiguresOf(const Workload& workload, const Chip& chip, double chips,
                                       const Plan& prefill, const Plan& decode,
                                       Seconds per_request);

}  // namespace slicewise
