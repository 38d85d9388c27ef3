// `slicewise diff`, through the binary: plan documents, baselines, another binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;
using testing::StartsWith;

class DiffTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return scratch_.path() / name;
  }
  [[nodiscard]] Outcome RunHere(const Args& args) const {
    return RunBinary(args, {.directory = scratch_.path()});
  }
  void MakePlan(const std::string& name, const std::string& options) const {
    ASSERT_EQ(RunHere(Words("plan --format json --calibration roofline --model palm-8b --slice "
                            "2x2x2 --output " +
                            name + " " + options))
                  .exit_code,
              0);
  }
  [[nodiscard]] Json Diff(const Args& args) const {
    const Outcome outcome = RunHere(Args{"diff"} + args + Words("--format json"));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(outcome.out);
  }
  // A program that is not slicewise.
  void MakeScript(const std::string& name, const std::string& text) const {
    WriteFile(path(name), "#!/bin/sh\n" + text + "\n");
    ASSERT_EQ(chmod(path(name).c_str(), 0700), 0);
  }

  ScratchDirectory scratch_;
};

TEST_F(DiffTest, OfAPlanWithItselfIsNothing) {
  MakePlan("a.json", "");
  const Json diff = Diff({"a.json", "a.json"});
  EXPECT_EQ(diff.at("compared"), 3);  // prefill, decode, deployment
  EXPECT_TRUE(diff.at("predictions").empty());
  EXPECT_TRUE(diff.at("terms").empty());
  EXPECT_EQ(RunHere(Words("diff a.json a.json")).out,
            "a.json against a.json: 0 of 3 predictions differ\n");
}

// Twice the weights' bytes: decode is slower by what its einsums take longer, and the ops of the
// difference sum to the difference.
TEST_F(DiffTest, NamesTheOpsThatMakeTheDifferenceLargestFirst) {
  MakePlan("int8.json", "--phase decode --weights int8 --batch 8 --layout Exyz/ws/Bxyz");
  MakePlan("bf16.json", "--phase decode --batch 8 --layout Exyz/ws/Bxyz");
  const Json diff = Diff({"int8.json", "bf16.json"});
  ASSERT_EQ(diff.at("predictions").size(), 1U);
  const Json& decode = diff.at("predictions").at(0);
  const double before = decode.at("before").at("latency_seconds");
  const double after = decode.at("after").at("latency_seconds");
  EXPECT_NEAR(decode.at("latency_change"), after / before - 1, 1e-12);
  ASSERT_FALSE(diff.at("terms").empty());
  EXPECT_THAT(diff.at("terms").at(0).at("op").get<std::string>(), HasSubstr("einsum"));
  double sum = 0;
  double last = 1e9;
  for (const Json& term : diff.at("terms")) {
    const double change = term.at("change_seconds");
    EXPECT_NEAR(change,
                term.at("after_seconds").get<double>() - term.at("before_seconds").get<double>(),
                1e-15);
    EXPECT_LE(std::abs(change), last);
    last = std::abs(change);
    sum += change;
  }
  EXPECT_NEAR(sum, after - before, 1e-9 * after);
}

TEST_F(DiffTest, EveryFormat) {
  MakePlan("a.json", "--batch 8");
  MakePlan("b.json", "--batch 16");
  const std::string table = RunHere(Words("diff a.json b.json --top 1")).out;
  EXPECT_THAT(table, HasSubstr("b.json against a.json: 3 of 3 predictions differ"));
  EXPECT_THAT(table, HasSubstr(" smaller ones are not shown\n"));
  const std::string csv = RunHere(Words("diff a.json b.json --format csv")).out;
  EXPECT_THAT(csv, StartsWith("scenario,target,op,before_seconds,after_seconds,change_seconds\n"
                              "plan,"));
  EXPECT_EQ(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')),
            Diff({"a.json", "b.json"}).at("terms").size() + 1);
  EXPECT_THAT(RunHere(Words("diff a.json b.json --format markdown")).out, HasSubstr("| --- |"));
}

// A baseline says of the same request what a plan document says, to the nine digits that it keeps.
TEST_F(DiffTest, BaselinesAndPlansSayTheSame) {
  WriteFile(path("s.json"),
            R"({"scenarios": [{"name": "plan", "model": "palm-8b", "slice": "2x2x2",
                "calibration": "roofline"}]})");
  ASSERT_EQ(RunHere(Words("check --init s.json --output b.json")).exit_code, 0);
  MakePlan("p.json", "");
  const Json diff = Diff({"p.json", "b.json"});
  EXPECT_EQ(diff.at("compared"), 3);
  for (const Json& row : diff.at("predictions")) {
    EXPECT_EQ(row.at("before").at("layout"), row.at("after").at("layout"));
    EXPECT_NEAR(row.at("latency_change"), 0, 1e-8);
  }
  for (const Json& term : diff.at("terms")) {
    const double before = term.at("before_seconds");
    EXPECT_NEAR(term.at("change_seconds"), 0, 1e-8 * before) << term;
  }
}

