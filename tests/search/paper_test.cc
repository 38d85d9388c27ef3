// The paper's choices (Tables 2 and 3) and its capacities (Table 1) out of the search.
#include "program/program_test_util.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/search/capacity.h"
#include "slicewise/search/enumerate.h"
#include "slicewise/search/search.h"

namespace slicewise {
namespace {

struct Choice {
  const char* name;
  const char* model;
  std::array<int, 3> dims;
  std::int64_t padded_heads;
  Phase phase;
  std::int64_t batch;
  DataType weights;
  const char* layout;
  // The member of the family that beats the paper's layout by more than 3 %, where one does: a
  // miss, explained in the docs and kept here so that it cannot come or go unnoticed.
  const char* beaten_by = nullptr;
};

class PaperChoice : public testing::TestWithParam<Choice> {
 protected:
  static Setting SettingFor(const Choice& choice) {
    Setting setting;
    setting.model = LoadModel(choice.model).model;
    setting.chip = LoadChip("tpu-v4");
    setting.slice = SliceOf(choice.dims[0], choice.dims[1], choice.dims[2]);
    setting.padded_heads = choice.padded_heads;
    setting.calibration = LoadCalibration("tpu-v4");
    setting.workload.prefill_batch = choice.batch;
    setting.workload.decode_batch = choice.batch;
    setting.workload.input_length = 2048;
    setting.workload.output_length = 64;
    setting.workload.fixed_context = true;
    setting.workload.logits = Logits::kAll;
    setting.workload.weights = choice.weights;
    return setting;
  }
};

constexpr std::array<int, 3> kCube = {4, 4, 4};

INSTANTIATE_TEST_SUITE_P(
    Tables, PaperChoice,
    testing::Values(Choice{"Table2LowLatencyPrefill", "palm-540b", kCube, 64, Phase::kPrefill, 1,
                           DataType::kInt8, "Ex.Fyz/ws/Hxyz"},
                    Choice{"Table2LowLatencyDecode", "palm-540b", kCube, 64, Phase::kDecode, 64,
                           DataType::kInt8, "Ex.Fyz/ws/Bxyz"},
                    Choice{"Table2HighThroughputPrefill", "palm-540b", kCube, 64, Phase::kPrefill,
                           512, DataType::kBf16, "Ex.Fyz/wg-xyz/Bxyz"},
                    Choice{"Table2HighThroughputDecode", "palm-540b", kCube, 64, Phase::kDecode,
                           512, DataType::kBf16, "Ex.Fyz/ws/Bxyz"},
                    Choice{"Table3LowLatencyPrefill",
                           "palm-62b",
                           {2, 4, 2},
                           0,
                           Phase::kPrefill,
                           1,
                           DataType::kInt8,
                           "Ex.Fyz/ws/Hxyz",
                           "Fxyz/ws/Hxyz"},
                    Choice{"Table3LowLatencyDecode",
                           "palm-62b",
                           {2, 4, 2},
                           0,
                           Phase::kDecode,
                           32,
                           DataType::kInt8,
                           "Ex.Fyz/ws/Bxyz",
                           "Fxyz/ws/Bxyz"},
                    Choice{"Table3HighThroughputPrefill",
                           "palm-62b",
                           {4, 2, 4},
                           0,
                           Phase::kPrefill,
                           512,
                           DataType::kBf16,
                           "Ex.Fyz/wg-xyz/Bxyz"},
                    Choice{"Table3HighThroughputDecode",
                           "palm-62b",
                           {2, 2, 2},
                           0,
                           Phase::kDecode,
                           512,
                           DataType::kBf16,
                           "Ex.Fyz/ws/Bxyz",
                           "Fxyz/ws/Bxyz"}),
    [](const auto& param) { return param.param.name; });

// The paper's family: 1D or 2D, weight-stationary or gathered over X, XY, XYZ, attention over heads
// or batch; gathering needs batch. Legal ones are priced whether or not they fit.
TEST_P(PaperChoice, RanksFirstOrWithinThreePercent) {
  const Choice& choice = GetParam();
  Evaluator evaluator(SettingFor(choice));
  const Mesh& mesh = evaluator.mesh();
  std::size_t family = 0;
  double best = 1e30;
  std::string best_text;
  for (const char* weights : {"Ex.Fyz", "Fxyz"}) {
    for (const char* ffn : {"ws", "wg-x", "wg-xy", "wg-xyz"}) {
      for (const char* attention : {"Hxyz", "Bxyz"}) {
        if (std::string_view(ffn) != "ws" && std::string_view(attention) == "Hxyz") {
          continue;
        }
        const std::string text = std::string(weights) + "/" + ffn + "/" + attention;
        const auto plan = evaluator.Evaluate(ParseLayout(text, mesh), choice.phase);
        ASSERT_TRUE(plan.has_value()) << text;
        ++family;
        if (plan->latency.base() < best) {
          best = plan->latency.base();
          best_text = text;
        }
      }
    }
  }
  EXPECT_EQ(family, 10U);  // 2 x (2 + 3)
  const Plan chosen = *evaluator.Evaluate(ParseLayout(choice.layout, mesh), choice.phase);
  if (choice.beaten_by == nullptr) {
    EXPECT_LE(chosen.latency.base() / best, 1.03) << best_text << " is faster";
    return;
  }
  // Elements that a gated layer moves per token, section 3.2: 1D 2E = 16,384; 2D 2E/X + 3F/(YZ), on
  // 2x4x2 8,192 + 12,288, on 2x2x2 8,192 + 24,576. At 16 chips and below (n <= (F/E)^2) the
  // formulas themselves prefer 1D, which the paper did not measure there.
  EXPECT_EQ(best_text, choice.beaten_by);
  EXPECT_GT(chosen.latency.base() / best, 1.03) << "no longer a miss: say so in the docs";
  EXPECT_LT(chosen.latency.base() / best, 1.20);
}

// The plan that the whole search puts first is at least as fast as the paper's.
TEST_P(PaperChoice, TheSearchFindsNothingSlower) {
  const Choice& choice = GetParam();
  Setting setting = SettingFor(choice);
  setting.chip.hbm_usable = Gibibytes(1000);  // what fits is another question
  Evaluator evaluator(setting);
  const Plan paper =
      *evaluator.Evaluate(ParseLayout(choice.layout, evaluator.mesh()), choice.phase);
  const PhasePlans found = SearchPhase(evaluator, LayoutFilter("*/*/*", evaluator.mesh()),
                                       choice.phase, Objective::kLatency);
  EXPECT_LE(found.plans.front().latency, paper.latency);
}

struct Context {
  const char* name;
  const char* model;
  std::int64_t batch;
  const char* attention;
  double published;
};

class Table1 : public testing::TestWithParam<Context> {};

INSTANTIATE_TEST_SUITE_P(
    Paper, Table1,
    testing::Values(Context{"Multihead128", "palm-540b-multihead", 128, "Hxyz", 1320},
                    Context{"Multihead512", "palm-540b-multihead", 512, "Hxyz", 330},
                    Context{"OverHeads128", "palm-540b", 128, "Hxyz", 660},
                    Context{"OverHeads512", "palm-540b", 512, "Hxyz", 165},
                    Context{"OverBatch128", "palm-540b", 128, "Bxyz", 43000},
                    Context{"OverBatch512", "palm-540b", 512, "Bxyz", 10700}),
    [](const auto& param) { return param.param.name; });

TEST_P(Table1, ContextWithinTwoPercent) {
  const Context& row = GetParam();
  Setting setting;
  setting.model = LoadModel(row.model).model;
  setting.chip = LoadChip("tpu-v4");
  setting.slice = SliceOf(4, 4, 4);
  setting.padded_heads = 64;
  setting.workload.decode_batch = row.batch;
  const Mesh mesh(setting.slice);
  const std::vector<CapacityRow> rows =
      Capacity(setting, LayoutFilter(std::string("*/*/") + row.attention, mesh),
               {.fraction_of_nominal = 0.3});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_NEAR(static_cast<double>(rows[0].max_context) / row.published, 1, 0.02);
  EXPECT_DOUBLE_EQ(rows[0].kv_budget / Gibibytes(1), 9.6);  // 0.3 x 32
}

// The row is exact: its context fits the budget and one token more does not, nor one sequence more.
TEST(Capacity, LargestThatFits) {
  for (double fraction : {0.0, 0.3}) {
    Setting setting = SettingOf(GroupedModel(), SliceOf(4, 4, 4), SmallWorkload(), Calibration());
    setting.chip.hbm_nominal = BytesOf(4e6);
    setting.chip.hbm_usable = BytesOf(4e6);
    setting.workload.weights = DataType::kInt8;
    const Mesh mesh(setting.slice);
    const std::vector<CapacityRow> rows =
        Capacity(setting, LayoutFilter("*/*/*", mesh), {.fraction_of_nominal = fraction});
    ASSERT_FALSE(rows.empty());
    for (std::size_t i = 1; i < rows.size(); ++i) {
      EXPECT_GE(rows[i - 1].max_context, rows[i].max_context);
    }
    const auto fits = [&](const Layout& layout, std::int64_t batch, std::int64_t tokens) {
      Workload work = setting.workload;
      work.decode_batch = batch;
      work.context = tokens - 1;
      work.input_length = 0;
      work.output_length = 1;
      const MemoryUse use = PeakMemory(Lowered(setting.model, work, Phase::kDecode, layout, mesh));
      return fraction > 0 ? use.kv_cache <= BytesOf(fraction * 4e6) : use.total() <= BytesOf(4e6);
    };
    for (const CapacityRow& row : rows) {
      SCOPED_TRACE(ToString(row.layout, mesh));
      // batch 128, 32 + 4 tokens as asked
      ASSERT_GT(row.max_context, 0);
      ASSERT_GT(row.max_batch, 0);
      EXPECT_TRUE(fits(row.layout, 128, row.max_context));
      EXPECT_FALSE(fits(row.layout, 128, row.max_context + 1));
      EXPECT_TRUE(fits(row.layout, row.max_batch, 36));
      EXPECT_FALSE(fits(row.layout, row.max_batch + 1, 36));
      const std::int64_t ways = mesh.IntSize(row.layout.attention_heads);
      EXPECT_EQ(row.kv_heads_per_chip, (8 + ways - 1) / ways);
    }
  }
}

// Attention over B and H of three equal axes: 0 to 3 of them in B.
TEST(Capacity, OneRowPerClassOfAttention) {
  const Setting setting =
      SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), Calibration());
  const Mesh mesh(setting.slice);
  EXPECT_EQ(Capacity(setting, LayoutFilter("*/*/*", mesh), {}).size(), 4U);
}

// A row's figure is the most that any layout with its attention part can hold.
TEST(Capacity, EachRowIsTheRoomiestOfItsAttention) {
  const Setting setting =
      SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), Calibration());
  const Mesh mesh(setting.slice);
  for (const CapacityRow& row : Capacity(setting, LayoutFilter("*/*/*", mesh), {})) {
    const std::string attention = AttentionText(row.layout, mesh);
    for (const Layout& layout : EnumerateLayouts(mesh, LayoutFilter("*/*/" + attention, mesh))) {
      const std::vector<CapacityRow> one =
          Capacity(setting, LayoutFilter(ToString(layout, mesh), mesh), {});
      EXPECT_LE(one.at(0).max_context, row.max_context) << ToString(layout, mesh);
    }
  }
}

TEST(Capacity, NothingFits) {
  Setting setting = SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), Calibration());
  setting.chip.hbm_usable = BytesOf(10);
  const Mesh mesh(setting.slice);
  for (const CapacityRow& row : Capacity(setting, LayoutFilter("*/*/*", mesh), {})) {
    EXPECT_EQ(row.max_context, 0);
    EXPECT_EQ(row.max_batch, 0);
  }
}

}  // namespace
}  // namespace slicewise
