// Searches over lists from the command line: how they are asked, what is printed, and what is said
// where nothing answers.
#include <fmt/format.h>

#include "run_here_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::StartsWith;

TEST(SweepTest, ListsAndRanges) {
  const std::string plan = "plan --model palm-8b --phase decode ";
  struct Case {
    const char* options;
    const char* member;
    Json expected;
  };
  const std::vector<Case> cases = {
      {"--slice 2x2x2 --batch 1..1024",
       "decode_batches",
       {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}},
      {"--slice 2x2x2 --batch 1,8,64", "decode_batches", {1, 8, 64}},
      {"--slice 2x2x2 --batch 64,1,8,1", "decode_batches", {1, 8, 64}},  // in order, once
      {"--slice 2x2x2 --batch 3..20", "decode_batches", {3, 6, 12}},
      {"--slice 2x2x2 --batch 1,4..16", "decode_batches", {1, 4, 8, 16}},
      {"--slice 2x2x2 --batch 7..7,9", "decode_batches", {7, 9}},
      {"--slice 2x2x2 --batch 1,2 --decode-batch 5,6", "decode_batches", {5, 6}},
      {"--slice 2x2x2 --batch 1,2 --decode-batch 5,6", "prefill_batches", {1, 2}},
      {"--slice 2x2x2 --weights int8,bf16,int8", "weights", {"int8", "bf16"}},
      {"--max-chips 64", "slices", {"1x2x2", "2x2x2", "2x2x4", "2x4x4", "4x4x4"}},
      {"--slice all --max-chips 16", "slices", {"1x2x2", "2x2x2", "2x2x4"}},
      {"--slice 4x4x4,2x2x2,4x4x8 --max-chips 64", "slices", {"4x4x4", "2x2x2"}},
      {"--slice 4x4x4,v4-128,2x2x2", "slices", {"4x4x4", "2x2x2"}},  // v4-128 is 4x4x4
      {"--slice 4x4x8,4x4x8_twisted", "slices", {"4x4x8", "4x4x8_twisted"}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(JsonOf(plan + c.options).at("sweep").at(c.member), c.expected) << c.options;
  }
}

// v4 has four small shapes and the boxes of multiples of 4 within 4096 chips; on all of them
// palm-8b fits.
TEST(SweepTest, AllIsEverySlice) {
  const Json json = JsonOf("plan --model palm-8b --phase decode --slice all --top 1000");
  std::size_t shapes = 4;
  for (int a = 1; a <= 16; ++a) {
    for (int b = a; b <= 64; ++b) {
      for (int c = b; a * b * c <= 64; ++c) {
        ++shapes;  // 4a x 4b x 4c of at most 4096 chips
      }
    }
  }
  EXPECT_EQ(json.at("sweep").at("slices").size(), shapes);
  EXPECT_EQ(json.at("sweep").at("phases").at("decode").at("points").size(), shapes);
}

TEST(SweepTest, OnePointIsAnOrdinaryPlan) {
  for (const char* options : {"--slice 4x4x4 --batch 8", "--slice v4-128 --batch 8..8",
                              "--slice 4x4x4 --max-chips 64 --batch 8,8"}) {
    const Json json = JsonOf(std::string("plan --model palm-8b ") + options);
    EXPECT_FALSE(json.contains("sweep")) << options;
    EXPECT_EQ(json.at("request").at("decode_batch"), 8);
  }
}

TEST(SweepTest, BadLists) {
  const std::string whole = "expected a whole number from ";
  const std::vector<std::pair<Args, std::string>> cases = {
      {{"--batch", "0"}, "--batch: found '0', " + whole + "1 to 1000000000"},
      {{"--batch", ""}, "--batch: found '', " + whole + "1 to 1000000000"},
      {{"--batch", "1,,2"}, "--batch: found '', " + whole + "1 to 1000000000"},
      {{"--batch", "1.."}, "--batch: found '', " + whole + "1 to 1000000000"},
      {{"--batch", "..8"}, "--batch: found '', " + whole + "1 to 1000000000"},
      {{"--batch", "8..1"}, "--batch: found '1', " + whole + "8 to 1000000000"},
      {{"--batch", "1..2..4"}, "--batch: found '2..4', " + whole + "1 to 1000000000"},
      {{"--batch", "1e3"}, "--batch: found '1e3', " + whole + "1 to 1000000000"},
      {{"--batch", "1, 8"}, "--batch: found ' 8', " + whole + "1 to 1000000000"},
      {{"--prefill-batch", "1,x"}, "--prefill-batch: found 'x', " + whole + "1 to 1000000000"},
      {{"--decode-batch", "-1"}, "--decode-batch: found '-1', " + whole + "1 to 1000000000"},
      {{"--weights", "bf16,int4"},
       "--weights: found 'int4', expected bf16, int8; did you mean 'int8'?"},
      {{"--weights", "bf16,"}, "--weights: found '', expected bf16, int8"},
      {{"--max-chips", "3"}, "--max-chips: found 32, expected at least 64 chips, those of 4x4x4"},
      {{"--threads", "0"}, "--threads: found '0', " + whole + "1 to 1000000000"},
      {{"--tpot", "30"},
       "--tpot: found '30', expected a time above zero with its unit, such as '300ms'"},
      {{"--ttft", "0ms"},
       "--ttft: found '0ms', expected a time above zero with its unit, such as '300ms'"},
      {{"--ttft", "2 MB"},
       "--ttft: found '2 MB', expected a time above zero with its unit, such as '300ms'"},
      {{"--min-context", "0"}, "--min-context: found '0', " + whole + "1 to 1000000000"},
      {{"--objective", "costs"},
       "--objective: found 'costs', expected latency, mfu, cost, throughput; did you mean 'cost'?"},
      {{"--layouts", "al"}, "--layouts: found 'al', expected paper, all; did you mean 'all'?"},
  };
  for (const char* command : {"plan", "pareto"}) {
    for (const auto& [options, message] : cases) {
      Args args = Args{command} + Words("--model palm-8b --slice 4x4x4") + options;
      if (options[0] == "--max-chips") {
        args.back() = "32";
      }
      ExpectBadInput(RunHere(args), message);
    }
  }
  ExpectBadInput(RunHere("plan --model palm-8b --max-chips 3"),
                 "--max-chips: found 3, expected at least 4 chips, those of 1x2x2");
  ExpectBadInput(RunHere("plan --model palm-8b --slice 4x4x4,5x5x5"),
                 "slice '5x5x5': tpu-v4 has no such slice (all dimensions multiples of 4, at most "
                 "4096 chips, or a small shape); the nearest is 4x4x4");
  ExpectBadInput(RunHere("plan --model palm-8b"),
                 "--slice is required, for example --slice 4x4x4; --max-chips N searches over all "
                 "slices of at most N chips");
}

// Named before anything is searched, whichever slice it is and however many threads there are.
TEST(SweepTest, ALayoutIsLegalOnEverySliceOrRefused) {
  for (const char* threads : {"1", "4"}) {
    for (const char* command : {"plan", "pareto"}) {
      ExpectBadInput(RunBinary({command, "--model", "palm-8b", "--slice", "1x2x2,2x2x2,4x4x4",
                                "--layout", "Fyz/ws/Byz", "--threads", threads}),
                     "layout 'Fyz/ws/Byz': axis x is missing from the weights part of a layout for "
                     "2x2x2");
    }
  }
  // Axes of length 1 are dropped: this one is legal on all.
  EXPECT_EQ(RunHere("plan --model palm-8b --slice 1x2x2,2x2x2 --layout Fxyz/ws/Bxyz").exit_code, 0);
}

TEST(SweepTest, CommandsThatTakeOneRefuseLists) {
  const std::string only = ": only plan and pareto search over lists";
  for (const std::string command : {"explain", "capacity"}) {
    const std::string with = command + " --model palm-8b ";
    ExpectBadInput(RunHere(with + "--slice 4x4x4,2x2x2"),
                   "--slice: found several, expected one slice" + only);
    ExpectBadInput(RunHere(with + "--slice all"),
                   "--slice: found several, expected one slice" + only);
    ExpectBadInput(RunHere(with + "--slice 4x4x4 --batch 1,8"),
                   "--batch: found several, expected one batch size" + only);
    ExpectBadInput(RunHere(with + "--slice 4x4x4 --prefill-batch 1,8"),
                   "--prefill-batch: found several, expected one batch size" + only);
    ExpectBadInput(RunHere(with + "--slice 4x4x4 --decode-batch 1..8"),
                   "--decode-batch: found several, expected one batch size" + only);
    ExpectBadInput(RunHere(with + "--slice 4x4x4 --weights bf16,int8"),
                   "--weights: found several, expected one weight format" + only);
    ExpectBadInput(RunHere(with + "--max-chips 64"), command + ": '--max-chips' is not an option");
  }
}

// The text says what one layout costs, and the document has both.
TEST(SweepTest, SameLayout) {
  const std::string words =
      "plan --model palm-62b --slice 2x2x2,4x4x4 --batch 1,64 --weights int8 "
      "--objective cost --same-layout";
  const Json sweep = JsonOf(words).at("sweep");
  const Json& one = sweep.at("deployments").at(0);
  const Json& two = sweep.at("with_two_layouts");
  EXPECT_EQ(one.at("prefill_layout"), one.at("decode_layout"));
  EXPECT_NE(two.at("prefill_layout"), two.at("decode_layout"));
  const auto price = [](const Json& deployment) {
    return deployment.at("serving").at("dollars_per_million_tokens").get<double>();
  };
  EXPECT_GT(price(one), price(two));
  EXPECT_THAT(
      RunHere(words).out,
      ContainsRegex(fmt::format(
          "\none layout for both phases: [0-9.]+ m?s and \\${:.3g} per million tokens; with "
          "two [0-9.]+ m?s and \\${:.3g}\n",
          price(one), price(two))));
  EXPECT_TRUE(JsonOf("plan --model palm-62b --slice 2x2x2,4x4x4 --weights int8")
                  .at("sweep")
                  .at("with_two_layouts")
                  .is_null());
}

// What is offered is what asking for it gives.
TEST(OfferTest, ATimeLimit) {
  const std::string asked = "plan --model palm-540b --phase decode --batch 64 --weights int8 ";
  const Outcome outcome = RunHere(asked + "--slice 4x4x4 --tpot 23ms");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(
      outcome.err,
      ContainsRegex(
          "\nslicewise: decode: 23.0 ms per output token needs 128 chips \\(4x4x8, batch 64, int8, "
          "[A-Za-z/.]+, [0-9.]+ ms\\); with 64 the best is [0-9.]+ ms \\(4x4x4, batch 64, int8, "
          "[A-Za-z/.]+\\)\n$"));
  const auto best = [&](const char* slice) {
    const Json json = JsonOf(asked + "--slice " + slice);
    const Json& plan = json.at("phases").at("decode").at("plans").at(0);
    return std::pair(plan.at("step_seconds").get<double>() * 1e3,
                     plan.at("layout").get<std::string>());
  };
  const auto [there, layout_there] = best("4x4x8");
  const auto [here, layout_here] = best("4x4x4");
  EXPECT_LT(there, 23);
  EXPECT_GT(here, 23);
  EXPECT_THAT(outcome.err, HasSubstr(fmt::format("int8, {}, {:.1f} ms)", layout_there, there)));
  EXPECT_THAT(outcome.err, HasSubstr(fmt::format("best is {:.1f} ms (4x4x4, batch 64, int8, {})",
                                                 here, layout_here)));
}

TEST(OfferTest, MemoryContextAndWhatIsOutOfReach) {
  // 540e9 bf16 parameters: 31 GiB a chip on 32.
  const Outcome memory = RunHere("plan --model palm-540b --max-chips 32");
  EXPECT_EQ(memory.exit_code, 3);
  EXPECT_THAT(memory.out, HasSubstr("\nno plan is feasible\n"));
  EXPECT_THAT(
      memory.err,
      StartsWith("slicewise: prefill: fitting in memory needs 64 chips (4x4x4, batch 1, bf16, "));
  EXPECT_THAT(
      memory.err,
      HasSubstr("\nslicewise: decode: fitting in memory needs 64 chips (4x4x4, batch 1, bf16, "));
  // tests/search/sweep_test.cc has the sum.
  const Outcome context = RunHere(
      "plan --model palm-540b --slice 4x4x4 --phase decode --batch 64 --min-context 180000");
  EXPECT_EQ(context.exit_code, 3);
  EXPECT_THAT(context.err, HasSubstr("slicewise: decode: the context needs 128 chips (4x4x8, "));
  for (const char* command : {"plan", "pareto"}) {
    const Outcome never =
        RunHere(std::string(command) + " --model palm-8b --max-chips 64 --batch 1,8 --ttft 1us");
    EXPECT_EQ(never.exit_code, 3);
    EXPECT_THAT(never.err,
                ContainsRegex("^slicewise: prefill: 1.00 us to the first token is out of reach of "
                              "every slice up to 4096 chips; with [0-9]+ the best is [0-9.]+ m?s "
                              "\\([^)]*\\)\n$"));
    EXPECT_THAT(never.out, HasSubstr("\nhard limits: TTFT at most 1.00 us\n"));
    EXPECT_THAT(never.out, HasSubstr("\nno plan is feasible\n"));
    EXPECT_THAT(never.out, HasSubstr("\ndecode: ")) << "the phase with an answer is printed";
  }
}

// A layout that most slices cannot name: only those that can are looked at.
TEST(OfferTest, ALayoutOfTwoAxes) {
  const Outcome outcome =
      RunHere("plan --model palm-540b --slice 1x2x2 --phase decode --layout Fyz/ws/Byz");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err,
              HasSubstr("slicewise: decode: fitting in memory is out of reach of every slice"));
}

