// Sets and orders of mesh axes, small enough to live in registers.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>

namespace slicewise {

// The largest number of mesh axes: three physical axes, each split into at most two factors.
inline constexpr int kMaxMeshAxes = 6;

// A set of mesh axes; axis i of the mesh is bit i.
class AxisSet {
 public:
  constexpr AxisSet() = default;
  static constexpr AxisSet FromBits(unsigned bits) {
    AxisSet set;
    set.bits_ = static_cast<std::uint8_t>(bits);
    return set;
  }
  static constexpr AxisSet Of(int axis) { return FromBits(1U << static_cast<unsigned>(axis)); }
  static constexpr AxisSet FirstN(int count) {
    return FromBits((1U << static_cast<unsigned>(count)) - 1U);
  }

  [[nodiscard]] constexpr unsigned bits() const { return bits_; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr int count() const {
    int count = 0;  // std::popcount is a call where the target's instructions are not known
    for (unsigned rest = bits_; rest != 0; rest &= rest - 1) {
      ++count;
    }
    return count;
  }
  // The lowest axis; undefined on the empty set.
  [[nodiscard]] constexpr int first() const { return std::countr_zero(bits_); }
  [[nodiscard]] constexpr bool Has(int axis) const {
    return ((bits_ >> static_cast<unsigned>(axis)) & 1U) != 0;
  }
  [[nodiscard]] constexpr bool HasAll(AxisSet other) const {
    return (other.bits_ & ~static_cast<unsigned>(bits_)) == 0;
  }

  constexpr bool operator==(const AxisSet&) const = default;
  constexpr auto operator<=>(const AxisSet&) const = default;
  friend constexpr AxisSet operator|(AxisSet a, AxisSet b) { return FromBits(a.bits() | b.bits()); }
  friend constexpr AxisSet operator&(AxisSet a, AxisSet b) { return FromBits(a.bits() & b.bits()); }
  friend constexpr AxisSet operator-(AxisSet a, AxisSet b) {
    return FromBits(a.bits() & ~b.bits());
  }
  constexpr AxisSet& operator|=(AxisSet other) { return *this = *this | other; }

  // Iterates over the axes in ascending order: for (int axis : set).
  class Iterator {
   public:
    explicit constexpr Iterator(unsigned bits) : bits_(bits) {}
    constexpr int operator*() const { return std::countr_zero(bits_); }
    constexpr Iterator& operator++() {
      bits_ &= bits_ - 1;
      return *this;
    }
    constexpr bool operator!=(const Iterator& other) const { return bits_ != other.bits_; }

   private:
    unsigned bits_;
  };
  [[nodiscard]] constexpr Iterator begin() const { return Iterator(bits_); }
  [[nodiscard]] constexpr Iterator end() const { return Iterator(0); }

 private:
  std::uint8_t bits_ = 0;
};

// A sequence of distinct axes: major to minor for a sharded dimension, first to last for a
// collective.
class AxisOrder {
 public:
  constexpr AxisOrder() = default;
  // The axes of the set in ascending order.
  explicit constexpr AxisOrder(AxisSet set) { Append(set); }

  constexpr void Append(AxisSet set) {
    for (int axis : set) {
      packed_ |= static_cast<std::uint32_t>(axis) << (4U * static_cast<unsigned>(size_));
      ++size_;
    }
    set_ |= set;
  }
  [[nodiscard]] constexpr int size() const { return size_; }
  [[nodiscard]] constexpr AxisSet set() const { return set_; }
  constexpr int operator[](int position) const {
    return static_cast<int>((packed_ >> (4U * static_cast<unsigned>(position))) & 15U);
  }
  constexpr bool operator==(const AxisOrder&) const = default;

 private:
  std::uint32_t packed_ = 0;
  std::uint8_t size_ = 0;
  AxisSet set_;
};

}  // namespace slicewise
