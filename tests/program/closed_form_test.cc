// The closed forms of the paper's section 3, out of the programs' own collectives. Everything here
// is bf16, 2 bytes an element; volumes are the paper's D: all-gather output, reduce-scatter input.
#include <random>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

constexpr double kBytes = 2;

struct Sizes {
  double embed, ffn, batch, length;
  [[nodiscard]] double tokens() const { return batch * length; }
};

// Sizes that every product of axes up to 256 divides, so that nothing is padded.
Sizes RandomSizes(std::mt19937& random) {
  const auto draw = [&](int low, int high) {
    return static_cast<double>(std::uniform_int_distribution<int>(low, high)(random));
  };
  return {256 * draw(1, 9), 256 * draw(1, 9), 256 * draw(1, 4), draw(1, 7)};
}

Program FfnProgram(const Sizes& sizes, const Layout& layout, const Mesh& mesh) {
  const Model model =
      FfnModel(static_cast<std::int64_t>(sizes.embed), static_cast<std::int64_t>(sizes.ffn));
  Workload work;
  work.prefill_batch = static_cast<std::int64_t>(sizes.batch);
  work.input_length = static_cast<std::int64_t>(sizes.length);
  return Lowered(model, work, Phase::kPrefill, layout, mesh);
}

const std::vector<std::array<int, 3>> kSlices = {{4, 4, 4}, {2, 2, 2}, {2, 4, 4},
                                                 {4, 4, 8}, {1, 2, 2}, {4, 8, 8}};

class ClosedForm : public testing::Test {
 protected:
  // Runs `check` for random sizes on every slice.
  void ForRandomSizes(const std::function<void(const Sizes&, const Mesh&)>& check) {
    constexpr unsigned kSeed = 20221105;
    std::mt19937 random(kSeed);
    for (const auto& dims : kSlices) {
      const Mesh mesh = MeshOf(dims[0], dims[1], dims[2]);
      for (int repeat = 0; repeat < 5; ++repeat) {
        const Sizes sizes = RandomSizes(random);
        SCOPED_TRACE(testing::Message()
                     << "seed " << kSeed << ", " << ToString(mesh.slice()) << ", E " << sizes.embed
                     << ", F " << sizes.ffn << ", B " << sizes.batch << ", L " << sizes.length);
        check(sizes, mesh);
      }
    }
  }
};

// 3.2.1: one all-gather and one reduce-scatter of BLE over all chips, whatever their number.
TEST_F(ClosedForm, OneDimensionalMoves2Ble) {
  ForRandomSizes([](const Sizes& s, const Mesh& mesh) {
    Layout layout;
    layout.weights_ffn = mesh.all();
    layout.attention_heads = mesh.all();
    const Program program = FfnProgram(s, layout, mesh);
    const double ble = kBytes * s.tokens() * s.embed;
    EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllGather), ble);
    EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kReduceScatter), ble);
    EXPECT_DOUBLE_EQ(LayerVolume(program), 2 * ble);
  });
}

// 3.2.2: T = 2BL (E/X + F/(YZ)), for every way to deal the axes out to E and F, both non-empty.
TEST_F(ClosedForm, TwoDimensionalMoves2BlTimesEOverXPlusFOverYz) {
  ForRandomSizes([](const Sizes& s, const Mesh& mesh) {
    for (unsigned bits = 1; bits < mesh.all().bits(); ++bits) {
      Layout layout;
      layout.weights_embed = AxisSet::FromBits(bits);
      layout.weights_ffn = mesh.all() - layout.weights_embed;
      layout.attention_heads = mesh.all();
      SCOPED_TRACE(ToString(layout, mesh));
      const double x = mesh.Size(layout.weights_embed);
      const double yz = mesh.Size(layout.weights_ffn);
      const Program program = FfnProgram(s, layout, mesh);
      // Half of each term is an all-gather, half a reduce-scatter.
      const double half = kBytes * s.tokens() * (s.embed / x + s.ffn / yz);
      EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllGather), half);
      EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kReduceScatter), half);
      EXPECT_DOUBLE_EQ(LayerVolume(program), 2 * half);
    }
  });
}

