// Bad arguments of every kind, through the binary: one message, exit code 2, nothing on stdout, no
// file.
#include <gtest/gtest.h>

#include "cli_test_util.h"

namespace slicewise {
namespace {

struct BadArguments {
  std::string name;
  Args args;
  std::string message;
};

// What a failing test names itself by.
void PrintTo(const BadArguments& bad, std::ostream* out) { *out << bad.name; }

class BadArgumentsTest : public testing::TestWithParam<BadArguments> {};

TEST_P(BadArgumentsTest, GetsOneMessageAndLeavesNoFile) {
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch.path() / "directory");
  WriteFile(scratch.path() / "kept", "before");
  const std::vector<std::string> before = scratch.Files();
  ExpectBadInput(RunBinary(GetParam().args, {.directory = scratch.path()}), GetParam().message);
  EXPECT_EQ(scratch.Files(), before);
  EXPECT_EQ(ReadFile(scratch.path() / "kept"), "before");
}

std::vector<BadArguments> UsageCases() {
  const Args plan = Args{"plan"} + kSetting;
  return {
      {"UnknownOption", plan + Words("--bacth 3"),
       "plan: '--bacth' is not an option; did you mean '--batch'?"},
      {"UnknownOptionWithValue", plan + Words("--bacth=3"),
       "plan: '--bacth' is not an option; did you mean '--batch'?"},
      {"UnknownOptionOfExplain", Words("explain --modle palm-540b"),
       "explain: '--modle' is not an option; did you mean '--model'?"},
      {"UnknownOptionOfCapacity", Words("capacity --kv-bugdet free"),
       "capacity: '--kv-bugdet' is not an option; did you mean '--kv-budget'?"},
      {"UnknownOptionOfList", Words("list --formt json"),
       "list: '--formt' is not an option; did you mean '--format'?"},
      {"UnknownOptionOfValidate", Words("validate --max-median-eror 4%"),
       "validate: '--max-median-eror' is not an option; did you mean '--max-median-error'?"},
      {"UnknownOptionOfCalibrate", Words("calibrate pope2022 --outptu x"),
       "calibrate: '--outptu' is not an option; did you mean '--output'?"},
      {"UnknownShortOption", plan + Words("-x"), "plan: not expected: -x"},
      {"Positional", plan + Words("extra"), "plan: not expected: extra"},
      {"NoValue", plan + Words("--batch"), "plan: --batch takes exactly one value"},
      {"TwoValues", plan + Words("--batch 1 --batch 2"), "plan: --batch takes exactly one value"},
      {"NoModel", Words("plan --slice 4x4x4"),
       "--model is required, for example --model palm-540b"},
      {"NoSlice", Words("explain --model palm-8b"),
       "--slice is required, for example --slice 4x4x4; --max-chips N searches over all "
       "slices of at most N chips"},
      {"CalibrateNothing", Words("calibrate"), "calibrate: files is required"},
      {"CalibrateToNowhere", Words("calibrate pope2022"), "calibrate: --output is required"},
  };
}

std::vector<BadArguments> NameCases() {
  const Args plan = Args{"plan"} + kSetting;
  return {
      {"Model", Words("plan --model palm-54b --slice 4x4x4"),
       "model 'palm-54b': no such preset or file; did you mean 'palm-540b'?"},
      {"ModelOfExplain", Words("explain --model palm540b --slice 4x4x4"),
       "model 'palm540b': no such preset or file; did you mean 'palm-540b'?"},
      {"ModelOfCapacity", Words("capacity --model llama-3-7b --slice 4x4x4"),
       "model 'llama-3-7b': no such preset or file; did you mean 'llama-3-70b'?"},
      {"ModelLikeNone", Words("plan --model zzzzzzzzzzzzzz --slice 4x4x4"),
       "model 'zzzzzzzzzzzzzz': no such preset or file"},
      {"Chip", plan + Words("--chip tpu-v5"),
       "chip 'tpu-v5': no such preset or file; did you mean 'tpu-v4'?"},
      {"ChipOfList", Words("list chips --chip tpuv4"),
       "chip 'tpuv4': no such preset or file; did you mean 'tpu-v4'?"},
      {"Calibration", plan + Words("--calibration tpu-v44"),
       "calibration 'tpu-v44': no such preset or file; did you mean 'tpu-v4'?"},
      {"CalibrationOfValidate", Words("validate --calibration tpu-v44"),
       "calibration 'tpu-v44': no such preset or file; did you mean 'tpu-v4'?"},
      {"StartOfCalibrate", Words("calibrate pope2022 -o x.json --start tpu_v4"),
       "calibration 'tpu_v4': no such preset or file; did you mean 'tpu-v4'?"},
      {"Measurements", Words("validate pope202"),
       "measurement file 'pope202': no such preset or file; did you mean 'pope2022'?"},
      {"MeasurementsOfCalibrate", Words("calibrate pope2202 -o x.json"),
       "measurement file 'pope2202': no such preset or file; did you mean 'pope2022'?"},
      {"Listing", Words("list modles"),
       "list: found 'modles', expected all, models, chips, slices, calibrations, layouts; did you "
       "mean 'models'?"},
      {"Phase", plan + Words("--phase decod"),
       "--phase: found 'decod', expected both, prefill, decode; did you mean 'decode'?"},
      {"Weights", plan + Words("--weights int4"),
       "--weights: found 'int4', expected bf16, int8; did you mean 'int8'?"},
      {"Activations", plan + Words("--activations float32"),
       "--activations: found 'float32', expected bf16, int8"},
      {"KvCache", plan + Words("--kv-cache in8"),
       "--kv-cache: found 'in8', expected bf16, int8; did you mean 'int8'?"},
      {"Logits", plan + Words("--logits none"), "--logits: found 'none', expected last, all"},
      {"Network", plan + Words("--network trous"),
       "--network: found 'trous', expected torus, paper; did you mean 'torus'?"},
      {"NetworkOfValidate", Words("validate --network mesh"),
       "--network: found 'mesh', expected torus, paper"},
      {"Scope", plan + Words("--scope layer"),
       "--scope: found 'layer', expected end-to-end, layers; did you mean 'layers'?"},
      {"Objective", plan + Words("--objective mfuu"),
       "--objective: found 'mfuu', expected latency, mfu, cost, throughput; did you mean 'mfu'?"},
      {"Format", plan + Words("--format jsn"),
       "--format: found 'jsn', expected table, json, csv, markdown; did you mean 'json'?"},
      {"FormatOfList", Words("list --format xml"),
       "--format: found 'xml', expected table, json, csv, markdown"},
      {"FormatOfValidate", Words("validate --format JSON"),
       "--format: found 'JSON', expected table, json, csv, markdown"},
  };
}

std::vector<BadArguments> SliceCases() {
  const auto slice = [](const std::string& text) {
    return Args{"plan", "--model", "palm-540b", "--slice", text};
  };
  const std::string neither =
      " is not a shape of 3 dimensions such as 4x4x4, nor an accelerator type such as v4-128 (2 "
      "TensorCores per chip)";
  return {
      {"Odd", slice("3x3x3"),
       "slice '3x3x3': tpu-v4 has no such slice (all dimensions multiples of 4, at most 4096 "
       "chips, or a small shape); the nearest is 4x4x4"},
      {"TooLarge", slice("32x32x32"),
       "slice '32x32x32': tpu-v4 has no such slice (all dimensions multiples of 4, at most 4096 "
       "chips, or a small shape); the nearest is 4x32x32"},
      {"TwoDimensions", slice("4x4"), "slice '4x4'" + neither},
      {"Zero", slice("0x4x4"), "slice '0x4x4'" + neither},
      {"Negative", slice("-4x4x4"), "slice '-4x4x4'" + neither},
      {"Overflow", slice("99999999999999999999x4x4"), "slice '99999999999999999999x4x4'" + neither},
      {"Empty", slice(""), "slice ''" + neither},
      {"OtherGeneration", slice("v5-128"), "slice 'v5-128'" + neither},
      {"NoSuchAccelerator", slice("v4-100"),
       "slice 'v4-100': tpu-v4 has no accelerator type of that size; the nearest is v4-128, 64 "
       "chips as 4x4x4"},
      {"NoTwist", slice("4x4x4_twisted"),
       "slice '4x4x4_twisted': only n x n x 2n and n x 2n x 2n shapes can be twisted"},
      {"OfListedLayouts", Words("list layouts --slice 4x4"), "slice '4x4'" + neither},
      {"OfExplain", Words("explain --model palm-8b --slice 4x4"), "slice '4x4'" + neither},
      {"OfCapacity", Words("capacity --model palm-8b --slice 4x4"), "slice '4x4'" + neither},
  };
}

std::vector<BadArguments> LayoutCases() {
  const auto layout = [](const std::string& text) {
    return Args{"plan"} + kSetting + Args{"--layout", text};
  };
  const std::string form = ": expected <weights>/<ffn>/<attention>, such as Ex.Fyz/ws/Bxyz";
  return {
      {"NoLayout", layout("foo"), "layout 'foo'" + form},
      {"TwoParts", layout("Ex.Fyz/ws"), "layout 'Ex.Fyz/ws'" + form},
      {"Empty", layout(""), "layout ''" + form},
      {"OneWildcard", layout("*"), "layout '*'" + form},
      {"WildcardWithinAPart", layout("E*/ws/Bxyz"),
       "layout 'E*/ws/Bxyz': in 'E*' '*' is not an axis; the axes are x, y, z, and their "
       "factors x1, x2 and so on"},
      {"WildcardAndNonsense", layout("*/ws/Bxyzw"),
       "layout '*/ws/Bxyzw': in 'Bxyzw' 'w' is not an axis; the axes are x, y, z, and their "
       "factors x1, x2 and so on"},
      {"EmptyFourthPart", layout("*/ws/*/"),
       "layout '*/ws/*/': in '' expected E and the axes the residual keeps"},
      {"AxisMissing", layout("Ex.Fy/ws/Bxyz"),
       "layout 'Ex.Fy/ws/Bxyz': axis z is missing from the weights part of a layout for 4x4x4"},
      {"GatheredButNotBatchSharded", layout("Ex.Fyz/wg-x/Hxyz"),
       "layout 'Ex.Fyz/wg-x/Hxyz': weights are gathered over x, so the batch is sharded over it "
       "and "
       "attention must be too (Bx in the attention part)"},
      {"ResidualKeepsTooLittle", layout("Exy.Fz/ws/By.Hxz/Ex"),
       "layout 'Exy.Fz/ws/By.Hxz/Ex': the residual must keep d_model over y, which shards E of the "
       "weights"},
      {"OfExplain", Args{"explain"} + kSetting + Words("--layout foo"), "layout 'foo'" + form},
      {"OfCapacity", Args{"capacity"} + kSetting + Words("--layout foo"), "layout 'foo'" + form},
      {"OfList", Words("list layouts --layout foo"), "layout 'foo'" + form},
  };
}

std::vector<BadArguments> ValueCases() {
  const Args plan = Args{"plan"} + kSetting;
  const auto budget = [](const std::string& text) {
    return BadArguments{"KvBudget" + std::to_string(std::hash<std::string>()(text)),
                        Args{"capacity"} + kSetting + Args{"--kv-budget", text},
                        "--kv-budget: found '" + text +
                            "', expected free, or a percentage of nominal HBM such as 30%"};
  };
  const auto limit = [](const std::string& option, const std::string& text) {
    return BadArguments{
        "Limit" + std::to_string(std::hash<std::string>()(option + text)),
        Args{"validate", option, text},
        option + ": found '" + text + "', expected a positive error such as 4% or 0.04"};
  };
  return {
      {"PrefillOfNothing", plan + Words("--phase prefill --input-len 0"),
       "--input-len: found 0, but prefill needs at least 1 token"},
      {"BothPhasesOfNothing", plan + Words("--phase both --context 100"),
       "--input-len: found 0, but prefill needs at least 1 token"},
      {"DecodeOfNothing", plan + Words("--phase decode --output-len 0"),
       "--output-len: found 0, but decode needs at least 1 token"},
      {"NothingToAttendTo", plan + Words("--input-len 0"),
       "--context and --input-len are both 0: decode has nothing to attend to"},
      {"NoCache", Words("capacity --model figure-3 --slice 4x4x4"),
       "model 'figure-3' has no attention: there is no KV cache"},
      budget("30"),
      budget("0%"),
      budget("-5%"),
      budget("101%"),
      budget("inf%"),
      budget("nan%"),
      budget("1e999%"),
      budget("30%%"),
      budget("half"),
      budget(""),
      limit("--max-median-error", "0"),
      limit("--max-median-error", "-4%"),
      limit("--max-median-error", "4 %"),
      limit("--max-median-error", "small"),
      limit("--max-p90-error", "inf"),
      limit("--max-p90-error", "1e999"),
      limit("--max-p90-error", ""),
  };
}

std::vector<BadArguments> FileCases() {
  const Args plan = Args{"plan"} + kSetting;
  const auto no_write = [](const std::string& path, const std::string& reason) {
    return "cannot write '" + path + "': " + reason;
  };
  return {
      {"ModelIsADirectory", Words("plan --slice 4x4x4 --model directory"),
       "cannot read 'directory': it is a directory"},
      {"ModelIsMissing", Words("plan --slice 4x4x4 --model ./missing.json"),
       "cannot read './missing.json': No such file or directory"},
      {"ModelBelowAFile", Words("plan --slice 4x4x4 --model kept/model.json"),
       "cannot read 'kept/model.json': Not a directory"},
      {"ChipIsMissing", plan + Words("--chip missing.json"),
       "cannot read 'missing.json': No such file or directory"},
      {"CalibrationIsADirectory", plan + Words("--calibration directory"),
       "cannot read 'directory': it is a directory"},
      {"MeasurementsAreADirectory", Words("validate directory"),
       "cannot read 'directory': it is a directory"},
      {"FitToADirectory", Words("calibrate directory -o x.json"),
       "cannot read 'directory': it is a directory"},
      {"OutputInNoDirectory", plan + Words("--output missing/x"),
       no_write("missing/x", "No such file or directory")},
      {"OutputIsADirectory", plan + Words("--output directory"),
       no_write("directory", "Is a directory")},
      {"OutputIsNothing", plan + Args{"--output", ""}, no_write("", "No such file or directory")},
      {"OutputBelowAFile", plan + Words("--output kept/x"), no_write("kept/x", "Not a directory")},
      {"OutputOfExplain", Args{"explain"} + kSetting + Words("--output directory"),
       no_write("directory", "Is a directory")},
      {"OutputOfCapacity", Args{"capacity"} + kSetting + Words("--output missing/x"),
       no_write("missing/x", "No such file or directory")},
      {"OutputOfList", Words("list --output directory"), no_write("directory", "Is a directory")},
      {"OutputOfValidate", Words("validate --output missing/x"),
       no_write("missing/x", "No such file or directory")},
      {"OutputOfCalibrate", Words("calibrate pope2022 -o directory"),
       no_write("directory", "Is a directory")},
  };
}

std::string CaseName(const testing::TestParamInfo<BadArguments>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Usage, BadArgumentsTest, testing::ValuesIn(UsageCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Name, BadArgumentsTest, testing::ValuesIn(NameCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Slice, BadArgumentsTest, testing::ValuesIn(SliceCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Layout, BadArgumentsTest, testing::ValuesIn(LayoutCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Value, BadArgumentsTest, testing::ValuesIn(ValueCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(File, BadArgumentsTest, testing::ValuesIn(FileCases()), CaseName);

// The list of commands grows: only what leads to it is compared.
TEST(BadInputTest, UnknownCommands) {
  const auto starts = [](const Args& args, const std::string& message) {
    const Outcome outcome = RunBinary(args);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.substr(0, message.size()), message);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
  };
  starts({}, "slicewise: a command is required: plan, pareto, explain, ");
  starts({"plann"}, "slicewise: 'plann' is not a command; did you mean 'plan'?; the commands are ");
  starts({"explian", "--model", "palm-8b"},
         "slicewise: 'explian' is not a command; did you mean 'explain'?; the commands are ");
  starts({"--modle"}, "slicewise: '--modle' is not a command; the commands are plan, ");
}

struct NumericOption {
  std::string name;
  int low;
};

void PrintTo(const NumericOption& option, std::ostream* out) { *out << option.name; }

class NumericOptionTest : public testing::TestWithParam<std::tuple<std::string, NumericOption>> {};

TEST_P(NumericOptionTest, RefusesWhatIsNoWholeNumberInRange) {
  const auto& [command, option] = GetParam();
  std::vector<std::string> values = {"-1",
                                     "1.5",
                                     "1e3",
                                     "abc",
                                     "",
                                     " 4",
                                     "+4",
                                     "4x",
                                     "nan",
                                     "inf",
                                     "0x10",
                                     "1000000001",
                                     "99999999999999999999",
                                     "-99999999999999999999"};
  if (option.low == 1) {
    values.emplace_back("0");
  }
  for (const std::string& value : values) {
    SCOPED_TRACE(value);
    ExpectBadInput(RunBinary(Args{command} + kSetting + Args{option.name, value}),
                   option.name + ": found '" + value + "', expected a whole number from " +
                       std::to_string(option.low) + " to 1000000000");
  }
}

std::string NumericCaseName(
    const testing::TestParamInfo<std::tuple<std::string, NumericOption>>& info) {
  std::string name = std::get<0>(info.param) + std::get<1>(info.param).name;
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, NumericOptionTest,
                         testing::Combine(testing::Values("plan", "explain", "capacity"),
                                          testing::Values(NumericOption{"--batch", 1},
                                                          NumericOption{"--prefill-batch", 1},
                                                          NumericOption{"--decode-batch", 1},
                                                          NumericOption{"--input-len", 0},
                                                          NumericOption{"--output-len", 0},
                                                          NumericOption{"--context", 0},
                                                          NumericOption{"--pad-heads", 1},
                                                          NumericOption{"--top", 1})),
                         NumericCaseName);

// The largest numbers that are accepted neither overflow nor crash.
TEST(BadInputTest, TheLargestNumbersArePriced) {
  const Outcome outcome =
      RunBinary(Args{"plan"} + kSetting +
                Words("--batch 1000000000 --input-len 1000000000 --output-len 1000000000 --context "
                      "1000000000 --top 1000000000 --format json"));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.out.find("null,\n      \"needed\""), std::string::npos);
  EXPECT_EQ(outcome.out.find("\"needed\": -"), std::string::npos);
}

// Root reads and writes everything.
TEST(BadInputTest, FilesWithoutPermission) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "permissions do not bind root";
  }
  const ScratchDirectory scratch;
  WriteFile(scratch.path() / "f.json", "{}");
  std::filesystem::permissions(scratch.path() / "f.json", std::filesystem::perms::none);
  const Process here = {.directory = scratch.path()};
  ExpectBadInput(RunBinary(Words("plan --slice 4x4x4 --model f.json"), here),
                 "cannot read 'f.json': Permission denied");
  ExpectBadInput(RunBinary(Words("list --output f.json"), here),
                 "cannot write 'f.json': Permission denied");
  std::filesystem::permissions(
      scratch.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  ExpectBadInput(RunBinary(Words("list --output new"), here),
                 "cannot write 'new': Permission denied");
  std::filesystem::permissions(scratch.path(), std::filesystem::perms::owner_all);
  EXPECT_EQ(scratch.Files(), std::vector<std::string>{"f.json"});
}

TEST(BadInputTest, AFullDiskBehindStandardOutput) {
  const Outcome outcome = RunBinary(Args{"plan"} + kSetting, {.output = "/dev/full"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err.substr(0, 39), "slicewise: cannot write standard output");
}

}  // namespace
}  // namespace slicewise
