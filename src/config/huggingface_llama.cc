// Families after LLaMA: RMS norms, gated feed-forward, rotary positions.
#include <fmt/format.h>

#include <optional>

#include "huggingface_families.h"
#include "slicewise/units/text.h"

namespace slicewise::huggingface {
namespace {

// Whether layer_types leaves some layer with a window; without the key, any layer may have one.
bool SomeLayerMaySlide(JsonReader& text) {
  if (!HasValue(text, "layer_types")) {
    return true;
  }
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

// `enabled` and `window`: the class's own where the file is silent; a window of 0 is none.
void NoteWindow(JsonReader& text, bool enabled, std::int64_t window, Draft& draft) {
  if (text.Has("sliding_window")) {
    window = text.OptionalCount("sliding_window").value_or(0);
  }
  enabled = text.OptionalFlag("use_sliding_window").value_or(enabled);
  if (SomeLayerMaySlide(text) && enabled && window > 0) {
    draft.notes.push_back(fmt::format(
        "attention slides over a window of {} tokens; its KV cache is priced as full attention on "
        "every layer, an upper bound",
        FormatCount(window)));
  }
}

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
  Draft draft = ReadShape(text, "hidden_size", "num_hidden_layers", "num_attention_heads");
  Model& model = draft.model;
  model.ffn_dim = text.Count("intermediate_size");
  model.gated = true;
  if (traits.kv_heads_required && !text.Has("num_key_value_heads")) {
    text.Fail("num_key_value_heads", "missing, expected a whole number from 1 to 1e15");
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

}  // namespace

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

}  // namespace slicewise::huggingface
