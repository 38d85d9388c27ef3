// Families after GPT-2: layer norms with biases, an ungated feed-forward block; Falcon, whose three
// generations share one class; MPT, which names everything its own way.
#include <fmt/format.h>

#include <optional>

#include "huggingface_families.h"
#include "slicewise/units/text.h"

namespace slicewise::huggingface {
namespace {

Draft ReadGptShape(JsonReader& text, std::string_view embed, std::string_view layers,
                   std::string_view heads) {
  Draft draft = ReadShape(text, embed, layers, heads);
  Model& model = draft.model;
  model.head_dim = DividedHeadDim(text, draft);
  model.ffn_dim = 4 * model.embed_dim;
  model.norm = NormKind::kLayerNorm;
  model.biases = {.attention_qkv = true, .attention_output = true, .ffn = true};
  model.tied_embedding = ReadTied(text, true);
  return draft;
}

void ReadLearnedPositions(JsonReader& text, std::string_view key, std::int64_t extra_rows,
                          Model& model) {
  model.positions = PositionKind::kLearned;
  model.max_positions = text.Count(key) + extra_rows;
}

// --- Falcon, whose three generations share one class.

void ReadFalconHeads(JsonReader& text, bool grouped, Draft& draft) {
  if (grouped) {
    ReadKvHeads(text, Spelling(text, {"num_kv_heads", "n_head_kv"}), draft);
  } else if (text.OptionalFlag("multi_query").value_or(true)) {
    // Falcon-7B writes num_kv_heads 71 beside multi_query: the class reads the flag alone.
    draft.model.kv_heads = 1;
  }
}

// `grouped`: new_decoder_architecture, where the file does not say.
Draft ReadFalconLike(JsonReader& text, bool grouped) {
  Draft draft = ReadGptShape(text, "hidden_size", "num_hidden_layers", "num_attention_heads");
  Model& model = draft.model;
  grouped = text.OptionalFlag("new_decoder_architecture").value_or(grouped);
  ReadFalconHeads(text, grouped, draft);
  model.ffn_dim = text.OptionalCount("ffn_hidden_size").value_or(model.ffn_dim);
  const bool parallel = grouped || text.OptionalFlag("parallel_attn").value_or(true);
  model.block = parallel ? BlockKind::kParallel : BlockKind::kSerial;
  const std::int64_t grouped_norms = text.OptionalCount("num_ln_in_parallel_attn").value_or(2);
  model.norms_per_layer = (grouped && grouped_norms == 2) || !parallel ? 2 : 1;
  const bool bias = text.OptionalFlag("bias").value_or(false);
  model.biases = {.attention_qkv = bias, .attention_output = bias, .ffn = bias};
  const bool alibi = text.OptionalFlag("alibi").value_or(false);
  model.positions = alibi ? PositionKind::kAlibi : PositionKind::kRotary;
  if (model.tied_embedding) {
    draft.notes.emplace_back(
        "tie_word_embeddings is true, so the unembedding is not counted again; the published "
        "parameter totals of Falcon count it");
  }
  return draft;
}

// --- MPT, which names everything its own way.

void ReadMptAttention(JsonReader& attention, Draft& draft) {
  draft.keys.kv_heads = "attn_config";
  const std::string kind =
      attention.Has("attn_type")
          ? attention.Choice("attn_type", {"multihead_attention", "multiquery_attention",
                                           "grouped_query_attention"})
          : "multihead_attention";
  if (kind == "multiquery_attention") {
    draft.model.kv_heads = 1;
  } else if (kind == "grouped_query_attention") {
    draft.model.kv_heads = attention.Count("kv_n_heads");
  }
  if (attention.OptionalFlag("qk_ln").value_or(false)) {
    attention.Fail("qk_ln", "found true, expected false: such norms are not modelled for mpt");
  }
}

std::int64_t MptExpansion(JsonReader& text) {
  constexpr std::int64_t kLargest = 1000;
  const std::int64_t ratio = text.OptionalCount("expansion_ratio").value_or(4);
  if (ratio > kLargest) {
    text.Fail("expansion_ratio",
              fmt::format("found {}, expected a whole number from 1 to {}", ratio, kLargest));
  }
  return ratio;
}

}  // namespace

Draft ReadGpt2(JsonReader& text) {
  Draft draft = ReadGptShape(text, "n_embd", "n_layer", "n_head");
  draft.model.ffn_dim = text.OptionalCount("n_inner").value_or(draft.model.ffn_dim);
  ReadLearnedPositions(text, Spelling(text, {"n_positions", "max_position_embeddings"}), 0,
                       draft.model);
  return draft;
}

Draft ReadGptBigCode(JsonReader& text) {
  Draft draft = ReadGpt2(text);
  if (text.OptionalFlag("multi_query").value_or(true)) {
    draft.model.kv_heads = 1;
  }
  return draft;
}

Draft ReadGptJ(JsonReader& text) {
  Draft draft = ReadGptShape(text, "n_embd", "n_layer", "n_head");
  Model& model = draft.model;
  model.ffn_dim = text.OptionalCount("n_inner").value_or(model.ffn_dim);
  model.block = BlockKind::kParallel;
  model.norms_per_layer = 1;
  model.biases = {.attention_qkv = false, .attention_output = false, .ffn = true};
  model.tied_embedding = ReadTied(text, false);
  draft.notes.push_back(fmt::format("the bias of the unembedding, {} parameters, is not counted",
                                    FormatCount(model.vocabulary)));
  return draft;
}

Draft ReadGptNeoX(JsonReader& text) {
  Draft draft = ReadGptShape(text, "hidden_size", "num_hidden_layers", "num_attention_heads");
  Model& model = draft.model;
  model.ffn_dim = text.Count("intermediate_size");
  const bool parallel = text.OptionalFlag("use_parallel_residual").value_or(true);
  model.block = parallel ? BlockKind::kParallel : BlockKind::kSerial;
  const bool bias = text.OptionalFlag("attention_bias").value_or(true);
  model.biases = {.attention_qkv = bias, .attention_output = bias, .ffn = true};
  model.tied_embedding = ReadTied(text, false);
  return draft;
}

Draft ReadOpt(JsonReader& text) {
  Draft draft = ReadGptShape(text, "hidden_size", "num_hidden_layers", "num_attention_heads");
  Model& model = draft.model;
  const std::int64_t narrow = text.OptionalCount("word_embed_proj_dim").value_or(model.embed_dim);
  if (narrow != model.embed_dim) {
    text.Fail("word_embed_proj_dim",
              fmt::format("found {}, expected hidden_size, {}: a projected embedding cannot be "
                          "planned",
                          narrow, model.embed_dim));
  }
  model.ffn_dim = text.Count("ffn_dim");
  const bool bias = text.OptionalFlag("enable_bias").value_or(true);
  model.biases = {.attention_qkv = bias, .attention_output = bias, .ffn = bias};
  model.final_norm = text.OptionalFlag("do_layer_norm_before").value_or(true);
  // OPTLearnedPositionalEmbedding keeps two rows before the first position.
  ReadLearnedPositions(text, "max_position_embeddings", 2, model);
  return draft;
}

Draft ReadBloom(JsonReader& text) {
  Draft draft = ReadGptShape(text, "hidden_size", "n_layer", "n_head");
  draft.model.positions = PositionKind::kAlibi;
  draft.notes.push_back(
      fmt::format("the norm between the embedding and the first layer, {} parameters, is not "
                  "counted",
                  FormatCount(2 * draft.model.embed_dim)));
  return draft;
}

Draft ReadPhi(JsonReader& text) {
  Draft draft = ReadGptShape(text, "hidden_size", "num_hidden_layers", "num_attention_heads");
  Model& model = draft.model;
  if (text.OptionalFlag("qk_layernorm").value_or(false)) {
    text.Fail("qk_layernorm", "found true, expected false: such norms are not modelled for phi");
  }
  model.ffn_dim = text.Count("intermediate_size");
  ReadKvHeads(text, "num_key_value_heads", draft);
  model.block = BlockKind::kParallel;
  model.norms_per_layer = 1;
  model.tied_embedding = ReadTied(text, false);
  draft.notes.push_back(fmt::format("the bias of the unembedding, {} parameters, is not counted",
                                    FormatCount(model.vocabulary)));
  return draft;
}

Draft ReadFalcon(JsonReader& text) { return ReadFalconLike(text, false); }
Draft ReadRefinedWeb(JsonReader& text) { return ReadFalconLike(text, true); }

Draft ReadMpt(JsonReader& text) {
  Draft draft = ReadGptShape(text, "d_model", "n_layers", "n_heads");
  Model& model = draft.model;
  model.ffn_dim = MptExpansion(text) * model.embed_dim;
  const bool bias = !text.OptionalFlag("no_bias").value_or(true);
  model.biases = {.attention_qkv = bias, .attention_output = bias, .ffn = bias};
  model.norm_bias = bias;
  bool alibi = true;
  if (text.Has("attn_config")) {
    JsonReader attention = text.Object("attn_config");
    ReadMptAttention(attention, draft);
    alibi = attention.OptionalFlag("alibi").value_or(true);
  }
  if (alibi) {
    model.positions = PositionKind::kAlibi;
  } else if (text.OptionalFlag("learned_pos_emb").value_or(true)) {
    ReadLearnedPositions(text, "max_seq_len", 0, model);
  } else {
    model.positions = PositionKind::kNone;
  }
  return draft;
}

}  // namespace slicewise::huggingface
