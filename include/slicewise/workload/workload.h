// What is asked of a model: batch, lengths, number formats, phase.
#pragma once

#include <cstdint>
#include <string_view>

#include "slicewise/units/data_type.h"

namespace slicewise {

enum class Phase : std::uint8_t { kPrefill, kDecode };
enum class Logits : std::uint8_t {
  kLast,  // of each sequence's last position
  kAll,   // of every position, as the paper's runs computed them
};
enum class Scope : std::uint8_t {
  kEndToEnd,  // with embedding, unembedding and sampling
  kLayers,    // the layer stack alone
};

[[nodiscard]] std::string_view Name(Phase phase);
[[nodiscard]] std::string_view Name(Logits logits);
[[nodiscard]] std::string_view Name(Scope scope);

// One workload, both phases. Prefill passes `input_length` tokens per sequence after `context`
// cached ones. Decode starts from context + input_length cached tokens and runs `output_length`
// steps.
struct Workload {
  std::int64_t prefill_batch = 1;
  std::int64_t decode_batch = 1;
  std::int64_t input_length = 2048;
  std::int64_t output_length = 64;
  std::int64_t context = 0;
  std::int64_t prefill_chunk = 0;  // tokens of one prefill pass; 0: all of the input at once
  bool fixed_context = false;      // decode attends to the starting context at every step
  DataType weights = DataType::kBf16;
  DataType activations = DataType::kBf16;
  DataType kv_cache = DataType::kBf16;
  Logits logits = Logits::kLast;
  Scope scope = Scope::kEndToEnd;

  bool operator==(const Workload&) const = default;

  [[nodiscard]] std::int64_t batch(Phase phase) const {
    return phase == Phase::kPrefill ? prefill_batch : decode_batch;
  }
  void SetBatch(Phase phase, std::int64_t batch) {
    (phase == Phase::kPrefill ? prefill_batch : decode_batch) = batch;
  }
  // Forward passes of a phase: one for each chunk of prefill, output_length for decode.
  [[nodiscard]] std::int64_t steps(Phase phase) const {
    const std::int64_t chunk = query_length(Phase::kPrefill);
    return phase == Phase::kDecode ? output_length
           : chunk == 0            ? 1
                                   : (input_length + chunk - 1) / chunk;
  }
  // Tokens per sequence and pass. A last chunk that is not full counts as full.
  [[nodiscard]] std::int64_t query_length(Phase phase) const {
    const bool whole = prefill_chunk == 0 || prefill_chunk > input_length;
    return phase == Phase::kDecode ? 1 : whole ? input_length : prefill_chunk;
  }
  // Real tokens of the whole phase: the L and B of the MFU formula.
  [[nodiscard]] double tokens(Phase phase) const {
    return static_cast<double>(batch(phase)) *
           static_cast<double>(phase == Phase::kPrefill ? input_length : output_length);
  }
  // Tokens that a pass attends to, the pass's own included, averaged over the steps. Chunk i of
  // prefill (from 1) attends to context + i chunks. Step i of
  // decode (from 1) attends to start + i, so the mean is start + (steps + 1) / 2. Cost is linear in
  // it, as long as attention scores do not outgrow on-chip memory within the output (then the mean
  // step is up to a few per cent below the sum), so the mean step is priced instead of each.
  [[nodiscard]] double mean_attended(Phase phase) const;
  // Slots per sequence in the KV cache when the phase ends; a last chunk takes a whole one's.
  [[nodiscard]] std::int64_t cached_at_end(Phase phase) const;
};

}  // namespace slicewise
