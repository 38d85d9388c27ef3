// Single ops priced by hand, and whole programs against a slow recomputation from their parts.
#include "slicewise/cost/cost.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

// A chip whose numbers make sums easy: 100 FLOP/s, 10 B/s HBM, 1 B/s per link, nothing stays on it.
Chip UnitChip() {
  Chip chip = TestChip();
  chip.peak_bf16 = FlopsPerSecond::FromBase(100);
  chip.peak_int8 = FlopsPerSecond::FromBase(200);
  chip.hbm_bandwidth = BytesPerSecond::FromBase(10);
  chip.link_bandwidth = BytesPerSecond::FromBase(1);
  chip.paper_bandwidth = BytesPerSecond::FromBase(6);
  chip.on_chip_memory = Bytes();
  return chip;
}

// The first op of a kind, from `begin` on.
OpCost FirstOf(OpKind kind, const Program& program, const Chip& chip,
               const Calibration& calibration, std::size_t begin = 0) {
  PhaseCost cost;
  CostModel(chip, program.mesh, calibration, NetworkKind::kTorus).Price(program, cost);
  for (std::size_t i = begin; i < program.ops.size(); ++i) {
    if (program.ops[i].kind == kind) {
      return cost.ops[i];
    }
  }
  ADD_FAILURE() << "no " << Name(kind);
  return {};
}

// 1 chip, E = 5, F = 10, batch 4, one token: the first einsum is 4 x 5 x 10 = 200 multiply-adds and
// 50 weights, the second the same.
class SingleOp : public testing::Test {
 protected:
  OpCost FirstEinsum(const Calibration& calibration) {
    const Program program = Lowered(model_, work_, Phase::kPrefill, Layout(), mesh_);
    return FirstOf(OpKind::kEinsum, program, UnitChip(), calibration);
  }

  SingleOp() {
    work_.prefill_batch = 4;
    work_.input_length = 1;
  }
  Mesh mesh_ = MeshOf(1, 1, 1);
  Model model_ = FfnModel(5, 10);
  Workload work_;
};

TEST_F(SingleOp, EinsumAtTheRoofline) {
  const OpCost cost = FirstEinsum(Calibration());
  EXPECT_DOUBLE_EQ(cost.compute.base(), 4);  // 400 FLOPs / 100
  EXPECT_DOUBLE_EQ(cost.hbm.base(), 10);     // 50 weights x 2 bytes / 10
  EXPECT_DOUBLE_EQ(cost.alone().base(), 10);
}

TEST_F(SingleOp, EinsumParameters) {
  Calibration calibration;
  calibration.matmul_efficiency = 0.5;
  calibration.matmul_half_rows = 12;
  // 4 rows of 12 + 4: a quarter of half the peak.
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).compute.base(), 4 * 2 * 4);
  calibration.weight_bandwidth = 0.8;
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).hbm.base(), 12.5);
  calibration.stream_exposed_fraction = 0.4;  // of the shorter, 12.5 s
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).unhidden.base(), 5);
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).alone().base(), 32 + 5);
}

TEST_F(SingleOp, Int8WeightsAreHalfTheBytesAndBf16Matmuls) {
  Calibration calibration;
  calibration.weight_bandwidth = 0.1;  // must not matter
  calibration.int8_weight_bandwidth = 0.5;
  work_.weights = DataType::kInt8;
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).compute.base(), 4);
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).hbm.base(), 10);  // 50 / (10 x 0.5)
  // With int8 activations too the matmul runs at the int8 peak. The residual stays bf16; what a
  // norm makes of it is int8.
  work_.activations = DataType::kInt8;
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).compute.base(), 4);
  model_.norm = NormKind::kRms;
  model_.norms_per_layer = 1;
  EXPECT_DOUBLE_EQ(FirstEinsum(calibration).compute.base(), 2);
}

