// Collectives, message by message. A term's payload is laid out in blocks by true index, the blocks
// travel along the schedule, and each chip puts its result together from what has arrived.
#include <fmt/format.h>

#include <algorithm>

#include "machine.h"

namespace slicewise::emulator {
namespace {

using Blocks = std::vector<Values>;

// One term of a collective among the chips along its physical axes: one group, or several that
// share links. Chips are numbered as in emulator/schedule.h.
class Exchange {
 public:
  // `group_of` says for every chip of the slice which group it belongs to.
  Exchange(Machine& machine, const Term& term, AxisSet axes, const std::vector<int>& chips,
           const std::vector<int>& group_of)
      : machine_(machine), term_(term), axes_(axes), chips_(chips), count_(chips.size()) {
    const auto group = [&](std::size_t i) { return group_of[static_cast<std::size_t>(Chip(i))]; };
    peers_.resize(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j = 0; j < count_; ++j) {
        if (group(i) == group(j)) {
          peers_[i].push_back(j);
        }
      }
    }
  }

  void Run(OpKind kind) {
    switch (kind) {
      case OpKind::kAllGather:
        return Gather();
      case OpKind::kReduceScatter:
        return Scatter();
      case OpKind::kAllReduce:
        return Reduce();
      case OpKind::kAllToAll:
        return Swap();
      case OpKind::kEinsum:
      case OpKind::kAttention:
      case OpKind::kElementwise:
        return;
    }
  }

 private:
  [[nodiscard]] const Tensor& operand() const { return machine_.tensor(term_.lhs); }
  [[nodiscard]] const Tensor& result() const { return machine_.tensor(term_.out); }

  const MessageList& Schedule(int kind) {
    const bool loop = machine_.current().schedule == Schedule::kLoopedOneWay;
    const Rings rings = loop ? Rings::kOneWay : Rings::kBothWays;
    const auto [found, inserted] =
        machine_.schedules.try_emplace({kind * 2 + (loop ? 1 : 0), axes_.bits()});
    if (inserted) {
      const Mesh& mesh = machine_.program.mesh;
      found->second = kind == 0   ? GatherMessages(mesh, axes_, rings)
                      : kind == 1 ? ScatterMessages(mesh, axes_, rings)
                                  : ExchangeMessages(mesh, axes_);
    }
    return found->second;
  }

  void Count(const Message& message, std::int64_t elements) {
    const std::int64_t bytes =
        elements * static_cast<std::int64_t>(ElementBytes(operand().type) / BytesOf(1));
    const int chip = chips_[static_cast<std::size_t>(message.from)];
    machine_.link_bytes[machine_.op][LinkIndex(chip, message.direction)] += bytes;
    OpTraffic& traffic = machine_.traffic[machine_.op];
    traffic.carried += BytesOf(static_cast<double>(bytes));
    traffic.sent += BytesOf(message.enters ? static_cast<double>(bytes) : 0);
  }

  // Sends blocks along the rings: held[chip * K + block]; `add` sums into the receiver's block.
  void Travel(const MessageList& list, Blocks& held, bool add) {
    for (const Message& message : list.messages) {
      const Values& from = held[At(message.from, message.block)];
      Values& to = held[At(message.to, message.block)];
      const ElementRange range = RangeOf(message, block_elements_);
      if (add) {
        to.segment(range.begin, range.size()) += from.segment(range.begin, range.size());
      } else {
        to.segment(range.begin, range.size()) = from.segment(range.begin, range.size());
      }
      Count(message, range.size());
    }
    AddTime(list);
  }

  // Elsewhere the same happens at the same time on links of its own: the first is timed.
  void AddTime(const MessageList& list) {
    if (chips_[0] != 0) {
      return;
    }
    const Bytes block = static_cast<double>(block_elements_) * ElementBytes(operand().type);
    machine_.traffic[machine_.op].time += TimeOf(list, block, machine_.timing);
  }

  [[nodiscard]] std::size_t At(int chip, int block) const {
    return static_cast<std::size_t>(chip) * count_ + static_cast<std::size_t>(block);
  }
  [[nodiscard]] int Chip(std::size_t member) const { return chips_[member]; }

