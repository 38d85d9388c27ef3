// The fit on measurements that the model itself made, where the truth is known.
#include "slicewise/calibrate/fit.h"

#include <cmath>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

// PaLM's shape at a third of the depth: large enough that every term counts.
Model LargeModel() {
  Model model = MultiqueryModel();
  model.layers = 40;
  model.embed_dim = 8192;
  model.ffn_dim = 32768;
  model.query_heads = 64;
  model.head_dim = 256;
  model.vocabulary = 256000;
  return model;
}

Measurement Row(Phase phase, std::int64_t batch, std::int64_t length, const char* layout,
                const Slice& slice = SliceOf(4, 4, 4), DataType weights = DataType::kBf16) {
  Measurement row;
  row.source = "made";
  row.setting = SettingOf(LargeModel(), slice, {}, {});
  row.setting.workload.prefill_batch = batch;
  row.setting.workload.decode_batch = batch;
  row.setting.workload.input_length = length;
  row.setting.workload.output_length = 8;
  row.setting.workload.weights = weights;
  row.phases = {phase};
  row.layout_text = layout;
  row.layout = ParseLayout(layout, Mesh(slice));
  row.id = std::string(Name(phase)) + std::to_string(batch) + layout + ToString(slice);
  return row;
}

// Prefill and decode, large and small, on 8 to 128 chips; `gathered` adds weight-gathered layouts.
std::vector<Measurement> Rows(bool gathered) {
  std::vector<Measurement> rows;
  for (const Slice& slice : {SliceOf(2, 2, 2), SliceOf(4, 4, 4), SliceOf(8, 4, 4)}) {
    for (std::int64_t batch : {4, 64, 512}) {
      rows.push_back(Row(Phase::kDecode, batch, 1024, "Ex.Fyz/ws/Bxyz", slice));
      rows.push_back(Row(Phase::kPrefill, batch, 256, "Ex.Fyz/ws/Hxyz", slice));
      if (gathered) {
        rows.push_back(Row(Phase::kPrefill, batch, 512, "Ex.Fyz/wg-xyz/Bxyz", slice));
      }
    }
    rows.push_back(Row(Phase::kDecode, 512, 128, "Fxyz/ws/Bxyz", slice));
    for (std::int64_t batch : {8, 16, 32}) {  // weights are all they wait for
      rows.push_back(Row(Phase::kDecode, batch, 256, "Ex.Fyz/ws/Hxyz", slice));
    }
  }
  return rows;
}

// The rows with the latencies that a calibration predicts for them.
std::vector<Measurement> MadeBy(const Calibration& truth, std::vector<Measurement> rows) {
  for (Measurement& row : rows) {
    row.latency = Predict(row, truth, NetworkKind::kTorus).latency;
  }
  return rows;
}

FitResult FitTo(const std::vector<Measurement>& rows) {
  return Fit(rows, PriorCalibration(), "test", {});
}

const FittedParameter& Find(const FitResult& result, std::string_view name) {
  for (const FittedParameter& parameter : result.parameters) {
    if (parameter.name == name) {
      return parameter;
    }
  }
  ADD_FAILURE() << "no parameter " << name;
  return result.parameters.front();
}

struct Moved {
  const char* name;
  double Calibration::*member;
  double truth;
};

class RecoversParameter : public testing::TestWithParam<Moved> {};

INSTANTIATE_TEST_SUITE_P(
    Moved, RecoversParameter,
    testing::Values(Moved{"matmul_efficiency", &Calibration::matmul_efficiency, 0.65},
                    Moved{"weight_bandwidth", &Calibration::weight_bandwidth, 0.64},
                    Moved{"link_bandwidth", &Calibration::link_bandwidth, 0.80},
                    Moved{"gather_bandwidth", &Calibration::gather_bandwidth, 0.70},
                    Moved{"exposed_fraction", &Calibration::exposed_fraction, 0.9},
                    Moved{"scatter_passes", &Calibration::scatter_passes, 1.1}),
    [](const auto& param) { return param.param.name; });

