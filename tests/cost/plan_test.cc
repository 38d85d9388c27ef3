// A plan's derived figures, its violation and its interval.
#include "slicewise/cost/plan.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

// Whether two programs of one layout do the same, whatever the sizes.
bool SameOps(const Program& a, const Program& b) {
  if (a.ops.size() != b.ops.size() || a.tensors.size() != b.tensors.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.ops.size(); ++i) {
    if (a.ops[i].kind != b.ops[i].kind || !(a.ops[i].axes == b.ops[i].axes)) {
      return false;
    }
  }
  return true;
}

TEST(Plan, DerivedFiguresFollowTheirDefinitions) {
  Setting setting =
      SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), RoughCalibration());
  setting.model.nominal_parameters = 1e9;
  Evaluator evaluator(setting);
  const Layout layout = ParseLayout("Ex.Fyz/ws/Bxyz", evaluator.mesh());
  const Plan decode = *evaluator.Evaluate(layout, Phase::kDecode);
  const double seconds = decode.latency.base();
  const double tokens = 128 * 4;
  EXPECT_DOUBLE_EQ(decode.step.base(), seconds / 4);
  EXPECT_DOUBLE_EQ(decode.tokens_per_second, tokens / seconds);
  EXPECT_DOUBLE_EQ(decode.chip_seconds_per_token.base(), 64 * seconds / tokens);
  EXPECT_DOUBLE_EQ(decode.mfu, 2 * 1e9 * tokens / (64 * 275e12 * seconds));
  const Plan prefill = *evaluator.Evaluate(layout, Phase::kPrefill);
  EXPECT_DOUBLE_EQ(prefill.step.base(), prefill.latency.base());
  EXPECT_DOUBLE_EQ(prefill.mfu, 2 * 1e9 * (128 * 32) / (64 * 275e12 * prefill.latency.base()));
}

// Pricing and feasibility are independent: what does not fit is priced the same and says by how
// much.
TEST(Plan, ViolationCarriesTheNumbers) {
  Setting setting =
      SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), RoughCalibration());
  const Layout layout = ParseLayout("Ex.Fyz/ws/Hxyz", Mesh(setting.slice));
  Evaluator roomy(setting);
  const Plan fits = *roomy.Evaluate(layout, Phase::kDecode);
  EXPECT_TRUE(fits.fits());
  setting.chip.hbm_usable = fits.memory.total();
  EXPECT_TRUE(Evaluator(setting).Evaluate(layout, Phase::kDecode)->fits());
  setting.chip.hbm_usable = fits.memory.total() - BytesOf(1);
  const Plan tight = *Evaluator(setting).Evaluate(layout, Phase::kDecode);
  ASSERT_FALSE(tight.fits());
  EXPECT_EQ(tight.violation->code, Violation::Code::kMemory);
  EXPECT_EQ(Name(tight.violation->code), "memory");
  EXPECT_EQ(UnitOf(tight.violation->code), "bytes");
  EXPECT_DOUBLE_EQ(tight.violation->needed - tight.violation->available, 1);
  EXPECT_EQ(tight.latency, fits.latency);
}

// A plan priced from the curve of another batch is the plan of that batch, to the last bit, and a
// curve covers just the batches that lowering gives the same ops for.
TEST(PlanCurve, IsThePlanOfEveryBatchThatItCovers) {
  const std::vector<std::int64_t> batches = {1, 2, 3, 7, 16, 64, 100, 512, 1000};
  int curves = 0;
  int reused = 0;
  for (const Slice& slice : {SliceOf(4, 4, 4), SliceOf(2, 4, 12)}) {
    const Mesh mesh(slice);
    for (const Model& model : TestModels()) {
      Setting setting = SettingOf(model, slice, SmallWorkload(), RoughCalibration());
      setting.calibration.matmul_half_rows = 20;
      setting.calibration.score_traffic = 8;
      setting.calibration.elementwise_traffic = 0.3;
      setting.chip.on_chip_memory = BytesOf(1e4);
      Evaluator evaluator(setting);
      PlanCurve curve;
      for (const Layout& layout : WithSplits(mesh)) {
        const Phase phase = curves % 2 == 0 ? Phase::kPrefill : Phase::kDecode;
        const std::int64_t first = batches[static_cast<std::size_t>(curves) % batches.size()];
        ++curves;
        ASSERT_TRUE(evaluator.Trace(layout, phase, first, curve));
        const Program traced = evaluator.program();
        for (std::int64_t batch : batches) {
          SCOPED_TRACE(testing::Message() << model.name << " " << ToString(layout, mesh) << " "
                                          << Name(phase) << " " << first << " -> " << batch);
          setting.workload.SetBatch(phase, batch);
          evaluator.SetWorkload(setting.workload);
          const Plan direct = *evaluator.Evaluate(layout, phase);
          ASSERT_EQ(curve.Covers(batch), SameOps(traced, evaluator.program()));
          if (!curve.Covers(batch)) {
            continue;
          }
          ++reused;
          const Plan plan = evaluator.At(curve, evaluator.FiguresOf(phase, batch));
          ASSERT_EQ(plan.latency, direct.latency);
          ASSERT_EQ(plan.step, direct.step);
          ASSERT_EQ(plan.memory, direct.memory);
          ASSERT_EQ(plan.mfu, direct.mfu);
          ASSERT_EQ(plan.bound, direct.bound);
          ASSERT_EQ(plan.memory, PeakMemory(evaluator.program()));
          ASSERT_EQ(evaluator.Cost().latency, direct.latency);
        }
      }
    }
  }
  EXPECT_GT(reused, 3 * curves);
}

