#include <nlohmann/json.hpp>

#include "slicewise/report/plan_report.h"
#include "slicewise/search/fingerprint.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

Json WorkloadJson(const PlanReport& report) {
  const Setting& s = report.request.setting;
  const Workload& w = s.workload;
  Json phases = Json::array();
  for (Phase phase : report.request.phases) {
    phases.push_back(Name(phase));
  }
  return {{"phases", phases},
          {"prefill_batch", w.prefill_batch},
          {"decode_batch", w.decode_batch},
          {"input_length", w.input_length},
          {"output_length", w.output_length},
          {"context", w.context},
          {"prefill_chunk", w.prefill_chunk > 0 ? Json(w.prefill_chunk) : Json()},
          {"fixed_context", w.fixed_context},
          {"weights", Name(w.weights)},
          {"activations", Name(w.activations)},
          {"kv_cache", Name(w.kv_cache)},
          {"logits", Name(w.logits)},
          {"scope", Name(w.scope)}};
}

Json MemoryJson(const MemoryUse& use, const Chip& chip) {
  return {{"weights_bytes", use.weights.base()},
          {"kv_cache_bytes", use.kv_cache.base()},
          {"activations_bytes", use.activations.base()},
          {"gathered_weights_bytes", use.gathered_weights.base()},
          {"logits_bytes", use.logits.base()},
          {"total_bytes", use.total().base()},
          {"capacity_bytes", chip.hbm_usable.base()}};
}

Json ViolationsJson(const Plan& plan) {
  Json violations = Json::array();
  if (plan.violation) {
    violations.push_back({{"code", Name(plan.violation->code)},
                          {"needed", plan.violation->needed},
                          {"available", plan.violation->available},
                          {"unit", UnitOf(plan.violation->code)}});
  }
  return violations;
}

Json BreakdownJson(const std::vector<BreakdownRow>& rows) {
  Json out = Json::array();
  for (const BreakdownRow& row : rows) {
    out.push_back({{"part", Name(row.part)},
                   {"op", row.op},
                   {"axes", row.axes},
                   {"compute_seconds", row.compute.base()},
                   {"hbm_seconds", row.hbm.base()},
                   {"network_seconds", row.network.base()},
                   {"exposed_seconds", row.exposed.base()}});
  }
  return out;
}

Json RejectedJson(const PhaseReport& phase) {
  Json reasons = Json::object();
  for (const auto& [reason, count] : phase.rejected.by_reason) {
    reasons[reason] = count;
  }
  Json nearest;
  if (phase.rejected.nearest) {
    nearest = {{"layout", phase.nearest_layout},
               {"violations", ViolationsJson(*phase.rejected.nearest)}};
  }
  return {{"count", phase.rejected.count}, {"by_reason", reasons}, {"nearest", nearest}};
}

Json TargetsJson(const Targets& targets) {
  const auto time = [](Seconds limit) { return limit > Seconds() ? Json(limit.base()) : Json(); };
  return {{"ttft_seconds", time(targets.ttft)},
          {"tpot_seconds", time(targets.tpot)},
          {"min_context", targets.min_context > 0 ? Json(targets.min_context) : Json()}};
}

Json BeyondJson(const PhaseReport& phase) {
  if (!phase.beyond_paper) {
    return {};
  }
  const PlanEntry& entry = *phase.beyond_paper;
  return {{"layout", entry.layout},
          {"description", entry.description},
          {"latency_seconds", entry.plan.latency.base()},
          {"mfu", entry.plan.mfu},
          {"chip_seconds_per_token", entry.plan.chip_seconds_per_token.base()}};
}

Json DeploymentJson(const Deployment& deployment, const Mesh& mesh) {
  return {{"prefill_layout", ToString(deployment.prefill.layout, mesh)},
          {"decode_layout", ToString(deployment.decode.layout, mesh)},
          {"weights", WeightsText(deployment.prefill.layout, mesh)},
          {"padded_heads", deployment.stored_heads},
          {"prefill_latency_seconds", deployment.prefill.latency.base()},
          {"decode_latency_seconds", deployment.decode.latency.base()},
          {"latency_seconds", deployment.latency.base()},
          {"mfu", deployment.mfu},
          {"kv_reshard_seconds", deployment.kv_reshard.base()},
          {"prefill_batch", deployment.prefill_batch},
          {"decode_batch", deployment.decode_batch},
          {"memory_bytes", deployment.memory.base()},
          {"serving", FiguresJson(deployment.figures)}};
}

}  // namespace

