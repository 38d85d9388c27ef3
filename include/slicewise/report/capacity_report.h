// The result of `capacity` and its renderings.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "slicewise/report/plan_report.h"
#include "slicewise/search/capacity.h"

namespace slicewise {

struct CapacityReport {
  Setting setting;
  Provenance provenance;
  std::string layout_filter;
  KvBudget budget;
  std::vector<CapacityRow> rows;
};

[[nodiscard]] std::string CapacityText(const CapacityReport& report, std::size_t width = 200);
[[nodiscard]] std::string CapacityMarkdown(const CapacityReport& report);
[[nodiscard]] std::string CapacityCsv(const CapacityReport& report);
[[nodiscard]] nlohmann::ordered_json CapacityJson(const CapacityReport& report);

}  // namespace slicewise
