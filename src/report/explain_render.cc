#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "slicewise/report/explain_report.h"
#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string OrDash(bool present, const std::string& text) { return present ? text : "-"; }

std::string OpTitle(const ExplainedOp& op) {
  return (op.function.empty() ? op.kind : op.function) + (op.axes.empty() ? "" : " " + op.axes);
}

Seconds NetworkTime(const OpCost& cost) { return cost.network_bandwidth + cost.network_latency; }

std::string GroupText(const ExplainedOp& op) {
  return op.group == 0 ? "-" : fmt::format("{}{}", op.section[0], op.group);
}

// What the lines of an op hold besides its numbers.
struct OpColumns {
  bool part = true;
  bool shapes = true;
};

Table OpTable(const Explanation& explanation, OpColumns wanted) {
  Table table;
  table.columns = {{"#"}, {"op", false}};
  if (wanted.part) {
    table.columns.insert(table.columns.end(), {{"part", false}, {"group", false}});
  }
  table.columns.insert(table.columns.end(),
                       {{"FLOPs"}, {"HBM"}, {"sent"}, {"alone"}, {"exposed"}, {"bound", false}});
  if (wanted.shapes) {
    table.columns.push_back({"operands -> results", false});
  }
  int index = 0;
  for (const ExplainedOp& op : explanation.ops) {
    std::vector<std::string> row = {std::to_string(++index), OpTitle(op)};
    if (wanted.part) {
      row.insert(row.end(), {op.part, GroupText(op)});
    }
    row.insert(row.end(), {OrDash(op.flops > Flops(), Format(op.flops)),
                           OrDash(op.hbm_bytes > Bytes(), FormatDecimal(op.hbm_bytes)),
                           OrDash(op.sent > Bytes(), FormatDecimal(op.sent)),
                           OrDash(op.cost.alone() > Seconds(), Format(op.cost.alone())),
                           OrDash(op.cost.exposed > Seconds(), Format(op.cost.exposed)), op.bound});
    if (wanted.shapes) {
      row.push_back(
          fmt::format("{} -> {}", fmt::join(op.operands, ", "), fmt::join(op.results, ", ")));
    }
    table.rows.push_back(row);
  }
  return table;
}

// Under each op's numbers, its shapes on lines of their own; its part too where width is short.
std::string NarrowOps(const Explanation& explanation, std::size_t width) {
  const Table with_part = OpTable(explanation, {.part = true, .shapes = false});
  const bool part = TableWidth(with_part, 1) <= width;
  const std::string table =
      TableText(part ? with_part : OpTable(explanation, {.part = false, .shapes = false}), 1);
  std::string text;
  std::size_t begin = 0;
  for (std::size_t line = 0; begin < table.size(); ++line) {
    const std::size_t end = table.find('\n', begin) + 1;
    text += table.substr(begin, end - begin);
    if (line > 0) {
      const ExplainedOp& op = explanation.ops[line - 1];
      if (!part) {
        text +=
            fmt::format("   part {}{}\n", op.part, op.group == 0 ? "" : ", group " + GroupText(op));
      }
      for (const std::string& operand : op.operands) {
        text += fmt::format("      {}\n", operand);
      }
      for (const std::string& result : op.results) {
        text += fmt::format("   -> {}\n", result);
      }
    }
    begin = end;
  }
  return text;
}

std::string SectionTotals(const Explanation& explanation) {
  std::string text;
  for (const char* section : {"prologue", "layer", "epilogue"}) {
    Seconds exposed;
    double times = 0;
    for (const ExplainedOp& op : explanation.ops) {
      if (op.section == section) {
        exposed += op.cost.exposed;
        times = op.times;
      }
    }
    if (times > 0) {
      text += fmt::format("{:<9} {:>8} x {} = {}\n", section, Format(exposed), times,
                          Format(exposed * times));
    }
  }
  const Plan& plan = explanation.entry.plan;
  return text + fmt::format("{:<9} {}, {} per step, MFU {:.1f}%, bound by {}\n", "total",
                            Format(plan.latency), Format(plan.step), 100 * plan.mfu,
                            Name(plan.bound));
}

std::string MemoryText(const MemoryUse& use, const Chip& chip) {
  return fmt::format(
      "memory    {} of {} per chip: weights {}, KV cache {}, activations {}, gathered weights {}, "
      "logits {}\n",
      Format(use.total()), Format(chip.hbm_usable), Format(use.weights), Format(use.kv_cache),
      Format(use.activations), Format(use.gathered_weights), Format(use.logits));
}

std::string SensitivityText(const Explanation& explanation) {
  std::string text = "10 % more ";
  std::string separator;
  for (const Sensitivity& s : explanation.sensitivities) {
    text += fmt::format("{}{}: {:+.1f}%", separator, s.quantity, 100 * s.latency_change);
    separator = "; ";
  }
  return text + "\n";
}

