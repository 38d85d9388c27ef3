// What the commands promise, through the binary: exit codes, notes, formats, files, help.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "cli_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::vector<std::string> kFormats = {"table", "json", "csv", "markdown"};

// One request of every command that prints results, without the calibration's numbers.
std::vector<Args> Requests() {
  const Args setting = kSetting + Words("--calibration roofline --decode-batch 64");
  return {Args{"plan"} + setting,     Args{"explain"} + setting,
          Args{"capacity"} + setting, Words("list"),
          Words("list layouts"),      Words("validate --calibration roofline")};
}

Outcome Plan(const std::string& more) { return RunBinary(Args{"plan"} + kSetting + Words(more)); }

std::string DataPath(const std::string& name) {
  return std::string(SLICEWISE_SOURCE_DIR) + "/tests/config/data/" + name + ".json";
}

TEST(CommandTest, EveryFormatOfEveryCommand) {
  for (const Args& request : Requests()) {
    for (const std::string& format : kFormats) {
      SCOPED_TRACE(request[0] + " " + format);
      const Outcome outcome = RunBinary(request + Args{"--format", format});
      EXPECT_EQ(outcome.exit_code, 0);
      EXPECT_EQ(outcome.err, "");
      EXPECT_GT(outcome.out.size(), 200U);
      EXPECT_EQ(outcome.out.back(), '\n');
      EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b"))) << "escape codes";
      if (format == "json") {
        EXPECT_EQ(Json::parse(outcome.out).at("schema").get<std::string>().substr(0, 10),
                  "slicewise-");
      }
      if (format == "markdown") {
        EXPECT_THAT(outcome.out, HasSubstr("\n| "));
        EXPECT_THAT(outcome.out, HasSubstr("| --- |"));
      }
      if (format == "csv") {
        EXPECT_THAT(outcome.out.substr(0, outcome.out.find('\n')), HasSubstr(","));
      }
    }
  }
}

TEST(CommandTest, OutputIsTheSameEveryTime) {
  for (const Args& request : Requests()) {
    for (const std::string& format : kFormats) {
      const Args args = request + Args{"--format", format};
      EXPECT_EQ(RunBinary(args).out, RunBinary(args).out) << request[0] << " " << format;
    }
  }
  EXPECT_EQ(RunBinary(Words("calibrate pope2022 -o -")).out,
            RunBinary(Words("calibrate pope2022 -o -")).out);
}

TEST(CommandTest, PresetsAreFoundFromAnyDirectory) {
  const ScratchDirectory scratch;
  const Args args = Args{"plan"} + kSetting;
  EXPECT_EQ(RunBinary(args, {.directory = scratch.path()}).out,
            RunBinary(args, {.directory = SLICEWISE_SOURCE_DIR}).out);
}

TEST(CommandTest, OutputWritesWhatStdoutWouldPrint) {
  const ScratchDirectory scratch;
  for (const Args& request : Requests()) {
    for (const std::string& format : kFormats) {
      SCOPED_TRACE(request[0] + " " + format);
      const Args args = request + Args{"--format", format};
      const std::string old(100000, 'x');  // longer than any result: it is replaced whole
      WriteFile(scratch.path() / "result", old);
      const Outcome outcome =
          RunBinary(args + Args{"--output", "result"}, {.directory = scratch.path()});
      EXPECT_EQ(outcome.exit_code, 0);
      EXPECT_EQ(outcome.out, "");
      EXPECT_EQ(ReadFile(scratch.path() / "result"), RunBinary(args).out);
      EXPECT_EQ(scratch.Files(), std::vector<std::string>{"result"});
    }
  }
}

TEST(CommandTest, OutputToADashIsStdout) {
  const Args args = Args{"plan"} + kSetting;
  EXPECT_EQ(RunBinary(args + Words("--output -")).out, RunBinary(args).out);
}

TEST(CommandTest, AReplacedFileKeepsItsModeAndItsLink) {
  const ScratchDirectory scratch;
  const auto file = scratch.path() / "file";
  WriteFile(file, "before");
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  std::filesystem::create_symlink("file", scratch.path() / "link");
  EXPECT_EQ(RunBinary(Words("list chips --output link"), {.directory = scratch.path()}).exit_code,
            0);
  EXPECT_TRUE(std::filesystem::is_symlink(scratch.path() / "link"));
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(ReadFile(file), RunBinary(Words("list chips")).out);
}

