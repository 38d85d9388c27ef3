// A slice: a box of chips.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

}  // namespace slicewise
