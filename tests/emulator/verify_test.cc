#include "slicewise/search/verify.h"

#include <gtest/gtest.h>

#include "emulator/emulator_test_util.h"
#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

Model Palm540b() {
  Model model = Multiquery();
  model.layers = 118;
  model.embed_dim = 18432;
  model.ffn_dim = 73728;
  model.query_heads = 48;
  model.head_dim = 256;
  model.vocabulary = 256000;
  model.positions = PositionKind::kRotary;
  return model;
}

TEST(Shrink, KeepsRemaindersAndSaysWhatChanged) {
  VerifyOptions options;
  options.workload.prefill_batch = options.workload.decode_batch = 200;
  options.workload.input_length = 2048;
  options.padded_heads = 64;
  const ShrunkRequest small = Shrink(Palm540b(), MakeSlice({4, 4, 4}, true), options);
  EXPECT_EQ(small.model.layers, 2);
  EXPECT_EQ(small.model.embed_dim, 64);    // 18432 = 288 x 64
  EXPECT_EQ(small.model.query_heads, 48);  // below 64: kept, and still padded
  EXPECT_EQ(small.padded_heads, 64);
  EXPECT_EQ(small.model.kv_heads, 1);
  EXPECT_EQ(small.workload.decode_batch, 72);  // 200 = 3 x 64 + 8
  EXPECT_EQ(small.workload.input_length, 3);
  ASSERT_FALSE(small.changes.empty());
  EXPECT_EQ(small.changes[0].name, "layers");
  EXPECT_EQ(small.changes[0].from, 118);
  EXPECT_EQ(small.changes[0].to, 2);
  ASSERT_EQ(small.omitted.size(), 1U);  // rotary positions
}

TEST(Shrink, KeepsTheKindOfAttention) {
  for (const Slice& slice : {MakeSlice({1, 1, 1}), MakeSlice({2, 2, 1}), MakeSlice({2, 2, 4})}) {
    for (std::int64_t kv_heads : {1, 8, 10, 96}) {
      Model model = Palm540b();
      model.query_heads = kv_heads == 10 ? 40 : 96;
      model.kv_heads = kv_heads;
      const Model small = Shrink(model, slice, {}).model;
      EXPECT_EQ(AttentionKind(small), AttentionKind(model));
      EXPECT_EQ(small.kv_heads % slice.chips(), kv_heads % slice.chips());
    }
  }
}

TEST(Verify, ProvesPalmOnSixtyFourChips) {
  VerifyOptions options;
  options.workload.prefill_batch = options.workload.decode_batch = 16;
  options.padded_heads = 64;
  const Slice slice = MakeSlice({4, 4, 4}, true);
  const VerifyReport report =
      Verify(Palm540b(), slice, ParseLayout("Ex.Fyz/ws/Bxyz", Mesh(slice)), options);
  EXPECT_TRUE(report.passed()) << report.failure;
  EXPECT_EQ(report.layout, "Ex.Fyz/ws/Bxyz");
  EXPECT_EQ(report.passes.size(), 4U);
  EXPECT_EQ(report.memory.size(), 2U);
  // Links are used as evenly as the cost model takes them to be, to the rounding of parts to whole
  // elements.
  for (const VerifyOp& op : report.ops) {
    EXPECT_TRUE(op.equal()) << op.name;
    EXPECT_GE(op.busiest_link.base(), op.even_link.base() * 0.6) << op.name;
  }
}

TEST(Verify, ReshardsTheCacheBetweenTheLayoutsOfTheTwoPhases) {
  const Slice slice = MakeSlice({2, 2, 2});
  const Mesh mesh(slice);
  VerifyOptions options = UnevenBatch();
  options.decode_layout = ParseLayout("Ex.Fyz/ws/Bxyz", mesh);
  const VerifyReport report =
      Verify(Grouped(), slice, ParseLayout("Ex.Fyz/wg-x/Bx.Hyz", mesh), options);
  EXPECT_TRUE(report.passed()) << report.failure;
}

TEST(Verify, RunsBothBatchesWhereThePhasesDiffer) {
  const Slice slice = MakeSlice({2, 2, 1});
  VerifyOptions options;
  options.workload.prefill_batch = 1;
  options.workload.decode_batch = 6;
  const VerifyReport report =
      Verify(Multiquery(), slice, ParseLayout("Ex.Fy/ws/Bxy", Mesh(slice)), options);
  EXPECT_TRUE(report.passed()) << report.failure;
  ASSERT_EQ(report.passes.size(), 8U);
  EXPECT_EQ(report.passes[0].name, "prefill, batch 1");
  EXPECT_EQ(report.passes[7].name, "decode step 3, batch 6");
}

TEST(Verify, StartsFromACachedContext) {
  const Slice slice = MakeSlice({2, 2, 1});
  VerifyOptions options = UnevenBatch();
  options.workload.context = 2000;
  const VerifyReport report =
      Verify(Multihead(), slice, ParseLayout("Ex.Fy/ws/Bxy", Mesh(slice)), options);
  EXPECT_TRUE(report.passed()) << report.failure;
  ASSERT_EQ(report.passes.size(), 5U);
  EXPECT_EQ(report.passes[0].name, "prefill of the context");
}

TEST(Verify, SaysThatATwistIsLeftOut) {
  const Slice slice = MakeSlice({4, 4, 8}, true, true);
  const ShrunkRequest small = Shrink(Multiquery(), slice, {});
  ASSERT_FALSE(small.omitted.empty());
  EXPECT_NE(small.omitted[0].find("twist"), std::string::npos);
}

TEST(Verify, RefusesWhatCannotBeLowered) {
  const Slice slice = MakeSlice({2, 2, 1});
  Layout layout;  // no axes at all
  EXPECT_THROW((void)Verify(Multiquery(), slice, layout, {}), InputError);
  VerifyOptions options;
  options.padded_heads = 7;
  EXPECT_THROW((void)Verify(Multiquery(), slice, ParseLayout("Ex.Fy/ws/Bxy", Mesh(slice)), options),
               InputError);
}

}  // namespace
}  // namespace slicewise
