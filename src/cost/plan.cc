#include "slicewise/cost/plan.h"

#include <algorithm>

namespace slicewise {

std::string_view Name(Violation::Code code) {
  switch (code) {
    case Violation::Code::kMemory:
      return "memory";
    case Violation::Code::kTtft:
      return "ttft";
    case Violation::Code::kTpot:
      return "tpot";
    case Violation::Code::kContext:
      return "context";
  }
  return "";
}

std::string_view UnitOf(Violation::Code code) {
  switch (code) {
    case Violation::Code::kMemory:
    case Violation::Code::kContext:
      return "bytes";
    case Violation::Code::kTtft:
    case Violation::Code::kTpot:
      return "seconds";
  }
  return "";
}

// Rows and context up to this factor beyond what was measured are the same regime.
constexpr double kRangeSlack = 2;

bool InsideRange(const Calibration& calibration, const Slice& slice, const Workload& work,
                 Phase phase) {
  const Calibration::Range& range = calibration.range;
  const double chips = slice.chips();
  const double rows =
      static_cast<double>(work.batch(phase)) * static_cast<double>(work.query_length(phase));
  const double context = work.mean_attended(phase);
  const auto& types = range.weight_types;
  const auto near = [](double value, double low, double high) {
    return value * kRangeSlack >= low && value <= high * kRangeSlack;
  };
  return chips >= range.min_chips && chips <= range.max_chips &&
         near(rows, range.min_rows, range.max_rows) &&
         near(context, range.min_context, range.max_context) &&
         work.activations == DataType::kBf16 && work.kv_cache == DataType::kBf16 &&
         std::find(types.begin(), types.end(), Name(work.weights)) != types.end();
}

double Mfu(double parameters, double tokens, const Chip& chip, Seconds chip_seconds) {
  return FlopsOf(2 * parameters * tokens) / (chip.peak_bf16 * chip_seconds);
}

Evaluator::Evaluator(const Setting& setting)
    : setting_(setting),
      mesh_(setting.slice),
      cost_model_(setting.chip, mesh_, setting.calibration, setting.network),
      mfu_parameters_(MfuParameters(setting.model)) {}

BatchFigures Evaluator::FiguresOf(Phase phase, std::int64_t batch) const {
  Workload work = setting_.workload;
  work.SetBatch(phase, batch);
  const Calibration& calibration = setting_.calibration;
  return {.batch = batch,
          .tokens = work.tokens(phase),
          .interval = InsideRange(calibration, setting_.slice, work, phase) ? calibration.inside
                                                                            : calibration.outside};
}

std::optional<Violation> MissedBy(const Plan& plan, const Workload& workload, const Chip& chip,
                                  const Targets& targets) {
  if (plan.violation) {
    return plan.violation;
  }
  const bool prefill = plan.phase == Phase::kPrefill;
  const double cached = static_cast<double>(workload.cached_at_end(plan.phase));
  if (const auto least = static_cast<double>(targets.min_context); !prefill && least > cached) {
    const Bytes needed = plan.memory.total() + plan.memory.kv_cache * (least / cached - 1);
    if (needed > chip.hbm_usable) {
      return Violation{Violation::Code::kContext, needed.base(), chip.hbm_usable.base()};
    }
  }
  const Seconds limit = prefill ? targets.ttft : targets.tpot;
  const Seconds time = prefill ? plan.latency : plan.step;
  if (limit > Seconds() && time > limit) {
    return Violation{prefill ? Violation::Code::kTtft : Violation::Code::kTpot, time.base(),
                     limit.base()};
  }
  return std::nullopt;
}

std::optional<Plan> Evaluator::Evaluate(const Layout& layout, Phase phase,
                                        std::int64_t padded_heads) {
  const std::int64_t batch = setting_.workload.batch(phase);
  if (!Trace(layout, phase, batch, curve_, padded_heads)) {
    return std::nullopt;
  }
  return At(curve_, FiguresOf(phase, batch));
}

bool Evaluator::Trace(const Layout& layout, Phase phase, std::int64_t batch, PlanCurve& curve,
                      std::int64_t padded_heads) {
  const std::int64_t requested = padded_heads != 0 ? padded_heads : setting_.padded_heads;
  const std::int64_t stored = StoredHeads(setting_.model, layout, mesh_, requested);
  if (stored == 0 && setting_.model.has_attention()) {
    return false;
  }
  Workload work = setting_.workload;
  work.SetBatch(phase, batch);
  Lower({&setting_.model, &work, phase, stored}, layout, mesh_, program_);
  curve.layout = layout;
  curve.phase = phase;
  curve.stored_heads = stored;
  curve.batching = program_.batching;
  cost_model_.Trace(program_, curve.cost);
  TraceMemory(program_, curve.memory);
  curve.last = {};
  curve.traced = true;
  return true;
}

PhaseCost Evaluator::Cost() const {
  PhaseCost cost;
  cost_model_.PriceWithOps(curve_.cost, curve_.last.sequences, cost);
  return cost;
}

PlanCurve::Price Evaluator::PriceAt(const PlanCurve& curve, const Sequences& sequences) const {
  PhaseCost cost;
  cost_model_.Price(curve.cost, sequences, cost);
  return {.sequences = sequences,
          .latency = cost.latency,
          .step = cost.step,
          .bound = cost.bound,
          .memory = PeakMemory(curve.memory, sequences)};
}

Plan Evaluator::At(PlanCurve& curve, const BatchFigures& batch) const {
  const Phase phase = curve.phase;
  const Sequences sequences = curve.batching.Share(batch.batch);
  if (curve.last.sequences != sequences) {
    curve.last = PriceAt(curve, sequences);
  }
  Plan plan;
  plan.layout = curve.layout;
  plan.phase = phase;
  plan.stored_heads = curve.stored_heads;
  plan.latency = curve.last.latency;
  plan.step = curve.last.step;
  plan.bound = curve.last.bound;
  plan.memory = curve.last.memory;
  const Seconds chip_seconds = plan.latency * static_cast<double>(setting_.slice.chips());
  plan.mfu = Mfu(mfu_parameters_, batch.tokens, setting_.chip, chip_seconds);
  plan.tokens_per_second = batch.tokens / (plan.latency / SecondsOf(1));
  plan.chip_seconds_per_token = chip_seconds / batch.tokens;
  if (plan.memory.total() > setting_.chip.hbm_usable) {
    plan.violation = Violation{Violation::Code::kMemory, plan.memory.total().base(),
                               setting_.chip.hbm_usable.base()};
  }
  if (batch.interval.coverage > 0) {
    plan.latency_low = plan.latency * batch.interval.factor_low;
    plan.latency_high = plan.latency * batch.interval.factor_high;
  }
  return plan;
}

}  // namespace slicewise
