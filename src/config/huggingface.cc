#include "huggingface.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "slicewise/units/text.h"

namespace slicewise {
namespace {

// Keys whose presence makes a model something other than a dense decoder with a plain KV cache.
struct Obstacle {
  std::string_view key;
  std::string_view meaning;
};
constexpr std::string_view kExperts = "a mixture of experts";
constexpr std::string_view kLatent = "multi-head latent attention";
constexpr std::array<Obstacle, 9> kObstacles = {{{"num_local_experts", kExperts},
                                                 {"n_routed_experts", kExperts},
                                                 {"num_experts", kExperts},
                                                 {"moe_num_experts", kExperts},
                                                 {"moe_intermediate_size", kExperts},
                                                 {"num_experts_per_tok", kExperts},
                                                 {"kv_lora_rank", kLatent},
                                                 {"is_encoder_decoder", "an encoder-decoder"},
                                                 {"add_cross_attention", "cross-attention"}}};
constexpr std::array<std::string_view, 6> kExpertTypes = {"mixtral", "dbrx",   "deepseek_v2",
                                                          "gpt_oss", "llama4", "grok-1"};

// Absent, null, false and 0 all say that the model has none of it.
bool Matters(const nlohmann::ordered_json& value) {
  return !(value.is_null() || value == false || value == 0);
}

std::string Found(const nlohmann::ordered_json& value) {
  if (value.is_structured()) {
    return value.is_array() ? "an array" : "an object";
  }
  return value.dump();
}

[[noreturn]] void Refuse(const JsonReader& file, std::string_view key, std::string_view found,
                         std::string_view meaning) {
  file.Fail(
      key, fmt::format("found {}, expected a dense decoder: {} cannot be planned", found, meaning));
}

void RefuseObstacles(const JsonReader& file) {
  for (const Obstacle& obstacle : kObstacles) {
    const auto member = file.json().find(std::string(obstacle.key));
    if (member != file.json().end() && Matters(*member)) {
      Refuse(file, obstacle.key, Found(*member), obstacle.meaning);
    }
  }
}

// The decoder's own object, where the file nests it beside a vision tower.
JsonReader TextConfig(JsonReader& root) {
  for (std::string_view key : {"text_config", "llm_config"}) {
    if (root.Has(key) && !root.json().at(std::string(key)).is_null()) {
      return root.Object(key);
    }
  }
  return root;
}

const HuggingFaceFamily* FindFamily(std::string_view model_type) {
  for (const HuggingFaceFamily& family : HuggingFaceFamilies()) {
    if (family.model_type == model_type) {
      return &family;
    }
  }
  return nullptr;
}

[[noreturn]] void FailUnknown(const JsonReader& file, std::string_view key,
                              const std::string& found) {
  std::vector<std::string> names;
  std::string list;
  for (const HuggingFaceFamily& family : HuggingFaceFamilies()) {
    names.emplace_back(family.model_type);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  file.Fail(key, fmt::format("found '{}', expected a model of one of the families {}{}", found,
                             list, DidYouMean(found, names)));
}

// "LlamaForCausalLM" -> llama.
const HuggingFaceFamily& FamilyOfClass(JsonReader& root) {
  const std::vector<std::string> classes = root.Texts("architectures");
  if (classes.empty()) {
    root.Fail("architectures", "found an array of 0, expected the name of the model's class");
  }
  const std::string& name = classes.front();
  for (const HuggingFaceFamily& family : HuggingFaceFamilies()) {
    if (family.class_stem.empty() || !name.starts_with(family.class_stem)) {
      continue;
    }
    const std::string_view rest = std::string_view(name).substr(family.class_stem.size());
    if (rest.starts_with("For") || rest.starts_with("LMHead") || rest == "Model") {
      return family;
    }
  }
  FailUnknown(root, "architectures", name);
}

const HuggingFaceFamily& FamilyOf(JsonReader& root, JsonReader& text) {
  // A nested decoder may omit its model_type: Gemma 3's is that of the whole.
  for (JsonReader* file : {&text, &root}) {
    const std::optional<std::string> type = file->OptionalText("model_type");
    if (!type) {
      continue;
    }
    if (const HuggingFaceFamily* family = FindFamily(*type)) {
      return *family;
    }
    if (type->ends_with("_moe") ||
        std::find(kExpertTypes.begin(), kExpertTypes.end(), *type) != kExpertTypes.end()) {
      Refuse(*file, "model_type", fmt::format("'{}'", *type), kExperts);
    }
    FailUnknown(*file, "model_type", *type);
  }
  return FamilyOfClass(root);
}

// The last part of the hub name where the file has one, otherwise the model_type.
std::string ModelName(JsonReader& root, const HuggingFaceFamily& family) {
  const std::string path = root.OptionalText("_name_or_path").value_or("");
  const std::string name = path.substr(path.rfind('/') + 1);
  if (!name.empty() && name != ".") {
    return name;
  }
  return root.OptionalText("model_type").value_or(std::string(family.model_type));
}

void AddCommonNotes(const JsonReader& root, HuggingFaceDraft& draft) {
  const auto present = [&](const char* key) {
    const auto member = root.json().find(key);
    return member != root.json().end() && Matters(*member);
  };
  if (present("vision_config") || present("audio_config")) {
    draft.notes.emplace_back("only the text decoder is planned, not its vision or audio towers");
  }
  if (present("quantization_config")) {
    draft.notes.emplace_back("quantization_config is not read: --weights sets the weight format");
  }
}

}  // namespace

bool IsHuggingFace(const JsonReader& root) {
  return root.Has("model_type") || root.Has("architectures");
}

LoadedModel ImportHuggingFace(JsonReader& root) {
  JsonReader text = TextConfig(root);
  RefuseObstacles(root);
  RefuseObstacles(text);
  const HuggingFaceFamily& family = FamilyOf(root, text);
  HuggingFaceDraft draft = family.read(text);
  // The tie is a property of the whole, which a nested decoder may leave to it.
  if (const std::optional<bool> tied = root.OptionalFlag("tie_word_embeddings")) {
    draft.model.tied_embedding = text.OptionalFlag("tie_word_embeddings").value_or(*tied);
  }
  draft.model.name = ModelName(root, family);
  CheckModel(draft.model, text, draft.keys);
  AddCommonNotes(root, draft);
  return {.model = std::move(draft.model), .source = {}, .notes = std::move(draft.notes)};
}

}  // namespace slicewise
