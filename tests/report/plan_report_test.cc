// The result of plan and explain as values and as JSON: every field there, consistent with the plan
// it renders.
#include "slicewise/report/plan_report.h"

#include <nlohmann/json.hpp>

#include "program/program_test_util.h"
#include "slicewise/report/capacity_report.h"
#include "slicewise/report/explain_report.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

Setting Base(const Calibration& calibration = RoughCalibration()) {
  Setting setting = SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), calibration);
  setting.model.query_heads = 48;
  return setting;
}
Provenance Origin() { return {"1.2.3", "a model", "a chip", "a calibration", {"a note"}}; }

Request RequestOf(const Setting& setting, const std::vector<Phase>& phases,
                  const std::string& filter) {
  Request request;
  request.setting = setting;
  request.provenance = Origin();
  request.phases = phases;
  request.layout = filter;
  return request;
}

PlanReport Report(const Setting& setting, const std::string& filter = "*/*/*",
                  std::vector<Phase> phases = {Phase::kPrefill, Phase::kDecode},
                  std::size_t top = 5) {
  Request request = RequestOf(setting, phases, filter);
  request.top = top;
  return MakePlanReport(request);
}

// The keys of design section 7, and no others.
std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
  }
  return keys;
}
using Names = std::vector<std::string>;

TEST(PlanJson, HasTheDocumentedFields) {
  const Json json = PlanJson(Report(Base()));
  EXPECT_EQ(Keys(json),
            (Names{"schema", "request", "provenance", "phases", "deployment", "execution"}));
  EXPECT_EQ(json["schema"], "slicewise-plan/1");
  EXPECT_EQ(Keys(json["phases"]), (Names{"prefill", "decode"}));
  const Json& plan = json["phases"]["decode"]["plans"][0];
  for (const char* key :
       {"rank", "layout", "description", "fits", "violations", "latency_seconds",
        "latency_low_seconds", "latency_high_seconds", "step_seconds", "tokens_per_second", "mfu",
        "chip_seconds_per_token", "bound", "padding", "memory", "breakdown"}) {
    EXPECT_TRUE(plan.contains(key)) << key;
  }
  EXPECT_EQ(Keys(plan["memory"]),
            (Names{"weights_bytes", "kv_cache_bytes", "activations_bytes", "gathered_weights_bytes",
                   "logits_bytes", "total_bytes", "capacity_bytes"}));
  for (const Json& row : plan["breakdown"]) {
    EXPECT_EQ(Keys(row), (Names{"part", "op", "axes", "compute_seconds", "hbm_seconds",
                                "network_seconds", "exposed_seconds"}));
  }
  for (const char* key : {"prefill_layout", "decode_layout", "weights", "padded_heads",
                          "latency_seconds", "kv_reshard_seconds"}) {
    EXPECT_TRUE(json["deployment"].contains(key)) << key;
  }
  EXPECT_EQ(json["provenance"]["version"], "1.2.3");
  EXPECT_EQ(json["provenance"]["notes"][0], "a note");
}

TEST(PlanJson, ValuesAreThePlans) {
  const Setting setting = Base();
  const PlanReport report = Report(setting);
  const Json json = PlanJson(report);
  Evaluator evaluator(setting);
  for (const PhaseReport& phase : report.phases) {
    const Json& out = json["phases"][std::string(Name(phase.phase))];
    EXPECT_EQ(out["layouts"], 216);
    EXPECT_EQ(out["classes"], 56);
    ASSERT_EQ(out["plans"].size(), 5U);
    for (std::size_t i = 0; i < 5; ++i) {
      const Json& plan = out["plans"][i];
      SCOPED_TRACE(plan["layout"].get<std::string>());
      // Priced from scratch.
      const Plan again = *evaluator.Evaluate(
          ParseLayout(plan["layout"].get<std::string>(), evaluator.mesh()), phase.phase);
      EXPECT_EQ(plan["rank"], i + 1);
      EXPECT_EQ(plan["fits"], true);
      EXPECT_TRUE(plan["violations"].empty());
      EXPECT_EQ(plan["latency_seconds"], again.latency.base());
      EXPECT_EQ(plan["step_seconds"], again.step.base());
      EXPECT_EQ(plan["mfu"], again.mfu);
      EXPECT_EQ(plan["chip_seconds_per_token"], again.chip_seconds_per_token.base());
      EXPECT_EQ(plan["tokens_per_second"], again.tokens_per_second);
      EXPECT_EQ(plan["bound"], Name(again.bound));
      EXPECT_TRUE(plan["latency_low_seconds"].is_null());  // no intervals
      EXPECT_TRUE(plan["latency_high_seconds"].is_null());
      const Json& memory = plan["memory"];
      EXPECT_EQ(memory["total_bytes"], again.memory.total().base());
      EXPECT_EQ(memory["capacity_bytes"], setting.chip.hbm_usable.base());
      double parts = 0;
      for (const char* key : {"weights_bytes", "kv_cache_bytes", "activations_bytes",
                              "gathered_weights_bytes", "logits_bytes"}) {
        parts += memory[key].get<double>();
      }
      EXPECT_DOUBLE_EQ(parts, again.memory.total().base());
      double exposed = 0;
      for (const Json& row : plan["breakdown"]) {
        exposed += row["exposed_seconds"].get<double>();
      }
      EXPECT_NEAR(exposed / again.latency.base(), 1, 1e-9);
      if (i > 0) {
        EXPECT_GE(plan["latency_seconds"], out["plans"][i - 1]["latency_seconds"]);
      }
    }
  }
}

