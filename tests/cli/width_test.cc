// Results in a terminal: no line is wider than it is, and nothing is lost for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "cli_test_util.h"
#include "slicewise/cli/run.h"

namespace slicewise {
namespace {

std::string RunAt(std::size_t width, const Args& args) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = Run(args, out, err, {.width = width});
  EXPECT_NE(code, 2) << err.str();
  return out.str();
}

// Ordinary requests and the widest ones.
std::vector<Args> Requests() {
  const Args large = Words(
      "--model palm-540b-multihead --slice 8x8x16 --decode-batch 4096 --context 100000 --input-len "
      "4096 --top 60");
  return {
      Args{"plan"} + kSetting + Words("--decode-batch 64 --weights int8"),
      Args{"plan"} + kSetting + Words("--layout */*/*/* --top 200"),
      Args{"plan"} + large,
      Words("plan --model gpt-3-175b --slice 1x2x2"),
      Words("plan --model palm-540b --slice 2x2x2 --layout Ex.Fyz/wg-x/Bxyz --batch 100000"),
      Args{"explain"} + kSetting + Words("--decode-batch 64"),
      Args{"explain"} + kSetting + Words("--decode-batch 64 --layout Exy.Fz/wg-xyz/Bxyz"),
      Args{"explain"} + large,
      Words("explain --model mt-nlg-530b --slice 4x4x8_twisted --batch 64"),
      Args{"capacity"} + kSetting,
      Args{"capacity"} + large + Words("--kv-budget 30%"),
      Words("list"),
      Words("list models"),
      Words("list chips"),
      Words("list slices"),
      Words("list calibrations"),
      Words("list layouts"),
      Words("validate"),
  };
}

class WidthTest : public testing::TestWithParam<std::size_t> {};

TEST_P(WidthTest, NoLineIsWiderThanTheTerminal) {
  for (const Args& request : Requests()) {
    std::istringstream lines(RunAt(GetParam(), request));
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), GetParam()) << request[0] << ": " << line;
      EXPECT_TRUE(line.empty() || line.back() != ' ') << request[0] << ": " << line;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Columns, WidthTest, testing::Values(80, 100, 132, 160, 200));

// Every word of the wide form stands in the narrow one as well; '-' fills an empty cell.
TEST(WidthTest, NothingIsLost) {
  for (const Args& request : Requests()) {
    const auto words = [&](std::size_t width) {
      std::set<std::string> set;
      for (std::string word : Words(RunAt(width, request))) {
        word.erase(word.find_last_not_of(',') + 1);
        set.insert(word);
      }
      set.erase("-");
      return set;
    };
    EXPECT_THAT(words(80), testing::IsSupersetOf(words(200))) << request[0];
  }
}

TEST(WidthTest, TheMarkdownAndJsonDoNotDependOnTheTerminal) {
  for (const char* format : {"json", "csv", "markdown"}) {
    const Args args = Args{"plan"} + kSetting + Args{"--format", format};
    EXPECT_EQ(RunAt(80, args), RunAt(200, args));
  }
}

TEST(WidthTest, AFileTakesTheWideForm) {
  const ScratchDirectory scratch;
  const std::string path = (scratch.path() / "result").string();
  for (const Args& request : Requests()) {
    EXPECT_EQ(RunAt(80, request + Args{"--output", path}), "");
    EXPECT_EQ(ReadFile(path), RunAt(200, request)) << request[0];
  }
}

}  // namespace
}  // namespace slicewise
