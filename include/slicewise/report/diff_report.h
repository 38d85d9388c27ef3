// The result of `diff`: two sets of predictions, what differs and by how much, the largest first.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "slicewise/search/compare.h"

namespace slicewise {

// A prediction that both sides have and that differs.
struct PredictionDifference {
  std::string scenario;
  TargetComparison comparison;

  // Of the latency, as a fraction; 0 where one side does not fit.
  [[nodiscard]] double change() const;
};

// A term of the cost that differs.
struct TermDifference {
  std::string scenario;
  Target target = Target::kPrefill;
  TermChange term;
};

struct DiffReport {
  std::string before, after;                // what was compared: paths, or a binary and this tool
  std::size_t compared = 0;                 // predictions that both sides have
  std::vector<std::string> removed, added;  // scenarios that one side lacks
  std::vector<PredictionDifference> predictions;  // largest relative change of latency first
  std::vector<TermDifference> terms;              // largest change in seconds first
};

[[nodiscard]] DiffReport MakeDiffReport(const std::string& before_name,
                                        const std::vector<NamedPredictions>& before,
                                        const std::string& after_name,
                                        const std::vector<NamedPredictions>& after);

// `top` is how many terms are shown; JSON and CSV hold all.
[[nodiscard]] std::string DiffText(const DiffReport& report, std::size_t top,
                                   std::size_t width = 200);
[[nodiscard]] std::string DiffMarkdown(const DiffReport& report, std::size_t top);
// One line per term.
[[nodiscard]] std::string DiffCsv(const DiffReport& report);
// configs/schemas/diff.schema.json.
[[nodiscard]] nlohmann::ordered_json DiffJson(const DiffReport& report);

}  // namespace slicewise
