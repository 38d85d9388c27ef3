#include "slicewise/cost/network.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

namespace slicewise {
namespace {

// Pairs (ordered) of a ring or line of k chips whose minimal route crosses one given directed link
// in one direction, ties split both ways, on the busiest link; times the rows that share it.
double RowLoad(const MeshAxis& row) {
  const int k = row.size;
  if (row.wraps) {
    // k chips, each at total distance floor(k^2/4) from the others, over 2k directed links.
    const int distance = k * k / 4;
    return row.stride * distance / 2.0;
  }
  const int near = k / 2;
  return static_cast<double>(row.stride) * near * (k - near);
}

// Sum of minimal distances from one chip of a twisted torus: wrapping along a short dimension (size
// S) also shifts every long dimension (size 2S) by S.
double TwistedDistanceSum(const Slice& slice) {
  const std::array<int, 3>& d = slice.dims;
  const int shortest = std::min({d[0], d[1], d[2]});
  const auto index = [&](const std::array<int, 3>& c) {
    const int row = c[0] * d[1] + c[1];
    const int place = row * d[2] + c[2];
    return static_cast<std::size_t>(place);
  };
  std::vector<int> distance(static_cast<std::size_t>(slice.chips()), -1);
  std::queue<std::array<int, 3>> frontier;
  frontier.push({0, 0, 0});
  distance[0] = 0;
  double sum = 0;
  while (!frontier.empty()) {
    const std::array<int, 3> at = frontier.front();
    frontier.pop();
    const int here = distance[index(at)];
    sum += here;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      for (int step : {1, -1}) {
        std::array<int, 3> to = at;
        to[axis] += step;
        const bool wrapped = to[axis] < 0 || to[axis] >= d[axis];
        to[axis] = (to[axis] + d[axis]) % d[axis];
        for (std::size_t other = 0; other < 3 && wrapped && d[axis] == shortest; ++other) {
          if (d[other] == 2 * shortest) {
            to[other] = (to[other] + shortest) % d[other];
          }
        }
        if (distance[index(to)] < 0) {
          distance[index(to)] = here + 1;
          frontier.push(to);
        }
      }
    }
  }
  return sum;
}

using Rows = std::vector<MeshAxis>;

// Gathering along one row after another, the slowest first: what passes over a link in all per byte
// sent, `load` being that of each row alone.
template <class Load>
double RowByRowLoad(Rows rows, const Load& load) {
  std::sort(rows.begin(), rows.end(), [&](const MeshAxis& a, const MeshAxis& b) {
    return std::pair(-load(a), a.physical) < std::pair(-load(b), b.physical);
  });
  double passed = 0;  // blocks over the links of one chip
  double covered = 1;
  for (const MeshAxis& row : rows) {
    passed += covered * (row.size - 1) * load(row);
    covered *= row.size;
  }
  return passed / (covered - 1);
}

double AllLinks(const Rows& rows) {
  double links = 0;
  for (const MeshAxis& row : rows) {
    links += Links(row);
  }
  return links;
}

// The axes of each stage of an all-to-all. The released code exchanges over x first, and what
// arrives over y and z together; its x is the axis unlike the others (8x4x4, 4x8x8). So here: the
// axis that leaves the squarest rest, whatever its name. What a twisted torus gains is known for
// all axes at once only.
std::array<AxisSet, 2> ExchangeStages(const Mesh& mesh, AxisSet axes, bool ideal) {
  const Rows rows = mesh.Rows(axes);
  if (ideal || rows.size() < 3 || mesh.slice().twisted) {
    return {axes, AxisSet()};
  }
  const auto rank = [&](std::size_t i) {
    const double a = rows[(i + 1) % 3].size;
    const double b = rows[(i + 2) % 3].size;
    return std::tuple(std::max(a, b) / std::min(a, b), -rows[i].size, rows[i].stride);
  };
  std::size_t first = 0;
  for (std::size_t i = 1; i < 3; ++i) {
    first = rank(i) < rank(first) ? i : first;
  }
  const AxisSet stage = mesh.Physical(rows[first].physical) & axes;
  return {stage, axes - stage};
}

}  // namespace

std::string_view Name(NetworkKind kind) { return kind == NetworkKind::kTorus ? "torus" : "paper"; }

double AllToAllLoad(const Mesh& mesh, AxisSet axes) {
  if (mesh.slice().twisted && axes == mesh.all()) {
    return TwistedDistanceSum(mesh.slice()) / 6;
  }
  double load = 0;
  for (const MeshAxis& row : mesh.Rows(axes)) {
    // The other rows' chips send through this row too.
    load = std::max(load, RowLoad(row) * mesh.Size(axes) / row.size);
  }
  return load;
}

double RingLoad(const Mesh& mesh, AxisSet axes) {
  return RowByRowLoad(mesh.Rows(axes), [](const MeshAxis& row) { return 1 / Links(row); });
}

