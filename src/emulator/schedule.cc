#include "slicewise/emulator/schedule.h"

#include <Eigen/Dense>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "list_order.h"

namespace slicewise {
namespace {

constexpr double kRounding = 1e-9;

// The chips of the physical axes that a collective runs along: one group, or several side by side
// that share links where the collective is over factors. Numbered by coordinates, the lowest axis
// major.
class GroupShape {
 public:
  GroupShape(const Mesh& mesh, AxisSet axes) : rows_(mesh.Rows(axes)), strides_(rows_.size()) {
    for (AxisSet part : mesh.Parts(axes)) {
      lengths_.push_back(mesh.IntSize(mesh.Whole(part)));
    }
    for (std::size_t i = rows_.size(); i-- > 0;) {
      strides_[i] = chips_;
      chips_ *= lengths_[i];
    }
  }

  [[nodiscard]] int chips() const { return chips_; }
  [[nodiscard]] std::size_t axis_count() const { return rows_.size(); }
  [[nodiscard]] const MeshAxis& row(std::size_t i) const { return rows_[i]; }
  [[nodiscard]] int Coordinate(int chip, std::size_t i) const {
    return chip / strides_[i] % lengths_[i];
  }
  // Place in the row.
  [[nodiscard]] int Digit(int chip, std::size_t i) const {
    return Coordinate(chip, i) / rows_[i].stride % rows_[i].size;
  }
  // Whether two chips belong to one group.
  [[nodiscard]] bool Together(int a, int b) const {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const int stride = rows_[i].stride;
      if (Coordinate(a, i) - Digit(a, i) * stride != Coordinate(b, i) - Digit(b, i) * stride) {
        return false;
      }
    }
    return true;
  }
  // The chip `links` further along the physical axis, round the ring.
  [[nodiscard]] int Along(int chip, std::size_t i, int links) const {
    const int at = Coordinate(chip, i);
    const int to = ((at + links) % lengths_[i] + lengths_[i]) % lengths_[i];
    return chip + (to - at) * strides_[i];
  }

