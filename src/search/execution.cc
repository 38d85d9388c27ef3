#include "slicewise/search/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "slicewise/program/reshard.h"
#include "slicewise/program/traffic.h"

namespace slicewise {
namespace {

std::int64_t Whole(double value) { return std::llround(value); }

// The axes that a document speaks of: factors of the axes that one of its layouts splits, whole
// ones otherwise.
class DocumentAxes {
 public:
  DocumentAxes(const Mesh& mesh, AxisSet split) : mesh_(mesh) {
    for (AxisSet part : mesh.Parts(mesh.all())) {
      if ((part & split).empty()) {
        axes_.push_back(part);
        continue;
      }
      for (int axis : part) {
        axes_.push_back(AxisSet::Of(axis));
      }
    }
  }

  [[nodiscard]] const std::vector<AxisSet>& axes() const { return axes_; }
  [[nodiscard]] std::vector<std::string> Names(const AxisOrder& order) const {
    std::vector<std::string> names;
    for (int i = 0; i < order.size(); ++i) {
      for (AxisSet axis : axes_) {
        if (axis.first() == order[i]) {
          names.push_back(mesh_.Names(axis));
        }
      }
    }
    return names;
  }

 private:
  const Mesh& mesh_;
  std::vector<AxisSet> axes_;
};

// The axes of a set in the order of a dim's digits; axes that have no digit there come last.
AxisOrder InOrderOf(const AxisOrder& digits, AxisSet axes) {
  AxisOrder order;
  for (int i = 0; i < digits.size(); ++i) {
    if (axes.Has(digits[i])) {
      order.Append(AxisSet::Of(digits[i]));
    }
  }
  order.Append(axes - order.set());
  return order;
}

ExecutionShard DescribeShard(const Program& program, const DocumentAxes& axes, const Tensor& tensor,
                             std::size_t i) {
  const Dim dim = tensor.dims[i];
  const DimInfo& info = program.dim(dim);
  return {.name = std::string(Name(dim)),
          .letter = std::string(Letter(dim)),
          .size = Whole(info.size),
          .padded_size = Whole(info.padded),
          .axes = axes.Names(InOrderOf(info.order, tensor.sharding[i])),
          .local_size = Whole(program.LocalSize(tensor, static_cast<int>(i)))};
}

ExecutionTensor DescribeTensor(const Program& program, const DocumentAxes& axes,
                               const Tensor& tensor, std::string name) {
  ExecutionTensor out;
  out.name = std::move(name);
  out.role = Name(tensor.role);
  out.dtype = Name(tensor.type);
  out.lifetime = Name(tensor.lifetime);
  out.per_layer = tensor.per_layer;
  out.streamed = tensor.streamed;
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    out.dims.push_back(DescribeShard(program, axes, tensor, i));
    out.shape_per_chip.push_back(out.dims.back().local_size);
  }
  out.partial_axes = axes.Names(AxisOrder(tensor.partial));
  out.bytes_per_chip = TensorBytes(program, tensor).base();
  return out;
}

// One name for each tensor of a program.
std::vector<std::string> TensorNames(const Program& program) {
  std::vector<std::string> names;
  std::map<TensorRole, int> seen;
  for (const Tensor& tensor : program.tensors) {
    const int count = ++seen[tensor.role];
    names.push_back(count == 1 ? std::string(Name(tensor.role))
                               : fmt::format("{}#{}", Name(tensor.role), count));
  }
  return names;
}

// The einsum of the op's own section and group, if the op is looped.
std::optional<std::int64_t> OverlappedEinsum(const Program& program, std::size_t index) {
  const Op& op = program.ops[index];
  if (op.group == 0 || op.schedule == Schedule::kBlocking) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& other = program.ops[i];
    if (other.kind == OpKind::kEinsum && other.group == op.group &&
        SectionName(program, i) == SectionName(program, index)) {
      return static_cast<std::int64_t>(i);
    }
  }
  return std::nullopt;
}

ExecutionOp DescribeOp(const Program& program, const DocumentAxes& axes, std::size_t index,
                       const std::vector<std::string>& names) {
  const Op& op = program.ops[index];
  const auto name = [&](TensorId id) {
    return id == kNoTensor ? std::nullopt : std::optional(names[id]);
  };
  ExecutionOp out;
  out.index = static_cast<std::int64_t>(index);
  out.section = SectionName(program, index);
  out.kind = Name(op.kind);
  out.part = Name(op.part);
  out.group = op.group;
  out.overlaps = OverlappedEinsum(program, index);
  if (op.kind == OpKind::kElementwise) {
    out.function = Name(op.function);
  }
  if (IsCollective(op.kind)) {
    out.axes = axes.Names(op.axes);
    out.schedule = Name(op.schedule);
    const Traffic traffic = CollectiveTraffic(program, op);
    out.volume_bytes = traffic.volume.base();
    out.sent_bytes = traffic.sent.base();
  }
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const Term& term = op.terms[i];
    out.terms.push_back({name(term.lhs), name(term.rhs), name(term.out)});
  }
  out.flops = OpFlops(program, op).base();
  return out;
}