// /dev/null must survive `--output /dev/null`.
TEST(CommandTest, WhatIsNoRegularFileIsWrittenInPlace) {
  const ScratchDirectory scratch;
  const std::string path = (scratch.path() / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  const Outcome outcome = RunBinary({"list", "chips", "--output", path});
  std::string text(65536, '\0');
  const ssize_t size = read(reader, text.data(), text.size());
  close(reader);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(text, RunBinary(Words("list chips")).out);
  EXPECT_TRUE(std::filesystem::is_fifo(path));
}

// Without --format the output file's name says which.
TEST(CommandTest, TheFormatFollowsTheNameOfTheFile) {
  for (const auto& [ending, format] : {std::pair(".json", "json"), std::pair(".csv", "csv"),
                                       std::pair(".md", "markdown"), std::pair(".txt", "table")}) {
    const std::string path = testing::TempDir() + "named" + ending;
    ASSERT_EQ(RunBinary({"list", "chips", "--output", path}).exit_code, 0);
    EXPECT_EQ(ReadFile(path), RunBinary({"list", "chips", "--format", format}).out) << ending;
    std::filesystem::remove(path);
  }
}

TEST(CommandTest, WhatDoesNotFitExitsWith3) {
  const Outcome outcome = RunBinary(Words("plan --model palm-540b --slice 2x2x2"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err,
              StartsWith("slicewise: prefill: no layout fits; the nearest, Exyz/ws/Hxyz, needs "));
  EXPECT_THAT(outcome.err, HasSubstr("\nslicewise: decode: no layout fits; the nearest, "));
  EXPECT_THAT(outcome.out, HasSubstr("rejected (do not fit in memory: "));
  EXPECT_THAT(outcome.out, HasSubstr("\nnearest: Exyz/ws/Hxyz needs "));

  const Json json =
      Json::parse(RunBinary(Words("plan --model palm-540b --slice 2x2x2 --format json")).out);
  const Json& rejected = json.at("phases").at("prefill").at("rejected");
  EXPECT_TRUE(json.at("phases").at("prefill").at("plans").empty());
  EXPECT_TRUE(json.at("deployment").is_null());
  EXPECT_EQ(rejected.at("count"), rejected.at("by_reason").at("memory"));
  const Json& violation = rejected.at("nearest").at("violations").at(0);
  EXPECT_GT(violation.at("needed"), violation.at("available"));
  EXPECT_EQ(violation.at("unit"), "bytes");
}

TEST(CommandTest, ALayoutThatIsNamedIsPricedEvenIfItDoesNotFit) {
  const Args setting = Words("--model palm-540b --slice 2x2x2 --layout Exyz/ws/Bxyz --batch 8");
  const Outcome outcome = RunBinary(Args{"plan"} + setting);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.out, HasSubstr("\n1  Exyz/ws/Bxyz  "));
  EXPECT_THAT(outcome.out, HasSubstr("!\n")) << "the memory that does not fit is marked";
  EXPECT_THAT(
      outcome.err,
      StartsWith("slicewise: prefill: Exyz/ws/Bxyz needs 128 GiB per chip, has 30.8 GiB\n"));

  const Json json = Json::parse(RunBinary(Args{"plan"} + setting + Words("--format json")).out);
  const Json& plan = json.at("phases").at("decode").at("plans").at(0);
  EXPECT_FALSE(plan.at("fits"));
  EXPECT_EQ(plan.at("violations").at(0).at("needed"), plan.at("memory").at("total_bytes"));
  EXPECT_EQ(plan.at("violations").at(0).at("available"), plan.at("memory").at("capacity_bytes"));
  EXPECT_GT(plan.at("latency_seconds"), 0);

  const Outcome explained = RunBinary(Args{"explain"} + setting);
  EXPECT_EQ(explained.exit_code, 3);
  EXPECT_THAT(explained.out, HasSubstr("prefill: Exyz/ws/Bxyz ("));
}

TEST(CommandTest, HeadsThatFitNoLayoutExitWith3) {
  for (const char* command : {"plan", "explain"}) {
    const Outcome outcome = RunBinary(
        Args{command} + kSetting + Words("--phase decode --layout Ex.Fyz/ws/Bxyz --pad-heads 49"));
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_EQ(outcome.err, "slicewise: decode: no legal layout holds exactly 49 heads\n");
  }
  const Outcome fewer = Plan("--phase decode --pad-heads 47");  // palm-540b has 48
  EXPECT_EQ(fewer.exit_code, 3);
  EXPECT_EQ(fewer.err, "slicewise: decode: no legal layout holds exactly 47 heads\n");
}

TEST(CommandTest, ACacheThatFitsNowhereExitsWith3) {
  const Outcome outcome = RunBinary(Words("capacity --model palm-540b --slice 2x2x2"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.err, "slicewise: nothing fits: no layout has room for a KV cache\n");
}

TEST(CommandTest, ValidateExitsWith1BeyondItsLimits) {
  const Args validate = Words("validate --calibration roofline");
  EXPECT_EQ(RunBinary(validate + Words("--max-median-error 99% --max-p90-error 0.99")).exit_code,
            0);
  const Outcome median = RunBinary(validate + Words("--max-median-error 0.1%"));
  EXPECT_EQ(median.exit_code, 1);
  EXPECT_THAT(median.err, StartsWith("slicewise: median error "));
  EXPECT_THAT(median.err, HasSubstr("% exceeds the limit 0.1%\n"));
  EXPECT_EQ(median.out, RunBinary(validate).out) << "the results are printed all the same";
  const Outcome p90 = RunBinary(validate + Words("--max-p90-error 0.002"));
  EXPECT_EQ(p90.exit_code, 1);
  EXPECT_THAT(p90.err, StartsWith("slicewise: 90th percentile error "));
}

TEST(CommandTest, ACalibrationThatWasFittedIsOneThatLoads) {
  const ScratchDirectory scratch;
  const Process here = {.directory = scratch.path()};
  const Outcome outcome = RunBinary(Words("calibrate pope2022 -o own.json --name own"), here);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("matmul_efficiency"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\r"))) << "progress is for people";
  const Outcome plan =
      RunBinary(Args{"plan"} + kSetting + Words("--calibration own.json --format json"), here);
  EXPECT_EQ(Json::parse(plan.out).at("request").at("calibration"), "own");
}

TEST(CommandTest, ContextWithoutInputIsDecodeOnly) {
  const Outcome outcome = Plan("--context 100 --format json");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "slicewise: note: --input-len is 0: prefill is not planned\n");
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json.at("request").at("input_length"), 0);
  EXPECT_EQ(json.at("request").at("context"), 100);
  EXPECT_EQ(json.at("request").at("phases"), Json({"decode"}));
  EXPECT_FALSE(json.at("phases").contains("prefill"));
  EXPECT_EQ(json.at("provenance").at("notes"), Json({"--input-len is 0: prefill is not planned"}));
}

TEST(CommandTest, ContextWithInputIsBothPhases) {
  const Json json = Json::parse(Plan("--context 100 --input-len 20 --format json").out);
  EXPECT_EQ(json.at("request").at("phases"), Json({"prefill", "decode"}));
}

TEST(CommandTest, NoOutputIsPrefillOnly) {
  const Outcome outcome = Plan("--output-len 0");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "slicewise: note: --output-len is 0: decode is not planned\n");
  EXPECT_THAT(outcome.out, Not(HasSubstr("\ndecode:")));
}