// 3.2.3 and A.2.2, for any gathered set G of N chips: the two matrices cost 2EF N/n; activations
// hold 1/N of the batch and cost what weight-stationary over the remaining axes E' and F' costs.
TEST_F(ClosedForm, WeightGatheredMoves2EfNOverNAndShardedActivations) {
  ForRandomSizes([](const Sizes& s, const Mesh& mesh) {
    for (const Layout& layout : AllLayouts(mesh)) {
      if (layout.gathered.empty()) {
        continue;
      }
      SCOPED_TRACE(ToString(layout, mesh));
      const Program program = FfnProgram(s, layout, mesh);
      double weights = 0;
      double activations = 0;
      for (const Op& op : program.ops) {
        if (IsCollective(op.kind)) {
          (op.schedule == Schedule::kLoopedOneWay ? weights : activations) +=
              CollectiveTraffic(program, op).volume.base();
        }
      }
      const double gathered = mesh.Size(layout.gathered);
      const AxisSet embed = layout.weights_embed - layout.gathered;
      const AxisSet ffn = layout.weights_ffn - layout.gathered;
      const double chips = mesh.Size(mesh.all());
      EXPECT_DOUBLE_EQ(weights, kBytes * 2 * s.embed * s.ffn * gathered / chips);
      const double e_term = ffn.empty() ? 0 : s.embed / mesh.Size(embed);
      const double f_term = embed.empty() ? 0 : s.ffn / mesh.Size(ffn);
      EXPECT_DOUBLE_EQ(activations, kBytes * 2 * s.tokens() / gathered * (e_term + f_term));
    }
  });
}

// The same in the paper's own words on its own mesh, Ex.Fyz on 4x4x4: X gathered 2EF 4/64 + 2BLE/4,
// XY 2EF 16/64 + 2BLE/16, XYZ 2EF and no activations.
TEST(PaperMesh, WeightGatheredOverXAndXyAndXyz) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Sizes s = {1024, 4096, 256, 3};
  const double ef = s.embed * s.ffn;        // 4,194,304
  const double ble = s.tokens() * s.embed;  // 786,432
  const auto volume = [&](const char* text) {
    return LayerVolume(FfnProgram(s, ParseLayout(text, mesh), mesh));
  };
  EXPECT_DOUBLE_EQ(volume("Ex.Fyz/wg-x/Bx.Hyz"), 2 * (2 * ef * 4 / 64 + 2 * ble / 4));
  EXPECT_DOUBLE_EQ(volume("Ex.Fyz/wg-xy/Bxy.Hz"), 2 * (2 * ef * 16 / 64 + 2 * ble / 16));
  EXPECT_DOUBLE_EQ(volume("Ex.Fyz/wg-xyz/Bxyz"), 2 * (2 * ef));
}

// A gated block has a third matrix: two of its sums are scattered, one product is gathered, so the
// F term is 3BLF/(YZ) where an ungated block has 2.
TEST(GatedBlock, ScattersTwoHiddenTensorsAndGathersOne) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Model model = FfnModel(1024, 4096);
  model.gated = true;
  Workload work;
  work.prefill_batch = 64;
  work.input_length = 2;
  const Program program =
      Lowered(model, work, Phase::kPrefill, ParseLayout("Ex.Fyz/ws/Hxyz", mesh), mesh);
  const double tokens = 128;
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kReduceScatter),
                   2 * tokens * (1024 / 4.0 + 2 * 4096 / 16.0));
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllGather),
                   2 * tokens * (1024 / 4.0 + 4096 / 16.0));
}