TEST(PlanJson, RequestHoldsEveryResolvedInput) {
  Setting setting = Base();
  setting.padded_heads = 64;
  setting.workload.weights = DataType::kInt8;
  setting.workload.context = 7;
  const Json request = PlanJson(Report(setting, "*/ws/*"))["request"];
  EXPECT_EQ(request["model"], "multiquery");
  EXPECT_EQ(request["chip"], "tpu-v4");
  EXPECT_EQ(request["slice"], "4x4x4");
  EXPECT_EQ(request["accelerator_type"], "v4-128");
  EXPECT_EQ(request["chips"], 64);
  EXPECT_EQ(request["tensor_cores"], 128);
  EXPECT_EQ(request["phases"], (Json{"prefill", "decode"}));
  EXPECT_EQ(request["prefill_batch"], 128);
  EXPECT_EQ(request["decode_batch"], 128);
  EXPECT_EQ(request["input_length"], 32);
  EXPECT_EQ(request["output_length"], 4);
  EXPECT_EQ(request["context"], 7);
  EXPECT_EQ(request["fixed_context"], false);
  EXPECT_EQ(request["weights"], "int8");
  EXPECT_EQ(request["activations"], "bf16");
  EXPECT_EQ(request["kv_cache"], "bf16");
  EXPECT_EQ(request["logits"], "last");
  EXPECT_EQ(request["scope"], "end-to-end");
  EXPECT_EQ(request["padded_heads"], 64);
  EXPECT_EQ(request["layout"], "*/ws/*");
  EXPECT_EQ(request["objective"], "latency");
  EXPECT_EQ(request["calibration"], "rough");
  EXPECT_EQ(request["network"], "torus");
  EXPECT_TRUE(PlanJson(Report(Base()))["request"]["padded_heads"].is_null());
}

TEST(PlanJson, IntervalsWhereTheCalibrationHasThem) {
  Calibration calibration = RoughCalibration();
  calibration.outside = {.coverage = 0.8, .factor_low = 0.5, .factor_high = 1.5};
  const Json plan = PlanJson(Report(Base(calibration)))["phases"]["decode"]["plans"][0];
  EXPECT_DOUBLE_EQ(plan["latency_low_seconds"].get<double>(),
                   0.5 * plan["latency_seconds"].get<double>());
  EXPECT_DOUBLE_EQ(plan["latency_high_seconds"].get<double>(),
                   1.5 * plan["latency_seconds"].get<double>());
}

// No number of the document is lost: JSON writes NaN and infinity as null.
void ExpectFinite(const Json& json, const std::string& path) {
  if (json.is_number()) {
    EXPECT_TRUE(std::isfinite(json.get<double>())) << path;
  }
  for (const auto& [key, value] : json.items()) {
    if (json.is_structured()) {
      ExpectFinite(value, path + "/" + key);
    }
  }
}

TEST(PlanJson, NumbersAreFiniteAndTheTextIsStable) {
  for (const Model& model : TestModels()) {
    Setting setting = Base();
    setting.model = model;
    const Json json = PlanJson(Report(setting));
    ExpectFinite(json, "");
    EXPECT_EQ(json.dump(), PlanJson(Report(setting)).dump());
  }
}

