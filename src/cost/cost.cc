#include "slicewise/cost/cost.h"

#include <algorithm>

namespace slicewise {
namespace {

constexpr std::size_t kMaxGroups = 8;

struct GroupTime {
  double compute = 0;
  double network = 0;
};

double NetworkSeconds(const OpCost& cost) {
  return (cost.network_bandwidth + cost.network_latency).base();
}

// Adds an op's exposed time to the bounds it belongs to.
void Attribute(const OpCost& cost, double share, double times, PhaseCost& phase) {
  const double on_chip = std::max(cost.compute, cost.hbm).base();
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
      step_latency_(calibration.step_latency) {
  const double efficiency = calibration.matmul_efficiency;
  seconds_per_flop_ = {1 / (chip.Peak(DataType::kBf16).base() * efficiency),
                       1 / (chip.Peak(DataType::kInt8).base() * efficiency)};
  attention_per_flop_ =
      1 / (chip.Peak(DataType::kBf16).base() * calibration.attention_efficiency);
  const double hbm = chip.hbm_bandwidth.base();
  weight_per_byte_ = 1 / (hbm * calibration.weight_bandwidth);
  cache_per_byte_ = 1 / (hbm * calibration.cache_bandwidth);
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
      cost.hbm = SecondsOf(StreamedBytes(program, op).base() * weight_per_byte_);
      break;
    }
    case OpKind::kAttention:
      cost.compute = SecondsOf(OpFlops(program, op).base() * attention_per_flop_);
      cost.hbm = SecondsOf(StreamedBytes(program, op).base() * cache_per_byte_);
      break;
    case OpKind::kElementwise:
      cost.hbm = SecondsOf(ElementwiseBytes(program, op).base() * elementwise_per_byte_);
      break;
    case OpKind::kAllGather:
    case OpKind::kReduceScatter:
    case OpKind::kAllReduce:
    case OpKind::kAllToAll: {
      const CollectiveTime time = network_.Time(op, CollectiveTraffic(program, op));
      cost.network_bandwidth = time.bandwidth;
      cost.network_latency = time.latency;
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
    groups[op.group].compute += std::max(priced.compute, priced.hbm).base();
    groups[op.group].network += NetworkSeconds(priced);
  }
  double total = groups[0].compute + groups[0].network;  // group 0 overlaps nothing
  for (std::size_t g = 1; g < kMaxGroups; ++g) {
    const auto [low, high] = std::minmax(groups[g].compute, groups[g].network);
    total += high + exposed_fraction_ * low;
  }
  for (std::size_t i = section.begin; i < section.end; ++i) {
    const Op& op = program.ops[i];
    const GroupTime& group = groups[op.group];
    const bool shorter = IsCollective(op.kind) == (group.network <= group.compute);
    const double share = op.group != 0 && shorter ? exposed_fraction_ : 1;
    cost.ops[i].exposed = cost.ops[i].alone() * share;
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
