#include "placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace slicewise::emulator {
namespace {

int Rounded(double value) { return static_cast<int>(std::llround(value)); }

std::size_t Index(Dim dim) { return static_cast<std::size_t>(dim); }

}  // namespace

Placement::Placement(const Model& model, const Program& program)
    : model_(model), program_(program), torus_(program.mesh.slice()) {
  layouts_.resize(kDimCount);
  for (std::size_t d = 0; d < kDimCount; ++d) {
    const auto dim = static_cast<Dim>(d);
    Layout& layout = layouts_[d];
    layout.stride.assign(kMaxMeshAxes, 0);
    if (dim == Dim::kContext) {
      continue;  // a length, never the dim of a tensor
    }
    layout.true_index = TrueIndices(dim);
    const AxisOrder& order = program.dim(dim).order;
    int stride = Padded(dim);
    for (int i = 0; i < order.size(); ++i) {
      const int ways = program.mesh.axis(order[i]).size;
      if (stride % ways != 0) {
        flaw_ = fmt::format("{} of {} is not divisible along its axes", Name(dim), Padded(dim));
      }
      stride /= ways;
      layout.stride[static_cast<std::size_t>(order[i])] = stride;
    }
  }
  Validate(program);
}

void Placement::Validate(const Program& program) {
  for (const Tensor& tensor : program.tensors) {
    AxisSet seen;
    for (std::size_t i = 0; i < tensor.rank; ++i) {
      if (!program.dim(tensor.dims[i]).order.set().HasAll(tensor.sharding[i]) ||
          !(seen & tensor.sharding[i]).empty()) {
        flaw_ = fmt::format("{} is cut over {} along {}, which that dim does not allow",
                            Name(tensor.role), program.mesh.Names(tensor.sharding[i]),
                            Name(tensor.dims[i]));
      }
      seen |= tensor.sharding[i];
    }
  }
}

int Placement::Padded(Dim dim) const { return Rounded(program_.dim(dim).padded); }

int Placement::TrueSize(Dim dim) const { return Rounded(program_.dim(dim).size); }

std::vector<int> Placement::TrueIndices(Dim dim) const {
  std::vector<int> indices(static_cast<std::size_t>(Padded(dim)));
  for (int position = 0; position < Padded(dim); ++position) {
    int index = position;
    if (dim == Dim::kAttentionBatch) {
      index = TrueBatch(position);
    } else if (dim == Dim::kHeads) {
      index = TrueHead(position);
    } else if (dim == Dim::kKvHeads || dim == Dim::kCacheKvHeads) {
      index = TrueKvHead(dim, position);
    } else if (dim == Dim::kCacheLength) {
      index = TruePosition(position);
    }
    indices[static_cast<std::size_t>(position)] = index < TrueSize(dim) ? index : -1;
  }
  return indices;
}

// Attention's batch axes cut each shard of the plain batch further, so each shard has padding of
// its own.
int Placement::TrueBatch(int position) const {
  const DimInfo& plain = program_.dim(Dim::kBatch);
  const int shards = program_.mesh.IntSize(plain.order.set());
  const int block = Padded(Dim::kAttentionBatch) / shards;
  const int per_shard = Rounded(plain.padded) / shards;
  const int offset = position % block;
  return offset < per_shard ? position / block * per_shard + offset : TrueSize(Dim::kBatch);
}

// Every group of query heads that share a KV head is padded alike, at its end.
int Placement::TrueHead(int position) const {
  const int heads = TrueSize(Dim::kHeads);
  const auto kv_heads = static_cast<int>(model_.kv_heads);
  if (model_.multihead() || kv_heads <= 1) {
    return position;
  }
  const int stored = Padded(Dim::kHeads) / kv_heads;
  const int real = heads / kv_heads;
  const int offset = position % stored;
  return offset < real ? position / stored * real + offset : heads;
}

// Shards of the cache take positions in turn.
int Placement::TruePosition(int slot) const {
  const int shards = program_.mesh.IntSize(program_.dim(Dim::kCacheLength).order.set());
  const int slots = Padded(Dim::kCacheLength) / shards;
  return slots == 0 ? 0 : slot % slots * shards + slot / slots;
}

// With K heads over w shards, shard i serves the query heads of [i/w, (i+1)/w) of the KV heads, so
// it holds KV heads floor(i K / w) up to ceil((i+1) K / w) exclusive. Shards have as many slots as
// the neediest; the others repeat their last head.
int Placement::TrueKvHead(Dim dim, int slot) const {
  if (model_.multihead()) {
    return slot;
  }
  const auto kv_heads = static_cast<int>(model_.kv_heads);
  const int shards = program_.mesh.IntSize(program_.dim(dim).order.set());
  const int slots = std::max(1, Padded(dim) / shards);
  const int shard = slot / slots;
  const int first = shard * kv_heads / shards;
  const int last = ((shard + 1) * kv_heads + shards - 1) / shards - 1;
  return std::min(last, first + slot % slots);
}

const Held* Placement::Intern(Held held) {
  const auto [found, inserted] = interned_.try_emplace(std::move(held), nullptr);
  if (inserted) {
    found->second = &found->first;
  }
  return found->second;
}

const Held* Placement::Of(Dim dim, AxisSet sharding, int chip) {
  const std::array<int, 3> key = {static_cast<int>(dim), static_cast<int>(sharding.bits()), chip};
  if (const auto found = by_cut_.find(key); found != by_cut_.end()) {
    return found->second;
  }
  const Layout& layout = layouts_[Index(dim)];
  const Steps at = torus_.Coordinates(chip);
  Held held;
  for (int position = 0; position < static_cast<int>(layout.true_index.size()); ++position) {
    const bool mine = [&] {
      for (int axis : sharding) {
        const MeshAxis& info = program_.mesh.axis(axis);
        const int digit = position / layout.stride[static_cast<std::size_t>(axis)] % info.size;
        const int coordinate = at[static_cast<std::size_t>(info.physical)];
        if (digit != coordinate / info.stride % info.size) {
          return false;
        }
      }
      return true;
    }();
    if (mine) {
      held.push_back(layout.true_index[static_cast<std::size_t>(position)]);
    }
  }
  return by_cut_[key] = Intern(std::move(held));
}

Box Placement::BoxOf(const Tensor& tensor, int chip) {
  Box box;
  box.held.fill(Intern({0}));
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    box.held[i] = Of(tensor.dims[i], tensor.sharding[i], chip);
  }
  return box;
}

const Placement::Matches& Placement::MatchesOf(const Held* to, const Held* from) {
  const auto [found, inserted] = matches_.try_emplace({to, from});
  if (inserted) {
    std::map<int, int> positions;
    for (std::size_t i = 0; i < from->size(); ++i) {
      positions.try_emplace((*from)[i], static_cast<int>(i));
    }
    for (std::size_t i = 0; i < to->size(); ++i) {
      const auto match = positions.find((*to)[i]);
      if ((*to)[i] >= 0 && match != positions.end()) {
        found->second.emplace_back(static_cast<int>(i), match->second);
      }
    }
  }
  return found->second;
}

}  // namespace slicewise::emulator
