// Lengths, tokens and the mean step that stands for all of them.
#include "slicewise/workload/workload.h"

#include <memory>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

TEST(Workload, CountsPerPhase) {
  Workload work;
  work.prefill_batch = 3;
  work.decode_batch = 5;
  work.input_length = 100;
  work.output_length = 7;
  work.context = 20;
  EXPECT_EQ(work.batch(Phase::kPrefill), 3);
  EXPECT_EQ(work.batch(Phase::kDecode), 5);
  EXPECT_EQ(work.steps(Phase::kPrefill), 1);
  EXPECT_EQ(work.steps(Phase::kDecode), 7);
  EXPECT_EQ(work.query_length(Phase::kPrefill), 100);
  EXPECT_EQ(work.query_length(Phase::kDecode), 1);
  EXPECT_EQ(work.tokens(Phase::kPrefill), 300);  // 3 x 100
  EXPECT_EQ(work.tokens(Phase::kDecode), 35);    // 5 x 7
  EXPECT_EQ(work.cached_at_end(Phase::kPrefill), 120);
  EXPECT_EQ(work.cached_at_end(Phase::kDecode), 127);
}

// Step i of decode attends to start + i tokens, its own included.
TEST(Workload, MeanAttendedIsTheMeanOfEveryStep) {
  for (std::int64_t context : {0, 1, 20, 2048}) {
    for (std::int64_t input : {0, 1, 64, 1984}) {
      for (std::int64_t output : {1, 2, 3, 8, 64}) {
        Workload work;
        work.context = context;
        work.input_length = input;
        work.output_length = output;
        double sum = 0;
        for (std::int64_t i = 1; i <= output; ++i) {
          sum += static_cast<double>(context + input + i);
        }
        EXPECT_DOUBLE_EQ(work.mean_attended(Phase::kDecode), sum / static_cast<double>(output));
        EXPECT_DOUBLE_EQ(work.mean_attended(Phase::kPrefill), static_cast<double>(context + input));
        work.fixed_context = true;
        EXPECT_DOUBLE_EQ(work.mean_attended(Phase::kDecode), static_cast<double>(context + input));
      }
    }
  }
}

TEST(Workload, Names) {
  EXPECT_EQ(Name(Phase::kPrefill), "prefill");
  EXPECT_EQ(Name(Phase::kDecode), "decode");
  EXPECT_EQ(Name(Logits::kLast), "last");
  EXPECT_EQ(Name(Logits::kAll), "all");
  EXPECT_EQ(Name(Scope::kEndToEnd), "end-to-end");
  EXPECT_EQ(Name(Scope::kLayers), "layers");
}

// The slow twin: every step of decode priced by itself, for every layout.
void ExpectMeanStepStandsForAll(const Model& model, const Workload& work,
                                const Calibration& calibration) {
  const Setting setting = SettingOf(model, SliceOf(4, 4, 4), work, calibration);
  Evaluator whole(setting);
  std::vector<std::unique_ptr<Evaluator>> steps;
  for (std::int64_t i = 0; i < work.output_length; ++i) {
    Setting one = setting;
    one.workload.context += i;
    one.workload.output_length = 1;
    steps.push_back(std::make_unique<Evaluator>(one));
  }
  for (const Layout& layout : AllLayouts(whole.mesh())) {
    double sum = 0;
    for (const auto& step : steps) {
      sum += step->Evaluate(layout, Phase::kDecode)->latency.base();
    }
    ASSERT_NEAR(whole.Evaluate(layout, Phase::kDecode)->latency.base() / sum, 1, 1e-12)
        << ToString(layout, whole.mesh());
  }
}

TEST(MeanStep, SumsToEveryStep) {
  Workload work = SmallWorkload();
  work.input_length = 50;
  work.output_length = 9;
  for (const Model& model : TestModels()) {
    for (const Calibration& calibration : {Calibration(), RoughCalibration()}) {
      SCOPED_TRACE(testing::Message() << model.name << " under " << calibration.name);
      ExpectMeanStepStandsForAll(model, work, calibration);
    }
  }
}

TEST(MeanStep, HoldsWhereAttentionIsMostOfTheStep) {
  Workload work = SmallWorkload();
  work.context = 100000;
  work.output_length = 9;
  ExpectMeanStepStandsForAll(GroupedModel(), work, RoughCalibration());
}

// With the context held every step is the first.
TEST(MeanStep, FixedContextRepeatsOneStep) {
  Workload work = SmallWorkload();
  work.fixed_context = true;
  const Setting setting = SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), work, RoughCalibration());
  Setting one = setting;
  one.workload.output_length = 1;
  Evaluator whole(setting);
  Evaluator single(one);
  for (const Layout& layout : AllLayouts(whole.mesh())) {
    ASSERT_DOUBLE_EQ(whole.Evaluate(layout, Phase::kDecode)->latency.base(),
                     4 * single.Evaluate(layout, Phase::kDecode)->latency.base());
  }
}

}  // namespace
}  // namespace slicewise