// Enough repetitions that the data outweigh the priors, some of which are narrow (the bandwidths':
// 3 to 5 % of nominal).
std::vector<Measurement> Repeated(const std::vector<Measurement>& rows) {
  std::vector<Measurement> repeated;
  for (int i = 0; i < 12; ++i) {
    repeated.insert(repeated.end(), rows.begin(), rows.end());
  }
  return repeated;
}

// One parameter of the truth lies away from its prior; the fit finds it there, two thirds of the
// way or more (narrow priors and parameters that act alike hold it back), and every row within 1 %.
TEST_P(RecoversParameter, FromSyntheticMeasurements) {
  const Moved& moved = GetParam();
  Calibration truth = PriorCalibration();
  const double prior = truth.*moved.member;
  truth.*moved.member = moved.truth;
  const FitResult result = FitTo(Repeated(MadeBy(truth, Rows(true))));
  EXPECT_NEAR(result.calibration.*moved.member, moved.truth, 0.3 * std::abs(prior - moved.truth));
  EXPECT_TRUE(Find(result, moved.name).determined);
  EXPECT_DOUBLE_EQ(Find(result, moved.name).start, prior);
  EXPECT_LT(std::abs(result.fit.worst), 0.01) << result.fit.worst_id;
}

TEST(Fit, RecoversSeveralAtOnce) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.70;
  truth.weight_bandwidth = 0.65;
  truth.link_bandwidth = 0.80;
  const FitResult result = FitTo(Repeated(MadeBy(truth, Rows(true))));
  EXPECT_NEAR(result.calibration.matmul_efficiency, 0.70, 0.03);
  EXPECT_NEAR(result.calibration.weight_bandwidth, 0.65, 0.03);
  EXPECT_NEAR(result.calibration.link_bandwidth, 0.80, 0.05);
  EXPECT_LT(std::abs(result.fit.worst), 0.01) << result.fit.worst_id;
}

// What is minimised: Huber's loss, in units of 5 %, of log(predicted / measured), and the pull to
// the start, as of one measurement of the parameter with its prior's standard error.
double LossOf(const Calibration& calibration, const Calibration& start,
              const std::vector<Measurement>& rows) {
  double loss = 0;
  for (const Measurement& row : rows) {
    const double r = std::abs(
        std::log(Predict(row, calibration, NetworkKind::kTorus).as_published / row.latency));
    loss += r <= 0.05 ? r * r : 0.05 * (2 * r - 0.05);
  }
  for (const CalibrationParameter& p : CalibrationParameters()) {
    const double moved = (calibration.*p.member - start.*p.member) / p.prior_width;
    loss += 0.05 * 0.05 * moved * moved;
  }
  return loss;
}

// The slow twin of the solver: from where it ends no step of any one parameter, nor of any two,
// goes down by more than a hundredth.
TEST(Fit, EndsWhereNoNearbyPointIsBetter) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.70;
  truth.weight_bandwidth = 0.65;
  truth.link_bandwidth = 0.80;
  truth.scatter_passes = 1.1;
  const std::vector<Measurement> rows = MadeBy(truth, Rows(true));
  const FitResult result = FitTo(rows);
  const Calibration prior = PriorCalibration();
  const double loss = LossOf(result.calibration, prior, rows);
  EXPECT_LT(loss, 0.5 * LossOf(prior, prior, rows));
  const auto stepped = [](Calibration calibration, const CalibrationParameter& p, double step) {
    calibration.*p.member =
        std::clamp(calibration.*p.member + step * (p.upper - p.lower), p.lower, p.upper);
    return calibration;
  };
  for (const CalibrationParameter& p : CalibrationParameters()) {
    for (const CalibrationParameter& q : CalibrationParameters()) {
      for (double a : {-0.02, -0.002, 0.002, 0.02}) {
        for (double b : {-0.02, -0.002, 0.002, 0.02}) {
          const Calibration nearby = stepped(stepped(result.calibration, p, a), q, b);
          EXPECT_GT(LossOf(nearby, prior, rows), 0.99 * loss)
              << p.name << " " << a << ", " << q.name << " " << b;
        }
      }
    }
  }
}

