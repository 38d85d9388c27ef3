#include "slicewise/config/plan_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "slicewise/cli/run.h"
#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

// A plan document written by the tool itself, under a layout or filter.
std::string PlanDocumentUnder(const std::string& layout) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(Run({"plan", "--model", "llama-3-8b", "--slice", "2x2x2", "--batch", "3", "--format",
                 "json", "--calibration", "roofline", "--layout", layout},
                out, err),
            0)
      << err.str();
  return out.str();
}

// The document of the best plans, with `from` replaced by `to`.
std::string PlanDocument(const std::string& from = "", const std::string& to = "") {
  std::string text = PlanDocumentUnder("*/*/*");
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

// The document with a change to its JSON.
template <class Change>
std::string Edited(const Change& change) {
  Json document = Json::parse(PlanDocument());
  change(document);
  return document.dump();
}

TEST(PlanConfig, HoldsTheExecutionOfTheDeployment) {
  const PlanFile file = Load(PlanDocument());
  ASSERT_TRUE(file.execution);
  EXPECT_TRUE(file.changed.empty());
  const Json document = Json::parse(PlanDocument());
  EXPECT_EQ(file.execution->phases.prefill->layout, document["deployment"]["prefill_layout"]);
  EXPECT_EQ(file.execution->phases.decode->layout, document["deployment"]["decode_layout"]);
}

TEST(PlanConfig, RefusesAnExecutionOtherThanTheLayoutsOwn) {
  struct Case {
    void (*change)(Json& execution);
    const char* refusal;
  };
  for (const Case& c : {
           Case{[](Json& e) { e["weights"].erase(4); },
                "/execution/weights: tensor 'key_weights' is missing"},
           Case{[](Json& e) { e["weights"][4]["name"] = "key_weight"; },
                "/execution/weights: tensor 'key_weights' is missing"},
           Case{[](Json& e) {
                  e["weights"].push_back(e["weights"][0]);
                  e["weights"].back()["name"] = "ffn_inputs_weights";
                },
                "/execution/weights/12/name: 'ffn_inputs_weights' is not a tensor of the layout; "
                "did you mean 'ffn_input_weights'?"},
           Case{[](Json& e) {
                  e["weights"][0]["dims"][1]["axes"] = {"x", "y", "x"};
                },
                "/execution/weights/0/dims/1/axes: axis 'x' is used twice in 'ffn_input_weights', "
                "expected at most once"},
           Case{[](Json& e) { e["weights"][0]["shape_per_chip"][0] = 1; },
                "/execution/weights/0/shape_per_chip: found [1,"},
           Case{[](Json& e) { e["weights"][0]["dims"][0]["local_size"] = 7; },
                "/execution/weights/0/dims/0/local_size: found 7, expected "},
           Case{[](Json& e) { e["mesh"]["axes"][1]["size"] = 4; },
                "/execution/mesh/axes/1/size: found 4, expected 2"},
           Case{[](Json& e) { e["phases"]["decode"]["ops"].erase(2); },
                "/execution/phases/decode/ops/2/index: found 3, expected 2"},
           Case{[](Json& e) {
                  Json& ops = e["phases"]["decode"]["ops"];
                  ops.push_back(ops[0]);
                },
                "/execution/phases/decode/ops: found "},
           Case{[](Json& e) { e["phases"]["decode"]["ops"][2]["volume_bytes"] = 1; },
                "/execution/phases/decode/ops/2/volume_bytes: found 1, expected "},
           Case{[](Json& e) { e["phases"]["decode"]["ops"][2]["colour"] = 1; },
                "/execution/phases/decode/ops/2/colour: unknown key"},
           Case{[](Json& e) { e["phases"]["decode"]["ops"][2].erase("schedule"); },
                "/execution/phases/decode/ops/2: 'schedule' is missing"},
           Case{[](Json& e) { e["phases"]["decode"]["ops"][2]["schedule"] = nullptr; },
                "/execution/phases/decode/ops/2/schedule: found null, expected a value"},
           Case{[](Json& e) { e["phases"]["decode"]["layout"] = "Fxyz/ws/Bxyz"; },
                "/execution/phases/decode/layout: found 'Fxyz/ws/Bxyz', expected '"},
           Case{[](Json& e) { e["phases"]["decode"] = nullptr; },
                "/execution/changes: found a value, expected null"},
           Case{[](Json& e) { e["stored_heads"] = 31; },
                "/execution/stored_heads: 31 heads do not fit layout"},
           Case{[](Json& e) { e["model"]["gated"] = false; },
                "/execution/model/gated: found false, expected true"},
       }) {
    const std::string refusal =
        Refusal(Edited([&](Json& document) { c.change(document["execution"]); }));
    EXPECT_EQ(refusal.substr(0, std::string(c.refusal).size()), c.refusal) << refusal;
  }
  EXPECT_EQ(Refusal(Edited([](Json& document) { document.erase("execution"); })),
            "'execution' is missing");
  EXPECT_EQ(Refusal(Edited([](Json& document) { document["execution"] = nullptr; })), "accepted");
}

// 2112 positions over two shards, shard after shard: the second holds the odd ones.
TEST(PlanConfig, ChecksWhereEveryPositionOfTheCacheIs) {
  Json document = Json::parse(PlanDocumentUnder("Fxyz/ws/Hxy.Sz"));
  EXPECT_EQ(Refusal(document.dump()), "accepted");
  Json& dims = document["execution"]["phases"]["decode"]["dims"];
  const auto cached = std::find_if(dims.begin(), dims.end(),
                                   [](const Json& dim) { return dim["name"] == "cache_length"; });
  ASSERT_NE(cached, dims.end());
  EXPECT_EQ((*cached)["indices"].size(), 2112U);
  EXPECT_EQ((*cached)["indices"][1056], 1);
  (*cached)["indices"] = Json::array();  // as if it were cut into blocks
  const std::string refusal = Refusal(document.dump());
  EXPECT_EQ(refusal.find(fmt::format("/execution/phases/decode/dims/{}/indices: found [], expected "
                                     "[0,2,4,",
                                     cached - dims.begin())),
            0U)
      << refusal.substr(0, 200);
}

TEST(PlanConfig, RefusesPhasesThatReplicateTheirWeightsOverOtherAxes) {
  Json document = Json::parse(PlanDocumentUnder("Fxy.Rz/ws/Bz.Hxy"));
  EXPECT_EQ(Refusal(document.dump()), "accepted");
  for (const char* path : {"/phases/decode/plans/0/layout", "/deployment/decode_layout",
                           "/execution/phases/decode/layout"}) {
    document[Json::json_pointer(path)] = "Fx.Ryz/ws/Byz.Hx";
  }
  document["provenance"]["version"] = "0.0.9";  // not priced again
  EXPECT_EQ(Refusal(document.dump()),
            "/execution/phases: prefill and decode do not share the weights part of their layouts");
}

TEST(PlanConfig, RefusesALatencyThatThePlanDoesNotPriceTo) {
  const std::string refusal = Refusal(Edited(
      [](Json& document) { document["phases"]["decode"]["plans"][1]["latency_seconds"] = 0.001; }));
  EXPECT_EQ(refusal.find("/phases/decode/plans/1/latency_seconds: found 0.001 s, but the plan "
                         "prices to "),
            0U)
      << refusal;
  // Another version may price otherwise.
  EXPECT_EQ(Refusal(Edited([](Json& document) {
              document["provenance"]["version"] = "0.0.9";
              document["phases"]["decode"]["plans"][1]["latency_seconds"] = 0.001;
            })),
            "accepted");
}

TEST(PlanConfig, NamesTheInputsThatHaveChanged) {
  const PlanFile file = Load(Edited([](Json& document) {
    document["provenance"]["sha256"]["chip"] = std::string(64, '0');
    document["execution"]["weights"].erase(0);  // cannot be told from the change: not compared
  }));
  ASSERT_EQ(file.changed.size(), 1U);
  EXPECT_EQ(file.changed[0].kind, ChangedInput::Kind::kChip);
  EXPECT_NE(file.changed[0].message.find(
                "/provenance/sha256/chip: chip 'tpu-v4' has changed since the plan was made: "
                "found 0000"),
            std::string::npos)
      << file.changed[0].message;
  // The calibration changes no shard: the execution is compared all the same.
  EXPECT_EQ(Refusal(Edited([](Json& document) {
              document["provenance"]["sha256"]["calibration"] = std::string(64, '0');
              document["execution"]["weights"].erase(0);
            })),
            "/execution/weights: tensor 'ffn_input_weights' is missing");
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
