// Where the time of a plan goes, its padding, and why one plan beats another.
#include "slicewise/search/breakdown.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

TEST(Breakdown, ExposedSumsToTheLatencyForEveryLayout) {
  for (const Model& model : TestModels()) {
    for (double step_latency : {0.0, 1e-3}) {
      Calibration calibration = RoughCalibration();
      calibration.step_latency = step_latency;
      Evaluator evaluator(SettingOf(model, SliceOf(4, 4, 4), SmallWorkload(), calibration));
      for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
        for (const Layout& layout : AllLayouts(evaluator.mesh())) {
          const Plan plan = *evaluator.Evaluate(layout, phase);
          double sum = 0;
          bool step = false;
          for (const BreakdownRow& row : Breakdown(evaluator)) {
            sum += row.exposed.base();
            step = step || row.op == "step";
          }
          ASSERT_NEAR(sum / plan.latency.base(), 1, 1e-9)
              << model.name << " " << ToString(layout, evaluator.mesh());
          ASSERT_EQ(step, step_latency > 0);
        }
      }
    }
  }
}

// PaLM's padding on 4x4x4 with attention over heads: 48 heads become 64, 5 sequences 64.
TEST(Padding, ListsWhatIsLargerThanItIs) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Model model = MultiqueryModel();
  model.query_heads = 48;
  model.embed_dim = 100;
  Workload work = SmallWorkload();
  work.decode_batch = 5;
  const auto rows = [&](const char* layout) {
    std::vector<std::string> out;
    for (const PaddingRow& row :
         Padding(Lowered(model, work, Phase::kDecode, ParseLayout(layout, mesh), mesh))) {
      out.push_back(row.dim + " " + std::to_string(static_cast<int>(row.size)) + " " +
                    std::to_string(static_cast<int>(row.padded)));
    }
    return out;
  };
  using Rows = std::vector<std::string>;
  EXPECT_EQ(rows("Ex.Fyz/ws/Hxyz"), (Rows{"embed 100 128", "heads 48 64", "vocabulary 1000 1024"}));
  EXPECT_EQ(rows("Ex.Fyz/ws/Bxyz"),
            (Rows{"attention_batch 5 64", "embed 100 128", "vocabulary 1000 1024"}));
}

BreakdownRow Row(const char* op, const char* axes, double seconds) {
  return {Part::kShared, op, axes, {}, {}, {}, SecondsOf(seconds)};
}

TEST(WhyFaster, NamesTheLargestDifferences) {
  const std::vector<BreakdownRow> better = {Row("einsum", "", 10), Row("all-gather", "yz", 5),
                                            Row("reduce-scatter", "x", 1)};
  const std::vector<BreakdownRow> worse = {Row("einsum", "", 10), Row("all-gather", "yz", 4),
                                           Row("reduce-scatter", "x", 2),
                                           Row("reduce-scatter", "x", 4)};
  // 20 against 16: 4 s, 20 %; reduce-scatter 6 against 1, all-gather 4 against 5.
  EXPECT_EQ(
      WhyFaster(better, worse),
      "20.0 % faster (4.00 s): 5.00 s less in reduce-scatter over x, 1.00 s more in all-gather "
      "over yz");
  EXPECT_EQ(WhyFaster(better, better), "equally fast");
}

TEST(WhyFaster, AtMostThreeTermsAndNoTrifles) {
  const std::vector<BreakdownRow> none;
  const std::vector<BreakdownRow> worse = {Row("a", "", 50), Row("b", "", 30), Row("c", "", 19),
                                           Row("d", "", 1)};
  EXPECT_EQ(WhyFaster(none, worse),
            "100.0 % faster (100 s): 50.0 s less in a, 30.0 s less in b, 19.0 s less in c");
  const std::vector<BreakdownRow> trifle = {Row("a", "", 99), Row("b", "", 1)};
  EXPECT_EQ(WhyFaster(none, trifle), "100.0 % faster (100 s): 99.0 s less in a");
}

}  // namespace
}  // namespace slicewise
