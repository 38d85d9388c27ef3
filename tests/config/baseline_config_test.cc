#include "slicewise/config/baseline_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "config_test_util.h"

namespace slicewise {
namespace {

const std::string kMembers =
    R"("model": "palm-8b", "slice": "2x2x2", "phase": "decode", "calibration": "roofline")";

Document File(const std::string& text) { return {.source = "b.json", .text = text}; }

std::string Scenario(const std::string& name, const std::string& more = "") {
  return R"({"name": ")" + name + "\", " + kMembers + more + "}";
}

Baseline Read(const std::string& scenarios, const std::string& more = "") {
  return ReadBaseline(
      File(R"({"schema": "slicewise-baseline/1", "scenarios": [)" + scenarios + "]" + more + "}"));
}

// Text that looks like structure must not be counted as such.
TEST(BaselineConfig, KnowsTheLineOfEveryScenario) {
  const Baseline baseline =
      ReadBaseline(File("{\"schema\": \"slicewise-baseline/1\", \"comment\": \"}] \\\" \\\\\",\n"
                        "\"tolerances\": {\"comment\": \"scenarios\"},\n"
                        "\"scenarios\":\n"
                        "[" +
                        Scenario("a") + ", " + Scenario("b{[", ", \"tolerances\":\n {}") + ",\n\n" +
                        Scenario("c") + "]}"));
  ASSERT_EQ(baseline.scenarios.size(), 3U);
  EXPECT_EQ(baseline.scenarios[0].line, 4U);
  EXPECT_EQ(baseline.scenarios[1].line, 4U);
  EXPECT_EQ(baseline.scenarios[2].line, 7U);  // one break within b, two after it
}

TEST(BaselineConfig, TolerancesOfAScenarioComeBeforeTheFilesAndTheDefaults) {
  const Baseline baseline =
      Read(Scenario("a", R"(, "tolerances": {"latency": "2 ms", "layout": "same"})"),
           R"(, "tolerances": {"latency": "5%", "mfu": "0.5 points", "memory": "1 KiB",
                "layout": "any"})");
  const Tolerances& tolerances = baseline.scenarios[0].tolerances;
  const auto of = [&](Metric metric) {
    return tolerances.metrics[static_cast<std::size_t>(metric)];
  };
  EXPECT_EQ(of(Metric::kLatency), (Tolerance{Tolerance::Kind::kAbsolute, 0.002}));
  EXPECT_EQ(of(Metric::kMfu), (Tolerance{Tolerance::Kind::kAbsolute, 0.005}));
  EXPECT_EQ(of(Metric::kMemory), (Tolerance{Tolerance::Kind::kAbsolute, 1024}));
  EXPECT_EQ(of(Metric::kCost), (Tolerance{Tolerance::Kind::kRelative, 0.001}));
  EXPECT_FALSE(tolerances.any_layout);
}

TEST(BaselineConfig, WhatIsAcceptedIsReadBack) {
  const Document document = NewBaseline(File(R"({"scenarios": [)" + Scenario("a") + "]}"));
  const Baseline before = ReadBaseline(document);
  EXPECT_TRUE(before.scenarios[0].accepted.empty());
  const Request& request = before.scenarios[0].request;
  const std::string text =
      AcceptedBaseline(document, {{0, Predict(request), InputsOf(request)}}, "first", "0.1.0");
  const BaselineScenario after = ReadBaseline(File(text)).scenarios[0];
  EXPECT_EQ(after.accepted, Predict(request));
  EXPECT_EQ(after.inputs, InputsOf(request));
  const std::vector<NamedPredictions> stored = ReadPredictions(File(text));
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].name, "a");
  EXPECT_EQ(stored[0].predictions, after.accepted);
  // Accepting the same once more changes nothing but the history.
  const std::string again =
      AcceptedBaseline(File(text), {{0, Predict(request), InputsOf(request)}}, "second", "0.1.0");
  EXPECT_EQ(again.substr(0, text.find("\"history\"")), text.substr(0, text.find("\"history\"")));
}

TEST(BaselineConfig, LinesAreNoLongerThanTheyMustBe) {
  const std::string long_name(70, 'n');
  const Document document =
      NewBaseline(File(R"({"scenarios": [{"name": "a", "model": "palm-8b", "slice": "2x2x2"}, )" +
                       Scenario(long_name) + "]}"));
  EXPECT_EQ(document.text, R"({
  "schema": "slicewise-baseline/1",
  "scenarios": [
    {"name": "a", "model": "palm-8b", "slice": "2x2x2"},
    {
      "name": ")" + long_name + R"(",
      "model": "palm-8b",
      "slice": "2x2x2",
      "phase": "decode",
      "calibration": "roofline"
    }
  ]
}
)");
}

TEST(BaselineConfig, NamesOfScenariosComeWithTheirMistakes) {
  EXPECT_EQ(ErrorOf([] { static_cast<void>(Read(Scenario("a", R"(, "batch": 0)"))); }),
            "b.json: /scenarios/0/batch: found '0', expected a whole number from 1 to 1000000000 "
            "(scenario 'a')");
  EXPECT_EQ(ErrorOf([] { static_cast<void>(Read(Scenario("a"), R"(, "tolerence": {})")); }),
            "b.json: /tolerence: unknown key; did you mean 'tolerances'?");
}

}  // namespace
}  // namespace slicewise
