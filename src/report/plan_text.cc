#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "slicewise/report/plan_report.h"
#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

std::string Percent(double fraction) { return fmt::format("{:.1f}%", 100 * fraction); }

std::string MemoryCell(const Plan& plan, const Chip& chip) {
  return fmt::format("{:.1f}/{:.1f}{}", plan.memory.total() / Gibibytes(1),
                     chip.hbm_usable / Gibibytes(1), plan.fits() ? "" : "!");
}

std::string Lengths(const PlanReport& report, Phase phase) {
  const Workload& work = report.setting.workload;
  if (phase == Phase::kPrefill) {
    return fmt::format("batch {}, {} input tokens{}", work.prefill_batch, work.input_length,
                       work.context > 0 ? fmt::format(" after {} cached", work.context) : "");
  }
  return fmt::format("batch {}, {} output tokens, context from {}{}", work.decode_batch,
                     work.output_length, work.context + work.input_length,
                     work.fixed_context ? " (held fixed)" : "");
}

Table PhaseTable(const PlanReport& report, const PhaseReport& phase) {
  const bool decode = phase.phase == Phase::kDecode;
  const bool intervals =
      !phase.entries.empty() && phase.entries.front().plan.latency_high > Seconds();
  Table table;
  table.columns = {{"#"}, {"layout", false}, {"in words", false}, {"latency"}};
  if (intervals) {
    table.columns.push_back({"80% interval"});
  }
  table.columns.push_back({decode ? "per step" : "per token"});
  for (const char* title : {"MFU", "chip-s/tok"}) {
    table.columns.push_back({title});
  }
  table.columns.push_back({"bound", false});
  table.columns.push_back({"GiB/chip"});
  for (const PlanEntry& entry : phase.entries) {
    const Plan& plan = entry.plan;
    std::vector<std::string> row = {std::to_string(entry.rank), entry.layout, entry.description,
                                    Format(plan.latency)};
    if (intervals) {
      row.push_back(fmt::format("{} - {}", Format(plan.latency_low), Format(plan.latency_high)));
    }
    const double tokens = static_cast<double>(report.setting.workload.query_length(plan.phase));
    row.push_back(Format(decode ? plan.step : plan.latency / tokens));
    row.push_back(Percent(plan.mfu));
    row.push_back(Format(plan.chip_seconds_per_token));
    row.emplace_back(Name(plan.bound));
    row.push_back(MemoryCell(plan, report.setting.chip));
    table.rows.push_back(row);
  }
  return table;
}

// Where a plan takes several lines, the first holds its numbers.
Table NumbersFirst(Table table) {
  for (const char* title : {"in words", "80% interval"}) {
    for (std::ptrdiff_t i = 0; i < std::ssize(table.columns); ++i) {
      if (table.columns[static_cast<std::size_t>(i)].title == title) {
        const auto to_end = [&](auto& list) {
          std::rotate(list.begin() + i, list.begin() + i + 1, list.end());
        };
        to_end(table.columns);
        std::for_each(table.rows.begin(), table.rows.end(), to_end);
        break;
      }
    }
  }
  return table;
}

std::string PhaseTableText(const PlanReport& report, const PhaseReport& phase, std::size_t width) {
  const Table table = PhaseTable(report, phase);
  return TableWidth(table) <= width ? TableText(table) : FittedText(NumbersFirst(table), width);
}

std::string RejectedText(const PlanReport& report, const PhaseReport& phase) {
  std::string text = fmt::format("{} layouts in {} classes", phase.layouts, phase.classes);
  if (phase.rejected.count == 0) {
    return text + ", none rejected\n";
  }
  text += fmt::format("; {} rejected (", phase.rejected.count);
  std::string separator;
  for (const auto& [reason, count] : phase.rejected.by_reason) {
    text += fmt::format(
        "{}{} {}", separator,
        reason == "memory" ? "do not fit in memory:" : "heads cannot be padded so:", count);
    separator = ", ";
  }
  text += ")\n";
  if (phase.rejected.nearest && (phase.entries.empty() || !phase.entries.front().plan.fits())) {
    const Violation& violation = *phase.rejected.nearest->violation;
    text += fmt::format("nearest: {} needs {} per chip, has {}\n", phase.nearest_layout,
                        Format(BytesOf(violation.needed)), Format(BytesOf(violation.available)));
  }
  static_cast<void>(report);
  return text;
}

std::string PaddingText(const PhaseReport& phase) {
  if (phase.entries.empty() || phase.entries.front().padding.empty()) {
    return "";
  }
  std::string text = "padding of #1: ";
  std::string separator;
  for (const PaddingRow& row : phase.entries.front().padding) {
    text += fmt::format("{}{} {} to {}", separator, row.dim, row.size, row.padded);
    separator = ", ";
  }
  return text + "\n";
}