const char* const kSweep =
    "plan --model palm-8b --slice 1x2x2,2x2x2 --prefill-batch 1,2 --decode-batch 16,64 --weights "
    "bf16,int8 "
    "--objective cost";

// The document of a sweep is its winner's plan document, with one more member.
TEST(SweepTest, TheDocumentIsTheWinners) {
  const Json json = JsonOf(kSweep);
  const Json& best = json.at("sweep").at("deployments").at(0);
  EXPECT_EQ(json.at("schema"), "slicewise-plan/1");
  EXPECT_EQ(json.at("request").at("slice"), best.at("slice"));
  EXPECT_EQ(json.at("request").at("weights"), best.at("weights"));
  for (const char* member : {"prefill_layout", "decode_layout", "latency_seconds", "mfu",
                             "prefill_batch", "decode_batch", "memory_bytes", "serving"}) {
    EXPECT_EQ(json.at("deployment").at(member), best.at(member)) << member;
  }
  // Planned on its own it is the same.
  const auto word = [&](const char* key) { return best.at(key).get<std::string>(); };
  const auto number = [&](const char* key) { return std::to_string(best.at(key).get<int>()); };
  const Json alone = JsonOf("plan --model palm-8b --objective cost --slice " + word("slice") +
                            " --weights " + word("weights") + " --prefill-batch " +
                            number("prefill_batch") + " --decode-batch " + number("decode_batch"));
  EXPECT_EQ(alone.at("deployment"), json.at("deployment"));
  EXPECT_EQ(alone.at("phases"), json.at("phases"));
  EXPECT_EQ(alone.at("execution"), json.at("execution"));

  const Json one = JsonOf(std::string(kSweep) + " --phase decode");
  const Json& point = one.at("sweep").at("phases").at("decode").at("points").at(0);
  const Json& plan = one.at("phases").at("decode").at("plans").at(0);
  for (const char* member : {"layout", "latency_seconds", "step_seconds", "mfu"}) {
    EXPECT_EQ(plan.at(member), point.at(member)) << member;
  }
  EXPECT_EQ(one.at("request").at("decode_batch"), point.at("batch"));
}

