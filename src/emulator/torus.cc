#include "slicewise/emulator/torus.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace slicewise {
namespace {

int Length(const Steps& steps) {
  return std::abs(steps[0]) + std::abs(steps[1]) + std::abs(steps[2]);
}

bool IsShort(const Slice& slice, std::size_t axis) {
  return slice.dims[axis] == std::min({slice.dims[0], slice.dims[1], slice.dims[2]});
}

// What one wrap upwards along the axis adds to the coordinates, its own axis apart.
Steps TwistOf(const Slice& slice, std::size_t axis) {
  Steps shift = {0, 0, 0};
  for (std::size_t other = 0; other < 3 && slice.twisted && IsShort(slice, axis); ++other) {
    if (slice.dims[other] == 2 * slice.dims[axis]) {
      shift[other] = slice.dims[axis];
    }
  }
  return shift;
}

}  // namespace

Steps Torus::Coordinates(int chip) const {
  const auto& d = slice_.dims;
  return {chip / (d[1] * d[2]), chip / d[2] % d[1], chip % d[2]};
}

int Torus::ChipAt(const Steps& coordinates) const {
  return (coordinates[0] * slice_.dims[1] + coordinates[1]) * slice_.dims[2] + coordinates[2];
}

int Torus::Neighbor(int chip, int direction) const {
  const auto axis = static_cast<std::size_t>(direction / 2);
  const int size = slice_.dims[axis];
  Steps at = Coordinates(chip);
  at[axis] += direction % 2 == 0 ? 1 : -1;
  const bool wrapped = at[axis] < 0 || at[axis] >= size;
  if (size == 1 || (wrapped && !slice_.wraps)) {
    return -1;
  }
  if (wrapped) {
    at[axis] = (at[axis] + size) % size;
    const Steps shift = TwistOf(slice_, axis);
    for (std::size_t other = 0; other < 3; ++other) {
      // Half of a long axis, so up and down are the same.
      at[other] = (at[other] + shift[other]) % slice_.dims[other];
    }
  }
  return ChipAt(at);
}

// Walks that lead back to where they began: multiples of these are what shortest walks differ by.
std::vector<Steps> Torus::Generators() const {
  std::vector<Steps> generators;
  for (std::size_t axis = 0; axis < 3 && slice_.wraps; ++axis) {
    if (slice_.dims[axis] > 1) {
      Steps generator = TwistOf(slice_, axis);
      generator[axis] = slice_.dims[axis];
      generators.push_back(generator);
    }
  }
  return generators;
}

std::vector<Steps> Torus::ShortestWalks(int from, int to) const {
  const Steps a = Coordinates(from);
  const Steps b = Coordinates(to);
  std::vector<Steps> walks = {{b[0] - a[0], b[1] - a[1], b[2] - a[2]}};
  for (const Steps& generator : Generators()) {
    std::vector<Steps> more;
    for (const Steps& walk : walks) {
      for (int times = -2; times <= 2; ++times) {
        more.push_back({walk[0] + times * generator[0], walk[1] + times * generator[1],
                        walk[2] + times * generator[2]});
      }
    }
    walks = std::move(more);
  }
  int shortest = std::numeric_limits<int>::max();
  for (const Steps& walk : walks) {
    shortest = std::min(shortest, Length(walk));
  }
  std::erase_if(walks, [&](const Steps& walk) { return Length(walk) > shortest; });
  std::sort(walks.begin(), walks.end());
  walks.erase(std::unique(walks.begin(), walks.end()), walks.end());
  return walks;
}

std::vector<std::vector<int>> Groups(const Mesh& mesh, AxisSet axes) {
  const Torus torus(mesh.slice());
  const AxisSet others = mesh.all() - axes;
  std::vector<std::vector<int>> groups(static_cast<std::size_t>(mesh.IntSize(others)));
  for (auto& group : groups) {
    group.resize(static_cast<std::size_t>(mesh.IntSize(axes)));
  }
  const auto digits = [&](const Steps& at, AxisSet set) {
    int number = 0;
    for (int axis : set) {
      const MeshAxis& info = mesh.axis(axis);
      const int coordinate = at[static_cast<std::size_t>(info.physical)];
      number = number * info.size + coordinate / info.stride % info.size;
    }
    return static_cast<std::size_t>(number);
  };
  for (int chip = 0; chip < torus.chips(); ++chip) {
    const Steps at = torus.Coordinates(chip);
    groups[digits(at, others)][digits(at, axes)] = chip;
  }
  return groups;
}

}  // namespace slicewise
