// Time of a collective on a torus or mesh.
//
// Paper network: volume / 270 GB/s (sections 3.1 and A.1): the closed forms of section 3 come out
// of it exactly. All-to-all there: local bytes (K-1)/K over the same bandwidth (our choice; the
// paper gives none).
//
// Torus network: sent bytes over the links that the schedule uses, plus a latency per hop.
//   all-gather, reduce-scatter   rings in both directions along one axis after another: sent x
//                                RingLoad / 1 link
//   all-reduce                   the two after one another
//   all-to-all                   busiest link: pair bytes x AllToAllLoad; over three axes in two
//                                stages: one axis, and then what arrived over the two others
//   looped two-way               the same rings, those of Op::looped first
//   looped one-way               sent / 1 link, whatever the axes; a factor as in RingLoad
// Blocking reduce-scatters take scatter_passes times as long.
// These are the schedules of the released code. Where schedules are ideal (the roofline), rings and
// loops use the links of all axes at once and an all-to-all is one exchange.
// Hops: floor(K/2) per wrapped axis, K-1 per unwrapped one, times the stride.
#pragma once

#include <array>

#include "slicewise/cost/calibration.h"
#include "slicewise/hardware/chip.h"
#include "slicewise/hardware/mesh.h"
#include "slicewise/program/traffic.h"

namespace slicewise {

enum class NetworkKind : std::uint8_t { kTorus, kPaper };
[[nodiscard]] std::string_view Name(NetworkKind kind);

// To be taken at the same sequences as the traffic.
struct CollectiveTime {
  Amount<Seconds> bandwidth;  // bytes over links
  Seconds latency;            // hops and launch; none where nothing is sent
  // Of a loop, what goes over axes that are not looped: a fraction of `bandwidth`, part of
  // `latency`.
  double blocking_fraction = 0;
  Seconds blocking_latency;
};

// Directed-link load of an all-to-all over the axes, in messages of one source-destination pair:
// the largest over the axes of what minimal routing puts on a link. For all axes of a twisted
// torus, total minimal distance over links (exact where routing balances; tests/hardware give the
// figures).
[[nodiscard]] double AllToAllLoad(const Mesh& mesh, AxisSet axes);

// Load of a directed link when rings gather (or scatter, in reverse) along one axis after another,
// in bytes per sent byte: 1/2 on axes that wrap. On an unwrapped axis the end links carry
// everything one way, so 1; over a factor that takes every s-th chip, s rings share the links. The
// slowest axes come first, while there is least to carry.
[[nodiscard]] double RingLoad(const Mesh& mesh, AxisSet axes);

// Load of a directed link in a one-way loop over the axes, one after another, in bytes per sent
// byte: 1 but for factors of stride s, which come first, while there is least to carry.
[[nodiscard]] double OneWayLoad(const Mesh& mesh, AxisSet axes);

// Tables over all axis sets of a mesh, so that pricing a collective is two loads and a multiply.
class Network {
 public:
  Network(const Chip& chip, const Mesh& mesh, const Calibration& calibration, NetworkKind kind);

  [[nodiscard]] CollectiveTime Time(const Op& op, const TrafficAmount& traffic) const;

 private:
  struct Entry {
    double ways = 1;               // chips of the group
    double seconds_per_byte = 0;   // of sent bytes, rings
    double exchange_per_byte = 0;  // of sent bytes, all-to-all
    double ring_latency = 0;       // hops of the rings
    double loop_per_byte = 0;      // of sent bytes, a one-way loop
    double loop_latency = 0;       // its K - 1 steps
    double exchange_latency = 0;   // hops, messages and launches of an all-to-all
  };
  void SetRings(const Mesh& mesh, AxisSet axes, const Calibration& calibration, Entry& entry) const;
  void SetExchange(const Mesh& mesh, AxisSet axes, const Calibration& calibration,
                   Entry& entry) const;

  std::array<Entry, 1U << kMaxMeshAxes> table_ = {};
  double link_per_byte_;  // nominal
  double launch_latency_ = 0;
  double scatter_passes_ = 1;
  double paper_per_byte_ = 0;
  NetworkKind kind_;
  bool ideal_schedules_;
};

}  // namespace slicewise
