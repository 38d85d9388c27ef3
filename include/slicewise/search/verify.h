// Proves a layout: shrinks the model, runs its programs on the emulator and compares what comes out
// with a dense evaluation, and what was counted with what traffic and cost predict.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/layout/layout.h"
#include "slicewise/model/model.h"
#include "slicewise/program/program.h"
#include "slicewise/units/quantity.h"
#include "slicewise/workload/workload.h"

namespace slicewise {

class Emulator;

// The largest relative difference that passes: against the largest value of the dense tensor.
inline constexpr double kVerifyTolerance = 1e-9;

struct VerifyOptions {
  Workload workload;  // batches, logits, scope and number formats; lengths are shrunk
  std::int64_t padded_heads = 0;
  std::optional<Layout> decode_layout;  // decode under another one; the cache is resharded
  int decode_steps = 3;
  std::uint64_t seed = 1;
};

struct ShrunkValue {
  std::string name;
  std::int64_t from = 0;
  std::int64_t to = 0;
};

// The model and workload that are run in place of the given ones. With N chips (the first multiple
// of them from 8 on), a dim X of at least N becomes N + X mod N: every axis product divides N, so
// whether it divides X and how much padding it takes are kept. Query heads are KV heads times a
// group, each shrunk so.
struct ShrunkRequest {
  Model model;
  Workload workload;
  std::int64_t padded_heads = 0;
  std::vector<ShrunkValue> changes;
  std::vector<std::string> omitted;  // what the emulator leaves out, such as rotary positions
};
[[nodiscard]] ShrunkRequest Shrink(const Model& model, const Slice& slice,
                                   const VerifyOptions& options);

struct VerifyPass {
  std::string name;       // "prefill", "decode step 1"
  double difference = 0;  // largest relative difference of residual stream and logits
  bool tokens_agree = true;
};

// One collective, one execution.
struct VerifyOp {
  Phase phase = Phase::kPrefill;
  std::size_t op = 0;  // index in Program::ops
  std::string name;    // "layer: all-gather over yz (ffn)"
  Bytes predicted;     // sent by all chips
  Bytes counted;
  Bytes busiest_link;  // counted
  Bytes even_link;     // what the cost model takes for it: links used evenly

  // Bytes are whole numbers: equal means to the byte.
  [[nodiscard]] bool equal() const {
    return counted > predicted - BytesOf(0.5) && counted < predicted + BytesOf(0.5);
  }
};

struct VerifyMemory {
  Phase phase = Phase::kPrefill;
  Bytes predicted;  // per chip, at the peak
  Bytes held;
};

struct VerifyReport {
  std::string layout;
  ShrunkRequest request;
  std::vector<VerifyPass> passes;
  std::vector<VerifyOp> ops;
  std::vector<VerifyMemory> memory;
  // The first op that goes wrong, with the reason; empty when none does.
  std::string failure;

  [[nodiscard]] bool passed() const { return failure.empty(); }
  [[nodiscard]] double largest_difference() const;
};

// Runs prefill and a few decode steps. Throws InputError when the layout is not legal on the slice
// or the padded heads do not fit it.
[[nodiscard]] VerifyReport Verify(const Model& model, const Slice& slice, const Layout& layout,
                                  const VerifyOptions& options);

// The programs of one batch, in the order they run: prefill of the cached context (where there is
// one), prefill, decode.
using VerifyPrograms = std::vector<Program>;
[[nodiscard]] VerifyPrograms LowerForVerify(const ShrunkRequest& request, const Layout& prefill,
                                            const Layout& decode, const Slice& slice);

// What mutation tests do to a run: called after each op.
using Damage = std::function<void(Emulator& emulator, std::size_t op, int layer)>;

// Verify for programs at hand. Predictions are read off `predicted`, execution follows `executed`;
// Verify passes the same twice and no damage.
[[nodiscard]] VerifyReport VerifyExecution(const ShrunkRequest& request,
                                           const VerifyPrograms& predicted,
                                           const VerifyPrograms& executed,
                                           const VerifyOptions& options, const Damage& damage = {});

}  // namespace slicewise
