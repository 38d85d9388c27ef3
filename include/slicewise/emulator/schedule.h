// Hop-by-hop schedules of collectives: every message, the link it crosses and what it waits for.
//
// The same list moves the emulator's data, counts its bytes and gives its time. It is of all chips
// along the physical axes of a collective: over factors of an axis several groups of them run side
// by side on the same links, and a step to the next member crosses chips of other groups.
//
//   gather    each member's block reaches all others. Along one axis: a ring both ways round where
//             the axis wraps (the antipode of an even ring gets half from either side), a line from
//             each chip towards both ends where it does not. Over n axes the block is cut into n
//             parts; part p goes along axes p, p+1, ..., so that all axes are busy at once.
//   one-way   one part, one axis after another, upwards only where the axis wraps: the loop that
//             gathers weights. Every second chip comes first, while there is least to carry.
//   scatter   the gather backwards in time, each message adding to what the receiver has.
//   exchange  all-to-all: every pair's message over shortest walks, ties split evenly, hop by hop.
#pragma once

#include <cstdint>
#include <vector>

#include "slicewise/emulator/torus.h"
#include "slicewise/units/quantity.h"

namespace slicewise {

// One payload crossing one link. Chips are numbered as Groups(mesh, mesh.Whole(axes)) orders them.
struct Message {
  int from = 0;
  int to = 0;
  int direction = 0;
  int block = 0;  // gather, scatter: the chip whose block it is; exchange: source * chips + target
  double begin = 0;  // the range of the block, as fractions of it
  double end = 1;
  int needs = 0;       // token that must have been given before this can start
  int gives = 0;       // token given on arrival; more than one message may give it
  bool enters = true;  // leaves a member that has it (false: forwarded)
};

struct MessageList {
  int chips = 0;
  int tokens = 0;
  std::vector<Message> messages;  // in the order that each link sends them
};

enum class Rings : std::uint8_t { kBothWays, kOneWay };

[[nodiscard]] MessageList GatherMessages(const Mesh& mesh, AxisSet axes, Rings rings);
[[nodiscard]] MessageList ScatterMessages(const Mesh& mesh, AxisSet axes, Rings rings);
// Twisted walks where the slice is twisted and `axes` are all its axes; else plain ones.
[[nodiscard]] MessageList ExchangeMessages(const Mesh& mesh, AxisSet axes);

// Elements [begin, end) of a block of `count` elements that a message carries.
struct ElementRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  [[nodiscard]] std::int64_t size() const { return end - begin; }
};
[[nodiscard]] ElementRange RangeOf(const Message& message, std::int64_t count);

// A link carries one message at a time, for block bytes / bandwidth; the receiver has it a hop
// latency later. Messages of a link go in the order of the list.
struct LinkTiming {
  BytesPerSecond bandwidth;  // of one directed link
  Seconds hop_latency;
};
[[nodiscard]] Seconds TimeOf(const MessageList& list, Bytes block, const LinkTiming& timing);
// Bytes on the busiest directed link.
[[nodiscard]] Bytes BusiestLink(const MessageList& list, Bytes block);

// Load of the busiest directed link in an all-to-all over all axes, in messages of one pair, from
// the shortest walks alone (no message list: for slices of any size).
[[nodiscard]] double ExchangeLoad(const Slice& slice);

}  // namespace slicewise
