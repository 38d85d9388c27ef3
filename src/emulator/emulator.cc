#include "slicewise/emulator/emulator.h"

#include <algorithm>
#include <limits>

#include "machine.h"

namespace slicewise {
namespace {

using emulator::Box;
using emulator::Machine;

// The tensor of the role with the lifetime, or kNoTensor.
TensorId FindTensor(const Program& program, TensorRole role, Lifetime lifetime) {
  for (std::size_t i = 0; i < program.tensors.size(); ++i) {
    if (program.tensors[i].role == role && program.tensors[i].lifetime == lifetime) {
      return static_cast<TensorId>(i);
    }
  }
  return kNoTensor;
}

// Sets every chip's shard of a tensor that is batch x length (x embed) from the true values.
void Distribute(Machine& machine, TensorId id, const Values& values) {
  const Tensor& tensor = machine.tensor(id);
  Box whole;
  for (std::size_t i = 0; i < whole.held.size(); ++i) {
    emulator::Held all(
        i < tensor.rank ? static_cast<std::size_t>(machine.placement.TrueSize(tensor.dims[i])) : 1);
    for (std::size_t index = 0; index < all.size(); ++index) {
      all[index] = static_cast<int>(index);
    }
    whole.held[i] = machine.placement.Intern(std::move(all));
  }
  for (int chip = 0; chip < machine.chips; ++chip) {
    Values& shard = machine.Write(id, chip);
    shard.setZero();
    Overlay(machine.placement, machine.BoxOf(id, chip), shard.data(), whole, values.data());
  }
}

// Bytes that one chip holds now.
Bytes Held(const Machine& machine, std::size_t chip) {
  Bytes bytes;
  for (std::size_t id = 0; id < machine.shards.size(); ++id) {
    const Tensor& tensor = machine.program.tensors[id];
    for (const auto& layer : machine.shards[id]) {
      const double elements = static_cast<double>(layer[chip].size());
      const double stored =
          tensor.streamed ? std::min(elements, machine.program.StoredElements(tensor)) : elements;
      bytes += stored * ElementBytes(tensor.type);
    }
  }
  return bytes;
}

void Observe(Machine& machine) {
  for (int chip = 0; chip < machine.chips; ++chip) {
    machine.peak = std::max(machine.peak, Held(machine, static_cast<std::size_t>(chip)));
  }
  if (machine.observer) {
    machine.observer(machine.op, machine.layer);
  }
}

// The last op of the section that names each tensor.
std::vector<std::size_t> LastUses(const Program& program, Section section) {
  std::vector<std::size_t> last(program.tensors.size(), program.ops.size());
  for (std::size_t i = section.begin; i < section.end; ++i) {
    const Op& op = program.ops[i];
    for (std::size_t t = 0; t < op.term_count; ++t) {
      for (TensorId id : {op.terms[t].lhs, op.terms[t].rhs, op.terms[t].out}) {
        if (id != kNoTensor) {
          last[id] = i;
        }
      }
    }
  }
  return last;
}

void KeepLogits(Machine& machine) {
  const Op& op = machine.current();
  if (op.kind == OpKind::kElementwise && op.function == Elementwise::kSample) {
    machine.logits = Collect(machine, op.terms[0].lhs, 0);
  }
}

// The best candidate of each sequence, as chip 0 knows them; complete after the last op.
void KeepSample(Machine& machine) {
  const Op& op = machine.current();
  const TensorId out = op.terms[0].out;
  if (out == kNoTensor || machine.tensor(out).role != TensorRole::kCandidates) {
    return;
  }
  const Box box = machine.BoxOf(out, 0);
  const Values& candidates = machine.Read(out, 0);
  machine.sampled.assign(static_cast<std::size_t>(machine.placement.TrueSize(Dim::kBatch)), -1);
  std::int64_t at = 0;
  for (int sequence : *box.held[0]) {
    double best = -std::numeric_limits<double>::infinity();
    for (std::size_t shard = 0; shard < box.size(1); ++shard, at += 2) {
      if (sequence >= 0 && candidates[at] > best) {
        best = candidates[at];
        machine.sampled[static_cast<std::size_t>(sequence)] = static_cast<int>(candidates[at + 1]);
      }
    }
  }
}

void RunSection(Machine& machine, Section section, int layer) {
  machine.layer = layer;
  const std::vector<std::size_t> last = LastUses(machine.program, section);
  for (std::size_t i = section.begin; i < section.end && !machine.fault; ++i) {
    machine.op = i;
    KeepLogits(machine);
    RunOp(machine);
    KeepSample(machine);
    Observe(machine);
    for (std::size_t id = 0; id < last.size(); ++id) {
      if (last[id] == i && machine.program.tensors[id].lifetime == Lifetime::kTransient) {
        for (auto& shard : machine.shards[id][0]) {
          shard.resize(0);
        }
      }
    }
  }
}

}  // namespace

Emulator::Emulator(const Model& model, const Program& program, const Weights& weights)
    : machine_(std::make_unique<Machine>(model, program)) {
  LayOut(*machine_, weights);
}

Emulator::~Emulator() = default;

void Emulator::SetTiming(const LinkTiming& timing) { machine_->timing = timing; }

void Emulator::SetObserver(std::function<void(std::size_t, int)> observer) {
  machine_->observer = std::move(observer);
}

void Emulator::CarryCache(Emulator& earlier) {
  Machine& from = *earlier.machine_;
  Machine& to = *machine_;
  to.cached = from.cached;
  if (to.fault || from.fault) {
    return;
  }
  for (TensorRole role : {TensorRole::kKeyCache, TensorRole::kValueCache}) {
    const TensorId source = FindTensor(from.program, role, Lifetime::kPhase);
    const TensorId target = FindTensor(to.program, role, Lifetime::kPhase);
    if (source == kNoTensor || target == kNoTensor) {
      continue;
    }
    const auto old_slots = static_cast<std::int64_t>(from.placement.TrueSize(Dim::kCacheLength));
    const auto slots = static_cast<std::int64_t>(to.placement.TrueSize(Dim::kCacheLength));
    for (int layer = 0; layer < static_cast<int>(to.program.layers); ++layer) {
      const Values old = emulator::Collect(from, source, layer);
      const std::int64_t batch = to.placement.TrueSize(Dim::kBatch);
      const std::int64_t row = old.size() / (batch * old_slots);
      Values grown = Values::Zero(batch * slots * row);
      for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t kept = std::min(slots, old_slots) * row;
        grown.segment(b * slots * row, kept) = old.segment(b * old_slots * row, kept);
      }
      to.layer = layer;
      Distribute(to, target, grown);
    }
  }
  to.fault = from.fault;
}

