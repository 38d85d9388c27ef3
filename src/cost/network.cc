#include "slicewise/cost/network.h"

#include <algorithm>
#include <cmath>
#include <queue>
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

double ExchangeLoad(const Mesh& mesh, AxisSet axes, const Rows& rows) {
  if (mesh.slice().twisted && axes == mesh.all()) {
    return TwistedDistanceSum(mesh.slice()) / 6;
  }
  double load = 0;
  for (const MeshAxis& row : rows) {
    // The other rows' chips send through this row too.
    load = std::max(load, RowLoad(row) * mesh.Size(axes) / row.size);
  }
  return load;
}

// Takes the rows of larger stride first.
double LoopLoad(Rows& rows) {
  std::sort(rows.begin(), rows.end(), [](const MeshAxis& a, const MeshAxis& b) {
    return std::pair(-a.stride, a.physical) < std::pair(-b.stride, b.physical);
  });
  double passed = 0;  // blocks over the links of one chip
  double covered = 1;
  for (const MeshAxis& row : rows) {
    passed += covered * (row.size - 1) * row.stride;
    covered *= row.size;
  }
  return passed / (covered - 1);
}

}  // namespace

std::string_view Name(NetworkKind kind) { return kind == NetworkKind::kTorus ? "torus" : "paper"; }

double AllToAllLoad(const Mesh& mesh, AxisSet axes) {
  return ExchangeLoad(mesh, axes, mesh.Rows(axes));
}

double OneWayLoad(const Mesh& mesh, AxisSet axes) {
  Rows rows = mesh.Rows(axes);
  return LoopLoad(rows);
}

Network::Network(const Chip& chip, const Mesh& mesh, const Calibration& calibration,
                 NetworkKind kind)
    : kind_(kind), ideal_schedules_(calibration.ideal_schedules) {
  const double link = chip.link_bandwidth.base();
  for (unsigned bits = 1; bits < (1U << static_cast<unsigned>(mesh.axis_count())); ++bits) {
    const AxisSet axes = AxisSet::FromBits(bits);
    Entry& entry = table_[bits];
    double links = 0;
    double widest = 0;
    double hops = 0;
    Rows rows = mesh.Rows(axes);
    for (const MeshAxis& row : rows) {
      links += Links(row);
      widest = std::max(widest, Links(row));
      hops += Hops(row);
    }
    links = widest + (links - widest) * calibration.axis_concurrency;
    const double ways = mesh.Size(axes);
    const double effective = link * calibration.link_bandwidth;
    entry.seconds_per_byte = 1 / (links * effective);
    // One pair's message is sent / (K - 1).
    entry.exchange_per_byte = ExchangeLoad(mesh, axes, rows) / (ways - 1) / effective;
    entry.ring_latency = hops * calibration.hop_latency;
    const double one_way = LoopLoad(rows);
    entry.loop_per_byte = one_way / (link * calibration.gather_bandwidth);
    entry.loop_latency = (ways - 1) * one_way * calibration.hop_latency;
    entry.exchange_latency = entry.ring_latency + (ways - 1) * calibration.message_latency;
  }
  launch_latency_ = calibration.launch_latency;
  paper_per_byte_ = 1 / chip.paper_bandwidth.base();
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
    return {over(traffic.sent, entry.exchange_per_byte),
            SecondsOf(entry.exchange_latency + launch_latency_)};
  }
  if (op.schedule == Schedule::kLoopedOneWay && !ideal_schedules_) {
    return {over(traffic.sent, entry.loop_per_byte),
            SecondsOf(entry.loop_latency + launch_latency_)};
  }
  const double rounds = op.kind == OpKind::kAllReduce ? 2 : 1;
  return {over(traffic.sent, entry.seconds_per_byte),
          SecondsOf(rounds * entry.ring_latency + launch_latency_)};
}

}  // namespace slicewise
