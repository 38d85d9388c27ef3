// Hugging Face config.json through LoadModel, the public door.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "config_test_util.h"
#include "slicewise/config/model_config.h"
#include "slicewise/config/presets.h"

namespace slicewise {
namespace {

LoadedModel Import(const std::string& fixture) { return LoadModel(DataPath(fixture)); }

std::string Fixture(const std::string& name) { return LoadFile(DataPath(name)).text; }

LoadedModel ImportWith(const std::string& fixture, const std::string& from, const std::string& to) {
  const TemporaryFile file(Replaced(Fixture(fixture), from, to));
  return LoadModel(file.path());
}

std::string ErrorWith(const std::string& fixture, const std::string& from, const std::string& to) {
  return ErrorOfText(Replaced(Fixture(fixture), from, to),
                     [](const std::string& path) { (void)LoadModel(path); });
}

std::string Error(const std::string& text) {
  return ErrorOfText(text, [](const std::string& path) { (void)LoadModel(path); });
}

std::vector<std::string> WindowNote(const std::string& tokens) {
  return {"attention slides over a window of " + tokens +
          " tokens; its KV cache is priced as full attention on every layer, an upper bound"};
}

struct Total {
  const char* fixture;
  std::int64_t parameters;
};

// Published totals, except where the sum beside says what differs.
constexpr std::array<Total, 20> kTotals = {{
    {"llama-3-70b", 70'553'706'496},
    {"mistral-7b", 7'241'732'096},
    {"qwen2.5-7b", 7'615'616'512},
    {"qwen3-0.6b", 596'049'920},
    {"gemma-7b", 8'537'680'896},
    {"gemma-2-9b", 9'241'705'984},
    // 34*(2*2560*256*(8+4) + 2*256 + 3*2560*10240 + 4*2560) + 262208*2560 + 2560: the text decoder
    {"gemma-3-4b", 3'880'263'168},
    {"falcon-7b", 7'217'189'760 - 65024LL * 4544},  // published with the unembedding, tied here
    {"falcon-40b", 41'835'970'560},
    {"refinedweb-40b", 41'835'970'560},
    {"gpt2", 124'439'808},
    {"gpt-j-6b", 6'050'882'784 - 50'400},  // less the bias of the unembedding
    {"gpt-neox-20b", 20'554'567'680},
    {"starcoder", 15'517'456'384},
    {"opt-66b", 65'719'701'504},
    {"bloom", 176'247'271'424 - 2 * 14336},  // less the norm after the embedding
    {"mpt-7b", 6'649'286'656},
    {"phi-2", 2'779'683'840 - 51'200},  // less the bias of the unembedding
    {"phi-3-mini-4k", 3'821'079'552},
    {"chatglm3-6b", 6'243'584'000},
}};

TEST(HuggingFaceTest, ParameterTotalsOfEveryFamily) {
  for (const Total& total : kTotals) {
    EXPECT_EQ(Parameters(Import(total.fixture).model), total.parameters) << total.fixture;
  }
}

TEST(HuggingFaceTest, TheImportOfLlama370bIsThePreset) {
  LoadedModel imported = Import("llama-3-70b");
  const LoadedModel preset = LoadModel("llama-3-70b");
  EXPECT_EQ(imported.model.name, "Meta-Llama-3-70B");
  EXPECT_EQ(imported.source, DataPath("llama-3-70b"));
  EXPECT_TRUE(imported.notes.empty());
  EXPECT_EQ(Parameters(imported.model), Parameters(preset.model));
  imported.model.name = preset.model.name;
  EXPECT_EQ(imported.model, preset.model);
}

TEST(HuggingFaceTest, OtherImportsThatHaveAPreset) {
  for (const std::string name : {"gemma-7b", "mistral-7b", "falcon-40b", "starcoder"}) {
    Model imported = Import(name).model;
    imported.name = name;
    EXPECT_EQ(imported, LoadModel(name).model) << name;
  }
}

TEST(HuggingFaceTest, TheClassNameStandsInForTheModelType) {
  const Model whole = Import("llama-3-70b").model;
  EXPECT_EQ(ImportWith("llama-3-70b", "\"model_type\": \"llama\",", "").model, whole);
  EXPECT_EQ(ImportWith("gpt2", "\"model_type\": \"gpt2\",", "").model, Import("gpt2").model);
  EXPECT_EQ(ImportWith("gemma-3-4b", "\"model_type\": \"gemma3_text\",", "").model,
            Import("gemma-3-4b").model);
}

TEST(HuggingFaceTest, TheTieFollowsTheClassWhereTheFileIsSilent) {
  const std::string untied = "\"tie_word_embeddings\": false,";
  EXPECT_FALSE(ImportWith("llama-3-70b", untied, "").model.tied_embedding);
  EXPECT_FALSE(ImportWith("gpt-neox-20b", untied, "").model.tied_embedding);
  EXPECT_TRUE(ImportWith("falcon-40b", untied, "").model.tied_embedding);
  EXPECT_TRUE(Import("gemma-7b").model.tied_embedding);
  EXPECT_TRUE(Import("gpt2").model.tied_embedding);
  EXPECT_FALSE(ImportWith("gemma-3-4b", "\"model_type\": \"gemma3\",",
                          "\"model_type\": \"gemma3\", " + untied)
                   .model.tied_embedding);
}

TEST(HuggingFaceTest, HeadDimensionsAreNotAlwaysTheQuotient) {
  EXPECT_EQ(Import("gemma-7b").model.head_dim, 256);    // 3072 / 16 would be 192
  EXPECT_EQ(Import("qwen3-0.6b").model.head_dim, 128);  // 1024 / 16 would be 64
  EXPECT_EQ(ImportWith("qwen3-0.6b", "\"head_dim\": 128,", "").model.head_dim, 128);
  EXPECT_EQ(Import("llama-3-70b").model.head_dim, 128);  // 8192 / 64
  EXPECT_EQ(Import("gpt-j-6b").model.head_dim, 256);     // not rotary_dim, 64
}

TEST(HuggingFaceTest, KvHeads) {
  EXPECT_EQ(Import("llama-3-70b").model.kv_heads, 8);
  EXPECT_EQ(ImportWith("llama-3-70b", "\"num_key_value_heads\": 8,", "").model.kv_heads, 64);
  EXPECT_EQ(ImportWith("mistral-7b", "\"num_key_value_heads\": 8", "\"num_key_value_heads\": null")
                .model.kv_heads,
            32);
  EXPECT_EQ(Import("falcon-7b").model.kv_heads, 1);  // multi_query, whatever num_kv_heads says
  EXPECT_EQ(Import("falcon-40b").model.kv_heads, 8);
  EXPECT_EQ(
      ImportWith("falcon-7b", "\"multi_query\": true", "\"multi_query\": false").model.kv_heads,
      71);
  EXPECT_EQ(
      ImportWith("starcoder", "\"multi_query\": true", "\"multi_query\": false").model.kv_heads,
      48);
  EXPECT_EQ(Import("chatglm3-6b").model.kv_heads, 2);
  EXPECT_EQ(Import("gemma-3-4b").model.kv_heads, 4);
}

TEST(HuggingFaceTest, BlocksAndNorms) {
  const Model falcon_7b = Import("falcon-7b").model;
  EXPECT_TRUE(falcon_7b.parallel());
  EXPECT_EQ(falcon_7b.norms_per_layer, 1);
  const Model falcon_40b = Import("falcon-40b").model;
  EXPECT_TRUE(falcon_40b.parallel());
  EXPECT_EQ(falcon_40b.norms_per_layer, 2);
  const Model serial =
      ImportWith("falcon-7b", "\"parallel_attn\": true", "\"parallel_attn\": false").model;
  EXPECT_FALSE(serial.parallel());
  EXPECT_EQ(serial.norms_per_layer, 2);
  EXPECT_TRUE(Import("gpt-neox-20b").model.parallel());
  EXPECT_TRUE(Import("gpt-j-6b").model.parallel());
  EXPECT_FALSE(Import("gpt2").model.parallel());
  EXPECT_EQ(Import("gemma-2-9b").model.norms_per_layer, 4);
  EXPECT_TRUE(Import("qwen3-0.6b").model.query_key_norm);
  EXPECT_FALSE(Import("mpt-7b").model.norm_bias);
}

TEST(HuggingFaceTest, BiasesAndGates) {
  EXPECT_EQ(Import("qwen2.5-7b").model.biases, (Biases{true, false, false}));
  EXPECT_EQ(ImportWith("llama-3-70b", "\"attention_bias\": false", "\"attention_bias\": true")
                .model.biases,
            (Biases{true, true, false}));
  EXPECT_EQ(Import("gpt-j-6b").model.biases, (Biases{false, false, true}));
  EXPECT_TRUE(Import("gemma-7b").model.gated);  // its hidden_act is "gelu": the family decides
  EXPECT_FALSE(Import("gpt2").model.gated);
  EXPECT_FALSE(ImportWith("opt-66b", "\"relu\"", "\"silu\"").model.gated);
}

TEST(HuggingFaceTest, FeedForwardDimensions) {
  EXPECT_EQ(Import("gpt-j-6b").model.ffn_dim, 16384);   // n_inner null: 4 * 4096
  EXPECT_EQ(Import("gpt2").model.ffn_dim, 3072);        // n_inner absent: 4 * 768
  EXPECT_EQ(Import("falcon-7b").model.ffn_dim, 18176);  // 4 * 4544
  EXPECT_EQ(Import("mpt-7b").model.ffn_dim, 16384);     // expansion_ratio 4
}

TEST(HuggingFaceTest, Positions) {
  EXPECT_EQ(Import("gpt2").model.max_positions, 1024);
  EXPECT_EQ(Import("opt-66b").model.max_positions, 2050);  // 2048 + 2 rows of padding
  EXPECT_EQ(Import("bloom").model.positions, PositionKind::kAlibi);
  EXPECT_EQ(Import("mpt-7b").model.positions, PositionKind::kAlibi);
  EXPECT_EQ(ImportWith("mpt-7b", "\"alibi\": true", "\"alibi\": false").model.max_positions, 2048);
}

TEST(HuggingFaceTest, SlidingWindowsAreNotedWhereTheyAreActive) {
  EXPECT_EQ(Import("mistral-7b").notes, WindowNote("4,096"));
  const std::string window = "\"sliding_window\": 4096";
  EXPECT_TRUE(ImportWith("mistral-7b", window, "\"sliding_window\": null").notes.empty());
  EXPECT_EQ(ImportWith("mistral-7b", window + ",", "").notes, WindowNote("4,096"));
  EXPECT_TRUE(Import("qwen2.5-7b").notes.empty());  // use_sliding_window false
  EXPECT_EQ(
      ImportWith("qwen2.5-7b", "\"use_sliding_window\": false", "\"use_sliding_window\": true")
          .notes,
      WindowNote("131,072"));
  EXPECT_EQ(Import("gemma-2-9b").notes, WindowNote("4,096"));
  EXPECT_TRUE(ImportWith("gemma-2-9b", window, window + R"(, "layer_types": ["full_attention"])")
                  .notes.empty());
  EXPECT_EQ(Import("phi-3-mini-4k").notes, WindowNote("2,047"));
}

TEST(HuggingFaceTest, WhatIsLeftOutIsNoted) {
  EXPECT_EQ(Import("gemma-3-4b").notes.at(1),
            "only the text decoder is planned, not its vision or audio towers");
  EXPECT_EQ(
      Import("gpt-j-6b").notes,
      std::vector<std::string>{"the bias of the unembedding, 50,400 parameters, is not counted"});
  EXPECT_EQ(Import("bloom").notes,
            std::vector<std::string>{"the norm between the embedding and the first layer, 28,672 "
                                     "parameters, is not counted"});
  EXPECT_EQ(
      Import("falcon-7b").notes,
      std::vector<std::string>{"tie_word_embeddings is true, so the unembedding is not counted "
                               "again; the published parameter totals of Falcon count it"});
  EXPECT_EQ(ImportWith("llama-3-70b", "\"vocab_size\"",
                       R"("quantization_config": {"bits": 4}, "vocab_size")")
                .notes,
            std::vector<std::string>{
                "quantization_config is not read: --weights sets the weight format"});
}

TEST(HuggingFaceTest, ExpertsLatentAttentionAndEncodersAreRefusedByName) {
  EXPECT_EQ(Error(Fixture("mixtral-8x7b")),
            "file: /num_local_experts: found 8, expected a dense decoder: a mixture of experts "
            "cannot be planned");
  EXPECT_EQ(Error(Fixture("deepseek-v3")),
            "file: /n_routed_experts: found 256, expected a dense decoder: a mixture of experts "
            "cannot be planned");
  EXPECT_EQ(Error(R"({"model_type": "minicpm3", "kv_lora_rank": 256})"),
            "file: /kv_lora_rank: found 256, expected a dense decoder: multi-head latent attention "
            "cannot be planned");
  EXPECT_EQ(Error(Fixture("t5-small")),
            "file: /is_encoder_decoder: found true, expected a dense decoder: an encoder-decoder "
            "cannot be planned");
  EXPECT_EQ(Error(R"({"model_type": "qwen3_moe"})"),
            "file: /model_type: found 'qwen3_moe', expected a dense decoder: a mixture of experts "
            "cannot be planned");
  EXPECT_EQ(Error(R"({"model_type": "llama4", "text_config": {"num_local_experts": 16}})"),
            "file: /text_config/num_local_experts: found 16, expected a dense decoder: a mixture "
            "of experts cannot be planned");
  EXPECT_EQ(Error(Replaced(Fixture("llama-3-70b"), "\"vocab_size\"",
                           "\"num_experts\": 0, \"kv_lora_rank\": null, \"vocab_size\"")),
            "no error");
}

TEST(HuggingFaceTest, UnknownFamiliesGetTheList) {
  const std::string families =
      "expected a model of one of the families bloom, chatglm, falcon, gemma, gemma2, gemma3, "
      "gemma3_text, gpt2, gpt_bigcode, gpt_neox, gptj, llama, mistral, mpt, opt, phi, phi3, qwen2, "
      "qwen3, RefinedWeb, RefinedWebModel";
  EXPECT_EQ(Error(R"({"model_type": "mamba"})"), "file: /model_type: found 'mamba', " + families);
  EXPECT_EQ(Error(R"({"model_type": "qwen-2"})"),
            "file: /model_type: found 'qwen-2', " + families + "; did you mean 'qwen2'?");
  EXPECT_EQ(Error(R"({"architectures": ["WhisperForAudioClassification"]})"),
            "file: /architectures: found 'WhisperForAudioClassification', " + families);
  EXPECT_EQ(Error(R"({"architectures": []})"),
            "file: /architectures: found an array of 0, expected the name of the model's class");
  EXPECT_EQ(Error(R"({"model_type": 7})"), "file: /model_type: found 7, expected text");
}

TEST(HuggingFaceTest, WrongValuesOfKeysThatMatter) {
  const std::string count = ", expected a whole number from 1 to 1e15";
  EXPECT_EQ(ErrorWith("llama-3-70b", "\"hidden_size\": 8192", "\"hidden_size\": \"8192\""),
            "file: /hidden_size: found '8192'" + count);
  EXPECT_EQ(ErrorWith("llama-3-70b", "\"hidden_size\": 8192", "\"hidden_size\": 0"),
            "file: /hidden_size: found 0" + count);
  EXPECT_EQ(ErrorWith("llama-3-70b", "\"num_hidden_layers\": 80", "\"num_hidden_layers\": -80"),
            "file: /num_hidden_layers: found -80" + count);
  EXPECT_EQ(ErrorWith("llama-3-70b", "\"vocab_size\": 128256", "\"vocab_size\": 128256.0"),
            "file: /vocab_size: found 128256.0" + count + ", written in digits alone");
  EXPECT_EQ(ErrorWith("gpt2", "\"n_embd\": 768,", ""), "file: /n_embd: missing" + count);
  EXPECT_EQ(ErrorWith("gemma-3-4b", "\"hidden_size\": 2560", "\"hidden_size\": -1"),
            "file: /text_config/hidden_size: found -1" + count);
  EXPECT_EQ(ErrorWith("mistral-7b", "\"num_key_value_heads\": 8,", ""),
            "file: /num_key_value_heads: missing" + count);
  EXPECT_EQ(ErrorWith("mistral-7b", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 0"),
            "file: /tie_word_embeddings: found 0, expected true or false");
}

TEST(HuggingFaceTest, HeadsMustFit) {
  EXPECT_EQ(ErrorWith("llama-3-70b", "\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7"),
            "file: /num_key_value_heads: found 7, expected a divisor of num_attention_heads, 64");
  EXPECT_EQ(ErrorWith("gpt2", "\"n_head\": 12", "\"n_head\": 7"),
            "file: /n_head: found 7, expected a divisor of the embedding dimension, 768");
  EXPECT_EQ(ErrorWith("refinedweb-40b", "\"n_head_kv\": 8", "\"n_head_kv\": 9"),
            "file: /n_head_kv: found 9, expected a divisor of n_head, 128");
}

TEST(HuggingFaceTest, WhatAFamilyCannotSay) {
  EXPECT_EQ(ErrorWith("opt-66b", "\"word_embed_proj_dim\": 9216", "\"word_embed_proj_dim\": 512"),
            "file: /word_embed_proj_dim: found 512, expected hidden_size, 9216: a projected "
            "embedding cannot be planned");
  EXPECT_EQ(ErrorWith("mpt-7b", "\"qk_ln\": false", "\"qk_ln\": true"),
            "file: /attn_config/qk_ln: found true, expected false: such norms are not modelled for "
            "mpt");
  EXPECT_EQ(ErrorWith("mpt-7b", "\"expansion_ratio\": 4", "\"expansion_ratio\": 1000000"),
            "file: /expansion_ratio: found 1000000, expected a whole number from 1 to 1000");
  EXPECT_EQ(ErrorWith("phi-2", "\"qk_layernorm\": false", "\"qk_layernorm\": true"),
            "file: /qk_layernorm: found true, expected false: such norms are not modelled for phi");
  EXPECT_EQ(ErrorWith("gemma-2-9b", "\"vocab_size\"",
                      R"("layer_types": ["linear_attention"], "vocab_size")"),
            "file: /layer_types: found 'linear_attention', expected 'full_attention' or "
            "'sliding_attention'");
}

}  // namespace
}  // namespace slicewise
