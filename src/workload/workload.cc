#include "slicewise/workload/workload.h"

namespace slicewise {

std::string_view Name(Phase phase) { return phase == Phase::kPrefill ? "prefill" : "decode"; }
std::string_view Name(Logits logits) { return logits == Logits::kLast ? "last" : "all"; }
std::string_view Name(Scope scope) { return scope == Scope::kEndToEnd ? "end-to-end" : "layers"; }

double Workload::mean_attended(Phase phase) const {
  const double start = static_cast<double>(context + input_length);
  if (phase == Phase::kPrefill || fixed_context) {
    return start;
  }
  return start + static_cast<double>(output_length + 1) / 2;
}

std::int64_t Workload::cached_at_end(Phase phase) const {
  return context + input_length + (phase == Phase::kDecode ? output_length : 0);
}

}  // namespace slicewise
