// A plan: a layout with its predicted time and memory for one phase, and how plans are evaluated.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/cost/calibration.h"
#include "slicewise/cost/cost.h"
#include "slicewise/cost/memory.h"
#include "slicewise/hardware/chip.h"
#include "slicewise/layout/layout.h"
#include "slicewise/model/model.h"
#include "slicewise/program/lower.h"
#include "slicewise/workload/workload.h"

namespace slicewise {

// A limit that a plan misses. Plans are priced whether or not they are feasible.
struct Violation {
  enum class Code : std::uint8_t { kMemory, kTtft, kTpot, kContext };
  Code code = Code::kMemory;
  double needed = 0;
  double available = 0;

  bool operator==(const Violation&) const = default;
};
[[nodiscard]] std::string_view Name(Violation::Code code);
[[nodiscard]] std::string_view UnitOf(Violation::Code code);

// Everything a plan is computed from, except the layout and the phase.
struct Setting {
  Model model;
  Chip chip;
  Slice slice;
  Workload workload;
  std::int64_t padded_heads = 0;  // 0: the fewest each layout allows
  Calibration calibration;
  NetworkKind network = NetworkKind::kTorus;
};

struct Plan {
  Layout layout;
  Phase phase = Phase::kPrefill;
  std::int64_t stored_heads = 0;
  Seconds latency;      // the whole phase
  Seconds step;         // one pass; decode: time per output token (TPOT)
  Seconds latency_low;  // the calibration's interval; both zero when it has none
  Seconds latency_high;
  double mfu = 0;                // design: 2 N tokens / (chips x bf16 peak x seconds)
  double tokens_per_second = 0;  // real tokens of the phase over its latency
  Seconds chip_seconds_per_token;
  Bound bound = Bound::kCompute;
  MemoryUse memory;
  std::optional<Violation> violation;

  [[nodiscard]] bool fits() const { return !violation.has_value(); }
};

// 2 N tokens / (chips x bf16 peak x seconds); N is the model's MfuParameters, tokens are real ones.
[[nodiscard]] double Mfu(double parameters, double tokens, const Chip& chip, Seconds chip_seconds);

// Limits that a plan must keep; zero where there is none.
struct Targets {
  Seconds ttft;  // time to first token: the latency of prefill, first sample included
  Seconds tpot;  // time per output token: the mean decode step
  std::int64_t min_context = 0;  // tokens that the cache must have room for, at the decode batch

  bool operator==(const Targets&) const = default;
  [[nodiscard]] bool any() const { return *this != Targets(); }
};

// A layout lowered once: its plan for any batch that its ops are for.
struct PlanCurve {
  Layout layout;
  Phase phase = Phase::kPrefill;
  std::int64_t stored_heads = 0;
  Batching batching;
  PhaseCurve cost;
  MemoryCurve memory;
  // What it came to when last asked: batches that pad alike cost the same.
  struct Price {
    Sequences sequences = {};
    Seconds latency, step;
    Bound bound = Bound::kCompute;
    MemoryUse memory;
  } last;
  bool traced = false;

  // Whether its ops are those of this batch.
  [[nodiscard]] bool Covers(std::int64_t batch) const { return traced && batching.Covers(batch); }
};

// What a plan takes from the batch of its phase beside its curve.
struct BatchFigures {
  std::int64_t batch = 1;
  double tokens = 0;  // real ones, of the phase
  Calibration::Interval interval;
};

// Prices layouts of one setting, reusing one program: no allocation per plan.
class Evaluator {
 public:
  explicit Evaluator(const Setting& setting);
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  [[nodiscard]] const Setting& setting() const { return setting_; }
  [[nodiscard]] const Mesh& mesh() const { return mesh_; }
  // From now on plans are for this workload; all else stays.
  // Curves traced before are for the former workload.
  void SetWorkload(const Workload& workload) { setting_.workload = workload; }

  // nullopt when the setting's padded_heads (or `padded_heads`, if not 0) does not fit the layout.
  [[nodiscard]] std::optional<Plan> Evaluate(const Layout& layout, Phase phase,
                                             std::int64_t padded_heads = 0);
  // The same in two steps, for one batch after another, whatever the workload's: Trace lowers, and
  // says false where Evaluate says nullopt; At prices for any batch that the curve's batching
  // covers. At's plan is what Evaluate gives for a workload of that batch, to the last bit.
  [[nodiscard]] bool Trace(const Layout& layout, Phase phase, std::int64_t batch, PlanCurve& curve,
                           std::int64_t padded_heads = 0);
  [[nodiscard]] Plan At(PlanCurve& curve, const BatchFigures& batch) const;
  [[nodiscard]] BatchFigures FiguresOf(Phase phase, std::int64_t batch) const;
  // The program of the latest Evaluate or Trace that did not fail.
  [[nodiscard]] const Program& program() const { return program_; }
  // What the ops of the latest Evaluate that did not fail cost.
  [[nodiscard]] PhaseCost Cost() const;

 private:
  [[nodiscard]] PlanCurve::Price PriceAt(const PlanCurve& curve, const Sequences& sequences) const;

  Setting setting_;
  Mesh mesh_;
  CostModel cost_model_;
  double mfu_parameters_;
  Program program_;
  PlanCurve curve_;
};

// The first of the limits that the plan misses: what it misses already (memory), then context, then
// time. The plan must be one of this workload on this chip.
[[nodiscard]] std::optional<Violation> MissedBy(const Plan& plan, const Workload& workload,
                                                const Chip& chip, const Targets& targets);

// Whether a phase of this workload lies within the range the calibration was fitted on: its chip
// counts and number formats, and rows per pass and attended tokens within a factor of two.
[[nodiscard]] bool InsideRange(const Calibration& calibration, const Slice& slice,
                               const Workload& work, Phase phase);

}  // namespace slicewise
