#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>

#include "huggingface.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Draft = HuggingFaceDraft;
using Names = std::initializer_list<std::string_view>;

// The first of the names that the file has with a value; the first of all where it has none.
std::string_view Spelling(const JsonReader& text, Names names) {
  for (std::string_view name : names) {
    if (text.Has(name) && !text.json().at(std::string(name)).is_null()) {
      return name;
    }
  }
  return *names.begin();
}

// What every family gives. `names`: the three spellings that the family itself writes.
Draft ReadShape(JsonReader& text, std::string_view embed, std::string_view layers,
                std::string_view heads) {
  Draft draft;
  Model& model = draft.model;
  model.layers = text.Count(Spelling(text, {layers, "num_hidden_layers", "n_layer"}));
  model.embed_dim = text.Count(Spelling(text, {embed, "hidden_size", "n_embed"}));
  draft.keys.query_heads = Spelling(text, {heads, "num_attention_heads", "n_head"});
  draft.keys.kv_heads = draft.keys.query_heads;
  model.query_heads = text.Count(draft.keys.query_heads);
  model.kv_heads = model.query_heads;
  model.vocabulary = text.Count("vocab_size");
  return draft;
}

// The head dimension of a family that always divides the embedding among the heads.
std::int64_t DividedHeadDim(const JsonReader& text, const Draft& draft) {
  const Model& model = draft.model;
  if (model.embed_dim % model.query_heads != 0) {
    text.Fail(draft.keys.query_heads,
              fmt::format("found {}, expected a divisor of the embedding dimension, {}",
                          model.query_heads, model.embed_dim));
  }
  return model.embed_dim / model.query_heads;
}

void ReadKvHeads(JsonReader& text, std::string_view key, Draft& draft) {
  if (const std::optional<std::int64_t> kv_heads = text.OptionalCount(key)) {
    draft.model.kv_heads = *kv_heads;
    draft.keys.kv_heads = key;
  }
}

bool ReadTied(JsonReader& text, bool default_value) {
  return text.OptionalFlag("tie_word_embeddings").value_or(default_value);
}

bool SomeLayerSlides(JsonReader& text) {
  bool slides = false;
  for (const std::string& type : text.Texts("layer_types")) {
    if (type != "full_attention" && type != "sliding_attention") {
      text.Fail("layer_types",
                fmt::format("found '{}', expected 'full_attention' or 'sliding_attention'", type));
    }
    slides = slides || type == "sliding_attention";
  }
  return slides;
}

// `default_window`: the class's own where the file is silent, 0 for none.
void NoteWindow(JsonReader& text, bool enabled, std::int64_t default_window, Draft& draft) {
  const std::int64_t window = text.Has("sliding_window")
                                  ? text.OptionalCount("sliding_window").value_or(0)
                                  : default_window;
  enabled = text.OptionalFlag("use_sliding_window").value_or(enabled);
  if (text.OptionalFlag("use_sliding_window").value_or(enabled) && window > 0 &&
      (!text.Has("layer_types") || SomeLayerSlides(text))) {
    draft.notes.push_back(fmt::format(
        "attention slides over a window of {} tokens; its KV cache is priced as full attention on "
        "every layer, an upper bound",
        FormatCount(window)));
  }
}

// --- Families after LLaMA: RMS norms, gated feed-forward, rotary positions.

// What the class decides, or assumes where the file is silent.
struct LlamaTraits {
  bool tied = false;
  bool qkv_bias = false;  // always there, as in Qwen 2
  bool query_key_norm = false;
  int norms = 2;
  bool kv_heads_required = true;  // absent would mean the class's own count, not the query heads
  std::int64_t head_dim = 0;      // absent means this; 0: the embedding divided by the heads
  std::int64_t window = 0;
  bool window_enabled = true;
};

