// `slicewise check`, through the binary: every verdict, tolerances to their edges, causes, and bad
// baselines.
#include <utility>

#include "check_test_util.h"

namespace slicewise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(CheckTest, WhatWasJustAcceptedPasses) {
  Write(baseline_);
  const Outcome outcome = RunHere(Words("check b.json"));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "chat: ok\ntoo big: ok\n2 scenarios: 2 ok\n");
  EXPECT_EQ(outcome.err, "");
}

struct Direction {
  const char* key;
  double worse;  // a factor on the accepted value that makes today's prediction worse
};

TEST_F(CheckTest, TellsLossFromGainOfEveryMetric) {
  for (const Direction& metric :
       {Direction{"latency_seconds", 0.9}, Direction{"mfu", 1.1},
        Direction{"chip_seconds_per_token", 0.9}, Direction{"memory_bytes", 0.9}}) {
    SCOPED_TRACE(metric.key);
    const Json before = baseline_;
    const double accepted = Decode()[metric.key];
    Decode()[metric.key] = accepted * metric.worse;
    const Json lost = Report(1).at("scenarios").at(0);
    EXPECT_EQ(lost.at("verdict"), "regression");
    for (const Json& compared : lost.at("targets").at(0).at("metrics")) {
      EXPECT_EQ(compared.at("verdict"), compared.at("metric") == metric.key ? "regression" : "ok");
    }
    Decode()[metric.key] = accepted / metric.worse;
    ExpectVerdict("stale", 1, "accepted");
    baseline_ = before;
  }
}

TEST_F(CheckTest, ATolerancesEdgeIsAllowedAndWhatIsBeyondIsNot) {
  const double found = Decode()["latency_seconds"];
  // A latency of 1.25 times the accepted one is 25 % more: 0.8 and 1.25 are each other's inverse.
  Decode()["latency_seconds"] = found * 0.8;
  Chat()["tolerances"] = {{"latency", "25%"}};
  EXPECT_EQ(Report(0).at("scenarios").at(0).at("verdict"), "ok");
  Chat()["tolerances"] = {{"latency", "24.99999%"}};
  ExpectVerdict("regression", 1, "+25.00%, allowed 25%");
  // Absolute: one millisecond either way.
  for (const double change : {-0.001, 0.001}) {
    Decode()["latency_seconds"] = found + change;
    Chat()["tolerances"] = {{"latency", "1 ms"}};
    EXPECT_EQ(Report(0).at("passed"), true);
    Chat()["tolerances"] = {{"latency", "0.99999 ms"}};
    ExpectVerdict(change < 0 ? "regression" : "stale", 1, "allowed 1.00 ms");
  }
}

TEST_F(CheckTest, AbsoluteTolerancesOfEveryMetric) {
  struct Case {
    const char *key, *metric, *enough, *too_little;
    double change;
  };
  for (const Case& c : {Case{"mfu", "mfu", "0.5 points", "0.49 points", 0.005},
                        Case{"chip_seconds_per_token", "cost", "2 us", "1.9 us", 2e-6},
                        Case{"memory_bytes", "memory", "64 MiB", "63 MiB", 67108864.0}}) {
    SCOPED_TRACE(c.metric);
    const Json before = baseline_;
    Decode()[c.key] = Decode()[c.key].get<double>() + c.change;
    Chat()["tolerances"] = {{c.metric, c.enough}};
    EXPECT_EQ(Report(0).at("passed"), true);
    Chat()["tolerances"] = {{c.metric, c.too_little}};
    EXPECT_EQ(Report(1).at("passed"), false);
    baseline_ = before;
  }
}

TEST_F(CheckTest, ATolerancesOfTheFileHoldWhereAScenarioHasNone) {
  Decode()["latency_seconds"] = Decode()["latency_seconds"].get<double>() * 1.04;
  baseline_["tolerances"] = {{"latency", "5%"}};
  EXPECT_EQ(Report(0).at("passed"), true);
  Chat()["tolerances"] = {{"latency", "1%"}};
  ExpectVerdict("stale", 1, "decode latency");
}