void Emulator::Pass(const PassInput& input) {
  Machine& m = *machine_;
  if (m.fault) {
    return;
  }
  m.length = static_cast<int>(input.length);
  m.layer = 0;
  if (!input.tokens.empty()) {
    Values tokens(static_cast<std::int64_t>(input.tokens.size()));
    std::copy(input.tokens.begin(), input.tokens.end(), tokens.begin());
    Distribute(m, FindTensor(m.program, TensorRole::kTokens, Lifetime::kPhase), tokens);
  } else {
    Distribute(m, FindTensor(m.program, TensorRole::kResidual, Lifetime::kPhase), input.residual);
  }
  RunSection(m, m.program.prologue, -1);
  const auto layers = static_cast<int>(m.program.layers);
  for (int layer = 0; layer < layers; ++layer) {
    RunSection(m, m.program.layer, layer);
  }
  m.residual =
      emulator::Collect(m, FindTensor(m.program, TensorRole::kResidual, Lifetime::kPhase), 0);
  RunSection(m, m.program.epilogue, layers);
  m.cached += m.length;
}

Values Emulator::Collect(TensorId tensor, int layer) {
  return emulator::Collect(*machine_, tensor, layer);
}

Values& Emulator::Shard(TensorId tensor, int layer, int chip) {
  return machine_->shards[tensor][machine_->Slot(tensor, layer)][static_cast<std::size_t>(chip)];
}

const Program& Emulator::program() const { return machine_->program; }
int Emulator::chips() const { return machine_->chips; }
const Values& Emulator::logits() const { return machine_->logits; }
const std::vector<int>& Emulator::sampled() const { return machine_->sampled; }
const Values& Emulator::residual() const { return machine_->residual; }
const std::vector<OpTraffic>& Emulator::traffic() const { return machine_->traffic; }

Bytes Emulator::LinkBytes(std::size_t op, int chip, int direction) const {
  const auto& links = machine_->link_bytes[op];
  const auto link = LinkIndex(chip, direction);
  return links.empty() ? Bytes() : BytesOf(static_cast<double>(links[link]));
}

Bytes Emulator::peak_memory() const { return machine_->peak; }
const std::optional<Fault>& Emulator::fault() const { return machine_->fault; }

}  // namespace slicewise