std::string DeploymentText(const PlanReport& report) {
  if (!report.deployment) {
    return "";
  }
  const Deployment& d = *report.deployment;
  const Mesh mesh(report.setting.slice);
  std::string text = fmt::format(
      "both phases with shared weights {}{}: {} in all, MFU {}\n"
      "  prefill {} {}, decode {} {}, moving the KV cache between them {}\n",
      WeightsText(d.prefill.layout, mesh),
      report.setting.model.has_attention() ? fmt::format(", {} heads stored", d.stored_heads) : "",
      Format(d.latency), Percent(d.mfu), ToString(d.prefill.layout, mesh),
      Format(d.prefill.latency), ToString(d.decode.layout, mesh), Format(d.decode.latency),
      Format(d.kv_reshard));
  return text;
}

}  // namespace

std::string HeadingText(const PlanReport& report) {
  const Setting& s = report.setting;
  return fmt::format("{} on {} {}: {} chips ({} counts {} TensorCores)\n", s.model.name,
                     s.chip.name, ToString(s.slice), s.slice.chips(),
                     AcceleratorType(s.slice, s.chip), s.slice.chips() * s.chip.cores_per_chip) +
         fmt::format("{} weights, {} activations, {} KV cache; calibration {}, network {}\n",
                     Name(s.workload.weights), Name(s.workload.activations),
                     Name(s.workload.kv_cache), s.calibration.name, Name(s.network));
}

std::string PlanText(const PlanReport& report, std::size_t width) {
  std::string text = Wrap(HeadingText(report), width);
  for (const PhaseReport& phase : report.phases) {
    text += Wrap(fmt::format("\n{}: {}\n", Name(phase.phase), Lengths(report, phase.phase)), width);
    if (!phase.entries.empty()) {
      text += PhaseTableText(report, phase, width);
    }
    if (!phase.why.empty()) {
      text += Wrap(fmt::format("#1 against #2: {}\n", phase.why), width);
    }
    text += Wrap(PaddingText(phase) + RejectedText(report, phase), width);
    if (!phase.entries.empty() && !phase.entries.front().inside_range &&
        report.setting.calibration.inside.coverage > 0) {
      text += "note: outside the calibrated range; the interval is wider\n";
    }
  }
  const std::string deployment = DeploymentText(report);
  return deployment.empty() ? text : text + "\n" + Wrap(deployment, width);
}

std::string PlanMarkdown(const PlanReport& report) {
  std::string text = fmt::format("# {}\n\n", report.setting.model.name) + HeadingText(report);
  for (const PhaseReport& phase : report.phases) {
    text += fmt::format("\n## {}\n\n{}\n\n", Name(phase.phase), Lengths(report, phase.phase));
    text += TableMarkdown(PhaseTable(report, phase)) + "\n";
    if (!phase.why.empty()) {
      text += fmt::format("#1 against #2: {}. ", phase.why);
    }
    text += PaddingText(phase) + RejectedText(report, phase);
  }
  const std::string deployment = DeploymentText(report);
  return deployment.empty() ? text : text + "\n## Deployment\n\n" + deployment;
}

std::string PlanCsv(const PlanReport& report) {
  Table table;
  for (const char* title :
       {"phase", "rank", "layout", "description", "fits", "latency_seconds", "latency_low_seconds",
        "latency_high_seconds", "step_seconds", "tokens_per_second", "mfu",
        "chip_seconds_per_token", "bound", "memory_bytes", "capacity_bytes"}) {
    table.columns.push_back({title});
  }
  for (const PhaseReport& phase : report.phases) {
    for (const PlanEntry& entry : phase.entries) {
      const Plan& plan = entry.plan;
      const bool interval = plan.latency_high > Seconds();
      table.rows.push_back({std::string(Name(phase.phase)), std::to_string(entry.rank),
                            entry.layout, entry.description, plan.fits() ? "true" : "false",
                            FormatExact(plan.latency.base()),
                            interval ? FormatExact(plan.latency_low.base()) : "",
                            interval ? FormatExact(plan.latency_high.base()) : "",
                            FormatExact(plan.step.base()), FormatExact(plan.tokens_per_second),
                            FormatExact(plan.mfu), FormatExact(plan.chip_seconds_per_token.base()),
                            std::string(Name(plan.bound)), FormatExact(plan.memory.total().base()),
                            FormatExact(report.setting.chip.hbm_usable.base())});
    }
  }
  return TableCsv(table);
}

}  // namespace slicewise