// Starting at the truth nothing moves.
TEST(Fit, StaysAtTheTruth) {
  const FitResult result = FitTo(MadeBy(PriorCalibration(), Rows(true)));
  for (const CalibrationParameter& p : CalibrationParameters()) {
    EXPECT_NEAR(result.calibration.*p.member, p.prior, 1e-4 * (p.upper - p.lower)) << p.name;
  }
}

// bf16 weights and no gathering: nothing tells the int8 and gathering parameters, so they stay and
// are named.
TEST(Fit, NamesWhatTheDataDoNotDetermine) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.7;
  const FitResult result = FitTo(MadeBy(truth, Rows(false)));
  for (const char* name :
       {"int8_weight_bandwidth", "gather_bandwidth", "gather_exposed_fraction"}) {
    const FittedParameter& parameter = Find(result, name);
    EXPECT_FALSE(parameter.determined) << name;
    EXPECT_EQ(parameter.standard_error, 0) << name;
  }
  const Calibration prior = PriorCalibration();
  EXPECT_EQ(result.calibration.int8_weight_bandwidth, prior.int8_weight_bandwidth);
  EXPECT_EQ(result.calibration.gather_bandwidth, prior.gather_bandwidth);
  EXPECT_EQ(result.calibration.gather_exposed_fraction, prior.gather_exposed_fraction);
  EXPECT_TRUE(Find(result, "matmul_efficiency").determined);
  EXPECT_GT(Find(result, "matmul_efficiency").standard_error, 0);
  // With int8 rows the one becomes known.
  std::vector<Measurement> rows = Rows(false);
  for (Measurement& row : rows) {
    row.setting.workload.weights = DataType::kInt8;
    row.setting.workload.scope = Scope::kLayers;  // the embedding stays bf16
  }
  const FitResult int8 = FitTo(MadeBy(truth, rows));
  EXPECT_TRUE(Find(int8, "int8_weight_bandwidth").determined);
  EXPECT_FALSE(Find(int8, "weight_bandwidth").determined);
  EXPECT_EQ(int8.calibration.weight_bandwidth, prior.weight_bandwidth);
}

// A user's ten rows of one slice: 18 parameters, fewer data; the fit stays sane.
TEST(Fit, TenRowsGiveASaneFit) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.6;
  truth.weight_bandwidth = 0.5;
  std::vector<Measurement> rows;
  for (std::int64_t batch : {1, 8, 64, 256, 1024}) {
    rows.push_back(Row(Phase::kDecode, batch, 512, "Ex.Fyz/ws/Bxyz"));
    rows.push_back(Row(Phase::kPrefill, batch, 512, "Ex.Fyz/ws/Hxyz"));
  }
  ASSERT_EQ(rows.size(), 10U);
  rows = MadeBy(truth, rows);
  // Noise of 3 %, up and down.
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].latency *= i % 2 == 0 ? 1.03 : 0.97;
  }
  const FitResult result = FitTo(rows);
  EXPECT_EQ(result.fit.rows, 10U);
  EXPECT_LT(result.fit.median, 0.05);
  for (const CalibrationParameter& p : CalibrationParameters()) {
    const double value = result.calibration.*p.member;
    EXPECT_GE(value, p.lower) << p.name;
    EXPECT_LE(value, p.upper) << p.name;
  }
  // Efficiency went the right way, and rows never seen are better predicted than before.
  EXPECT_LT(result.calibration.matmul_efficiency, PriorCalibration().matmul_efficiency);
  const Measurement unseen = MadeBy(truth, {Row(Phase::kPrefill, 32, 300, "Ex.Fyz/ws/Hxyz")})[0];
  const auto error = [&](const Calibration& calibration) {
    return std::abs(Predict(unseen, calibration, NetworkKind::kTorus).latency / unseen.latency - 1);
  };
  EXPECT_LT(error(result.calibration), 0.06);
  EXPECT_LT(error(result.calibration), error(PriorCalibration()));
  // No holdout: no interval.
  EXPECT_EQ(result.holdout.rows, 0U);
  EXPECT_EQ(result.calibration.inside.coverage, 0);
}