std::vector<ExecutionOp> DescribeOps(const Program& program, const DocumentAxes& axes,
                                     const std::vector<std::string>& names) {
  std::vector<ExecutionOp> ops;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    ops.push_back(DescribeOp(program, axes, i, names));
  }
  return ops;
}

// The dims that some tensor of the program has.
std::vector<ExecutionDim> DescribeDims(const Program& program, const DocumentAxes& axes,
                                       const Model& model) {
  std::vector<ExecutionDim> dims;
  for (std::size_t d = 0; d < kDimCount; ++d) {
    const auto dim = static_cast<Dim>(d);
    const bool used = std::any_of(program.tensors.begin(), program.tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.Find(dim) >= 0; });
    if (used) {
      const DimInfo& info = program.dim(dim);
      dims.push_back({.name = std::string(Name(dim)),
                      .letter = std::string(Letter(dim)),
                      .size = Whole(info.size),
                      .padded_size = Whole(info.padded),
                      .axes = axes.Names(info.order),
                      .indices = TrueIndices(program, model, dim)});
    }
  }
  return dims;
}

ExecutionMesh DescribeMesh(const Mesh& mesh, const DocumentAxes& axes) {
  constexpr std::array<const char*, 3> kPhysical = {"x", "y", "z"};
  ExecutionMesh out;
  out.slice = ToString(mesh.slice());
  out.twisted = mesh.slice().twisted;
  for (AxisSet axis : axes.axes()) {
    const MeshAxis row = mesh.Rows(axis).front();
    out.axes.push_back({.name = mesh.Names(axis),
                        .size = row.size,
                        .physical_axis = kPhysical[static_cast<std::size_t>(row.physical)],
                        .wraps = row.wraps});
  }
  return out;
}

// Of either phase.
AxisSet AllSplitAxes(const ExecutionLayouts& layouts, const Mesh& mesh) {
  AxisSet split;
  for (const std::optional<Layout>& layout : {layouts.prefill, layouts.decode}) {
    split |= layout ? SplitAxes(*layout, mesh) : AxisSet();
  }
  return split;
}

class Describer {
 public:
  Describer(const Setting& setting, const ExecutionLayouts& layouts)
      : setting_(setting),
        layouts_(layouts),
        mesh_(setting.slice),
        axes_(mesh_, AllSplitAxes(layouts, mesh_)) {}

  Execution Run() {
    Execution out;
    out.model = DescribeModel(setting_.model);
    out.mesh = DescribeMesh(mesh_, axes_);
    out.stored_heads = layouts_.stored_heads;
    if (layouts_.prefill) {
      out.phases.prefill = DescribePhase(*layouts_.prefill, Phase::kPrefill, out.weights);
    }
    if (layouts_.decode) {
      out.phases.decode = DescribePhase(*layouts_.decode, Phase::kDecode, out.weights);
    }
    if (layouts_.prefill && layouts_.decode && setting_.model.has_attention()) {
      out.changes = DescribeChanges();
    }
    return out;
  }

 private:
  [[nodiscard]] LowerRequest Request(Phase phase) const {
    return {&setting_.model, &setting_.workload, phase, layouts_.stored_heads};
  }

  ExecutionPhase DescribePhase(const Layout& layout, Phase phase,
                               std::vector<ExecutionTensor>& weights) {
    Lower(Request(phase), layout, mesh_, program_);
    const std::vector<std::string> names = TensorNames(program_);
    const Workload& work = setting_.workload;
    ExecutionPhase out;
    out.layout = ToString(layout, mesh_);
    out.batch = work.batch(phase);
    out.query_length = work.query_length(phase);
    out.cache_length = work.cached_at_end(phase);
    out.layers = setting_.model.layers;
    out.steps = work.steps(phase);
    out.dims = DescribeDims(program_, axes_, setting_.model);
    weights.clear();  // the same for both phases
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Tensor& tensor = program_.tensors[i];
      const bool stored = tensor.lifetime == Lifetime::kPersistent;
      (stored ? weights : out.tensors).push_back(DescribeTensor(program_, axes_, tensor, names[i]));
    }
    out.ops = DescribeOps(program_, axes_, names);
    return out;
  }

  ExecutionChanges DescribeChanges() {
    LowerKvReshard(Request(Phase::kPrefill), *layouts_.prefill, *layouts_.decode, mesh_, program_);
    std::vector<std::string> names = TensorNames(program_);
    // reshard.h: keys and values in turn, all in the one role.
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string_view role =
          Name(i % 2 == 0 ? TensorRole::kKeyCache : TensorRole::kValueCache);
      names[i] = i < 2 ? std::string(role) : fmt::format("{}#{}", role, i / 2 + 1);
    }
    ExecutionChanges out;
    out.batch = setting_.workload.prefill_batch;
    out.layers = setting_.model.layers;
    for (std::size_t i = 0; i < names.size(); ++i) {
      out.tensors.push_back(DescribeTensor(program_, axes_, program_.tensors[i], names[i]));
    }
    out.ops = DescribeOps(program_, axes_, names);
    return out;
  }

  const Setting& setting_;
  const ExecutionLayouts& layouts_;
  Mesh mesh_;
  DocumentAxes axes_;
  Program program_;
};