TEST(CommandTest, TheDefaultsAreTheDocumentedOnes) {
  const Json request = Json::parse(Plan("--format json").out).at("request");
  const Json expected = {{"model", "palm-540b"},
                         {"chip", "tpu-v4"},
                         {"slice", "4x4x4"},
                         {"accelerator_type", "v4-128"},
                         {"chips", 64},
                         {"tensor_cores", 128},
                         {"phases", {"prefill", "decode"}},
                         {"prefill_batch", 1},
                         {"decode_batch", 1},
                         {"input_length", 2048},
                         {"output_length", 64},
                         {"context", 0},
                         {"fixed_context", false},
                         {"weights", "bf16"},
                         {"activations", "bf16"},
                         {"kv_cache", "bf16"},
                         {"logits", "last"},
                         {"scope", "end-to-end"},
                         {"padded_heads", nullptr},
                         {"layout", "*/*/*"},
                         {"layouts", "paper"},
                         {"same_layout", false},
                         {"prefill_chunk", nullptr},
                         {"ttft_seconds", nullptr},
                         {"tpot_seconds", nullptr},
                         {"min_context", nullptr},
                         {"objective", "latency"},
                         {"calibration", "tpu-v4"},
                         {"network", "torus"}};
  EXPECT_EQ(request, expected);
}

