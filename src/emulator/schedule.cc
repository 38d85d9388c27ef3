#include "slicewise/emulator/schedule.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "list_order.h"

namespace slicewise {
namespace {

// A group's coordinates: digits over the axes, the lowest axis major.
class GroupShape {
 public:
  GroupShape(const Mesh& mesh, AxisSet axes) {
    for (int axis : axes) {
      axes_.push_back(mesh.axis(axis));
    }
    strides_.resize(axes_.size());
    for (std::size_t i = axes_.size(); i-- > 0;) {
      strides_[i] = members_;
      members_ *= axes_[i].size;
    }
  }

  [[nodiscard]] int members() const { return members_; }
  [[nodiscard]] std::size_t axis_count() const { return axes_.size(); }
  [[nodiscard]] const MeshAxis& axis(std::size_t i) const { return axes_[i]; }
  [[nodiscard]] int Coordinate(int member, std::size_t i) const {
    return member / strides_[i] % axes_[i].size;
  }
  // The member `steps` along the axis, round the ring.
  [[nodiscard]] int Along(int member, std::size_t i, int steps) const {
    const int size = axes_[i].size;
    const int at = Coordinate(member, i);
    const int to = ((at + steps) % size + size) % size;
    return member + (to - at) * strides_[i];
  }

 private:
  std::vector<MeshAxis> axes_;
  std::vector<int> strides_;
  int members_ = 1;
};

// How far a block travels up and down an axis from where it starts, and whether the last step of
// each way carries half of it.
struct Reach {
  int up = 0;
  int down = 0;
  bool halved = false;
};

Reach ReachOf(const MeshAxis& axis, int coordinate, Rings rings) {
  if (!axis.wraps) {
    return {.up = axis.size - 1 - coordinate, .down = coordinate};
  }
  if (rings == Rings::kOneWay) {
    return {.up = axis.size - 1};
  }
  return {.up = axis.size / 2, .down = axis.size / 2, .halved = axis.size % 2 == 0};
}

class GatherBuilder {
 public:
  GatherBuilder(const Mesh& mesh, AxisSet axes, Rings rings) : shape_(mesh, axes), rings_(rings) {
    parts_ = rings == Rings::kOneWay ? 1 : static_cast<int>(shape_.axis_count());
    list_.chips = shape_.members();
    list_.tokens = shape_.members() * shape_.members() * parts_;
    CutParts();
  }

  MessageList Build() {
    int longest = 0;
    for (std::size_t i = 0; i < shape_.axis_count(); ++i) {
      longest = std::max(longest, shape_.axis(i).size);
    }
    for (std::size_t stage = 0; stage < shape_.axis_count(); ++stage) {
      for (int step = 1; step < longest; ++step) {
        for (int part = 0; part < parts_; ++part) {
          AddStep(stage, step, part);
        }
      }
    }
    if (rings_ == Rings::kBothWays) {
      emulator::OrderByStart(list_);
    }
    return std::move(list_);
  }

 private:
  // Sets the parts' widths so that all links are busy for the same time: with widths w the links of
  // axis a carry sum over p of w[p] (size(a) - 1) x (sizes of the axes that part p covers before
  // a). Equal parts where that asks for a negative one.
  void CutParts() {
    const auto n = static_cast<std::int64_t>(parts_);
    Eigen::VectorXd widths = Eigen::VectorXd::Constant(n, 1.0 / parts_);
    if (parts_ > 1) {
      Eigen::MatrixXd loads(n, n);
      for (int part = 0; part < parts_; ++part) {
        double covered = 1;
        for (std::size_t stage = 0; stage < shape_.axis_count(); ++stage) {
          const MeshAxis& axis = shape_.axis(AxisOf(stage, part));
          loads(static_cast<std::int64_t>(AxisOf(stage, part)), part) =
              (axis.size - 1) * covered / (axis.wraps ? 2 : 1);
          covered *= axis.size;
        }
      }
      const Eigen::VectorXd even = loads.partialPivLu().solve(Eigen::VectorXd::Ones(n));
      widths = even.minCoeff() > 0 ? even / even.sum() : widths;
    }
    cuts_.assign(1, 0);
    for (double width : widths) {
      cuts_.push_back(cuts_.back() + width);
    }
    cuts_.back() = 1;
  }

