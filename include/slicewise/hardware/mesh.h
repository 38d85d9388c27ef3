// The logical mesh of a slice: the axes that layouts name.
//
// A physical axis of an even length of 4 or more is two mesh axes, its factors: `x2`, two chips
// next to one another, and `x1`, every second chip along x. A layout that treats both alike speaks
// of `x`. With coordinate c along x, x1 is digit c / 2 and x2 digit c % 2: major first. So 8 has
// the factors 4 and 2, in the order that gives them more bandwidth (docs/search.md). Other physical
// axes are one mesh axis; those of length 1 are none.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "slicewise/hardware/axis_set.h"
#include "slicewise/hardware/slice.h"

namespace slicewise {

// A mesh axis, or both factors of a physical one together: chips in a row, `stride` apart; there
// are `stride` such rows side by side that share the links.
struct MeshAxis {
  int size = 1;
  int physical = 0;  // 0, 1, 2 for x, y, z
  int stride = 1;
  bool wraps = false;  // the row closes into a ring

  bool operator==(const MeshAxis&) const = default;
};

// Links' worth of bandwidth that a chip has for a gathering along the row: both ways round a ring;
// along a line one, for its inner links carry what both ends need.
[[nodiscard]] double Links(const MeshAxis& row);
// Links crossed by what travels furthest.
[[nodiscard]] int Hops(const MeshAxis& row);

// Axes in ascending order of their names; axis i is bit i of an AxisSet. Products of sizes are
// precomputed: they are asked for on the pricing path.
class Mesh {
 public:
  Mesh() : Mesh(Slice()) {}  // one chip, no axes
  explicit Mesh(const Slice& slice);

  [[nodiscard]] int axis_count() const { return axis_count_; }
  [[nodiscard]] const MeshAxis& axis(int index) const {
    return axes_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] AxisSet all() const { return AxisSet::FirstN(axis_count_); }
  [[nodiscard]] const Slice& slice() const { return slice_; }
  // Number of chips along the axes of the set; 1 for the empty set.
  [[nodiscard]] double Size(AxisSet set) const { return sizes_[set.bits()]; }
  [[nodiscard]] int IntSize(AxisSet set) const { return static_cast<int>(sizes_[set.bits()]); }

  // The mesh axes of physical axis 0, 1 or 2: its factors, itself, or none.
  [[nodiscard]] AxisSet Physical(int physical) const {
    return physical_[static_cast<std::size_t>(physical)];
  }
  // The set with the other factors of its axes.
  [[nodiscard]] AxisSet Whole(AxisSet set) const;
  // The axes of the set whose other factor is not in it.
  [[nodiscard]] AxisSet Factors(AxisSet set) const;
  // The set cut by physical axes: both factors of one where the set has both.
  [[nodiscard]] std::vector<AxisSet> Parts(AxisSet set) const;
  // The part with the most chips; of equal ones that of neighbours. No allocation.
  [[nodiscard]] AxisSet Longest(AxisSet set) const;
  // The rows that a collective over the set runs along, one for each part.
  [[nodiscard]] std::vector<MeshAxis> Rows(AxisSet set) const;

  // "xy1z": a letter alone stands for both factors.
  [[nodiscard]] std::string Names(AxisSet set) const;
  // In that order; factors are one letter where the minor follows the major.
  [[nodiscard]] std::string Names(const AxisOrder& order) const;
  // The same into `out`, which has room for two characters an axis; returns the end. No allocation.
  char* WriteNames(const AxisOrder& order, char* out) const;

  bool operator==(const Mesh& other) const { return slice_ == other.slice_; }

 private:
  Slice slice_;
  int axis_count_ = 0;
  std::array<MeshAxis, kMaxMeshAxes> axes_ = {};
  std::array<AxisSet, 3> physical_ = {};
  std::array<double, 1U << kMaxMeshAxes> sizes_ = {};
};

}  // namespace slicewise
