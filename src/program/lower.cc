#include "slicewise/program/lower.h"

#include <cmath>
#include <initializer_list>
#include <numeric>

namespace slicewise {
namespace {

double RoundUp(double value, double multiple) { return std::ceil(value / multiple) * multiple; }

// The shortest beginning of `order` whose axes number at least `ways` chips.
AxisOrder Prefix(const AxisOrder& order, double ways, const Mesh& mesh) {
  AxisOrder prefix;
  for (int i = 0; i < order.size() && mesh.Size(prefix.set()) < ways; ++i) {
    prefix.Append(AxisSet::Of(order[i]));
  }
  return prefix;
}

AxisOrder Joined(std::initializer_list<AxisSet> sets) {
  AxisOrder order;
  for (AxisSet set : sets) {
    order.Append(set);
  }
  return order;
}

struct Cut {
  Dim dim;
  AxisSet axes;
};

// Ids of up to five tensors that travel together.
using TensorList = FixedVector<TensorId, 5>;

class Lowering {
 public:
  Lowering(const LowerRequest& request, const Layout& layout, const Mesh& mesh, Program& program)
      : model_(*request.model),
        work_(*request.workload),
        phase_(request.phase),
        mesh_(mesh),
        p_(program),
        weights_embed_(layout.weights_embed),
        weights_ffn_(layout.weights_ffn),
        gathered_(layout.gathered),
        embed_(layout.weights_embed - layout.gathered),
        ffn_(layout.weights_ffn - layout.gathered),
        residual_embed_(layout.residual_embed()),
        batch_(layout.attention_batch - layout.gathered),
        heads_(layout.attention_heads),
        stored_heads_(
            static_cast<double>(StoredHeads(model_, layout, mesh, request.padded_heads))),
        wide_residual_(layout.residual.has_value()) {}

  void Run() {
    p_.tensors.clear();
    p_.ops.clear();
    // A default mesh equals that of one chip but has no sizes yet.
    if (!(p_.mesh == mesh_) || p_.mesh.Size({}) == 0) {
      p_.mesh = mesh_;
    }
    p_.phase = phase_;
    p_.layers = static_cast<double>(model_.layers);
    p_.steps = static_cast<double>(work_.steps(phase_));
    p_.gated = model_.gated;
    p_.parallel = model_.parallel();
    SetBatchAndLengthDims();
    SetModelDims();
    SetHeadDims();
    AddWeights();
    const bool ends = work_.scope == Scope::kEndToEnd && model_.vocabulary > 0;
    if (ends) {
      Prologue();
    } else {
      residual_ = Activation(TensorRole::kResidual,
                             {{Dim::kBatch, gathered_}, {Dim::kLength, {}},
                              {Dim::kEmbed, residual_embed_}});
    }
    KeepResidual();
    p_.prologue = {0, p_.ops.size()};
    Layer();
    p_.layer = {p_.prologue.end, p_.ops.size()};
    group_ = 0;
    if (ends) {
      Epilogue();
    }
    p_.epilogue = {p_.layer.end, p_.ops.size()};
  }

 private:
  // --- dims -------------------------------------------------------------------------------------

  void SetDim(Dim dim, double size, double padded, const AxisOrder& order) {
    p_.dim(dim) = {.size = size, .padded = padded, .order = order};
  }

  void SetBatchAndLengthDims() {
    const double batch = static_cast<double>(work_.batch(phase_));
    const double per_gathered = std::ceil(batch / mesh_.Size(gathered_));
    const double per_attention = std::ceil(per_gathered / mesh_.Size(batch_));
    SetDim(Dim::kBatch, batch, per_gathered * mesh_.Size(gathered_), AxisOrder(gathered_));
    // Attention's batch axes cut each gathered shard further, so padding nests.
    SetDim(Dim::kAttentionBatch, batch, per_attention * mesh_.Size(gathered_ | batch_),
           Joined({gathered_, ffn_ & batch_, embed_ & batch_}));
    const double length = static_cast<double>(work_.query_length(phase_));
    const double logit_length = work_.logits == Logits::kAll ? length : 1;
    SetDim(Dim::kLength, length, length, {});
    SetDim(Dim::kLogitLength, logit_length, logit_length, {});
    SetDim(Dim::kContext, work_.mean_attended(phase_), work_.mean_attended(phase_), {});
    const double cached = static_cast<double>(work_.cached_at_end(phase_));
    SetDim(Dim::kCacheLength, cached, cached, {});
  }

  // d_model, d_ff and vocabulary are padded to all the weights' axes, so that what is stored does
  // not depend on the phase.
  void SetModelDims() {
    const double ways = mesh_.Size(weights_embed_ | weights_ffn_);
    const AxisOrder embed_first = Joined({weights_embed_, weights_ffn_});
    const AxisOrder ffn_first = Joined({weights_ffn_, weights_embed_});
    const auto padded = [&](Dim dim, std::int64_t size, const AxisOrder& order) {
      const double value = static_cast<double>(size);
      SetDim(dim, value, RoundUp(value, ways), order);
    };
    padded(Dim::kEmbed, model_.embed_dim, embed_first);
    padded(Dim::kFfn, model_.ffn_dim, ffn_first);
    padded(Dim::kVocabulary, model_.vocabulary, ffn_first);
    SetDim(Dim::kCandidate, ways, ways, ffn_first);  // of one shard each; see Sample
    SetDim(Dim::kPair, 2, 2, {});
    const double statistics = model_.norm == NormKind::kLayerNorm ? 2 : 1;
    SetDim(Dim::kStatistic, statistics, statistics, {});
    const double rows = model_.norm == NormKind::kLayerNorm && model_.norm_bias ? 2 : 1;
    SetDim(Dim::kNormRow, rows, rows, {});
    const double positions = static_cast<double>(model_.max_positions);
    SetDim(Dim::kPosition, positions, positions, {});
  }

