// The readers of the Hugging Face families, and what they share. Private to the config room.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "huggingface.h"

namespace slicewise::huggingface {

using Draft = HuggingFaceDraft;

[[nodiscard]] bool HasValue(const JsonReader& text, std::string_view key);
// The first of the names that the file has with a value; the first of all where it has none.
[[nodiscard]] std::string_view Spelling(const JsonReader& text,
                                        std::initializer_list<std::string_view> names);
// Layers, embedding, heads (as many for keys and values) and vocabulary, by the names that the
// family itself writes; newer spellings of the same are accepted too.
[[nodiscard]] Draft ReadShape(JsonReader& text, std::string_view embed, std::string_view layers,
                              std::string_view heads);
// The head dimension of a family that always divides the embedding among the heads.
[[nodiscard]] std::int64_t DividedHeadDim(const JsonReader& text, const Draft& draft);
// Leaves one KV head per query head where the file has no such key.
void ReadKvHeads(JsonReader& text, std::string_view key, Draft& draft);
[[nodiscard]] bool ReadTied(JsonReader& text, bool default_value);

// huggingface_llama.cc
Draft ReadChatGlm(JsonReader& text);
Draft ReadGemma(JsonReader& text);
Draft ReadGemma2(JsonReader& text);
Draft ReadGemma3(JsonReader& text);
Draft ReadLlama(JsonReader& text);
Draft ReadMistral(JsonReader& text);
Draft ReadPhi3(JsonReader& text);
Draft ReadQwen2(JsonReader& text);
Draft ReadQwen3(JsonReader& text);

// huggingface_gpt.cc
Draft ReadBloom(JsonReader& text);
Draft ReadFalcon(JsonReader& text);
Draft ReadGpt2(JsonReader& text);
Draft ReadGptBigCode(JsonReader& text);
Draft ReadGptJ(JsonReader& text);
Draft ReadGptNeoX(JsonReader& text);
Draft ReadMpt(JsonReader& text);
Draft ReadOpt(JsonReader& text);
Draft ReadPhi(JsonReader& text);
Draft ReadRefinedWeb(JsonReader& text);

}  // namespace slicewise::huggingface
