#include "slicewise/report/explain_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "slicewise/program/traffic.h"

namespace slicewise {
namespace {

void AddUnique(std::vector<std::string>& list, std::string text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) {
    list.push_back(std::move(text));
  }
}

std::string Describe(const Program& program, TensorId id) {
  const Tensor& tensor = program.tensor(id);
  return fmt::format("{} {}", Name(tensor.role), Notation(tensor, program.mesh));
}

// Operands and results of an op: for attention the second column of terms holds operands too.
void AddTensors(const Program& program, const Op& op, ExplainedOp& out) {
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const Term& term = op.terms[i];
    for (TensorId id : {term.lhs, term.rhs}) {
      if (id != kNoTensor) {
        AddUnique(out.operands, Describe(program, id));
      }
    }
    if (term.out == kNoTensor) {
      continue;
    }
    const bool operand = op.kind == OpKind::kAttention && i > 0;
    AddUnique(operand ? out.operands : out.results, Describe(program, term.out));
  }
}

// "partial to E": what a term does with one axis.
std::string MoveText(const Program& program, const Term& term, int axis) {
  const AxisMove move = MoveOf(program, term, axis);
  const std::string from = move.from_partial ? "partial"
                           : move.has_from   ? std::string(Letter(move.from))
                                             : "none";
  return fmt::format("{} to {}", from, move.has_to ? Letter(move.to) : "all");
}

std::string MovesText(const Program& program, const Op& op) {
  const Mesh& mesh = program.mesh;
  std::vector<std::string> moves;
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const Term& term = op.terms[i];
    for (AxisSet part : mesh.Parts(TermAxes(program, op, term))) {
      std::vector<std::string> texts;
      for (int axis : part) {
        AddUnique(texts, MoveText(program, term, axis));
      }
      if (texts.size() == 1) {  // both factors alike, or one axis
        AddUnique(moves, fmt::format("{}: {}", mesh.Names(part), texts.front()));
        continue;
      }
      for (int axis : part) {
        const std::string name = mesh.Names(AxisSet::Of(axis));
        AddUnique(moves, fmt::format("{}: {}", name, MoveText(program, term, axis)));
      }
    }
  }
  return fmt::format("{}", fmt::join(moves, ", "));
}

std::string ContractedText(const Program& program, const Op& op) {
  std::string text;
  for (std::size_t i = 0; i < op.term_count; ++i) {
    const Tensor& lhs = program.tensor(op.terms[i].lhs);
    const Tensor& rhs = program.tensor(op.terms[i].rhs);
    for (std::size_t d = 0; d < lhs.rank; ++d) {
      const std::string letter(Letter(lhs.dims[d]));
      if (rhs.Find(lhs.dims[d]) >= 0 && text.find(letter) == std::string::npos) {
        text += letter;
      }
    }
  }
  return text;
}

// Links in use per chip, steps and chunk buffers of a collective's schedule.
void AddSchedule(const Mesh& mesh, const Op& op, ExplainedOp& out) {
  out.schedule = Name(op.schedule);
  const int ways = mesh.IntSize(op.axes.set());
  for (const MeshAxis& row : mesh.Rows(op.axes.set())) {
    out.links += row.wraps ? 2 : 1;
    out.steps += Hops(row) / row.stride;
  }
  out.buffers = op.schedule == Schedule::kBlocking ? 1 : 2;
  if (op.schedule == Schedule::kLoopedOneWay) {
    out.links = 1;
    out.steps = ways - 1;
  }
}

std::string BoundOf(const OpCost& cost) {
  const Seconds network = cost.network_bandwidth + cost.network_latency;
  const Seconds largest = std::max({cost.compute, cost.hbm, network});
  if (largest == Seconds()) {
    return "free";
  }
  if (largest == network) {
    return cost.network_bandwidth >= cost.network_latency ? "network" : "latency";
  }
  return largest == cost.compute ? "compute" : "hbm";
}

