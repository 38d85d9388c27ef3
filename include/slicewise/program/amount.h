// Quantities as functions of the batch.
//
// Everything that a program computes, moves and holds is proportional to the sequences that a chip
// holds, or does not depend on them; attention pads its shards of the batch on their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>

namespace slicewise {

// What a tensor's size per chip is proportional to.
enum class Follows : std::uint8_t {
  kNothing,
  kBatch,           // the sequences of a shard of Dim::kBatch that all axes of its order cut
  kAttentionBatch,  // the same of Dim::kAttentionBatch
};
// One number for each of Follows: 1, and the sequences of one shard of either batch dim.
using Sequences = std::array<double, 3>;

// A quantity as a function of the sequences held: `each` times their number, summed over what it
// follows.
template <class Quantity>
struct Amount {
  std::array<Quantity, std::tuple_size_v<Sequences>> each = {};

  void Add(Follows follows, Quantity one) { each[static_cast<std::size_t>(follows)] += one; }
  [[nodiscard]] Quantity At(const Sequences& sequences) const {
    return each[0] * sequences[0] + each[1] * sequences[1] + each[2] * sequences[2];
  }
  bool operator==(const Amount&) const = default;
  Amount& operator+=(const Amount& other) {
    for (std::size_t i = 0; i < each.size(); ++i) {
      each[i] += other.each[i];
    }
    return *this;
  }
  friend Amount operator*(Amount amount, double factor) {
    for (Quantity& one : amount.each) {
      one *= factor;
    }
    return amount;
  }
  friend Amount operator/(Amount amount, double divisor) {
    for (Quantity& one : amount.each) {
      one = one / divisor;
    }
    return amount;
  }
};

}  // namespace slicewise
