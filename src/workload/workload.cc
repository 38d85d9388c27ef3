#include "slicewise/workload/workload.h"

namespace slicewise {

std::string_view Name(Phase phase) { return phase == Phase::kPrefill ? "prefill" : "decode"; }
std::string_view Name(Logits logits) { return logits == Logits::kLast ? "last" : "all"; }
std::string_view Name(Scope scope) { return scope == Scope::kEndToEnd ? "end-to-end" : "layers"; }

double Workload::mean_attended(Phase phase) const {
  if (phase == Phase::kPrefill) {
    const double chunks = static_cast<double>(steps(phase) + 1) / 2;
    return static_cast<double>(context) + chunks * static_cast<double>(query_length(phase));
  }
  const double start = static_cast<double>(context + input_length);
  if (fixed_context) {
    return start;
  }
  return start + static_cast<double>(output_length + 1) / 2;
}

std::int64_t Workload::cached_at_end(Phase phase) const {
  return phase == Phase::kPrefill ? context + steps(phase) * query_length(phase)
                                  : context + input_length + output_length;
}

}  // namespace slicewise
