// Where the time of a plan goes, op by op, and why one plan beats another.
#pragma once

#include <string>
#include <vector>

#include "slicewise/cost/plan.h"

namespace slicewise {

// One op of the program over the whole phase (all layers, all steps).
struct BreakdownRow {
  Part part = Part::kShared;
  std::string op;    // "all-gather", "einsum", "activate"; "step" for time outside all ops
  std::string axes;  // of a collective, in execution order
  Seconds compute;
  Seconds hbm;
  Seconds network;
  Seconds exposed;  // sums to the phase's latency over all rows
};

// The rows of the evaluator's latest plan, in program order; free ops are left out.
[[nodiscard]] std::vector<BreakdownRow> Breakdown(const Evaluator& evaluator);

// A dim that is stored or computed larger than it is.
struct PaddingRow {
  std::string dim;  // "heads", "batch", "kv_heads", ...
  double size = 0;
  double padded = 0;
};
[[nodiscard]] std::vector<PaddingRow> Padding(const Program& program);

// "4.1 % faster: 23 ms less in reduce-scatter over x, 9 ms more in all-gather over yz": the largest
// differences, from the breakdowns. `better` must not be slower than `worse`.
[[nodiscard]] std::string WhyFaster(const std::vector<BreakdownRow>& better,
                                    const std::vector<BreakdownRow>& worse);

}  // namespace slicewise
