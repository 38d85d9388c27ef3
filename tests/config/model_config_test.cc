#include "slicewise/config/model_config.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "config_test_util.h"
#include "slicewise/config/presets.h"

namespace slicewise {
namespace {

// The smallest model file with everything in it.
constexpr const char* kTiny = R"({
  "name": "tiny",
  "layers": 2,
  "embed_dim": 8,
  "ffn_dim": 32,
  "gated": false,
  "query_heads": 4,
  "kv_heads": 2,
  "head_dim": 3,
  "vocabulary": 10,
  "tied_embedding": false,
  "block": "serial",
  "norm": {"kind": "layer", "bias": true, "per_layer": 2, "final": true},
  "query_key_norm": true,
  "biases": {"attention_qkv": true, "attention_output": true, "ffn": true},
  "positions": {"kind": "learned", "max": 5},
  "nominal_parameters": 2e3,
  "sources": {"layers, embed_dim": "a book", "*": "a what-if"}
})";

Model Tiny(const std::string& from, const std::string& to) {
  const TemporaryFile file(Replaced(kTiny, from, to));
  return LoadModel(file.path()).model;
}

std::string ErrorWith(const std::string& from, const std::string& to) {
  return ErrorOfText(Replaced(kTiny, from, to),
                     [](const std::string& path) { (void)LoadModel(path); });
}

TEST(ModelConfigTest, EveryFieldIsRead) {
  const TemporaryFile file(kTiny);
  const LoadedModel loaded = LoadModel(file.path());
  EXPECT_EQ(loaded.source, file.path());
  EXPECT_TRUE(loaded.notes.empty());
  EXPECT_EQ(loaded.model, (Model{.name = "tiny",
                                 .layers = 2,
                                 .embed_dim = 8,
                                 .ffn_dim = 32,
                                 .gated = false,
                                 .query_heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 3,
                                 .vocabulary = 10,
                                 .tied_embedding = false,
                                 .block = BlockKind::kSerial,
                                 .norm = NormKind::kLayerNorm,
                                 .norm_bias = true,
                                 .norms_per_layer = 2,
                                 .final_norm = true,
                                 .query_key_norm = true,
                                 .biases = {true, true, true},
                                 .positions = PositionKind::kLearned,
                                 .max_positions = 5,
                                 .nominal_parameters = 2000}));
  // Attention: Q and O 2*8*12, K and V 2*8*6, biases 12+6+6+8, query and key norms 2*3.
  // Feed-forward: 2*8*32, biases 32+8. Norms: 2 of 16. Around: 2*10*8 + 5*8 + 16.
  EXPECT_EQ(Parameters(loaded.model), 2 * (192 + 96 + 32 + 6 + 512 + 40 + 32) + 160 + 40 + 16);
}

TEST(ModelConfigTest, WhatIsOptional) {
  EXPECT_EQ(Tiny("\"nominal_parameters\": 2e3,", "").nominal_parameters, 0);
  EXPECT_FALSE(Tiny("\"query_key_norm\": true,", "").query_key_norm);
  const Model unbiased =
      Tiny(R"("biases": {"attention_qkv": true, "attention_output": true, "ffn": true},)", "");
  EXPECT_EQ(unbiased.biases, Biases());
  const Model rotary = Tiny(R"({"kind": "learned", "max": 5})", R"({"kind": "rotary"})");
  EXPECT_EQ(rotary.positions, PositionKind::kRotary);
  EXPECT_EQ(rotary.max_positions, 0);
}

TEST(ModelConfigTest, AModelWithoutNorms) {
  const Model model = Tiny(R"({"kind": "layer", "bias": true, "per_layer": 2, "final": true})",
                           R"({"kind": "none"})");
  EXPECT_EQ(model.norm, NormKind::kNone);
  EXPECT_EQ(model.norms_per_layer, 0);
  EXPECT_FALSE(model.final_norm);
}