TEST_F(DiffTest, ScenariosOfOneSideAreNamed) {
  const auto baseline = [&](const std::string& file, const std::string& names) {
    std::string scenarios;
    for (char name : names) {
      scenarios += std::string(scenarios.empty() ? "" : ",") + R"({"name": ")" + name +
                   R"(", "model": "palm-8b", "slice": "2x2x2", "phase": "decode"})";
    }
    WriteFile(path("s.json"), R"({"scenarios": [)" + scenarios + "]}");
    ASSERT_EQ(RunHere({"check", "--init", "s.json", "--output", file}).exit_code, 0);
  };
  baseline("ab.json", "ab");
  baseline("bc.json", "bc");
  const Json diff = Diff({"ab.json", "bc.json"});
  EXPECT_EQ(diff.at("removed"), Json({"a"}));
  EXPECT_EQ(diff.at("added"), Json({"c"}));
  EXPECT_EQ(diff.at("compared"), 1);
}

TEST_F(DiffTest, AScenarioThatCeasesToFitComesFirst) {
  const std::string source = SLICEWISE_SOURCE_DIR;
  const Outcome updated = RunHere({"check", source + "/tests/baseline/example.json", "--update",
                                   "--reason", "test", "--output", "new.json"});
  ASSERT_EQ(updated.exit_code, 0) << updated.err;
  const Json diff = Diff({source + "/tests/baseline/example.json", "new.json"});
  std::vector<std::string> names;
  for (const Json& row : diff.at("predictions")) {
    names.push_back(row.at("scenario"));
  }
  EXPECT_THAT(names, testing::ElementsAre("too small a slice", "fits now", "slower", "faster",
                                          "another layout", "another layout", "another layout"));
  EXPECT_TRUE(diff.at("predictions").at(0).at("after").is_null());
}

TEST_F(DiffTest, GridOfTheSameBinaryIsEqual) {
  const Json diff = Diff({"--grid", SLICEWISE_BINARY});
  EXPECT_GT(diff.at("compared"), 150);
  EXPECT_TRUE(diff.at("predictions").empty());
  EXPECT_TRUE(diff.at("removed").empty());
  EXPECT_TRUE(diff.at("added").empty());
}

// An older binary that predicts twice the latency of everything, in one call.
TEST_F(DiffTest, GridOfAnotherBinaryTellsWhatItPredicts) {
  WriteFile(path("s.json"),
            R"({"scenarios": [{"name": "a", "model": "palm-8b", "slice": "2x2x2",
                "phase": "decode", "layout": "Exyz/ws/Bxyz"}]})");
  MakeScript("old", "echo $@ >> calls; " SLICEWISE_BINARY
                    " $@ | sed 's/\"latency_seconds\": .*/\"latency_seconds\": 1000000.0,/'");
  const Json diff = Diff({"--grid", "./old", "--scenarios", "s.json"});
  EXPECT_EQ(ReadFile(path("calls")), "check --init -\n");
  ASSERT_EQ(diff.at("predictions").size(), 1U);
  EXPECT_EQ(diff.at("predictions").at(0).at("before").at("latency_seconds"), 1e6);
}

TEST_F(DiffTest, BadInput) {
  const std::string expected = "diff: expected two files, or --grid with another slicewise binary";
  MakePlan("a.json", "");
  ExpectBadInput(RunHere(Words("diff")), expected);
  ExpectBadInput(RunHere(Words("diff a.json")), expected);
  ExpectBadInput(RunHere(Words("diff a.json --grid x")), expected);
  ExpectBadInput(RunHere(Words("diff a.json a.json --scenarios grid")),
                 "diff: --scenarios goes with --grid");
  ExpectBadInput(RunHere(Words("diff a.json a.json --top 0")),
                 "--top: found '0', expected a whole number from 1 to 1000000000");
  ExpectBadInput(RunHere(Words("diff a.json b.json")),
                 "cannot read 'b.json': No such file or directory");
  ExpectBadInput(RunHere(Words("diff --grid ./none")),
                 "cannot run './none': No such file or directory");
  ExpectBadInput(RunHere(Words("diff --grid a.json --scenarios gird")),
                 "scenarios 'gird': no such preset or file; did you mean 'grid'?");
  WriteFile(path("other.json"), R"({"schema": "slicewise-verify/1"})");
  ExpectBadInput(RunHere(Words("diff a.json other.json")),
                 "other.json: /schema: found 'slicewise-verify/1', expected "
                 "'slicewise-baseline/1' or 'slicewise-plan/1'");
  MakeScript("fails", "echo 'fails: no such command' >&2; exit 2");
  ExpectBadInput(RunHere(Words("diff --grid ./fails")),
                 "'./fails check --init -' ended with 2: fails: no such command");
  MakeScript("silent", "true");
  EXPECT_THAT(RunHere(Words("diff --grid ./silent")).err,
              StartsWith("slicewise: ./silent: line 1, column 1: "));
}

}  // namespace
}  // namespace slicewise
