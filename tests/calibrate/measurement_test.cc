// What is predicted for one measurement.
#include "slicewise/calibrate/measurement.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

Measurement Row(std::vector<Phase> phases) {
  Measurement row;
  row.id = "row";
  row.setting = SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), {});
  row.setting.model.nominal_parameters = 1e9;
  row.phases = std::move(phases);
  row.layout_text = "Ex.Fyz/ws/Bxyz";
  row.layout = ParseLayout(row.layout_text, Mesh(row.setting.slice));
  row.latency = SecondsOf(1);
  return row;
}

Plan PlanOf(const Measurement& row, Phase phase, const Calibration& calibration) {
  Setting setting = row.setting;
  setting.calibration = calibration;
  Evaluator evaluator(setting);
  return *evaluator.Evaluate(row.layout, phase);
}

TEST(Predict, SumsThePhases) {
  const Calibration calibration = RoughCalibration();
  const Measurement both = Row({Phase::kPrefill, Phase::kDecode});
  const Seconds prefill = PlanOf(both, Phase::kPrefill, calibration).latency;
  const Seconds decode = PlanOf(both, Phase::kDecode, calibration).latency;
  const auto latency = [&](std::vector<Phase> phases) {
    return Predict(Row(std::move(phases)), calibration, NetworkKind::kTorus).latency;
  };
  EXPECT_EQ(latency({Phase::kPrefill}), prefill);
  EXPECT_EQ(latency({Phase::kDecode}), decode);
  EXPECT_EQ(latency({Phase::kPrefill, Phase::kDecode}), prefill + decode);
  const Prediction prediction = Predict(both, calibration, NetworkKind::kTorus);
  // 128 x (32 + 4) tokens.
  EXPECT_DOUBLE_EQ(prediction.mfu, 2 * 1e9 * 128 * 36 / (64 * 275e12 * prediction.latency.base()));
  EXPECT_EQ(prediction.as_published, prediction.latency);
  EXPECT_TRUE(prediction.fits);
  EXPECT_EQ(prediction.latency_high, Seconds());  // no intervals
}

TEST(Predict, IntervalsAddUp) {
  Calibration calibration = RoughCalibration();
  calibration.outside = {.coverage = 0.8, .factor_low = 0.5, .factor_high = 2};
  const Prediction prediction =
      Predict(Row({Phase::kPrefill, Phase::kDecode}), calibration, NetworkKind::kTorus);
  EXPECT_FALSE(prediction.inside_range);
  EXPECT_DOUBLE_EQ(prediction.latency_low / prediction.latency, 0.5);
  EXPECT_DOUBLE_EQ(prediction.latency_high / prediction.latency, 2);
}

// The released benchmark multiplied the time of a layer by another model's depth: only what lies in
// the layers of decode is scaled.
TEST(Predict, ScalesTheLayersOfDecodeAsPublished) {
  Calibration calibration = RoughCalibration();
  Measurement row = Row({Phase::kDecode});
  row.decode_layers = 6;  // of 3
  row.setting.workload.scope = Scope::kLayers;
  calibration.step_latency = 0;
  const Prediction layers = Predict(row, calibration, NetworkKind::kTorus);
  EXPECT_NEAR(layers.as_published / layers.latency, 2, 1e-12);
  // What is outside the layers stays.
  calibration.step_latency = 1;
  const Prediction with_step = Predict(row, calibration, NetworkKind::kTorus);
  EXPECT_NEAR((with_step.as_published - with_step.latency).base(), layers.latency.base(), 1e-9);
  // Prefill is not scaled.
  row.phases = {Phase::kPrefill};
  const Prediction prefill = Predict(row, calibration, NetworkKind::kTorus);
  EXPECT_EQ(prefill.as_published, prefill.latency);
  // The model's own depth changes nothing.
  row.phases = {Phase::kDecode};
  row.decode_layers = 3;
  const Prediction own = Predict(row, calibration, NetworkKind::kTorus);
  EXPECT_DOUBLE_EQ(own.as_published.base(), own.latency.base());
}

TEST(Predict, PricesWhatDoesNotFit) {
  Measurement row = Row({Phase::kPrefill, Phase::kDecode});
  row.setting.chip.hbm_usable = BytesOf(1);
  const Prediction prediction = Predict(row, RoughCalibration(), NetworkKind::kTorus);
  EXPECT_FALSE(prediction.fits);
  EXPECT_GT(prediction.latency, Seconds());
}

TEST(Predict, ReplacesCalibrationAndNetwork) {
  Measurement row = Row({Phase::kDecode});
  row.setting.calibration = RoughCalibration();
  const Calibration roofline;
  EXPECT_EQ(Predict(row, roofline, NetworkKind::kTorus).latency,
            PlanOf(row, Phase::kDecode, roofline).latency);
  EXPECT_NE(Predict(row, roofline, NetworkKind::kPaper).latency,
            Predict(row, roofline, NetworkKind::kTorus).latency);
}

TEST(Split, Names) {
  EXPECT_EQ(Name(Split::kFit), "fit");
  EXPECT_EQ(Name(Split::kHoldout), "holdout");
}

}  // namespace
}  // namespace slicewise