 private:
  std::vector<MeshAxis> rows_;
  std::vector<int> strides_;
  std::vector<int> lengths_;
  int chips_ = 1;
};

// How far a block travels up and down a row from where it starts, and whether the last step of
// each way carries half of it.
struct Reach {
  int up = 0;
  int down = 0;
  bool halved = false;
};

Reach ReachOf(const MeshAxis& row, int digit, Rings rings) {
  if (!row.wraps) {
    return {.up = row.size - 1 - digit, .down = digit};
  }
  if (rings == Rings::kOneWay) {
    return {.up = row.size - 1};
  }
  return {.up = row.size / 2, .down = row.size / 2, .halved = row.size % 2 == 0};
}

// Widths, none negative and 1 in all, for which the largest of loads x widths is least. At a corner
// of that problem some widths are not zero and as many loads are the largest: all such corners are
// looked at, the fullest first.
Eigen::VectorXd LeastLoad(const Eigen::MatrixXd& loads) {
  const auto n = static_cast<int>(loads.cols());
  Eigen::VectorXd best;
  double least = std::numeric_limits<double>::infinity();
  for (unsigned used = (1U << static_cast<unsigned>(n)) - 1; used > 0; --used) {
    for (unsigned largest = (1U << static_cast<unsigned>(n)) - 1; largest > 0; --largest) {
      if (std::popcount(used) != std::popcount(largest)) {
        continue;
      }
      std::vector<int> columns;
      std::vector<int> rows;
      for (int i = 0; i < n; ++i) {
        if ((used >> static_cast<unsigned>(i) & 1U) != 0) {
          columns.push_back(i);
        }
        if ((largest >> static_cast<unsigned>(i) & 1U) != 0) {
          rows.push_back(i);
        }
      }
      const auto count = static_cast<std::int64_t>(rows.size());
      const Eigen::VectorXd even =
          loads(rows, columns).fullPivLu().solve(Eigen::VectorXd::Ones(count));
      if (!even.allFinite() || even.minCoeff() < -kRounding) {
        continue;
      }
      Eigen::VectorXd widths = Eigen::VectorXd::Zero(n);
      widths(columns) = even.cwiseMax(0) / even.cwiseMax(0).sum();
      if (const double load = (loads * widths).maxCoeff(); load < least * (1 - kRounding)) {
        least = load;
        best = widths;
      }
    }
  }
  return best;
}

class GatherBuilder {
 public:
  GatherBuilder(const Mesh& mesh, AxisSet axes, Rings rings) : shape_(mesh, axes), rings_(rings) {
    parts_ = rings == Rings::kOneWay ? 1 : static_cast<int>(shape_.axis_count());
    list_.chips = shape_.chips();
    list_.tokens = shape_.chips() * shape_.chips() * parts_;
    order_.resize(shape_.axis_count());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    if (rings == Rings::kOneWay) {
      std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
        return shape_.row(a).stride > shape_.row(b).stride;
      });
    }
    CutParts();
  }

  MessageList Build() {
    int longest = 0;
    for (std::size_t i = 0; i < shape_.axis_count(); ++i) {
      longest = std::max(longest, shape_.row(i).size);
    }
    for (std::size_t stage = 0; stage < shape_.axis_count(); ++stage) {
      for (int step = 1; step < longest; ++step) {
        for (int part = 0; part < parts_; ++part) {
          // Link by link: no chip's own block waits for one that it forwards.
          for (int link = 0; link < shape_.row(AxisOf(stage, part)).stride; ++link) {
            AddStep(stage, step, part, link);
          }
        }
      }
    }
    if (rings_ == Rings::kBothWays) {
      emulator::OrderByStart(list_);
    }
    return std::move(list_);
  }

 private:
  // Sets the parts' widths so that the busiest links have least to carry: with widths w the links
  // of axis a carry sum over p of w[p] (size(a) - 1) x (sizes of the axes that part p covers before
  // a). On whole axes all parts take part and all links are busy for the same time.
  void CutParts() {
    const auto n = static_cast<std::int64_t>(parts_);
    Eigen::VectorXd widths = Eigen::VectorXd::Ones(1);
    if (parts_ > 1) {
      Eigen::MatrixXd loads(n, n);
      for (int part = 0; part < parts_; ++part) {
        double covered = 1;
        for (std::size_t stage = 0; stage < shape_.axis_count(); ++stage) {
          const MeshAxis& row = shape_.row(AxisOf(stage, part));
          loads(static_cast<std::int64_t>(AxisOf(stage, part)), part) =
              (row.size - 1) * covered / Links(row);
          covered *= row.size;
        }
      }
      widths = LeastLoad(loads);
    }
    cuts_.assign(1, 0);
    for (double width : widths) {
      cuts_.push_back(cuts_.back() + width);
    }
    cuts_.back() = 1;
  }

  [[nodiscard]] std::size_t AxisOf(std::size_t stage, int part) const {
    return order_[(stage + static_cast<std::size_t>(part)) % shape_.axis_count()];
  }

  // Whether `holder` has the owner's part when the stage begins: they differ only along axes that
  // earlier stages have covered.
  [[nodiscard]] bool Holds(int holder, int owner, std::size_t stage, int part) const {
    if (!shape_.Together(holder, owner)) {
      return false;
    }
    for (std::size_t later = stage; later < shape_.axis_count(); ++later) {
      const std::size_t axis = AxisOf(later, part);
      if (shape_.Coordinate(holder, axis) != shape_.Coordinate(owner, axis)) {
        return false;
      }
    }
    return true;
  }

  void AddStep(std::size_t stage, int step, int part, int link) {
    const std::size_t axis = AxisOf(stage, part);
    for (int holder = 0; holder < shape_.chips(); ++holder) {
      const Reach reach = ReachOf(shape_.row(axis), shape_.Digit(holder, axis), rings_);
      if (step > reach.up && step > reach.down) {
        continue;
      }
      for (int owner = 0; owner < shape_.chips(); ++owner) {
        if (!Holds(holder, owner, stage, part)) {
          continue;
        }
        if (step <= reach.up) {
          Add(axis, holder, step, link, owner, part, false, reach.halved && step == reach.up);
        }
        if (step <= reach.down) {
          Add(axis, holder, step, link, owner, part, true, reach.halved && step == reach.down);
        }
      }
    }
  }

  // One link of a step along the row.
  void Add(std::size_t axis, int holder, int step, int link, int owner, int part, bool down,
           bool half) {
    const MeshAxis& row = shape_.row(axis);
    const int sign = down ? -1 : 1;
    const int passed = (step - 1) * row.stride + link;
    const int from = shape_.Along(holder, axis, sign * passed);
    const int to = shape_.Along(from, axis, sign);
    const double begin = cuts_[static_cast<std::size_t>(part)];
    const double finish = cuts_[static_cast<std::size_t>(part) + 1];
    const double middle = (begin + finish) / 2;
    list_.messages.push_back({.from = from,
                              .to = to,
                              .direction = DirectionOf(row.physical, down),
                              .block = owner,
                              .begin = half && down ? middle : begin,
                              .end = half && !down ? middle : finish,
                              .needs = Token(from, owner, part),
                              .gives = Token(to, owner, part),
                              .enters = link == 0});
  }

  [[nodiscard]] int Token(int chip, int owner, int part) const {
    return (chip * shape_.chips() + owner) * parts_ + part;
  }

  GroupShape shape_;
  Rings rings_;
  int parts_ = 1;
  std::vector<std::size_t> order_;  // of rows, for the first part
  std::vector<double> cuts_;        // where parts begin and end, as fractions of the block
  MessageList list_;
};