  // Query heads that share a KV head must meet on the chips that hold it, so with grouped-query
  // attention the axes that stay in heads are the major digits. Otherwise any order will do and the
  // stored one is the weights'.
  void SetHeadDims() {
    const AxisSet ffn_heads = ffn_ & heads_;
    const AxisSet ffn_batch = ffn_ & batch_;
    const AxisSet ffn_gathered = weights_ffn_ & gathered_;
    const bool grouped = model_.kv_heads > 1 && !model_.multihead();
    const AxisOrder order =
        grouped ? Joined({ffn_heads, embed_ & heads_, ffn_batch, ffn_gathered})
                : Joined({weights_ffn_, embed_ & heads_});
    SetDim(Dim::kHeads, static_cast<double>(model_.query_heads), stored_heads_, order);
    const double head_dim = static_cast<double>(model_.head_dim);
    SetDim(Dim::kHeadDim, head_dim, head_dim, {});
    if (model_.multihead()) {
      SetDim(Dim::kKvHeads, static_cast<double>(model_.kv_heads), stored_heads_, order);
      p_.dim(Dim::kCacheKvHeads) = p_.dim(Dim::kKvHeads);
      kv_axes_ = weights_ffn_;
      cache_axes_ = heads_;
      return;
    }
    SetKvDim(Dim::kKvHeads, Joined({ffn_heads, ffn_batch, ffn_gathered}), kv_axes_);
    SetKvDim(Dim::kCacheKvHeads, Joined({ffn_heads, embed_ & heads_}), cache_axes_);
  }

  void SetKvDim(Dim dim, const AxisOrder& all, AxisSet& axes) {
    const double kv_heads = static_cast<double>(model_.kv_heads);
    const AxisOrder order = Prefix(all, kv_heads, mesh_);
    axes = order.set();
    const std::int64_t ways = mesh_.IntSize(axes);
    const double slots =
        static_cast<double>(ways * KvHeadsPerShard(model_.kv_heads, ways));
    SetDim(dim, kv_heads, slots, order);
  }

  // --- tensors ----------------------------------------------------------------------------------

  TensorId Add(TensorRole role, DataType type, Lifetime lifetime, bool per_layer,
               std::initializer_list<Cut> cuts, AxisSet partial = {}) {
    Tensor t;
    t.role = role;
    t.type = type;
    t.lifetime = lifetime;
    t.per_layer = per_layer;
    t.streamed = false;
    t.rank = 0;
    t.partial = partial;
    double elements = 1;
    for (const Cut& cut : cuts) {
      t.dims[t.rank] = cut.dim;
      t.sharding[t.rank] = cut.axes;
      ++t.rank;
      elements *= p_.LocalSize(cut.dim, cut.axes);
    }
    t.elements = elements;
    t.stored = elements;
    p_.tensors.push_back(t);
    return static_cast<TensorId>(p_.tensors.size() - 1);
  }

  TensorId LayerWeight(TensorRole role, std::initializer_list<Cut> cuts) {
    return Add(role, work_.weights, Lifetime::kPersistent, true, cuts);
  }
  // Norms, biases and embeddings stay in bf16: int8 is for the matrices (paper section 3.6).
  TensorId SmallWeight(TensorRole role, bool per_layer, std::initializer_list<Cut> cuts) {
    return Add(role, DataType::kBf16, Lifetime::kPersistent, per_layer, cuts);
  }
  // Partial sums are never narrower than bf16: int8 sums would overflow.
  TensorId Activation(TensorRole role, std::initializer_list<Cut> cuts, AxisSet partial = {}) {
    const DataType type = partial.empty() ? work_.activations : DataType::kBf16;
    return Add(role, type, Lifetime::kTransient, false, cuts, partial);
  }

  void KeepResidual() {
    p_.tensors[residual_].role = TensorRole::kResidual;
    p_.tensors[residual_].lifetime = Lifetime::kPhase;
    // The residual stream accumulates over the layers: it stays in bf16.
    p_.tensors[residual_].type = DataType::kBf16;
  }

  void AddWeights() {
    const Cut embed = {Dim::kEmbed, weights_embed_};
    const Cut ffn = {Dim::kFfn, weights_ffn_};
    ffn_in_ = LayerWeight(TensorRole::kFfnInputWeights, {embed, ffn});
    ffn_gate_ = model_.gated ? LayerWeight(TensorRole::kFfnGateWeights, {embed, ffn}) : kNoTensor;
    ffn_out_ = LayerWeight(TensorRole::kFfnOutputWeights, {ffn, embed});
    if (model_.has_attention()) {
      AddAttentionWeights();
    }
    if (model_.norm != NormKind::kNone) {
      norm_ = SmallWeight(TensorRole::kNormVectors, true, {{Dim::kNormRow, {}}, {Dim::kEmbed, {}}});
      if (model_.norms_per_layer > 1) {
        second_norm_ = SmallWeight(TensorRole::kSecondNormVectors, true,
                                   {{Dim::kNormRow, {}}, {Dim::kEmbed, {}}});
      }
    }
    if (model_.biases.ffn) {
      ffn_in_bias_ = SmallWeight(TensorRole::kFfnInputBias, true, {{Dim::kFfn, {}}});
      if (model_.gated) {
        ffn_gate_bias_ = SmallWeight(TensorRole::kFfnGateBias, true, {{Dim::kFfn, {}}});
      }
      ffn_out_bias_ = SmallWeight(TensorRole::kFfnOutputBias, true, {{Dim::kEmbed, {}}});
    }
    if (model_.vocabulary > 0) {
      AddEmbeddingWeights();
    }
  }

