// A decoder-only Transformer's shape, and what follows from the shape alone: parameter counts,
// FLOPs per token, KV-cache elements per token. No layout, no hardware.
//
// Paper letters: E = embed_dim, F = ffn_dim, H = query_heads, D = head_dim, L = tokens, B = batch.
#pragma once

#include <cstdint>
#include <string>

namespace slicewise {

enum class BlockKind : std::uint8_t {
  kParallel,  // attention and feed-forward read the same input (paper section 3.4)
  kSerial,
};

enum class NormKind : std::uint8_t { kNone, kRms, kLayerNorm };

enum class PositionKind : std::uint8_t { kNone, kRotary, kAlibi, kLearned };

// Which biases a model has. Norm biases belong to NormKind::kLayerNorm.
struct Biases {
  bool attention_qkv = false;
  bool attention_output = false;
  bool ffn = false;
  bool operator==(const Biases&) const = default;
};

struct Model {
  std::string name;
  std::int64_t layers = 0;
  std::int64_t embed_dim = 0;
  std::int64_t ffn_dim = 0;
  bool gated = false;            // SwiGLU or GeGLU: two input matrices of E x F
  std::int64_t query_heads = 0;  // 0: no attention (Figure 3's model)
  std::int64_t kv_heads = 0;     // 1: multiquery; query_heads: multihead; between: grouped-query
  std::int64_t head_dim = 0;
  std::int64_t vocabulary = 0;  // 0: the layer stack alone
  bool tied_embedding = true;
  BlockKind block = BlockKind::kSerial;
  NormKind norm = NormKind::kRms;
  bool norm_bias = true;    // LayerNorm only: a bias beside the scale (PaLM has none)
  int norms_per_layer = 2;  // of embed_dim each
  bool final_norm = true;
  bool query_key_norm = false;  // one more scale of head_dim each for queries and keys
  Biases biases;
  PositionKind positions = PositionKind::kRotary;
  std::int64_t max_positions = 0;  // rows of the learned position table
  // N of the MFU formula, when it is not the exact count (PaLM and MT-NLG use the paper's nominal
  // figures); 0 for the exact count.
  double nominal_parameters = 0;

  bool operator==(const Model&) const = default;

  [[nodiscard]] bool multiquery() const { return kv_heads == 1; }
  [[nodiscard]] bool multihead() const { return kv_heads == query_heads && query_heads > 1; }
  [[nodiscard]] bool has_attention() const { return query_heads > 0; }
  [[nodiscard]] bool parallel() const { return block == BlockKind::kParallel; }
};

// Elements of one layer's matrices: feed-forward, and attention's four projections.
[[nodiscard]] std::int64_t LayerMatrixElements(const Model& model);
// Parameters of one layer, matrices, norms and biases included.
[[nodiscard]] std::int64_t LayerParameters(const Model& model);
// Exact, unpadded, embedding (and untied unembedding, learned positions, final norm) included.
[[nodiscard]] std::int64_t Parameters(const Model& model);
// N of the MFU formula: nominal_parameters if set, else Parameters.
[[nodiscard]] double MfuParameters(const Model& model);
// Elements that one token adds to the KV cache over all layers: 2 * layers * kv_heads * head_dim.
[[nodiscard]] std::int64_t KvElementsPerToken(const Model& model);

// The smallest count of query heads at least model.query_heads that is divisible by `ways` and pads
// every group of query heads that share a KV head equally.
[[nodiscard]] std::int64_t PaddedHeads(const Model& model, std::int64_t ways);

// "multihead", "multiquery", "grouped-query", "no attention".
[[nodiscard]] std::string AttentionKind(const Model& model);

}  // namespace slicewise
