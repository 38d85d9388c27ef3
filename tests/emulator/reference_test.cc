// Three evaluations of one model: a loop for every index, dense matrices, and the emulator.
#include <gtest/gtest.h>

#include <random>

#include "emulator/emulator_test_util.h"
#include "reference/reference_model.h"
#include "slicewise/emulator/dense.h"
#include "slicewise/emulator/emulator.h"
#include "slicewise/program/lower.h"

namespace slicewise {
namespace {

constexpr int kBatch = 5;

double Difference(const Values& found, const std::vector<double>& expected) {
  if (found.size() != static_cast<std::int64_t>(expected.size())) {
    return 1;
  }
  double most = 0;
  double scale = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    most = std::max(most, std::abs(found[static_cast<std::int64_t>(i)] - expected[i]));
    scale = std::max(scale, std::abs(expected[i]));
  }
  return most / scale;
}

PassInput RandomTokens(int length, int vocabulary, std::mt19937_64& random) {
  PassInput input{.batch = kBatch, .length = length, .tokens = {}, .residual = {}};
  std::uniform_int_distribution<int> token(0, vocabulary - 1);
  for (int i = 0; i < kBatch * length; ++i) {
    input.tokens.push_back(token(random));
  }
  return input;
}

Program LowerFor(const Model& model, const Layout& layout, const Mesh& mesh, Phase phase) {
  Workload work;
  work.prefill_batch = work.decode_batch = kBatch;
  work.input_length = 4;
  work.output_length = 3;
  work.logits = Logits::kAll;
  Program program;
  Lower({.model = &model, .workload = &work, .phase = phase, .padded_heads = 0}, layout, mesh,
        program);
  return program;
}

class Reference : public testing::TestWithParam<NamedModel> {};

TEST_P(Reference, AgreesWithTheDenseModelAndTheEmulator) {
  const Model model = GetParam().make();
  const Weights weights = RandomWeights(model, 3);
  const Mesh mesh(MakeSlice({2, 2, 2}));
  for (const char* text : {"Fxyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz", "Ex.Fyz/wg-xy/Bxy.Hz"}) {
    std::mt19937_64 random(1);
    reference::ReferenceModel expected(model, weights);
    DenseModel dense(model, weights);
    const Layout layout = ParseLayout(text, mesh);
    Emulator prefill(model, LowerFor(model, layout, mesh, Phase::kPrefill), weights);
    Emulator decode(model, LowerFor(model, layout, mesh, Phase::kDecode), weights);
    for (int step = 0; step < 4; ++step) {
      Emulator& emulator = step == 0 ? prefill : decode;
      if (step == 1) {
        decode.CarryCache(prefill);
      }
      const int length = step == 0 ? 4 : 1;
      const PassInput input = RandomTokens(length, static_cast<int>(model.vocabulary), random);
      const auto result = expected.Pass(kBatch, length, input.tokens);
      const DenseModel::Output output = dense.Pass(input);
      emulator.Pass(input);
      EXPECT_FALSE(emulator.fault());
      EXPECT_LT(Difference(output.logits, result.logits), 1e-12);
      EXPECT_LT(Difference(output.residual, result.residual), 1e-12);
      EXPECT_LT(Difference(emulator.logits(), result.logits), 1e-12);
      EXPECT_LT(Difference(emulator.residual(), result.residual), 1e-12);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Reference, testing::ValuesIn(AllModels()),
                         [](const auto& test) { return test.param.name; });

// A prompt in two chunks is the prompt in one.
TEST(DenseModel, ContinuesFromItsCache) {
  const Model model = Multihead();
  const Weights weights = RandomWeights(model, 3);
  std::mt19937_64 random(1);
  const PassInput whole = RandomTokens(4, 13, random);
  DenseModel once(model, weights);
  const Values expected = once.Pass(whole).residual;
  DenseModel twice(model, weights);
  const std::int64_t row = model.embed_dim;
  for (int half = 0; half < 2; ++half) {
    PassInput input{.batch = kBatch, .length = 2, .tokens = {}, .residual = {}};
    for (int b = 0; b < kBatch; ++b) {
      for (int l = 0; l < 2; ++l) {
        input.tokens.push_back(whole.tokens[static_cast<std::size_t>(b * 4 + half * 2 + l)]);
      }
    }
    const Values found = twice.Pass(input).residual;
    for (int b = 0; b < kBatch; ++b) {
      EXPECT_LT((found.segment(b * 2 * row, 2 * row) -
                 expected.segment((b * 4 + half * 2) * row, 2 * row))
                    .cwiseAbs()
                    .maxCoeff(),
                1e-12);
    }
  }
}

}  // namespace
}  // namespace slicewise