// One row three times too slow does not drag the rest along.
TEST(Fit, OutliersCountLinearly) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.7;
  std::vector<Measurement> rows = MadeBy(truth, Rows(true));
  rows[3].latency *= 3;
  const FitResult result = FitTo(rows);
  EXPECT_NEAR(result.calibration.matmul_efficiency, 0.7, 0.05);
  EXPECT_LT(result.fit.median, 0.02);
  EXPECT_EQ(result.fit.worst_id, rows[3].id);
  EXPECT_NEAR(result.fit.worst, -2.0 / 3, 0.03);
}

TEST(Fit, IsDeterministicAndReportsProgress) {
  Calibration truth = PriorCalibration();
  truth.link_bandwidth = 0.8;
  const std::vector<Measurement> rows = MadeBy(truth, Rows(true));
  std::vector<double> losses;
  const FitResult a = Fit(rows, PriorCalibration(), "a", [&](int iteration, double loss) {
    EXPECT_EQ(iteration, static_cast<int>(losses.size()) + 1);
    losses.push_back(loss);
  });
  FitResult b = FitTo(rows);
  b.calibration.name = "a";
  EXPECT_EQ(a.calibration, b.calibration);
  EXPECT_EQ(static_cast<std::size_t>(a.iterations), losses.size());
  for (std::size_t i = 1; i < losses.size(); ++i) {
    EXPECT_LE(losses[i], losses[i - 1]);
  }
}

// Only rows of the fit split move parameters; the others make the holdout's errors, and the range
// is the fit rows'.
TEST(Fit, HoldoutIsOnlyLookedAt) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.7;
  std::vector<Measurement> rows = MadeBy(truth, Rows(true));
  const FitResult without = FitTo(rows);
  // Six holdout rows at 1.00, 1.02, ... 1.10 of what is right, outside the range of the others.
  for (int i = 0; i < 6; ++i) {
    Measurement row = MadeBy(truth, {Row(Phase::kPrefill, 2048, 512, "Ex.Fyz/ws/Hxyz",
                                         SliceOf(4, 8, 8), DataType::kInt8)})[0];
    row.id += std::to_string(i);
    row.split = Split::kHoldout;
    row.latency *= 1 + 0.02 * i;
    rows.push_back(row);
  }
  const FitResult with = FitTo(rows);
  for (const CalibrationParameter& p : CalibrationParameters()) {
    EXPECT_EQ(with.calibration.*p.member, without.calibration.*p.member) << p.name;
  }
  EXPECT_EQ(with.holdout.rows, 6U);
  EXPECT_EQ(with.fit.rows, rows.size() - 6);
  const Calibration::Range& range = with.calibration.range;
  EXPECT_EQ(range, without.calibration.range);
  EXPECT_EQ(range.min_chips, 8);
  EXPECT_EQ(range.max_chips, 128);
  EXPECT_EQ(range.min_rows, 4);             // decode at batch 4
  EXPECT_EQ(range.max_rows, 512 * 512);     // prefill of 512 tokens
  EXPECT_EQ(range.min_context, 128 + 4.5);  // decode from 128, 8 steps; prefill has 256
  EXPECT_EQ(range.max_context, 1024 + 4.5);
  EXPECT_EQ(range.weight_types, (std::vector<std::string>{"bf16"}));
  // The interval comes from the holdout: published over predicted spreads 10 %.
  const Calibration::Interval& inside = with.calibration.inside;
  EXPECT_EQ(inside.coverage, 0.8);
  EXPECT_NEAR(std::log(inside.factor_high / inside.factor_low), 0.08, 0.02);
  // Outside: squared factors.
  EXPECT_NEAR(with.calibration.outside.factor_high, inside.factor_high * inside.factor_high, 1e-4);
  EXPECT_NEAR(with.calibration.outside.factor_low, inside.factor_low * inside.factor_low, 1e-4);
}

