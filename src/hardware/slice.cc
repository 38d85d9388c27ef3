#include "slicewise/hardware/slice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

using Dims = std::array<int, 3>;

Dims Sorted(Dims dims) {
  std::sort(dims.begin(), dims.end());
  return dims;
}

bool AllMultiples(const Dims& dims, int multiple) {
  return std::all_of(dims.begin(), dims.end(), [&](int d) { return d % multiple == 0; });
}

bool IsLegal(const Dims& dims, const Chip& chip) {
  const Dims sorted = Sorted(dims);
  if (AllMultiples(sorted, chip.wrap_multiple)) {
    return static_cast<std::int64_t>(sorted[0]) * sorted[1] * sorted[2] <= chip.max_chips;
  }
  return std::any_of(chip.small_shapes.begin(), chip.small_shapes.end(), [&](const auto& shape) {
    return std::equal(shape.begin(), shape.end(), sorted.begin(), sorted.end());
  });
}

Slice MakeSlice(const Dims& dims, bool twisted, const Chip& chip) {
  return Slice{.dims = dims, .wraps = AllMultiples(dims, chip.wrap_multiple), .twisted = twisted};
}

std::optional<int> ParsePositive(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) {
    return std::nullopt;
  }
  return value;
}

// Two or three positive numbers joined by 'x'.
std::vector<int> ParseDims(std::string_view text) {
  std::vector<int> dims;
  while (true) {
    const std::size_t end = text.find('x');
    const std::optional<int> dim = ParsePositive(text.substr(0, end));
    if (!dim || *dim > 100000) {
      return {};
    }
    dims.push_back(*dim);
    if (end == std::string_view::npos) {
      return dims;
    }
    text.remove_prefix(end + 1);
  }
}

// The legal shape whose chip count and dimensions are nearest, for error messages.
Slice NearestLegal(const Dims& dims, const Chip& chip) {
  const Dims sorted = Sorted(dims);
  const auto distance = [&](const Slice& slice) {
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      sum += std::abs(std::log2(static_cast<double>(slice.dims[i]) / sorted[i]));
    }
    return sum;
  };
  const std::vector<Slice> legal = LegalSlices(chip, chip.max_chips);
  return *std::min_element(legal.begin(), legal.end(), [&](const Slice& a, const Slice& b) {
    return distance(a) < distance(b);
  });
}

Slice ParseAcceleratorType(std::string_view text, std::string_view count, const Chip& chip) {
  const std::optional<int> cores = ParsePositive(count);
  std::optional<Slice> best;
  std::optional<Slice> nearest;
  for (const Slice& slice : LegalSlices(chip, chip.max_chips)) {
    const int slice_cores = slice.chips() * chip.cores_per_chip;
    // Among shapes of one size LegalSlices lists the most cube-like last.
    if (cores && slice_cores == *cores) {
      best = slice;
    }
    if (cores && (!nearest || std::abs(slice_cores - *cores) <
                                  std::abs(nearest->chips() * chip.cores_per_chip - *cores))) {
      nearest = slice;
    }
  }
  if (best) {
    return *best;
  }
  const std::string hint =
      nearest ? fmt::format("; the nearest is {}, {} chips as {}", AcceleratorType(*nearest, chip),
                            nearest->chips(), ToString(*nearest))
              : fmt::format("; the number counts TensorCores, {} per chip", chip.cores_per_chip);
  throw InputError(
      fmt::format("slice '{}': {} has no accelerator type of that size{}", text, chip.name, hint));
}

}  // namespace

std::string ToString(const Slice& slice) {
  return fmt::format("{}x{}x{}{}", slice.dims[0], slice.dims[1], slice.dims[2],
                     slice.twisted ? "_twisted" : "");
}

Slice ParseSlice(std::string_view text, const Chip& chip) {
  const std::string prefix = chip.accelerator_prefix + "-";
  if (text.starts_with(prefix) && text.find('x') == std::string_view::npos) {
    return ParseAcceleratorType(text, text.substr(prefix.size()), chip);
  }
  std::string_view shape = text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  constexpr std::string_view kTwisted = "_twisted";
  const bool twisted = shape.ends_with(kTwisted);
  if (twisted) {
    shape.remove_suffix(kTwisted.size());
  }
  const std::vector<int> parsed = ParseDims(shape);
  if (parsed.size() != static_cast<std::size_t>(chip.torus_rank)) {
    throw InputError(fmt::format(
        "slice '{}' is not a shape of {} dimensions such as 4x4x4, nor an accelerator type such as "
        "{}-128 ({} TensorCores per chip)",
        text, chip.torus_rank, chip.accelerator_prefix, chip.cores_per_chip));
  }
  const Dims dims = {parsed[0], parsed[1], parsed[2]};
  if (!IsLegal(dims, chip)) {
    throw InputError(fmt::format(
        "slice '{}': {} has no such slice (all dimensions multiples of {}, at most {} chips, or a "
        "small shape); the nearest is {}",
        text, chip.name, chip.wrap_multiple, chip.max_chips, ToString(NearestLegal(dims, chip))));
  }
  if (twisted && !CanTwist(dims, chip)) {
    throw InputError(
        fmt::format("slice '{}': only n x n x 2n and n x 2n x 2n shapes can be twisted", text));
  }
  return MakeSlice(dims, twisted, chip);
}

std::vector<Slice> LegalSlices(const Chip& chip, int max_chips) {
  std::vector<Slice> slices;
  for (const std::vector<int>& shape : chip.small_shapes) {
    slices.push_back(MakeSlice({shape[0], shape[1], shape[2]}, false, chip));
  }
  const int m = chip.wrap_multiple;
  const int limit = std::min(max_chips, chip.max_chips);
  for (int a = m; a * a * a <= limit; a += m) {
    for (int b = a; a * b * b <= limit; b += m) {
      for (int c = b; a * b * c <= limit; c += m) {
        slices.push_back(MakeSlice({a, b, c}, false, chip));
      }
    }
  }
  std::erase_if(slices, [&](const Slice& slice) { return slice.chips() > limit; });
  std::sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) {
    return std::pair(a.chips(), a.dims) < std::pair(b.chips(), b.dims);
  });
  return slices;
}

std::string AcceleratorType(const Slice& slice, const Chip& chip) {
  return fmt::format("{}-{}", chip.accelerator_prefix, slice.chips() * chip.cores_per_chip);
}

bool CanTwist(const std::array<int, 3>& dims, const Chip& chip) {
  const Dims d = Sorted(dims);
  return AllMultiples(d, chip.wrap_multiple) && d[2] == 2 * d[0] &&
         (d[1] == d[0] || d[1] == 2 * d[0]);
}

}  // namespace slicewise
