// What follows from a Transformer's shape alone.
#include "slicewise/model/model.h"

#include <gtest/gtest.h>

namespace slicewise {
namespace {

// E = 10, F = 40, 6 heads of 3, 2 KV heads, 5 layers, 100 words.
Model Small() {
  Model model;
  model.layers = 5;
  model.embed_dim = 10;
  model.ffn_dim = 40;
  model.query_heads = 6;
  model.kv_heads = 2;
  model.head_dim = 3;
  model.vocabulary = 100;
  return model;
}

TEST(Parameters, MatricesNormsAndEmbedding) {
  const Model model = Small();
  // 2EF = 800; E (2 x 6 + 2 x 2) 3 = 480; two RMS norms of E = 20.
  EXPECT_EQ(LayerParameters(model), 800 + 480 + 20);
  // 5 x 1300, embedding 1000, final norm 10.
  EXPECT_EQ(Parameters(model), 6500 + 1000 + 10);
}

TEST(Parameters, EachOptionAddsItsOwn) {
  const Model base = Small();
  const auto added = [&](auto change) {
    Model model = base;
    change(model);
    return Parameters(model) - Parameters(base);
  };
  EXPECT_EQ(added([](Model& m) { m.gated = true; }), 5 * 400);                     // one more E x F
  EXPECT_EQ(added([](Model& m) { m.tied_embedding = false; }), 1000);              // V x E again
  EXPECT_EQ(added([](Model& m) { m.norm = NormKind::kLayerNorm; }), 5 * 20 + 10);  // biases
  EXPECT_EQ(added([](Model& m) {
              m.norm = NormKind::kLayerNorm;
              m.norm_bias = false;
            }),
            0);
  EXPECT_EQ(added([](Model& m) { m.norm = NormKind::kNone; }), -(5 * 20 + 10));
  EXPECT_EQ(added([](Model& m) { m.norms_per_layer = 1; }), -5 * 10);
  EXPECT_EQ(added([](Model& m) { m.final_norm = false; }), -10);
  EXPECT_EQ(added([](Model& m) { m.query_key_norm = true; }), 5 * 2 * 3);  // q and k, per head dim
  EXPECT_EQ(added([](Model& m) { m.biases.attention_qkv = true; }), 5 * (18 + 2 * 6));
  EXPECT_EQ(added([](Model& m) { m.biases.attention_output = true; }), 5 * 10);
  EXPECT_EQ(added([](Model& m) { m.biases.ffn = true; }), 5 * (40 + 10));
  EXPECT_EQ(added([](Model& m) {
              m.positions = PositionKind::kLearned;
              m.max_positions = 7;
            }),
            70);
  // Rotary and ALiBi have no parameters, whatever the table length says.
  EXPECT_EQ(added([](Model& m) {
              m.positions = PositionKind::kAlibi;
              m.max_positions = 7;
            }),
            0);
}

TEST(Parameters, GatedFfnBiasHasThreeVectors) {
  Model model = Small();
  model.gated = true;
  const std::int64_t before = LayerParameters(model);
  model.biases.ffn = true;
  EXPECT_EQ(LayerParameters(model) - before, 40 + 40 + 10);
}

TEST(Parameters, WithoutAttention) {
  Model model = Small();
  model.query_heads = 0;
  model.kv_heads = 0;
  EXPECT_EQ(LayerParameters(model), 800 + 20);
  EXPECT_FALSE(model.has_attention());
  EXPECT_EQ(AttentionKind(model), "no attention");
  EXPECT_EQ(PaddedHeads(model, 64), 0);
  EXPECT_EQ(KvElementsPerToken(model), 0);
}

// Facts section 2, PaLM 540B: 118 (3EF + 2E x 48 x 256 + E x 2 x 256) + 256000E = 540.35e9, norms
// aside.
TEST(Parameters, Palm540bByTheFormula) {
  Model palm;
  palm.layers = 118;
  palm.embed_dim = 18432;
  palm.ffn_dim = 73728;
  palm.gated = true;
  palm.query_heads = 48;
  palm.kv_heads = 1;
  palm.head_dim = 256;
  palm.vocabulary = 256000;
  palm.norm = NormKind::kNone;
  EXPECT_NEAR(static_cast<double>(Parameters(palm)), 540.35e9, 0.005e9);
  // Padding heads to 64 adds 2 x 18432 x 16 x 256 x 118 = 17.8e9.
  Model padded = palm;
  padded.query_heads = 64;
  EXPECT_EQ(Parameters(padded) - Parameters(palm), 2LL * 18432 * 16 * 256 * 118);
}

TEST(MfuParameters, NominalWhereGiven) {
  Model model = Small();
  EXPECT_EQ(MfuParameters(model), 7510);
  model.nominal_parameters = 8e9;
  EXPECT_EQ(MfuParameters(model), 8e9);
}

// Facts section 3: 48 heads of 128 over 118 layers, batch 512, context 2048, bf16: 3.04e12 bytes.
TEST(KvElements, TwoPerLayerHeadAndHeadElement) {
  EXPECT_EQ(KvElementsPerToken(Small()), 2 * 5 * 2 * 3);
  Model multihead;
  multihead.layers = 118;
  multihead.query_heads = multihead.kv_heads = 48;
  multihead.head_dim = 128;
  EXPECT_NEAR(2.0 * static_cast<double>(KvElementsPerToken(multihead)) * 512 * 2048, 3.04e12,
              0.005e12);
}

TEST(AttentionKind, ByHeadCounts) {
  Model model = Small();
  EXPECT_EQ(AttentionKind(model), "grouped-query");
  model.kv_heads = 6;
  EXPECT_EQ(AttentionKind(model), "multihead");
  model.kv_heads = 1;
  EXPECT_EQ(AttentionKind(model), "multiquery");
  model.query_heads = 1;  // one head of each kind is multiquery
  EXPECT_EQ(AttentionKind(model), "multiquery");
  EXPECT_FALSE(model.multihead());
}

TEST(PaddedHeads, FewestThatDivideAndKeepGroupsEqual) {
  const auto padded = [](std::int64_t heads, std::int64_t kv_heads, std::int64_t ways) {
    Model model = Small();
    model.query_heads = heads;
    model.kv_heads = kv_heads;
    return PaddedHeads(model, ways);
  };
  EXPECT_EQ(padded(48, 1, 64), 64);  // PaLM 540B
  EXPECT_EQ(padded(48, 1, 16), 48);
  EXPECT_EQ(padded(48, 48, 64), 64);     // multihead pads its KV heads too
  EXPECT_EQ(padded(128, 128, 64), 128);  // MT-NLG
  EXPECT_EQ(padded(28, 4, 8), 32);       // groups of 7 become groups of 8
  EXPECT_EQ(padded(232, 8, 64), 256);    // Falcon 180B: groups of 29 become 32
  EXPECT_EQ(padded(64, 8, 64), 64);
  // 6 heads in groups of 3 over 4 ways: 8 would split them 4 and 4, and 8 = 2 groups of 4.
  EXPECT_EQ(padded(6, 2, 4), 8);
  // 10 heads in groups of 2 over 4 ways: multiples of 20.
  EXPECT_EQ(padded(10, 5, 4), 20);
}

// The slow twin: count up until both rules hold.
TEST(PaddedHeads, EqualsCountingUp) {
  for (std::int64_t kv_heads = 1; kv_heads <= 8; ++kv_heads) {
    for (std::int64_t group = 1; group <= 6; ++group) {
      for (std::int64_t ways = 1; ways <= 16; ++ways) {
        Model model = Small();
        model.kv_heads = kv_heads;
        model.query_heads = kv_heads * group;
        std::int64_t heads = model.query_heads;
        while (heads % ways != 0 || (!model.multihead() && heads % kv_heads != 0)) {
          ++heads;
        }
        EXPECT_EQ(PaddedHeads(model, ways), heads)
            << model.query_heads << "/" << kv_heads << " over " << ways;
      }
    }
  }
}

}  // namespace
}  // namespace slicewise
