#include "slicewise/program/program.h"

#include <algorithm>
#include <cmath>

namespace slicewise {

Sequences Batching::Share(std::int64_t batch) const {
  const double per_shard = std::ceil(static_cast<double>(batch) / shards);
  return {1, per_shard, std::ceil(per_shard / attention_cuts)};
}

bool Batching::Covers(std::int64_t batch) const {
  const double per_shard = Share(batch)[static_cast<std::size_t>(Follows::kBatch)];
  return min_sequences <= per_shard && per_shard <= max_sequences;
}

void Program::SetSequences(const Sequences& count) {
  sequences = count;
  for (Dim batch : {Dim::kBatch, Dim::kAttentionBatch}) {
    dim(batch).padded = UnitSize(batch) * Count(FollowedBy(batch));
  }
}

void Program::SetElements(Tensor& tensor) const {
  // The dims are cut over different axes, so that one division serves them all.
  double elements = 1;
  AxisSet cut;
  tensor.follows = Follows::kNothing;
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    elements *= UnitSize(tensor.dims[i]);
    cut |= tensor.sharding[i];
    tensor.follows = std::max(tensor.follows, FollowedBy(tensor.dims[i]));
  }
  tensor.unit_elements = cut.empty() ? elements : elements / mesh.Size(cut);
  tensor.streamed = false;
  tensor.unit_chunks = 0;
  tensor.chunks_follow = Follows::kNothing;
}

}  // namespace slicewise