TEST(CommandTest, EveryOptionReachesTheRequest) {
  const Json request =
      Json::parse(Plan("--batch 8 --decode-batch 16 --input-len 10 --output-len 20 --context 30 "
                       "--fixed-context --weights int8 --activations int8 --kv-cache int8 --logits "
                       "all --scope layers --pad-heads 64 --layout */ws/* --objective cost "
                       "--calibration roofline --network paper --chip tpu-v4 --format json")
                      .out)
          .at("request");
  const Json expected = {
      {"prefill_batch", 8},  {"decode_batch", 16},    {"input_length", 10},
      {"output_length", 20}, {"context", 30},         {"fixed_context", true},
      {"weights", "int8"},   {"activations", "int8"}, {"kv_cache", "int8"},
      {"logits", "all"},     {"scope", "layers"},     {"padded_heads", 64},
      {"layout", "*/ws/*"},  {"objective", "cost"},   {"calibration", "roofline"},
      {"network", "paper"}};
  for (const auto& [key, value] : expected.items()) {
    EXPECT_EQ(request.at(key), value) << key;
  }
}

TEST(CommandTest, TopIsTheNumberOfPlans) {
  for (int top : {1, 3, 56, 1000}) {
    const Json json =
        Json::parse(Plan("--phase decode --format json --top " + std::to_string(top)).out);
    EXPECT_EQ(json.at("phases").at("decode").at("plans").size(), std::min(top, 56)) << top;
  }
}

TEST(CommandTest, AnAcceleratorTypeIsItsSlice) {
  EXPECT_EQ(RunBinary(Words("plan --model palm-540b --slice v4-128")).out, Plan("").out);
}

TEST(CommandTest, AnApproximationOfAModelIsNoted) {
  const std::string window =
      "slicewise: note: attention slides over a window of 4,096 tokens; its KV cache is priced as "
      "full attention on every layer, an upper bound\n";
  for (const char* command : {"plan", "explain", "capacity"}) {
    const Outcome outcome =
        RunBinary({command, "--model", DataPath("mistral-7b"), "--slice", "2x2x2"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, window);
    EXPECT_THAT(outcome.out, Not(HasSubstr("window"))) << "notes are not results";
  }
  const Outcome exact = RunBinary({"plan", "--model", DataPath("gemma-7b"), "--slice", "2x2x2"});
  EXPECT_EQ(exact.exit_code, 0);
  EXPECT_EQ(exact.err, "");
}

TEST(CommandTest, AModelFromStandardInput) {
  const Outcome outcome = RunBinary(Words("plan --model - --slice 2x2x2 --format json"),
                                    {.input = DataPath("gemma-7b")});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out).at("provenance").at("model"), "standard input");
}

TEST(HelpTest, Version) {
  const Outcome outcome = RunBinary({"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "slicewise " SLICEWISE_VERSION "\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(HelpTest, NamesEveryCommand) {
  const Outcome outcome = RunBinary({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(RunBinary({"-h"}).out, outcome.out);
  for (const char* command : {"plan", "explain", "capacity", "validate", "calibrate", "list"}) {
    EXPECT_THAT(outcome.out, HasSubstr("\n  " + std::string(command) + " "));
  }
}

// The common options of docs/cli.md.
TEST(HelpTest, NamesEveryCommonOption) {
  const Args common = Words(
      "--model --chip --slice --phase --batch --prefill-batch --decode-batch --input-len "
      "--output-len --context --fixed-context --weights --activations --kv-cache --logits "
      "--pad-heads --layout --calibration --network --scope --objective --top --format --output");
  for (const char* command : {"plan", "explain", "capacity"}) {
    const Outcome outcome = RunBinary({command, "--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(RunBinary({command, "-h"}).out, outcome.out);
    for (const std::string& option : common) {
      EXPECT_THAT(outcome.out, HasSubstr("\n  " + option + " ")) << command;
    }
  }
}

TEST(HelpTest, NamesEveryOptionOfTheOtherCommands) {
  const std::vector<std::pair<std::string, Args>> commands = {
      {"capacity", Words("--kv-budget")},
      {"list", Words("--chip --slice --layout --format --output")},
      {"validate", Words("--calibration --network --max-median-error --max-p90-error --format "
                         "--output")},
      {"calibrate", Words("--output --start --name")}};
  for (const auto& [command, options] : commands) {
    const Outcome outcome = RunBinary({command, "--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    for (const std::string& option : options) {
      EXPECT_THAT(outcome.out, HasSubstr(option + " ")) << command;
    }
  }
}

}  // namespace
}  // namespace slicewise
