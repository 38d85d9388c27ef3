// The mesh and a PartitionSpec for every tensor that lives between passes.
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "export_targets.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

// Bytes that one chip sends over each axis in the whole of both phases; an op over several axes
// counts evenly for each.
std::map<std::string, double> SentBytes(const Execution& execution) {
  std::map<std::string, double> sent;
  for (const ExecutionAxis& axis : execution.mesh.axes) {
    sent[axis.name] = 0;
  }
  for (const auto& phase : {execution.phases.prefill, execution.phases.decode}) {
    if (!phase) {
      continue;
    }
    for (const ExecutionOp& op : phase->ops) {
      const auto times =
          static_cast<double>(phase->steps * (op.section == "layer" ? phase->layers : 1));
      for (const std::string& axis : op.axes) {
        sent[axis] += times * op.sent_bytes / static_cast<double>(op.axes.size());
      }
    }
  }
  return sent;
}

// Positions of the mesh's axes by increasing network intensity, as create_device_mesh wants them.
std::vector<std::size_t> ByIntensity(const Execution& execution,
                                     const std::map<std::string, double>& sent) {
  const std::vector<ExecutionAxis>& axes = execution.mesh.axes;
  std::vector<std::size_t> order(axes.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return sent.at(axes[a].name) < sent.at(axes[b].name);
  });
  return order;
}

int PhysicalOf(const ExecutionAxis& axis) { return axis.physical_axis[0] - 'x'; }

// Whether some mesh axis is only a factor of its physical axis.
bool SplitsPhysicalAxes(const Execution& execution, const Slice& slice) {
  const std::vector<ExecutionAxis>& axes = execution.mesh.axes;
  return std::any_of(axes.begin(), axes.end(), [&](const ExecutionAxis& axis) {
    return axis.size != slice.dims[static_cast<std::size_t>(PhysicalOf(axis))];
  });
}

// Whether create_device_mesh, given the axes in this order, lays each over its own physical axis.
bool GreedyAgrees(const Execution& execution, const Slice& slice,
                  const std::vector<std::size_t>& order) {
  if (SplitsPhysicalAxes(execution, slice)) {
    return false;
  }
  std::vector<int> logical;
  for (std::size_t at : order) {
    logical.push_back(static_cast<int>(execution.mesh.axes[at].size));
  }
  const auto assigned = GreedyAssignment({slice.dims.begin(), slice.dims.end()}, logical);
  for (std::size_t i = 0; i < assigned.size(); ++i) {
    // Physical axes of length 1 may come along.
    std::vector<int> longer = assigned[i];
    std::erase_if(longer,
                  [&](int axis) { return slice.dims[static_cast<std::size_t>(axis)] == 1; });
    if (longer != std::vector<int>{PhysicalOf(execution.mesh.axes[order[i]])}) {
      return false;
    }
  }
  return assigned.size() == order.size();
}

// The coordinates (x, y, z) of every device, in row-major order of the mesh with these axes.
Json DeviceOrder(const Execution& execution, const std::vector<std::size_t>& order) {
  const std::vector<ExecutionAxis>& axes = execution.mesh.axes;
  std::int64_t devices = 1;
  for (const ExecutionAxis& axis : axes) {
    devices *= axis.size;
  }
  Json list = Json::array();
  std::vector<std::int64_t> at(axes.size());
  for (std::int64_t device = 0; device < devices; ++device) {
    std::int64_t rest = device;
    for (std::size_t i = order.size(); i-- > 0;) {
      at[order[i]] = rest % axes[order[i]].size;
      rest /= axes[order[i]].size;
    }
    std::array<std::int64_t, 3> coordinates = {};
    for (std::size_t i = 0; i < axes.size(); ++i) {  // factors of one axis: major first
      std::int64_t& coordinate = coordinates[static_cast<std::size_t>(PhysicalOf(axes[i]))];
      coordinate = coordinate * axes[i].size + at[i];
    }
    list.push_back(coordinates);
  }
  return list;
}

Json MeshJson(const ExportInput& input) {
  const Execution& execution = input.execution;
  const std::map<std::string, double> sent = SentBytes(execution);
  const std::vector<std::size_t> order = ByIntensity(execution, sent);
  const Slice& slice = input.setting.slice;
  Json names = Json::array();
  Json shape = Json::array();
  Json bytes = Json::array();
  Json assignment = Json::array();
  for (std::size_t at : order) {
    names.push_back(execution.mesh.axes[at].name);
    shape.push_back(execution.mesh.axes[at].size);
    bytes.push_back(sent.at(execution.mesh.axes[at].name));
  }
  for (int physical = 0; physical < 3; ++physical) {
    Json row = Json::array();
    for (std::size_t at : order) {
      const ExecutionAxis& axis = execution.mesh.axes[at];
      row.push_back(PhysicalOf(axis) == physical ? axis.size : 1);
    }
    assignment.push_back(row);
  }
  const bool agrees = GreedyAgrees(execution, slice, order);
  return {{"axis_names", names},
          {"shape", shape},
          {"sent_bytes", bytes},
          {"physical_shape", slice.dims},
          {"assignment", assignment},
          {"allow_split_physical_axes", SplitsPhysicalAxes(execution, slice)},
          {"device_order", agrees ? Json() : DeviceOrder(execution, order)}};
}

Json SpecJson(const std::vector<ExecutionShard>& dims) {
  Json spec = Json::array();
  for (const ExecutionShard& dim : dims) {
    spec.push_back(dim.axes.empty()       ? Json()
                   : dim.axes.size() == 1 ? Json(dim.axes.front())
                                          : Json(dim.axes));
  }
  return spec;
}

