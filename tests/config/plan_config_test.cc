#include "slicewise/config/plan_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "slicewise/cli/run.h"
#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

// A plan document written by the tool itself, with `from` replaced by `to`.
std::string PlanDocument(const std::string& from = "", const std::string& to = "") {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(Run({"plan", "--model", "llama-3-8b", "--slice", "2x2x2", "--batch", "3", "--format",
                 "json", "--calibration", "roofline"},
                out, err),
            0)
      << err.str();
  std::string text = out.str();
  if (!from.empty()) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  return text;
}

PlanFile Load(const std::string& text) {
  const std::string path = testing::TempDir() + "plan_config_test.json";
  std::ofstream(path) << text;
  return LoadPlanFile(path);
}

std::string Refusal(const std::string& text) {
  try {
    static_cast<void>(Load(text));
  } catch (const InputError& error) {
    const std::string message = error.what();
    return message.substr(message.find(": ") + 2);
  }
  return "accepted";
}

TEST(PlanConfig, ReadsBackWhatPlanWroteAndPricesTheSame) {
  const std::string text = PlanDocument();
  const PlanFile file = Load(text);
  EXPECT_EQ(file.setting.model.name, "llama-3-8b");
  EXPECT_EQ(ToString(file.setting.slice), "2x2x2");
  EXPECT_EQ(file.setting.workload.prefill_batch, 3);
  ASSERT_EQ(file.plans.size(), 10U);  // top 5 of each phase
  Evaluator evaluator(file.setting);
  for (const PlanFileEntry& entry : file.plans) {
    const Plan plan = *evaluator.Evaluate(entry.layout, entry.phase, entry.stored_heads);
    std::ostringstream latency;
    latency.precision(17);
    latency << plan.latency.base();
    // The document holds the shortest text of the same double; both read back as it.
    bool found = false;
    for (std::size_t at = text.find("\"latency_seconds\": "); at != std::string::npos;
         at = text.find("\"latency_seconds\": ", at + 1)) {
      found = found || std::stod(text.substr(at + 19)) == plan.latency.base();
    }
    EXPECT_TRUE(found) << entry.layout_text << " " << latency.str();
  }
}

TEST(PlanConfig, RefusesWithThePathOfWhatIsWrong) {
  EXPECT_EQ(Refusal(PlanDocument("slicewise-plan/1", "slicewise-plan/9")),
            "/schema: found 'slicewise-plan/9', expected 'slicewise-plan/1'");
  EXPECT_EQ(Refusal(PlanDocument("\"layout\": \"Fxyz/ws/Hxyz\"", "\"layout\": \"Fxy/ws/Hxyz\""))
                .find("/phases/prefill/plans/"),
            0U);
  EXPECT_EQ(Refusal(PlanDocument("\"slice\": \"2x2x2\"", "\"slice\": \"3x3x3\""))
                .find("/request/slice: slice '3x3x3': tpu-v4 has no such slice"),
            0U);
  EXPECT_EQ(Refusal(PlanDocument("preset llama-3-8b", "preset llama-9"))
                .find("/provenance/model: model 'llama-9': no such preset or file"),
            0U);
  EXPECT_EQ(Refusal(PlanDocument("\"stored_heads\": 32", "\"stored_heads\": 31"))
                .find("/phases/prefill/plans/0/stored_heads: 31 heads do not fit layout"),
            0U);
  const std::string whole = PlanDocument();
  EXPECT_NE(Refusal(whole.substr(0, whole.size() / 2)).find("line"), std::string::npos);
}

}  // namespace
}  // namespace slicewise
