#include "slicewise/hardware/mesh.h"

namespace slicewise {
namespace {

// Shortest length that two factors longer than 1 can make up.
constexpr int kLeastSplit = 4;

}  // namespace

double Links(const MeshAxis& row) { return (row.wraps ? 2.0 : 1.0) / row.stride; }

int Hops(const MeshAxis& row) { return (row.wraps ? row.size / 2 : row.size - 1) * row.stride; }

Mesh::Mesh(const Slice& slice) : slice_(slice) {
  const auto add = [&](const MeshAxis& axis) {
    physical_[static_cast<std::size_t>(axis.physical)] |= AxisSet::Of(axis_count_);
    axes_[static_cast<std::size_t>(axis_count_++)] = axis;
  };
  for (int physical = 0; physical < 3; ++physical) {
    const int size = slice.dims[static_cast<std::size_t>(physical)];
    if (size >= kLeastSplit && size % 2 == 0) {
      add({.size = size / 2, .physical = physical, .stride = 2, .wraps = slice.wraps});
      add({.size = 2, .physical = physical, .stride = 1, .wraps = false});
    } else if (size > 1) {
      add({.size = size, .physical = physical, .stride = 1, .wraps = slice.wraps});
    }
  }
  for (unsigned bits = 0; bits < sizes_.size(); ++bits) {
    double product = 1;
    for (int axis : AxisSet::FromBits(bits) & all()) {
      product *= axes_[static_cast<std::size_t>(axis)].size;
    }
    sizes_[bits] = product;
  }
}

AxisSet Mesh::Whole(AxisSet set) const {
  AxisSet whole;
  for (AxisSet axis : physical_) {
    whole |= (axis & set).empty() ? AxisSet() : axis;
  }
  return whole;
}

AxisSet Mesh::Factors(AxisSet set) const {
  AxisSet factors;
  for (AxisSet axis : physical_) {
    factors |= set.HasAll(axis) ? AxisSet() : axis & set;
  }
  return factors;
}

std::vector<AxisSet> Mesh::Parts(AxisSet set) const {
  std::vector<AxisSet> parts;
  parts.reserve(physical_.size());
  for (AxisSet axis : physical_) {
    if (!(axis & set).empty()) {
      parts.push_back(axis & set);
    }
  }
  return parts;
}

AxisSet Mesh::Longest(AxisSet set) const {
  AxisSet longest;
  bool neighbours = false;
  for (AxisSet whole : physical_) {
    const AxisSet part = whole & set;
    // What has the last axis of its whole has chips next to one another.
    const bool last = !part.empty() && (whole - part).bits() < part.bits();
    if (IntSize(part) > IntSize(longest) ||
        (IntSize(part) == IntSize(longest) && last && !neighbours)) {
      longest = part;
      neighbours = last;
    }
  }
  return longest;
}

std::vector<MeshAxis> Mesh::Rows(AxisSet set) const {
  std::vector<MeshAxis> rows;
  rows.reserve(physical_.size());
  for (AxisSet whole : physical_) {
    if (const AxisSet part = whole & set; !part.empty()) {
      rows.push_back(axis(part.first()));
      if (part != AxisSet::Of(part.first())) {
        rows.back().size = IntSize(part);
        rows.back().stride = 1;
      }
    }
  }
  return rows;
}

std::string Mesh::Names(AxisSet set) const { return Names(AxisOrder(set)); }

std::string Mesh::Names(const AxisOrder& order) const {
  std::array<char, std::size_t{2} * kMaxMeshAxes> names;
  return std::string(names.data(), WriteNames(order, names.data()));
}

char* Mesh::WriteNames(const AxisOrder& order, char* out) const {
  for (int i = 0; i < order.size(); ++i) {
    const int index = order[i];
    const AxisSet factors = Physical(axis(index).physical);
    const bool major = index == factors.first();
    *out++ = static_cast<char>('x' + axis(index).physical);
    if (factors == AxisSet::Of(index)) {
      continue;
    }
    if (major && i + 1 < order.size() && order[i + 1] == index + 1) {
      ++i;  // both factors
    } else {
      *out++ = major ? '1' : '2';
    }
  }
  return out;
}

}  // namespace slicewise
