#include <cmath>

#include "lowering.h"

namespace slicewise {

void Lowering::Prologue() {
  const AxisSet batch = replicas_ | (weights_ffn_ & gathered_);
  const AxisSet replicated = ffn_ - residual_embed_;
  const AxisSet scattered = weights_ffn_ - replicated;
  const AxisSet moved = weights_embed_ & gathered_;
  TensorId tokens = Add(TensorRole::kTokens, DataType::kFloat32, Lifetime::kPhase, false,
                        {{Dim::kBatch, {}}, {Dim::kLength, {}}});
  if (!replicas_.empty()) {
    tokens = Map(Elementwise::kSlice, Part::kEmbedding, tokens, kNoTensor,
                 Add(TensorRole::kTokens, DataType::kFloat32, Lifetime::kTransient, false,
                     {{Dim::kBatch, replicas_}, {Dim::kLength, {}}}));
  }
  TensorId x = Activation(
      TensorRole::kEmbedded,
      {{Dim::kBatch, replicas_}, {Dim::kLength, {}}, {Dim::kEmbed, weights_embed_}}, weights_ffn_);
  Map(Elementwise::kLookup, Part::kEmbedding, tokens, embedding_, x);
  if (!scattered.empty()) {
    const TensorId next = Activation(TensorRole::kEmbedded,
                                     {{Dim::kBatch, batch},
                                      {Dim::kLength, {}},
                                      {Dim::kEmbed, weights_embed_ | (ffn_ & residual_embed_)}},
                                     replicated);
    Stream(x, next);
    x = Move(OpKind::kReduceScatter, Part::kEmbedding, scattered, x, next);
  }
  if (!replicated.empty()) {
    const TensorId next = Activation(TensorRole::kEmbedded,
                                     {{Dim::kBatch, batch},
                                      {Dim::kLength, {}},
                                      {Dim::kEmbed, weights_embed_ | (ffn_ & residual_embed_)}});
    x = Move(OpKind::kAllReduce, Part::kEmbedding, replicated, x, next);
  }
  if (!moved.empty()) {
    const TensorId next =
        Activation(TensorRole::kEmbedded,
                   {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kEmbed, residual_embed_}});
    x = Move(OpKind::kAllToAll, Part::kEmbedding, moved, x, next);
  }
  residual_ = x;
  if (positions_ != kNoTensor) {
    Map(Elementwise::kAdd, Part::kEmbedding, residual_, positions_, residual_);
  }
}

void Lowering::Epilogue() {
  constexpr Dim kLogitLength = Dim::kLogitLength;
  TensorId x = residual_;
  if (p_.dim(kLogitLength).padded < p_.dim(Dim::kLength).padded) {
    x = Map(Elementwise::kLastToken, Part::kHead, x, kNoTensor,
            FinalHidden(spread_, residual_embed_));
  }
  x = GatherFfnAxes(x, Part::kHead, kLogitLength);
  if (final_norm_ != kNoTensor) {
    x = Normalize(x, final_norm_, TensorRole::kFinalHidden, Part::kHead, kLogitLength, embed_);
  }
  // Over the E axes that the layers gather, either the activations give up their batch shards, or
  // the table is gathered as the layers' weights are: whichever moves less. The first leaves
  // float32 partial sums of rows x V / F, the second moves the table's E x V / F in bf16.
  const AxisSet moved = weights_embed_ & gathered_;
  const bool gather_table = !moved.empty() && GatherTable();
  const AxisSet batch = replicas_ | (gather_table ? moved : AxisSet());
  const AxisSet embed = gather_table ? embed_ : weights_embed_;
  if (!moved.empty() && !gather_table) {
    x = Move(OpKind::kAllToAll, Part::kHead, moved, x,
             FinalHidden(replicas_ | (weights_ffn_ & gathered_), weights_embed_));
  }
  group_ = 1;
  if (const AxisSet axes = weights_ffn_ & gathered_; !axes.empty()) {
    const TensorId next = FinalHidden(batch, embed);
    Stream(next, x);
    AddTerm(Looped(OpKind::kAllGather, Part::kHead, Schedule::kLoopedTwoWay, axes), x, kNoTensor,
            next);
    x = next;
  }
  Sample(Unembed(x, batch, embed), batch, embed);
}

bool Lowering::GatherTable() {
  Batching& batching = p_.batching;
  const double rows_per_sequence = batching.shards * p_.dim(Dim::kLogitLength).padded;
  const double most = std::floor(p_.dim(Dim::kEmbed).padded / (2 * rows_per_sequence));
  const bool gather = p_.Count(Follows::kBatch) > most;
  (gather ? batching.min_sequences : batching.max_sequences) = gather ? most + 1 : most;
  return gather;
}

TensorId Lowering::FinalHidden(AxisSet batch, AxisSet embed) {
  return Activation(TensorRole::kFinalHidden,
                    {{Dim::kBatch, batch}, {Dim::kLogitLength, {}}, {Dim::kEmbed, embed}});
}

TensorId Lowering::Unembed(TensorId x, AxisSet batch, AxisSet embed) {
  TensorId table = unembedding_;
  if (embed != weights_embed_) {
    table = SmallWeight(TensorRole::kGatheredWeights, false,
                        {{Dim::kVocabulary, weights_ffn_}, {Dim::kEmbed, embed}});
    p_.tensors[table].lifetime = Lifetime::kTransient;
    Stream(table, unembedding_);
    AddTerm(
        Looped(OpKind::kAllGather, Part::kHead, Schedule::kLoopedOneWay, weights_embed_ - embed),
        unembedding_, kNoTensor, table);
  }
  const auto logits = [&](AxisSet vocabulary, AxisSet partial) {
    return Add(TensorRole::kLogits, DataType::kFloat32, Lifetime::kTransient, false,
               {{Dim::kBatch, batch}, {Dim::kLogitLength, {}}, {Dim::kVocabulary, vocabulary}},
               partial);
  };
  TensorId result = logits(weights_ffn_, embed);
  Op& einsum = Emit(OpKind::kEinsum, Part::kHead);
  einsum.group = group_;
  AddTerm(einsum, x, table, result);
  if (!embed.empty()) {
    const TensorId scattered = logits(weights_ffn_ | embed, {});
    Stream(result, scattered);
    AddTerm(Looped(OpKind::kReduceScatter, Part::kHead, Schedule::kLoopedTwoWay, embed), result,
            kNoTensor, scattered);
    result = scattered;
  }
  return result;
}

void Lowering::Sample(TensorId logits, AxisSet batch, AxisSet embed) {
  const AxisSet shards = weights_ffn_ | embed;
  const double ways = mesh_.Size(shards);
  SetDim(Dim::kCandidate, ways, ways, Joined({weights_ffn_, embed}));
  const auto candidates = [&](AxisSet batch_axes, AxisSet axes) {
    return Add(TensorRole::kCandidates, DataType::kFloat32, Lifetime::kTransient, false,
               {{Dim::kBatch, batch_axes}, {Dim::kCandidate, axes}, {Dim::kPair, {}}});
  };
  const TensorId local =
      Map(Elementwise::kSample, Part::kHead, logits, kNoTensor, candidates(batch, shards));
  if (const AxisSet all = shards | batch; !all.empty()) {
    Move(OpKind::kAllGather, Part::kHead, all, local, candidates({}, {}));
  }
}

}  // namespace slicewise
