#include "slicewise/program/lower.h"

#include <algorithm>
#include <cmath>

#include "lowering.h"

namespace slicewise {
namespace {

double RoundUp(double value, double multiple) { return std::ceil(value / multiple) * multiple; }

// The shortest beginning of `order` whose axes number at least `ways` chips. Factors are taken
// together but for those of `split` axes.
AxisOrder Prefix(const AxisOrder& order, double ways, AxisSet split, const Mesh& mesh) {
  AxisOrder prefix;
  for (int i = 0; i < order.size() && mesh.Size(prefix.set()) < ways; ++i) {
    const AxisSet axis = AxisSet::Of(order[i]);
    prefix.Append((split.Has(order[i]) ? axis : mesh.Whole(axis)) - prefix.set());
  }
  return prefix;
}

}  // namespace

void Lowering::Run() {
  p_.tensors.clear();
  p_.ops.clear();
  if (!(p_.mesh == mesh_)) {
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
    residual_ =
        Activation(TensorRole::kResidual,
                   {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kEmbed, residual_embed_}});
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

void Lowering::SetDim(Dim dim, double size, double padded, const AxisOrder& order) {
  p_.dim(dim) = {.size = size, .padded = padded, .order = order};
}

void Lowering::SetBatchAndLengthDims() {
  const double batch = static_cast<double>(work_.batch(phase_));
  SetDim(Dim::kBatch, batch, batch, Joined({replicas_, gathered_}));
  SetDim(Dim::kAttentionBatch, batch, batch,
         Joined({replicas_, gathered_, ffn_ & batch_, embed_ & batch_}));
  p_.batching = {.shards = mesh_.Size(spread_), .attention_cuts = mesh_.Size(batch_)};
  p_.SetSequences(p_.batching.Share(work_.batch(phase_)));
  const double length = static_cast<double>(work_.query_length(phase_));
  const double logit_length = work_.logits == Logits::kAll ? length : 1;
  SetDim(Dim::kLength, length, length, {});
  SetDim(Dim::kLogitLength, logit_length, logit_length, {});
  const double shards = mesh_.Size(sequence_);
  const double attended = work_.mean_attended(phase_);
  const double cached = static_cast<double>(work_.cached_at_end(phase_));
  const AxisOrder sequence(sequence_);
  SetDim(Dim::kContext, attended, sequence_.empty() ? attended : RoundUp(attended, shards),
         sequence);
  SetDim(Dim::kCacheLength, cached, RoundUp(cached, shards), sequence);
  SetDim(Dim::kSequenceShard, shards, shards, sequence);
}

void Lowering::SetModelDims() {
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

void Lowering::SetHeadDims() {
  const AxisSet ffn_heads = ffn_ & heads_;
  const AxisSet ffn_batch = ffn_ & batch_;
  const AxisSet ffn_gathered = weights_ffn_ & gathered_;
  const bool grouped = model_.kv_heads > 1 && !model_.multihead();
  // Factors before whole axes, so that names do not matter: a prefix of the order cuts KV heads.
  const AxisSet split = grouped ? SplitAxes(layout_, mesh_) : AxisSet();
  const auto digits = [&](std::initializer_list<AxisSet> sets) {
    AxisOrder order;
    for (AxisSet set : sets) {
      order.Append(set & split);
      order.Append(set - split);
    }
    return order;
  };
  const AxisOrder order =
      grouped ? digits({ffn_heads, embed_ & heads_, ffn_batch, FfnSequence(), ffn_gathered})
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
  SetKvDim(Dim::kKvHeads, digits({ffn_heads, ffn_batch, FfnSequence(), ffn_gathered}), split,
           kv_axes_);
  SetKvDim(Dim::kCacheKvHeads, digits({ffn_heads, embed_ & heads_}), split, cache_axes_);
}

void Lowering::SetKvDim(Dim dim, const AxisOrder& all, AxisSet split, AxisSet& axes) {
  const double kv_heads = static_cast<double>(model_.kv_heads);
  const AxisOrder order = Prefix(all, kv_heads, split, mesh_);
  axes = order.set();
  const std::int64_t ways = mesh_.IntSize(axes);
  const double slots = static_cast<double>(ways * KvHeadsPerShard(model_.kv_heads, ways));
  SetDim(dim, kv_heads, slots, order);
}

TensorId Lowering::Add(TensorRole role, DataType type, Lifetime lifetime, bool per_layer,
                       std::initializer_list<Cut> cuts, AxisSet partial) {
  const auto id = static_cast<TensorId>(p_.tensors.size());
  Tensor& t = p_.tensors.append();
  t.role = role;
  t.type = type;
  t.lifetime = lifetime;
  t.per_layer = per_layer;
  t.streamed = false;
  t.first_op = kNoOp;
  t.last_op = kNoOp;
  t.rank = static_cast<std::uint8_t>(cuts.size());
  t.dims = {};
  t.sharding = {};
  t.partial = partial;
  std::size_t i = 0;
  for (const Cut& cut : cuts) {
    t.dims[i] = cut.dim;
    t.sharding[i++] = cut.axes;
  }
  p_.SetElements(t);
  return id;
}

TensorId Lowering::LayerWeight(TensorRole role, std::initializer_list<Cut> cuts) {
  return Add(role, work_.weights, Lifetime::kPersistent, true, cuts);
}

TensorId Lowering::SmallWeight(TensorRole role, bool per_layer, std::initializer_list<Cut> cuts) {
  return Add(role, DataType::kBf16, Lifetime::kPersistent, per_layer, cuts);
}

TensorId Lowering::Activation(TensorRole role, std::initializer_list<Cut> cuts, AxisSet partial) {
  const DataType type = partial.empty() ? work_.activations : DataType::kBf16;
  return Add(role, type, Lifetime::kTransient, false, cuts, partial);
}

void Lowering::KeepResidual() {
  p_.tensors[residual_].role = TensorRole::kResidual;
  p_.tensors[residual_].lifetime = Lifetime::kPhase;
  // The residual stream accumulates over the layers: it stays in bf16.
  p_.tensors[residual_].type = DataType::kBf16;
}

Op& Lowering::Emit(OpKind kind, Part part) {
  Op& op = p_.ops.append();
  op.kind = kind;
  op.function = Elementwise::kNone;
  op.part = part;
  op.schedule = Schedule::kBlocking;
  op.group = 0;
  op.term_count = 0;
  op.axes = {};
  op.looped = {};
  op.terms.fill({kNoTensor, kNoTensor, kNoTensor});
  return op;
}

void Lowering::AddTerm(Op& op, TensorId lhs, TensorId rhs, TensorId out) {
  op.terms[op.term_count++] = {lhs, rhs, out};
  const auto index = static_cast<std::uint8_t>(&op - p_.ops.data());
  for (TensorId id : {lhs, rhs, out}) {
    if (id != kNoTensor) {
      Tensor& tensor = p_.tensors[id];
      tensor.first_op = tensor.first_op == kNoOp ? index : tensor.first_op;
      tensor.last_op = index;
    }
  }
}

TensorId Lowering::Map(Elementwise function, Part part, TensorId lhs, TensorId rhs, TensorId out) {
  Op& op = Emit(OpKind::kElementwise, part);
  op.function = function;
  AddTerm(op, lhs, rhs, out);
  return out;
}

TensorId Lowering::Move(OpKind kind, Part part, AxisSet axes, TensorId lhs, TensorId out) {
  Op& op = Emit(kind, part);
  op.axes = AxisOrder(axes);
  AddTerm(op, lhs, kNoTensor, out);
  return out;
}

void Lowering::Stream(TensorId whole, TensorId chunk) {
  Tensor& tensor = p_.tensors[whole];
  tensor.streamed = true;
  tensor.unit_chunks = 2 * p_.tensors[chunk].unit_elements;
  tensor.chunks_follow = p_.tensors[chunk].follows;
}

Op& Lowering::Looped(OpKind kind, Part part, Schedule schedule, AxisSet axes) {
  Op& op = Emit(kind, part);
  op.axes = AxisOrder(axes);
  op.looped = axes;
  op.schedule = schedule;
  op.group = group_;
  return op;
}

void Lowering::GatherWeights(TensorList& weights, Part part) {
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
    whole.first_op = whole.last_op = kNoOp;
    whole.role = TensorRole::kGatheredWeights;
    whole.lifetime = Lifetime::kTransient;
    for (std::size_t i = 0; i < whole.rank; ++i) {
      whole.sharding[i] = whole.sharding[i] - gathered_;
    }
    p_.SetElements(whole);
    p_.tensors.push_back(whole);
    const auto id = static_cast<TensorId>(p_.tensors.size() - 1);
    Stream(id, weight);
    AddTerm(op, weight, kNoTensor, id);
    weight = id;
  }
  if (op.term_count == 0) {
    p_.ops.truncate(p_.ops.size() - 1);
  }
}

int HeadWays(const Layout& layout, const Mesh& mesh) {
  return mesh.IntSize(layout.weights_ffn | layout.attention_heads);
}

std::int64_t StoredHeads(const Model& model, const Layout& layout, const Mesh& mesh,
                         std::int64_t requested) {
  const std::int64_t ways = HeadWays(layout, mesh);
  if (requested == 0 || !model.has_attention()) {
    return PaddedHeads(model, ways);
  }
  // As PaddedHeads: every group of query heads is padded alike.
  const std::int64_t groups = model.multihead() ? 1 : model.kv_heads;
  const bool fits =
      requested >= model.query_heads && requested % ways == 0 && requested % groups == 0;
  return fits ? requested : 0;
}

std::int64_t KvHeadsPerShard(std::int64_t kv_heads, std::int64_t ways) {
  if (kv_heads % ways == 0) {
    return kv_heads / ways;
  }
  if (ways % kv_heads == 0) {
    return 1;
  }
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
