// The nonlinearities that stand for a model's own: programs say that there is one, not which.
#pragma once

#include <cmath>

namespace slicewise::emulator {

inline constexpr double kNormEpsilon = 1e-6;

inline double Silu(double x) { return x / (1 + std::exp(-x)); }
inline double Gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

}  // namespace slicewise::emulator
