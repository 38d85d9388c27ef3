#include "slicewise/cost/calibration.h"

#include <array>

namespace slicewise {

std::span<const CalibrationParameter> CalibrationParameters() {
  using C = Calibration;
  static constexpr auto kParameters = std::to_array<CalibrationParameter>({
      {"matmul_efficiency", "fraction of peak", &C::matmul_efficiency, 1, 0.85, 0.2, 0.5, 1,
       "FLOP/s of a large matmul"},
      {"matmul_half_rows", "rows per chip", &C::matmul_half_rows, 0, 64, 64, 0, 1000,
       "rows at which a matmul runs at half that rate"},
      {"stream_exposed_fraction", "fraction", &C::stream_exposed_fraction, 0, 0.3, 0.5, 0, 1,
       "part of the shorter of compute and weight streaming that an einsum fails to hide"},
      {"score_traffic", "bytes per score", &C::score_traffic, 0, 12, 4, 0, 40,
       "HBM traffic of one attention score: 12 is float32 scores and bf16 probabilities, out and "
       "back"},
      {"float32_passes", "bf16 passes", &C::float32_passes, 1, 2, 2, 1, 6,
       "bf16 matmul passes per float32 matmul"},
      {"weight_bandwidth", "fraction of nominal", &C::weight_bandwidth, 1, 0.56, 0.03, 0.3, 1,
       "HBM bandwidth when streaming bf16 weights"},
      {"int8_weight_bandwidth", "fraction of nominal", &C::int8_weight_bandwidth, 1, 0.3, 0.1, 0.15,
       1, "HBM bandwidth when streaming int8 weights"},
      {"cache_bandwidth", "fraction of nominal", &C::cache_bandwidth, 1, 0.8, 0.1, 0.1, 1,
       "HBM bandwidth when streaming the KV cache"},
      {"elementwise_traffic", "fraction", &C::elementwise_traffic, 0, 0.5, 1, 0, 2,
       "unfused elementwise traffic that reaches HBM"},
      {"link_bandwidth", "fraction of nominal", &C::link_bandwidth, 1, 0.95, 0.05, 0.5, 1,
       "link bandwidth of activation collectives"},
      {"gather_bandwidth", "fraction of nominal", &C::gather_bandwidth, 1, 0.95, 0.1, 0.5, 1,
       "link bandwidth of the one-way weight-gathering loop"},
      {"scatter_passes", "ring passes", &C::scatter_passes, 1, 1.5, 1, 1, 2,
       "cost of a blocking reduce-scatter: 1 is a ring's, 2 an all-reduce's of which a slice is "
       "kept"},
      {"hop_latency", "seconds", &C::hop_latency, 0, 1e-6, 5e-7, 0, 1e-5,
       "latency of one hop of a collective"},
      {"launch_latency", "seconds", &C::launch_latency, 0, 1e-6, 2e-6, 0, 5e-5,
       "fixed time of every collective"},
      {"message_latency", "seconds", &C::message_latency, 0, 2e-7, 1e-6, 0, 5e-6,
       "time of each message that a chip sends in an all-to-all"},
      {"step_latency", "seconds", &C::step_latency, 0, 1e-4, 1e-3, 0, 2e-2,
       "time of a forward pass that no op accounts for"},
      {"exposed_fraction", "fraction", &C::exposed_fraction, 0, 0.5, 1, 0, 1,
       "part of the shorter of compute and network that a loop over activations fails to hide"},
      {"gather_exposed_fraction", "fraction", &C::gather_exposed_fraction, 0, 0.1, 1, 0, 1,
       "the same of the loop that gathers weights"},
  });
  return kParameters;
}

}  // namespace slicewise