// The physical axes as a slice of their own: the others have length 1.
Slice SubSlice(const Mesh& mesh, AxisSet axes) {
  Slice slice = mesh.slice();
  slice.twisted = slice.twisted && axes == mesh.all();
  for (int physical = 0; physical < 3; ++physical) {
    if ((mesh.Physical(physical) & axes).empty()) {
      slice.dims[static_cast<std::size_t>(physical)] = 1;
    }
  }
  return slice;
}

// A walk's directions, axis by axis beginning with `first`.
std::vector<int> Directions(const Steps& walk, int first) {
  std::vector<int> directions;
  for (int i = 0; i < 3; ++i) {
    const int axis = (first + i) % 3;
    const int steps = walk[static_cast<std::size_t>(axis)];
    directions.insert(directions.end(), static_cast<std::size_t>(std::abs(steps)),
                      DirectionOf(axis, steps < 0));
  }
  return directions;
}

// Routes pairs hop by hop. All pairs of one displacement go together, so that on a torus they load
// all links of an axis alike; on a mesh, or where factors make the displacements differ by chip,
// each message is cut in three, each part beginning with another axis, for the same end.
class ExchangeBuilder {
 public:
  ExchangeBuilder(const Mesh& mesh, AxisSet axes)
      : torus_(SubSlice(mesh, axes)), shape_(mesh, axes) {
    list_.chips = torus_.chips();
    for (const MeshAxis& row : mesh.Rows(axes)) {
      even_ = even_ && row.wraps;
    }
  }

  MessageList Build() {
    const auto& d = torus_.slice().dims;
    const bool wraps = torus_.slice().wraps;
    for (int x = wraps ? 0 : 1 - d[0]; x < d[0]; ++x) {
      for (int y = wraps ? 0 : 1 - d[1]; y < d[1]; ++y) {
        for (int z = wraps ? 0 : 1 - d[2]; z < d[2]; ++z) {
          AddDisplacement({x, y, z});
        }
      }
    }
    Order();
    return std::move(list_);
  }

 private:
  void AddDisplacement(const Steps& displacement) {
    if (displacement == Steps{0, 0, 0}) {
      return;
    }
    ++displacements_;
    if (!torus_.slice().wraps) {
      for (int part = 0; part < 3; ++part) {
        AddWalk(displacement, displacement, part, part / 3.0, (part + 1) / 3.0);
      }
      return;
    }
    const std::vector<Steps> walks = torus_.ShortestWalks(0, torus_.ChipAt(displacement));
    const double width = 1.0 / static_cast<double>(walks.size());
    for (std::size_t i = 0; i < walks.size(); ++i) {
      const double begin = static_cast<double>(i) * width;
      if (even_) {
        const int first = (displacements_ + static_cast<int>(i)) % 3;
        AddWalk(displacement, walks[i], first, begin, begin + width);
        continue;
      }
      for (int part = 0; part < 3; ++part) {
        AddWalk(displacement, walks[i], part, begin + width * part / 3,
                begin + width * (part + 1) / 3);
      }
    }
  }

  // One walk from every chip that has the displacement's target.
  void AddWalk(const Steps& displacement, const Steps& walk, int first, double begin, double end) {
    struct Packet {
      int at, block, token;
    };
    std::vector<Packet> packets;
    for (int source = 0; source < torus_.chips(); ++source) {
      const int target = Target(source, displacement, walk);
      if (target >= 0 && shape_.Together(source, target)) {
        packets.push_back({source, source * torus_.chips() + target, list_.tokens++});
      }
    }
    const std::vector<int> directions = Directions(walk, first);
    for (std::size_t hop = 0; hop < directions.size(); ++hop) {
      for (Packet& packet : packets) {
        const int to = torus_.Neighbor(packet.at, directions[hop]);
        list_.messages.push_back({packet.at, to, directions[hop], packet.block, begin, end,
                                  packet.token, packet.token, hop == 0});
        hops_left_.push_back(static_cast<int>(directions.size() - hop));
        packet.at = to;
      }
    }
  }

