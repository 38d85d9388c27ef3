#include "sweep_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "slicewise/report/table.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

constexpr std::size_t kRows = 14;
constexpr std::size_t kLabel = 9;  // columns of the price labels
constexpr std::size_t kMostColumns = 72;

// Where a value lies between two others on a logarithmic scale, in steps from 0 to `steps` - 1.
std::size_t StepOf(double value, double low, double high, std::size_t steps) {
  if (high <= low) {
    return 0;
  }
  const double part = std::log(value / low) / std::log(high / low);
  return static_cast<std::size_t>(std::lround(part * static_cast<double>(steps - 1)));
}

std::string PriceLabel(Dollars price) {
  return price.base() < 1000 ? fmt::format("${:.3g}", price.base())
                             : fmt::format("${:.0f}", price.base());
}

}  // namespace

std::string Chart(const std::vector<ChartPoint>& points, std::string_view across,
                  std::size_t width) {
  if (points.empty()) {
    return "";
  }
  const auto by_latency = [](const ChartPoint& a, const ChartPoint& b) {
    return a.latency < b.latency;
  };
  const auto by_price = [](const ChartPoint& a, const ChartPoint& b) { return a.price < b.price; };
  const auto [fast, slow] = std::minmax_element(points.begin(), points.end(), by_latency);
  const auto [cheap, dear] = std::minmax_element(points.begin(), points.end(), by_price);
  const std::size_t columns = std::min(kMostColumns, std::max<std::size_t>(width, 40) - kLabel - 2);
  std::map<int, char> marks;
  for (const ChartPoint& point : points) {
    marks.emplace(point.chips, '?');
  }
  char mark = 'a';
  std::vector<std::string> legend;
  for (auto& [chips, letter] : marks) {
    letter = mark;
    mark = mark == 'z' ? 'z' : static_cast<char>(mark + 1);
    legend.push_back(fmt::format("{} {}", letter, chips));
  }
  std::vector<std::string> rows(kRows, std::string(columns, ' '));
  for (const ChartPoint& point : points) {
    const std::size_t x =
        StepOf(point.latency.base(), fast->latency.base(), slow->latency.base(), columns);
    const std::size_t y =
        StepOf(point.price.base(), cheap->price.base(), dear->price.base(), kRows);
    rows[kRows - 1 - y][x] = marks[point.chips];
  }
  std::string text;
  for (std::size_t row = 0; row < kRows; ++row) {
    const std::string label = row == 0           ? PriceLabel(dear->price)
                              : row == kRows - 1 ? PriceLabel(cheap->price)
                                                 : "";
    std::string line = fmt::format("{:>{}} |{}", label, kLabel, rows[row]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  const std::string low = Format(fast->latency);
  const std::string high = Format(slow->latency);
  text += fmt::format("{:>{}} +{}\n", "", kLabel, std::string(columns, '-'));
  text += fmt::format("{:>{}}  {}{:>{}}\n", "", kLabel, low, high, columns - low.size());
  return text + Wrap(fmt::format("{:>{}}  $ per million tokens over {}; chips: {}\n", "", kLabel,
                                 across, fmt::join(legend, ", ")),
                     width);
}

}  // namespace slicewise