TEST(ModelConfigTest, MissingKeysAndUnknownKeys) {
  EXPECT_EQ(ErrorWith("\"embed_dim\": 8,", ""),
            "file: /embed_dim: missing, expected a whole number from 1 to 1e15");
  EXPECT_EQ(ErrorWith("\"gated\": false,", ""), "file: /gated: missing, expected true or false");
  EXPECT_EQ(ErrorWith("\"layers\": 2,", "\"layers\": 2, \"heads\": 4,"),
            "file: /heads: unknown key");
  EXPECT_EQ(ErrorWith("\"nominal_parameters\"", "\"nominal_parameter\""),
            "file: /nominal_parameter: unknown key; did you mean 'nominal_parameters'?");
  EXPECT_EQ(ErrorWith("\"max\": 5", "\"max\": 5, \"maxi\": 1"),
            "file: /positions/maxi: unknown key; did you mean 'max'?");
  EXPECT_EQ(ErrorWith(R"({"kind": "learned", "max": 5})", R"({"kind": "rotary", "max": 5})"),
            "file: /positions/max: found a value, expected none unless kind is 'learned'");
  EXPECT_EQ(ErrorWith(R"("layer", "bias": true)", R"("rms", "bias": true)"),
            "file: /norm/bias: found a value, expected none unless kind is 'layer'");
  EXPECT_EQ(ErrorWith("\"vocabulary\": 10", "\"vocabulary\": 0"),
            "file: /tied_embedding: found a value, expected none unless vocabulary is above 0");
}

TEST(ModelConfigTest, WrongValues) {
  EXPECT_EQ(ErrorWith("\"layers\": 2", "\"layers\": 0"),
            "file: /layers: found 0, expected a whole number from 1 to 1e15");
  EXPECT_EQ(ErrorWith("\"serial\"", "\"series\""),
            "file: /block: found 'series', expected one of 'parallel', 'serial'; did you mean "
            "'serial'?");
  EXPECT_EQ(ErrorWith("\"per_layer\": 2", "\"per_layer\": 17"),
            "file: /norm/per_layer: found 17, expected at most 16");
  EXPECT_EQ(ErrorWith("2e3", "-2e3"),
            "file: /nominal_parameters: found -2e3, expected a number above 0");
}

TEST(ModelConfigTest, HeadsMustFit) {
  EXPECT_EQ(ErrorWith("\"kv_heads\": 2", "\"kv_heads\": 3"),  // 4 % 3 = 1
            "file: /kv_heads: found 3, expected a divisor of query_heads, 4");
  EXPECT_EQ(ErrorWith("\"kv_heads\": 2", "\"kv_heads\": 8"),
            "file: /kv_heads: found 8, expected a divisor of query_heads, 4");
  EXPECT_EQ(ErrorWith("\"head_dim\": 3,", ""),
            "file: /head_dim: missing, expected a whole number from 1 to 1e15");
  EXPECT_EQ(ErrorWith("\"query_heads\": 4", "\"query_heads\": 0"),
            "file: /kv_heads: found a value, expected none unless query_heads is above 0");
}

TEST(ModelConfigTest, CountsWhoseProductOverflowsAreRefused) {
  // 1e15 * (2*8*(4+2)*3 + 3*8*32 + 2*8*2) = 1.1e18
  EXPECT_EQ(ErrorWith("\"layers\": 2", "\"layers\": 1000000000000000"),
            "file: found a model of about 1e+18 parameters, expected at most 1e+17");
}

TEST(ModelConfigTest, EveryNumberHasASource) {
  EXPECT_EQ(ErrorWith(", \"*\": \"a what-if\"", ""),
            "file: /ffn_dim: found no source, expected 'ffn_dim' among the keys of /sources");
  EXPECT_EQ(ErrorWith("\"*\":",
                      "\"ffn_dim, query_heads, kv_heads, head_dim, vocabulary, positions, "
                      "nominal_parameters\":"),
            "file: /norm: found no source, expected 'norm' among the keys of /sources");
  EXPECT_EQ(ErrorWith("layers, embed_dim\":", "layers, embed_dims\":"),
            "file: /sources/layers, embed_dims: found a source for 'embed_dims', which this file "
            "does not have; did you mean 'embed_dim'?");
  EXPECT_EQ(ErrorWith("\"a book\"", "\"\""),
            "file: /sources/layers, embed_dim: found '', expected a citation");
  EXPECT_EQ(ErrorWith("\"a book\"", "1958"),
            "file: /sources/layers, embed_dim: found 1958, expected text");
  EXPECT_EQ(
      ErrorWith(",\n  \"sources\": {\"layers, embed_dim\": \"a book\", \"*\": \"a what-if\"}", ""),
      "file: /sources: missing, expected an object");
}

