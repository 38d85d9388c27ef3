#include "slicewise/report/validation_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string Signed(double fraction) { return fmt::format("{:+.1f}%", 100 * fraction); }
// Whole tokens, four digits of anything else.
std::string Quantity(double value, const std::string& unit) {
  return unit == "tokens" ? fmt::format("{:.0f} {}", value, unit)
                          : fmt::format("{:.4g} {}", value, unit);
}

Table GroupTable(const Validation& validation) {
  Table table;
  table.columns = {{"group", false}, {"rows"},  {"median"},          {"p90"},
                   {"bias"},         {"worst"}, {"worst row", false}};
  const auto add = [&](const ErrorSummary& group) {
    table.rows.push_back({group.group, std::to_string(group.rows), FormatPercent(group.median),
                          FormatPercent(group.p90), Signed(group.bias), Signed(group.worst),
                          group.worst_id});
  };
  for (const ErrorSummary& group : validation.groups) {
    add(group);
  }
  if (validation.unscaled) {
    add(*validation.unscaled);
  }
  return table;
}

Table RowTable(const Validation& validation) {
  Table table;
  table.columns = {{"row", false},  {"split", false}, {"published"}, {"predicted"},
                   {"error"},       {"undone"},       {"MFU pub."},  {"MFU pred."},
                   {"fits", false}, {"layout", false}};
  for (const ValidationRow& row : validation.rows) {
    const Measurement& m = *row.measurement;
    table.rows.push_back({m.id, std::string(Name(m.split)), Format(m.latency),
                          Format(row.prediction.as_published), Signed(row.error),
                          m.decode_layers == 0 ? "" : Signed(row.plain_error),
                          m.mfu ? FormatPercent(*m.mfu) : "", FormatPercent(row.prediction.mfu),
                          row.prediction.fits ? "yes" : "no", m.layout_text});
  }
  return table;
}

// Figure 3's 56 values are one line each in JSON and CSV, one summary line for people.
Table CheckTable(const Validation& validation) {
  Table table;
  table.columns = {{"published claim", false},
                   {"published"},
                   {"predicted"},
                   {"error"},
                   {"within"},
                   {"holds", false}};
  std::size_t exact = 0;
  std::size_t volumes = 0;
  for (const Check& check : validation.checks) {
    if (check.name.starts_with("Figure 3")) {
      ++volumes;
      exact += check.holds() ? 1 : 0;
      continue;
    }
    table.rows.push_back({check.name, Quantity(check.published, check.unit),
                          Quantity(check.predicted, check.unit), Signed(check.error()),
                          FormatPercent(check.tolerance), check.holds() ? "yes" : "no"});
  }
  if (volumes > 0) {
    table.rows.insert(
        table.rows.begin(),
        {fmt::format("Figure 3: communication volume, {} values", volumes), "", "",
         fmt::format("{} equal", exact), "6 digits", exact == volumes ? "yes" : "no"});
  }
  return table;
}

std::string CoverageText(const Validation& validation) {
  if (validation.coverage == 0) {
    return "";
  }
  return fmt::format(
      "80 % intervals cover {} of the holdout rows, {} with the tested row's residual left out.\n",
      FormatPercent(validation.coverage), FormatPercent(validation.left_out_coverage));
}

Json SummaryJson(const ErrorSummary& summary) {
  return {{"group", summary.group},      {"rows", summary.rows}, {"median_error", summary.median},
          {"p90_error", summary.p90},    {"bias", summary.bias}, {"worst_error", summary.worst},
          {"worst_id", summary.worst_id}};
}

}  // namespace

std::string ValidationText(const Validation& validation, std::size_t width) {
  const std::string heading =
      fmt::format("{}\ncalibration {}\n\n", validation.title, validation.calibration);
  return Wrap(heading, width) + FittedText(RowTable(validation), width) + "\n" +
         FittedText(GroupTable(validation), width) + "\n" + Wrap(CoverageText(validation), width) +
         (validation.checks.empty() ? "" : "\n" + FittedText(CheckTable(validation), width));
}

