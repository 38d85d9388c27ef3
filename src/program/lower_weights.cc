#include "lowering.h"

namespace slicewise {

void Lowering::AddWeights() {
  const Cut embed = {Dim::kEmbed, weights_embed_};
  const Cut ffn = {Dim::kFfn, weights_ffn_};
  ffn_in_ = LayerWeight(TensorRole::kFfnInputWeights, {embed, ffn});
  ffn_gate_ = model_.gated ? LayerWeight(TensorRole::kFfnGateWeights, {embed, ffn}) : kNoTensor;
  ffn_out_ = LayerWeight(TensorRole::kFfnOutputWeights, {ffn, embed});
  if (model_.has_attention()) {
    AddAttentionWeights();
  }
  if (model_.norm != NormKind::kNone) {
    norm_ = SmallWeight(TensorRole::kNormVectors, true, {{Dim::kNormRow, {}}, {Dim::kEmbed, {}}});
    if (model_.norms_per_layer > 1) {
      second_norm_ = SmallWeight(TensorRole::kSecondNormVectors, true,
                                 {{Dim::kNormRow, {}}, {Dim::kEmbed, {}}});
    }
  }
  if (model_.biases.ffn) {
    ffn_in_bias_ = SmallWeight(TensorRole::kFfnInputBias, true, {{Dim::kFfn, {}}});
    if (model_.gated) {
      ffn_gate_bias_ = SmallWeight(TensorRole::kFfnGateBias, true, {{Dim::kFfn, {}}});
    }
    ffn_out_bias_ = SmallWeight(TensorRole::kFfnOutputBias, true, {{Dim::kEmbed, {}}});
  }
  if (model_.vocabulary > 0) {
    AddEmbeddingWeights();
  }
}

void Lowering::AddAttentionWeights() {
  const Cut embed = {Dim::kEmbed, weights_embed_};
  const Cut heads = {Dim::kHeads, weights_ffn_};
  const Cut kv_heads = {Dim::kKvHeads, kv_axes_};
  const Cut head_dim = {Dim::kHeadDim, {}};
  query_weights_ = LayerWeight(TensorRole::kQueryWeights, {embed, heads, head_dim});
  key_weights_ = LayerWeight(TensorRole::kKeyWeights, {embed, kv_heads, head_dim});
  value_weights_ = LayerWeight(TensorRole::kValueWeights, {embed, kv_heads, head_dim});
  output_weights_ = LayerWeight(TensorRole::kAttentionOutputWeights, {heads, head_dim, embed});
  if (model_.biases.attention_qkv) {
    const Cut whole_kv = {Dim::kCacheKvHeads, {}};
    query_bias_ = SmallWeight(TensorRole::kQueryBias, true, {{Dim::kHeads, {}}, head_dim});
    key_bias_ = SmallWeight(TensorRole::kKeyBias, true, {whole_kv, head_dim});
    value_bias_ = SmallWeight(TensorRole::kValueBias, true, {whole_kv, head_dim});
  }
  if (model_.biases.attention_output) {
    output_bias_ = SmallWeight(TensorRole::kAttentionOutputBias, true, {{Dim::kEmbed, {}}});
  }
  const Cut batch = {Dim::kAttentionBatch, spread_ | batch_};
  const Cut cached = {Dim::kCacheLength, sequence_};
  const Cut cache_heads = {Dim::kCacheKvHeads, cache_axes_};
  key_cache_ = Add(TensorRole::kKeyCache, work_.kv_cache, Lifetime::kPhase, true,
                   {batch, cached, cache_heads, head_dim});
  value_cache_ = Add(TensorRole::kValueCache, work_.kv_cache, Lifetime::kPhase, true,
                     {batch, cached, cache_heads, head_dim});
}

void Lowering::AddEmbeddingWeights() {
  const Cut vocabulary = {Dim::kVocabulary, weights_ffn_};
  const Cut embed = {Dim::kEmbed, weights_embed_};
  embedding_ = SmallWeight(TensorRole::kEmbedding, false, {vocabulary, embed});
  unembedding_ = model_.tied_embedding
                     ? embedding_
                     : SmallWeight(TensorRole::kUnembedding, false, {vocabulary, embed});
  if (model_.positions == PositionKind::kLearned) {
    positions_ =
        SmallWeight(TensorRole::kPositionTable, false, {{Dim::kPosition, {}}, {Dim::kEmbed, {}}});
  }
  if (model_.final_norm && model_.norm != NormKind::kNone) {
    final_norm_ =
        SmallWeight(TensorRole::kFinalNormVectors, false, {{Dim::kNormRow, {}}, {Dim::kEmbed, {}}});
  }
}

}  // namespace slicewise