  void AddAttentionWeights() {
    const Cut embed = {Dim::kEmbed, weights_embed_};
    const Cut heads = {Dim::kHeads, weights_ffn_};
    const Cut kv_heads = {Dim::kKvHeads, kv_axes_};
    const Cut head_dim = {Dim::kHeadDim, {}};
    query_weights_ = LayerWeight(TensorRole::kQueryWeights, {embed, heads, head_dim});
    key_weights_ = LayerWeight(TensorRole::kKeyWeights, {embed, kv_heads, head_dim});
    value_weights_ = LayerWeight(TensorRole::kValueWeights, {embed, kv_heads, head_dim});
    output_weights_ = LayerWeight(TensorRole::kAttentionOutputWeights, {heads, head_dim, embed});
    if (model_.biases.attention_qkv) {
      const Cut whole_kv = {Dim::kCacheKvHeads, {}};
      query_bias_ =
          SmallWeight(TensorRole::kQueryBias, true, {{Dim::kHeads, {}}, head_dim});
      key_bias_ = SmallWeight(TensorRole::kKeyBias, true, {whole_kv, head_dim});
      value_bias_ = SmallWeight(TensorRole::kValueBias, true, {whole_kv, head_dim});
    }
    if (model_.biases.attention_output) {
      output_bias_ = SmallWeight(TensorRole::kAttentionOutputBias, true, {{Dim::kEmbed, {}}});
    }
    const Cut batch = {Dim::kAttentionBatch, gathered_ | batch_};
    const Cut cached = {Dim::kCacheLength, {}};
    const Cut cache_heads = {Dim::kCacheKvHeads, cache_axes_};
    key_cache_ = Add(TensorRole::kKeyCache, work_.kv_cache, Lifetime::kPhase, true,
                     {batch, cached, cache_heads, head_dim});
    value_cache_ = Add(TensorRole::kValueCache, work_.kv_cache, Lifetime::kPhase, true,
                       {batch, cached, cache_heads, head_dim});
  }

  void AddEmbeddingWeights() {
    const Cut vocabulary = {Dim::kVocabulary, weights_ffn_};
    const Cut embed = {Dim::kEmbed, weights_embed_};
    embedding_ = SmallWeight(TensorRole::kEmbedding, false, {vocabulary, embed});
    unembedding_ = model_.tied_embedding
                       ? embedding_
                       : SmallWeight(TensorRole::kUnembedding, false, {vocabulary, embed});
    if (model_.positions == PositionKind::kLearned) {
      positions_ = SmallWeight(TensorRole::kPositionTable, false,
                               {{Dim::kPosition, {}}, {Dim::kEmbed, {}}});
    }
    if (model_.final_norm && model_.norm != NormKind::kNone) {
      final_norm_ = SmallWeight(TensorRole::kFinalNormVectors, false,
                                {{Dim::kNormRow, {}}, {Dim::kEmbed, {}}});
    }
  }

  // --- ops --------------------------------------------------------------------------------------

  Op& Emit(OpKind kind, Part part) {
    Op& op = p_.ops.push_back(Op());
    op.kind = kind;
    op.function = Elementwise::kNone;
    op.part = part;
    op.schedule = Schedule::kBlocking;
    op.group = 0;
    op.term_count = 0;
    return op;
  }

  static void AddTerm(Op& op, TensorId lhs, TensorId rhs, TensorId out) {
    op.terms[op.term_count++] = {lhs, rhs, out};
  }

  TensorId Map(Elementwise function, Part part, TensorId lhs, TensorId rhs, TensorId out) {
    Op& op = Emit(OpKind::kElementwise, part);
    op.function = function;
    AddTerm(op, lhs, rhs, out);
    return out;
  }

  // A collective of one term; returns `out`. With no axes nothing is emitted and `lhs` is returned.
  TensorId Move(OpKind kind, Part part, AxisSet axes, TensorId lhs, TensorId out) {
    Op& op = Emit(kind, part);
    op.axes = AxisOrder(axes);
    AddTerm(op, lhs, kNoTensor, out);
    return out;
  }

  // Marks what a looped collective never holds whole: two chunks, one in use and one under way.
  void Stream(TensorId whole, TensorId chunk) {
    Tensor& tensor = p_.tensors[whole];
    tensor.streamed = true;
    const double chunks = 2 * p_.tensors[chunk].elements;
    tensor.stored = chunks < tensor.elements ? chunks : tensor.elements;
  }

  Op& Looped(OpKind kind, Part part, Schedule schedule, AxisSet axes) {
    Op& op = Emit(kind, part);
    op.axes = AxisOrder(axes);
    op.schedule = schedule;
    op.group = group_;
    return op;
  }

