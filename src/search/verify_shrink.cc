#include <fmt/format.h>

#include <algorithm>

#include "slicewise/search/verify.h"

namespace slicewise {
namespace {

constexpr std::int64_t kInputLength = 3;
constexpr std::int64_t kContext = 2;
constexpr std::int64_t kHeadDim = 4;
constexpr std::int64_t kLayers = 2;
constexpr std::int64_t kLeastModulus = 8;  // keeps dims above 1 on very small slices

class Shrinker {
 public:
  Shrinker(ShrunkRequest& request, std::int64_t chips)
      : request_(request), modulus_((kLeastModulus + chips - 1) / chips * chips) {}

  // Keeps the remainder over any product of axes, and whether there is more than one of each.
  [[nodiscard]] std::int64_t Residue(std::int64_t value) const {
    return value < modulus_ ? value : modulus_ + value % modulus_;
  }

  void Set(std::string_view name, std::int64_t& value, std::int64_t to) {
    if (value != to) {
      request_.changes.push_back({.name = std::string(name), .from = value, .to = to});
      value = to;
    }
  }
  void SetResidue(std::string_view name, std::int64_t& value) { Set(name, value, Residue(value)); }
  void SetAtMost(std::string_view name, std::int64_t& value, std::int64_t most) {
    Set(name, value, std::min(value, most));
  }

  void SetHeads() {
    Model& model = request_.model;
    if (!model.has_attention()) {
      return;
    }
    const bool multihead = model.multihead();
    const std::int64_t group = model.query_heads / model.kv_heads;
    const std::int64_t kv_heads = Residue(model.kv_heads);
    const std::int64_t extra = request_.padded_heads - model.query_heads;
    const std::int64_t old_kv_heads = model.kv_heads;
    Set("query_heads", model.query_heads, kv_heads * Residue(group));
    Set("kv_heads", model.kv_heads, kv_heads);
    if (request_.padded_heads > 0) {
      // Multihead pads single heads, the others every group alike.
      const std::int64_t unit = multihead ? 1 : old_kv_heads;
      const std::int64_t more = Residue(extra / unit) * (multihead ? 1 : kv_heads);
      Set("padded_heads", request_.padded_heads, model.query_heads + more);
    }
    SetAtMost("head_dim", model.head_dim, kHeadDim);
  }

 private:
  ShrunkRequest& request_;
  std::int64_t modulus_;
};

void NoteOmissions(ShrunkRequest& request) {
  const Model& model = request.model;
  if (model.positions == PositionKind::kRotary || model.positions == PositionKind::kAlibi) {
    request.omitted.emplace_back("rotary and alibi positions: they move no data between chips");
  }
  if (model.query_key_norm) {
    request.omitted.emplace_back("query/key norms: within one head, on one chip");
  }
  if (model.norms_per_layer > 2) {
    request.omitted.emplace_back("norms beyond the two before attention and feed-forward");
  }
}

}  // namespace

ShrunkRequest Shrink(const Model& model, const Slice& slice, const VerifyOptions& options) {
  ShrunkRequest request{.model = model,
                        .workload = options.workload,
                        .padded_heads = options.padded_heads,
                        .changes = {},
                        .omitted = {}};
  Shrinker shrinker(request, slice.chips());
  Model& small = request.model;
  Workload& work = request.workload;
  shrinker.SetAtMost("layers", small.layers, kLayers);
  shrinker.SetResidue("embed_dim", small.embed_dim);
  shrinker.SetResidue("ffn_dim", small.ffn_dim);
  shrinker.SetResidue("vocabulary", small.vocabulary);
  shrinker.SetHeads();
  shrinker.SetResidue("prefill_batch", work.prefill_batch);
  shrinker.SetResidue("decode_batch", work.decode_batch);
  shrinker.Set("prefill_chunk", work.prefill_chunk, 0);  // a chunk is a prefill after a context
  shrinker.SetAtMost("context", work.context, kContext);
  // A prefill of nothing is none: decode then starts from the context alone.
  shrinker.Set("input_length", work.input_length,
               std::clamp<std::int64_t>(work.input_length, 1, kInputLength));
  shrinker.Set("output_length", work.output_length, options.decode_steps);
  work.fixed_context = false;
  if (small.positions == PositionKind::kLearned) {
    shrinker.Set("max_positions", small.max_positions,
                 work.context + work.input_length + work.output_length);
  }
  if (slice.twisted) {
    request.omitted.emplace_back("the twist: programs run on the plain torus");
  }
  NoteOmissions(request);
  return request;
}

}  // namespace slicewise
