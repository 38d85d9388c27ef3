#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "slicewise/report/plan_report.h"
#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

std::string MemoryCell(const Plan& plan, const Chip& chip) {
  return fmt::format("{:.1f}/{:.1f}{}", plan.memory.total() / Gibibytes(1),
                     chip.hbm_usable / Gibibytes(1), plan.fits() ? "" : "!");
}

std::string Lengths(const PlanReport& report, Phase phase) {
  const Workload& work = report.request.setting.workload;
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
    const double tokens =
        static_cast<double>(report.request.setting.workload.query_length(plan.phase));
    row.push_back(Format(decode ? plan.step : plan.latency / tokens));
    row.push_back(FormatPercent(plan.mfu));
    row.push_back(Format(plan.chip_seconds_per_token));
    row.emplace_back(Name(plan.bound));
    row.push_back(MemoryCell(plan, report.request.setting.chip));
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

std::string_view Reason(std::string_view code) {
  return code == "memory"    ? "do not fit in memory:"
         : code == "context" ? "have no room for the context:"
         : code == "ttft"    ? "miss the time to first token:"
         : code == "tpot"    ? "miss the time per output token:"
                             : "heads cannot be padded so:";
}

std::string RejectedText(const PhaseReport& phase) {
  std::string text = fmt::format("{} layouts in {} classes", phase.layouts, phase.classes);
  if (phase.rejected.count == 0) {
    return text + ", none rejected\n";
  }
  text += fmt::format("; {} rejected (", phase.rejected.count);
  std::string separator;
  for (const auto& [reason, count] : phase.rejected.by_reason) {
    text += fmt::format("{}{} {}", separator, Reason(reason), count);
    separator = ", ";
  }
  text += ")\n";
  if (phase.rejected.nearest && (phase.entries.empty() || !phase.entries.front().plan.fits())) {
    const Violation& violation = *phase.rejected.nearest->violation;
    text += fmt::format("nearest: {} {}\n", phase.nearest_layout, Words(violation));
  }
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

// What serving with the deployment comes to, for one slice.
std::string FiguresText(const ServingFigures& figures) {
  return fmt::format(
      "  serving: TTFT {}, TPOT {}, {:.3g} requests/s, {:.3g} tokens per chip-second, ${:.3g} per "
      "million tokens\n",
      Format(figures.ttft), Format(figures.tpot), figures.requests_per_second,
      figures.tokens_per_chip_second, figures.price_per_million_tokens.base());
}

std::string DeploymentText(const PlanReport& report) {
  if (!report.deployment) {
    return report.request.phases.size() == 2 && !report.infeasible()
               ? "no pair of plans shares its weights and fits in memory at once\n"
               : "";
  }
  const Deployment& d = *report.deployment;
  const Mesh mesh(report.request.setting.slice);
  std::string text = fmt::format(
      "both phases with shared weights {}{}: {} in all, MFU {}\n"
      "  prefill {} {}, decode {} {}, moving the KV cache between them {}\n",
      WeightsText(d.prefill.layout, mesh),
      report.request.setting.model.has_attention()
          ? fmt::format(", {} heads stored", d.stored_heads)
          : "",
      Format(d.latency), FormatPercent(d.mfu), ToString(d.prefill.layout, mesh),
      Format(d.prefill.latency), ToString(d.decode.layout, mesh), Format(d.decode.latency),
      Format(d.kv_reshard));
  text += FiguresText(d.figures);
  if (report.with_two_layouts) {
    text += fmt::format("  one layout for both phases costs {}; two would take {}\n",
                        FormatPercent(d.latency / report.with_two_layouts->latency - 1),
                        Format(report.with_two_layouts->latency));
  }
  return text;
}

std::string BeyondText(const PhaseReport& phase) {
  if (!phase.beyond_paper) {
    return "";
  }
  const Plan& plan = phase.beyond_paper->plan;
  const std::string faster =
      phase.entries.empty() || !phase.entries.front().plan.fits()
          ? "where no other does"
          : fmt::format("{} less",
                        FormatPercent(1 - plan.latency / phase.entries.front().plan.latency));
  return fmt::format("beyond the paper's layouts: {} takes {}, {} (--layouts all ranks them)\n",
                     phase.beyond_paper->layout, Format(plan.latency), faster);
}

}  // namespace

std::string Words(const Violation& violation) {
  switch (violation.code) {
    case Violation::Code::kMemory:
    case Violation::Code::kContext:
      return fmt::format("needs {} per chip{}, has {}", Format(BytesOf(violation.needed)),
                         violation.code == Violation::Code::kContext ? " for the context" : "",
                         Format(BytesOf(violation.available)));
    case Violation::Code::kTtft:
    case Violation::Code::kTpot:
      return fmt::format(
          "takes {} {}, the limit is {}", Format(SecondsOf(violation.needed)),
          violation.code == Violation::Code::kTtft ? "to the first token" : "per output token",
          Format(SecondsOf(violation.available)));
  }
  return "";
}

std::string InfeasibleText(const PlanReport& report) {
  std::string text;
  for (const PhaseReport& phase : report.phases) {
    if (!phase.entries.empty() && phase.entries.front().plan.fits()) {
      continue;
    }
    text += fmt::format("{}: ", Name(phase.phase));
    if (!phase.entries.empty()) {  // named by --layout
      const PlanEntry& entry = phase.entries.front();
      text += fmt::format("{} {}\n", entry.layout, Words(*entry.plan.violation));
    } else if (phase.rejected.nearest) {
      const Violation& violation = *phase.rejected.nearest->violation;
      const bool memory = violation.code == Violation::Code::kMemory;
      text +=
          fmt::format("no layout {}; the nearest, {}, {}\n", memory ? "fits" : "keeps the limits",
                      phase.nearest_layout, Words(violation));
    } else {
      const std::int64_t heads = report.request.setting.padded_heads;
      text += fmt::format("no legal layout{}\n",
                          heads > 0 ? fmt::format(" holds exactly {} heads", heads) : "");
    }
  }
  return text;
}

std::string HeadingText(const PlanReport& report) {
  const Setting& s = report.request.setting;
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
    text += Wrap(PaddingText(phase) + RejectedText(phase) + BeyondText(phase), width);
    if (!phase.entries.empty() && !phase.entries.front().inside_range &&
        report.request.setting.calibration.inside.coverage > 0) {
      text += "note: outside the calibrated range; the interval is wider\n";
    }
  }
  const std::string deployment = DeploymentText(report);
  return deployment.empty() ? text : text + "\n" + Wrap(deployment, width);
}

std::string PlanMarkdown(const PlanReport& report) {
  std::string text =
      fmt::format("# {}\n\n", report.request.setting.model.name) + HeadingText(report);
  for (const PhaseReport& phase : report.phases) {
    text += fmt::format("\n## {}\n\n{}\n\n", Name(phase.phase), Lengths(report, phase.phase));
    text += TableMarkdown(PhaseTable(report, phase)) + "\n";
    if (!phase.why.empty()) {
      text += fmt::format("#1 against #2: {}. ", phase.why);
    }
    text += PaddingText(phase) + RejectedText(phase) + BeyondText(phase);
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
                            FormatExact(report.request.setting.chip.hbm_usable.base())});
    }
  }
  return TableCsv(table);
}

}  // namespace slicewise
