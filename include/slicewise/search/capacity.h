// The largest context and the largest batch that fit, per attention layout.
#pragma once

#include <vector>

#include "slicewise/cost/plan.h"
#include "slicewise/search/enumerate.h"

namespace slicewise {

// How much memory per chip the KV cache may take.
struct KvBudget {
  // Fraction of nominal HBM (the paper's Table 1 uses 0.3); 0: what weights, activations and logits
  // leave of the usable HBM.
  double fraction_of_nominal = 0;
};

struct CapacityRow {
  Layout layout;    // of the layouts with this attention part that the filter matches, the roomiest
  Bytes kv_budget;  // per chip, at the request's batch and context
  std::int64_t kv_heads_per_chip = 0;
  std::int64_t max_context = 0;  // tokens per sequence at the request's decode batch; 0: none
  std::int64_t max_batch = 0;    // sequences at the request's context; 0: none
};

// One row per attention part, relabelling of equal axes apart, largest context first.
// Contexts count all tokens in the cache; the request's context is context + input + output. The
// search is exact: memory grows with either number, so bisection finds the largest that fits.
[[nodiscard]] std::vector<CapacityRow> Capacity(const Setting& setting, const LayoutFilter& filter,
                                                const KvBudget& budget,
                                                LayoutSpace space = LayoutSpace::kPaper);

}  // namespace slicewise
