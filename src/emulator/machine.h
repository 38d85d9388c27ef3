// The state of a virtual slice that runs one program, and the steps of its execution.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "placement.h"
#include "slicewise/emulator/emulator.h"

namespace slicewise::emulator {

struct Machine {
  Machine(const Model& a_model, const Program& a_program);

  Model model;
  Program program;
  Placement placement;
  // Shards by tensor, layer (0 unless per_layer) and chip; empty where not allocated.
  std::vector<std::vector<std::vector<Values>>> shards;

  // Where execution stands.
  int chips = 1;
  int layer = -1;
  std::size_t op = 0;
  int cached = 0;  // positions of each sequence before this pass
  int length = 0;  // positions of this pass

  LinkTiming timing = {GigabytesPerSecond(45), {}};
  std::function<void(std::size_t, int)> observer;
  std::map<std::pair<int, unsigned>, MessageList> schedules;
  std::vector<std::vector<std::int64_t>> link_bytes;  // by op; then chip * kDirections + direction
  std::vector<OpTraffic> traffic;
  Bytes peak;
  std::optional<Fault> fault;
  Values logits;
  Values residual;
  std::vector<int> sampled;

  [[nodiscard]] const Tensor& tensor(TensorId id) const { return program.tensor(id); }
  [[nodiscard]] const Op& current() const { return program.ops[op]; }
  // Gathered weights are made anew for each layer: only what stays is one for each.
  [[nodiscard]] static bool PerLayer(const Tensor& tensor) {
    return tensor.per_layer && tensor.lifetime != Lifetime::kTransient;
  }
  // Where the shards of a layer are kept; 0 for what all layers share.
  [[nodiscard]] std::size_t Slot(TensorId id, int of_layer) const;
  void Raise(const std::string& reason);
  // The shard an op reads; raises a fault and returns zeros when there is none.
  [[nodiscard]] const Values& Read(TensorId id, int chip);
  // The shard an op writes, as it is; allocated with zeros when there is none.
  Values& Write(TensorId id, int chip);
  [[nodiscard]] Box BoxOf(TensorId id, int chip) {
    return placement.BoxOf(program.tensor(id), chip);
  }
};

// Fills `target` with what a chip needs before values are put in: NaN, and zeros at padding.
void Clear(const Box& box, double* target);
// Copies values of equal true indices; the others stay.
void Overlay(Placement& placement, const Box& to, double* target, const Box& from,
             const double* source);
// Whether some needed value has not arrived.
[[nodiscard]] bool HasMissing(const Values& values);

// The steps of an execution, one function for each kind of op.
void RunEinsum(Machine& machine);
void RunAttention(Machine& machine);
void RunElementwise(Machine& machine);
void RunCollective(Machine& machine);
void RunOp(Machine& machine);

// Weights and caches before the first pass.
void LayOut(Machine& machine, const Weights& weights);
[[nodiscard]] Values Collect(Machine& machine, TensorId id, int layer);

}  // namespace slicewise::emulator