// The released 1D code on 4x4x4 (design section 3): all-gather over x of BLE, reduce-scatter over x
// of BLE, all-reduce over yz of BLE/4 counted twice: 1 + 1 + 2/4 = 2.5 BLE.
TEST(ReleasedCode, OneDimensionalLayoutMovesTwoAndAHalfBle) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Sizes s = {1024, 4096, 256, 3};
  const double ble = kBytes * s.tokens() * s.embed;
  const Program program = FfnProgram(s, ParseLayout("Fxyz/ws/Hxyz/Ex", mesh), mesh);
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllGather), ble);
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kReduceScatter), ble);
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllReduce), 0.5 * ble);
  EXPECT_DOUBLE_EQ(LayerVolume(program), 2.5 * ble);
  // With the residual over all axes it is the paper's 2 BLE; over none, an all-reduce of the whole.
  EXPECT_DOUBLE_EQ(LayerVolume(FfnProgram(s, ParseLayout("Fxyz/ws/Hxyz", mesh), mesh)), 2 * ble);
  EXPECT_DOUBLE_EQ(LayerVolume(FfnProgram(s, ParseLayout("Fxyz/ws/Hxyz/E", mesh), mesh)), 2 * ble);
}

// 3.4: a serial block makes the round over the d_ff/n_heads axes twice where a parallel one makes
// it once; what moves over the d_model axes is the same.
TEST(SerialBlock, DoublesTheTrafficOverTheFfnAxes) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Model model = MultiqueryModel();
  model.vocabulary = 0;
  model.norm = NormKind::kNone;
  model.query_heads = 64;
  const Workload work = SmallWorkload();
  const Layout layout = ParseLayout("Ex.Fyz/ws/Bxyz", mesh);
  const auto over = [&](const Program& program, const char* axes) {
    double bytes = 0;
    for (const Op& op : program.ops) {
      if (IsCollective(op.kind) && op.kind != OpKind::kAllToAll && mesh.Names(op.axes) == axes) {
        bytes += CollectiveTraffic(program, op).volume.base();
      }
    }
    return bytes;
  };
  const Program parallel = Lowered(model, work, Phase::kDecode, layout, mesh);
  model.block = BlockKind::kSerial;
  const Program serial = Lowered(model, work, Phase::kDecode, layout, mesh);
  // All-gather and reduce-scatter of BLE/X: 2 * 128 * 512 / 4 elements.
  EXPECT_DOUBLE_EQ(over(parallel, "yz"), kBytes * 2 * 128 * 512 / 4);
  EXPECT_DOUBLE_EQ(over(serial, "yz"), 2 * over(parallel, "yz"));
  EXPECT_DOUBLE_EQ(over(serial, "x"), over(parallel, "x"));
}

class AttentionTraffic : public testing::Test {
 protected:
  // 64 heads and a batch of 128: every sharding on 4x4x4 divides.
  static Model WithoutNorms(std::int64_t kv_heads) {
    Model model = MultiqueryModel();
    model.vocabulary = 0;
    model.norm = NormKind::kNone;
    model.query_heads = 64;
    model.kv_heads = kv_heads;
    return model;
  }
};

// 3.3: with multiquery attention over batch, queries go from heads to batch and the result comes
// back. Each chip holds BLHD/n of either, and only axes of F' have to move: those of E' are
// reduce-scattered straight into batch.
TEST_F(AttentionTraffic, MultiqueryPaysTwoAllToAllsOfBlhdOverN) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = WithoutNorms(1);
  const Workload work = SmallWorkload();
  for (const Layout& layout : AllLayouts(mesh)) {
    SCOPED_TRACE(ToString(layout, mesh));
    const Program program = Lowered(model, work, Phase::kDecode, layout, mesh);
    const AxisSet moved = (layout.weights_ffn & layout.attention_batch) - layout.gathered;
    const double local = 128.0 * 64 * 16 / 64;  // B heads D / chips
    EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllToAll),
                     moved.empty() ? 0 : 2 * kBytes * local);
    for (const Op& op : program.ops) {
      if (op.kind == OpKind::kAllToAll) {
        EXPECT_EQ(op.axes.set(), moved);
      }
    }
  }
}

