#include "slicewise/cost/calibration.h"

#include <array>

namespace slicewise {

std::span<const CalibrationParameter> CalibrationParameters() {
  using C = Calibration;
  static constexpr std::array<CalibrationParameter, 13> kParameters = {{
      {"matmul_efficiency", "fraction of peak", &C::matmul_efficiency, 1, 0.5, 1,
       "FLOP/s of a large matmul"},
      {"matmul_half_rows", "rows per chip", &C::matmul_half_rows, 0, 0, 1000,
       "rows at which a matmul runs at half that rate"},
      {"attention_efficiency", "fraction of peak", &C::attention_efficiency, 1, 0.02, 1,
       "FLOP/s of attention's two matmuls and softmax"},
      {"float32_passes", "bf16 passes", &C::float32_passes, 1, 1, 6,
       "bf16 matmul passes per float32 matmul"},
      {"weight_bandwidth", "fraction of nominal", &C::weight_bandwidth, 1, 0.3, 1,
       "HBM bandwidth when streaming weights"},
      {"cache_bandwidth", "fraction of nominal", &C::cache_bandwidth, 1, 0.1, 1,
       "HBM bandwidth when streaming the KV cache"},
      {"elementwise_traffic", "fraction", &C::elementwise_traffic, 0, 0, 2,
       "unfused elementwise traffic that reaches HBM"},
      {"link_bandwidth", "fraction of nominal", &C::link_bandwidth, 1, 0.2, 1,
       "link bandwidth of activation collectives"},
      {"gather_bandwidth", "fraction of nominal", &C::gather_bandwidth, 1, 0.5, 1,
       "link bandwidth of the one-way weight-gathering loop"},
      {"hop_latency", "seconds", &C::hop_latency, 0, 0, 1e-5, "latency of one hop of a collective"},
      {"launch_latency", "seconds", &C::launch_latency, 0, 0, 5e-5,
       "fixed time of every collective"},
      {"step_latency", "seconds", &C::step_latency, 0, 0, 2e-2,
       "time of a forward pass that no op accounts for"},
      {"exposed_fraction", "fraction", &C::exposed_fraction, 0, 0, 1,
       "part of the shorter of compute and network that overlap fails to hide"},
  }};
  return kParameters;
}

}  // namespace slicewise
