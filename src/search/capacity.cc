#include "slicewise/search/capacity.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "slicewise/search/enumerate.h"

namespace slicewise {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 30;

// The largest value in [1, kMost] that `fits`, 0 if 1 does not. `fits` must be monotone.
std::int64_t LargestThatFits(const std::function<bool(std::int64_t)>& fits) {
  if (!fits(1)) {
    return 0;
  }
  std::int64_t low = 1;
  std::int64_t high = 2;
  while (fits(high)) {
    low = high;
    if (high == kMost) {
      return kMost;
    }
    high *= 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

class CapacitySearch {
 public:
  CapacitySearch(const Setting& setting, const KvBudget& budget)
      : setting_(setting), mesh_(setting.slice), budget_(budget) {}

  // nullopt where the requested head count does not fit the layout.
  std::optional<CapacityRow> Row(const Layout& layout) {
    stored_ = StoredHeads(setting_.model, layout, mesh_, setting_.padded_heads);
    if (stored_ == 0) {
      return std::nullopt;
    }
    CapacityRow row;
    row.layout = layout;
    const std::int64_t batch = setting_.workload.decode_batch;
    const std::int64_t context = setting_.workload.cached_at_end(Phase::kDecode);
    row.kv_budget = Budget(Memory(layout, batch, context));
    row.kv_heads_per_chip = KvHeads();
    row.max_context =
        LargestThatFits([&](std::int64_t tokens) { return Fits(Memory(layout, batch, tokens)); });
    row.max_batch = LargestThatFits(
        [&](std::int64_t sequences) { return Fits(Memory(layout, sequences, context)); });
    return row;
  }

  [[nodiscard]] const Mesh& mesh() const { return mesh_; }

 private:
  // Memory of a decode step that leaves `tokens` tokens of each sequence in the cache.
  MemoryUse Memory(const Layout& layout, std::int64_t batch, std::int64_t tokens) {
    Workload work = setting_.workload;
    work.decode_batch = batch;
    work.context = tokens - 1;
    work.input_length = 0;
    work.output_length = 1;
    Lower({&setting_.model, &work, Phase::kDecode, stored_}, layout, mesh_, program_);
    return PeakMemory(program_);
  }

  [[nodiscard]] Bytes Budget(const MemoryUse& use) const {
    if (budget_.fraction_of_nominal > 0) {
      return setting_.chip.hbm_nominal * budget_.fraction_of_nominal;
    }
    return setting_.chip.hbm_usable - (use.total() - use.kv_cache);
  }
  [[nodiscard]] bool Fits(const MemoryUse& use) const { return use.kv_cache <= Budget(use); }

  [[nodiscard]] std::int64_t KvHeads() const {
    for (const Tensor& tensor : program_.tensors) {
      if (tensor.role == TensorRole::kKeyCache) {
        return static_cast<std::int64_t>(program_.LocalSize(tensor, 2));
      }
    }
    return 0;
  }

  const Setting& setting_;
  Mesh mesh_;
  KvBudget budget_;
  Program program_;
  std::int64_t stored_ = 0;
};

// Equal for two attention parts exactly when relabelling equal axes turns one into the other.
using AttentionClass = std::vector<std::array<int, 3>>;

AttentionClass ClassOf(const Layout& layout, const Mesh& mesh) {
  AttentionClass key;
  for (AxisSet axis : mesh.Parts(mesh.all())) {
    const auto bits = [&](AxisSet part) {
      return static_cast<int>((part & axis).bits()) >> axis.first();
    };
    key.push_back(
        {mesh.IntSize(axis), bits(layout.attention_batch), bits(layout.attention_sequence)});
  }
  std::sort(key.begin(), key.end());
  return key;
}

bool Roomier(const CapacityRow& a, const CapacityRow& b) {
  return std::pair(a.max_context, a.max_batch) > std::pair(b.max_context, b.max_batch);
}

}  // namespace

std::vector<CapacityRow> Capacity(const Setting& setting, const LayoutFilter& filter,
                                  const KvBudget& budget, LayoutSpace space) {
  CapacitySearch search(setting, budget);
  const Mesh& mesh = search.mesh();
  std::vector<Layout> layouts = ClassRepresentatives(EnumerateLayouts(mesh, filter, space), mesh);
  // Of equally roomy layouts the first by its text is shown.
  std::sort(layouts.begin(), layouts.end(), [&](const Layout& a, const Layout& b) {
    return ToString(a, mesh) < ToString(b, mesh);
  });
  std::map<AttentionClass, CapacityRow> best;
  for (const Layout& layout : layouts) {
    const std::optional<CapacityRow> row = search.Row(layout);
    if (!row) {
      continue;
    }
    const auto [at, fresh] = best.emplace(ClassOf(layout, mesh), *row);
    if (!fresh && Roomier(*row, at->second)) {
      at->second = *row;
    }
  }
  std::vector<CapacityRow> rows;
  for (const auto& [key, row] : best) {
    rows.push_back(row);
  }
  std::stable_sort(rows.begin(), rows.end(), Roomier);
  return rows;
}

}  // namespace slicewise
