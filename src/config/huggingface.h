// Hugging Face config.json as a slicewise model. Private to the config room.
//
// A config.json describes the arguments of one Python class, named by model_type; keys that equal
// the class's defaults may be missing, and the class decides what the file does not say: whether
// the feed-forward block is gated, which biases exist, how many norms a layer has. So each family
// is read by its own function, after the configuration_*.py and modeling_*.py files of the
// transformers library. Only keys that matter to shape are read; a config.json holds dozens that do
// not.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model_checks.h"
#include "slicewise/config/json_reader.h"
#include "slicewise/config/model_config.h"

namespace slicewise {

[[nodiscard]] bool IsHuggingFace(const JsonReader& root);

// Throws InputError on a family that is not known or that a dense decoder cannot stand for.
// The result's source is left empty.
[[nodiscard]] LoadedModel ImportHuggingFace(JsonReader& root);

// --- Between huggingface.cc (which family) and huggingface_families.cc (what each family means).

// A model while it is read.
struct HuggingFaceDraft {
  Model model;
  std::vector<std::string> notes;
  HeadKeys keys;
};

struct HuggingFaceFamily {
  std::string_view model_type;  // "llama"
  // "Llama", as in architectures: ["LlamaForCausalLM"]; empty where the class does not tell.
  std::string_view class_stem;
  // Reads the decoder's own object: the root, or the nested text_config.
  HuggingFaceDraft (*read)(JsonReader& text);
};

[[nodiscard]] std::span<const HuggingFaceFamily> HuggingFaceFamilies();

}  // namespace slicewise