// Attention of one sequence: 2 heads of 3, 4 queries over 4 + 6 cached tokens.
TEST(Attention, ReadsTheCacheAndSpillsScores) {
  Model model = FfnModel(5, 10);
  model.query_heads = 2;
  model.kv_heads = 1;
  model.head_dim = 3;
  Workload work;
  work.input_length = 4;
  work.context = 6;
  const Mesh mesh = MeshOf(1, 1, 1);
  const Program program = Lowered(model, work, Phase::kPrefill, Layout(), mesh);
  Chip chip = UnitChip();
  Calibration calibration;
  const auto price = [&] { return FirstOf(OpKind::kAttention, program, chip, calibration); };
  // Two products of 4 x 10 x 2 x 3 multiply-adds: 4 x 240 FLOPs.
  EXPECT_DOUBLE_EQ(price().compute.base(), 9.6);
  // Keys and values of 10 tokens x 3, bf16: 120 bytes.
  EXPECT_DOUBLE_EQ(price().hbm.base(), 12);
  calibration.cache_bandwidth = 0.5;
  EXPECT_DOUBLE_EQ(price().hbm.base(), 24);
  // 80 scores x 10 bytes on top.
  calibration.score_traffic = 10;
  EXPECT_DOUBLE_EQ(price().hbm.base(), 24 + 160);
  // 300 of the 800 bytes stay on the chip.
  chip.on_chip_memory = BytesOf(300);
  EXPECT_DOUBLE_EQ(price().hbm.base(), 24 + 100);
}

// What an overlap group takes: (einsum, gather) first, then loops over activations.
TEST(OverlapGroup, TakesTheLongerAndTheExposedPartOfTheShorter) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = FfnModel(1024, 4096);
  Workload work;
  work.prefill_batch = 256;
  work.input_length = 8;
  for (const char* layout :
       {"Ex.Fyz/ws/Hxyz", "Ex.Fyz/wg-yz/Byz.Hx", "Fxyz/ws/Hxyz/Ex", "Ex.Fyz/wg-xyz/Bxyz"}) {
    for (const auto& [gather_exposed, exposed] :
         {std::pair(0.0, 0.0), std::pair(0.3, 0.6), std::pair(1.0, 1.0)}) {
      SCOPED_TRACE(testing::Message() << layout << " " << gather_exposed << " " << exposed);
      Calibration calibration = RoughCalibration();
      calibration.gather_exposed_fraction = gather_exposed;
      calibration.exposed_fraction = exposed;
      calibration.step_latency = 0;
      const Program program =
          Lowered(model, work, Phase::kPrefill, ParseLayout(layout, mesh), mesh);
      const CostModel cost_model(TestChip(), mesh, calibration, NetworkKind::kTorus);
      PhaseCost cost;
      cost_model.Price(program, cost);
      double expected = 0;
      for (int group = 0; group < 8; ++group) {
        double compute = 0;
        double gather = 0;
        double loops = 0;
        for (std::size_t i = 0; i < program.ops.size(); ++i) {
          const Op& op = program.ops[i];
          if (op.group == group) {
            (!IsCollective(op.kind)                   ? compute
             : op.schedule == Schedule::kLoopedOneWay ? gather
                                                      : loops) += cost.ops[i].alone().base();
          }
        }
        if (group == 0) {  // nothing overlaps
          expected += compute + gather + loops;
          continue;
        }
        const double inner = std::max(compute, gather) + gather_exposed * std::min(compute, gather);
        expected += std::max(inner, loops) + exposed * std::min(inner, loops);
      }
      EXPECT_NEAR(cost.step.base() / expected, 1, 1e-12);
    }
  }
}

