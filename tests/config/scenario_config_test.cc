#include "slicewise/config/scenario_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "config_test_util.h"
#include "slicewise/cli/run.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

const char* const kMinimal = R"("model": "palm-8b", "slice": "2x2x2")";

Request Resolve(const std::string& text) {
  JsonReader root = JsonReader::Parse({.source = "f.json", .text = text});
  const RequestOptions options = ReadScenario(root);
  root.Finish();
  return ResolveRequest(options);
}

std::string Error(const std::string& members) {
  return ErrorOf([&] { static_cast<void>(Resolve("{" + members + "}")); });
}

TEST(ScenarioConfig, ReadsEveryOption) {
  const Request request = Resolve(R"({
    "model": "palm-62b", "chip": "tpu-v4", "slice": "2x2x4", "phase": "decode", "batch": 3,
    "decode_batch": 5, "input_len": 7, "output_len": 11, "context": 13, "fixed_context": true,
    "weights": "int8", "activations": "int8", "kv_cache": "int8", "logits": "all",
    "pad_heads": 64, "layout": "*/ws/*", "calibration": "roofline", "network": "paper",
    "scope": "layers", "objective": "cost"})");
  const Workload expected = {.prefill_batch = 3,
                             .decode_batch = 5,
                             .input_length = 7,
                             .output_length = 11,
                             .context = 13,
                             .fixed_context = true,
                             .weights = DataType::kInt8,
                             .activations = DataType::kInt8,
                             .kv_cache = DataType::kInt8,
                             .logits = Logits::kAll,
                             .scope = Scope::kLayers};
  EXPECT_EQ(request.setting.workload, expected);
  EXPECT_EQ(request.setting.model.name, "palm-62b");
  EXPECT_EQ(ToString(request.setting.slice), "2x2x4");
  EXPECT_EQ(request.setting.padded_heads, 64);
  EXPECT_EQ(request.setting.calibration.name, "roofline");
  EXPECT_EQ(request.setting.network, NetworkKind::kPaper);
  EXPECT_EQ(request.phases, std::vector<Phase>{Phase::kDecode});
  EXPECT_EQ(request.layout, "*/ws/*");
  EXPECT_EQ(request.objective, Objective::kCost);
}

TEST(ScenarioConfig, HasTheDefaultsOfTheCommandLine) {
  RequestOptions typed;
  typed.model = "palm-8b";
  typed.slice = "2x2x2";
  const Request expected = ResolveRequest(typed);
  const Request request = Resolve(std::string("{") + kMinimal + "}");
  EXPECT_EQ(request.setting.workload, expected.setting.workload);
  EXPECT_EQ(request.setting.calibration, expected.setting.calibration);
  EXPECT_EQ(request.phases, expected.phases);
  EXPECT_EQ(request.layout, "*/*/*");
}

// The `request` of a plan document is a scenario that asks for the same plan.
TEST(ScenarioConfig, ReadsTheRequestOfAPlanDocument) {
  for (const char* phase : {"both", "decode"}) {
    std::ostringstream out;
    std::ostringstream err;
    ASSERT_EQ(slicewise::Run({"plan", "--model", "palm-540b", "--slice", "4x4x4", "--phase", phase,
                              "--batch", "64", "--input-len", "100", "--output-len", "10",
                              "--pad-heads", "64", "--format", "json"},
                             out, err),
              0);
    const Json request = Json::parse(out.str()).at("request");
    const Request read = Resolve(request.dump());
    EXPECT_EQ(read.phases.size(), request.at("phases").size());
    EXPECT_EQ(read.phases.back(), Phase::kDecode);
    EXPECT_EQ(read.setting.padded_heads, 64);
    EXPECT_EQ(read.setting.workload.input_length, 100);
    EXPECT_EQ(read.setting.workload.output_length, 10);
    EXPECT_EQ(read.setting.workload.prefill_batch, 64);
  }
}

TEST(ScenarioConfig, NamesThePlaceOfEveryMistake) {
  const std::string minimal = std::string(kMinimal) + ", ";
  EXPECT_EQ(Error(R"("slice": "2x2x2")"),
            "f.json: /model: missing, expected text such as 'palm-540b'");
  EXPECT_EQ(Error(minimal + R"("batch": "abc")"),
            "f.json: /batch: found 'abc', expected a whole number from 1 to 1000000000");
  EXPECT_EQ(Error(minimal + R"("batch": 0)"),
            "f.json: /batch: found '0', expected a whole number from 1 to 1000000000");
  EXPECT_EQ(Error(minimal + R"("batsh": 1)"), "f.json: /batsh: unknown key; did you mean 'batch'?");
  EXPECT_EQ(Error(minimal + R"("phase": "decod")"),
            "f.json: /phase: found 'decod', expected both, prefill, decode; did you mean "
            "'decode'?");
  EXPECT_EQ(Error(minimal + R"("layout": "Ex/ws")"),
            "f.json: /layout: layout 'Ex/ws': expected <weights>/<ffn>/<attention>, such as "
            "Ex.Fyz/ws/Bxyz");
  EXPECT_EQ(Error(minimal + R"("calibration": "tpu-v44")"),
            "f.json: /calibration: calibration 'tpu-v44': no such preset or file; did you mean "
            "'tpu-v4'?");
  EXPECT_EQ(Error(R"("model": "palm-9b", "slice": "2x2x2")"),
            "f.json: /model: model 'palm-9b': no such preset or file; did you mean 'palm-8b'?");
  EXPECT_EQ(Error(minimal + R"("phase": "prefill", "input_length": 0)"),
            "f.json: /input_length: found 0, but prefill needs at least 1 token");
  EXPECT_EQ(Error(minimal + R"("input_len": 1, "input_length": 1)"),
            "f.json: /input_length: found a value, expected none beside 'input_len'");
  EXPECT_EQ(Error(minimal + R"("phases": ["decode", "prefill"])"),
            "f.json: /phases: expected 'prefill', 'decode', or both in this order");
  EXPECT_EQ(Error(minimal + R"("fixed_context": 1)"),
            "f.json: /fixed_context: found 1, expected true or false");
}

TEST(ScenarioConfig, NamesThePlaceWithinALargerFile) {
  JsonReader root = JsonReader::Parse(
      {.source = "f.json", .text = R"({"scenarios": [{"model": "palm-8b", "slice": "3x3x3"}]})"});
  JsonReader scenario = root.Objects("scenarios").front();
  const RequestOptions options = ReadScenario(scenario);
  EXPECT_EQ(PlaceOf(options, "batch"), "f.json: /scenarios/0/batch");
  EXPECT_EQ(ErrorOf([&] {
              static_cast<void>(ResolveRequest(options));
            }).find("f.json: /scenarios/0/slice: slice '3x3x3': tpu-v4 has no such slice"),
            0U);
}

}  // namespace
}  // namespace slicewise
