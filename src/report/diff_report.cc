#include "slicewise/report/diff_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "slicewise/report/check_report.h"
#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

const NamedPredictions* Find(const std::vector<NamedPredictions>& all, const std::string& name) {
  const auto at = std::find_if(all.begin(), all.end(),
                               [&](const NamedPredictions& one) { return one.name == name; });
  return at == all.end() ? nullptr : &*at;
}

// The names that `some` has and `others` lacks.
std::vector<std::string> Missing(const std::vector<NamedPredictions>& some,
                                 const std::vector<NamedPredictions>& others) {
  std::vector<std::string> names;
  for (const NamedPredictions& one : some) {
    if (Find(others, one.name) == nullptr) {
      names.push_back(one.name);
    }
  }
  return names;
}

void AddScenario(const std::string& name, const std::vector<TargetComparison>& targets,
                 DiffReport& report) {
  for (const TargetComparison& target : targets) {
    if (target.verdict == Verdict::kMissing) {
      continue;  // a phase that one side was not asked for
    }
    ++report.compared;
    const bool either = target.accepted.fits || target.found.fits;
    if (either && target.accepted != target.found) {
      report.predictions.push_back({name, target});
    }
    // A deployment's terms are its phases: their ops are told there.
    for (const TermChange& term : target.terms) {
      if (target.target != Target::kDeployment) {
        report.terms.push_back({name, target.target, term});
      }
    }
  }
}

std::string Side(const TargetPrediction& prediction, const std::string& text) {
  return prediction.fits ? text : "does not fit";
}

Table PredictionTable(const DiffReport& report) {
  Table table;
  table.columns = {{"scenario", false}, {"of", false},  {"latency before"}, {"after"},
                   {"change"},          {"MFU before"}, {"after"},          {"layout", false}};
  for (const PredictionDifference& row : report.predictions) {
    const TargetPrediction& before = row.comparison.accepted;
    const TargetPrediction& after = row.comparison.found;
    const bool both = before.fits && after.fits;
    const bool same = before.layout == after.layout;
    table.rows.push_back({row.scenario, std::string(Name(row.comparison.target)),
                          Side(before, Format(before.latency)), Side(after, Format(after.latency)),
                          both ? FormatChange(row.change()) : "",
                          before.fits ? FormatMetric(Metric::kMfu, before.mfu) : "",
                          after.fits ? FormatMetric(Metric::kMfu, after.mfu) : "",
                          same || !both ? (after.fits ? after.layout : before.layout)
                                        : fmt::format("{} (was {})", after.layout, before.layout)});
  }
  return table;
}

Table TermTable(const DiffReport& report, std::size_t top) {
  Table table;
  table.columns = {{"scenario", false}, {"of", false}, {"op", false},
                   {"before"},          {"after"},     {"change"}};
  for (std::size_t i = 0; i < std::min(top, report.terms.size()); ++i) {
    const TermDifference& row = report.terms[i];
    const double change = row.term.change().base();
    table.rows.push_back({row.scenario, std::string(Name(row.target)), row.term.name,
                          Format(row.term.before), Format(row.term.after),
                          (change > 0 ? "+" : "-") + Format(SecondsOf(std::abs(change)))});
  }
  return table;
}

std::string Summary(const DiffReport& report) {
  const auto layouts =
      std::count_if(report.predictions.begin(), report.predictions.end(), [](const auto& row) {
        return row.comparison.accepted.layout != row.comparison.found.layout;
      });
  std::string text = fmt::format("{} against {}: {} of {} predictions differ", report.after,
                                 report.before, report.predictions.size(), report.compared);
  if (!report.predictions.empty()) {
    const auto [best, worst] =
        std::minmax_element(report.predictions.begin(), report.predictions.end(),
                            [](const auto& a, const auto& b) { return a.change() < b.change(); });
    text += fmt::format(", latency {} to {}, {} by another layout", FormatChange(best->change()),
                        FormatChange(worst->change()), layouts);
  }
  text += "\n";
  for (const auto& [what, names] :
       {std::pair("removed", &report.removed), std::pair("added", &report.added)}) {
    if (!names->empty()) {
      text += fmt::format("{}: {}\n", what, fmt::join(*names, ", "));
    }
  }
  return text;
}

