#include "slicewise/search/prediction.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "slicewise/config/request.h"
#include "slicewise/search/fingerprint.h"

namespace slicewise {
namespace {

Request Resolved(const std::function<void(RequestOptions&)>& change = {}) {
  RequestOptions options;
  options.model = "palm-8b";
  options.slice = "2x2x2";
  options.calibration = "roofline";
  if (change) {
    change(options);
  }
  return ResolveRequest(options);
}

TEST(Predict, IsTheBestPlanOfEachPhaseAndTheDeployment) {
  const Request request = Resolved([](RequestOptions& o) { o.batch = "8"; });
  const std::vector<TargetPrediction> predictions = Predict(request);
  ASSERT_EQ(predictions.size(), 3U);
  Evaluator evaluator(request.setting);
  const LayoutFilter all("*/*/*", evaluator.mesh());
  for (const TargetPrediction& prediction : predictions) {
    SCOPED_TRACE(Name(prediction.target));
    ASSERT_TRUE(prediction.fits);
    Seconds sum;
    for (const CostTerm& term : prediction.terms) {
      EXPECT_GT(term.exposed, Seconds()) << term.name;
      sum += term.exposed;
    }
    EXPECT_NEAR(sum / prediction.latency, 1, 1e-8);
    if (prediction.target == Target::kDeployment) {
      continue;
    }
    const Phase phase = prediction.target == Target::kPrefill ? Phase::kPrefill : Phase::kDecode;
    const Plan best = SearchPhase(evaluator, all, phase, Objective::kLatency).plans.front();
    EXPECT_EQ(prediction.layout, ToString(best.layout, evaluator.mesh()));
    EXPECT_NEAR(prediction.latency / best.latency, 1, 1e-8);
    EXPECT_NEAR(prediction.mfu / best.mfu, 1, 1e-8);
    EXPECT_NEAR(prediction.chip_seconds_per_token / best.chip_seconds_per_token, 1, 1e-8);
    EXPECT_NEAR(prediction.memory / best.memory.total(), 1, 1e-8);
  }
  const Deployment deployment = *SearchDeployment(evaluator, all);
  EXPECT_NEAR(predictions[2].latency / deployment.latency, 1, 1e-8);
  // 8 chips; 8 sequences of 2048 input and 64 output tokens.
  EXPECT_NEAR(predictions[2].chip_seconds_per_token / (deployment.latency * (8.0 / (8 * 2112))), 1,
              1e-8);
}

TEST(Predict, OfWhatDoesNotFitSaysWhatTheNearestNeeds) {
  const std::vector<TargetPrediction> predictions =
      Predict(Resolved([](RequestOptions& o) { o.model = "palm-540b"; }));
  ASSERT_EQ(predictions.size(), 3U);
  for (const TargetPrediction& prediction : predictions) {
    EXPECT_FALSE(prediction.fits);
  }
  // At least the weights: 2 B of each of 540e9 parameters on 8 chips.
  EXPECT_GT(predictions[0].memory, BytesOf(2 * 540e9 / 8));
  EXPECT_FALSE(predictions[0].layout.empty());
  EXPECT_TRUE(predictions[2].layout.empty());
}

TEST(NineDigits, RoundsToTheNearest) {
  EXPECT_EQ(NineDigits(0.1234567894), 0.123456789);
  EXPECT_EQ(NineDigits(0.1234567896), 0.12345679);
  EXPECT_EQ(NineDigits(-98765432198.0), -98765432200.0);
  EXPECT_EQ(NineDigits(0), 0);
}

TEST(TermsOf, AddsRowsOfOnePartOpAndAxes) {
  const std::vector<CostTerm> terms =
      TermsOf({{Part::kFfn, "einsum", "", {}, {}, {}, SecondsOf(1)},
               {Part::kFfn, "all-gather", "xy", {}, {}, {}, SecondsOf(2)},
               {Part::kFfn, "einsum", "", {}, {}, {}, SecondsOf(4)},
               {Part::kHead, "einsum", "", {}, {}, {}, SecondsOf(8)},
               {Part::kHead, "normalize", "", SecondsOf(1), {}, {}, Seconds()}});
  EXPECT_EQ(terms, (std::vector<CostTerm>{{"ffn einsum", SecondsOf(5)},  // 1 + 4
                                          {"ffn all-gather over xy", SecondsOf(2)},
                                          {"head einsum", SecondsOf(8)}}));
}

// Every field tells itself apart, in the hash of what it belongs to and in no other.
TEST(InputsOf, TellsEveryFieldApart) {
  const std::vector<std::function<void(Request&)>> of_request = {
      [](Request& r) {
        r.setting.slice.dims = {4, 2, 1};
      },
      [](Request& r) { r.setting.padded_heads = 32; },
      [](Request& r) { r.setting.network = NetworkKind::kPaper; },
      [](Request& r) { r.phases = {Phase::kDecode}; },
      [](Request& r) { r.phases = {Phase::kPrefill}; },
      [](Request& r) { r.layout = "*/ws/*"; },
      [](Request& r) { r.objective = Objective::kMfu; },
      [](Request& r) { r.setting.workload.prefill_batch = 2; },
      [](Request& r) { r.setting.workload.decode_batch = 2; },
      [](Request& r) { r.setting.workload.input_length = 2; },
      [](Request& r) { r.setting.workload.output_length = 2; },
      [](Request& r) { r.setting.workload.context = 2; },
      [](Request& r) { r.setting.workload.fixed_context = true; },
      [](Request& r) { r.setting.workload.weights = DataType::kInt8; },
      [](Request& r) { r.setting.workload.activations = DataType::kInt8; },
      [](Request& r) { r.setting.workload.kv_cache = DataType::kInt8; },
      [](Request& r) { r.setting.workload.logits = Logits::kAll; },
      [](Request& r) { r.setting.workload.scope = Scope::kLayers; }};
  const std::vector<std::function<void(Request&)>> of_model = {
      [](Request& r) { r.setting.model.layers = 1; },
      [](Request& r) { r.setting.model.embed_dim = 1; },
      [](Request& r) { r.setting.model.gated = false; },
      [](Request& r) { r.setting.model.kv_heads = 2; },
      [](Request& r) { r.setting.model.block = BlockKind::kSerial; },
      [](Request& r) { r.setting.model.biases.ffn = true; },
      [](Request& r) { r.setting.model.nominal_parameters = 1; }};
  const std::vector<std::function<void(Request&)>> of_chip = {
      [](Request& r) { r.setting.chip.peak_bf16 = TeraflopsPerSecond(1); },
      [](Request& r) { r.setting.chip.hbm_usable = Gibibytes(1); },
      [](Request& r) {
        r.setting.chip.small_shapes = {{1, 2, 2}};
      },
      [](Request& r) { r.setting.chip.link_bandwidth = GigabytesPerSecond(1); }};
  const std::vector<std::function<void(Request&)>> of_calibration = {
      [](Request& r) { r.setting.calibration.matmul_efficiency = 0.5; },
      [](Request& r) { r.setting.calibration.ideal_schedules = false; },
      [](Request& r) { r.setting.calibration.inside.factor_low = 0.5; },
      [](Request& r) { r.setting.calibration.range.weight_types = {"int8"}; }};
  const Inputs base = InputsOf(Resolved());
  const auto check = [&](const auto& changes, std::string Inputs::*member) {
    std::set<std::string> seen = {base.*member};
    for (const auto& change : changes) {
      Request request = Resolved();
      change(request);
      Inputs inputs = InputsOf(request);
      EXPECT_TRUE(seen.insert(inputs.*member).second) << "change " << seen.size();
      inputs.*member = base.*member;
      EXPECT_EQ(inputs, base) << "change " << seen.size();
    }
  };
  check(of_request, &Inputs::request);
  check(of_model, &Inputs::model);
  check(of_chip, &Inputs::chip);
  check(of_calibration, &Inputs::calibration);
}

TEST(InputsOf, NamesAndSourcesDoNotCount) {
  Request request = Resolved();
  const Inputs base = InputsOf(request);
  request.setting.model.name = "other";
  request.setting.chip.name = "other";
  request.setting.calibration.name = "other";
  request.provenance.model_source = "other.json";
  EXPECT_EQ(InputsOf(request), base);
}

}  // namespace
}  // namespace slicewise
