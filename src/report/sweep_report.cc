#include "slicewise/report/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "slicewise/search/offer.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

SweepOptions OptionsFor(const Request& request, const Progress& progress) {
  SweepOptions options;
  options.objective = request.objective;
  options.targets = request.targets;
  options.threads = request.threads;
  options.progress = progress;
  return options;
}

// The request for one slice, batches and format.
Request At(const Request& request, const Slice& slice, DataType weights, std::int64_t prefill_batch,
           std::int64_t decode_batch) {
  Request one = request;
  one.setting.slice = slice;
  one.setting.workload.weights = weights;
  one.setting.workload.prefill_batch = prefill_batch;
  one.setting.workload.decode_batch = decode_batch;
  return one;
}

Request Winner(const SweepReport& report) {
  const Request& request = report.request;
  if (!report.deployments.empty()) {
    const DeploymentPoint& best = report.deployments.front();
    return At(request, best.slice, best.weights, best.deployment.prefill_batch,
              best.deployment.decode_batch);
  }
  Request one = request;
  for (const PhaseSweep& phase : report.phases) {
    if (!phase.points.empty()) {
      const SweepPoint& best = phase.points.front();
      const bool prefill = phase.phase == Phase::kPrefill;
      const Workload& work = request.setting.workload;
      one = At(request, best.slice, best.weights, prefill ? best.batch : work.prefill_batch,
               prefill ? work.decode_batch : best.batch);
    }
  }
  return one;
}

// "needs 128 chips (4x4x8, Ex.Fyz/ws/Bxyz, batch 64, int8)".
std::string PointText(const SweepPoint& point) {
  return fmt::format("{}, batch {}, {}, {}", ToString(point.slice), point.batch,
                     Name(point.weights), ToString(point.plan.layout, Mesh(point.slice)));
}

std::string OfferText(const Request& request, Phase phase, const Offer& offer) {
  const bool prefill = phase == Phase::kPrefill;
  const Seconds limit = prefill ? request.targets.ttft : request.targets.tpot;
  const auto wait = [&](const SweepPoint& p) { return prefill ? p.plan.latency : p.plan.step; };
  const bool timed =
      offer.binding == Violation::Code::kTtft || offer.binding == Violation::Code::kTpot;
  std::string text = fmt::format("{}: ", Name(phase));
  if (timed) {
    text += Format(limit) + (prefill ? " to the first token" : " per output token");
  } else {
    text += offer.binding == Violation::Code::kContext ? "the context" : "fitting in memory";
  }
  if (offer.sufficient) {
    text += fmt::format(" needs {} chips ({}{})", offer.sufficient->slice.chips(),
                        PointText(*offer.sufficient),
                        timed ? ", " + Format(wait(*offer.sufficient)) : "");
  } else {
    text += fmt::format(" is out of reach of every slice up to {} chips",
                        request.setting.chip.max_chips);
  }
  if (offer.fastest && timed) {
    text += fmt::format("; with {} the best is {} ({})", offer.fastest->slice.chips(),
                        Format(wait(*offer.fastest)), PointText(*offer.fastest));
  }
  return text + "\n";
}

// A slice for each phase. The points at hand may be the best by another objective.
PairedDeployment Pair(const SweepReport& report, SweepOptions options) {
  const Request& request = report.request;
  const Objective objective = PairObjective(request.objective);
  if (objective == request.objective) {
    return PairPhases(request.setting, report.phases[0].points.front(),
                      report.phases[1].points.front());
  }
  options.keep = 1;
  options.objective = objective;
  const auto best = [&](Phase phase) {
    return SweepPhase(request.setting, request.space, phase, options).points.front();
  };
  return PairPhases(request.setting, best(Phase::kPrefill), best(Phase::kDecode));
}

}  // namespace

bool SweepReport::infeasible() const {
  return std::any_of(phases.begin(), phases.end(),
                     [](const PhaseSweep& phase) { return phase.points.empty(); });
}

SweepReport MakeSweepReport(const Request& request, const Progress& progress) {
  SweepReport report;
  report.request = request;
  SweepOptions options = OptionsFor(request, progress);
  options.keep = request.top;
  for (Phase phase : request.phases) {
    report.phases.push_back(SweepPhase(request.setting, request.space, phase, options));
  }
  if (request.phases.size() == 2 && !report.infeasible()) {
    report.deployments =
        SweepDeployments(request.setting, request.space, options, request.same_layout);
    if (request.same_layout) {
      const auto free = SweepDeployments(request.setting, request.space, options);
      report.with_two_layouts = free.empty() ? std::nullopt : std::optional(free.front());
    }
    report.pair = Pair(report, options);
  }
  report.winner = MakePlanReport(Winner(report));
  return report;
}

bool ParetoReport::infeasible() const {
  return std::any_of(phases.begin(), phases.end(),
                     [](const PhaseSweep& phase) { return phase.points.empty(); });
}

ParetoReport MakeParetoReport(const Request& request, const Progress& progress) {
  ParetoReport report;
  report.request = request;
  SweepOptions options = OptionsFor(request, progress);
  options.front = true;
  for (Phase phase : request.phases) {
    // What a phase's front holds is the best layout of each point; a layout that is slower and
    // cheaper is not, since at one point time and cost rise together.
    report.phases.push_back(SweepPhase(request.setting, request.space, phase, options));
  }
  if (request.phases.size() == 2) {
    report.deployments =
        SweepDeploymentFront(request.setting, request.space, options, request.same_layout);
  }
  return report;
}

std::string OffersText(const Request& request) {
  std::string text;
  for (Phase phase : request.phases) {
    const auto offer =
        NearestOffer(request.setting, request.space, phase, OptionsFor(request, nullptr));
    if (offer) {
      text += OfferText(request, phase, *offer);
    }
  }
  return text;
}

}  // namespace slicewise