std::string Title(const Explanation& explanation) {
  return fmt::format("{}: {} ({})", Name(explanation.entry.plan.phase), explanation.entry.layout,
                     explanation.entry.description);
}

std::string Tail(const ExplainReport& report, const Explanation& explanation) {
  return SectionTotals(explanation) +
         MemoryText(explanation.entry.plan.memory, report.plan.request.setting.chip) +
         SensitivityText(explanation);
}

Json OpJson(const ExplainedOp& op) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json() : Json(text);
  };
  Json schedule;
  if (!op.schedule.empty()) {
    schedule = {
        {"kind", op.schedule}, {"links", op.links}, {"steps", op.steps}, {"buffers", op.buffers}};
  }
  return {{"section", op.section},
          {"times", op.times},
          {"kind", op.kind},
          {"function", text_or_null(op.function)},
          {"part", op.part},
          {"axes", op.axes},
          {"moves", text_or_null(op.moves)},
          {"contracted", text_or_null(op.contracted)},
          {"schedule", schedule},
          {"overlap_group", op.group == 0 ? Json() : Json(op.group)},
          {"operands", op.operands},
          {"results", op.results},
          {"flops", op.flops.base()},
          {"hbm_bytes", op.hbm_bytes.base()},
          {"volume_bytes", op.volume.base()},
          {"sent_bytes", op.sent.base()},
          {"compute_seconds", op.cost.compute.base()},
          {"hbm_seconds", op.cost.hbm.base()},
          {"network_bandwidth_seconds", op.cost.network_bandwidth.base()},
          {"network_latency_seconds", op.cost.network_latency.base()},
          {"network_seconds", NetworkTime(op.cost).base()},
          {"exposed_seconds", op.cost.exposed.base()},
          {"bound", op.bound}};
}

}  // namespace

std::string ExplainText(const ExplainReport& report, std::size_t width) {
  std::string text = Wrap(HeadingText(report.plan), width);
  for (const Explanation& explanation : report.explanations) {
    const Table table = OpTable(explanation, {});
    text += "\n" + Wrap(Title(explanation) + "\n", width);
    text += TableWidth(table) <= width ? TableText(table) : NarrowOps(explanation, width);
    text += Wrap(Tail(report, explanation), width);
  }
  return text;
}

std::string ExplainMarkdown(const ExplainReport& report) {
  std::string text =
      fmt::format("# {}\n\n", report.plan.request.setting.model.name) + HeadingText(report.plan);
  for (const Explanation& explanation : report.explanations) {
    text += "\n## " + Title(explanation) + "\n\n";
    text += TableMarkdown(OpTable(explanation, {})) + "\n" + Tail(report, explanation);
  }
  return text;
}

std::string ExplainCsv(const ExplainReport& report) {
  Table table;
  for (const char* title :
       {"phase", "layout", "section", "times", "kind", "function", "part", "axes", "group", "flops",
        "hbm_bytes", "volume_bytes", "sent_bytes", "compute_seconds", "hbm_seconds",
        "network_seconds", "exposed_seconds", "bound"}) {
    table.columns.push_back({title});
  }
  for (const Explanation& explanation : report.explanations) {
    for (const ExplainedOp& op : explanation.ops) {
      table.rows.push_back({std::string(Name(explanation.entry.plan.phase)),
                            explanation.entry.layout, op.section, FormatExact(op.times), op.kind,
                            op.function, op.part, op.axes, std::to_string(op.group),
                            FormatExact(op.flops.base()), FormatExact(op.hbm_bytes.base()),
                            FormatExact(op.volume.base()), FormatExact(op.sent.base()),
                            FormatExact(op.cost.compute.base()), FormatExact(op.cost.hbm.base()),
                            FormatExact(NetworkTime(op.cost).base()),
                            FormatExact(op.cost.exposed.base()), op.bound});
    }
  }
  return TableCsv(table);
}

Json ExplainJson(const ExplainReport& report) {
  Json phases = Json::object();
  for (const Explanation& explanation : report.explanations) {
    Json plan = PlanEntryJson(explanation.entry, report.plan.request.setting.chip);
    plan["ops"] = Json::array();
    for (const ExplainedOp& op : explanation.ops) {
      plan["ops"].push_back(OpJson(op));
    }
    plan["sensitivity"] = Json::array();
    for (const Sensitivity& s : explanation.sensitivities) {
      plan["sensitivity"].push_back(
          {{"quantity", s.quantity}, {"change", 0.1}, {"latency_change", s.latency_change}});
    }
    phases[std::string(Name(explanation.entry.plan.phase))] = plan;
  }
  return {{"schema", "slicewise-explain/1"},
          {"request", RequestJson(report.plan)},
          {"provenance", ProvenanceJson(report.plan)},
          {"phases", phases}};
}

}  // namespace slicewise
