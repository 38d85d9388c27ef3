#include "slicewise/cost/cost.h"

#include <algorithm>

namespace slicewise {
namespace {

constexpr std::size_t kMaxGroups = 5;  // none, and two for each block of a layer

// One overlap group: an einsum, the loop that gathers its weights, and its loops over activations.
struct GroupTime {
  double compute = 0;
  double gather = 0;
  double activations = 0;
};

// What of each side of a group is exposed. The gathering loop hides behind the einsum, or the
// einsum behind it; loops over activations hide behind the two together, or the other way round.
struct GroupShares {
  double compute = 1;
  double gather = 1;
  double activations = 1;
};

GroupShares Share(const GroupTime& time, double gather_exposed, double activations_exposed) {
  GroupShares shares;
  (time.gather <= time.compute ? shares.gather : shares.compute) = gather_exposed;
  const double inner = time.compute * shares.compute + time.gather * shares.gather;
  if (time.activations <= inner) {
    shares.activations = activations_exposed;
  } else {
    shares.compute *= activations_exposed;
    shares.gather *= activations_exposed;
  }
  return shares;
}

// The member of a group that an op belongs to.
template <class Sides>
auto& Side(const Op& op, Sides& group) {
  if (!IsCollective(op.kind)) {
    return group.compute;
  }
  return op.schedule == Schedule::kLoopedOneWay ? group.gather : group.activations;
}

// Adds the exposed time of `times` executions of an op, exposed parts counted, to what bounds them.
void Attribute(const OpCost& cost, double times, PhaseCost& phase) {
  const Bound on_chip = cost.compute >= cost.hbm ? Bound::kCompute : Bound::kHbm;
  auto& seconds = phase.bound_seconds;
  seconds[static_cast<std::size_t>(on_chip)] +=
      (std::max(cost.compute, cost.hbm) + cost.unhidden) * times;
  seconds[static_cast<std::size_t>(Bound::kNetwork)] += cost.network_bandwidth * times;
  seconds[static_cast<std::size_t>(Bound::kLatency)] += cost.network_latency * times;
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

OpCost CostModel::PriceOp(const Program& program, const Op& op) const {
  OpCost cost;
  PriceOp(program, op, cost);
  return cost;
}

void CostModel::PriceOp(const Program& program, const Op& op, OpCost& cost) const {
  cost = {};
  switch (op.kind) {
    case OpKind::kEinsum:
      PriceEinsum(program, op, cost);
      break;
    case OpKind::kAttention:
      cost.compute = SecondsOf(OpFlops(program, op).base() * seconds_per_flop_[0]);
      cost.hbm = SecondsOf((StreamedBytes(program, op).base() +
                            Spilled(AttentionScores(program, op) * score_bytes_)) *
                           cache_per_byte_);
      break;
    case OpKind::kElementwise:
      cost.hbm = SecondsOf(Spilled(ElementwiseBytes(program, op).base()) * elementwise_per_byte_);
      break;
    case OpKind::kAllGather:
    case OpKind::kReduceScatter:
    case OpKind::kAllReduce:
    case OpKind::kAllToAll: {
      const Traffic traffic = CollectiveTraffic(program, op);
      const CollectiveTime time = network_.Time(op, traffic);
      cost.network_bandwidth = time.bandwidth;
      cost.network_latency = time.latency;
      cost.hbm =
          SecondsOf(Spilled(ReductionBytes(op.kind, traffic).base()) * elementwise_per_byte_);
      break;
    }
  }
}

void CostModel::PriceEinsum(const Program& program, const Op& op, OpCost& cost) const {
  const DataType weights = program.tensor(op.terms[0].rhs).type;
  const bool int8_weights = weights == DataType::kInt8;
  const bool int8 = int8_weights && program.tensor(op.terms[0].lhs).type == DataType::kInt8;
  const bool float32 = program.tensor(op.terms[0].out).type == DataType::kFloat32;
  const double slowdown =
      (1 + half_rows_ / EinsumRows(program, op)) * (float32 ? float32_passes_ : 1);
  cost.compute =
      SecondsOf(OpFlops(program, op).base() * seconds_per_flop_[int8 ? 1 : 0] * slowdown);
  cost.hbm = SecondsOf(StreamedBytes(program, op).base() * weight_per_byte_[int8_weights ? 1 : 0]);
  cost.unhidden = std::min(cost.compute, cost.hbm) * stream_exposed_fraction_;
}

void CostModel::PriceSection(const Program& program, Section section, double times,
                             PhaseCost& cost) const {
  std::array<GroupTime, kMaxGroups> groups = {};
  for (std::size_t i = section.begin; i < section.end; ++i) {
    const Op& op = program.ops[i];
    OpCost& priced = cost.ops.append();
    PriceOp(program, op, priced);
    Side(op, groups[op.group]) += priced.alone().base();
  }
  std::array<GroupShares, kMaxGroups> shares = {};  // group 0 overlaps nothing
  for (std::size_t g = 1; g < kMaxGroups; ++g) {
    shares[g] = Share(groups[g], gather_exposed_fraction_, exposed_fraction_);
  }
  double total = 0;
  for (std::size_t i = section.begin; i < section.end; ++i) {
    OpCost& priced = cost.ops[i];
    const Op& op = program.ops[i];
    const double share = Side(op, shares[op.group]);
    priced.exposed = priced.alone() * share;
    total += priced.exposed.base();
    Attribute(priced, share * times, cost);
  }
  cost.step += SecondsOf(total * times);
}

void CostModel::Price(const Program& program, PhaseCost& cost) const {
  cost.ops.clear();
  cost.bound_seconds = {};
  cost.step = SecondsOf(step_latency_);
  cost.bound_seconds[static_cast<std::size_t>(Bound::kLatency)] = cost.step;
  PriceSection(program, program.prologue, 1, cost);
  PriceSection(program, program.layer, program.layers, cost);
  PriceSection(program, program.epilogue, 1, cost);
  cost.latency = cost.step * program.steps;
  const auto largest = std::max_element(cost.bound_seconds.begin(), cost.bound_seconds.end());
  cost.bound = static_cast<Bound>(largest - cost.bound_seconds.begin());
}

}  // namespace slicewise
