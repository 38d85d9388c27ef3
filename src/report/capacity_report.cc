#include "slicewise/report/capacity_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string BudgetText(const KvBudget& budget) {
  return budget.fraction_of_nominal > 0
             ? fmt::format("{:g}% of nominal HBM", 100 * budget.fraction_of_nominal)
             : "what weights and activations leave";
}

PlanReport Heading(const CapacityReport& report) {
  PlanReport heading;
  heading.request.setting = report.setting;
  heading.request.provenance = report.provenance;
  heading.request.layout = report.layout_filter;
  heading.request.phases = {Phase::kDecode};
  return heading;
}

Table CapacityTable(const CapacityReport& report) {
  const Mesh mesh(report.setting.slice);
  Table table;
  table.columns = {{"attention", false}, {"KV heads/chip"}, {"KV budget/chip"},
                   {"max context"},      {"max batch"},     {"with layout", false}};
  for (const CapacityRow& row : report.rows) {
    table.rows.push_back({AttentionText(row.layout, mesh), std::to_string(row.kv_heads_per_chip),
                          Format(row.kv_budget), FormatCount(row.max_context),
                          FormatCount(row.max_batch), ToString(row.layout, mesh)});
  }
  return table;
}

std::string Legend(const CapacityReport& report) {
  const Workload& work = report.setting.workload;
  return fmt::format(
      "max context at batch {}; max batch at a context of {} tokens; KV budget: {}\n",
      work.decode_batch, work.cached_at_end(Phase::kDecode), BudgetText(report.budget));
}

}  // namespace

std::string CapacityText(const CapacityReport& report, std::size_t width) {
  return Wrap(HeadingText(Heading(report)) + Legend(report), width) + "\n" +
         FittedText(CapacityTable(report), width);
}

std::string CapacityMarkdown(const CapacityReport& report) {
  return fmt::format("# {}\n\n", report.setting.model.name) + HeadingText(Heading(report)) +
         Legend(report) + "\n" + TableMarkdown(CapacityTable(report));
}

std::string CapacityCsv(const CapacityReport& report) {
  const Mesh mesh(report.setting.slice);
  Table table;
  table.columns = {{"attention"},   {"kv_heads_per_chip"}, {"kv_budget_bytes"},
                   {"max_context"}, {"max_batch"},         {"layout"}};
  for (const CapacityRow& row : report.rows) {
    table.rows.push_back({AttentionText(row.layout, mesh), std::to_string(row.kv_heads_per_chip),
                          FormatExact(row.kv_budget.base()), std::to_string(row.max_context),
                          std::to_string(row.max_batch), ToString(row.layout, mesh)});
  }
  return TableCsv(table);
}

Json CapacityJson(const CapacityReport& report) {
  const Mesh mesh(report.setting.slice);
  Json rows = Json::array();
  for (const CapacityRow& row : report.rows) {
    rows.push_back({{"attention", AttentionText(row.layout, mesh)},
                    {"layout", ToString(row.layout, mesh)},
                    {"kv_heads_per_chip", row.kv_heads_per_chip},
                    {"kv_budget_bytes", row.kv_budget.base()},
                    {"max_context", row.max_context},
                    {"max_batch", row.max_batch}});
  }
  Json request = RequestJson(Heading(report));
  request["kv_budget"] = report.budget.fraction_of_nominal > 0
                             ? Json(report.budget.fraction_of_nominal)
                             : Json("free");
  return {{"schema", "slicewise-capacity/1"},
          {"request", request},
          {"provenance", ProvenanceJson(Heading(report))},
          {"rows", rows}};
}

}  // namespace slicewise
