#include "slicewise/cost/cost.h"

#include <algorithm>

namespace slicewise {
namespace {

constexpr std::size_t kMaxGroups = 8;

// One overlap group: an einsum, the loop that gathers its weights, and its loops over activations.
struct GroupTime {
  double compute = 0;
  double gather = 0;
  double activations = 0;
};

// What of each side of a group is exposed. The gathering loop hides behind the einsum, or the einsum
// behind it; loops over activations hide behind the two together, or the other way round.
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

// Adds an op's exposed time to the bounds it belongs to.
void Attribute(const OpCost& cost, double share, double times, PhaseCost& phase) {
  const double on_chip = (std::max(cost.compute, cost.hbm) + cost.unhidden).base();
  const Bound bound = cost.compute >= cost.hbm ? Bound::kCompute : Bound::kHbm;
  auto& seconds = phase.bound_seconds;
  seconds[static_cast<std::size_t>(bound)] += SecondsOf(on_chip * share * times);
  seconds[static_cast<std::size_t>(Bound::kNetwork)] += cost.network_bandwidth * (share * times);
  seconds[static_cast<std::size_t>(Bound::kLatency)] += cost.network_latency * (share * times);
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
  switch (op.kind) {
    case OpKind::kEinsum: {
      const Tensor& activation = program.tensor(op.terms[0].lhs);
      const Tensor& weights = program.tensor(op.terms[0].rhs);
      const bool int8 =
          weights.type == DataType::kInt8 && activation.type == DataType::kInt8;
      const bool float32 = program.tensor(op.terms[0].out).type == DataType::kFloat32;
      const double rows = EinsumRows(program, op);
      const double slowdown = (1 + half_rows_ / rows) * (float32 ? float32_passes_ : 1);
      cost.compute =
          SecondsOf(OpFlops(program, op).base() * seconds_per_flop_[int8 ? 1 : 0] * slowdown);
      cost.hbm = SecondsOf(StreamedBytes(program, op).base() *
                           weight_per_byte_[weights.type == DataType::kInt8 ? 1 : 0]);
      cost.unhidden = std::min(cost.compute, cost.hbm) * stream_exposed_fraction_;
      break;
    }
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
      cost.hbm = SecondsOf(Spilled(ReductionBytes(op.kind, traffic).base()) * elementwise_per_byte_);
      break;
    }
  }
  return cost;
}

void CostModel::PriceSection(const Program& program, Section section, double times,
                             PhaseCost& cost) const {
  std::array<GroupTime, kMaxGroups> groups = {};
  for (std::size_t i = section.begin; i < section.end; ++i) {
    const Op& op = program.ops[i];
    const OpCost& priced = cost.ops.push_back(PriceOp(program, op));
    double& side = Side(op, groups[op.group]);
    side += priced.alone().base();
  }
  std::array<GroupShares, kMaxGroups> shares = {};  // group 0 overlaps nothing
  for (std::size_t g = 1; g < kMaxGroups; ++g) {
    shares[g] = Share(groups[g], gather_exposed_fraction_, exposed_fraction_);
  }
  double total = 0;
  for (std::size_t i = section.begin; i < section.end; ++i) {
    const Op& op = program.ops[i];
    const double share = Side(op, shares[op.group]);
    cost.ops[i].exposed = cost.ops[i].alone() * share;
    total += cost.ops[i].exposed.base();
    Attribute(cost.ops[i], share, times, cost);
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
