// The collectives of the paper's five layouts, per layer, written by hand from sections 3.2-3.5 and
// appendix A.2: a parallel, gated, multiquery block on X x Y x Z chips, weights E_x F_yz.
#include <gtest/gtest.h>

#include "emulator/emulator_test_util.h"
#include "slicewise/emulator/emulator.h"
#include "slicewise/program/lower.h"

namespace slicewise {
namespace {

// "all-gather yz: residual[B,L,Exyz] -> [B,L,Ex]", one line for each term; axes major first.
std::vector<std::string> Collectives(const std::string& text) {
  Model model = Multiquery();
  model.query_heads = 64;
  const Slice slice = MakeSlice({4, 4, 4}, true);
  const Mesh mesh(slice);
  Workload work;
  work.prefill_batch = 64;
  Program program;
  Lower({.model = &model, .workload = &work, .phase = Phase::kPrefill, .padded_heads = 0},
        ParseLayout(text, mesh), mesh, program);
  const auto shape = [&](const Tensor& tensor) {
    std::string dims;
    for (std::size_t d = 0; d < tensor.rank; ++d) {
      dims += (d == 0 ? "[" : ",") + std::string(Letter(tensor.dims[d]));
      const AxisOrder& digits = program.dim(tensor.dims[d]).order;
      AxisOrder cut;
      for (int i = 0; i < digits.size(); ++i) {
        cut.Append(tensor.sharding[d] & AxisSet::Of(digits[i]));
      }
      dims += mesh.Names(cut);
    }
    return dims + "]" + (tensor.partial.empty() ? "" : "+" + mesh.Names(tensor.partial));
  };
  std::vector<std::string> lines;
  for (std::size_t i = program.layer.begin; i < program.layer.end; ++i) {
    const Op& op = program.ops[i];
    for (std::size_t t = 0; t < op.term_count && IsCollective(op.kind); ++t) {
      const Tensor& operand = program.tensor(op.terms[t].lhs);
      lines.push_back(std::string(Name(op.kind)) + " " + mesh.Names(op.axes) + ": " +
                      std::string(Name(operand.role)) + shape(operand) + " -> " +
                      shape(program.tensor(op.terms[t].out)));
    }
  }
  return lines;
}

using Lines = std::vector<std::string>;

// Section 3.2.1: one all-gather and one reduce-scatter of BLE.
TEST(PaperLayouts, OneDimensionalWeightStationary) {
  EXPECT_EQ(Collectives("Fxyz/ws/Hxyz"),
            (Lines{"all-gather xyz: residual[B,L,Exyz] -> [B,L,E]",
                   "reduce-scatter xyz: block_output[B,L,E]+xyz -> [B,L,Exyz]"}));
}

// Section 3.2.2 with attention over batch, section 3.3: BLE/X twice over yz, BLF/(YZ) twice over x,
// and an all-to-all of the queries before attention and of its output after.
TEST(PaperLayouts, TwoDimensionalWeightStationary) {
  EXPECT_EQ(Collectives("Ex.Fyz/ws/Bxyz"),
            (Lines{"all-gather yz: residual[B,L,Exyz] -> [B,L,Ex]",
                   "all-reduce x: statistics[B,L,stat]+x -> [B,L,stat]",
                   "reduce-scatter x: ffn_hidden[B,L,Fyz]+x -> [B,L,Fyzx]",
                   "reduce-scatter x: ffn_gate[B,L,Fyz]+x -> [B,L,Fyzx]",
                   "reduce-scatter x: query[B,L,Hyz,D]+x -> [Bx,L,Hyz,D]",
                   "reduce-scatter x: key[Byz,L,K,D]+x -> [Byzx,L,K,D]",
                   "reduce-scatter x: value[Byz,L,K,D]+x -> [Byzx,L,K,D]",
                   "all-to-all yz: query[Bx,L,Hyz,D] -> [Byzx,L,H,D]",
                   "all-to-all yz: attended[Byzx,L,H,D] -> [Bx,L,Hyz,D]",
                   "all-gather x: ffn_activated[B,L,Fyzx] -> [B,L,Fyz]",
                   "all-gather x: attended[Bx,L,Hyz,D] -> [B,L,Hyz,D]",
                   "reduce-scatter yz: block_output[B,L,Ex]+yz -> [B,L,Exyz]"}));
}

// Section 3.2.3, N = X: weights over x, activations over yz.
TEST(PaperLayouts, WeightGatheredOverX) {
  EXPECT_EQ(Collectives("Ex.Fyz/wg-x/Bx.Hyz"),
            (Lines{"all-gather yz: residual[Bx,L,Eyz] -> [Bx,L,E]",
                   "all-gather x: ffn_input_weights[Ex,Fyz] -> [E,Fyz]",
                   "all-gather x: ffn_gate_weights[Ex,Fyz] -> [E,Fyz]",
                   "all-gather x: query_weights[Ex,Hyz,D] -> [E,Hyz,D]",
                   "all-gather x: key_weights[Ex,K,D] -> [E,K,D]",
                   "all-gather x: value_weights[Ex,K,D] -> [E,K,D]",
                   "all-gather x: ffn_output_weights[Fyz,Ex] -> [Fyz,E]",
                   "all-gather x: attention_output_weights[Hyz,D,Ex] -> [Hyz,D,E]",
                   "reduce-scatter yz: block_output[Bx,L,E]+yz -> [Bx,L,Eyz]"}));
}

// N = XY: weights over xy, activations over z.
TEST(PaperLayouts, WeightGatheredOverXY) {
  EXPECT_EQ(Collectives("Ex.Fyz/wg-xy/Bxy.Hz"),
            (Lines{"all-gather z: residual[Bxy,L,Ez] -> [Bxy,L,E]",
                   "all-gather xy: ffn_input_weights[Ex,Fyz] -> [E,Fz]",
                   "all-gather xy: ffn_gate_weights[Ex,Fyz] -> [E,Fz]",
                   "all-gather xy: query_weights[Ex,Hyz,D] -> [E,Hz,D]",
                   "all-gather xy: key_weights[Ex,K,D] -> [E,K,D]",
                   "all-gather xy: value_weights[Ex,K,D] -> [E,K,D]",
                   "all-gather xy: ffn_output_weights[Fyz,Ex] -> [Fz,E]",
                   "all-gather xy: attention_output_weights[Hyz,D,Ex] -> [Hz,D,E]",
                   "reduce-scatter z: block_output[Bxy,L,E]+z -> [Bxy,L,Ez]"}));
}

// N = XYZ: activations never move.
TEST(PaperLayouts, WeightGatheredOverXYZ) {
  EXPECT_EQ(Collectives("Ex.Fyz/wg-xyz/Bxyz"),
            (Lines{"all-gather xyz: ffn_input_weights[Ex,Fyz] -> [E,F]",
                   "all-gather xyz: ffn_gate_weights[Ex,Fyz] -> [E,F]",
                   "all-gather xyz: query_weights[Ex,Hyz,D] -> [E,H,D]",
                   "all-gather xyz: key_weights[Ex,K,D] -> [E,K,D]",
                   "all-gather xyz: value_weights[Ex,K,D] -> [E,K,D]",
                   "all-gather xyz: ffn_output_weights[Fyz,Ex] -> [F,E]",
                   "all-gather xyz: attention_output_weights[Hyz,D,Ex] -> [H,D,E]"}));
}

// What one all-gather puts on every link, by hand.
TEST(Emulator, CountsBytesWhereALinkSends) {
  Model model = Multiquery();
  model.embed_dim = 32;
  const Mesh mesh(MakeSlice({4, 1, 1}, true));
  Workload work;
  work.prefill_batch = 2;
  work.input_length = 3;
  Program program;
  Lower({.model = &model, .workload = &work, .phase = Phase::kPrefill, .padded_heads = 0},
        ParseLayout("Fx/ws/Hx", mesh), mesh, program);
  Emulator emulator(model, program, RandomWeights(model, 1));
  emulator.Pass({.batch = 2, .length = 3, .tokens = {1, 2, 3, 4, 5, 6}, .residual = {}});
  const std::size_t gather = program.layer.begin;
  // A block is 2 x 3 x 32/4 bf16 numbers: 96 bytes. Each chip sends its own both ways, and half of
  // what it has got from either side on: 1.5 blocks a link.
  for (int chip = 0; chip < 4; ++chip) {
    EXPECT_EQ(emulator.LinkBytes(gather, chip, DirectionOf(0, false)), BytesOf(144));
    EXPECT_EQ(emulator.LinkBytes(gather, chip, DirectionOf(0, true)), BytesOf(144));
    EXPECT_EQ(emulator.LinkBytes(gather, chip, DirectionOf(2, false)), Bytes());
  }
  // D (K-1)/K over K chips: 384 x 3/4 each.
  EXPECT_EQ(emulator.traffic()[gather].sent, BytesOf(4 * 288));
  EXPECT_NEAR(emulator.traffic()[gather].time / (BytesOf(144) / GigabytesPerSecond(45)), 1, 1e-9);
}

// The worked example of docs/emulator.md: bytes that each of the eight chips sends.
TEST(Emulator, CountsTheWorkedExampleOfTheDocs) {
  Model model = SmallModel();
  model.embed_dim = 8;
  model.ffn_dim = 16;
  model.gated = false;
  model.query_heads = model.kv_heads = model.head_dim = 0;
  model.vocabulary = 0;
  const Mesh mesh(MakeSlice({2, 2, 2}));
  Workload work;
  work.prefill_batch = 2;
  work.input_length = 1;
  Program program;
  Lower({.model = &model, .workload = &work, .phase = Phase::kPrefill, .padded_heads = 0},
        ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh, program);
  Emulator emulator(model, program, RandomWeights(model, 1));
  emulator.Pass({.batch = 2, .length = 1, .tokens = {}, .residual = Values::Ones(16)});
  std::vector<double> sent;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    if (IsCollective(program.ops[i].kind)) {
      sent.push_back(emulator.traffic()[i].sent / BytesOf(8));
    }
  }
  // all-gather yz, all-reduce x (2 x 4 bytes), reduce-scatter x, all-gather x, reduce-scatter yz
  EXPECT_EQ(sent, (std::vector<double>{12, 8, 8, 8, 12}));
}

}  // namespace
}  // namespace slicewise
