// Every layout of every kind of model on every small slice: right numbers, exact traffic and
// memory.
#include <gtest/gtest.h>

#include "emulator/emulator_test_util.h"

namespace slicewise {
namespace {

void ExpectVerified(const Model& model, const Slice& slice, const std::vector<Layout>& layouts,
                    const VerifyOptions& options) {
  for (const Layout& layout : layouts) {
    const VerifyReport report = Verify(model, slice, layout, options);
    EXPECT_TRUE(report.passed()) << report.layout << ": " << report.failure;
    EXPECT_LE(report.largest_difference(), kVerifyTolerance) << report.layout;
    EXPECT_EQ(report.passes.size(), 4U);  // prefill and three decode steps
  }
}

struct Case {
  std::string name;
  Slice slice;
};

class EveryLayout : public testing::TestWithParam<std::tuple<Case, NamedModel>> {};

TEST_P(EveryLayout, IsExact) {
  const auto& [named_slice, model] = GetParam();
  // On 16 chips and three axes the whole space is run for one kind of model, the paper's for all.
  const bool paper_only =
      named_slice.slice.chips() > 8 && named_slice.slice.dims[2] > 1 && model.make != Grouped;
  ExpectVerified(model.make(), named_slice.slice, AllLayouts(Mesh(named_slice.slice), paper_only),
                 UnevenBatch());
}

INSTANTIATE_TEST_SUITE_P(
    Slices, EveryLayout,
    testing::Combine(testing::Values(Case{"OneChip", MakeSlice({1, 1, 1})},
                                     Case{"Mesh2x2x1", MakeSlice({2, 2, 1})},
                                     Case{"Mesh2x2x2", MakeSlice({2, 2, 2})},
                                     Case{"Mesh2x2x4", MakeSlice({2, 2, 4})},
                                     Case{"Ring4", MakeSlice({1, 4, 1}, true)},
                                     Case{"Ring8", MakeSlice({8, 1, 1}, true)},
                                     Case{"Torus4x4", MakeSlice({4, 4, 1}, true)}),
                     testing::ValuesIn(AllModels())),
    [](const auto& test) { return std::get<0>(test.param).name + std::get<1>(test.param).name; });

// The axes in another order.
INSTANTIATE_TEST_SUITE_P(Rotated, EveryLayout,
                         testing::Combine(testing::Values(Case{"Mesh4x2x2", MakeSlice({4, 2, 2})}),
                                          testing::Values(NamedModel{"Grouped", Grouped})),
                         [](const auto& test) {
                           return std::get<0>(test.param).name + std::get<1>(test.param).name;
                         });

// Factors of an axis in different roles, for one axis and for several.
class EverySplit : public testing::TestWithParam<std::tuple<Case, NamedModel>> {};

TEST_P(EverySplit, IsExact) {
  const auto& [named_slice, model] = GetParam();
  ExpectVerified(model.make(), named_slice.slice, SplitLayouts(Mesh(named_slice.slice)),
                 UnevenBatch());
}

INSTANTIATE_TEST_SUITE_P(
    Slices, EverySplit,
    testing::Combine(testing::Values(Case{"Ring4", MakeSlice({1, 4, 1}, true)},
                                     Case{"Line4", MakeSlice({4, 1, 1})},
                                     Case{"Ring8", MakeSlice({8, 1, 1}, true)},
                                     Case{"Ring12", MakeSlice({1, 1, 12}, true)},
                                     Case{"Mesh2x4", MakeSlice({2, 4, 1})}),
                     testing::ValuesIn(AllModels())),
    [](const auto& test) { return std::get<0>(test.param).name + std::get<1>(test.param).name; });

// 4x4x4: the paper's layouts, their mixes, and all ways to shard attention.
class OnCube : public testing::TestWithParam<NamedModel> {};

TEST_P(OnCube, RepresentativeLayoutsAreExact) {
  const Slice slice = MakeSlice({4, 4, 4}, true);
  const Mesh mesh(slice);
  std::vector<Layout> layouts;
  for (const char* text : {"Fxyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Hxyz", "Ex.Fyz/wg-x/Bx.Hyz",
                           "Ex.Fyz/wg-xyz/Bxyz", "Exy.Fz/wg-yz/Byz.Hx", "Ez.Fxy/ws/By.Hxz",
                           "Ex.Fyz/ws/By2z.Hxy1", "Ex1.Fx2yz/wg-x1/Bx1y.Hx2z"}) {
    layouts.push_back(ParseLayout(text, mesh));
  }
  VerifyOptions options = UnevenBatch();
  options.decode_steps = 3;
  ExpectVerified(GetParam().make(), slice, layouts, options);
}

INSTANTIATE_TEST_SUITE_P(Models, OnCube, testing::ValuesIn(AllModels()),
                         [](const auto& test) { return test.param.name; });

TEST(ResidualPart, EveryLayoutIsExact) {
  for (const NamedModel& model : {NamedModel{"", Multiquery}, NamedModel{"", Multihead}}) {
    for (const Slice& slice : {MakeSlice({2, 2, 1}), MakeSlice({2, 2, 2})}) {
      ExpectVerified(model.make(), slice, ResidualLayouts(Mesh(slice)), UnevenBatch());
    }
  }
}

// Where gathering the unembedding table, not the activations, moves less.
TEST(Workloads, AllLogitsAreExact) {
  VerifyOptions options = UnevenBatch();
  options.workload.logits = Logits::kAll;
  const Slice slice = MakeSlice({2, 2, 2});
  ExpectVerified(Grouped(), slice, AllLayouts(Mesh(slice)), options);
}

TEST(Workloads, ABatchOfOneAndAFullOneAreExact) {
  const Slice slice = MakeSlice({2, 2, 2});
  for (std::int64_t batch : {1, 8}) {
    VerifyOptions options;
    options.workload.prefill_batch = batch;
    options.workload.decode_batch = batch;
    ExpectVerified(Multiquery(), slice, AllLayouts(Mesh(slice)), options);
  }
}

TEST(Workloads, Int8IsCountedAtOneByte) {
  VerifyOptions options = UnevenBatch();
  options.workload.weights = DataType::kInt8;
  options.workload.activations = DataType::kInt8;
  options.workload.kv_cache = DataType::kInt8;
  const Slice slice = MakeSlice({2, 2, 2});
  ExpectVerified(Grouped(), slice, AllLayouts(Mesh(slice)), options);
}

TEST(Workloads, TheLayerStackAloneIsExact) {
  VerifyOptions options = UnevenBatch();
  options.workload.scope = Scope::kLayers;
  const Slice slice = MakeSlice({2, 2, 1});
  ExpectVerified(ParallelGrouped(), slice, AllLayouts(Mesh(slice)), options);
}

TEST(Models, WithoutAttentionOrNormsAreExact) {
  Model ffn_only = SmallModel();
  ffn_only.query_heads = ffn_only.kv_heads = ffn_only.head_dim = 0;
  ffn_only.vocabulary = 0;
  Model no_norms = Grouped();
  no_norms.norm = NormKind::kNone;
  const Slice slice = MakeSlice({2, 2, 2});
  ExpectVerified(ffn_only, slice, AllLayouts(Mesh(slice)), UnevenBatch());
  ExpectVerified(no_norms, slice, AllLayouts(Mesh(slice)), UnevenBatch());
}

// KV heads that the axes do not divide: shards that need fewer repeat their last.
TEST(Models, AwkwardKvHeadCountsAreExact) {
  for (std::int64_t kv_heads : {5, 7}) {
    Model model = Grouped();
    model.kv_heads = kv_heads;
    model.query_heads = 2 * kv_heads;
    const Slice slice = MakeSlice({2, 2, 4});
    ExpectVerified(model, slice, AllLayouts(Mesh(slice), true), UnevenBatch());
  }
}

TEST(Models, ExtraPaddedHeadsAreExact) {
  for (Model (*make)() : {Multiquery, Grouped, Multihead}) {
    const Model model = make();
    VerifyOptions options = UnevenBatch();
    options.padded_heads = 48;  // 6 heads; divisible by 8 ways and by 1, 3 and 6 groups
    const Slice slice = MakeSlice({2, 2, 2});
    ExpectVerified(model, slice, AllLayouts(Mesh(slice), true), options);
  }
}

}  // namespace
}  // namespace slicewise