  void Finish(std::size_t member, Values& values) {
    if (HasMissing(values)) {
      machine_.Raise(fmt::format("chip {} lacks part of {}", Chip(member), Name(result().role)));
    }
    machine_.Write(term_.out, Chip(member)) = std::move(values);
  }

  Values Empty(const Box& box) {
    Values values(static_cast<std::int64_t>(box.elements()));
    Clear(box, values.data());
    return values;
  }

  void Gather() {
    block_elements_ = machine_.Read(term_.lhs, Chip(0)).size();
    Blocks held(count_ * count_, Values::Constant(block_elements_, kNothing));
    for (std::size_t i = 0; i < count_; ++i) {
      held[i * count_ + i] = machine_.Read(term_.lhs, Chip(i));
    }
    Travel(Schedule(0), held, false);
    for (std::size_t i = 0; i < count_; ++i) {
      const Box box = machine_.BoxOf(term_.out, Chip(i));
      Values values = Empty(box);
      for (std::size_t j : peers_[i]) {
        Overlay(machine_.placement, box, values.data(), machine_.BoxOf(term_.lhs, Chip(j)),
                held[i * count_ + j].data());
      }
      Finish(i, values);
    }
  }

  // What member `from` has for member `to`: along the dims that receive digits the receiver's
  // indices, along the others its own.
  Box ChunkBox(std::size_t from, std::size_t to) {
    Box box = machine_.BoxOf(term_.lhs, Chip(from));
    const Box target = machine_.BoxOf(term_.out, Chip(to));
    for (std::size_t i = 0; i < operand().rank; ++i) {
      if (!((result().sharding[i] - operand().sharding[i]) & axes_).empty()) {
        box.held[i] = target.held[i];
      }
    }
    return box;
  }

  Values Chunk(std::size_t from, std::size_t to) {
    const Box box = ChunkBox(from, to);
    Values values = Empty(box);
    Overlay(machine_.placement, box, values.data(), machine_.BoxOf(term_.lhs, Chip(from)),
            machine_.Read(term_.lhs, Chip(from)).data());
    return values;
  }