  [[nodiscard]] std::size_t AxisOf(std::size_t stage, int part) const {
    return (stage + static_cast<std::size_t>(part)) % shape_.axis_count();
  }

  // Whether `holder` has the owner's part when the stage begins: they differ only along axes that
  // earlier stages have covered.
  [[nodiscard]] bool Holds(int holder, int owner, std::size_t stage, int part) const {
    for (std::size_t later = stage; later < shape_.axis_count(); ++later) {
      const std::size_t axis = AxisOf(later, part);
      if (shape_.Coordinate(holder, axis) != shape_.Coordinate(owner, axis)) {
        return false;
      }
    }
    return true;
  }

  void AddStep(std::size_t stage, int step, int part) {
    const std::size_t axis = AxisOf(stage, part);
    for (int holder = 0; holder < shape_.members(); ++holder) {
      const Reach reach = ReachOf(shape_.axis(axis), shape_.Coordinate(holder, axis), rings_);
      if (step > reach.up && step > reach.down) {
        continue;
      }
      for (int owner = 0; owner < shape_.members(); ++owner) {
        if (!Holds(holder, owner, stage, part)) {
          continue;
        }
        if (step <= reach.up) {
          Add(axis, holder, step, owner, part, false, reach.halved && step == reach.up);
        }
        if (step <= reach.down) {
          Add(axis, holder, step, owner, part, true, reach.halved && step == reach.down);
        }
      }
    }
  }

  void Add(std::size_t axis, int holder, int step, int owner, int part, bool down, bool half) {
    const int sign = down ? -1 : 1;
    const int from = shape_.Along(holder, axis, sign * (step - 1));
    const int to = shape_.Along(holder, axis, sign * step);
    const double begin = cuts_[static_cast<std::size_t>(part)];
    const double finish = cuts_[static_cast<std::size_t>(part) + 1];
    const double middle = (begin + finish) / 2;
    list_.messages.push_back({.from = from,
                              .to = to,
                              .direction = DirectionOf(shape_.axis(axis).physical, down),
                              .block = owner,
                              .begin = half && down ? middle : begin,
                              .end = half && !down ? middle : finish,
                              .needs = Token(from, owner, part),
                              .gives = Token(to, owner, part)});
  }

  [[nodiscard]] int Token(int member, int owner, int part) const {
    return (member * shape_.members() + owner) * parts_ + part;
  }

  GroupShape shape_;
  Rings rings_;
  int parts_ = 1;
  std::vector<double> cuts_;  // where parts begin and end, as fractions of the block
  MessageList list_;
};

// The axes as a slice of their own: the others have length 1.
Slice SubSlice(const Mesh& mesh, AxisSet axes) {
  Slice slice = mesh.slice();
  slice.twisted = slice.twisted && axes == mesh.all();
  for (int axis = 0; axis < mesh.axis_count(); ++axis) {
    if (!axes.Has(axis)) {
      slice.dims[static_cast<std::size_t>(mesh.axis(axis).physical)] = 1;
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
// all links of an axis alike; on a mesh each message is cut in three, each part beginning with
// another axis, for the same end.
class ExchangeBuilder {
 public:
  explicit ExchangeBuilder(const Slice& slice) : torus_(slice) { list_.chips = torus_.chips(); }

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
      const int first = (displacements_ + static_cast<int>(i)) % 3;
      const double begin = static_cast<double>(i) * width;
      AddWalk(displacement, walks[i], first, begin, begin + width);
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
      if (target >= 0) {
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
  return ExchangeBuilder(SubSlice(mesh, axes)).Build();
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
    return BusiestLink(ExchangeBuilder(slice).Build(), BytesOf(1)) / BytesOf(1);
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