Json FiguresJson(const ServingFigures& figures) {
  return {{"ttft_seconds", figures.ttft.base()},
          {"tpot_seconds", figures.tpot.base()},
          {"requests_per_second", figures.requests_per_second},
          {"tokens_per_chip_second", figures.tokens_per_chip_second},
          {"dollars_per_million_tokens", figures.price_per_million_tokens.base()}};
}

Json RequestJson(const PlanReport& report) {
  const Setting& s = report.request.setting;
  Json request = {
      {"model", s.model.name},      {"chip", s.chip.name},
      {"slice", ToString(s.slice)}, {"accelerator_type", AcceleratorType(s.slice, s.chip)},
      {"chips", s.slice.chips()},   {"tensor_cores", s.slice.chips() * s.chip.cores_per_chip}};
  request.update(WorkloadJson(report));
  request["padded_heads"] = s.padded_heads == 0 ? Json() : Json(s.padded_heads);
  request["layout"] = report.request.layout;
  request["layouts"] = Name(report.request.layouts);
  request["same_layout"] = report.request.same_layout;
  request.update(TargetsJson(report.request.targets));
  request["objective"] = Name(report.request.objective);
  request["calibration"] = s.calibration.name;
  request["network"] = Name(s.network);
  return request;
}

Json ProvenanceJson(const PlanReport& report) {
  const Provenance& p = report.request.provenance;
  const Fingerprints sha256 = FingerprintsOf(report.request.setting);
  return {{"tool", "slicewise"},
          {"version", p.tool_version},
          {"model", p.model_source},
          {"chip", p.chip_source},
          {"calibration", p.calibration_source},
          {"sha256",
           {{"model", sha256.model}, {"chip", sha256.chip}, {"calibration", sha256.calibration}}},
          {"notes", p.notes}};
}

Json PlanFiguresJson(const Plan& plan) {
  const bool interval = plan.latency_high > Seconds();
  return {{"latency_seconds", plan.latency.base()},
          {"latency_low_seconds", interval ? Json(plan.latency_low.base()) : Json()},
          {"latency_high_seconds", interval ? Json(plan.latency_high.base()) : Json()},
          {"step_seconds", plan.step.base()},
          {"tokens_per_second", plan.tokens_per_second},
          {"mfu", plan.mfu},
          {"chip_seconds_per_token", plan.chip_seconds_per_token.base()}};
}

Json PlanEntryJson(const PlanEntry& entry, const Chip& chip) {
  const Plan& plan = entry.plan;
  Json padding = Json::array();
  for (const PaddingRow& row : entry.padding) {
    padding.push_back({{"dim", row.dim}, {"size", row.size}, {"padded", row.padded}});
  }
  Json json = {{"rank", entry.rank},
               {"layout", entry.layout},
               {"description", entry.description},
               {"fits", plan.fits()},
               {"violations", ViolationsJson(plan)},
               {"stored_heads", plan.stored_heads}};
  json.update(PlanFiguresJson(plan));
  json["bound"] = Name(plan.bound);
  json["inside_calibrated_range"] = entry.inside_range;
  json["padding"] = padding;
  json["memory"] = MemoryJson(plan.memory, chip);
  json["breakdown"] = BreakdownJson(entry.breakdown);
  return json;
}

Json PlanJson(const PlanReport& report) {
  const Mesh mesh(report.request.setting.slice);
  Json phases = Json::object();
  for (const PhaseReport& phase : report.phases) {
    Json plans = Json::array();
    for (const PlanEntry& entry : phase.entries) {
      plans.push_back(PlanEntryJson(entry, report.request.setting.chip));
    }
    phases[std::string(Name(phase.phase))] = {{"layouts", phase.layouts},
                                              {"classes", phase.classes},
                                              {"why", phase.why},
                                              {"plans", plans},
                                              {"beyond_paper", BeyondJson(phase)},
                                              {"rejected", RejectedJson(phase)}};
  }
  return {{"schema", kPlanSchema},
          {"request", RequestJson(report)},
          {"provenance", ProvenanceJson(report)},
          {"phases", phases},
          {"deployment", report.deployment ? DeploymentJson(*report.deployment, mesh) : Json()},
          {"execution", report.execution ? ExecutionJson(*report.execution) : Json()}};
}

}  // namespace slicewise