TEST_F(CheckTest, AnotherLayoutAtTheSameCost) {
  const std::string layout = Decode()["layout"];
  Decode()["layout"] = "Exyz/ws/Hxyz";
  ExpectVerdict("layout_changed", 1, "decode layout is " + layout + ", accepted Exyz/ws/Hxyz");
  EXPECT_EQ(Report(0, {"--allow-stale"}).at("passed"), true);
  Chat()["tolerances"] = {{"layout", "any"}};
  EXPECT_EQ(Report(0).at("scenarios").at(0).at("verdict"), "ok");
}

TEST_F(CheckTest, AScenarioThatNoLongerFitsIsExitCode3) {
  // Accepted on 4x4x4; on 2x2x2 it cannot fit.
  Json& big = baseline_["scenarios"][1];
  big["accepted"]["decode"] = Decode();
  Json report = Report(3);
  EXPECT_EQ(report.at("scenarios").at(1).at("verdict"), "infeasible");
  EXPECT_THAT(report.dump(), HasSubstr("decode no longer fits (the nearest, "));
  // It outweighs a regression elsewhere, and is not relaxed.
  Decode()["latency_seconds"] = 1e-9;
  report = Report(3, {"--allow-stale"});
  EXPECT_EQ(report.at("counts").at("regression"), 1);
  EXPECT_EQ(report.at("counts").at("infeasible"), 1);
}

TEST_F(CheckTest, AScenarioThatBeginsToFitIsStale) {
  Chat()["accepted"]["decode"] = {{"fits", false}};
  ExpectVerdict("feasible", 1, "decode fits with");
  EXPECT_EQ(Report(0, {"--allow-stale"}).at("passed"), true);
}

TEST_F(CheckTest, AllowStaleRelaxesGainsAlone) {
  Decode()["latency_seconds"] = Decode()["latency_seconds"].get<double>() * 2;
  EXPECT_EQ(Report(0, {"--allow-stale"}).at("passed"), true);
  Decode()["mfu"] = Decode()["mfu"].get<double>() * 2;
  EXPECT_EQ(Report(1, {"--allow-stale"}).at("passed"), false);
}

TEST_F(CheckTest, WhatNothingIsAcceptedOfIsMissing) {
  Chat().erase("accepted");
  ExpectVerdict("missing", 1, "nothing is accepted of decode yet");
}

TEST_F(CheckTest, APhaseThatIsNoLongerAskedForIsMissing) {
  Chat()["accepted"]["prefill"] = Decode();
  ExpectVerdict("missing", 1, "prefill is accepted, but no longer asked for");
}

TEST_F(CheckTest, OneScenarioByName) {
  Decode()["latency_seconds"] = 1.0;
  const Json report = Report(0, {"--scenario", "too big"});
  ASSERT_EQ(report.at("scenarios").size(), 1U);
  EXPECT_EQ(report.at("scenarios").at(0).at("name"), "too big");
  ExpectBadInput(RunHere({"check", "b.json", "--scenario", "to big"}),
                 "--scenario: found 'to big', which b.json does not have; did you mean 'too big'?");
}

std::vector<std::string> Causes(const Json& report) {
  return report.at("scenarios").at(0).at("causes");
}

TEST_F(CheckTest, NamesEveryInputThatChanged) {
  Decode()["latency_seconds"] = 1e-9;
  const Json good = baseline_;
  for (const auto& [key, cause] :
       std::vector<std::pair<std::string, std::string>>{{"request", "request"},
                                                        {"model", "model"},
                                                        {"chip", "chip"},
                                                        {"calibration", "calibration"},
                                                        {"version", "tool version"}}) {
    baseline_ = good;
    Chat()["accepted"]["inputs"][key] = "other";
    EXPECT_THAT(Causes(Report(1)), ElementsAre(cause));
  }
  Chat()["accepted"]["inputs"]["model"] = "other";
  EXPECT_THAT(Causes(Report(1)), ElementsAre("model", "tool version"));
}