TEST(Plan, IntervalIsTheCalibrationsInsideOrOutsideItsRange) {
  Calibration calibration = RoughCalibration();
  calibration.inside = {.coverage = 0.8, .factor_low = 0.9, .factor_high = 1.2};
  calibration.outside = {.coverage = 0.8, .factor_low = 0.8, .factor_high = 1.5};
  calibration.range = {.min_chips = 8,
                       .max_chips = 64,
                       .min_rows = 1,
                       .max_rows = 1e6,
                       .min_context = 1,
                       .max_context = 2048,
                       .weight_types = {"bf16"}};
  Setting setting = SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), calibration);
  const auto plan = [&] {
    Evaluator evaluator(setting);
    return *evaluator.Evaluate(ParseLayout("Ex.Fyz/ws/Bxyz", evaluator.mesh()), Phase::kDecode);
  };
  EXPECT_DOUBLE_EQ(plan().latency_low / plan().latency, 0.9);
  EXPECT_DOUBLE_EQ(plan().latency_high / plan().latency, 1.2);
  setting.workload.weights = DataType::kInt8;
  EXPECT_DOUBLE_EQ(plan().latency_low / plan().latency, 0.8);
  EXPECT_DOUBLE_EQ(plan().latency_high / plan().latency, 1.5);
  setting.calibration = Calibration();  // the roofline has none
  EXPECT_EQ(plan().latency_low, Seconds());
  EXPECT_EQ(plan().latency_high, Seconds());
}

// Each condition of the range alone puts a plan outside.
TEST(InsideRange, EveryConditionCounts) {
  Calibration calibration;
  calibration.range = {.min_chips = 8,
                       .max_chips = 64,
                       .min_rows = 4,
                       .max_rows = 4096,
                       .min_context = 20,
                       .max_context = 2048,
                       .weight_types = {"bf16"}};
  Setting base = SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), calibration);
  base.workload.prefill_batch = 128;  // 128 x 32 = 4096 rows
  EXPECT_TRUE(InsideRange(calibration, base.slice, base.workload, Phase::kPrefill));
  EXPECT_TRUE(InsideRange(calibration, base.slice, base.workload, Phase::kDecode));
  const auto inside = [&](const std::function<void(Setting&)>& change, Phase phase) {
    Setting setting = base;
    change(setting);
    return InsideRange(calibration, setting.slice, setting.workload, phase);
  };
  EXPECT_FALSE(inside([](Setting& s) { s.slice = SliceOf(4, 4, 8); }, Phase::kDecode));
  EXPECT_FALSE(inside([](Setting& s) { s.slice = SliceOf(1, 2, 2); }, Phase::kDecode));
  // Rows up to twice 4096, and down to half of 4.
  EXPECT_TRUE(inside([](Setting& s) { s.workload.prefill_batch = 256; }, Phase::kPrefill));
  EXPECT_FALSE(inside([](Setting& s) { s.workload.prefill_batch = 257; }, Phase::kPrefill));
  EXPECT_TRUE(inside([](Setting& s) { s.workload.prefill_batch = 257; }, Phase::kDecode));
  EXPECT_TRUE(inside([](Setting& s) { s.workload.decode_batch = 2; }, Phase::kDecode));
  EXPECT_FALSE(inside([](Setting& s) { s.workload.decode_batch = 1; }, Phase::kDecode));
  // Attended tokens up to twice 2048 (prefill: context + 32), and down to half of 20 (decode: input
  // + 2.5).
  EXPECT_TRUE(inside([](Setting& s) { s.workload.context = 4064; }, Phase::kPrefill));
  EXPECT_FALSE(inside([](Setting& s) { s.workload.context = 4065; }, Phase::kPrefill));
  EXPECT_TRUE(inside([](Setting& s) { s.workload.input_length = 8; }, Phase::kDecode));
  EXPECT_FALSE(inside([](Setting& s) { s.workload.input_length = 7; }, Phase::kDecode));
  EXPECT_FALSE(inside([](Setting& s) { s.workload.weights = DataType::kInt8; }, Phase::kDecode));
  EXPECT_FALSE(
      inside([](Setting& s) { s.workload.activations = DataType::kInt8; }, Phase::kDecode));
  EXPECT_FALSE(inside([](Setting& s) { s.workload.kv_cache = DataType::kInt8; }, Phase::kDecode));
}

TEST(Evaluator, RefusesHeadCountsThatDoNotFit) {
  Setting setting =
      SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), RoughCalibration());
  setting.padded_heads = 16;  // 12 heads padded to 16
  Evaluator evaluator(setting);
  const Layout batch = ParseLayout("Ex.Fyz/ws/Bxyz", evaluator.mesh());  // 16 ways
  const Layout heads = ParseLayout("Ex.Fyz/ws/Hxyz", evaluator.mesh());  // 64 ways
  EXPECT_EQ(evaluator.Evaluate(batch, Phase::kDecode)->stored_heads, 16);
  EXPECT_FALSE(evaluator.Evaluate(heads, Phase::kDecode).has_value());
  EXPECT_EQ(evaluator.Evaluate(heads, Phase::kDecode, 64)->stored_heads, 64);
}

// Pricing one layout leaves nothing behind that the next would see.
TEST(Evaluator, ReusedStorageDoesNotLeak) {
  const Setting setting =
      SettingOf(GroupedModel(), SliceOf(4, 4, 4), SmallWorkload(), RoughCalibration());
  Evaluator shared(setting);
  for (const Layout& layout : WithSplits(shared.mesh())) {
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      Evaluator fresh(setting);
      const Plan a = *shared.Evaluate(layout, phase);
      const Plan b = *fresh.Evaluate(layout, phase);
      ASSERT_EQ(a.latency, b.latency) << ToString(layout, shared.mesh());
      ASSERT_EQ(a.memory, b.memory) << ToString(layout, shared.mesh());
    }
  }
}

}  // namespace
}  // namespace slicewise
