#include "reference/reference_model.h"

#include <cmath>

namespace slicewise::reference {
namespace {

std::size_t Size(std::int64_t n) { return static_cast<std::size_t>(n); }

}  // namespace

double ReferenceModel::At(TensorRole role, int layer, std::size_t index) const {
  const auto& map =
      weights_.shared.count(role) > 0 ? weights_.shared : weights_.layers.at(Size(layer));
  return map.at(role)[static_cast<std::int64_t>(index)];
}

ReferenceModel::Vector ReferenceModel::Norm(const Vector& x, TensorRole vectors, int layer) const {
  if (model_.norm == NormKind::kNone) {
    return x;
  }
  const double n = static_cast<double>(x.size());
  double mean = 0;
  if (model_.norm == NormKind::kLayerNorm) {
    for (double value : x) {
      mean += value / n;
    }
  }
  double variance = 0;
  for (double value : x) {
    variance += (value - mean) * (value - mean) / n;
  }
  Vector result(x.size());
  for (std::size_t e = 0; e < x.size(); ++e) {
    result[e] = (x[e] - mean) / std::sqrt(variance + 1e-6) * At(vectors, layer, e);
    if (model_.norm == NormKind::kLayerNorm && model_.norm_bias) {
      result[e] += At(vectors, layer, x.size() + e);
    }
  }
  return result;
}

ReferenceModel::Vector ReferenceModel::Multiply(const Vector& x, TensorRole weights,
                                                std::size_t columns, int layer, TensorRole bias,
                                                bool biased) const {
  Vector result(columns);
  for (std::size_t j = 0; j < columns; ++j) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      result[j] += x[i] * At(weights, layer, i * columns + j);
    }
    result[j] += biased ? At(bias, layer, j) : 0;
  }
  return result;
}

ReferenceModel::Vector ReferenceModel::Ffn(const Vector& x, int layer) const {
  const std::size_t width = Size(model_.ffn_dim);
  const bool biased = model_.biases.ffn;
  Vector hidden =
      Multiply(x, TensorRole::kFfnInputWeights, width, layer, TensorRole::kFfnInputBias, biased);
  if (model_.gated) {
    const Vector gate =
        Multiply(x, TensorRole::kFfnGateWeights, width, layer, TensorRole::kFfnGateBias, biased);
    for (std::size_t f = 0; f < width; ++f) {
      hidden[f] = hidden[f] / (1 + std::exp(-hidden[f])) * gate[f];  // SwiGLU
    }
  } else {
    for (double& value : hidden) {
      value *= 0.5 * std::erfc(-value / std::sqrt(2.0));  // GELU: x times the normal distribution
    }
  }
  return Multiply(hidden, TensorRole::kFfnOutputWeights, x.size(), layer,
                  TensorRole::kFfnOutputBias, biased);
}

ReferenceModel::Vector ReferenceModel::Attention(const Vector& x, int layer,
                                                 std::vector<Token>& past) const {
  const std::size_t heads = Size(model_.query_heads);
  const std::size_t kv_heads = Size(model_.kv_heads);
  const std::size_t width = Size(model_.head_dim);
  const bool biased = model_.biases.attention_qkv;
  const Vector query =
      Multiply(x, TensorRole::kQueryWeights, heads * width, layer, TensorRole::kQueryBias, biased);
  past.back().keys.push_back(
      Multiply(x, TensorRole::kKeyWeights, kv_heads * width, layer, TensorRole::kKeyBias, biased));
  past.back().values.push_back(Multiply(x, TensorRole::kValueWeights, kv_heads * width, layer,
                                        TensorRole::kValueBias, biased));
  Vector attended(heads * width);
  for (std::size_t head = 0; head < heads; ++head) {
    const std::size_t kv = head / (heads / kv_heads);
    Vector weight(past.size());
    double total = 0;
    for (std::size_t t = 0; t < past.size(); ++t) {
      double score = 0;
      for (std::size_t d = 0; d < width; ++d) {
        score += query[head * width + d] * past[t].keys[Size(layer)][kv * width + d];
      }
      weight[t] = std::exp(score / std::sqrt(static_cast<double>(width)));
      total += weight[t];
    }
    for (std::size_t t = 0; t < past.size(); ++t) {
      for (std::size_t d = 0; d < width; ++d) {
        attended[head * width + d] +=
            weight[t] / total * past[t].values[Size(layer)][kv * width + d];
      }
    }
  }
  return Multiply(attended, TensorRole::kAttentionOutputWeights, x.size(), layer,
                  TensorRole::kAttentionOutputBias, model_.biases.attention_output);
}

ReferenceModel::Vector ReferenceModel::Position(int token, std::vector<Token>& past) const {
  const std::size_t width = Size(model_.embed_dim);
  Vector x(width);
  for (std::size_t e = 0; e < width; ++e) {
    x[e] = At(TensorRole::kEmbedding, 0, Size(token) * width + e);
    if (model_.positions == PositionKind::kLearned) {
      x[e] += At(TensorRole::kPositionTable, 0, (past.size() - 1) * width + e);
    }
  }
  const auto add = [&](const Vector& branch) {
    for (std::size_t e = 0; e < width; ++e) {
      x[e] += branch[e];
    }
  };
  const TensorRole first = TensorRole::kNormVectors;
  const TensorRole second = model_.norms_per_layer > 1 ? TensorRole::kSecondNormVectors : first;
  for (int layer = 0; layer < static_cast<int>(model_.layers); ++layer) {
    if (!model_.has_attention()) {
      add(Ffn(Norm(x, first, layer), layer));
    } else if (model_.parallel()) {
      const Vector input = x;
      add(Attention(Norm(input, first, layer), layer, past));
      add(Ffn(Norm(input, second, layer), layer));
    } else {
      add(Attention(Norm(x, first, layer), layer, past));
      add(Ffn(Norm(x, second, layer), layer));
    }
  }
  return x;
}

ReferenceModel::Vector ReferenceModel::Logits(const Vector& residual) const {
  const Vector x = model_.final_norm ? Norm(residual, TensorRole::kFinalNormVectors, 0) : residual;
  const TensorRole table =
      model_.tied_embedding ? TensorRole::kEmbedding : TensorRole::kUnembedding;
  Vector logits(Size(model_.vocabulary));
  for (std::size_t v = 0; v < logits.size(); ++v) {
    for (std::size_t e = 0; e < x.size(); ++e) {
      logits[v] += x[e] * At(table, 0, v * x.size() + e);
    }
  }
  return logits;
}

ReferenceModel::Result ReferenceModel::Pass(int batch, int length, const std::vector<int>& tokens) {
  sequences_.resize(Size(batch));
  Result result;
  for (int b = 0; b < batch; ++b) {
    std::vector<Token>& past = sequences_[Size(b)];
    for (int l = 0; l < length; ++l) {
      past.emplace_back();
      const Vector x = Position(tokens[Size(b * length + l)], past);
      const Vector logits = Logits(x);
      result.residual.insert(result.residual.end(), x.begin(), x.end());
      result.logits.insert(result.logits.end(), logits.begin(), logits.end());
    }
  }
  return result;
}

}  // namespace slicewise::reference