// The inputs being the same, the price of the accepted layout tells the cost model from the search.
TEST_F(CheckTest, TellsTheCostModelFromTheSearch) {
  const Json good = baseline_;
  Decode()["latency_seconds"] = 1e-9;
  EXPECT_THAT(Causes(Report(1)), ElementsAre("cost model"));
  baseline_ = good;
  // A slower layout as if it had been the best that an older search found, at its right price.
  Json slow = Json::parse(kScenarios);
  slow["scenarios"][0]["layout"] = "Exyz/ws/Hxyz";
  WriteFile(path("slow.json"), slow.dump());
  const Json other = Json::parse(RunHere(Words("check --init slow.json")).out);
  Decode() = other.at("scenarios").at(0).at("accepted").at("decode");
  ASSERT_NE(Decode(), good["scenarios"][0]["accepted"]["decode"]);
  EXPECT_THAT(Causes(Report(1)), ElementsAre("search"));
}

// Changing the files themselves, not the hashes.
TEST_F(CheckTest, HashesAreOfValuesNotOfFiles) {
  const std::string preset = PresetText("models/palm-8b.json");
  const auto causes = [&](const std::string& model) {
    WriteFile(path("model.json"), model);
    Decode()["latency_seconds"] = 1e-9;
    Chat()["model"] = "model.json";
    return Causes(Report(1));
  };
  EXPECT_THAT(causes(preset), ElementsAre("cost model"));
  EXPECT_THAT(causes(Replaced(preset, "\"name\": \"", "\"name\": \"my-")),
              ElementsAre("cost model"));
  EXPECT_THAT(causes(Replaced(preset, "\"layers\": 32", "\"layers\": 33")), ElementsAre("model"));
}

// In a file that the tool wrote, an update changes the lines of what it accepts and no other.
// A release that predicts the same changes no baseline.
TEST_F(CheckTest, NotesNameTheirScenario) {
  WriteFile(path("s.json"), R"({"scenarios": [{"name": "m", "slice": "2x2x2", "phase": "decode",
      "model": ")" + std::string(SLICEWISE_SOURCE_DIR) +
                                R"(/tests/config/data/mistral-7b.json"}]})");
  EXPECT_THAT(RunHere(Words("check --init s.json")).err,
              testing::StartsWith("slicewise: note: m: "));
}

TEST_F(CheckTest, AnUnknownFormatIsRefusedBeforeAnythingIsDone) {
  const std::string message =
      "--format: found 'xml', expected text, json, github, junit, sarif, markdown, benchmark";
  ExpectBadInput(RunHere(Words("check none.json --format xml")), message);
  ExpectBadInput(RunHere(Words("check --init scenarios.json --output x --format xml")), message);
}

