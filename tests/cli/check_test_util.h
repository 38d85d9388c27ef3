// A baseline of two scenarios in a directory of its own, checked through the binary.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli_test_util.h"

namespace slicewise {

using Json = nlohmann::ordered_json;

inline constexpr const char* kScenarios = R"({
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
    EXPECT_THAT(chat.at("findings").dump(), testing::HasSubstr(finding));
  }

  ScratchDirectory scratch_;
  Json baseline_;
};

}  // namespace slicewise