  // The weights as the coming einsum reads them: gathered over the gathered axes by one loop.
  void GatherWeights(TensorList& weights, Part part) {
    if (gathered_.empty()) {
      return;
    }
    Op& op = Looped(OpKind::kAllGather, part, Schedule::kLoopedOneWay, gathered_);
    for (TensorId& weight : weights) {
      const Tensor& stored = p_.tensor(weight);
      if ((stored.sharded() & gathered_).empty()) {
        continue;
      }
      Tensor whole = stored;
      whole.role = TensorRole::kGatheredWeights;
      whole.lifetime = Lifetime::kTransient;
      whole.elements = 1;
      for (std::size_t i = 0; i < whole.rank; ++i) {
        whole.sharding[i] = whole.sharding[i] - gathered_;
        whole.elements *= p_.LocalSize(whole.dims[i], whole.sharding[i]);
      }
      p_.tensors.push_back(whole);
      const auto id = static_cast<TensorId>(p_.tensors.size() - 1);
      Stream(id, weight);
      AddTerm(op, weight, kNoTensor, id);
      weight = id;
    }
    if (op.term_count == 0) {
      p_.ops.erase(p_.ops.size() - 1);
    }
  }

  // --- prologue and epilogue --------------------------------------------------------------------

  void Prologue() {
    const AxisSet gathered_ffn = weights_ffn_ & gathered_;
    const AxisSet replicated = ffn_ - residual_embed_;
    const AxisSet scattered = weights_ffn_ - replicated;
    const AxisSet moved = weights_embed_ & gathered_;
    const TensorId tokens = Add(TensorRole::kTokens, DataType::kFloat32, Lifetime::kPhase, false,
                                {{Dim::kBatch, {}}, {Dim::kLength, {}}});
    TensorId x = Activation(TensorRole::kEmbedded,
                            {{Dim::kBatch, {}}, {Dim::kLength, {}}, {Dim::kEmbed, weights_embed_}},
                            weights_ffn_);
    Map(Elementwise::kLookup, Part::kEmbedding, tokens, embedding_, x);
    if (!scattered.empty()) {
      const TensorId next = Activation(
          TensorRole::kEmbedded,
          {{Dim::kBatch, gathered_ffn}, {Dim::kLength, {}},
           {Dim::kEmbed, weights_embed_ | (ffn_ & residual_embed_)}},
          replicated);
      Stream(x, next);
      x = Move(OpKind::kReduceScatter, Part::kEmbedding, scattered, x, next);
    }
    if (!replicated.empty()) {
      const TensorId next = Activation(
          TensorRole::kEmbedded,
          {{Dim::kBatch, gathered_ffn}, {Dim::kLength, {}},
           {Dim::kEmbed, weights_embed_ | (ffn_ & residual_embed_)}});
      x = Move(OpKind::kAllReduce, Part::kEmbedding, replicated, x, next);
    }
    if (!moved.empty()) {
      const TensorId next = Activation(
          TensorRole::kEmbedded,
          {{Dim::kBatch, gathered_}, {Dim::kLength, {}}, {Dim::kEmbed, residual_embed_}});
      x = Move(OpKind::kAllToAll, Part::kEmbedding, moved, x, next);
    }
    residual_ = x;
    if (positions_ != kNoTensor) {
      Map(Elementwise::kAdd, Part::kEmbedding, residual_, positions_, residual_);
    }
  }

