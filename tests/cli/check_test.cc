// `slicewise check`, through the binary: every verdict, tolerances to their edges, causes, updates
// and bad baselines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "cli_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;

const char* const kScenarios = R"({
  "comment": "of the file",
  "scenarios": [
    {"name": "chat", "comment": "of the scenario", "model": "palm-8b", "slice": "2x2x2",
     "phase": "decode", "batch": 8, "calibration": "roofline"},
    {"name": "too big", "model": "palm-540b", "slice": "2x2x2", "phase": "decode", "batch": 8}
  ]
})";

class CheckTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(path("scenarios.json"), kScenarios);
    const Outcome made = RunHere(Words("check --init scenarios.json"));
    ASSERT_EQ(made.exit_code, 0) << made.err;
    baseline_ = Json::parse(made.out);
  }

  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return scratch_.path() / name;
  }
  [[nodiscard]] Outcome RunHere(const Args& args) const {
    return RunBinary(args, {.directory = scratch_.path()});
  }
  void Write(const Json& baseline) const { WriteFile(path("b.json"), baseline.dump(2) + "\n"); }
  [[nodiscard]] std::string Text() const { return ReadFile(path("b.json")); }
  // Of the first scenario, which the tests change.
  Json& Chat() { return baseline_["scenarios"][0]; }
  Json& Decode() { return Chat()["accepted"]["decode"]; }
  // Checks the baseline as it is now; the report as JSON.
  Json Report(int exit_code, const Args& more = {}) {
    Write(baseline_);
    const Outcome outcome = RunHere(Words("check b.json --format json") + more);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err << outcome.out;
    return Json::parse(outcome.out);
  }
  // The verdict on the first scenario and its findings.
  void ExpectVerdict(const std::string& verdict, int exit_code, const std::string& finding) {
    const Json chat = Report(exit_code).at("scenarios").at(0);
    EXPECT_EQ(chat.at("verdict"), verdict);
    EXPECT_THAT(chat.at("findings").dump(), HasSubstr(finding));
  }

  ScratchDirectory scratch_;
  Json baseline_;
};

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

TEST_F(CheckTest, UpdateAcceptsAndKeepsEverythingElse) {
  Decode()["latency_seconds"] = 0.5;
  Decode()["comment"] = "of the prediction";
  Chat()["accepted"]["comment"] = "of what is accepted";
  Chat()["tolerances"] = {{"comment", "of the tolerances"}, {"mfu", "1%"}};
  Write(baseline_);
  const Outcome first = RunHere({"check", "b.json", "--update", "--reason", "faster gathers"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("decode latency is"));
  EXPECT_EQ(first.err, "slicewise: note: accepted anew: chat\n");
  const std::string text = Text();
  const Json updated = Json::parse(text);
  EXPECT_EQ(RunHere(Words("check b.json")).exit_code, 0);
  // Only the number and the history differ, and every key stands where it stood.
  Json expected = baseline_;
  expected["scenarios"][0]["accepted"]["decode"]["latency_seconds"] =
      updated.at("scenarios").at(0).at("accepted").at("decode").at("latency_seconds");
  expected["history"].push_back(
      {{"version", SLICEWISE_VERSION}, {"reason", "faster gathers"}, {"changed", {"chat"}}});
  EXPECT_EQ(updated.dump(), expected.dump());
}

// In a file that the tool wrote, an update changes the lines of what it accepts and no other.
TEST_F(CheckTest, UpdateMakesTheSmallestDifference) {
  const std::string made = RunHere(Words("check --init scenarios.json")).out;
  const std::size_t at = made.find("\"latency_seconds\": ") + 19;
  const std::size_t end = made.find(',', at);
  const std::string value = made.substr(at, end - at);
  WriteFile(path("b.json"), made.substr(0, at) + "0.5" + made.substr(end));
  ASSERT_EQ(RunHere({"check", "b.json", "--update", "--reason", "why"}).exit_code, 0);
  const std::string last = R"(
      "changed": ["chat", "too big"]
    })";
  const std::string entry = R"(,
    {
      "version": ")" SLICEWISE_VERSION R"(",
      "reason": "why",
      "changed": ["chat"]
    })";
  EXPECT_EQ(Text(), Replaced(made, last, last + entry));
}

