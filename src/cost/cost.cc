#include "slicewise/cost/cost.h"

#include <algorithm>

namespace slicewise {
namespace {

// The members of an overlap group: an einsum, the loop that gathers its weights, and its loops over
// activations.
enum Side : std::uint8_t { kComputeSide, kGatherSide, kActivationsSide, kSides };

Side SideOf(const Op& op) {
  if (!IsCollective(op.kind)) {
    return kComputeSide;
  }
  return op.schedule == Schedule::kLoopedOneWay ? kGatherSide : kActivationsSide;
}

// Per side: its seconds, or what of them is exposed.
using GroupTimes = std::array<double, kSides>;

// What of each side of a group is exposed. The gathering loop hides behind the einsum, or the
// einsum behind it; loops over activations hide behind the two together, or the other way round.
GroupTimes Share(const GroupTimes& time, double gather_exposed, double activations_exposed) {
  const bool gather_hides = time[kGatherSide] <= time[kComputeSide];
  const double compute = gather_hides ? 1 : gather_exposed;
  const double gather = gather_hides ? gather_exposed : 1;
  const double inner = time[kComputeSide] * compute + time[kGatherSide] * gather;
  const bool activations_hide = time[kActivationsSide] <= inner;
  const double rest = activations_hide ? 1 : activations_exposed;
  return {compute * rest, gather * rest, activations_hide ? activations_exposed : 1};
}

double BaseOf(double value) { return value; }
template <class Quantity>
double BaseOf(Quantity value) {
  return value.base();
}

// The amount times what one of it takes.
template <class Quantity>
void Set(OpCurve& curve, OpCurve::Quantity quantity, const Amount<Quantity>& amount, double each) {
  for (std::size_t i = 0; i < amount.each.size(); ++i) {
    curve.each[i][quantity] = BaseOf(amount.each[i]) * each;
  }
}

}  // namespace

std::string_view Name(Bound bound) {
  switch (bound) {
    case Bound::kCompute:
      return "compute";
    case Bound::kHbm:
      return "hbm";
    case Bound::kNetwork:
      return "network";
    case Bound::kLatency:
      return "latency";
  }
  return "";
}

CostModel::CostModel(const Chip& chip, const Mesh& mesh, const Calibration& calibration,
                     NetworkKind network)
    : network_(chip, mesh, calibration, network),
      half_rows_(calibration.matmul_half_rows),
      float32_passes_(calibration.float32_passes),
      exposed_fraction_(calibration.exposed_fraction),
      gather_exposed_fraction_(calibration.gather_exposed_fraction),
      step_latency_(calibration.step_latency) {
  const double efficiency = calibration.matmul_efficiency;
  seconds_per_flop_ = {1 / (chip.Peak(DataType::kBf16).base() * efficiency),
                       1 / (chip.Peak(DataType::kInt8).base() * efficiency)};
  const double hbm = chip.hbm_bandwidth.base();
  on_chip_ = chip.on_chip_memory.base();
  weight_per_byte_ = {1 / (hbm * calibration.weight_bandwidth),
                      1 / (hbm * calibration.int8_weight_bandwidth)};
  cache_per_byte_ = 1 / (hbm * calibration.cache_bandwidth);
  score_bytes_ = calibration.score_traffic;
  stream_exposed_fraction_ = calibration.stream_exposed_fraction;
  elementwise_per_byte_ = calibration.elementwise_traffic / hbm;
}

void CostModel::Trace(const Program& program, PhaseCurve& curve) const {
  curve.ops.clear();
  curve.groups.clear();
  TraceSection(program, program.prologue, 1, curve);
  TraceSection(program, program.layer, program.layers, curve);
  TraceSection(program, program.epilogue, 1, curve);
  curve.steps = program.steps;
}

void CostModel::TraceSection(const Program& program, Section section, double times,
                             PhaseCurve& curve) const {
  const std::size_t first = curve.groups.size();
  for (std::size_t i = section.begin; i < section.end; ++i) {
    const Op& op = program.ops[i];
    while (curve.groups.size() <= first + op.group) {
      curve.groups.push_back({times, curve.groups.size() > first});
    }
    OpCurve& traced = curve.ops.append();
    TraceOp(program, op, traced);
    traced.group = static_cast<std::uint8_t>(first + op.group);
    traced.section = static_cast<std::uint8_t>(first);
    traced.side = SideOf(op);
  }
}

void CostModel::TraceOp(const Program& program, const Op& op, OpCurve& curve) const {
  static constexpr OpCurve kFree = {};
  curve = kFree;
  switch (op.kind) {
    case OpKind::kEinsum:
      TraceEinsum(program, op, curve);
      break;
    case OpKind::kAttention:
      Set(curve, OpCurve::kCompute, FlopsAmount(program, op), seconds_per_flop_[0]);
      Set(curve, OpCurve::kHbm, StreamedAmount(program, op), cache_per_byte_);
      Set(curve, OpCurve::kResults, ScoresAmount(program, op), score_bytes_);
      curve.results_per_byte = cache_per_byte_;
      break;
    case OpKind::kElementwise:
      Set(curve, OpCurve::kResults, ElementwiseAmount(program, op), 1);
      curve.results_per_byte = elementwise_per_byte_;
      break;
    case OpKind::kAllGather:
    case OpKind::kReduceScatter:
    case OpKind::kAllReduce:
    case OpKind::kAllToAll:
      TraceCollective(program, op, curve);
      break;
  }
}

void CostModel::TraceEinsum(const Program& program, const Op& op, OpCurve& curve) const {
  const DataType weights = program.tensor(op.terms[0].rhs).type;
  const bool int8_weights = weights == DataType::kInt8;
  const bool int8 = int8_weights && program.tensor(op.terms[0].lhs).type == DataType::kInt8;
  const bool float32 = program.tensor(op.terms[0].out).type == DataType::kFloat32;
  const double per_flop = seconds_per_flop_[int8 ? 1 : 0] * (float32 ? float32_passes_ : 1);
  Amount<Flops> flops = FlopsAmount(program, op);
  flops.Add(Follows::kNothing, FlopsOf(2 * half_rows_ * EinsumWeights(program, op)));
  Set(curve, OpCurve::kCompute, flops, per_flop);
  Set(curve, OpCurve::kHbm, StreamedAmount(program, op), weight_per_byte_[int8_weights ? 1 : 0]);
  curve.unhidden_fraction = stream_exposed_fraction_;
}

void CostModel::TraceCollective(const Program& program, const Op& op, OpCurve& curve) const {
  const TrafficAmount traffic = CollectiveAmount(program, op);
  const CollectiveTime time = network_.Time(op, traffic);
  Set(curve, OpCurve::kNetwork, time.bandwidth, 1);
  curve.blocking_fraction = time.blocking_fraction;
  curve.network_latency = time.latency.base();
  curve.blocking_latency = time.blocking_latency.base();
  Set(curve, OpCurve::kResults, traffic.sent, ReductionBytesPerSent(op.kind));
  curve.results_per_byte = elementwise_per_byte_;
  curve.steps = traffic.steps;
}

inline OpCost CostModel::PriceOp(const OpCurve& curve, const Sequences& sequences) const {
  double batch = sequences[static_cast<std::size_t>(Follows::kBatch)];
  double attention_batch = sequences[static_cast<std::size_t>(Follows::kAttentionBatch)];
  if (curve.steps.items > 0) {
    const Sequences held = curve.steps.Round(sequences);
    batch = held[static_cast<std::size_t>(Follows::kBatch)];
    attention_batch = held[static_cast<std::size_t>(Follows::kAttentionBatch)];
  }
  std::array<double, OpCurve::kQuantities> amount;
  for (std::size_t q = 0; q < amount.size(); ++q) {
    amount[q] = curve.each[0][q] + curve.each[1][q] * batch + curve.each[2][q] * attention_batch;
  }
  const double spilled = std::max(amount[OpCurve::kResults] - on_chip_, 0.0);
  const double compute = amount[OpCurve::kCompute];
  const double hbm = amount[OpCurve::kHbm] + spilled * curve.results_per_byte;
  OpCost cost;
  cost.compute = SecondsOf(compute);
  cost.hbm = SecondsOf(hbm);
  cost.unhidden = SecondsOf(std::min(compute, hbm) * curve.unhidden_fraction);
  cost.network_bandwidth = SecondsOf(amount[OpCurve::kNetwork]);
  cost.network_latency = SecondsOf(curve.network_latency);
  cost.blocking_bandwidth = cost.network_bandwidth * curve.blocking_fraction;
  cost.blocking_latency = SecondsOf(curve.blocking_latency);
  return cost;
}

// Of every side of every group: its seconds by what bounds them, were nothing to overlap, and what
// of them is exposed.
struct CostModel::Totals {
  using ByBound = std::array<double, 4>;
  std::array<std::array<ByBound, kSides>, decltype(PhaseCurve::groups)::capacity()> seconds;
  std::array<GroupTimes, decltype(PhaseCurve::groups)::capacity()> exposed;
};

void CostModel::PriceGroups(const PhaseCurve& curve, const Sequences& sequences,
                            Totals& totals) const {
  std::fill_n(totals.seconds.begin(), curve.groups.size(), std::array<Totals::ByBound, kSides>());
  for (const OpCurve& op : curve.ops) {
    const OpCost cost = PriceOp(op, sequences);
    const double compute = cost.compute.base();
    const double hbm = cost.hbm.base();
    const double on_chip = std::max(compute, hbm) + cost.unhidden.base();
    const double computing = compute >= hbm ? on_chip : 0;
    Totals::ByBound& seconds = totals.seconds[op.group][op.side];
    constexpr auto kNetwork = static_cast<std::size_t>(Bound::kNetwork);
    constexpr auto kLatency = static_cast<std::size_t>(Bound::kLatency);
    seconds[static_cast<std::size_t>(Bound::kCompute)] += computing;
    seconds[static_cast<std::size_t>(Bound::kHbm)] += on_chip - computing;
    seconds[kNetwork] += cost.network_bandwidth.base();
    seconds[kLatency] += cost.network_latency.base();
    if (op.blocking_fraction > 0) {
      Totals::ByBound& blocking = totals.seconds[op.section][op.side];
      seconds[kNetwork] -= cost.blocking_bandwidth.base();
      seconds[kLatency] -= cost.blocking_latency.base();
      blocking[kNetwork] += cost.blocking_bandwidth.base();
      blocking[kLatency] += cost.blocking_latency.base();
    }
  }
  for (std::size_t g = 0; g < curve.groups.size(); ++g) {
    totals.exposed[g] = {1, 1, 1};
    if (curve.groups[g].overlaps) {
      GroupTimes times;
      for (std::size_t side = 0; side < kSides; ++side) {
        const Totals::ByBound& seconds = totals.seconds[g][side];
        times[side] = (seconds[0] + seconds[1]) + (seconds[2] + seconds[3]);
      }
      totals.exposed[g] = Share(times, gather_exposed_fraction_, exposed_fraction_);
    }
  }
}

void CostModel::Sum(const PhaseCurve& curve, const Totals& totals, PhaseCost& cost) const {
  Totals::ByBound sum = {};
  sum[static_cast<std::size_t>(Bound::kLatency)] = step_latency_;
  for (std::size_t g = 0; g < curve.groups.size(); ++g) {
    for (std::size_t side = 0; side < kSides; ++side) {
      const double times = totals.exposed[g][side] * curve.groups[g].times;
      for (std::size_t bound = 0; bound < sum.size(); ++bound) {
        sum[bound] += totals.seconds[g][side][bound] * times;
      }
    }
  }
  for (std::size_t bound = 0; bound < sum.size(); ++bound) {
    cost.bound_seconds[bound] = SecondsOf(sum[bound]);
  }
  cost.step = SecondsOf((sum[0] + sum[1]) + (sum[2] + sum[3]));
  cost.latency = cost.step * curve.steps;
  cost.bound = static_cast<Bound>(std::max_element(sum.begin(), sum.end()) - sum.begin());
}

void CostModel::Price(const PhaseCurve& curve, const Sequences& sequences, PhaseCost& cost) const {
  Totals totals;
  PriceGroups(curve, sequences, totals);
  Sum(curve, totals, cost);
}

void CostModel::PriceWithOps(const PhaseCurve& curve, const Sequences& sequences,
                             PhaseCost& cost) const {
  Totals totals;
  PriceGroups(curve, sequences, totals);
  Sum(curve, totals, cost);
  cost.ops.clear();
  for (const OpCurve& op : curve.ops) {
    OpCost& priced = cost.ops.push_back(PriceOp(op, sequences));
    const Seconds blocking = priced.blocking_bandwidth + priced.blocking_latency;
    priced.exposed = (priced.alone() - blocking) * totals.exposed[op.group][op.side] + blocking;
  }
}

void CostModel::Price(const Program& program, PhaseCost& cost) const {
  PhaseCurve curve;
  Trace(program, curve);
  PriceWithOps(curve, program.sequences, cost);
}

}  // namespace slicewise