TEST(SweepTest, TheDocumentIsAPlanToVerifyAndExport) {
  const ScratchDirectory scratch;
  const std::string path = (scratch.path() / "sweep.json").string();
  EXPECT_EQ(RunHere(Words(kSweep) + Args{"--format", "json", "--output", path}).exit_code, 0);
  const Outcome verified = RunHere({"verify", path});
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  const Outcome exported = RunHere({"export", path, "--to", "jax"});
  EXPECT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_EQ(Json::parse(exported.out).at("schema"), "slicewise-jax/1");
}

TEST(SweepTest, ThreadsChangeNothing) {
  for (const char* command : {"plan", "pareto"}) {
    const Args args = Args{command} + Words(
                                          "--model palm-62b --max-chips 128 --batch 1..64 "
                                          "--weights bf16,int8 --format json --threads");
    const Outcome one = RunBinary(args + Args{"1"});
    EXPECT_EQ(one.exit_code, 0);
    EXPECT_EQ(one.err, "") << "progress is for people";
    EXPECT_EQ(RunBinary(args + Args{"2"}).out, one.out);
    EXPECT_EQ(RunBinary(args + Args{"256"}).out, one.out);  // as many as there is work for
  }
}

// The commands of docs/search.md print what it shows.
TEST(SearchDocTest, ShowsWhatTheCommandsPrint) {
  std::size_t commands = 0;
  const std::string doc =
      ReadFile(std::filesystem::path(SLICEWISE_SOURCE_DIR) / "docs" / "search.md");
  const std::string prompt = "```\n$ slicewise ";
  for (std::size_t at = doc.find(prompt); at != std::string::npos; at = doc.find(prompt, at + 1)) {
    const std::size_t begin = at + prompt.size();
    const std::size_t end = doc.find('\n', begin);
    const std::string shown = doc.substr(end + 1, doc.find("```\n", end) - end - 1);
    const std::string command = doc.substr(begin, end - begin);
    const std::size_t messages_alone = command.find(" >/dev/null");
    const Outcome outcome = RunHere(command.substr(0, messages_alone));
    EXPECT_EQ(messages_alone == std::string::npos ? outcome.out : outcome.err, shown) << command;
    ++commands;
  }
  EXPECT_EQ(commands, 2U);
}

}  // namespace
}  // namespace slicewise