// Heads 48 -> 64 with attention over heads: the plan says so.
TEST(PlanReport, ListsPadding) {
  const PlanReport report = Report(Base(), "Ex.Fyz/ws/Hxyz", {Phase::kDecode});
  ASSERT_EQ(report.phases[0].entries.size(), 1U);
  bool found = false;
  for (const PaddingRow& row : report.phases[0].entries[0].padding) {
    found = found || (row.dim == "heads" && row.size == 48 && row.padded == 64);
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(report.phases[0].entries[0].description, "2D weight-stationary, attention over heads");
}

// A filter that names one layout prices it even where it does not fit, with its violation.
TEST(PlanReport, ExactFilterPricesWhatDoesNotFit) {
  Setting setting = Base();
  setting.chip.hbm_usable = BytesOf(1000);
  const PlanReport report = Report(setting, "Ex.Fyz/ws/Hxyz", {Phase::kDecode});
  EXPECT_TRUE(report.infeasible());
  ASSERT_EQ(report.phases[0].entries.size(), 1U);
  const Json json = PlanJson(report);
  const Json& plan = json["phases"]["decode"]["plans"][0];
  EXPECT_EQ(plan["fits"], false);
  ASSERT_EQ(plan["violations"].size(), 1U);
  EXPECT_EQ(plan["violations"][0]["code"], "memory");
  EXPECT_EQ(plan["violations"][0]["available"], 1000);
  EXPECT_EQ(plan["violations"][0]["unit"], "bytes");
  EXPECT_EQ(plan["violations"][0]["needed"], plan["memory"]["total_bytes"]);
  EXPECT_TRUE(json["deployment"].is_null());
}

// Nothing fits: no plans, all rejected, the nearest named.
TEST(PlanReport, RejectedWithTheNearest) {
  Setting setting = Base();
  setting.chip.hbm_usable = BytesOf(1000);
  const PlanReport report = Report(setting);
  EXPECT_TRUE(report.infeasible());
  EXPECT_FALSE(report.deployment.has_value());
  const Json rejected = PlanJson(report)["phases"]["decode"]["rejected"];
  EXPECT_EQ(rejected["count"], 56);
  EXPECT_EQ(rejected["by_reason"]["memory"], 56);
  EXPECT_EQ(rejected["nearest"]["violations"][0]["available"], 1000);
  // The nearest is the smallest of all layouts.
  Evaluator evaluator(setting);
  double least = 1e30;
  for (const Layout& layout : AllLayouts(evaluator.mesh())) {
    least = std::min(least, evaluator.Evaluate(layout, Phase::kDecode)->memory.total().base());
  }
  EXPECT_DOUBLE_EQ(rejected["nearest"]["violations"][0]["needed"].get<double>(), least);
}

TEST(PlanReport, OnePhaseHasNoDeploymentAndTopLimitsTheEntries) {
  const PlanReport report = Report(Base(), "*/*/*", {Phase::kDecode}, 1);
  EXPECT_EQ(report.phases.size(), 1U);
  EXPECT_EQ(report.phases[0].entries.size(), 1U);
  EXPECT_FALSE(report.deployment.has_value());
  EXPECT_FALSE(report.phases[0].why.empty());  // the second was looked at, if not shown
}

TEST(PlanCsv, ALineForEachPlanWithTheSameNumbers) {
  const PlanReport report = Report(Base());
  const std::string csv = PlanCsv(report);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 11);  // a header, twice 5 plans
  EXPECT_TRUE(csv.starts_with("phase,rank,layout,description,fits,latency_seconds,")) << csv;
  const Json json = PlanJson(report);
  for (const char* phase : {"prefill", "decode"}) {
    for (const Json& plan : json["phases"][phase]["plans"]) {
      const std::string start = std::string(phase) + "," + plan["rank"].dump() + "," +
                                plan["layout"].get<std::string>() + ",";
      EXPECT_NE(csv.find(start), std::string::npos) << start;
    }
  }
}

// Text and Markdown show every layout of the report, within the width.
TEST(PlanText, ShowsEveryPlanWithinTheWidth) {
  const PlanReport report = Report(Base());
  for (const std::size_t width : std::initializer_list<std::size_t>{60, 80, 120, 200}) {
    const std::string text = PlanText(report, width);
    for (const PhaseReport& phase : report.phases) {
      for (const PlanEntry& entry : phase.entries) {
        EXPECT_NE(text.find(entry.layout), std::string::npos) << entry.layout;
      }
    }
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t end = text.find('\n', at);
      EXPECT_LE(end - at, width) << text.substr(at, end - at);
      at = end + 1;
    }
  }
  EXPECT_NE(PlanMarkdown(report).find("| " + report.phases[0].entries[0].layout + " |"),
            std::string::npos);
}

// explain: the ops' exposed times, as often as they run, sum to the latency.
TEST(Explain, OpsSumToTheLatency) {
  Calibration calibration = RoughCalibration();
  calibration.step_latency = 0;
  for (const char* layout : {"Ex.Fyz/ws/Bxyz", "Ex.Fyz/wg-xyz/Bxyz", "Fxyz/ws/Hxyz/Ex"}) {
    const ExplainReport report =
        MakeExplainReport(RequestOf(Base(calibration), {Phase::kPrefill, Phase::kDecode}, layout));
    ASSERT_EQ(report.explanations.size(), 2U);
    for (const Explanation& explanation : report.explanations) {
      double seconds = 0;
      for (const ExplainedOp& op : explanation.ops) {
        seconds += op.cost.exposed.base() * op.times;
      }
      EXPECT_NEAR(seconds / explanation.entry.plan.latency.base(), 1, 1e-9) << layout;
    }
  }
}

