// `slicewise check --init` and `--update`: what is accepted, and what becomes of the file.
#include <sys/stat.h>

#include <thread>

#include "check_test_util.h"

namespace slicewise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

}  // namespace
}  // namespace slicewise
