// Requests by the line: `slicewise plan --scenarios`.
#include "run_here_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

// Five lines and an empty one: a plan, a bad slice, one that nothing answers, no JSON, lists.
const char* const kScenarios =
    R"({"name": "first", "model": "palm-8b", "slice": "2x2x2", "phase": "decode", "batch": 8}

{"name": "second", "model": "palm-8b", "slice": "9x9x9"}
{"name": "third", "model": "palm-540b", "max_chips": 32, "phase": "decode", "comment": "none"}
not JSON
{"model": "palm-8b", "max_chips": 8, "phase": "decode", "batch": "1..4", "weights": "bf16,int8"}
)";

void ExpectAnswers(const std::string& out) {
  std::vector<Json> answers;
  for (const std::string& line : LinesOf(out)) {
    answers.push_back(Json::parse(line));
  }
  ASSERT_EQ(answers.size(), 5U);
  const std::vector<int> lines = {1, 3, 4, 5, 6};
  const std::vector<std::string> schemas = {"slicewise-plan/1", "slicewise-error/1",
                                            "slicewise-plan/1", "slicewise-error/1",
                                            "slicewise-plan/1"};
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].at("line"), lines[i]);
    EXPECT_EQ(answers[i].at("schema"), schemas[i]);
  }
  EXPECT_EQ(answers[0].at("name"), "first");
  EXPECT_EQ(answers[1].at("name"), "second");
  EXPECT_EQ(answers[2].at("name"), "third");
  EXPECT_FALSE(answers[4].contains("name"));
  EXPECT_EQ(answers[0].at("request").at("decode_batch"), 8);
  EXPECT_THAT(answers[1].at("error").get<std::string>(),
              HasSubstr("line 3: /slice: slice '9x9x9': tpu-v4 has no such slice"));
  EXPECT_TRUE(answers[2].at("phases").at("decode").at("plans").empty());
  EXPECT_EQ(answers[4].at("sweep").at("decode_batches"), Json({1, 2, 4}));
}

TEST(ScenariosTest, EveryLineIsAnsweredInOrder) {
  const ScratchDirectory scratch;
  const std::string path = (scratch.path() / "requests.jsonl").string();
  WriteFile(path, kScenarios);
  const Outcome outcome = RunHere({"plan", "--scenarios", path});
  EXPECT_EQ(outcome.exit_code, 2) << "two lines are bad";
  ExpectAnswers(outcome.out);
  const std::vector<std::string> errors = LinesOf(outcome.err);
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_THAT(errors[0], StartsWith("slicewise: " + path + " line 3: /slice: "));
  EXPECT_THAT(errors[1], StartsWith("slicewise: " + path + " line 5: line 1, column 2: "));

  // The first line alone: exit code 0, and the document that plan prints for it.
  WriteFile(path, LinesOf(kScenarios)[0]);
  const Outcome good = RunHere({"plan", "--scenarios", path});
  EXPECT_EQ(good.exit_code, 0);
  Json answer = Json::parse(good.out);
  answer.erase("line");
  answer.erase("name");
  EXPECT_EQ(answer, JsonOf("plan --model palm-8b --slice 2x2x2 --phase decode --batch 8"));

  // A request that nothing answers is answered.
  WriteFile(path, LinesOf(kScenarios)[3]);
  EXPECT_EQ(RunHere({"plan", "--scenarios", path}).exit_code, 0);
}

TEST(ScenariosTest, FromStandardInputAndIntoAFile) {
  const ScratchDirectory scratch;
  WriteFile(scratch.path() / "requests.jsonl", kScenarios);
  const Process from_input = {.directory = scratch.path(),
                              .input = (scratch.path() / "requests.jsonl").string()};
  const Outcome outcome = RunBinary({"plan", "--scenarios", "-"}, from_input);
  EXPECT_EQ(outcome.exit_code, 2);
  ExpectAnswers(outcome.out);
  EXPECT_THAT(outcome.err, StartsWith("slicewise: standard input line 3: /slice: "));

  WriteFile(scratch.path() / "answers.jsonl", std::string(100000, 'x'));
  const Outcome written = RunBinary(
      {"plan", "--scenarios", "-", "--output", "answers.jsonl", "--threads", "2"}, from_input);
  EXPECT_EQ(written.exit_code, 2);
  EXPECT_EQ(written.out, "");
  EXPECT_EQ(written.err, outcome.err);
  EXPECT_EQ(ReadFile(scratch.path() / "answers.jsonl"), outcome.out);
  EXPECT_EQ(scratch.Files(), (std::vector<std::string>{"answers.jsonl", "requests.jsonl"}));
}

TEST(ScenariosTest, ALineThatIsNoUtf8IsAnErrorLikeAnyOther) {
  const ScratchDirectory scratch;
  const std::string path = (scratch.path() / "requests.jsonl").string();
  WriteFile(path, "{\"name\": \"\xff\"}\n" + LinesOf(kScenarios)[0] + "\n");
  const Outcome outcome = RunHere({"plan", "--scenarios", path});
  EXPECT_EQ(outcome.exit_code, 2);
  const std::vector<std::string> answers = LinesOf(outcome.out);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(Json::parse(answers[0]).at("schema"), "slicewise-error/1");
  EXPECT_EQ(Json::parse(answers[1]).at("name"), "first");
}

TEST(ScenariosTest, WhatWouldBeIgnoredIsRefused) {
  ExpectBadInput(RunHere("plan --scenarios f.jsonl --model palm-8b"),
                 "--model: found a value, expected none beside --scenarios: each line is a whole "
                 "request");
  ExpectBadInput(RunHere("plan --scenarios f.jsonl --same-layout"),
                 "--same-layout: found a value, expected none beside --scenarios: each line is a "
                 "whole request");
  ExpectBadInput(RunHere("plan --scenarios /no/such.jsonl"), "cannot read '/no/such.jsonl'");
  const ScratchDirectory scratch;
  const std::string path = (scratch.path() / "f.jsonl").string();
  WriteFile(path, R"({"model": "palm-8b", "slice": "2x2x2", "batchs": 8})");
  EXPECT_THAT(RunHere({"plan", "--scenarios", path}).err,
              StartsWith("slicewise: " + path + " line 1: /batchs: "));
  WriteFile(path, R"({"model": "palm-8b", "slice": "2x2x2", "batch": "1..x"})");
  EXPECT_EQ(RunHere({"plan", "--scenarios", path}).err,
            "slicewise: " + path +
                " line 1: /batch: found 'x', expected a whole number from 1 to 1000000000\n");
}

}  // namespace
}  // namespace slicewise
