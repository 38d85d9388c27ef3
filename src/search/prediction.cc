#include "slicewise/search/prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "slicewise/search/deployment.h"

namespace slicewise {
namespace {

Seconds Rounded(Seconds time) { return SecondsOf(NineDigits(time.base())); }

Target TargetOf(Phase phase) {
  return phase == Phase::kPrefill ? Target::kPrefill : Target::kDecode;
}

TargetPrediction PredictPhase(Evaluator& evaluator, const LayoutFilter& filter, Phase phase,
                              const Request& request) {
  TargetPrediction prediction;
  prediction.target = TargetOf(phase);
  const PhasePlans found =
      SearchPhase(evaluator, filter, phase, request.objective, request.targets, request.layouts);
  if (found.plans.empty()) {
    if (const std::optional<Plan>& nearest = found.rejected.nearest) {
      prediction.layout = ToString(nearest->layout, evaluator.mesh());
      prediction.memory = BytesOf(NineDigits(nearest->memory.total().base()));
    }
    return prediction;
  }
  const Plan& best = found.plans.front();
  // Priced afresh: the search keeps plans, not breakdowns.
  static_cast<void>(evaluator.Evaluate(best.layout, phase, best.stored_heads));
  prediction.fits = true;
  prediction.layout = ToString(best.layout, evaluator.mesh());
  prediction.latency = Rounded(best.latency);
  prediction.mfu = NineDigits(best.mfu);
  prediction.chip_seconds_per_token = Rounded(best.chip_seconds_per_token);
  prediction.memory = BytesOf(NineDigits(best.memory.total().base()));
  prediction.terms = TermsOf(Breakdown(evaluator));
  return prediction;
}

TargetPrediction PredictDeployment(Evaluator& evaluator, const LayoutFilter& filter,
                                   const Request& request) {
  TargetPrediction prediction;
  prediction.target = Target::kDeployment;
  const std::optional<Deployment> found = SearchDeployment(evaluator, filter, OptionsOf(request));
  if (!found) {
    return prediction;
  }
  const Mesh& mesh = evaluator.mesh();
  const Setting& setting = evaluator.setting();
  const double tokens =
      setting.workload.tokens(Phase::kPrefill) + setting.workload.tokens(Phase::kDecode);
  prediction.fits = true;
  prediction.layout = fmt::format("{} + {}", ToString(found->prefill.layout, mesh),
                                  ToString(found->decode.layout, mesh));
  prediction.latency = Rounded(found->latency);
  prediction.mfu = NineDigits(found->mfu);
  prediction.chip_seconds_per_token =
      Rounded(found->latency * static_cast<double>(setting.slice.chips()) / tokens);
  prediction.memory = BytesOf(NineDigits(found->memory.base()));
  prediction.terms = {{"prefill", Rounded(found->prefill.latency)},
                      {"decode", Rounded(found->decode.latency)}};
  return prediction;
}

}  // namespace

std::string_view Name(Target target) {
  switch (target) {
    case Target::kPrefill:
      return "prefill";
    case Target::kDecode:
      return "decode";
    case Target::kDeployment:
      return "deployment";
  }
  return "";
}

std::string_view Name(Metric metric) {
  switch (metric) {
    case Metric::kLatency:
      return "latency";
    case Metric::kMfu:
      return "mfu";
    case Metric::kCost:
      return "cost";
    case Metric::kMemory:
      return "memory";
  }
  return "";
}

std::string_view KeyOf(Metric metric) {
  switch (metric) {
    case Metric::kLatency:
      return "latency_seconds";
    case Metric::kMfu:
      return "mfu";
    case Metric::kCost:
      return "chip_seconds_per_token";
    case Metric::kMemory:
      return "memory_bytes";
  }
  return "";
}

double ValueOf(const TargetPrediction& prediction, Metric metric) {
  switch (metric) {
    case Metric::kLatency:
      return prediction.latency.base();
    case Metric::kMfu:
      return prediction.mfu;
    case Metric::kCost:
      return prediction.chip_seconds_per_token.base();
    case Metric::kMemory:
      return prediction.memory.base();
  }
  return 0;
}

void SetValue(TargetPrediction& prediction, Metric metric, double value) {
  switch (metric) {
    case Metric::kLatency:
      prediction.latency = SecondsOf(value);
      return;
    case Metric::kMfu:
      prediction.mfu = value;
      return;
    case Metric::kCost:
      prediction.chip_seconds_per_token = SecondsOf(value);
      return;
    case Metric::kMemory:
      prediction.memory = BytesOf(value);
      return;
  }
}

std::string TermName(std::string_view part, std::string_view op, std::string_view axes) {
  return fmt::format("{} {}{}{}", part, op, axes.empty() ? "" : " over ", axes);
}

void AddTerm(const CostTerm& term, std::vector<CostTerm>& terms) {
  if (term.exposed == Seconds()) {
    return;
  }
  const auto at = std::find_if(terms.begin(), terms.end(),
                               [&](const CostTerm& other) { return other.name == term.name; });
  if (at == terms.end()) {
    terms.push_back(term);
  } else {
    at->exposed += term.exposed;
  }
}

std::vector<CostTerm> TermsOf(const std::vector<BreakdownRow>& rows) {
  std::vector<CostTerm> terms;
  for (const BreakdownRow& row : rows) {
    AddTerm({TermName(Name(row.part), row.op, row.axes), row.exposed}, terms);
  }
  for (CostTerm& term : terms) {
    term.exposed = Rounded(term.exposed);
  }
  return terms;
}

std::vector<TargetPrediction> Predict(const Request& request) {
  Evaluator evaluator(request.setting);
  const LayoutFilter filter(request.layout, evaluator.mesh());
  std::vector<TargetPrediction> predictions;
  bool feasible = true;
  for (Phase phase : request.phases) {
    predictions.push_back(PredictPhase(evaluator, filter, phase, request));
    feasible = feasible && predictions.back().fits;
  }
  if (request.phases.size() == 2) {
    predictions.push_back(feasible ? PredictDeployment(evaluator, filter, request)
                                   : TargetPrediction{.target = Target::kDeployment});
  }
  return predictions;
}

double NineDigits(double value) {
  const std::string text = fmt::format("{:.8e}", value);
  double rounded = value;
  std::from_chars(text.data(), text.data() + text.size(), rounded);
  return rounded;
}

}  // namespace slicewise
