// The same model on one chip, whole matrices and no program: what the emulator is compared with.
//
// Rotary and alibi positions and query/key norms change no shape, so neither this model nor the
// emulator applies them. The nonlinearity is SiLU where gated, GELU where not.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "slicewise/emulator/weights.h"

namespace slicewise {

class DenseModel {
 public:
  DenseModel(const Model& model, const Weights& weights);

  struct Output {
    Values residual;  // batch x length x embed, after the last layer
    Values logits;    // batch x length x vocabulary; empty for the layer stack alone
  };
  // One forward pass; positions follow those already cached.
  Output Pass(const PassInput& input);

  // Every value that the last pass has computed under a role, by layer (-1 before the first,
  // `layers` after the last); whole tensors, in the order of the program's dims.
  using Trace = std::map<std::pair<int, TensorRole>, std::vector<Values>>;
  [[nodiscard]] const Trace& trace() const { return trace_; }

 private:
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  // Rows are positions, sequence by sequence.
  struct Cache {
    std::vector<Matrix> keys, values;  // by sequence: positions x (KV heads x head_dim)
  };

  [[nodiscard]] Matrix Weight(TensorRole role, int layer, std::int64_t rows) const;
  void Note(TensorRole role, const Matrix& value);
  void Embed(const PassInput& input);
  [[nodiscard]] Matrix Normalize(const Matrix& x, TensorRole vectors, int layer);
  [[nodiscard]] Matrix Biased(Matrix x, TensorRole role, int layer) const;
  [[nodiscard]] Matrix Ffn(const Matrix& x, int layer);
  [[nodiscard]] Matrix Attention(const Matrix& x, int layer);
  [[nodiscard]] Matrix Attend(const Matrix& queries, int layer);
  void Layer(int layer);
  [[nodiscard]] Matrix Logits();

  Model model_;
  const Weights& weights_;
  std::vector<Cache> caches_;  // by layer
  Trace trace_;
  int layer_ = -1;
  std::int64_t batch_ = 0;
  std::int64_t length_ = 0;
  std::int64_t cached_ = 0;
  Matrix residual_;
};

}  // namespace slicewise