// Epilogue in float32: the unembedding takes `float32_passes` of the bf16 unit.
TEST(Logits, TakeFloat32Passes) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = MultiqueryModel();
  const Program program =
      Lowered(model, SmallWorkload(), Phase::kDecode, ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh);
  const auto unembed = [&](double passes) {
    Calibration calibration;
    calibration.float32_passes = passes;
    return FirstOf(OpKind::kEinsum, program, TestChip(), calibration, program.epilogue.begin)
        .compute.base();
  };
  // 128 rows x 512/4 x 1024/16 (vocabulary padded to a multiple of 64), 2 FLOPs each, 275e12.
  EXPECT_NEAR(unembed(1) / (2 * 128.0 * 128 * 64 / 275e12), 1, 1e-12);
  EXPECT_DOUBLE_EQ(unembed(3), 3 * unembed(1));
}

// Decode repeats its step; layers repeat the layer; step latency is once per pass.
TEST(Price, StepsAndLayersMultiply) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Model model = MultiqueryModel();
  Workload work = SmallWorkload();
  work.scope = Scope::kLayers;
  work.fixed_context = true;
  Calibration calibration = RoughCalibration();
  const Layout layout = ParseLayout("Ex.Fyz/ws/Bxyz", mesh);
  PhaseCost cost;
  const CostModel cost_model(TestChip(), mesh, calibration, NetworkKind::kTorus);
  cost_model.Price(Lowered(model, work, Phase::kDecode, layout, mesh), cost);
  const double three_layers = cost.step.base() - calibration.step_latency;
  EXPECT_DOUBLE_EQ(cost.latency.base(), 4 * cost.step.base());
  model.layers = 9;
  cost_model.Price(Lowered(model, work, Phase::kDecode, layout, mesh), cost);
  EXPECT_NEAR((cost.step.base() - calibration.step_latency) / three_layers, 3, 1e-12);
}

TEST(Price, BoundNamesTheLargestShare) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Workload work = SmallWorkload();
  work.scope = Scope::kLayers;
  work.input_length = 512;
  const auto bound = [&](const Model& model, Phase phase, const Calibration& calibration,
                         const Chip& chip) {
    PhaseCost cost;
    const CostModel cost_model(chip, mesh, calibration, NetworkKind::kTorus);
    cost_model.Price(Lowered(model, work, phase, ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh), cost);
    return cost.bound;
  };
  Chip fast_links = TestChip();
  fast_links.link_bandwidth = GigabytesPerSecond(1e6);
  const Model model = FfnModel(16384, 65536);
  // 65,536 rows: compute; 128 rows: weights; slow links: network; long hops: latency.
  EXPECT_EQ(bound(model, Phase::kPrefill, Calibration(), fast_links), Bound::kCompute);
  EXPECT_EQ(bound(model, Phase::kDecode, Calibration(), fast_links), Bound::kHbm);
  Chip slow_links = TestChip();
  slow_links.link_bandwidth = GigabytesPerSecond(0.1);
  EXPECT_EQ(bound(model, Phase::kDecode, Calibration(), slow_links), Bound::kNetwork);
  Calibration hops;
  hops.hop_latency = 1;
  EXPECT_EQ(bound(model, Phase::kDecode, hops, TestChip()), Bound::kLatency);
}

// The table that JSON, calibrate and docs are made from covers what the calibration holds.
TEST(CalibrationParameters, IdealsAreTheRooflineAndPriorsLieWithinBounds) {
  const Calibration roofline;
  std::vector<std::string_view> names;
  for (const CalibrationParameter& p : CalibrationParameters()) {
    EXPECT_EQ(roofline.*p.member, p.ideal) << p.name;
    EXPECT_LT(p.lower, p.upper) << p.name;
    EXPECT_GE(p.prior, p.lower) << p.name;
    EXPECT_LE(p.prior, p.upper) << p.name;
    EXPECT_GT(p.prior_width, 0) << p.name;
    EXPECT_FALSE(p.unit.empty() || p.meaning.empty()) << p.name;
    EXPECT_EQ(std::count(names.begin(), names.end(), p.name), 0) << p.name;
    names.push_back(p.name);
    // The ideal is the better end of the bounds.
    EXPECT_TRUE(p.ideal == p.lower || p.ideal == p.upper) << p.name;
  }
}

}  // namespace
}  // namespace slicewise
