// `export` through the binary: where plans come from and results go, refusals, --lossy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli_test_util.h"

namespace slicewise {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A directory with plan.json, planned with the options.
class ExportTest : public testing::Test {
 protected:
  void Plan(const std::string& options) {
    const Outcome outcome = RunBinary(
        Words("plan --calibration roofline --format json --output plan.json " + options), here_);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  Outcome Export(const std::string& options) {
    return RunBinary(Words("export " + options), here_);
  }
  void Replace(const std::string& from, const std::string& to) {
    WriteFile(directory_.path() / "plan.json",
              Replaced(ReadFile(directory_.path() / "plan.json"), from, to));
  }

  ScratchDirectory directory_;
  Process here_ = {.directory = directory_.path()};
};

const std::string kPalm = "--model palm-540b --slice 4x4x4 --batch 64 --layout ";

TEST_F(ExportTest, EveryTargetOfAPlanFile) {
  Plan(kPalm + "Ex.Fyz/ws/Bxyz --pad-heads 64");
  for (const char* target : {"jax", "maxtext", "vllm-tpu", "esti-rules", "gcloud", "xla-flags"}) {
    const Outcome outcome = Export(std::string("plan.json --lossy --to ") + target);
    EXPECT_EQ(outcome.exit_code, 0) << target << outcome.err;
    EXPECT_GT(outcome.out.size(), 100U) << target;
  }
}

// The released code has three axes: a split one is whole there, and the mesh has all chips.
TEST_F(ExportTest, EveryTargetOfAPlanThatSplitsAnAxis) {
  for (const char* layout : {"Ex1.Fx2yz/ws/Bxyz", "Ex.Fyz/ws/Bxy2z.Hy1", "Fxyz/ws/Bx1.Hx2yz/Ex",
                             "Ex1.Fx2yz/wg-xyz/Bxyz"}) {
    Plan(kPalm + layout + " --pad-heads 64 --weights int8");
    for (const char* target : {"jax", "maxtext", "vllm-tpu", "esti-rules", "gcloud", "xla-flags"}) {
      const Outcome outcome = Export(std::string("plan.json --lossy --to ") + target);
      EXPECT_EQ(outcome.exit_code, 0) << layout << " " << target << outcome.err;
      if (std::string_view(target) == "esti-rules") {
        EXPECT_THAT(outcome.out, HasSubstr("mesh_shape = (4, 4, 4)")) << layout;
        EXPECT_THAT(outcome.err, HasSubstr(" whole, where ")) << layout;
      }
    }
  }
}

// Prefill splits an axis that decode has whole: the document's axes are factors, decode's are not.
TEST_F(ExportTest, FactorsThatAPhaseTreatsAlikeAreOneAxis) {
  Plan(
      "--model palm-540b --slice 4x4x4 --pad-heads 64 --prefill-batch 4 --decode-batch 512 "
      "--layouts all --layout Ex.Fyz/*/*");
  const Outcome outcome = Export("plan.json --lossy --to esti-rules");
  EXPECT_THAT(outcome.err, HasSubstr("prefill under Ex.Fyz/wg-y1/Bxy1.Hy2z and decode under "
                                     "Ex.Fyz/ws/Bxyz: the target has one layout"));
  EXPECT_THAT(outcome.err, Not(HasSubstr(" whole, where "))) << "decode's axes are whole";
  EXPECT_THAT(outcome.out, HasSubstr("mesh_shape = (4, 4, 4)"));
  EXPECT_THAT(outcome.out, HasSubstr("AttnAllToAll.AXES_YZX"));
}

TEST_F(ExportTest, StandardInputAndAFileOfOutput) {
  Plan(kPalm + "Fxyz/ws/Bxy.Hz");
  here_.input = directory_.path() / "plan.json";
  const Outcome piped = Export("- --to gcloud");
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_THAT(piped.out, HasSubstr("--topology=4x4x4"));
  const Outcome written = Export("plan.json --to gcloud --output gcloud.sh");
  EXPECT_EQ(written.exit_code, 0);
  EXPECT_EQ(written.out, "");
  EXPECT_EQ(ReadFile(directory_.path() / "gcloud.sh"), piped.out);
}

TEST_F(ExportTest, WhatATargetCannotHonourIsAnErrorUnlessLossy) {
  Plan(kPalm + "Ex.Fyz/wg-xyz/Bxyz");
  const Outcome strict = Export("plan.json --to vllm-tpu --output out");
  ExpectBadInput(strict,
                 "export: vllm-tpu cannot honour weight-gathered feed-forward over x,y,z: vLLM "
                 "keeps weights in place; and d_model of the weights over x: vLLM shards d_ff and "
                 "heads only; these axes shard d_ff and heads too; --lossy exports the nearest it "
                 "can");
  EXPECT_THAT(directory_.Files(), testing::ElementsAre("plan.json"));
  const Outcome lossy = Export("plan.json --to vllm-tpu --lossy");
  EXPECT_EQ(lossy.exit_code, 0);
  EXPECT_THAT(lossy.out, StartsWith("# not honoured: weight-gathered feed-forward over x,y,z"));
  EXPECT_THAT(lossy.err, StartsWith("slicewise: warning: vllm-tpu cannot honour weight-gathered"));
}

TEST_F(ExportTest, NothingThatFitsIsExitCode3) {
  EXPECT_EQ(RunBinary(Words("plan --model palm-540b --slice 2x2x2 --layout Fxyz/ws/Hxyz "
                            "--calibration roofline --format json --output plan.json"),
                      here_)
                .exit_code,
            3);
  const Outcome outcome = Export("plan.json --to jax");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.err,
            "slicewise: plan.json: /execution is null: the document has no plan that fits\n");
}

TEST_F(ExportTest, CorruptedDocumentsAreRefused) {
  Plan(kPalm + "Ex.Fyz/ws/Bxyz");
  const std::string whole = ReadFile(directory_.path() / "plan.json");
  Replace("slicewise-plan/1", "slicewise-plan/2");
  ExpectBadInput(Export("plan.json --to jax"),
                 "plan.json: /schema: found 'slicewise-plan/2', expected 'slicewise-plan/1'");
  WriteFile(directory_.path() / "plan.json",
            Replaced(whole, "\"local_size\": 4608", "\"local_size\": 4609"));
  ExpectBadInput(Export("plan.json --to jax"),
                 "plan.json: /execution/weights/0/dims/0/local_size: found 4609, expected 4608");
  WriteFile(directory_.path() / "plan.json", whole.substr(0, whole.size() / 2));
  const Outcome truncated = Export("plan.json --to jax");
  EXPECT_EQ(truncated.exit_code, 2);
  EXPECT_THAT(truncated.err, StartsWith("slicewise: plan.json: line "));
}

TEST_F(ExportTest, AChangedInputIsAnError) {
  Plan(kPalm + "Fxyz/ws/Bxy.Hz");
  auto document = nlohmann::ordered_json::parse(ReadFile(directory_.path() / "plan.json"));
  const auto change = [&](const char* input) {
    auto changed = document;
    changed["provenance"]["sha256"][input] = std::string(64, '0');
    WriteFile(directory_.path() / "plan.json", changed.dump());
  };
  change("model");
  for (const char* options : {"plan.json --to gcloud", "plan.json --to gcloud --lossy"}) {
    const Outcome outcome = Export(options);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, StartsWith("slicewise: plan.json: /provenance/sha256/model: model "
                                        "'palm-540b' has changed since the plan was made"));
  }
  // Shardings do not depend on the calibration.
  change("calibration");
  EXPECT_EQ(Export("plan.json --to gcloud").exit_code, 2);
  const Outcome lossy = Export("plan.json --to gcloud --lossy");
  EXPECT_EQ(lossy.exit_code, 0);
  EXPECT_THAT(lossy.err,
              StartsWith("slicewise: warning: plan.json: /provenance/sha256/calibration"));
  // verify runs what the document says, and notes it.
  const Outcome verify = RunBinary(Words("verify plan.json"), here_);
  EXPECT_EQ(verify.exit_code, 0);
  EXPECT_THAT(verify.err, StartsWith("slicewise: note: plan.json: /provenance/sha256/calibration"));
}

TEST_F(ExportTest, Usage) {
  ExpectBadInput(Export(""),
                 "export: a plan document is required: a file, or - for standard input");
  ExpectBadInput(Export("plan.json"),
                 "--to is required: jax, maxtext, vllm-tpu, esti-rules, gcloud, xla-flags");
  ExpectBadInput(Export("plan.json --to maxtxt"),
                 "--to: found 'maxtxt', expected jax, maxtext, vllm-tpu, esti-rules, gcloud, "
                 "xla-flags; did you mean 'maxtext'?");
}

}  // namespace
}  // namespace slicewise
