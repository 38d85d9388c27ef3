#include "slicewise/program/reshard.h"

#include <algorithm>
#include <cmath>

namespace slicewise {
namespace {

struct CacheCut {
  AxisSet batch;
  AxisSet length;
  AxisSet heads;

  [[nodiscard]] AxisSet all() const { return batch | length | heads; }
  // The axes of `axes` moved to where `target` has them, if anywhere.
  [[nodiscard]] CacheCut Moved(AxisSet axes, const CacheCut& target) const {
    return {(batch - axes) | (axes & target.batch), (length - axes) | (axes & target.length),
            (heads - axes) | (axes & target.heads)};
  }
  // Axes that cut the same dim in both.
  [[nodiscard]] AxisSet Common(const CacheCut& other) const {
    return (batch & other.batch) | (length & other.length) | (heads & other.heads);
  }
};

class Reshard {
 public:
  Reshard(const LowerRequest& request, const Layout& from, const Layout& to, const Mesh& mesh,
          Program& program)
      : program_(program), cache_type_(request.workload->kv_cache) {
    // The prefill program's own tables say how each layout shards and pads the cache.
    Lower(request, to, mesh, program_);
    const CacheCut target = CutOf(program_);
    const DimInfo heads = program_.dim(Dim::kCacheKvHeads);
    Lower(request, from, mesh, program_);
    source_ = CutOf(program_);
    target_ = target;
    DimInfo& own = program_.dim(Dim::kCacheKvHeads);
    own.padded = std::max(own.padded, heads.padded);
    PadFor(Dim::kAttentionBatch, mesh.Size(source_.batch | target_.batch));
    const Batching& batching = program_.batching;
    program_.SetSequences(
        {1, program_.Count(Follows::kBatch),
         program_.dim(Dim::kAttentionBatch).padded / (batching.shards * batching.attention_cuts)});
    PadFor(Dim::kCacheLength, mesh.Size(source_.length | target_.length));
    program_.tensors.clear();
    program_.ops.clear();
  }

  void Run() {
    CacheCut cut = source_;
    TensorId keys = Add(cut);
    TensorId values = Add(cut);
    const AxisSet before = source_.all();
    const AxisSet after = target_.all();
    const auto step = [&](OpKind kind, AxisSet axes) {
      if (!axes.empty()) {
        cut = cut.Moved(axes, target_);
        Step(kind, kind == OpKind::kElementwise ? AxisSet() : axes, cut, keys, values);
      }
    };
    step(OpKind::kElementwise, after - before);
    step(OpKind::kAllToAll, (before & after) - source_.Common(target_));
    step(OpKind::kAllGather, before - after);
    program_.steps = 1;
    program_.prologue = {0, 0};
    program_.layer = {0, program_.ops.size()};
    program_.epilogue = {program_.ops.size(), program_.ops.size()};
  }

 private:
  void PadFor(Dim dim, double ways) {
    DimInfo& info = program_.dim(dim);
    info.padded = std::ceil(info.size / ways) * ways;
  }

  static CacheCut CutOf(const Program& program) {
    for (const Tensor& tensor : program.tensors) {
      if (tensor.role == TensorRole::kKeyCache) {
        return {tensor.ShardingOf(Dim::kAttentionBatch), tensor.ShardingOf(Dim::kCacheLength),
                tensor.ShardingOf(Dim::kCacheKvHeads)};
      }
    }
    return {};
  }

  TensorId Add(const CacheCut& cut) {
    Tensor tensor;
    tensor.role = TensorRole::kKeyCache;
    tensor.type = cache_type_;
    tensor.lifetime = Lifetime::kTransient;
    tensor.per_layer = false;
    tensor.streamed = false;
    tensor.first_op = kNoOp;
    tensor.last_op = kNoOp;
    tensor.rank = 4;
    tensor.dims = {Dim::kAttentionBatch, Dim::kCacheLength, Dim::kCacheKvHeads, Dim::kHeadDim};
    tensor.sharding = {cut.batch, cut.length, cut.heads, {}};
    tensor.partial = {};
    program_.SetElements(tensor);
    program_.tensors.push_back(tensor);
    return static_cast<TensorId>(program_.tensors.size() - 1);
  }

  void Step(OpKind kind, AxisSet axes, const CacheCut& cut, TensorId& keys, TensorId& values) {
    Op& op = program_.ops.push_back(Op());
    op.kind = kind;
    op.function = kind == OpKind::kElementwise ? Elementwise::kSlice : Elementwise::kNone;
    op.part = Part::kAttention;
    op.schedule = Schedule::kBlocking;
    op.group = 0;
    op.term_count = 0;
    op.axes = AxisOrder(axes);
    for (TensorId* tensor : {&keys, &values}) {
      const TensorId next = Add(cut);
      op.terms[op.term_count++] = {*tensor, kNoTensor, next};
      *tensor = next;
    }
  }

  Program& program_;
  DataType cache_type_;
  CacheCut source_, target_;
};

}  // namespace

void LowerKvReshard(const LowerRequest& request, const Layout& from, const Layout& to,
                    const Mesh& mesh, Program& program) {
  if (!request.model->has_attention()) {
    Lower(request, from, mesh, program);
    program.ops.clear();
    program.prologue = program.layer = program.epilogue = {0, 0};
    return;
  }
  Reshard(request, from, to, mesh, program).Run();
}

}  // namespace slicewise