const ExecutionDim& FindDim(const ExecutionPhase& phase, const std::string& name) {
  return *std::find_if(phase.dims.begin(), phase.dims.end(),
                       [&](const ExecutionDim& dim) { return dim.name == name; });
}

// The true index at every position of a stored dim, shard after shard; -1 for padding.
std::vector<std::int64_t> StoredIndices(const ExportInput& input, const ExecutionDim& dim,
                                        const ExecutionShard& shard) {
  const std::int64_t shards = dim.padded_size / shard.local_size;
  std::vector<std::vector<std::int64_t>> held(static_cast<std::size_t>(shards));
  for (std::int64_t position = 0; position < dim.padded_size; ++position) {
    std::map<std::string, std::int64_t> digit;
    std::int64_t stride = dim.padded_size;
    for (const std::string& axis : dim.axes) {
      stride /= input.SizeOf(axis);
      digit[axis] = position / stride % input.SizeOf(axis);
    }
    std::int64_t owner = 0;
    for (const std::string& axis : shard.axes) {
      owner = owner * input.SizeOf(axis) + digit[axis];
    }
    const std::int64_t plain = position < dim.size ? position : -1;
    held[static_cast<std::size_t>(owner)].push_back(
        dim.indices.empty() ? plain : dim.indices[static_cast<std::size_t>(position)]);
  }
  std::vector<std::int64_t> stored;
  for (const auto& part : held) {
    stored.insert(stored.end(), part.begin(), part.end());
  }
  return stored;
}

// Whether shards are cut off the dim one after the other, as the digits that cut it are the major
// ones, and each index is itself: true of nearly every dim, the long ones among them.
bool IsPlain(const ExecutionDim& dim, const ExecutionShard& shard) {
  return dim.indices.empty() && shard.axes.size() <= dim.axes.size() &&
         std::equal(shard.axes.begin(), shard.axes.end(), dim.axes.begin());
}

// The indices where they are not simply 0, 1, ... and then padding.
Json PermutedJson(const std::vector<std::int64_t>& stored, std::int64_t size) {
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const auto position = static_cast<std::int64_t>(i);
    if (stored[i] != (position < size ? position : -1)) {
      return stored;
    }
  }
  return {};
}

std::string JaxType(const std::string& dtype) { return dtype == "bf16" ? "bfloat16" : dtype; }

Json TensorJson(const ExportInput& input, const ExecutionPhase& phase,
                const ExecutionTensor& tensor) {
  Json shape = Json::array();
  Json true_shape = Json::array();
  Json indices = Json::array();
  for (const ExecutionShard& shard : tensor.dims) {
    const ExecutionDim& dim = FindDim(phase, shard.name);
    shape.push_back(shard.local_size * input.SizeOf(shard.axes));
    true_shape.push_back(shard.size);
    indices.push_back(
        IsPlain(dim, shard) ? Json() : PermutedJson(StoredIndices(input, dim, shard), shard.size));
  }
  return {{"partition_spec", SpecJson(tensor.dims)},
          {"shape", shape},
          {"true_shape", true_shape},
          {"stored_indices", indices},
          {"dtype", JaxType(tensor.dtype)},
          {"per_layer", tensor.per_layer}};
}

// The tensors that outlive a pass: what is fed, the cache, the residual stream.
Json PhaseJson(const ExportInput& input, const ExecutionPhase& phase) {
  Json tensors = Json::object();
  for (const ExecutionTensor& tensor : phase.tensors) {
    if (tensor.lifetime == Name(Lifetime::kPhase)) {
      tensors[tensor.name] = TensorJson(input, phase, tensor);
    }
  }
  return {{"layout", phase.layout},
          {"batch", phase.batch},
          {"query_length", phase.query_length},
          {"tensors", tensors}};
}

}  // namespace

std::vector<std::vector<int>> GreedyAssignment(const std::vector<int>& physical,
                                               const std::vector<int>& logical) {
  std::vector<int> left = physical;
  const unsigned subsets = 1U << physical.size();
  std::vector<std::vector<int>> assigned(logical.size());
  for (std::size_t i = logical.size(); i-- > 0;) {
    std::vector<int> best;
    // Among subsets of one size the first in lexicographic order.
    for (unsigned bits = 1; bits < subsets; ++bits) {
      std::vector<int> axes;
      int product = 1;
      for (std::size_t axis = 0; axis < physical.size(); ++axis) {
        if ((bits >> axis & 1U) != 0) {
          axes.push_back(static_cast<int>(axis));
          product *= left[axis];
        }
      }
      const bool better = axes.size() > best.size() || (axes.size() == best.size() && axes < best);
      if (product == logical[i] && better) {
        best = axes;
      }
    }
    if (best.empty() && logical[i] > 1) {
      return {};
    }
    for (int axis : best) {
      left[static_cast<std::size_t>(axis)] = 0;
    }
    assigned[i] = best;
  }
  return assigned;
}

Exported ExportJax(const ExportInput& input) {
  Json weights = Json::object();
  for (const ExecutionTensor& tensor : input.execution.weights) {
    weights[tensor.name] = TensorJson(input, input.phase, tensor);
  }
  Json phases = Json::object();
  if (input.execution.phases.prefill) {
    phases["prefill"] = PhaseJson(input, *input.execution.phases.prefill);
  }
  if (input.execution.phases.decode) {
    phases["decode"] = PhaseJson(input, *input.execution.phases.decode);
  }
  const Json document = {{"schema", "slicewise-jax/1"},
                         {"model", input.execution.model.name},
                         {"slice", input.execution.mesh.slice},
                         {"layers", input.execution.model.layers},
                         {"mesh", MeshJson(input)},
                         {"weights", weights},
                         {"phases", phases}};
  return {document.dump(2) + "\n", {}};
}

}  // namespace slicewise
