// The true, unsharded values of a small model: what a checkpoint would hold, as doubles.
//
// A tensor is flat, its dims in the order of the program's tensor of that role (docs/emulator.md),
// true sizes: query weights are embed x heads x head_dim, norm vectors rows x embed.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <map>
#include <vector>

#include "slicewise/model/model.h"
#include "slicewise/program/tensor.h"

namespace slicewise {

using Values = Eigen::VectorXd;

struct Weights {
  std::map<TensorRole, Values> shared;               // embedding, positions, final norm
  std::vector<std::map<TensorRole, Values>> layers;  // everything else

  // Null where the model has no such tensor.
  [[nodiscard]] const Values* Find(TensorRole role, std::size_t layer) const;
};

// Gaussian values, scaled so that activations stay near 1. Deterministic in the seed.
[[nodiscard]] Weights RandomWeights(const Model& model, std::uint64_t seed);

// What goes into one forward pass over `length` new positions of each sequence.
struct PassInput {
  std::int64_t batch = 0;
  std::int64_t length = 0;
  std::vector<int> tokens;  // batch x length; empty: the layer stack alone, from `residual`
  Values residual;          // batch x length x embed
};

}  // namespace slicewise
