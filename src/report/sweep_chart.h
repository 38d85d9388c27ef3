// A scatter chart in plain characters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "slicewise/units/quantity.h"

namespace slicewise {

struct ChartPoint {
  Seconds latency;
  Dollars price;  // per million tokens
  int chips = 1;
};

// Price over latency, both axes logarithmic, at most `width` columns wide. A point is marked by its
// slice's chips: the letters of the legend, which ascend with them.
[[nodiscard]] std::string Chart(const std::vector<ChartPoint>& points, std::string_view across,
                                std::size_t width);

}  // namespace slicewise
