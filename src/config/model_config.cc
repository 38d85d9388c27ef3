#include "slicewise/config/model_config.h"

#include <string_view>

#include "huggingface.h"
#include "model_checks.h"
#include "slicewise/config/json_reader.h"
#include "slicewise/config/presets.h"
#include "sources.h"

namespace slicewise {
namespace {

// Fails where the object has the key although another key's value rules it out.
void RefuseUnused(const JsonReader& object, std::string_view key, const std::string& unless) {
  if (object.Has(key)) {
    object.Fail(key, "found a value, expected none unless " + unless);
  }
}

BlockKind ReadBlock(JsonReader& root) {
  return root.Choice("block", {"parallel", "serial"}) == "parallel" ? BlockKind::kParallel
                                                                    : BlockKind::kSerial;
}

void ReadAttention(JsonReader& root, Model& model) {
  model.query_heads = root.Whole("query_heads");
  if (!model.has_attention()) {
    for (std::string_view key : {"kv_heads", "head_dim", "query_key_norm"}) {
      RefuseUnused(root, key, "query_heads is above 0");
    }
    return;
  }
  model.kv_heads = root.Count("kv_heads");
  model.head_dim = root.Count("head_dim");
  model.query_key_norm = root.OptionalFlag("query_key_norm").value_or(false);
}

void ReadNorm(JsonReader& root, Model& model) {
  constexpr std::int64_t kMostNorms = 16;
  JsonReader norm = root.Object("norm");
  const std::string kind = norm.Choice("kind", {"none", "rms", "layer"});
  if (kind == "none") {
    model.norm = NormKind::kNone;
    model.norms_per_layer = 0;
    model.final_norm = false;
    return;
  }
  model.norm = kind == "rms" ? NormKind::kRms : NormKind::kLayerNorm;
  if (model.norm == NormKind::kLayerNorm) {
    model.norm_bias = norm.Flag("bias");
  } else {
    RefuseUnused(norm, "bias", "kind is 'layer'");
  }
  const std::int64_t per_layer = norm.Whole("per_layer");
  if (per_layer > kMostNorms) {
    norm.Fail("per_layer", "found " + std::to_string(per_layer) + ", expected at most " +
                               std::to_string(kMostNorms));
  }
  model.norms_per_layer = static_cast<int>(per_layer);
  model.final_norm = norm.Flag("final");
}

void ReadBiases(JsonReader& root, Model& model) {
  if (!root.Has("biases")) {
    return;
  }
  JsonReader biases = root.Object("biases");
  if (model.has_attention()) {
    model.biases.attention_qkv = biases.Flag("attention_qkv");
    model.biases.attention_output = biases.Flag("attention_output");
  }
  model.biases.ffn = biases.Flag("ffn");
}

void ReadPositions(JsonReader& root, Model& model) {
  JsonReader positions = root.Object("positions");
  const std::string kind = positions.Choice("kind", {"none", "rotary", "alibi", "learned"});
  if (kind == "learned") {
    model.positions = PositionKind::kLearned;
    model.max_positions = positions.Count("max");
    return;
  }
  RefuseUnused(positions, "max", "kind is 'learned'");
  if (kind == "rotary") {
    model.positions = PositionKind::kRotary;
  } else {
    model.positions = kind == "alibi" ? PositionKind::kAlibi : PositionKind::kNone;
  }
}

// slicewise's own schema: the fields of Model by their names.
Model ReadModel(JsonReader& root) {
  Model model;
  model.name = root.Text("name");
  model.layers = root.Count("layers");
  model.embed_dim = root.Count("embed_dim");
  model.ffn_dim = root.Count("ffn_dim");
  model.gated = root.Flag("gated");
  ReadAttention(root, model);
  model.vocabulary = root.Whole("vocabulary");
  if (model.vocabulary > 0) {
    model.tied_embedding = root.Flag("tied_embedding");
  } else {
    RefuseUnused(root, "tied_embedding", "vocabulary is above 0");
  }
  model.block = ReadBlock(root);
  ReadNorm(root, model);
  ReadBiases(root, model);
  ReadPositions(root, model);
  model.nominal_parameters = root.OptionalPositive("nominal_parameters").value_or(0);
  root.Skip("sources");
  root.Finish();
  CheckSources(root, {});
  CheckModel(model, root, {});
  return model;
}

}  // namespace

LoadedModel LoadModel(const std::string& name_or_path) {
  const Document document = LoadPresetOrFile("models", "model", name_or_path);
  JsonReader root = JsonReader::Parse(document);
  LoadedModel loaded;
  if (IsHuggingFace(root)) {
    loaded = ImportHuggingFace(root);
  } else if (root.Has("layers") || root.Has("embed_dim") || root.Has("ffn_dim")) {
    // A reader of its own: the keys that were tried above are not keys of this schema.
    JsonReader own = JsonReader::Parse(document);
    loaded.model = ReadModel(own);
  } else {
    root.Fail("",
              "found neither a slicewise model ('layers', 'embed_dim', ...) nor a Hugging Face "
              "config.json ('model_type' or 'architectures')");
  }
  loaded.source = document.source;
  return loaded;
}

}  // namespace slicewise
