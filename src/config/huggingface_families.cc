#include "huggingface_families.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

namespace slicewise {
namespace huggingface {

bool HasValue(const JsonReader& text, std::string_view key) {
  return text.Has(key) && !text.json().at(std::string(key)).is_null();
}

std::string_view Spelling(const JsonReader& text, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    if (HasValue(text, name)) {
      return name;
    }
  }
  return *names.begin();
}

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

}  // namespace huggingface

std::span<const HuggingFaceFamily> HuggingFaceFamilies() {
  static constexpr std::array<HuggingFaceFamily, 21> kFamilies = {{
      {"bloom", "Bloom", huggingface::ReadBloom},
      {"chatglm", "ChatGLM", huggingface::ReadChatGlm},
      {"falcon", "Falcon", huggingface::ReadFalcon},
      {"gemma", "Gemma", huggingface::ReadGemma},
      {"gemma2", "Gemma2", huggingface::ReadGemma2},
      {"gemma3", "Gemma3", huggingface::ReadGemma3},
      {"gemma3_text", "Gemma3Text", huggingface::ReadGemma3},
      {"gpt2", "GPT2", huggingface::ReadGpt2},
      {"gpt_bigcode", "GPTBigCode", huggingface::ReadGptBigCode},
      {"gpt_neox", "GPTNeoX", huggingface::ReadGptNeoX},
      {"gptj", "GPTJ", huggingface::ReadGptJ},
      {"llama", "Llama", huggingface::ReadLlama},
      {"mistral", "Mistral", huggingface::ReadMistral},
      {"mpt", "Mpt", huggingface::ReadMpt},
      {"opt", "OPT", huggingface::ReadOpt},
      {"phi", "Phi", huggingface::ReadPhi},
      {"phi3", "Phi3", huggingface::ReadPhi3},
      {"qwen2", "Qwen2", huggingface::ReadQwen2},
      {"qwen3", "Qwen3", huggingface::ReadQwen3},
      {"RefinedWeb", "", huggingface::ReadRefinedWeb},
      {"RefinedWebModel", "", huggingface::ReadFalcon},
  }};
  return kFamilies;
}

}  // namespace slicewise
