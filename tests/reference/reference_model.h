// The slow obvious Transformer: one chip, no matrices, a loop for every index. Written
// independently of src/emulator, whose dense model and emulator it keeps honest; only the weights'
// container is shared.
#pragma once

#include <cstdint>
#include <vector>

#include "slicewise/emulator/weights.h"
#include "slicewise/model/model.h"

namespace slicewise::reference {

class ReferenceModel {
 public:
  ReferenceModel(const Model& model, const Weights& weights) : model_(model), weights_(weights) {}

  struct Result {
    std::vector<double> residual;  // [b][l][e]
    std::vector<double> logits;    // [b][l][v]
  };
  // One pass over `length` new tokens of each of `batch` sequences; remembers keys and values.
  Result Pass(int batch, int length, const std::vector<int>& tokens);

 private:
  using Vector = std::vector<double>;
  struct Token {                       // one position of one sequence
    std::vector<Vector> keys, values;  // [layer][kv head * head_dim]
  };

  // One position through all layers; `past` ends with its own entry.
  Vector Position(int token, std::vector<Token>& past) const;
  [[nodiscard]] double At(TensorRole role, int layer, std::size_t index) const;
  [[nodiscard]] Vector Norm(const Vector& x, TensorRole vectors, int layer) const;
  // y[j] = sum over i of x[i] W[i][j], plus a bias where the model has one.
  [[nodiscard]] Vector Multiply(const Vector& x, TensorRole weights, std::size_t columns, int layer,
                                TensorRole bias, bool biased) const;
  [[nodiscard]] Vector Ffn(const Vector& x, int layer) const;
  Vector Attention(const Vector& x, int layer, std::vector<Token>& past) const;
  [[nodiscard]] Vector Logits(const Vector& residual) const;

  Model model_;
  const Weights& weights_;
  std::vector<std::vector<Token>> sequences_;
};

}  // namespace slicewise::reference
