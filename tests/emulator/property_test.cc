// Random models, slices, workloads and layouts. The seed is printed; set SLICEWISE_SEED to repeat a
// run or to try another.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "emulator/emulator_test_util.h"

namespace slicewise {
namespace {

constexpr int kCases = 400;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  int Between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool Coin() { return Between(0, 1) == 1; }
  template <class T>
  T Of(std::initializer_list<T> choices) {
    return choices.begin()[Between(0, static_cast<int>(choices.size()) - 1)];
  }

 private:
  std::mt19937_64 engine_;
};

Slice RandomSlice(Dice& dice) {
  Slice slice;
  do {
    for (int& dim : slice.dims) {
      dim = dice.Of({1, 2, 2, 3, 4, 4, 8});
    }
  } while (slice.chips() > 32);
  slice.wraps = dice.Coin();
  return slice;
}

Model RandomModel(Dice& dice) {
  Model model;
  model.layers = dice.Between(1, 2);
  model.embed_dim = dice.Between(3, 40);
  model.ffn_dim = dice.Between(1, 70);
  model.gated = dice.Coin();
  model.kv_heads = dice.Between(1, 9);
  model.query_heads = model.kv_heads * dice.Between(1, 6);
  model.head_dim = dice.Between(1, 3);
  model.vocabulary = dice.Between(2, 40);
  model.tied_embedding = dice.Coin();
  model.block = dice.Of({BlockKind::kParallel, BlockKind::kSerial});
  model.norm = dice.Of({NormKind::kNone, NormKind::kRms, NormKind::kLayerNorm});
  model.norm_bias = dice.Coin();
  model.norms_per_layer = dice.Between(1, 2);
  model.final_norm = dice.Coin();
  model.biases = {
      .attention_qkv = dice.Coin(), .attention_output = dice.Coin(), .ffn = dice.Coin()};
  model.positions = dice.Of({PositionKind::kLearned, PositionKind::kRotary});
  model.max_positions = 64;
  return model;
}

Layout RandomLayout(Dice& dice, const Mesh& mesh) {
  const std::vector<Layout> all = AllLayouts(mesh);
  Layout layout = all[static_cast<std::size_t>(dice.Between(0, static_cast<int>(all.size()) - 1))];
  if (dice.Between(0, 3) == 0) {
    const AxisSet free = layout.weights_ffn - layout.gathered;
    const auto mask = static_cast<unsigned>(dice.Between(0, 63));
    layout.residual = layout.residual_embed() - AxisSet::FromBits(free.bits() & mask);
  }
  return layout;
}

VerifyOptions RandomOptions(Dice& dice, const Layout& prefill, const Mesh& mesh) {
  VerifyOptions options;
  Workload& work = options.workload;
  work.prefill_batch = dice.Between(1, 40);
  work.decode_batch = dice.Between(0, 2) == 0 ? dice.Between(1, 40) : work.prefill_batch;
  work.input_length = dice.Between(1, 5);
  work.context = dice.Of({0, 0, 9});
  work.weights = dice.Of({DataType::kBf16, DataType::kInt8});
  work.activations = dice.Of({DataType::kBf16, DataType::kInt8});
  work.kv_cache = dice.Of({DataType::kBf16, DataType::kInt8});
  work.logits = dice.Of({Logits::kLast, Logits::kAll});
  work.scope = dice.Of({Scope::kEndToEnd, Scope::kEndToEnd, Scope::kLayers});
  options.decode_steps = dice.Between(1, 3);
  options.seed = static_cast<std::uint64_t>(dice.Between(1, 1000));
  if (dice.Coin()) {
    // Prefill and decode share stored weights; all else may differ.
    Layout decode = RandomLayout(dice, mesh);
    decode.weights_embed = prefill.weights_embed;
    decode.weights_ffn = prefill.weights_ffn;
    decode.replicas = prefill.replicas;
    decode.gathered = decode.gathered - decode.replicas;
    decode.attention_batch |= decode.replicas;
    decode.attention_heads = decode.attention_heads - decode.replicas;
    decode.attention_sequence = decode.attention_sequence - decode.replicas;
    decode.residual.reset();
    options.decode_layout = decode;
  }
  return options;
}

TEST(Property, RandomProgramsAreExact) {
  const char* text = std::getenv("SLICEWISE_SEED");
  const std::uint64_t seed = text == nullptr ? 20230 : std::strtoull(text, nullptr, 10);
  std::cout << "SLICEWISE_SEED=" << seed << "\n";
  for (int i = 0; i < kCases; ++i) {
    Dice dice(seed + static_cast<std::uint64_t>(i));
    const Slice slice = RandomSlice(dice);
    const Mesh mesh(slice);
    const Model model = RandomModel(dice);
    const Layout layout = RandomLayout(dice, mesh);
    const VerifyOptions options = RandomOptions(dice, layout, mesh);
    const VerifyReport report = Verify(model, slice, layout, options);
    ASSERT_TRUE(report.passed() && report.largest_difference() <= kVerifyTolerance)
        << "SLICEWISE_SEED=" << seed << ", case " << i << ": " << ToString(slice) << " "
        << report.layout << " then " << ToString(options.decode_layout.value_or(layout), mesh)
        << ", batch " << options.workload.prefill_batch << ", heads " << model.query_heads << "/"
        << model.kv_heads << ": " << report.failure;
  }
}

}  // namespace
}  // namespace slicewise