std::string ValidationMarkdown(const Validation& validation) {
  std::string text = fmt::format(
      "# Validation\n\n{}, predicted with calibration `{}`. An error is predicted over published, "
      "less one. Column *undone*: the released benchmark scaled some decode times to another "
      "model's layers; the error there is against the prediction as scaled, and *undone* is the "
      "error without the scaling. Rows are priced whether or not the full-depth model fits.\n\n",
      validation.title, validation.calibration);
  text += "## Errors\n\n" + TableMarkdown(GroupTable(validation)) + "\n" + CoverageText(validation);
  if (!validation.checks.empty()) {
    text += "\n## Figure 3, Table 1 and the text\n\n" + TableMarkdown(CheckTable(validation));
    text +=
        "\nHow to ask `slicewise` for each; those of sections and Figures 6 and 7 add `--model "
        "palm-540b "
        "--slice 4x4x4 --pad-heads 64 --logits all --fixed-context` where they do not say "
        "otherwise:\n\n";
    for (const Check& check : validation.checks) {
      if (!check.name.starts_with("Figure 3") || check.name.starts_with("Figure 3, 2048 tokens")) {
        text += fmt::format("- {}: `{}`\n", check.name, check.request);
      }
    }
  }
  return text + "\n## Rows\n\n" + TableMarkdown(RowTable(validation));
}

std::string ValidationCsv(const Validation& validation) {
  Table table;
  for (const char* title :
       {"kind", "id", "source", "split", "published", "predicted", "error", "unscaled_error",
        "published_mfu", "predicted_mfu", "fits", "low", "high", "unit"}) {
    table.columns.push_back({title});
  }
  for (const ValidationRow& row : validation.rows) {
    const Measurement& m = *row.measurement;
    table.rows.push_back({"measurement", m.id, m.source, std::string(Name(m.split)),
                          FormatExact(m.latency.base()),
                          FormatExact(row.prediction.as_published.base()), FormatExact(row.error),
                          FormatExact(row.plain_error), m.mfu ? FormatExact(*m.mfu) : "",
                          FormatExact(row.prediction.mfu), row.prediction.fits ? "true" : "false",
                          FormatExact(row.prediction.latency_low.base()),
                          FormatExact(row.prediction.latency_high.base()), "seconds"});
  }
  for (const Check& check : validation.checks) {
    table.rows.push_back({"claim", check.name, "", "", FormatExact(check.published),
                          FormatExact(check.predicted), FormatExact(check.error()), "", "", "", "",
                          "", "", check.unit});
  }
  return TableCsv(table);
}

Json ValidationJson(const Validation& validation) {
  Json rows = Json::array();
  for (const ValidationRow& row : validation.rows) {
    const Measurement& m = *row.measurement;
    const bool interval = row.prediction.latency_high > Seconds();
    rows.push_back(
        {{"id", m.id},
         {"source", m.source},
         {"split", Name(m.split)},
         {"layout", m.layout_text},
         {"published_latency_seconds", m.latency.base()},
         {"predicted_latency_seconds", row.prediction.as_published.base()},
         {"latency_low_seconds", interval ? Json(row.prediction.latency_low.base()) : Json()},
         {"latency_high_seconds", interval ? Json(row.prediction.latency_high.base()) : Json()},
         {"error", row.error},
         {"unscaled_error", row.plain_error},
         {"published_mfu", m.mfu ? Json(*m.mfu) : Json()},
         {"predicted_mfu", row.prediction.mfu},
         {"fits", row.prediction.fits},
         {"inside_calibrated_range", row.prediction.inside_range}});
  }
  Json groups = Json::array();
  for (const ErrorSummary& group : validation.groups) {
    groups.push_back(SummaryJson(group));
  }
  Json checks = Json::array();
  for (const Check& check : validation.checks) {
    checks.push_back({{"name", check.name},
                      {"request", check.request},
                      {"published", check.published},
                      {"predicted", check.predicted},
                      {"unit", check.unit},
                      {"error", check.error()},
                      {"tolerance", check.tolerance},
                      {"holds", check.holds()}});
  }
  return {{"schema", "slicewise-validation/1"},
          {"title", validation.title},
          {"calibration", validation.calibration},
          {"rows", rows},
          {"groups", groups},
          {"unscaled", validation.unscaled ? SummaryJson(*validation.unscaled) : Json()},
          {"coverage", validation.coverage},
          {"left_out_coverage", validation.left_out_coverage},
          {"claims", checks}};
}

}  // namespace slicewise