TEST(ModelConfigTest, AFileOfNeitherKind) {
  EXPECT_EQ(ErrorOfText(R"({"depth": 3})", [](const std::string& path) { (void)LoadModel(path); }),
            "file: found neither a slicewise model ('layers', 'embed_dim', ...) nor a Hugging Face "
            "config.json ('model_type' or 'architectures')");
}

struct Total {
  const char* name;
  std::int64_t parameters;
};

// Published totals, to the digit where they are published to the digit.
constexpr std::array<Total, 18> kTotals = {{
    // 60*(2*8192*32768 + 2*8192*64*(128+8) + 4*8192) + 2*65024*8192 + 2*8192
    {"falcon-40b", 41'835'970'560},
    {"falcon-180b", 179'522'565'120},
    {"figure-3", 2'147'483'648},  // 2 * 16384 * 65536
    {"gemma-2b", 2'506'172'416},
    {"gemma-7b", 8'537'680'896},
    {"gpt-3-175b", 174'604'259'328},
    {"llama-2-70b", 68'976'648'192},
    {"llama-3-8b", 8'030'261'248},
    {"llama-3-70b", 70'553'706'496},
    {"llama-3.1-405b", 405'853'388'800},
    {"mistral-7b", 7'241'732'096},
    {"mt-nlg-530b", 529'600'819'200},
    {"palm-8b", 8'632'012'800},
    {"palm-62b", 62'495'662'080},
    // 118*(3*18432*73728 + 2*18432*256*(48+1) + 18432) + 256000*18432 + 18432
    {"palm-540b", 540'356'474'880},
    // Attention of 2*18432*128*(48+48) in place of 2*18432*256*(48+1): 118*9437184 fewer.
    {"palm-540b-multihead", 540'356'474'880 - 118 * 9'437'184LL},
    {"qwen3-32b", 32'762'123'264},
    {"starcoder", 15'517'456'384},
}};

TEST(ModelPresetsTest, ParameterTotals) {
  EXPECT_EQ(kTotals.size(), PresetNames("models").size());
  for (const Total& total : kTotals) {
    EXPECT_EQ(Parameters(LoadModel(total.name).model), total.parameters) << total.name;
  }
}

TEST(ModelPresetsTest, NominalParametersAreThePapers) {
  EXPECT_EQ(MfuParameters(LoadModel("palm-8b").model), 8e9);
  EXPECT_EQ(MfuParameters(LoadModel("palm-62b").model), 62e9);
  EXPECT_EQ(MfuParameters(LoadModel("palm-540b").model), 540e9);
  EXPECT_EQ(MfuParameters(LoadModel("palm-540b-multihead").model), 540e9);
  EXPECT_EQ(MfuParameters(LoadModel("mt-nlg-530b").model), 530e9);
  EXPECT_EQ(MfuParameters(LoadModel("llama-3-8b").model), 8'030'261'248.0);
}

TEST(ModelPresetsTest, Palm540b) {
  const LoadedModel loaded = LoadModel("palm-540b");
  EXPECT_EQ(loaded.source, "preset palm-540b");
  EXPECT_TRUE(loaded.model.parallel());
  EXPECT_TRUE(loaded.model.multiquery());
  EXPECT_FALSE(loaded.model.norm_bias);
  EXPECT_EQ(PaddedHeads(loaded.model, 64), 64);
  EXPECT_EQ(KvElementsPerToken(loaded.model), 2 * 118 * 1 * 256);
  EXPECT_EQ(KvElementsPerToken(LoadModel("palm-540b-multihead").model), 2 * 118 * 48 * 128);
}

TEST(ModelPresetsTest, Figure3HasOneFeedForwardLayerAlone) {
  const Model model = LoadModel("figure-3").model;
  EXPECT_FALSE(model.has_attention());
  EXPECT_EQ(model.layers, 1);
  EXPECT_EQ(model.vocabulary, 0);
  EXPECT_EQ(Parameters(model), 2LL * 16384 * 65536);
}

}  // namespace
}  // namespace slicewise