  void Epilogue() {
    constexpr Dim kLogitLength = Dim::kLogitLength;
    TensorId x = residual_;
    if (p_.dim(kLogitLength).padded < p_.dim(Dim::kLength).padded) {
      x = Map(Elementwise::kLastToken, Part::kHead, x, kNoTensor,
              FinalHidden(gathered_, residual_embed_));
    }
    x = GatherFfnAxes(x, Part::kHead, kLogitLength);
    if (final_norm_ != kNoTensor) {
      x = Normalize(x, final_norm_, TensorRole::kFinalHidden, Part::kHead, kLogitLength, embed_);
    }
    // Over the E axes that the layers gather, either the activations give up their batch shards, or
    // the table is gathered as the layers' weights are: whichever moves less. The first leaves
    // float32 partial sums of rows x V / F, the second moves the table's E x V / F in bf16.
    const double rows = p_.dim(Dim::kBatch).padded * p_.dim(kLogitLength).padded;
    const AxisSet moved = weights_embed_ & gathered_;
    const bool gather_table = !moved.empty() && 2 * rows > p_.dim(Dim::kEmbed).padded;
    const AxisSet batch = gather_table ? moved : AxisSet();
    const AxisSet embed = gather_table ? embed_ : weights_embed_;
    if (!moved.empty() && !gather_table) {
      x = Move(OpKind::kAllToAll, Part::kHead, moved, x,
               FinalHidden(weights_ffn_ & gathered_, weights_embed_));
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

  TensorId FinalHidden(AxisSet batch, AxisSet embed) {
    return Activation(TensorRole::kFinalHidden,
                      {{Dim::kBatch, batch}, {Dim::kLogitLength, {}}, {Dim::kEmbed, embed}});
  }

  // The released code computes logits in float32. `embed` are the axes that shard E of the table as
  // the einsum reads it.
  TensorId Unembed(TensorId x, AxisSet batch, AxisSet embed) {
    TensorId table = unembedding_;
    if (embed != weights_embed_) {
      table = SmallWeight(TensorRole::kGatheredWeights, false,
                          {{Dim::kVocabulary, weights_ffn_}, {Dim::kEmbed, embed}});
      p_.tensors[table].lifetime = Lifetime::kTransient;
      Stream(table, unembedding_);
      AddTerm(Looped(OpKind::kAllGather, Part::kHead, Schedule::kLoopedOneWay,
                     weights_embed_ - embed),
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

  // Every chip offers the best candidate of its vocabulary shard for its sequences; all chips learn
  // all of them.
  void Sample(TensorId logits, AxisSet batch, AxisSet embed) {
    const AxisSet shards = weights_ffn_ | embed;
    const double ways = mesh_.Size(shards);
    SetDim(Dim::kCandidate, ways, ways, Joined({weights_ffn_, embed}));
    const auto candidates = [&](AxisSet batch_axes, AxisSet axes) {
      return Add(TensorRole::kCandidates, DataType::kFloat32, Lifetime::kTransient, false,
                 {{Dim::kBatch, batch_axes}, {Dim::kCandidate, axes}, {Dim::kPair, {}}});
    };
    const TensorId local = Map(Elementwise::kSample, Part::kHead, logits, kNoTensor,
                               candidates(batch, shards));
    if (const AxisSet all = shards | batch; !all.empty()) {
      Move(OpKind::kAllGather, Part::kHead, all, local, candidates({}, {}));
    }
  }

  // --- layer ------------------------------------------------------------------------------------

  void Layer() {
    group_ = 0;
    if (!model_.has_attention()) {
      Block(false, true, norm_);
    } else if (model_.parallel()) {
      Block(true, true, norm_);
    } else {
      Block(true, false, norm_);
      Block(false, true, second_norm_ != kNoTensor ? second_norm_ : norm_);
    }
  }

  TensorId GatherFfnAxes(TensorId x, Part part, Dim length) {
    const AxisSet axes = ffn_ & residual_embed_;
    if (axes.empty()) {
      return x;
    }
    const TensorId next =
        Activation(TensorRole::kGatheredResidual,
                   {{Dim::kBatch, gathered_}, {length, {}}, {Dim::kEmbed, embed_}});
    return Move(OpKind::kAllGather, part, axes, x, next);
  }

  // `axes` shard E of x: the statistics are summed over them.
  TensorId Normalize(TensorId x, TensorId vectors, TensorRole role, Part part, Dim length,
                     AxisSet axes) {
    if (vectors == kNoTensor) {
      return x;
    }
    const auto statistics = [&](AxisSet partial) {
      return Add(TensorRole::kStatistics, DataType::kFloat32, Lifetime::kTransient, false,
                 {{Dim::kBatch, gathered_}, {length, {}}, {Dim::kStatistic, {}}}, partial);
    };
    TensorId moments =
        Map(Elementwise::kStatistics, part, x, kNoTensor, statistics(axes));
    if (!axes.empty()) {
      moments = Move(OpKind::kAllReduce, part, axes, moments, statistics({}));
    }
    const TensorId out =
        Activation(role, {{Dim::kBatch, gathered_}, {length, {}}, {Dim::kEmbed, axes}});
    Op& op = Emit(OpKind::kElementwise, part);
    op.function = Elementwise::kNormalize;
    AddTerm(op, x, moments, out);
    AddTerm(op, vectors, kNoTensor, kNoTensor);
    return out;
  }

  // One residual branch: attention, feed-forward, or both from one input (parallel block).
  void Block(bool attention, bool ffn, TensorId norm) {
    const Part part = attention && ffn ? Part::kShared : attention ? Part::kAttention : Part::kFfn;
    gathered_input_ = kNoTensor;
    // Two norms in a parallel block (GPT-NeoX, Falcon-40B): attention reads the first.
    const bool two_norms = attention && ffn && second_norm_ != kNoTensor;
    ++group_;
    const TensorId normalized = BlockInput(norm, TensorRole::kNormalized, part);
    const TensorId ffn_input =
        two_norms ? BlockInput(second_norm_, TensorRole::kSecondNormalized, part) : normalized;
    const Inputs in = ProjectInputs(attention, ffn, normalized, ffn_input, part);
    TensorId activated = kNoTensor;
    TensorId attended = kNoTensor;
    if (ffn) {
      activated = Activation(TensorRole::kFfnActivated, {{Dim::kBatch, gathered_},
                                                         {Dim::kLength, {}},
                                                         {Dim::kFfn, ffn_ | embed_}});
      Op& op = Emit(OpKind::kElementwise, Part::kFfn);
      op.function = Elementwise::kActivate;
      AddTerm(op, in.hidden, ffn_in_bias_, activated);
      if (model_.gated) {
        AddTerm(op, in.gate, ffn_gate_bias_, kNoTensor);
      }
    }
    if (attention) {
      attended = Attend(in);
    }
    ++group_;
    ProjectOutputs(activated, attended, part);
  }

  // The residual, normalised and gathered over F'. Gathering comes first, which leaves the statistics
  // to be summed over E' alone; the released 1D code normalises its wider shards first and loops the
  // gathering with the einsum.
  TensorId BlockInput(TensorId norm, TensorRole role, Part part) {
    if (!wide_residual_) {
      if (gathered_input_ == kNoTensor) {
        gathered_input_ = GatherFfnAxes(residual_, part, Dim::kLength);
      }
      return Normalize(gathered_input_, norm, role, part, Dim::kLength, embed_);
    }
    const TensorId x =
        Normalize(residual_, norm, role, part, Dim::kLength, residual_embed_);
    const AxisSet axes = ffn_ & residual_embed_;
    if (axes.empty()) {
      return x;
    }
    const TensorId whole = Activation(
        role, {{Dim::kBatch, gathered_}, {Dim::kLength, {}}, {Dim::kEmbed, embed_}});
    Stream(whole, x);
    AddTerm(Looped(OpKind::kAllGather, part, Schedule::kLoopedTwoWay, axes), x, kNoTensor, whole);
    return whole;
  }

  struct Inputs {
    TensorId hidden = kNoTensor, gate = kNoTensor;
    TensorId query = kNoTensor, key = kNoTensor, value = kNoTensor;
  };

  [[nodiscard]] Dim BatchDim(AxisSet extra) const {
    return extra.empty() ? Dim::kBatch : Dim::kAttentionBatch;
  }

  // Axes of F and B along which every chip projects the same KV heads: it slices its batch instead.
  [[nodiscard]] AxisSet SliceAxes() const { return (ffn_ & batch_) - kv_axes_; }
  // Axes of F and B along which KV heads are sharded when projected: they move to batch.
  [[nodiscard]] AxisSet KvMoveAxes() const { return ffn_ & batch_ & kv_axes_; }
  // Grouped-query heads must first meet (all-to-all) before an E axis can share them out.
  [[nodiscard]] bool ScatterKvLate() const {
    return !model_.multihead() && !KvMoveAxes().empty() && !(embed_ & heads_).empty();
  }

  // Gather weights, einsum, reduce-scatter over E': the first half of a block.
  Inputs ProjectInputs(bool attention, bool ffn, TensorId x, TensorId ffn_x, Part part) {
    TensorList weights;
    Inputs in;
    if (ffn) {
      weights.push_back(ffn_in_);
      if (model_.gated) {
        weights.push_back(ffn_gate_);
      }
    }
    if (attention) {
      weights.push_back(query_weights_);
      weights.push_back(key_weights_);
      weights.push_back(value_weights_);
    }
    GatherWeights(weights, part);
    TensorId kv_x = x;
    if (attention && !SliceAxes().empty()) {
      kv_x = Map(Elementwise::kSlice, Part::kAttention, x, kNoTensor,
                 Activation(TensorRole::kBatchSlice,
                            {{Dim::kAttentionBatch, gathered_ | SliceAxes()},
                             {Dim::kLength, {}},
                             {Dim::kEmbed, embed_}}));
    }
    Op& einsum = Emit(OpKind::kEinsum, part);
    einsum.group = group_;
    std::size_t next = 0;
    if (ffn) {
      in.hidden = Hidden(TensorRole::kFfnHidden, ffn_, embed_);
      AddTerm(einsum, ffn_x, weights[next++], in.hidden);
      if (model_.gated) {
        in.gate = Hidden(TensorRole::kFfnGate, ffn_, embed_);
        AddTerm(einsum, ffn_x, weights[next++], in.gate);
      }
    }
    if (attention) {
      in.query = Activation(TensorRole::kQuery,
                            {{Dim::kBatch, gathered_}, {Dim::kLength, {}}, {Dim::kHeads, ffn_},
                             {Dim::kHeadDim, {}}},
                            embed_);
      AddTerm(einsum, x, weights[next++], in.query);
      const AxisSet slice = SliceAxes();
      in.key = KeyValue(TensorRole::kKey, slice, Dim::kKvHeads, kv_axes_ - gathered_, embed_);
      in.value = KeyValue(TensorRole::kValue, slice, Dim::kKvHeads, kv_axes_ - gathered_, embed_);
      AddTerm(einsum, kv_x, weights[next++], in.key);
      AddTerm(einsum, kv_x, weights[next++], in.value);
    }
    if (!embed_.empty()) {
      ScatterInputs(in, part);
    }
    return in;
  }

  TensorId Hidden(TensorRole role, AxisSet axes, AxisSet partial) {
    return Activation(role, {{Dim::kBatch, gathered_}, {Dim::kLength, {}}, {Dim::kFfn, axes}},
                      partial);
  }

  TensorId KeyValue(TensorRole role, AxisSet batch, Dim heads, AxisSet head_axes, AxisSet partial) {
    return Activation(role,
                      {{BatchDim(batch), gathered_ | batch}, {Dim::kLength, {}},
                       {heads, head_axes}, {Dim::kHeadDim, {}}},
                      partial);
  }

  void ScatterInputs(Inputs& in, Part part) {
    Op& op = Looped(OpKind::kReduceScatter, part, Schedule::kLoopedTwoWay, embed_);
    const auto scatter = [&](TensorId& whole, TensorId result) {
      Stream(whole, result);
      AddTerm(op, whole, kNoTensor, result);
      whole = result;
    };
    if (in.hidden != kNoTensor) {
      scatter(in.hidden, Hidden(TensorRole::kFfnHidden, ffn_ | embed_, {}));
    }
    if (in.gate != kNoTensor) {
      scatter(in.gate, Hidden(TensorRole::kFfnGate, ffn_ | embed_, {}));
    }
    if (in.query == kNoTensor) {
      return;
    }
    const AxisSet to_batch = embed_ & batch_;
    const AxisSet to_heads = embed_ & heads_;
    scatter(in.query,
            Activation(TensorRole::kQuery, {{BatchDim(to_batch), gathered_ | to_batch},
                                            {Dim::kLength, {}},
                                            {Dim::kHeads, ffn_ | to_heads},
                                            {Dim::kHeadDim, {}}}));
    const AxisSet kv_heads = ScatterKvLate() ? AxisSet() : to_heads & cache_axes_;
    if ((to_batch | kv_heads).empty()) {
      return;
    }
    const Dim dim = KvMoveAxes().empty() ? Dim::kCacheKvHeads : Dim::kKvHeads;
    const AxisSet axes = (kv_axes_ - gathered_) | kv_heads;
    const AxisSet left = embed_ - to_batch - kv_heads;
    scatter(in.key, KeyValue(TensorRole::kKey, SliceAxes() | to_batch, dim, axes, left));
    scatter(in.value, KeyValue(TensorRole::kValue, SliceAxes() | to_batch, dim, axes, left));
  }

  // --- attention --------------------------------------------------------------------------------

  TensorId Attend(Inputs in) {
    const AxisSet to_batch = ffn_ & batch_;
    if (!to_batch.empty()) {
      MoveHeadsToBatch(in, to_batch);
    }
    FinishKeyValue(in);
    const TensorId attended = Activation(
        TensorRole::kAttended, {{BatchDim(batch_), gathered_ | batch_}, {Dim::kLength, {}},
                                {Dim::kHeads, heads_}, {Dim::kHeadDim, {}}});
    Op& op = Emit(OpKind::kAttention, Part::kAttention);
    AddTerm(op, in.query, in.key, attended);
    AddTerm(op, in.value, key_cache_, value_cache_);
    if (query_bias_ != kNoTensor) {
      AddTerm(op, query_bias_, key_bias_, value_bias_);
    }
    if (to_batch.empty()) {
      return attended;
    }
    const AxisSet left = embed_ & batch_;
    const TensorId back = Activation(
        TensorRole::kAttended, {{BatchDim(left), gathered_ | left}, {Dim::kLength, {}},
                                {Dim::kHeads, heads_ | to_batch}, {Dim::kHeadDim, {}}});
    return Move(OpKind::kAllToAll, Part::kAttention, to_batch, attended, back);
  }

  void MoveHeadsToBatch(Inputs& in, AxisSet axes) {
    const AxisSet kv_axes = KvMoveAxes();
    const TensorId query = Activation(
        TensorRole::kQuery, {{Dim::kAttentionBatch, gathered_ | batch_}, {Dim::kLength, {}},
                             {Dim::kHeads, heads_}, {Dim::kHeadDim, {}}});
    in.query = Move(OpKind::kAllToAll, Part::kAttention, axes, in.query, query);
    if (kv_axes.empty()) {
      return;
    }
    if (kv_axes != axes) {
      Emit(OpKind::kAllToAll, Part::kAttention).axes = AxisOrder(kv_axes);
    }
    Op& op = p_.ops.back();
    for (TensorId* tensor : {&in.key, &in.value}) {
      const Tensor& before = p_.tensor(*tensor);
      const AxisSet heads = before.sharding[2] - kv_axes;
      const AxisSet batch = (before.sharding[0] - gathered_) | kv_axes;
      const TensorId after =
          KeyValue(before.role, batch, Dim::kCacheKvHeads, heads, before.partial);
      AddTerm(op, *tensor, kNoTensor, after);
      *tensor = after;
    }
  }

  // What is still a partial sum over E axes of the heads: shared out where there are heads to share,
  // else summed on every chip.
  void FinishKeyValue(Inputs& in) {
    const AxisSet scatter = ScatterKvLate() ? embed_ & heads_ & cache_axes_ : AxisSet();
    const AxisSet reduce = p_.tensor(in.key).partial - scatter;
    if (!scatter.empty()) {
      Op& op = Emit(OpKind::kReduceScatter, Part::kAttention);
      op.axes = AxisOrder(scatter);
      for (TensorId* tensor : {&in.key, &in.value}) {
        const TensorId after = KeyValue(p_.tensor(*tensor).role, batch_, Dim::kCacheKvHeads,
                                        cache_axes_, reduce);
        AddTerm(op, *tensor, kNoTensor, after);
        *tensor = after;
      }
    }
    if (!reduce.empty()) {
      Op& op = Emit(OpKind::kAllReduce, Part::kAttention);
      op.axes = AxisOrder(reduce);
      for (TensorId* tensor : {&in.key, &in.value}) {
        Tensor after = p_.tensor(*tensor);
        after.partial = {};
        after.type = work_.activations;
        p_.tensors.push_back(after);
        const auto id = static_cast<TensorId>(p_.tensors.size() - 1);
        AddTerm(op, *tensor, kNoTensor, id);
        *tensor = id;
      }
    }
  }

  // --- second half of a block -------------------------------------------------------------------

  void ProjectOutputs(TensorId activated, TensorId attended, Part part) {
    TensorList weights;
    if (activated != kNoTensor) {
      weights.push_back(ffn_out_);
    }
    if (attended != kNoTensor) {
      weights.push_back(output_weights_);
    }
    GatherWeights(weights, part);
    if (!embed_.empty()) {
      GatherOutputs(activated, attended, part);
    }
    TensorId out = Output(embed_, ffn_);
    Op& einsum = Emit(OpKind::kEinsum, part);
    einsum.group = group_;
    std::size_t next = 0;
    if (activated != kNoTensor) {
      AddTerm(einsum, activated, weights[next++], out);
    }
    if (attended != kNoTensor) {
      AddTerm(einsum, attended, weights[next++], out);
    }
    const AxisSet scattered = ffn_ & residual_embed_;
    if (!scattered.empty()) {
      const TensorId shard = Output(residual_embed_, ffn_ - scattered);
      if (wide_residual_) {
        Stream(out, shard);
        AddTerm(Looped(OpKind::kReduceScatter, part, Schedule::kLoopedTwoWay, scattered), out,
                kNoTensor, shard);
        out = shard;
      } else {
        out = Move(OpKind::kReduceScatter, part, scattered, out, shard);
      }
    }
    if (const AxisSet replicated = ffn_ - scattered; !replicated.empty()) {
      out = Move(OpKind::kAllReduce, part, replicated, out, Output(residual_embed_, {}));
    }
    Op& add = Emit(OpKind::kElementwise, part);
    add.function = Elementwise::kAdd;
    AddTerm(add, residual_, out, residual_);
    const TensorId ffn_bias = activated != kNoTensor ? ffn_out_bias_ : kNoTensor;
    const TensorId attention_bias = attended != kNoTensor ? output_bias_ : kNoTensor;
    if (ffn_bias != kNoTensor || attention_bias != kNoTensor) {
      AddTerm(add, ffn_bias, attention_bias, kNoTensor);
    }
  }

  TensorId Output(AxisSet axes, AxisSet partial) {
    return Activation(TensorRole::kBlockOutput,
                      {{Dim::kBatch, gathered_}, {Dim::kLength, {}}, {Dim::kEmbed, axes}}, partial);
  }

  void GatherOutputs(TensorId& activated, TensorId& attended, Part part) {
    Op& op = Looped(OpKind::kAllGather, part, Schedule::kLoopedTwoWay, embed_);
    const auto gather = [&](TensorId& shard, TensorId whole) {
      Stream(whole, shard);
      AddTerm(op, shard, kNoTensor, whole);
      shard = whole;
    };
    if (activated != kNoTensor) {
      gather(activated, Hidden(TensorRole::kFfnActivated, ffn_, {}));
    }
    if (attended != kNoTensor) {
      gather(attended, Activation(TensorRole::kAttended, {{Dim::kBatch, gathered_},
                                                          {Dim::kLength, {}},
                                                          {Dim::kHeads, ffn_},
                                                          {Dim::kHeadDim, {}}}));
    }
  }

  const Model& model_;
  const Workload& work_;
  const Phase phase_;
  const Mesh& mesh_;
  Program& p_;
  const AxisSet weights_embed_, weights_ffn_, gathered_;
  const AxisSet embed_, ffn_;  // E' and F': the weights' axes that are not gathered
  const AxisSet residual_embed_;
  const AxisSet batch_, heads_;  // attention's batch axes beyond the gathered ones, and head axes
  const double stored_heads_;
  const bool wide_residual_;  // the fourth part: the residual is replicated over some axes
  AxisSet kv_axes_, cache_axes_;  // axes that shard KV heads as projected, and as cached
  std::uint8_t group_ = 0;
  TensorId residual_ = kNoTensor, gathered_input_ = kNoTensor;
  TensorId embedding_ = kNoTensor, unembedding_ = kNoTensor, positions_ = kNoTensor;
  TensorId norm_ = kNoTensor, second_norm_ = kNoTensor, final_norm_ = kNoTensor;
  TensorId ffn_in_ = kNoTensor, ffn_gate_ = kNoTensor, ffn_out_ = kNoTensor;
  TensorId ffn_in_bias_ = kNoTensor, ffn_gate_bias_ = kNoTensor, ffn_out_bias_ = kNoTensor;
  TensorId query_weights_ = kNoTensor, key_weights_ = kNoTensor, value_weights_ = kNoTensor;
  TensorId output_weights_ = kNoTensor, output_bias_ = kNoTensor;
  TensorId query_bias_ = kNoTensor, key_bias_ = kNoTensor, value_bias_ = kNoTensor;
  TensorId key_cache_ = kNoTensor, value_cache_ = kNoTensor;
};

}  // namespace

int HeadWays(const Layout& layout, const Mesh& mesh) {
  return mesh.IntSize(layout.weights_ffn | layout.attention_heads);
}

std::int64_t StoredHeads(const Model& model, const Layout& layout, const Mesh& mesh,
                         std::int64_t requested) {
  const std::int64_t ways = HeadWays(layout, mesh);
  if (requested == 0 || !model.has_attention()) {
    return PaddedHeads(model, ways);
  }
  Model padded = model;
  padded.query_heads = requested;
  padded.kv_heads = model.multihead() ? requested : model.kv_heads;
  const bool fits = requested >= model.query_heads && PaddedHeads(padded, ways) == requested;
  return fits ? requested : 0;
}

std::int64_t KvHeadsPerShard(std::int64_t kv_heads, std::int64_t ways) {
  std::int64_t most = 1;
  for (std::int64_t i = 0; i < ways && kv_heads > 1; ++i) {
    const std::int64_t first = i * kv_heads / ways;
    const std::int64_t end = ((i + 1) * kv_heads + ways - 1) / ways;
    most = std::max(most, end - first);
  }
  return most;
}

std::int64_t KvHeadOfSlot(std::int64_t slot, std::int64_t kv_heads, std::int64_t ways) {
  const std::int64_t per_shard = KvHeadsPerShard(kv_heads, ways);
  const std::int64_t shard = slot / per_shard;
  const std::int64_t first = shard * kv_heads / ways;
  // A shard that needs fewer repeats its last head: one that it does not serve may not be at hand.
  const std::int64_t end = ((shard + 1) * kv_heads + ways - 1) / ways;
  return std::min(end - 1, first + slot % per_shard);
}

void Lower(const LowerRequest& request, const Layout& layout, const Mesh& mesh, Program& program) {
  Lowering(request, layout, mesh, program).Run();
}

}  // namespace slicewise
