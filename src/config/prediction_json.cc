#include "prediction_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

TargetPrediction ReadPrediction(JsonReader reader, Target target) {
  TargetPrediction prediction;
  prediction.target = target;
  static_cast<void>(reader.OptionalText("comment"));
  if (reader.Has("fits")) {
    if (reader.Flag("fits")) {
      reader.Fail("fits", "found true, expected false, or no such key");
    }
    if (reader.Has("layout")) {
      prediction.layout = reader.Text("layout");
      prediction.memory = BytesOf(reader.Positive(KeyOf(Metric::kMemory)));
    }
    return prediction;
  }
  prediction.fits = true;
  prediction.layout = reader.Text("layout");
  for (Metric metric : kMetrics) {
    SetValue(prediction, metric, reader.Positive(KeyOf(metric)));
  }
  JsonReader terms = reader.Object("terms");
  static_cast<void>(terms.OptionalText("comment"));
  for (const std::string& name : terms.Keys()) {
    if (name != "comment") {
      prediction.terms.push_back({name, SecondsOf(terms.Number(name))});
    }
  }
  return prediction;
}

// The rows of a plan's breakdown as terms, with the same names as TermsOf gives them.
std::vector<CostTerm> ReadBreakdown(JsonReader& plan) {
  std::vector<CostTerm> terms;
  for (JsonReader& row : plan.Objects("breakdown")) {
    const std::string axes = row.Text("axes");
    const std::string name = TermName(row.Text("part"), row.Text("op"), axes);
    AddTerm({name, SecondsOf(row.Number("exposed_seconds"))}, terms);
  }
  return terms;
}

TargetPrediction ReadPlan(JsonReader plan, Target target) {
  TargetPrediction prediction;
  prediction.target = target;
  prediction.fits = plan.Flag("fits");
  prediction.layout = plan.Text("layout");
  for (Metric metric : {Metric::kLatency, Metric::kMfu, Metric::kCost}) {
    SetValue(prediction, metric, plan.Positive(KeyOf(metric)));
  }
  prediction.memory = BytesOf(plan.Object("memory").Positive("total_bytes"));
  prediction.terms = ReadBreakdown(plan);
  return prediction;
}

// A plan document does not say what a deployment's one prefill and decode cost; that is left 0.
TargetPrediction ReadDeployment(JsonReader deployment) {
  TargetPrediction prediction;
  prediction.target = Target::kDeployment;
  prediction.fits = true;
  prediction.layout =
      fmt::format("{} + {}", deployment.Text("prefill_layout"), deployment.Text("decode_layout"));
  prediction.latency = SecondsOf(deployment.Positive("latency_seconds"));
  prediction.mfu = deployment.Positive("mfu");
  prediction.memory = BytesOf(deployment.Positive("memory_bytes"));
  prediction.terms = {{"prefill", SecondsOf(deployment.Positive("prefill_latency_seconds"))},
                      {"decode", SecondsOf(deployment.Positive("decode_latency_seconds"))}};
  return prediction;
}

}  // namespace

Json PredictionJson(const TargetPrediction& prediction) {
  if (!prediction.fits) {
    Json json = {{"fits", false}};
    if (!prediction.layout.empty()) {
      json["layout"] = prediction.layout;
      json[std::string(KeyOf(Metric::kMemory))] = prediction.memory.base();
    }
    return json;
  }
  Json json = {{"layout", prediction.layout}};
  for (Metric metric : kMetrics) {
    json[std::string(KeyOf(metric))] = ValueOf(prediction, metric);
  }
  Json terms = Json::object();
  for (const CostTerm& term : prediction.terms) {
    terms[term.name] = term.exposed.base();
  }
  json["terms"] = terms;
  return json;
}

std::vector<TargetPrediction> ReadAcceptedPredictions(JsonReader& accepted) {
  std::vector<TargetPrediction> predictions;
  for (Target target : kTargets) {
    if (accepted.Has(Name(target))) {
      predictions.push_back(ReadPrediction(accepted.Object(Name(target)), target));
    }
  }
  return predictions;
}

std::vector<TargetPrediction> ReadPlanPredictions(JsonReader& document) {
  std::vector<TargetPrediction> predictions;
  JsonReader phases = document.Object("phases");
  for (Target target : {Target::kPrefill, Target::kDecode}) {
    if (phases.Has(Name(target))) {
      const std::vector<JsonReader> plans = phases.Object(Name(target)).Objects("plans");
      predictions.push_back(plans.empty() ? TargetPrediction{.target = target}
                                          : ReadPlan(plans.front(), target));
    }
  }
  const auto deployment = document.json().find("deployment");
  if (deployment != document.json().end() && deployment->is_object()) {
    predictions.push_back(ReadDeployment(document.Object("deployment")));
  }
  return predictions;
}

}  // namespace slicewise