// Attention's batch axes cut each shard of the plain batch further, so each shard has padding of
// its own (Lowering::SetBatchAndLengthDims).
std::int64_t TrueSequence(const Program& program, std::int64_t position) {
  const DimInfo& plain = program.dim(Dim::kBatch);
  const std::int64_t shards = program.mesh.IntSize(plain.order.set());
  const std::int64_t block = Whole(program.dim(Dim::kAttentionBatch).padded) / shards;
  const std::int64_t own = Whole(plain.padded) / shards;
  const std::int64_t sequence = position / block * own + position % block;
  return position % block < own && sequence < Whole(plain.size) ? sequence : -1;
}

// Every group of query heads that share a KV head is padded alike, at its end (PaddedHeads).
std::int64_t TrueHead(const Program& program, const Model& model, std::int64_t position) {
  const std::int64_t stored = Whole(program.dim(Dim::kHeads).padded) / model.kv_heads;
  const std::int64_t real = model.query_heads / model.kv_heads;
  return position % stored < real ? position / stored * real + position % stored : -1;
}

// Shards of the cache's length take positions in turn (Dim::kCacheLength).
std::int64_t TruePosition(const Program& program, std::int64_t slot) {
  const DimInfo& info = program.dim(Dim::kCacheLength);
  const std::int64_t shards = program.mesh.IntSize(info.order.set());
  const std::int64_t slots = Whole(info.padded) / shards;
  const std::int64_t position = slot % slots * shards + slot / slots;
  return position < Whole(info.size) ? position : -1;
}

// Whether the dim's padded indices may stand for others than themselves. Of the long dims only the
// cache's length does, and only where it is sharded: no list is made of the others.
bool IsMapped(const Program& program, const Model& model, Dim dim) {
  const DimInfo& info = program.dim(dim);
  if (dim == Dim::kAttentionBatch) {
    const DimInfo& plain = program.dim(Dim::kBatch);
    return !plain.order.set().empty() && plain.padded < info.padded;
  }
  if (dim == Dim::kHeads) {
    return !model.multihead() && model.kv_heads > 1 && info.size < info.padded;
  }
  if (dim == Dim::kCacheLength) {
    return !info.order.set().empty();
  }
  return (dim == Dim::kKvHeads || dim == Dim::kCacheKvHeads) && !model.multihead();
}

std::int64_t TrueIndex(const Program& program, const Model& model, Dim dim, std::int64_t position) {
  if (dim == Dim::kAttentionBatch) {
    return TrueSequence(program, position);
  }
  if (dim == Dim::kHeads) {
    return TrueHead(program, model, position);
  }
  if (dim == Dim::kCacheLength) {
    return TruePosition(program, position);
  }
  return KvHeadOfSlot(position, model.kv_heads, program.mesh.IntSize(program.dim(dim).order.set()));
}

}  // namespace

ExecutionModel DescribeModel(const Model& model) {
  constexpr std::array<const char*, 3> kNorms = {"none", "rms", "layer"};
  constexpr std::array<const char*, 4> kPositions = {"none", "rotary", "alibi", "learned"};
  return {.name = model.name,
          .layers = model.layers,
          .embed_dim = model.embed_dim,
          .ffn_dim = model.ffn_dim,
          .gated = model.gated,
          .query_heads = model.query_heads,
          .kv_heads = model.kv_heads,
          .head_dim = model.head_dim,
          .vocabulary = model.vocabulary,
          .tied_embedding = model.tied_embedding,
          .block = model.parallel() ? "parallel" : "serial",
          .norm = kNorms[static_cast<std::size_t>(model.norm)],
          .norm_bias = model.norm == NormKind::kLayerNorm && model.norm_bias,
          .norms_per_layer = model.norms_per_layer,
          .final_norm = model.final_norm,
          .query_key_norm = model.query_key_norm,
          .attention_qkv_bias = model.biases.attention_qkv,
          .attention_output_bias = model.biases.attention_output,
          .ffn_bias = model.biases.ffn,
          .positions = kPositions[static_cast<std::size_t>(model.positions)],
          .max_positions = model.max_positions,
          .mfu_parameters = MfuParameters(model)};
}

std::vector<std::int64_t> TrueIndices(const Program& program, const Model& model, Dim dim) {
  if (!IsMapped(program, model, dim)) {
    return {};
  }
  std::vector<std::int64_t> indices(static_cast<std::size_t>(Whole(program.dim(dim).padded)));
  const std::int64_t size = Whole(program.dim(dim).size);
  bool plain = true;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto position = static_cast<std::int64_t>(i);
    indices[i] = TrueIndex(program, model, dim, position);
    plain = plain && indices[i] == (position < size ? position : -1);
  }
  return plain ? std::vector<std::int64_t>() : indices;
}

Execution MakeExecution(const Setting& setting, const ExecutionLayouts& layouts) {
  return Describer(setting, layouts).Run();
}

}  // namespace slicewise