double OneWayLoad(const Mesh& mesh, AxisSet axes) {
  return RowByRowLoad(mesh.Rows(axes),
                      [](const MeshAxis& row) { return static_cast<double>(row.stride); });
}

Network::Network(const Chip& chip, const Mesh& mesh, const Calibration& calibration,
                 NetworkKind kind)
    : link_per_byte_(1 / chip.link_bandwidth.base()),
      launch_latency_(calibration.launch_latency),
      scatter_passes_(calibration.scatter_passes),
      paper_per_byte_(1 / chip.paper_bandwidth.base()),
      kind_(kind),
      ideal_schedules_(calibration.ideal_schedules) {
  for (unsigned bits = 1; bits < (1U << static_cast<unsigned>(mesh.axis_count())); ++bits) {
    const AxisSet axes = AxisSet::FromBits(bits);
    SetRings(mesh, axes, calibration, table_[bits]);
    SetExchange(mesh, axes, calibration, table_[bits]);
  }
}

void Network::SetRings(const Mesh& mesh, AxisSet axes, const Calibration& calibration,
                       Entry& entry) const {
  const Rows rows = mesh.Rows(axes);
  const double load = ideal_schedules_ ? 1 / AllLinks(rows) : RingLoad(mesh, axes);
  entry.seconds_per_byte = load * link_per_byte_ / calibration.link_bandwidth;
  for (const MeshAxis& row : rows) {
    entry.ring_latency += Hops(row) * calibration.hop_latency;
  }
  entry.ways = mesh.Size(axes);
  const double one_way = OneWayLoad(mesh, axes);
  entry.loop_per_byte = one_way * link_per_byte_ / calibration.gather_bandwidth;
  entry.loop_latency = (entry.ways - 1) * one_way * calibration.hop_latency;
}

void Network::SetExchange(const Mesh& mesh, AxisSet axes, const Calibration& calibration,
                          Entry& entry) const {
  // A chip holds what it sends x K / (K - 1), and of that a stage's message is one of so many.
  const double held = entry.ways / (entry.ways - 1);
  entry.exchange_latency = entry.ring_latency;
  for (AxisSet stage : ExchangeStages(mesh, axes, ideal_schedules_)) {
    if (!stage.empty()) {
      const double peers = mesh.Size(stage);
      entry.exchange_per_byte +=
          AllToAllLoad(mesh, stage) / peers * held * link_per_byte_ / calibration.link_bandwidth;
      entry.exchange_latency +=
          (peers - 1) * calibration.message_latency + calibration.launch_latency;
    }
  }
}

CollectiveTime Network::Time(const Op& op, const TrafficAmount& traffic) const {
  if (traffic.sent == Amount<Bytes>()) {
    return {};
  }
  const auto over = [](const Amount<Bytes>& bytes, double seconds_per_byte) {
    Amount<Seconds> time;
    for (std::size_t i = 0; i < time.each.size(); ++i) {
      time.each[i] = SecondsOf(bytes.each[i].base() * seconds_per_byte);
    }
    return time;
  };
  const bool exchange = op.kind == OpKind::kAllToAll;
  if (kind_ == NetworkKind::kPaper) {
    return {over(exchange ? traffic.sent : traffic.volume, paper_per_byte_), {}};
  }
  const Entry& entry = table_[op.axes.set().bits()];
  if (exchange) {
    return {over(traffic.sent, entry.exchange_per_byte), SecondsOf(entry.exchange_latency)};
  }
  if (op.schedule == Schedule::kLoopedOneWay && !ideal_schedules_) {
    return {over(traffic.sent, entry.loop_per_byte),
            SecondsOf(entry.loop_latency + launch_latency_)};
  }
  const double launch = launch_latency_;
  if (op.kind == OpKind::kAllReduce) {
    return {over(traffic.sent, entry.seconds_per_byte), SecondsOf(2 * entry.ring_latency + launch)};
  }
  const double passes = op.kind == OpKind::kReduceScatter ? scatter_passes_ : 1;
  if (op.schedule == Schedule::kBlocking) {
    return {over(traffic.sent, entry.seconds_per_byte * passes),
            SecondsOf(passes * entry.ring_latency + launch)};
  }
  if (ideal_schedules_ || op.looped == op.axes.set()) {
    return {over(traffic.sent, entry.seconds_per_byte), SecondsOf(entry.ring_latency + launch)};
  }
  const Entry& loop = table_[op.looped.bits()];
  const double in_loop = (1 - 1 / loop.ways) / (1 - 1 / entry.ways);  // of what is sent
  const double blocking = (1 - in_loop) * passes;
  const double hops = passes * (entry.ring_latency - loop.ring_latency);
  return {over(traffic.sent, entry.seconds_per_byte * (in_loop + blocking)),
          SecondsOf(loop.ring_latency + hops + 2 * launch), blocking / (in_loop + blocking),
          SecondsOf(hops + launch)};
}

}  // namespace slicewise