// Multihead attention over batch moves keys and values as well: four tensors in place of two.
TEST_F(AttentionTraffic, MultiheadMovesKeysAndValuesToo) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = WithoutNorms(64);
  const Workload work = SmallWorkload();
  const double local = 128.0 * 64 * 16 / 64;
  const auto volume = [&](const char* text) {
    return LayerVolume(Lowered(model, work, Phase::kDecode, ParseLayout(text, mesh), mesh),
                       OpKind::kAllToAll);
  };
  EXPECT_DOUBLE_EQ(volume("Ex.Fyz/ws/Hxyz"), 0);
  EXPECT_DOUBLE_EQ(volume("Ex.Fyz/ws/Bxyz"), 4 * kBytes * local);
  EXPECT_DOUBLE_EQ(volume("Fxyz/ws/Bxyz"), 4 * kBytes * local);
  // Only x is in batch, and x shards E: no all-to-all at all.
  EXPECT_DOUBLE_EQ(volume("Ex.Fyz/ws/Bx.Hyz"), 0);
}

// Attention over heads with multiquery: no all-to-all; every chip projects the one KV head, summed
// over x by an all-reduce of keys and values, 2 * B * D elements counted twice.
TEST_F(AttentionTraffic, MultiqueryOverHeadsSumsKeysAndValuesEverywhere) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = WithoutNorms(1);
  const Program program =
      Lowered(model, SmallWorkload(), Phase::kDecode, ParseLayout("Ex.Fyz/ws/Hxyz", mesh), mesh);
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllToAll), 0);
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllReduce), kBytes * 2 * (2 * 128.0 * 16));
}

// Section 8 of the facts, what the released code does in one decode layer of Ex.Fyz/ws/Bxyz: AG(yz)
// BLE/X, RS(x) BL(2F + HD)/(YZ) and the KV sum, AG(x) BL(F + HD)/(YZ), RS(yz) BLE/X, two
// all-to-alls.
TEST_F(AttentionTraffic, OneDecodeLayerOfTheReleasedCode) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = WithoutNorms(1);
  const Program program =
      Lowered(model, SmallWorkload(), Phase::kDecode, ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh);
  const double rows = 128;
  const double residual = rows * 512 / 4;
  const double hidden = rows * 2048 / 16;
  const double heads = rows * 64 * 16 / 16;
  const double kv = 2 * rows / 16 * 16;  // keys and values of this chip's slice of the batch
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllGather), kBytes * (residual + hidden + heads));
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kReduceScatter),
                   kBytes * (2 * hidden + heads + kv + residual));
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllToAll), kBytes * 2 * rows * 64 * 16 / 64);
  EXPECT_DOUBLE_EQ(LayerVolume(program, OpKind::kAllReduce), 0);
}

// int8 activations halve what activation collectives move, except partial sums, which stay bf16.
TEST(DataTypes, Int8HalvesGathersButNotSums) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = FfnModel(1024, 4096);
  Workload work;
  work.prefill_batch = 64;
  work.input_length = 1;
  work.activations = DataType::kInt8;
  work.weights = DataType::kInt8;
  const Program program =
      Lowered(model, work, Phase::kPrefill, ParseLayout("Ex.Fyz/wg-y/By.Hxz", mesh), mesh);
  for (const Op& op : program.ops) {
    if (op.kind == OpKind::kReduceScatter) {
      EXPECT_EQ(program.tensor(op.terms[0].lhs).type, DataType::kBf16);
    }
  }
  // F over x of batch/4: 16 * 4096 / 4 elements of one byte.
  for (const Op& op : program.ops) {
    if (op.kind == OpKind::kAllGather && mesh.Names(op.axes) == "x") {
      EXPECT_DOUBLE_EQ(CollectiveTraffic(program, op).volume.base(), 16 * 4096 / 4.0);
    }
    if (op.schedule == Schedule::kLoopedOneWay) {
      EXPECT_DOUBLE_EQ(CollectiveTraffic(program, op).volume.base(), 1024 * 4096 / 16.0);
    }
  }
}

}  // namespace
}  // namespace slicewise