TEST(Fit, NothingToFitTo) {
  std::vector<Measurement> rows = MadeBy(PriorCalibration(), Rows(false));
  for (Measurement& row : rows) {
    row.split = Split::kHoldout;
  }
  EXPECT_EQ(ErrorOf([&] { static_cast<void>(FitTo(rows)); }),
            "no row has split 'fit': there is nothing to fit to");
}

TEST(Fit, ValuesHaveFiveDigits) {
  Calibration truth = PriorCalibration();
  truth.matmul_efficiency = 0.7;
  const FitResult result = FitTo(MadeBy(truth, Rows(true)));
  for (const CalibrationParameter& p : CalibrationParameters()) {
    const double value = result.calibration.*p.member;
    if (value > 0) {
      const double scaled = value * std::pow(10, 4 - std::floor(std::log10(value)));
      EXPECT_NEAR(scaled, std::round(scaled), 1e-6) << p.name << " " << value;
    }
  }
}

TEST(Summarize, MedianP90BiasAndWorst) {
  const ErrorSummary s = Summarize("group", {{"a", 0.1}, {"b", -0.2}, {"c", 0.05}, {"d", 0.0}});
  EXPECT_EQ(s.group, "group");
  EXPECT_EQ(s.rows, 4U);
  EXPECT_DOUBLE_EQ(s.median, 0.075);  // of 0, 0.05, 0.1, 0.2
  EXPECT_DOUBLE_EQ(s.p90, 0.17);      // at 0.9 x 3 = 2.7: 0.1 + 0.7 x 0.1
  EXPECT_DOUBLE_EQ(s.bias, 0.025);    // of -0.2, 0, 0.05, 0.1
  EXPECT_DOUBLE_EQ(s.worst, -0.2);
  EXPECT_EQ(s.worst_id, "b");
  const ErrorSummary one = Summarize("one", {{"a", -0.3}});
  EXPECT_DOUBLE_EQ(one.median, 0.3);
  EXPECT_DOUBLE_EQ(one.p90, 0.3);
  EXPECT_DOUBLE_EQ(one.bias, -0.3);
  EXPECT_EQ(Summarize("none", {}).rows, 0U);
}

TEST(IntervalFrom, QuantilesOfTheResiduals) {
  // Sorted -0.2 -0.1 0 0.1 0.2; a tenth of the way along: at 0.4, -0.2 + 0.4 x 0.1 = -0.16.
  const Calibration::Interval interval = IntervalFrom({0.2, -0.1, 0, 0.1, -0.2}, 0.8);
  EXPECT_EQ(interval.coverage, 0.8);
  EXPECT_NEAR(interval.factor_low, std::exp(-0.16), 1e-5);
  EXPECT_NEAR(interval.factor_high, std::exp(0.16), 1e-4);
  // The prediction itself is always inside.
  EXPECT_EQ(IntervalFrom({0.1, 0.1, 0.1, 0.1, 0.2}, 0.8).factor_low, 1);
  EXPECT_EQ(IntervalFrom({-0.1, -0.1, -0.1, -0.1, -0.2}, 0.8).factor_high, 1);
  // Fewer than five say nothing.
  EXPECT_EQ(IntervalFrom({0.2, -0.1, 0, 0.1}, 0.8), Calibration::Interval());
}

TEST(PriorCalibration, IsTheTablesPriors) {
  const Calibration prior = PriorCalibration();
  EXPECT_FALSE(prior.ideal_schedules);
  for (const CalibrationParameter& p : CalibrationParameters()) {
    EXPECT_EQ(prior.*p.member, p.prior) << p.name;
  }
}

}  // namespace
}  // namespace slicewise