Draft ReadLlamaLike(JsonReader& text, const LlamaTraits& traits) {
  Draft draft =
      ReadShape(text, "hidden_size", "num_hidden_layers", "num_attention_heads");
  Model& model = draft.model;
  model.ffn_dim = text.Count("intermediate_size");
  model.gated = true;
  if (traits.kv_heads_required && !text.Has("num_key_value_heads")) {
    model.kv_heads = text.Count("num_key_value_heads");
  }
  ReadKvHeads(text, "num_key_value_heads", draft);
  const std::optional<std::int64_t> head_dim = text.OptionalCount("head_dim");
  model.head_dim = head_dim              ? *head_dim
                   : traits.head_dim > 0 ? traits.head_dim
                                         : DividedHeadDim(text, draft);
  model.tied_embedding = ReadTied(text, traits.tied);
  model.norms_per_layer = traits.norms;
  model.query_key_norm = traits.query_key_norm;
  const bool bias = text.OptionalFlag("attention_bias").value_or(false);
  model.biases = {.attention_qkv = bias || traits.qkv_bias,
                  .attention_output = bias,
                  .ffn = text.OptionalFlag("mlp_bias").value_or(false)};
  NoteWindow(text, traits.window_enabled, traits.window, draft);
  return draft;
}

Draft ReadLlama(JsonReader& text) { return ReadLlamaLike(text, {.kv_heads_required = false}); }
Draft ReadPhi3(JsonReader& text) { return ReadLlamaLike(text, {.kv_heads_required = false}); }
Draft ReadMistral(JsonReader& text) { return ReadLlamaLike(text, {.window = 4096}); }
Draft ReadQwen2(JsonReader& text) {
  return ReadLlamaLike(text, {.qkv_bias = true, .window = 4096, .window_enabled = false});
}
Draft ReadQwen3(JsonReader& text) {
  return ReadLlamaLike(
      text, {.query_key_norm = true, .head_dim = 128, .window = 4096, .window_enabled = false});
}
Draft ReadGemma(JsonReader& text) { return ReadLlamaLike(text, {.tied = true, .head_dim = 256}); }
Draft ReadGemma2(JsonReader& text) {
  return ReadLlamaLike(text, {.tied = true, .norms = 4, .head_dim = 256, .window = 4096});
}

// Gemma 3's nested text_config leaves out whatever equals the defaults of Gemma3TextConfig.
Draft ReadGemma3(JsonReader& text) {
  Draft draft;
  Model& model = draft.model;
  model.layers = text.OptionalCount("num_hidden_layers").value_or(26);
  model.embed_dim = text.OptionalCount("hidden_size").value_or(2304);
  model.ffn_dim = text.OptionalCount("intermediate_size").value_or(9216);
  model.gated = true;
  model.query_heads = text.OptionalCount("num_attention_heads").value_or(8);
  model.kv_heads = text.OptionalCount("num_key_value_heads").value_or(4);
  draft.keys = {.query_heads = "num_attention_heads", .kv_heads = "num_key_value_heads"};
  model.head_dim = text.OptionalCount("head_dim").value_or(256);
  model.vocabulary = text.OptionalCount("vocab_size").value_or(262208);
  model.tied_embedding = ReadTied(text, true);
  model.norms_per_layer = 4;
  model.query_key_norm = true;
  const bool bias = text.OptionalFlag("attention_bias").value_or(false);
  model.biases = {.attention_qkv = bias, .attention_output = bias, .ffn = false};
  NoteWindow(text, true, 4096, draft);
  return draft;
}

// --- Families after GPT-2: layer norms with biases, an ungated feed-forward block.

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

Draft ReadFalcon(JsonReader& text) { return ReadFalconLike(text, false); }
Draft ReadRefinedWeb(JsonReader& text) { return ReadFalconLike(text, true); }

// --- MPT and ChatGLM, which name everything their own way.