  // On every link the messages with the longest way to go are first.
  void Order() {
    std::vector<std::size_t> order(list_.messages.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return hops_left_[a] > hops_left_[b]; });
    std::vector<Message> ordered;
    ordered.reserve(order.size());
    for (std::size_t i : order) {
      ordered.push_back(list_.messages[i]);
    }
    list_.messages = std::move(ordered);
  }

  // Where the walk ends: on a mesh -1 if that is outside.
  [[nodiscard]] int Target(int source, const Steps& displacement, const Steps& walk) const {
    const Slice& slice = torus_.slice();
    Steps at = torus_.Coordinates(source);
    for (std::size_t axis = 0; axis < 3 && !slice.wraps; ++axis) {
      at[axis] += displacement[axis];
      if (at[axis] < 0 || at[axis] >= slice.dims[axis]) {
        return -1;
      }
    }
    if (!slice.wraps) {
      return torus_.ChipAt(at);
    }
    int target = source;
    for (int direction : Directions(walk, 0)) {
      target = torus_.Neighbor(target, direction);
    }
    return target;
  }

  Torus torus_;
  GroupShape shape_;
  bool even_ = true;
  int displacements_ = 0;
  std::vector<int> hops_left_;  // by message, its own included
  MessageList list_;
};

std::size_t LinkOf(const Message& message) { return LinkIndex(message.from, message.direction); }

}  // namespace

MessageList GatherMessages(const Mesh& mesh, AxisSet axes, Rings rings) {
  return GatherBuilder(mesh, axes, rings).Build();
}

MessageList ScatterMessages(const Mesh& mesh, AxisSet axes, Rings rings) {
  MessageList list = GatherMessages(mesh, axes, rings);
  std::reverse(list.messages.begin(), list.messages.end());
  for (Message& message : list.messages) {
    std::swap(message.from, message.to);
    std::swap(message.needs, message.gives);
    message.direction = Opposite(message.direction);
  }
  return list;
}

MessageList ExchangeMessages(const Mesh& mesh, AxisSet axes) {
  return ExchangeBuilder(mesh, axes).Build();
}

ElementRange RangeOf(const Message& message, std::int64_t count) {
  // Neighbouring ranges share the fraction between them, so whatever the rounding they fit.
  const auto at = [&](double fraction) {
    return static_cast<std::int64_t>(std::floor(fraction * static_cast<double>(count) + 1e-6));
  };
  return {at(message.begin), at(message.end)};
}

Seconds TimeOf(const MessageList& list, Bytes block, const LinkTiming& timing) {
  std::vector<Seconds> given(static_cast<std::size_t>(list.tokens));
  std::vector<Seconds> free(static_cast<std::size_t>(list.chips * kDirections));
  Seconds last;
  for (const Message& message : list.messages) {
    Seconds& link = free[LinkOf(message)];
    const Seconds start = std::max(link, given[static_cast<std::size_t>(message.needs)]);
    link = start + (message.end - message.begin) * block / timing.bandwidth;
    Seconds& arrival = given[static_cast<std::size_t>(message.gives)];
    arrival = std::max(arrival, link + timing.hop_latency);
    last = std::max(last, arrival);
  }
  return last;
}

Bytes BusiestLink(const MessageList& list, Bytes block) {
  std::vector<Bytes> links(static_cast<std::size_t>(list.chips * kDirections));
  for (const Message& message : list.messages) {
    links[LinkOf(message)] += (message.end - message.begin) * block;
  }
  return *std::max_element(links.begin(), links.end());
}

double ExchangeLoad(const Slice& slice) {
  const Torus torus(slice);
  if (!slice.wraps) {
    const Mesh mesh(slice);
    return BusiestLink(ExchangeBuilder(mesh, mesh.all()).Build(), BytesOf(1)) / BytesOf(1);
  }
  // A torus looks alike from every chip, so what one chip sends in each direction, over all hops,
  // is what every link of that direction carries.
  std::array<double, kDirections> loads = {};
  for (int target = 1; target < torus.chips(); ++target) {
    const std::vector<Steps> walks = torus.ShortestWalks(0, target);
    for (const Steps& walk : walks) {
      for (int axis = 0; axis < 3; ++axis) {
        const int steps = walk[static_cast<std::size_t>(axis)];
        loads[static_cast<std::size_t>(DirectionOf(axis, steps < 0))] +=
            std::abs(steps) / static_cast<double>(walks.size());
      }
    }
  }
  return *std::max_element(loads.begin(), loads.end());
}

}  // namespace slicewise