TEST_F(CheckTest, UpdateWithNothingNewLeavesTheFileAlone) {
  const std::string odd = "  " + baseline_.dump();  // not as the tool would write it
  WriteFile(path("b.json"), odd);
  struct stat before = {};
  struct stat after = {};
  ASSERT_EQ(stat(path("b.json").c_str(), &before), 0);
  const Outcome outcome = RunHere({"check", "b.json", "--update", "--reason", "none"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "slicewise: note: nothing is new\n");
  ASSERT_EQ(stat(path("b.json").c_str(), &after), 0);
  EXPECT_EQ(Text(), odd);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

// A release that predicts the same changes no baseline.
TEST_F(CheckTest, AnotherVersionAloneIsNothingNew) {
  Chat()["accepted"]["inputs"]["version"] = "0.0.1";
  EXPECT_EQ(Report(0).at("passed"), true);
  const std::string before = Text();
  EXPECT_EQ(RunHere({"check", "b.json", "--update", "--reason", "r"}).exit_code, 0);
  EXPECT_EQ(Text(), before);
  // Another model is, even if it predicts the same: the next change is not to be blamed on it.
  Chat()["accepted"]["inputs"]["model"] = "other";
  EXPECT_EQ(Report(0).at("passed"), true);
  EXPECT_EQ(RunHere({"check", "b.json", "--update", "--reason", "r"}).exit_code, 0);
  EXPECT_EQ(Json::parse(Text()).at("history").back().at("changed"), Json({"chat"}));
}

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

TEST_F(CheckTest, UpdateOfOneScenarioLeavesTheOthers) {
  Json& big = baseline_["scenarios"][1];
  big["accepted"]["decode"] = Decode();
  Decode()["latency_seconds"] = 0.5;
  Write(baseline_);
  ASSERT_EQ(
      RunHere({"check", "b.json", "--update", "--reason", "r", "--scenario", "chat"}).exit_code, 0);
  const Json updated = Json::parse(Text());
  EXPECT_NE(updated["scenarios"][0], baseline_["scenarios"][0]);
  EXPECT_EQ(updated["scenarios"][1], baseline_["scenarios"][1]);
  EXPECT_EQ(updated["history"].back()["changed"], Json({"chat"}));
}

TEST_F(CheckTest, UpdateNeedsAReason) {
  Write(baseline_);
  const std::string message = "check: --update needs --reason, which the file keeps";
  ExpectBadInput(RunHere(Words("check b.json --update")), message);
  ExpectBadInput(RunHere({"check", "b.json", "--update", "--reason", ""}), message);
  ExpectBadInput(RunHere(Words("check b.json --reason x")),
                 "check: --reason goes with --update or --init");
  ExpectBadInput(RunHere(Words("check b.json --update --init --reason x")),
                 "check: --init and --update do not go together");
}

TEST_F(CheckTest, UpdateThroughStandardStreams) {
  Decode()["latency_seconds"] = 0.5;
  Write(baseline_);
  const Outcome outcome =
      RunBinary({"check", "-", "--update", "--reason", "r"}, {.input = path("b.json").string()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(Json::parse(outcome.out).at("scenarios").at(0).at("accepted"), Chat()["accepted"]);
  EXPECT_THAT(outcome.err, HasSubstr("chat: stale"));
}

TEST_F(CheckTest, InitSaysWhatItFoundAndIsDeterministic) {
  const Outcome made = RunHere(Words("check --init scenarios.json --output b.json"));
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_EQ(made.out, "");
  EXPECT_EQ(made.err, "slicewise: note: too big: decode does not fit, and is accepted so\n");
  EXPECT_EQ(Text(),
            RunBinary(Words("check --init -"), {.input = path("scenarios.json").string()}).out);
  const Json baseline = Json::parse(Text());
  EXPECT_EQ(baseline.at("comment"), "of the file");
  const Json& big = baseline.at("scenarios").at(1).at("accepted").at("decode");
  EXPECT_EQ(big.at("fits"), false);
  // At least the weights: 2 B of each of 540e9 parameters on 8 chips.
  EXPECT_GT(big.at("memory_bytes"), 2 * 540e9 / 8);
  EXPECT_EQ(baseline.at("history").size(), 1U);
  // A baseline is a file of scenarios: what it accepted and its history are made anew.
  EXPECT_EQ(RunHere(Words("check --init b.json")).out, Text());
}

TEST_F(CheckTest, ConcurrentUpdatesLeaveOneOfThemWhole) {
  Decode()["latency_seconds"] = 0.5;
  std::vector<std::string> results;
  for (const char* reason : {"a", "b", "c", "d"}) {
    Write(baseline_);
    ASSERT_EQ(RunHere({"check", "b.json", "--update", "--reason", reason}).exit_code, 0);
    results.push_back(Text());
  }
  for (int round = 0; round < 5; ++round) {
    Write(baseline_);
    std::vector<std::thread> updates;
    for (const char* reason : {"a", "b", "c", "d"}) {
      updates.emplace_back([this, reason] {
        static_cast<void>(RunHere({"check", "b.json", "--update", "--reason", reason}));
      });
    }
    // Whoever reads meanwhile finds a whole document.
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(Json::accept(Text()));
    }
    for (std::thread& update : updates) {
      update.join();
    }
    EXPECT_THAT(results, testing::Contains(Text()));
    EXPECT_THAT(scratch_.Files(), ElementsAre("b.json", "scenarios.json"));
  }
}

TEST_F(CheckTest, ATargetThatCannotBeWrittenStays) {
  Decode()["latency_seconds"] = 0.5;
  Write(baseline_);
  const std::string before = Text();
  const Outcome outcome =
      RunHere({"check", "b.json", "--update", "--reason", "r", "--output", "no/such/file"});
  ExpectBadInput(outcome, "cannot write 'no/such/file': No such file or directory");
  EXPECT_EQ(Text(), before);
  // A file system that takes no files, whoever asks.
  EXPECT_THAT(
      RunHere({"check", "b.json", "--update", "--reason", "r", "--output", "/proc/version"}).err,
      testing::StartsWith("slicewise: cannot write '/proc/version': "));
}

TEST_F(CheckTest, AReadOnlyBaselineStays) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "permissions do not bind root";
  }
  Decode()["latency_seconds"] = 0.5;
  Write(baseline_);
  std::filesystem::permissions(path("b.json"), std::filesystem::perms(0444));
  const std::string before = Text();
  ExpectBadInput(RunHere({"check", "b.json", "--update", "--reason", "r"}),
                 "cannot write 'b.json': Permission denied");
  EXPECT_EQ(Text(), before);
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
