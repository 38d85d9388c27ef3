// Moving the KV cache from the layout that prefill left it in to the one that decode reads.
#pragma once

#include "slicewise/program/lower.h"

namespace slicewise {

// Fills `program` with the collectives that turn the cache of one prefill batch, as `from` lays it
// out, into `to`'s layout; one "layer" of it runs for each layer of the model. An axis that leaves
// batch, heads or length for another of them is an all-to-all; one that leaves them for replication
// is an all-gather; one that replication gives up is a free slice. The request's phase must be
// prefill. Axes that stay in one dim are taken to keep their place in it.
void LowerKvReshard(const LowerRequest& request, const Layout& from, const Layout& to,
                    const Mesh& mesh, Program& program);

}  // namespace slicewise