std::string Render(const DiffReport& report, std::size_t top,
                   const std::function<std::string(const Table&)>& render) {
  std::string text = Summary(report);
  if (!report.predictions.empty()) {
    text += "\n" + render(PredictionTable(report));
  }
  if (!report.terms.empty()) {
    text += "\n" + render(TermTable(report, top));
  }
  if (report.terms.size() > top) {
    text += fmt::format("\n{} smaller ones are not shown\n", report.terms.size() - top);
  }
  return text;
}

Json SideJson(const TargetPrediction& prediction) {
  if (!prediction.fits) {
    return {};
  }
  Json side = {{"layout", prediction.layout}};
  for (Metric metric : kMetrics) {
    // A plan document does not say the cost of a deployment.
    const double value = ValueOf(prediction, metric);
    side[std::string(KeyOf(metric))] = value > 0 ? Json(value) : Json();
  }
  return side;
}

}  // namespace

double PredictionDifference::change() const {
  const bool both = comparison.accepted.fits && comparison.found.fits;
  return both ? comparison.found.latency / comparison.accepted.latency - 1 : 0;
}

DiffReport MakeDiffReport(const std::string& before_name,
                          const std::vector<NamedPredictions>& before,
                          const std::string& after_name,
                          const std::vector<NamedPredictions>& after) {
  DiffReport report;
  report.before = before_name;
  report.after = after_name;
  report.removed = Missing(before, after);
  report.added = Missing(after, before);
  for (const NamedPredictions& one : before) {
    if (const NamedPredictions* other = Find(after, one.name)) {
      AddScenario(one.name, Compare(one.predictions, other->predictions, {}), report);
    }
  }
  // What begins or ceases to fit comes before all that has a size.
  const auto size = [](const PredictionDifference& row) {
    const bool both = row.comparison.accepted.fits && row.comparison.found.fits;
    return both ? std::abs(row.change()) : 1e300;
  };
  std::stable_sort(report.predictions.begin(), report.predictions.end(),
                   [&](const auto& a, const auto& b) { return size(a) > size(b); });
  std::stable_sort(report.terms.begin(), report.terms.end(), [](const auto& a, const auto& b) {
    return std::abs(a.term.change().base()) > std::abs(b.term.change().base());
  });
  return report;
}

std::string DiffText(const DiffReport& report, std::size_t top, std::size_t width) {
  return Wrap(Render(report, top, [&](const Table& table) { return FittedText(table, width); }),
              width);
}

std::string DiffMarkdown(const DiffReport& report, std::size_t top) {
  return Render(report, top, TableMarkdown);
}

std::string DiffCsv(const DiffReport& report) {
  Table table;
  table.columns = {{"scenario"},       {"target"},        {"op"},
                   {"before_seconds"}, {"after_seconds"}, {"change_seconds"}};
  for (const TermDifference& row : report.terms) {
    table.rows.push_back({row.scenario, std::string(Name(row.target)), row.term.name,
                          FormatExact(row.term.before.base()), FormatExact(row.term.after.base()),
                          FormatExact(row.term.change().base())});
  }
  return TableCsv(table);
}

Json DiffJson(const DiffReport& report) {
  Json predictions = Json::array();
  for (const PredictionDifference& row : report.predictions) {
    predictions.push_back({{"scenario", row.scenario},
                           {"target", Name(row.comparison.target)},
                           {"latency_change", row.change()},
                           {"before", SideJson(row.comparison.accepted)},
                           {"after", SideJson(row.comparison.found)}});
  }
  Json terms = Json::array();
  for (const TermDifference& row : report.terms) {
    terms.push_back({{"scenario", row.scenario},
                     {"target", Name(row.target)},
                     {"op", row.term.name},
                     {"before_seconds", row.term.before.base()},
                     {"after_seconds", row.term.after.base()},
                     {"change_seconds", row.term.change().base()}});
  }
  return {{"schema", "slicewise-diff/1"}, {"before", report.before},
          {"after", report.after},        {"compared", report.compared},
          {"removed", report.removed},    {"added", report.added},
          {"predictions", predictions},   {"terms", terms}};
}

}  // namespace slicewise
