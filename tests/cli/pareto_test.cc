// `slicewise pareto`: its formats, its points and its chart.
#include "run_here_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

const char* const kPareto = "pareto --model palm-8b --max-chips 64 --batch 1..64";

// The same points in all four formats, of both phases and of deployments.
TEST(ParetoTest, EveryFormatHasThePoints) {
  const Json json = JsonOf(kPareto);
  EXPECT_EQ(json.at("schema"), "slicewise-pareto/1");
  std::size_t points = json.at("deployments").size();
  for (const char* phase : {"prefill", "decode"}) {
    points += json.at("phases").at(phase).at("points").size();
  }
  EXPECT_GT(points, 10U);
  const auto run = [](const char* format) {
    const Outcome outcome = RunHere(std::string(kPareto) + " --format " + format);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    return LinesOf(outcome.out);
  };
  EXPECT_EQ(run("csv").size(), 1 + points);
  const auto rows = [&](const char* format, const std::string& begin) {
    std::size_t count = 0;
    for (const std::string& line : run(format)) {
      const std::string text = line.substr(std::min(line.size(), line.find_first_not_of(' ')));
      count += text.starts_with(begin) && text.size() > begin.size() &&
                       std::isdigit(static_cast<unsigned char>(text[begin.size()])) != 0
                   ? 1
                   : 0;
    }
    return count;
  };
  EXPECT_EQ(rows("markdown", "| "), points);
  // In the table: rank, slice, ...; text before the tables begins with a digit once (the lengths).
  EXPECT_GE(rows("table", ""), points);
  const Outcome table = RunHere(std::string(kPareto) + " --format table");
  EXPECT_THAT(table.out, HasSubstr("\nprefill: no other is both faster and cheaper\n"));
  EXPECT_THAT(table.out, HasSubstr("\nboth phases on one slice, with shared weights\n"));
  EXPECT_THAT(table.out, HasSubstr("$ per million tokens over time per output token; chips: a "));
}

TEST(ParetoTest, NothingIsBeatenInBoth) {
  const Json json = JsonOf(std::string(kPareto) + " --weights bf16,int8");
  const auto check = [](const Json& points, const char* wait) {
    ASSERT_GT(points.size(), 1U);
    for (std::size_t i = 1; i < points.size(); ++i) {
      EXPECT_LT(points[i - 1].at(wait), points[i].at(wait));
      EXPECT_GT(points[i - 1].at("dollars_per_million_tokens"),
                points[i].at("dollars_per_million_tokens"));
    }
  };
  check(json.at("phases").at("prefill").at("points"), "latency_seconds");
  check(json.at("phases").at("decode").at("points"), "step_seconds");
}

TEST(ParetoTest, OneLayoutForBothPhases) {
  const Json two = JsonOf(kPareto).at("deployments");
  const Json one = JsonOf(std::string(kPareto) + " --same-layout").at("deployments");
  ASSERT_GT(one.size(), 5U);
  for (const Json& point : one) {
    EXPECT_EQ(point.at("prefill_layout"), point.at("decode_layout"));
  }
  const auto cheapest = [](const Json& points) {
    return points.back().at("serving").at("dollars_per_million_tokens").get<double>();
  };
  EXPECT_GE(cheapest(one), cheapest(two));
  EXPECT_LT(cheapest(one), 1.5 * cheapest(two));
}

// Tables, charts, legends and limits within the terminal.
TEST(ParetoTest, NoLineIsWiderThanTheTerminal) {
  const std::string wide =
      " --model palm-540b --slice all --max-chips 512 --batch 1,32,1024 "
      "--weights bf16,int8 --ttft 60s --tpot 200ms --min-context 4096";
  for (std::size_t width : {80U, 120U}) {
    for (const char* command : {"plan", "pareto"}) {
      const Outcome outcome = RunHere(Words(command + wide), {.width = width});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      for (const std::string& line : LinesOf(outcome.out)) {
        EXPECT_LE(line.size(), width) << line;
        EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
      }
    }
  }
}

// A mark for each point, unless two share a place: the corners hold the ends.
TEST(ParetoTest, TheChartHoldsTheFront) {
  const Outcome outcome =
      RunHere(Words("pareto --model palm-62b --slice 2x2x2,4x4x4 --batch 1,64,512 --phase decode"),
              {.width = 80});
  std::vector<std::string> rows;
  for (const std::string& line : LinesOf(outcome.out)) {
    if (line.find(" |") == 9) {
      rows.push_back(line.substr(11));
    }
  }
  ASSERT_EQ(rows.size(), 14U);
  EXPECT_EQ(rows.front().front(), 'b') << "the fastest and dearest: 64 chips";
  EXPECT_EQ(rows.back().back(), 'a') << "the slowest and cheapest: 8 chips";
  EXPECT_EQ(rows.back().size(), 69U);  // 80 - 9 - 2
  EXPECT_THAT(outcome.out, HasSubstr("chips: a 8, b 64\n"));
}

}  // namespace
}  // namespace slicewise
