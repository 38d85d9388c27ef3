// What the commands print, as it was reviewed. The calibration is `roofline`, whose numbers do not
// change with a fit.
#include "golden.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "slicewise/cli/run.h"

namespace slicewise {
namespace {

std::string RunAt(std::size_t width, const std::string& command, int exit_code = 0) {
  std::istringstream words(command);
  const std::vector<std::string> args{std::istream_iterator<std::string>(words),
                                      std::istream_iterator<std::string>()};
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(Run(args, out, err, {.width = width}), exit_code) << command;
  EXPECT_EQ(err.str(), "") << command;
  return out.str();
}

std::string RunWide(const std::string& command) { return RunAt(Terminal().width, command); }

// The README's example.
const std::string kPlan =
    "plan --model palm-540b --slice 4x4x4 --prefill-batch 1 --decode-batch 64 --weights int8 "
    "--input-len 2048 --output-len 64 --calibration roofline";

TEST(GoldenTest, PlanTable) { ExpectGolden("plan.txt", RunWide(kPlan)); }
TEST(GoldenTest, PlanTableInANarrowTerminal) { ExpectGolden("plan-80.txt", RunAt(80, kPlan)); }
TEST(GoldenTest, PlanJson) { ExpectGolden("plan.json", RunWide(kPlan + " --top 2 --format json")); }
TEST(GoldenTest, PlanCsv) { ExpectGolden("plan.csv", RunWide(kPlan + " --format csv")); }
TEST(GoldenTest, PlanMarkdown) { ExpectGolden("plan.md", RunWide(kPlan + " --format markdown")); }

const std::string kExplain =
    "explain --model palm-540b --slice 4x4x4 --phase decode --batch 64 --weights int8 --layout "
    "Ex.Fyz/ws/Bxyz --calibration roofline";

TEST(GoldenTest, ExplainTable) { ExpectGolden("explain.txt", RunWide(kExplain)); }
TEST(GoldenTest, ExplainTableInANarrowTerminal) {
  ExpectGolden("explain-80.txt", RunAt(80, kExplain));
}
TEST(GoldenTest, ExplainJson) {
  ExpectGolden("explain.json", RunWide(kExplain + " --format json"));
}

// Table 1 of the paper: its context lengths are in the column "max context", within 2 %.
const std::string kCapacity =
    "capacity --model palm-540b --slice 4x4x4 --batch 512 --pad-heads 64 --kv-budget 30% "
    "--calibration roofline";

TEST(GoldenTest, CapacityTable) { ExpectGolden("capacity.txt", RunWide(kCapacity)); }
TEST(GoldenTest, CapacityJson) {
  ExpectGolden("capacity.json", RunWide(kCapacity + " --format json"));
}

// Without the calibrations, which come last: a fit changes them.
TEST(GoldenTest, ListTable) {
  const std::string all = RunWide("list");
  const std::size_t calibrations = all.find("\ncalibrations:\n");
  ASSERT_NE(calibrations, std::string::npos);
  ExpectGolden("list.txt", all.substr(0, calibrations));
}

TEST(GoldenTest, Layouts) { ExpectGolden("list-layouts.txt", RunWide("list layouts")); }

// A baseline with one scenario of every verdict, the last of which makes it exit code 3.
TEST(GoldenTest, Check) {
  const std::string path = "tests/baseline/example.json";
  const std::string root = std::string(SLICEWISE_SOURCE_DIR) + "/";
  for (const auto& [format, name] :
       {std::pair("text", "check.txt"), std::pair("markdown", "check.md"),
        std::pair("github", "check-github.txt"), std::pair("junit", "check-junit.xml")}) {
    std::string text = RunAt(Terminal().width, "check " + root + path + " --format " + format, 3);
    for (std::size_t at = 0; (at = text.find(root)) != std::string::npos;) {
      text.erase(at, root.size());
    }
    ExpectGolden(name, text);
  }
}

TEST(GoldenTest, Help) {
  ExpectGolden("help.txt", RunWide("--help"));
  for (const char* command : {"plan", "pareto", "explain", "export", "capacity", "list", "validate",
                              "calibrate", "check", "diff"}) {
    ExpectGolden(std::string("help-") + command + ".txt",
                 RunWide(std::string(command) + " --help"));
  }
}

}  // namespace
}  // namespace slicewise
