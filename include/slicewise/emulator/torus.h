// A virtual slice: chips joined by directed links along x, y, z, with or without wrap.
//
// Chip (x, y, z) has the number (x * Y + y) * Z + z. Every chip has up to six outgoing links, one a
// direction; link (chip, direction) carries what that chip sends that way. On a twisted torus a
// wrap along a short axis also shifts the long ones by half their length (facts: the TPU v4 paper,
// section 2.8), so there a walk along a short axis does not close after one turn.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "slicewise/hardware/mesh.h"

namespace slicewise {

// Steps along x, y, z; negative ones go downwards.
using Steps = std::array<int, 3>;

inline constexpr int kDirections = 6;

// Where per-link tables hold the link that leaves a chip in a direction.
[[nodiscard]] constexpr std::size_t LinkIndex(int chip, int direction) {
  return static_cast<std::size_t>(chip) * static_cast<std::size_t>(kDirections) +
         static_cast<std::size_t>(direction);
}
// 2 * physical axis, plus 1 downwards.
[[nodiscard]] constexpr int DirectionOf(int physical_axis, bool downwards) {
  return 2 * physical_axis + (downwards ? 1 : 0);
}
[[nodiscard]] constexpr int Opposite(int direction) { return direction ^ 1; }

class Torus {
 public:
  explicit Torus(const Slice& slice) : slice_(slice) {}

  [[nodiscard]] const Slice& slice() const { return slice_; }
  [[nodiscard]] int chips() const { return slice_.chips(); }
  [[nodiscard]] Steps Coordinates(int chip) const;
  [[nodiscard]] int ChipAt(const Steps& coordinates) const;
  // The chip at the other end of a link; -1 where there is no link.
  [[nodiscard]] int Neighbor(int chip, int direction) const;
  // All shortest walks from one chip to another, as steps along each axis; their order is free.
  [[nodiscard]] std::vector<Steps> ShortestWalks(int from, int to) const;

 private:
  [[nodiscard]] std::vector<Steps> Generators() const;
  Slice slice_;
};

// The chips of a slice that communicate with one another in a collective over the axes: one group
// for every combination of the other coordinates. Members are ordered as digits, lowest axis major.
[[nodiscard]] std::vector<std::vector<int>> Groups(const Mesh& mesh, AxisSet axes);

}  // namespace slicewise
