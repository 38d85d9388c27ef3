#include "slicewise/emulator/weights.h"

#include <cmath>
#include <random>

namespace slicewise {
namespace {

class Filler {
 public:
  explicit Filler(std::uint64_t seed) : engine_(seed) {}

  // Normal values around `mean`.
  Values Make(std::int64_t count, double deviation, double mean = 0) {
    std::normal_distribution<double> normal(mean, deviation);
    Values values(count);
    for (double& value : values) {
      value = normal(engine_);
    }
    return values;
  }

 private:
  std::mt19937_64 engine_;
};

constexpr double kSmall = 0.3;  // biases, and scales around 1

Values NormVectors(const Model& model, Filler& filler) {
  const bool bias = model.norm == NormKind::kLayerNorm && model.norm_bias;
  Values vectors(model.embed_dim * (bias ? 2 : 1));
  vectors.head(model.embed_dim) = filler.Make(model.embed_dim, kSmall, 1);
  if (bias) {
    vectors.tail(model.embed_dim) = filler.Make(model.embed_dim, kSmall);
  }
  return vectors;
}

void AddAttention(const Model& model, Filler& filler, std::map<TensorRole, Values>& layer) {
  const std::int64_t query = model.query_heads * model.head_dim;
  const std::int64_t key = model.kv_heads * model.head_dim;
  const double in = 1 / std::sqrt(static_cast<double>(model.embed_dim));
  const double out = 1 / std::sqrt(static_cast<double>(query));
  layer[TensorRole::kQueryWeights] = filler.Make(model.embed_dim * query, in);
  layer[TensorRole::kKeyWeights] = filler.Make(model.embed_dim * key, in);
  layer[TensorRole::kValueWeights] = filler.Make(model.embed_dim * key, in);
  layer[TensorRole::kAttentionOutputWeights] = filler.Make(query * model.embed_dim, out);
  if (model.biases.attention_qkv) {
    layer[TensorRole::kQueryBias] = filler.Make(query, kSmall);
    layer[TensorRole::kKeyBias] = filler.Make(key, kSmall);
    layer[TensorRole::kValueBias] = filler.Make(key, kSmall);
  }
  if (model.biases.attention_output) {
    layer[TensorRole::kAttentionOutputBias] = filler.Make(model.embed_dim, kSmall);
  }
}

void AddFfn(const Model& model, Filler& filler, std::map<TensorRole, Values>& layer) {
  const double in = 1 / std::sqrt(static_cast<double>(model.embed_dim));
  const double out = 1 / std::sqrt(static_cast<double>(model.ffn_dim));
  const std::int64_t matrix = model.embed_dim * model.ffn_dim;
  layer[TensorRole::kFfnInputWeights] = filler.Make(matrix, in);
  layer[TensorRole::kFfnOutputWeights] = filler.Make(matrix, out);
  if (model.gated) {
    layer[TensorRole::kFfnGateWeights] = filler.Make(matrix, in);
  }
  if (model.biases.ffn) {
    layer[TensorRole::kFfnInputBias] = filler.Make(model.ffn_dim, kSmall);
    layer[TensorRole::kFfnOutputBias] = filler.Make(model.embed_dim, kSmall);
    if (model.gated) {
      layer[TensorRole::kFfnGateBias] = filler.Make(model.ffn_dim, kSmall);
    }
  }
}

}  // namespace

const Values* Weights::Find(TensorRole role, std::size_t layer) const {
  if (const auto found = shared.find(role); found != shared.end()) {
    return &found->second;
  }
  if (layer < layers.size()) {
    if (const auto found = layers[layer].find(role); found != layers[layer].end()) {
      return &found->second;
    }
  }
  return nullptr;
}

Weights RandomWeights(const Model& model, std::uint64_t seed) {
  Filler filler(seed);
  Weights weights;
  const double in = 1 / std::sqrt(static_cast<double>(model.embed_dim));
  const std::int64_t table = model.vocabulary * model.embed_dim;
  weights.shared[TensorRole::kEmbedding] = filler.Make(table, 1);
  weights.shared[TensorRole::kUnembedding] = filler.Make(table, in);
  weights.shared[TensorRole::kPositionTable] =
      filler.Make(model.max_positions * model.embed_dim, kSmall);
  weights.shared[TensorRole::kFinalNormVectors] = NormVectors(model, filler);
  for (std::int64_t i = 0; i < model.layers; ++i) {
    std::map<TensorRole, Values>& layer = weights.layers.emplace_back();
    layer[TensorRole::kNormVectors] = NormVectors(model, filler);
    layer[TensorRole::kSecondNormVectors] = NormVectors(model, filler);
    if (model.has_attention()) {
      AddAttention(model, filler, layer);
    }
    AddFfn(model, filler, layer);
  }
  return weights;
}

}  // namespace slicewise
