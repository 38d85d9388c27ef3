// A slice: a box of chips, and the logical mesh that layouts name the axes of.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/hardware/axis_set.h"
#include "slicewise/hardware/chip.h"

namespace slicewise {

// `dims` in the order written: x, y, z.
struct Slice {
  std::array<int, 3> dims = {1, 1, 1};
  bool wraps = false;    // every axis closes into a ring, or none does
  bool twisted = false;  // a wrap along a short axis also shifts the long ones

  [[nodiscard]] int chips() const { return dims[0] * dims[1] * dims[2]; }
  bool operator==(const Slice&) const = default;
};

// "4x4x4", "4x4x8_twisted".
[[nodiscard]] std::string ToString(const Slice& slice);

// Reads `AxBxC` (axes x, y, z in the order written), `AxBxC_twisted`, or an accelerator type such
// as `v4-128`, whose number counts TensorCores and which takes the most cube-like legal shape.
// Throws InputError when the text is neither, or when the chip cannot be had in that shape; the
// message names the nearest legal shape.
[[nodiscard]] Slice ParseSlice(std::string_view text, const Chip& chip);

// Every legal shape of at most `max_chips` chips, dimensions ascending, smallest first, each once
// up to rotation; twisted variants are not included.
[[nodiscard]] std::vector<Slice> LegalSlices(const Chip& chip, int max_chips);

// "v4-128": cores_per_chip times the chips.
[[nodiscard]] std::string AcceleratorType(const Slice& slice, const Chip& chip);

// Whether the chip can be twisted in this shape: n x n x 2n or n x 2n x 2n in any order, n a
// multiple of the wrap multiple (facts: the TPU v4 paper, ISCA 2023).
[[nodiscard]] bool CanTwist(const std::array<int, 3>& dims, const Chip& chip);

struct MeshAxis {
  int size = 1;
  int physical = 0;  // 0, 1, 2 for x, y, z
  bool wraps = false;

  bool operator==(const MeshAxis&) const = default;
};

// The axes longer than 1, in ascending order of their names. Axis i of the mesh is bit i of an
// AxisSet. Products of sizes are precomputed: they are asked for on the pricing path.
class Mesh {
 public:
  Mesh() : Mesh(Slice()) {}  // one chip, no axes
  explicit Mesh(const Slice& slice);

  [[nodiscard]] int axis_count() const { return axis_count_; }
  [[nodiscard]] const MeshAxis& axis(int index) const {
    return axes_[static_cast<std::size_t>(index)];
  }
  // 'x', 'y' or 'z'.
  [[nodiscard]] char name(int index) const;
  // The index of the axis of that name; -1 when the mesh has none (length 1, or no such axis).
  [[nodiscard]] int Find(char name) const;
  [[nodiscard]] AxisSet all() const { return AxisSet::FirstN(axis_count_); }
  // Number of chips along the axes of the set; 1 for the empty set.
  [[nodiscard]] double Size(AxisSet set) const { return sizes_[set.bits()]; }
  [[nodiscard]] int IntSize(AxisSet set) const { return static_cast<int>(sizes_[set.bits()]); }
  [[nodiscard]] const Slice& slice() const { return slice_; }
  // "xyz" for all three.
  [[nodiscard]] std::string Names(AxisSet set) const;
  [[nodiscard]] std::string Names(const AxisOrder& order) const;

  bool operator==(const Mesh& other) const { return slice_ == other.slice_; }

 private:
  Slice slice_;
  int axis_count_ = 0;
  std::array<MeshAxis, kMaxMeshAxes> axes_ = {};
  std::array<double, 1U << kMaxMeshAxes> sizes_ = {};
};

}  // namespace slicewise