// The first einsum of Ex.Fyz in the paper's notation.
TEST(Explain, ShapesInThePapersNotation) {
  const ExplainReport report =
      MakeExplainReport(RequestOf(Base(), {Phase::kDecode}, "Ex.Fyz/ws/Bxyz"));
  for (const ExplainedOp& op : report.explanations[0].ops) {
    if (op.section == "layer" && op.kind == "einsum") {
      EXPECT_EQ(op.contracted, "E");
      EXPECT_EQ(op.operands[0], "normalized BLE_x");
      EXPECT_EQ(op.operands[1], "ffn_input_weights E_xF_yz");
      EXPECT_EQ(op.results[0], "ffn_hidden BLF_yz (partialsum-x)");
      return;
    }
  }
  FAIL() << "no einsum";
}

// +10 % of a number: never slower, and what is bound by it gains.
TEST(Explain, SensitivitiesAreRepriced) {
  const Setting setting = Base();
  const ExplainReport report =
      MakeExplainReport(RequestOf(setting, {Phase::kDecode}, "Ex.Fyz/ws/Bxyz"));
  Setting faster = setting;
  faster.chip.link_bandwidth *= 1.1;
  Evaluator before(setting);
  Evaluator after(faster);
  const Layout layout = ParseLayout("Ex.Fyz/ws/Bxyz", before.mesh());
  const double expected = after.Evaluate(layout, Phase::kDecode)->latency /
                              before.Evaluate(layout, Phase::kDecode)->latency -
                          1;
  bool found = false;
  for (const Sensitivity& sensitivity : report.explanations[0].sensitivities) {
    EXPECT_LE(sensitivity.latency_change, 1e-12) << sensitivity.quantity;
    if (sensitivity.quantity == "link bandwidth") {
      found = true;
      EXPECT_NEAR(sensitivity.latency_change, expected, 1e-12);
      EXPECT_LT(expected, 0);
    }
  }
  EXPECT_TRUE(found);
}

// JSON of explain: volume and sent bytes of each collective as CollectiveTraffic counts them.
TEST(ExplainJson, CarriesTheTraffic) {
  const Setting setting = Base();
  const ExplainReport report =
      MakeExplainReport(RequestOf(setting, {Phase::kDecode}, "Ex.Fyz/ws/Bxyz"));
  const std::string json = ExplainJson(report).dump();
  Evaluator evaluator(setting);
  static_cast<void>(
      evaluator.Evaluate(ParseLayout("Ex.Fyz/ws/Bxyz", evaluator.mesh()), Phase::kDecode));
  const Program& program = evaluator.program();
  ASSERT_EQ(report.explanations[0].ops.size(), program.ops.size());
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Traffic traffic = CollectiveTraffic(program, program.ops[i]);
    EXPECT_EQ(report.explanations[0].ops[i].volume, traffic.volume);
    EXPECT_EQ(report.explanations[0].ops[i].sent, traffic.sent);
  }
  EXPECT_NE(json.find("\"volume_bytes\""), std::string::npos);
  EXPECT_NE(json.find("\"sent_bytes\""), std::string::npos);
}

TEST(CapacityJson, RowsAreTheSearchs) {
  CapacityReport report;
  report.setting = Base();
  report.provenance = Origin();
  report.layout_filter = "*/*/Bxyz";
  report.budget = {.fraction_of_nominal = 0.3};
  const Mesh mesh(report.setting.slice);
  report.rows = Capacity(report.setting, LayoutFilter(report.layout_filter, mesh), report.budget);
  ASSERT_EQ(report.rows.size(), 1U);
  const Json json = CapacityJson(report);
  EXPECT_EQ(json["request"]["kv_budget"], 0.3);
  ASSERT_EQ(json["rows"].size(), 1U);
  const Json& row = json["rows"][0];
  EXPECT_EQ(row["attention"], "Bxyz");
  EXPECT_EQ(row["max_context"], report.rows[0].max_context);
  EXPECT_EQ(row["max_batch"], report.rows[0].max_batch);
  EXPECT_EQ(row["kv_budget_bytes"], report.rows[0].kv_budget.base());
  report.budget = {};
  EXPECT_EQ(CapacityJson(report)["request"]["kv_budget"], "free");
}

}  // namespace
}  // namespace slicewise