ExplainedOp ExplainOp(const Program& program, const PhaseCost& cost, std::size_t index) {
  const Op& op = program.ops[index];
  const bool layer = index >= program.layer.begin && index < program.layer.end;
  ExplainedOp out;
  out.section = SectionName(program, index);
  out.times = program.steps * (layer ? program.layers : 1);
  out.cost = cost.ops[index];
  out.kind = Name(op.kind);
  out.function = op.kind == OpKind::kElementwise ? Name(op.function) : "";
  out.part = Name(op.part);
  out.axes = program.mesh.Names(op.axes);
  out.group = op.group;
  AddTensors(program, op, out);
  if (IsCollective(op.kind)) {
    AddSchedule(program.mesh, op, out);
    out.moves = MovesText(program, op);
    const Traffic traffic = CollectiveTraffic(program, op);
    out.volume = traffic.volume;
    out.sent = traffic.sent;
  }
  if (op.kind == OpKind::kEinsum) {
    out.contracted = ContractedText(program, op);
  }
  out.flops = OpFlops(program, op);
  out.hbm_bytes =
      op.kind == OpKind::kElementwise ? ElementwiseBytes(program, op) : StreamedBytes(program, op);
  out.bound = BoundOf(out.cost);
  return out;
}

// Latency of the plan with 10 % more of each hardware number, against its latency.
std::vector<Sensitivity> Sensitivities(const Setting& setting, const Plan& plan) {
  struct Knob {
    const char* name;
    void (*raise)(Chip&);
  };
  static constexpr Knob kKnobs[] = {
      {"peak FLOP/s", [](Chip& c) { c.peak_bf16 *= 1.1, c.peak_int8 *= 1.1; }},
      {"HBM bandwidth", [](Chip& c) { c.hbm_bandwidth *= 1.1; }},
      {"link bandwidth", [](Chip& c) { c.link_bandwidth *= 1.1, c.paper_bandwidth *= 1.1; }},
  };
  std::vector<Sensitivity> out;
  const auto latency = [&](const Setting& changed) {
    return Evaluator(changed).Evaluate(plan.layout, plan.phase, plan.stored_heads)->latency;
  };
  for (const Knob& knob : kKnobs) {
    Setting changed = setting;
    knob.raise(changed.chip);
    out.push_back({knob.name, latency(changed) / plan.latency - 1});
  }
  Setting changed = setting;
  changed.calibration.hop_latency /= 1.1;
  changed.calibration.launch_latency /= 1.1;
  out.push_back({"1 / hop and launch latency", latency(changed) / plan.latency - 1});
  return out;
}

}  // namespace

std::string Notation(const Tensor& tensor, const Mesh& mesh) {
  std::string text;
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    text += Letter(tensor.dims[i]);
    if (!tensor.sharding[i].empty()) {
      text += "_" + mesh.Names(tensor.sharding[i]);
    }
  }
  if (!tensor.partial.empty()) {
    text += fmt::format(" (partialsum-{})", mesh.Names(tensor.partial));
  }
  return text;
}

ExplainReport MakeExplainReport(const Request& request) {
  const Setting& setting = request.setting;
  ExplainReport report;
  Request one = request;
  one.top = 1;
  report.plan = MakePlanReport(one);
  Evaluator evaluator(setting);
  for (const PhaseReport& phase : report.plan.phases) {
    if (phase.entries.empty()) {
      continue;
    }
    Explanation explanation;
    explanation.entry = phase.entries.front();
    const Plan& plan = explanation.entry.plan;
    static_cast<void>(evaluator.Evaluate(plan.layout, plan.phase, plan.stored_heads));
    const PhaseCost cost = evaluator.Cost();
    for (std::size_t i = 0; i < cost.ops.size(); ++i) {
      explanation.ops.push_back(ExplainOp(evaluator.program(), cost, i));
    }
    explanation.sensitivities = Sensitivities(setting, plan);
    report.explanations.push_back(std::move(explanation));
  }
  return report;
}

}  // namespace slicewise
