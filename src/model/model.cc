#include "slicewise/model/model.h"

#include <numeric>

namespace slicewise {
namespace {

std::int64_t NormParameters(const Model& model) {
  switch (model.norm) {
    case NormKind::kNone:
      return 0;
    case NormKind::kRms:
      return model.embed_dim;
    case NormKind::kLayerNorm:
      return model.embed_dim * (model.norm_bias ? 2 : 1);
  }
  return 0;
}

std::int64_t BiasParameters(const Model& model) {
  const std::int64_t query = model.query_heads * model.head_dim;
  const std::int64_t key_value = 2 * model.kv_heads * model.head_dim;
  std::int64_t count = 0;
  if (model.has_attention()) {
    count += model.biases.attention_qkv ? query + key_value : 0;
    count += model.biases.attention_output ? model.embed_dim : 0;
  }
  count += model.biases.ffn ? (model.gated ? 2 : 1) * model.ffn_dim + model.embed_dim : 0;
  return count;
}

}  // namespace

std::int64_t LayerMatrixElements(const Model& model) {
  const std::int64_t ffn = (model.gated ? 3 : 2) * model.ffn_dim;
  const std::int64_t heads = model.has_attention() ? 2 * (model.query_heads + model.kv_heads) : 0;
  return model.embed_dim * (ffn + heads * model.head_dim);
}

std::int64_t LayerParameters(const Model& model) {
  const std::int64_t head_norms =
      model.has_attention() && model.query_key_norm ? 2 * model.head_dim : 0;
  return LayerMatrixElements(model) + BiasParameters(model) + head_norms +
         model.norms_per_layer * NormParameters(model);
}

std::int64_t Parameters(const Model& model) {
  const std::int64_t embedding = model.vocabulary * model.embed_dim;
  std::int64_t count = model.layers * LayerParameters(model);
  count += embedding * (model.tied_embedding ? 1 : 2);
  count += model.positions == PositionKind::kLearned ? model.max_positions * model.embed_dim : 0;
  count += model.final_norm ? NormParameters(model) : 0;
  return count;
}

double MfuParameters(const Model& model) {
  return model.nominal_parameters > 0 ? model.nominal_parameters
                                      : static_cast<double>(Parameters(model));
}

std::int64_t KvElementsPerToken(const Model& model) {
  return 2 * model.layers * model.kv_heads * model.head_dim;
}

std::int64_t PaddedHeads(const Model& model, std::int64_t ways) {
  if (!model.has_attention()) {
    return 0;
  }
  // Multihead pads its KV heads along with the queries, so only the sharding constrains it.
  const std::int64_t groups = model.multihead() ? 1 : model.kv_heads;
  const std::int64_t multiple = std::lcm(ways, groups);
  return (model.query_heads + multiple - 1) / multiple * multiple;
}

std::string AttentionKind(const Model& model) {
  if (!model.has_attention()) {
    return "no attention";
  }
  if (model.multihead()) {
    return "multihead";
  }
  return model.multiquery() ? "multiquery" : "grouped-query";
}

}  // namespace slicewise
