#include "lowering.h"

namespace slicewise {

void Lowering::Layer() {
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

TensorId Lowering::GatherFfnAxes(TensorId x, Part part, Dim length) {
  const AxisSet axes = ffn_ & residual_embed_;
  if (axes.empty()) {
    return x;
  }
  const TensorId next = Activation(TensorRole::kGatheredResidual,
                                   {{Dim::kBatch, spread_}, {length, {}}, {Dim::kEmbed, embed_}});
  return Move(OpKind::kAllGather, part, axes, x, next);
}

TensorId Lowering::Normalize(TensorId x, TensorId vectors, TensorRole role, Part part, Dim length,
                             AxisSet axes) {
  if (vectors == kNoTensor) {
    return x;
  }
  const auto statistics = [&](AxisSet partial) {
    return Add(TensorRole::kStatistics, DataType::kFloat32, Lifetime::kTransient, false,
               {{Dim::kBatch, spread_}, {length, {}}, {Dim::kStatistic, {}}}, partial);
  };
  TensorId moments = Map(Elementwise::kStatistics, part, x, kNoTensor, statistics(axes));
  if (!axes.empty()) {
    moments = Move(OpKind::kAllReduce, part, axes, moments, statistics({}));
  }
  const TensorId out =
      Activation(role, {{Dim::kBatch, spread_}, {length, {}}, {Dim::kEmbed, axes}});
  Op& op = Emit(OpKind::kElementwise, part);
  op.function = Elementwise::kNormalize;
  AddTerm(op, x, moments, out);
  AddTerm(op, vectors, kNoTensor, kNoTensor);
  return out;
}

void Lowering::Block(bool attention, bool ffn, TensorId norm) {
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
    activated =
        Activation(TensorRole::kFfnActivated,
                   {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kFfn, ffn_ | embed_}});
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

TensorId Lowering::BlockInput(TensorId norm, TensorRole role, Part part) {
  if (!wide_residual_) {
    if (gathered_input_ == kNoTensor) {
      gathered_input_ = GatherFfnAxes(residual_, part, Dim::kLength);
    }
    return Normalize(gathered_input_, norm, role, part, Dim::kLength, embed_);
  }
  const TensorId x = Normalize(residual_, norm, role, part, Dim::kLength, residual_embed_);
  const AxisSet axes = ffn_ & residual_embed_;
  if (axes.empty()) {
    return x;
  }
  const TensorId whole =
      Activation(role, {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kEmbed, embed_}});
  Stream(whole, x);
  AddTerm(Looped(OpKind::kAllGather, part, Schedule::kLoopedTwoWay, axes), x, kNoTensor, whole);
  return whole;
}

Dim Lowering::BatchDim(AxisSet extra) const {
  return extra.empty() ? Dim::kBatch : Dim::kAttentionBatch;
}

AxisSet Lowering::SliceAxes() const { return (ffn_ & batch_) - kv_axes_; }

AxisSet Lowering::KvMoveAxes() const { return ffn_ & batch_ & kv_axes_; }

bool Lowering::ScatterKvLate() const {
  return !model_.multihead() && !(KvMoveAxes() | KvGatherAxes()).empty() &&
         !(embed_ & heads_).empty();
}

Lowering::Inputs Lowering::ProjectInputs(bool attention, bool ffn, TensorId x, TensorId ffn_x,
                                         Part part) {
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
               Activation(TensorRole::kBatchSlice, {{Dim::kAttentionBatch, spread_ | SliceAxes()},
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
    in.query = Activation(
        TensorRole::kQuery,
        {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kHeads, ffn_}, {Dim::kHeadDim, {}}},
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

TensorId Lowering::Hidden(TensorRole role, AxisSet axes, AxisSet partial) {
  return Activation(role, {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kFfn, axes}}, partial);
}

TensorId Lowering::KeyValue(TensorRole role, AxisSet batch, Dim heads, AxisSet head_axes,
                            AxisSet partial) {
  return Activation(role,
                    {{BatchDim(batch), spread_ | batch},
                     {Dim::kLength, {}},
                     {heads, head_axes},
                     {Dim::kHeadDim, {}}},
                    partial);
}

void Lowering::ScatterInputs(Inputs& in, Part part) {
  const AxisSet to_batch = embed_ & batch_;
  const AxisSet to_heads = embed_ & heads_;
  const bool ffn = in.hidden != kNoTensor;
  const AxisSet op_axes = ffn ? embed_ : to_batch | to_heads;
  if (op_axes.empty()) {
    return;
  }
  Op& op = Looped(OpKind::kReduceScatter, part, Schedule::kLoopedTwoWay, op_axes);
  const auto scatter = [&](TensorId& whole, TensorId result) {
    Stream(whole, result);
    AddTerm(op, whole, kNoTensor, result);
    whole = result;
  };
  if (ffn) {
    scatter(in.hidden, Hidden(TensorRole::kFfnHidden, ffn_ | embed_, {}));
  }
  if (in.gate != kNoTensor) {
    scatter(in.gate, Hidden(TensorRole::kFfnGate, ffn_ | embed_, {}));
  }
  if (in.query == kNoTensor) {
    return;
  }
  const AxisSet summed = embed_ & sequence_;
  if (!(to_batch | to_heads).empty()) {
    scatter(in.query, Activation(TensorRole::kQuery,
                                 {{BatchDim(to_batch), spread_ | to_batch},
                                  {Dim::kLength, {}},
                                  {Dim::kHeads, ffn_ | to_heads},
                                  {Dim::kHeadDim, {}}},
                                 summed));
  }
  const AxisSet kv_heads = ScatterKvLate() ? AxisSet() : to_heads & cache_axes_;
  if ((to_batch | kv_heads).empty()) {
    return;
  }
  const Dim dim = (KvMoveAxes() | KvGatherAxes()).empty() ? Dim::kCacheKvHeads : Dim::kKvHeads;
  const AxisSet axes = (kv_axes_ - gathered_) | kv_heads;
  const AxisSet left = embed_ - to_batch - kv_heads;
  scatter(in.key, KeyValue(TensorRole::kKey, SliceAxes() | to_batch, dim, axes, left));
  scatter(in.value, KeyValue(TensorRole::kValue, SliceAxes() | to_batch, dim, axes, left));
}

TensorId Lowering::Attend(Inputs in) {
  const AxisSet to_batch = ffn_ & batch_;
  GatherKvHeads(in);
  if (!to_batch.empty()) {
    MoveHeadsToBatch(in, to_batch);
  }
  FinishKeyValue(in);
  FinishQuery(in);
  TensorId attended = kNoTensor;
  if (sequence_.empty()) {
    attended = Attended(TensorRole::kAttended, batch_, heads_, {});
    EmitAttention(in, attended);
  } else {
    attended = AttendShards(in);
  }
  if (to_batch.empty()) {
    return attended;
  }
  return Move(
      OpKind::kAllToAll, Part::kAttention, to_batch, attended,
      Attended(TensorRole::kAttended, embed_ & batch_, heads_ | FfnSequence() | to_batch, {}));
}

TensorId Lowering::Attended(TensorRole role, AxisSet batch, AxisSet heads, AxisSet partial) {
  return Activation(role,
                    {{BatchDim(batch), spread_ | batch},
                     {Dim::kLength, {}},
                     {Dim::kHeads, heads},
                     {Dim::kHeadDim, {}}},
                    partial);
}

Op& Lowering::EmitAttention(const Inputs& in, TensorId attended) {
  Op& op = Emit(OpKind::kAttention, Part::kAttention);
  AddTerm(op, in.query, in.key, attended);
  AddTerm(op, in.value, key_cache_, value_cache_);
  if (query_bias_ != kNoTensor) {
    AddTerm(op, query_bias_, key_bias_, value_bias_);
  }
  return op;
}

TensorId Lowering::AttendShards(const Inputs& in) {
  const auto log_sum = [&](AxisSet shards) {
    return Add(TensorRole::kLogSumExp, DataType::kFloat32, Lifetime::kTransient, false,
               {{BatchDim(batch_), spread_ | batch_},
                {Dim::kLength, {}},
                {Dim::kHeads, heads_},
                {Dim::kSequenceShard, shards}});
  };
  const TensorId shard = Attended(TensorRole::kAttendedShard, batch_, heads_, sequence_);
  const TensorId own = log_sum(sequence_);
  AddTerm(EmitAttention(in, shard), kNoTensor, kNoTensor, own);
  const TensorId all = Move(OpKind::kAllGather, Part::kAttention, sequence_, own, log_sum({}));
  TensorId sum = Map(Elementwise::kCombine, Part::kAttention, shard, all,
                     Attended(TensorRole::kAttended, batch_, heads_, sequence_));
  const AxisSet summed = embed_ & sequence_;
  const AxisSet to_heads = FfnSequence();
  if (!to_heads.empty()) {
    sum = Move(OpKind::kReduceScatter, Part::kAttention, to_heads, sum,
               Attended(TensorRole::kAttended, batch_, heads_ | to_heads, summed));
  }
  if (!summed.empty()) {
    sum = Move(OpKind::kAllReduce, Part::kAttention, summed, sum,
               Attended(TensorRole::kAttended, batch_, heads_ | to_heads, {}));
  }
  return sum;
}

void Lowering::GatherKvHeads(Inputs& in) {
  const AxisSet axes = KvGatherAxes();
  if (axes.empty()) {
    return;
  }
  const Dim dim = KvMoveAxes().empty() ? Dim::kCacheKvHeads : Dim::kKvHeads;
  Op& op = Emit(OpKind::kAllGather, Part::kAttention);
  op.axes = AxisOrder(axes);
  for (TensorId* tensor : {&in.key, &in.value}) {
    const Tensor& before = p_.tensor(*tensor);
    const TensorId after = KeyValue(before.role, before.sharding[0] - spread_, dim,
                                    before.sharding[2] - axes, before.partial);
    AddTerm(op, *tensor, kNoTensor, after);
    *tensor = after;
  }
}

void Lowering::FinishQuery(Inputs& in) {
  const AxisSet axes = FfnSequence();
  const auto query = [&](AxisSet heads) { return Attended(TensorRole::kQuery, batch_, heads, {}); };
  if (const AxisSet summed = p_.tensor(in.query).partial; !summed.empty()) {
    in.query = Move(OpKind::kAllReduce, Part::kAttention, summed, in.query, query(heads_ | axes));
  }
  if (!axes.empty()) {
    in.query = Move(OpKind::kAllGather, Part::kAttention, axes, in.query, query(heads_));
  }
}

void Lowering::MoveHeadsToBatch(Inputs& in, AxisSet axes) {
  const AxisSet kv_axes = KvMoveAxes();
  const AxisSet summed = p_.tensor(in.query).partial;
  in.query = Move(OpKind::kAllToAll, Part::kAttention, axes, in.query,
                  Attended(TensorRole::kQuery, batch_, heads_ | FfnSequence(), summed));
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
    const AxisSet batch = (before.sharding[0] - spread_) | kv_axes;
    const TensorId after = KeyValue(before.role, batch, Dim::kCacheKvHeads, heads, before.partial);
    AddTerm(op, *tensor, kNoTensor, after);
    *tensor = after;
  }
}

void Lowering::FinishKeyValue(Inputs& in) {
  const AxisSet scatter = ScatterKvLate() ? embed_ & heads_ & cache_axes_ : AxisSet();
  const AxisSet reduce = p_.tensor(in.key).partial - scatter;
  if (!scatter.empty()) {
    Op& op = Emit(OpKind::kReduceScatter, Part::kAttention);
    op.axes = AxisOrder(scatter);
    for (TensorId* tensor : {&in.key, &in.value}) {
      const TensorId after =
          KeyValue(p_.tensor(*tensor).role, batch_, Dim::kCacheKvHeads, cache_axes_, reduce);
      AddTerm(op, *tensor, kNoTensor, after);
      *tensor = after;
    }
  }
  if (!reduce.empty()) {
    Op& op = Emit(OpKind::kAllReduce, Part::kAttention);
    op.axes = AxisOrder(reduce);
    for (TensorId* tensor : {&in.key, &in.value}) {
      Tensor after = p_.tensor(*tensor);
      after.first_op = after.last_op = kNoOp;
      after.partial = {};
      after.type = work_.activations;
      p_.tensors.push_back(after);
      const auto id = static_cast<TensorId>(p_.tensors.size() - 1);
      AddTerm(op, *tensor, kNoTensor, id);
      *tensor = id;
    }
  }
}

void Lowering::ProjectOutputs(TensorId activated, TensorId attended, Part part) {
  TensorList weights;
  if (activated != kNoTensor) {
    weights.push_back(ffn_out_);
  }
  if (attended != kNoTensor) {
    weights.push_back(output_weights_);
  }
  GatherWeights(weights, part);
  const bool loops_scatter = LoopsScatter(activated != kNoTensor, attended != kNoTensor);
  if (!embed_.empty()) {
    GatherOutputs(activated, attended, part, !loops_scatter);
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
    if (loops_scatter) {
      Stream(out, shard);
      Op& op = Looped(OpKind::kReduceScatter, part, Schedule::kLoopedTwoWay, scattered);
      if (!embed_.empty()) {
        // The released serial layer loops over y, its longest, and then scatters over z.
        op.looped = mesh_.Longest(scattered);
      }
      AddTerm(op, out, kNoTensor, shard);
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

bool Lowering::LoopsScatter(bool ffn, bool attention) const {
  if (wide_residual_ || embed_.empty()) {
    return true;
  }
  if (model_.parallel()) {
    return false;
  }
  // Elements sent for one token.
  const auto sent = [&](double width, AxisSet cut, AxisSet axes) {
    return width / mesh_.Size(cut) * (1 - 1 / mesh_.Size(axes));
  };
  const double heads = p_.dim(Dim::kHeads).padded * p_.dim(Dim::kHeadDim).padded;
  const double inner = (ffn ? p_.dim(Dim::kFfn).padded : 0) + (attention ? heads : 0);
  return sent(p_.dim(Dim::kEmbed).padded, embed_, ffn_) >= sent(inner, ffn_, embed_);
}

TensorId Lowering::Output(AxisSet axes, AxisSet partial) {
  return Activation(TensorRole::kBlockOutput,
                    {{Dim::kBatch, spread_}, {Dim::kLength, {}}, {Dim::kEmbed, axes}}, partial);
}

void Lowering::GatherOutputs(TensorId& activated, TensorId& attended, Part part, bool looped) {
  // Attention combined over an E axis of the sequence is whole along it already.
  const AxisSet attended_axes = attended == kNoTensor ? AxisSet() : embed_ - sequence_;
  const AxisSet axes = activated == kNoTensor ? attended_axes : embed_;
  if (axes.empty()) {
    return;
  }
  Op& op = looped ? Looped(OpKind::kAllGather, part, Schedule::kLoopedTwoWay, axes)
                  : Emit(OpKind::kAllGather, part);
  op.axes = AxisOrder(axes);
  const auto gather = [&](TensorId& shard, TensorId whole) {
    if (looped) {
      Stream(whole, shard);
    }
    AddTerm(op, shard, kNoTensor, whole);
    shard = whole;
  };
  if (activated != kNoTensor) {
    gather(activated, Hidden(TensorRole::kFfnActivated, ffn_, {}));
  }
  if (!attended_axes.empty()) {
    gather(attended, Attended(TensorRole::kAttended, {}, ffn_, {}));
  }
}

}  // namespace slicewise