void ReadMptAttention(JsonReader& text, Draft& draft) {
  const bool present = text.Has("attn_config");
  JsonReader attention = present ? text.Object("attn_config") : text;
  const std::string kind =
      present && attention.Has("attn_type")
          ? attention.Choice("attn_type", {"multihead_attention", "multiquery_attention",
                                           "grouped_query_attention"})
          : "multihead_attention";
  if (kind == "multiquery_attention") {
    draft.model.kv_heads = 1;
  } else if (kind == "grouped_query_attention") {
    draft.model.kv_heads = attention.Count("kv_n_heads");
  }
  if (present && attention.OptionalFlag("qk_ln").value_or(false)) {
    attention.Fail("qk_ln", "found true, expected false: such norms are not modelled for mpt");
  }
  if (!present || attention.OptionalFlag("alibi").value_or(true)) {
    draft.model.positions = PositionKind::kAlibi;
  } else if (text.OptionalFlag("learned_pos_emb").value_or(true)) {
    ReadLearnedPositions(text, "max_seq_len", 0, draft.model);
  }
}

Draft ReadMpt(JsonReader& text) {
  Draft draft = ReadGptShape(text, "d_model", "n_layers", "n_heads");
  Model& model = draft.model;
  model.ffn_dim = text.OptionalCount("expansion_ratio").value_or(4) * model.embed_dim;
  const bool bias = !text.OptionalFlag("no_bias").value_or(true);
  model.biases = {.attention_qkv = bias, .attention_output = bias, .ffn = bias};
  model.norm_bias = bias;
  ReadMptAttention(text, draft);
  return draft;
}

Draft ReadChatGlm(JsonReader& text) {
  Draft draft;
  Model& model = draft.model;
  model.layers = text.Count("num_layers");
  model.embed_dim = text.Count("hidden_size");
  model.ffn_dim = text.Count("ffn_hidden_size");
  model.gated = true;
  model.query_heads = text.Count("num_attention_heads");
  draft.keys.query_heads = "num_attention_heads";
  const bool grouped = text.OptionalFlag("multi_query_attention").value_or(false);
  draft.keys.kv_heads = grouped ? "multi_query_group_num" : draft.keys.query_heads;
  model.kv_heads = text.Count(draft.keys.kv_heads);
  model.head_dim = text.Count("kv_channels");
  model.vocabulary = text.Count("padded_vocab_size");
  model.tied_embedding = ReadTied(text, false);
  const bool rms = text.OptionalFlag("rmsnorm").value_or(true);
  model.norm = rms ? NormKind::kRms : NormKind::kLayerNorm;
  const bool bias = text.OptionalFlag("add_bias_linear").value_or(false);
  const bool qkv_bias = text.OptionalFlag("add_qkv_bias").value_or(false);
  model.biases = {.attention_qkv = bias || qkv_bias, .attention_output = bias, .ffn = bias};
  model.final_norm = text.OptionalFlag("post_layer_norm").value_or(true);
  return draft;
}

}  // namespace

std::span<const HuggingFaceFamily> HuggingFaceFamilies() {
  static constexpr std::array<HuggingFaceFamily, 22> kFamilies = {{
      {"bloom", "Bloom", ReadBloom},
      {"chatglm", "ChatGLM", ReadChatGlm},
      {"falcon", "Falcon", ReadFalcon},
      {"gemma", "Gemma", ReadGemma},
      {"gemma2", "Gemma2", ReadGemma2},
      {"gemma3", "Gemma3", ReadGemma3},
      {"gemma3_text", "Gemma3Text", ReadGemma3},
      {"gpt2", "GPT2", ReadGpt2},
      {"gpt_bigcode", "GPTBigCode", ReadGptBigCode},
      {"gpt_neox", "GPTNeoX", ReadGptNeoX},
      {"gptj", "GPTJ", ReadGptJ},
      {"llama", "Llama", ReadLlama},
      {"mistral", "Mistral", ReadMistral},
      {"mpt", "MPT", ReadMpt},
      {"opt", "OPT", ReadOpt},
      {"phi", "Phi", ReadPhi},
      {"phi3", "Phi3", ReadPhi3},
      {"qwen2", "Qwen2", ReadQwen2},
      {"qwen3", "Qwen3", ReadQwen3},
      {"RefinedWeb", "RW40B", ReadRefinedWeb},
      {"RefinedWebModel", "RW", ReadFalcon},
  }};
  return kFamilies;
}

}  // namespace slicewise
