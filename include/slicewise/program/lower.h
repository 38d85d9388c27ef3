// Lowering: (model, layout, phase, workload) -> program.
//
// Where the paper's formulas come from, for a parallel block (section 3.4) with E' and F' the
// weight axes that are not gathered and G the gathered ones; residual B_G L E_E'F':
//   all-gather(F')      -> B_G L E_E'                                 (section 3.2.2, A.2.1)
//   einsum in           -> F_F', heads_F', partial sums over E'
//   reduce-scatter(E')  -> F_F'E'; queries to heads (H axes) or straight to batch (B axes)
//   all-to-all(F' and B)   queries: heads -> batch                    (section 3.3)
//   attention, all-to-all back, all-gather(E')
//   einsum out          -> E_E', partial sums over F'
//   reduce-scatter(F')  -> B_G L E_E'F'
// With G = {} this is 1D (E' empty) and 2D weight-stationary; with G the einsums are preceded by
// looped all-gathers of their weights over G (section 3.2.3, A.2.2). A serial block runs the
// sequence twice. The all-gather over F' is blocking, because the norm stands between it and the
// einsum. The einsum in loops with the reduce-scatter it feeds (section 3.5); the einsum out with
// one of the collectives around it, the other blocks: in a parallel block the all-gather over E',
// in a serial one what sends more, mostly the reduce-scatter over F', of which the longest axis
// loops (both as in the released code); without E' the reduce-scatter. With a fourth part the
// released 1D code is followed: norm first, both looped, then an all-reduce over the axes that the
// residual is replicated over.
//
// Beyond the paper. R axes shard the batch of everything and cut no weights: an R axis is a
// gathered one without the gathering. S axes shard the cache's length; between the steps above
//   all-gather(F' and S)      queries, and KV heads that it cuts: every shard sees all heads
//   all-reduce(E' and S)      what is still a partial sum of queries, keys and values
//   attention over the shard, all-gather(S) of the log sums of exponentials, scaling by each
//   shard's share of the softmax
//   reduce-scatter(F' and S)  to heads, all-reduce(E' and S): the shards' results are summed
#pragma once

#include "slicewise/layout/layout.h"
#include "slicewise/model/model.h"
#include "slicewise/program/program.h"
#include "slicewise/workload/workload.h"

namespace slicewise {

struct LowerRequest {
  const Model* model = nullptr;
  const Workload* workload = nullptr;
  Phase phase = Phase::kPrefill;
  std::int64_t padded_heads = 0;  // stored query heads; 0: the fewest the layout allows
};

// The number of ways heads are sharded: product of the F axes and attention's H axes.
[[nodiscard]] int HeadWays(const Layout& layout, const Mesh& mesh);

// Stored query heads under a layout: `requested` if given, else the fewest allowed. 0 when the
// requested count does not fit (not divisible, or fewer than the model's).
[[nodiscard]] std::int64_t StoredHeads(const Model& model, const Layout& layout, const Mesh& mesh,
                                       std::int64_t requested);

// Fills `program`, reusing its storage; allocates nothing. The layout must be legal on the mesh and
// StoredHeads must not be 0.
void Lower(const LowerRequest& request, const Layout& layout, const Mesh& mesh, Program& program);

// KV heads that one chip must hold when `kv_heads` heads are shared out over `ways` consecutive
// blocks of query heads: ceil(kv_heads / ways) wherever one divides the other.
[[nodiscard]] std::int64_t KvHeadsPerShard(std::int64_t kv_heads, std::int64_t ways);

// The KV head in a slot of a dim that holds `kv_heads` heads in `ways` shards; slots are
// consecutive, KvHeadsPerShard to a shard.
[[nodiscard]] std::int64_t KvHeadOfSlot(std::int64_t slot, std::int64_t kv_heads,
                                        std::int64_t ways);

}  // namespace slicewise