  void Scatter() {
    block_elements_ = Chunk(0, 0).size();
    Blocks held(count_ * count_, Values::Zero(block_elements_));
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j : peers_[i]) {
        held[i * count_ + j] = Chunk(i, j);
      }
    }
    Travel(Schedule(1), held, true);
    for (std::size_t i = 0; i < count_; ++i) {
      const Box box = machine_.BoxOf(term_.out, Chip(i));
      Values values = Empty(box);
      Overlay(machine_.placement, box, values.data(), ChunkBox(i, i), held[i * count_ + i].data());
      Finish(i, values);
    }
  }

  // A reduce-scatter and an all-gather of the flat shard, padded to one chunk for each member.
  void Reduce() {
    const std::int64_t elements = machine_.Read(term_.lhs, Chip(0)).size();
    const auto ways = static_cast<std::int64_t>(peers_[0].size());
    block_elements_ = (elements + ways - 1) / ways;
    Blocks held(count_ * count_, Values::Zero(block_elements_));
    const auto element = [&](std::size_t i, std::int64_t e) -> double& {
      const std::size_t peer = peers_[i][static_cast<std::size_t>(e / block_elements_)];
      return held[i * count_ + peer][e % block_elements_];
    };
    for (std::size_t i = 0; i < count_; ++i) {
      const Values& own = machine_.Read(term_.lhs, Chip(i));
      for (std::int64_t e = 0; e < elements; ++e) {
        element(i, e) = own[e];
      }
    }
    Travel(Schedule(1), held, true);
    Travel(Schedule(0), held, false);
    for (std::size_t i = 0; i < count_; ++i) {
      Values flat(elements);
      for (std::int64_t e = 0; e < elements; ++e) {
        flat[e] = element(i, e);
      }
      const Box box = machine_.BoxOf(term_.out, Chip(i));
      Values values = Empty(box);
      Overlay(machine_.placement, box, values.data(), machine_.BoxOf(term_.lhs, Chip(i)),
              flat.data());
      Finish(i, values);
    }
  }

  // A packet of an all-to-all: at one chip at a time.
  struct Packet {
    int at = 0;
    ElementRange range;
    Values values;
  };

  void Swap() {
    const MessageList& list = Schedule(2);
    Blocks leaving(count_ * count_);
    Blocks arrived(count_ * count_);
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j : peers_[i]) {
        leaving[i * count_ + j] = Chunk(i, j);
      }
    }
    block_elements_ = leaving[0].size();
    for (std::size_t i = 0; i < count_; ++i) {
      arrived[i * count_ + i] = leaving[i * count_ + i];
    }
    std::vector<Packet> packets(static_cast<std::size_t>(list.tokens));
    for (const Message& message : list.messages) {
      Packet& packet = packets[static_cast<std::size_t>(message.needs)];
      if (message.enters) {
        packet.at = message.from;
        packet.range = RangeOf(message, block_elements_);
        packet.values = leaving[static_cast<std::size_t>(message.block)].segment(
            packet.range.begin, packet.range.size());
      }
      Count(message, packet.at == message.from ? packet.range.size() : 0);
      packet.at = packet.at == message.from ? message.to : packet.at;
      const auto block = static_cast<std::size_t>(message.block);
      if (packet.at == message.block % list.chips) {
        Arrive(packet, arrived[block]);
      }
    }
    AddTime(list);
    for (std::size_t to = 0; to < count_; ++to) {
      PutTogether(to, arrived);
    }
  }

  void Arrive(const Packet& packet, Values& block) const {
    if (block.size() == 0) {
      block = Values::Constant(block_elements_, kNothing);
    }
    block.segment(packet.range.begin, packet.range.size()) = packet.values;
  }

  void PutTogether(std::size_t to, const Blocks& arrived) {
    const Box box = machine_.BoxOf(term_.out, Chip(to));
    Values values = Empty(box);
    for (std::size_t from : peers_[to]) {
      Overlay(machine_.placement, box, values.data(), ChunkBox(from, to),
              arrived[from * count_ + to].data());
    }
    Finish(to, values);
  }

  static constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
  Machine& machine_;
  const Term& term_;
  AxisSet axes_;
  const std::vector<int>& chips_;
  std::size_t count_;
  std::vector<std::vector<std::size_t>> peers_;  // by chip, itself included, in order
  std::int64_t block_elements_ = 0;
};

// The axes along which a term has something to move.
AxisSet AxesOf(const Machine& machine, const Op& op, const Term& term) {
  const Tensor& operand = machine.tensor(term.lhs);
  const Tensor& result = machine.tensor(term.out);
  const AxisSet moved = op.kind == OpKind::kAllGather  ? operand.sharded() - result.sharded()
                        : op.kind == OpKind::kAllToAll ? op.axes.set()
                                                       : operand.partial - result.partial;
  return moved & op.axes.set();
}

}  // namespace

void RunCollective(Machine& machine) {
  const Op& op = machine.current();
  machine.link_bytes[machine.op].assign(LinkIndex(machine.chips, 0), 0);
  OpTraffic& traffic = machine.traffic[machine.op];
  traffic = {};
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const AxisSet axes = AxesOf(machine, op, op.terms[i]);
    const Mesh& mesh = machine.program.mesh;
    std::vector<int> group_of(static_cast<std::size_t>(machine.chips));
    int number = 0;
    for (const std::vector<int>& group : Groups(mesh, axes)) {
      for (int chip : group) {
        group_of[static_cast<std::size_t>(chip)] = number;
      }
      ++number;
    }
    for (const std::vector<int>& chips : Groups(mesh, mesh.Whole(axes))) {
      Exchange(machine, op.terms[i], axes, chips, group_of).Run(op.kind);
    }
  }
  const auto& links = machine.link_bytes[machine.op];
  traffic.busiest_link =
      BytesOf(static_cast<double>(*std::max_element(links.begin(), links.end())));
}

}  // namespace slicewise::emulator