TEST_F(CheckTest, EveryFieldOfABadBaselineIsNamed) {
  struct Case {
    std::string path, value, message;
  };
  const std::string chat = " (scenario 'chat')";
  const std::string positive = ", expected a number above 0" + chat;
  const std::string decode = "/scenarios/0/accepted/decode";
  const std::vector<Case> cases = {
      {"/schema", R"("slicewise-baseline/2")",
       "/schema: found 'slicewise-baseline/2', expected 'slicewise-baseline/1'"},
      {"/comment", "3", "/comment: found 3, expected text"},
      {"/scenarios", "[]", "/scenarios: found none, expected at least one"},
      {"/scenarios/1/name", R"("chat")",
       "/scenarios/1/name: found 'chat', which another scenario has"},
      {"/scenarios/0/name", R"("")", "/scenarios/0/name: found '', expected a name"},
      {"/scenarios/0/batch", R"("abc")",
       "/scenarios/0/batch: found 'abc', expected a whole number from 1 to 1000000000" + chat},
      {"/scenarios/0/batsh", "3", "/scenarios/0/batsh: unknown key; did you mean 'batch'?" + chat},
      {"/scenarios/0/model", R"("palm-9b")",
       "/scenarios/0/model: model 'palm-9b': no such preset or file; did you mean 'palm-8b'?" +
           chat},
      {"/scenarios/0/tolerances", R"({"latency": "1"})",
       "/scenarios/0/tolerances/latency: found '1', expected a percentage of at least 0 such as "
       "'0.5%', or a time such as '2 ms'" +
           chat},
      {"/scenarios/0/tolerances", R"({"mfu": "-1%"})",
       "/scenarios/0/tolerances/mfu: found '-1%', expected a percentage of at least 0 such as "
       "'0.5%', or percentage points such as '0.5 points'" +
           chat},
      {"/scenarios/0/tolerances", R"({"memory": "1 ms"})",
       "/scenarios/0/tolerances/memory: found '1 ms', expected a percentage of at least 0 such as "
       "'0.5%', or an amount such as '64 MiB'" +
           chat},
      {"/scenarios/0/tolerances", R"({"cost": "1 $"})",
       "/scenarios/0/tolerances/cost: found '1 $', expected a percentage of at least 0 such as "
       "'0.5%', or chip-seconds per token such as '1 ms'" +
           chat},
      {"/scenarios/0/tolerances", R"({"layout": "some"})",
       "/scenarios/0/tolerances/layout: found 'some', expected one of 'same', 'any'; did you mean "
       "'same'?" +
           chat},
      {"/scenarios/0/tolerances", R"({"latancy": "1%"})",
       "/scenarios/0/tolerances/latancy: unknown key; did you mean 'latency'?" + chat},
      {"/scenarios/0/accepted/inputs/model", "3",
       "/scenarios/0/accepted/inputs/model: found 3, expected text" + chat},
      {decode + "/latency_seconds", "-1", decode + "/latency_seconds: found -1" + positive},
      {decode + "/mfu", "0", decode + "/mfu: found 0" + positive},
      {decode + "/chip_seconds_per_token", "null",
       decode + "/chip_seconds_per_token: found null" + positive},
      {decode + "/memory_bytes", R"("1 GiB")", decode + "/memory_bytes: found '1 GiB'" + positive},
      {decode + "/layout", "1", decode + "/layout: found 1, expected text" + chat},
      {decode + "/terms", "[]", decode + "/terms: found an array of 0, expected an object" + chat},
      {decode + "/fits", "true",
       decode + "/fits: found true, expected false, or no such key" + chat},
      {"/history", R"([{"version": "1", "reason": 1, "changed": []}])",
       "/history/0/reason: found 1, expected text"},
  };
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.path + " " + bad.value);
    Json document = baseline_;
    document[Json::json_pointer(bad.path)] = Json::parse(bad.value);
    Write(document);
    ExpectBadInput(RunHere(Words("check b.json")), "b.json: " + bad.message);
  }
  Json none = baseline_;
  none["scenarios"][0]["accepted"].erase("decode");
  Write(none);
  ExpectBadInput(RunHere(Words("check b.json")),
                 "b.json: /scenarios/0/accepted: found no prediction, expected prefill, decode or "
                 "deployment" +
                     chat);
}

TEST_F(CheckTest, AnnotationsPointAtTheScenariosLine) {
  Decode()["latency_seconds"] = 1e-9;
  Json& big = baseline_["scenarios"][1];
  big.erase("accepted");
  const Json report = Report(1);
  const std::string text = Text();
  for (const Json& scenario : report.at("scenarios")) {
    // The object's brace is on the line before its name.
    const std::size_t name = text.find("\"name\": " + scenario.at("name").dump());
    EXPECT_EQ(scenario.at("line"),
              std::count(text.begin(), text.begin() + static_cast<long>(name), '\n'));
  }
  const Outcome github = RunHere(Words("check b.json --format github"));
  EXPECT_THAT(github.out, testing::StartsWith("::error file=b.json,line=5,title=chat%3A regression"
                                              "::decode latency is "));
  EXPECT_THAT(github.out, HasSubstr("%25, allowed 0.1%25)%0A"));
}

}  // namespace
}  // namespace slicewise
