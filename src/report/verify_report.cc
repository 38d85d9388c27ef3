#include "slicewise/report/verify_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string WholeBytes(Bytes bytes) { return FormatCount(std::llround(bytes.base())); }

Table TrafficTable(const VerifyReport& report) {
  Table table;
  table.columns = {{"phase", false}, {"collective", false}, {"predicted B"}, {"counted B"},
                   {"equal", false}, {"busiest link B"},    {"if even, B"}};
  for (const VerifyOp& op : report.ops) {
    table.rows.push_back({std::string(Name(op.phase)), op.name, WholeBytes(op.predicted),
                          WholeBytes(op.counted), op.equal() ? "yes" : "NO",
                          WholeBytes(op.busiest_link), fmt::format("{:.1f}", op.even_link.base())});
  }
  return table;
}

Table PassTable(const VerifyReport& report) {
  Table table;
  table.columns = {{"pass", false}, {"largest relative difference"}, {"same tokens", false}};
  for (const VerifyPass& pass : report.passes) {
    table.rows.push_back(
        {pass.name, fmt::format("{:.1e}", pass.difference), pass.tokens_agree ? "yes" : "NO"});
  }
  return table;
}

Table MemoryTable(const VerifyReport& report) {
  Table table;
  table.columns = {{"phase", false}, {"predicted B/chip"}, {"held B/chip"}};
  for (const VerifyMemory& memory : report.memory) {
    table.rows.push_back(
        {std::string(Name(memory.phase)), WholeBytes(memory.predicted), WholeBytes(memory.held)});
  }
  return table;
}

std::string ShrunkText(const ShrunkRequest& request) {
  std::string text = "run in small: ";
  std::string separator;
  for (const ShrunkValue& change : request.changes) {
    text += fmt::format("{}{} {} to {}", separator, change.name, change.from, change.to);
    separator = ", ";
  }
  text += "\n";
  if (!request.omitted.empty()) {
    text += fmt::format("left out: {}\n", fmt::join(request.omitted, ", "));
  }
  return text;
}

std::string Verdict(const VerifyReport& report) {
  return report.passed() ? fmt::format("{}: proven\n", report.layout)
                         : fmt::format("{}: FAILED: {}\n", report.layout, report.failure);
}

Table SummaryTable(const VerifySummary& summary) {
  Table table;
  table.columns = {{"layout", false},
                   {"largest difference"},
                   {"collectives"},
                   {"bytes sent"},
                   {"result", false}};
  for (const VerifyReport& report : summary.reports) {
    Bytes sent;
    for (const VerifyOp& op : report.ops) {
      sent += op.counted;
    }
    table.rows.push_back({report.layout, fmt::format("{:.1e}", report.largest_difference()),
                          std::to_string(report.ops.size()), WholeBytes(sent),
                          report.passed() ? "proven" : "FAILED: " + report.failure});
  }
  return table;
}

using RenderTable = std::function<std::string(const Table&)>;

std::string Render(const VerifySummary& summary, const RenderTable& render) {
  std::string text = fmt::format("{} on a virtual {}\n", summary.model, summary.slice);
  if (!summary.reports.empty()) {
    text += ShrunkText(summary.reports.front().request) + "\n";
  }
  if (summary.reports.size() != 1) {
    const auto failed = std::count_if(summary.reports.begin(), summary.reports.end(),
                                      [](const VerifyReport& r) { return !r.passed(); });
    return text + render(SummaryTable(summary)) +
           fmt::format("\n{} layouts, {} failed\n", summary.reports.size(), failed);
  }
  const VerifyReport& report = summary.reports.front();
  return text + render(PassTable(report)) + "\n" + render(TrafficTable(report)) + "\n" +
         render(MemoryTable(report)) + "\n" + Verdict(report);
}

Json ReportJson(const VerifyReport& report) {
  Json changes = Json::array();
  for (const ShrunkValue& change : report.request.changes) {
    changes.push_back({{"name", change.name}, {"from", change.from}, {"to", change.to}});
  }
  Json passes = Json::array();
  for (const VerifyPass& pass : report.passes) {
    passes.push_back({{"name", pass.name},
                      {"difference", pass.difference},
                      {"tokens_agree", pass.tokens_agree}});
  }
  Json ops = Json::array();
  for (const VerifyOp& op : report.ops) {
    ops.push_back({{"phase", Name(op.phase)},
                   {"op", op.op},
                   {"name", op.name},
                   {"predicted_bytes", op.predicted.base()},
                   {"counted_bytes", op.counted.base()},
                   {"busiest_link_bytes", op.busiest_link.base()},
                   {"even_link_bytes", op.even_link.base()}});
  }
  Json memory = Json::array();
  for (const VerifyMemory& row : report.memory) {
    memory.push_back({{"phase", Name(row.phase)},
                      {"predicted_bytes", row.predicted.base()},
                      {"held_bytes", row.held.base()}});
  }
  return {{"layout", report.layout},
          {"passed", report.passed()},
          {"failure", report.failure},
          {"shrunk", changes},
          {"omitted", report.request.omitted},
          {"passes", passes},
          {"collectives", ops},
          {"memory", memory}};
}

}  // namespace

bool VerifySummary::passed() const {
  return std::all_of(reports.begin(), reports.end(),
                     [](const VerifyReport& report) { return report.passed(); });
}

std::string VerifyText(const VerifySummary& summary, std::size_t width) {
  return Wrap(Render(summary, [&](const Table& table) { return FittedText(table, width); }), width);
}
std::string VerifyMarkdown(const VerifySummary& summary) { return Render(summary, TableMarkdown); }

std::string VerifyCsv(const VerifySummary& summary) {
  Table table;
  for (const char* title : {"layout", "passed", "phase", "collective", "predicted_bytes",
                            "counted_bytes", "busiest_link_bytes", "even_link_bytes"}) {
    table.columns.push_back({title});
  }
  for (const VerifyReport& report : summary.reports) {
    for (const VerifyOp& op : report.ops) {
      table.rows.push_back({report.layout, report.passed() ? "true" : "false",
                            std::string(Name(op.phase)), op.name, FormatExact(op.predicted.base()),
                            FormatExact(op.counted.base()), FormatExact(op.busiest_link.base()),
                            FormatExact(op.even_link.base())});
    }
  }
  return TableCsv(table);
}

Json VerifyJson(const VerifySummary& summary) {
  Json reports = Json::array();
  for (const VerifyReport& report : summary.reports) {
    reports.push_back(ReportJson(report));
  }
  return {{"schema", "slicewise-verify/1"},
          {"model", summary.model},
          {"slice", summary.slice},
          {"passed", summary.passed()},
          {"layouts", reports}};
}

}  // namespace slicewise
