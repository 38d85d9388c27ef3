// Which true indices a chip holds: the meaning of DimInfo and Tensor::sharding.
//
// An index of a dim is a number in digits, one for each axis of the dim's order (major to minor)
// and a remainder. A chip holds the indices whose digits along the cutting axes are its
// coordinates. Every index stands for a true one (a sequence, a head, a token), or for padding: -1.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "slicewise/emulator/torus.h"
#include "slicewise/model/model.h"
#include "slicewise/program/program.h"

namespace slicewise::emulator {

// True indices in the order they are stored; interned, so that equal lists have equal addresses.
using Held = std::vector<int>;

// What one chip holds of a tensor: a box of indices. Missing dims hold the one index 0.
struct Box {
  std::array<const Held*, kMaxTensorRank> held = {};
  [[nodiscard]] std::size_t size(std::size_t dim) const { return held[dim]->size(); }
  [[nodiscard]] std::size_t elements() const { return size(0) * size(1) * size(2) * size(3); }
};

class Placement {
 public:
  Placement(const Model& model, const Program& program);

  // Why the program's tensors cannot be placed; empty when they can.
  [[nodiscard]] const std::string& flaw() const { return flaw_; }
  [[nodiscard]] const Held* Of(Dim dim, AxisSet sharding, int chip);
  [[nodiscard]] Box BoxOf(const Tensor& tensor, int chip);
  // Every true index of the dim, once.
  [[nodiscard]] int TrueSize(Dim dim) const;

  // Pairs (position in `to`, position in `from`) that hold the same true index.
  using Matches = std::vector<std::pair<int, int>>;
  [[nodiscard]] const Matches& MatchesOf(const Held* to, const Held* from);
  [[nodiscard]] const Held* Intern(Held held);

 private:
  struct Layout {                 // one dim
    std::vector<int> true_index;  // of every padded index
    std::vector<int> stride;      // by mesh axis; 0: not in the order
  };
  void Validate(const Program& program);
  [[nodiscard]] std::vector<int> TrueIndices(Dim dim) const;
  [[nodiscard]] int TrueBatch(int position) const;
  [[nodiscard]] int TrueHead(int position) const;
  [[nodiscard]] int TrueKvHead(Dim dim, int slot) const;
  [[nodiscard]] int TruePosition(int slot) const;
  [[nodiscard]] int Padded(Dim dim) const;

  const Model& model_;
  const Program& program_;
  Torus torus_;
  std::string flaw_;
  std::vector<Layout> layouts_;
  std::map<Held, const Held*> interned_;
  std::map<std::array<int, 3>, const Held*> by_cut_;  // dim, sharding, chip
  std::map<std::pair<const Held*, const Held*>, Matches> matches_;
};

}  // namespace slicewise::emulator
