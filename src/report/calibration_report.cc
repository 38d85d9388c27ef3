#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "slicewise/report/table.h"
#include "slicewise/report/validation_report.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string Status(const FittedParameter& parameter) {
  return !parameter.determined ? "not determined by the data: kept at its start"
         : parameter.at_bound  ? "at its bound"
                               : "fitted";
}

const CalibrationParameter& Row(const std::string& name) {
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    if (parameter.name == name) {
      return parameter;
    }
  }
  return CalibrationParameters().front();
}

std::string SummaryText(const ErrorSummary& summary) {
  if (summary.rows == 0) {
    return fmt::format("{}: no rows\n", summary.group);
  }
  return fmt::format(
      "{}: {} rows, median {:.1f}%, 90th percentile {:.1f}%, bias {:+.1f}%, worst "
      "{:+.1f}% ({})\n",
      summary.group, summary.rows, 100 * summary.median, 100 * summary.p90, 100 * summary.bias,
      100 * summary.worst, summary.worst_id);
}

Json ErrorJson(const ErrorSummary& summary) {
  return {{"rows", summary.rows}, {"median", summary.median}, {"p90", summary.p90},
          {"bias", summary.bias}, {"worst", summary.worst},   {"worst_id", summary.worst_id}};
}

Json IntervalJson(const Calibration::Interval& interval) {
  return {{"coverage", interval.coverage},
          {"factor_low", interval.factor_low},
          {"factor_high", interval.factor_high}};
}

}  // namespace

std::string FitText(const FitResult& result) {
  Table table;
  table.columns = {{"parameter", false}, {"value"},        {"std. error"}, {"start"},
                   {"unit", false},      {"status", false}};
  for (const FittedParameter& parameter : result.parameters) {
    table.rows.push_back(
        {parameter.name, fmt::format("{:.4g}", parameter.value),
         parameter.determined ? fmt::format("{:.2g}", parameter.standard_error) : "-",
         fmt::format("{:.4g}", parameter.start), std::string(Row(parameter.name).unit),
         Status(parameter)});
  }
  return TableText(table) + fmt::format("\n{} iterations\n", result.iterations) +
         SummaryText(result.fit) + SummaryText(result.holdout);
}

Json CalibrationJson(const FitResult& result, const std::vector<std::string>& files,
                     const std::string& chip, const std::string& tool_version) {
  const Calibration& calibration = result.calibration;
  Json parameters = Json::object();
  for (const FittedParameter& parameter : result.parameters) {
    const CalibrationParameter& row = Row(parameter.name);
    parameters[parameter.name] = {{"value", calibration.*row.member},
                                  {"unit", row.unit},
                                  {"standard_error", parameter.standard_error},
                                  {"status", Status(parameter)},
                                  {"meaning", row.meaning}};
  }
  Json out = {{"schema", "slicewise-calibration/1"},
              {"name", calibration.name},
              {"chip", chip},
              {"provenance",
               {{"tool", "slicewise"},
                {"version", tool_version},
                {"measurements", files},
                {"fit", ErrorJson(result.fit)},
                {"holdout", ErrorJson(result.holdout)}}},
              {"parameters", parameters}};
  if (calibration.inside.coverage > 0) {
    out["intervals"] = {{"inside", IntervalJson(calibration.inside)},
                        {"outside", IntervalJson(calibration.outside)}};
  }
  const Calibration::Range& range = calibration.range;
  out["range"] = {{"min_chips", range.min_chips},      {"max_chips", range.max_chips},
                  {"min_rows", range.min_rows},        {"max_rows", range.max_rows},
                  {"min_context", range.min_context},  {"max_context", range.max_context},
                  {"weight_types", range.weight_types}};
  return out;
}

}  // namespace slicewise
