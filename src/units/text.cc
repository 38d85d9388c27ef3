#include "slicewise/units/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

struct Unit {
  std::string_view name;
  double scale;
};

constexpr std::array<Unit, 4> kTimeUnits = {{{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}}};
constexpr std::array<Unit, 5> kBinaryUnits = {{{"TiB", 1099511627776.0},
                                               {"GiB", 1073741824.0},
                                               {"MiB", 1048576.0},
                                               {"KiB", 1024.0},
                                               {"B", 1}}};
constexpr std::array<Unit, 5> kDecimalUnits = {
    {{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}};
constexpr std::array<Unit, 6> kFlopsUnits = {{{"EFLOP", 1e18},
                                              {"PFLOP", 1e15},
                                              {"TFLOP", 1e12},
                                              {"GFLOP", 1e9},
                                              {"MFLOP", 1e6},
                                              {"FLOP", 1}}};

template <std::size_t N>
std::string WithUnit(double value, const std::array<Unit, N>& units, std::string_view suffix) {
  const Unit* chosen = &units.back();
  for (const Unit& unit : units) {
    // 0.9995 of a unit already prints as 1.00 of it.
    if (std::abs(value) >= unit.scale * 0.9995) {
      chosen = &unit;
      break;
    }
  }
  if (value == 0) {
    chosen = &units.front();
    for (const Unit& unit : units) {
      chosen = unit.scale == 1 ? &unit : chosen;
    }
  }
  return fmt::format("{} {}{}", FormatThreeDigits(value / chosen->scale), chosen->name, suffix);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && text.back() == ' ') {
    text.remove_suffix(1);
  }
  return text;
}

double ParseWithUnit(std::string_view text, std::span<const Unit> units, std::string_view suffix,
                     std::string_view expected) {
  const std::string_view trimmed = Trim(text);
  double value = 0;
  const auto [rest, error] =
      std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), value);
  std::string_view unit = Trim({rest, static_cast<std::size_t>(trimmed.end() - rest)});
  if (error == std::errc() && std::isfinite(value) && unit.size() > suffix.size() &&
      unit.substr(unit.size() - suffix.size()) == suffix) {
    unit.remove_suffix(suffix.size());
    for (const Unit& candidate : units) {
      if (candidate.name == unit) {
        return value * candidate.scale;
      }
    }
  }
  throw InputError(fmt::format("'{}' is not {}", text, expected));
}

constexpr std::array<Unit, 10> kByteUnits = {{{"TiB", 1099511627776.0},
                                              {"GiB", 1073741824.0},
                                              {"MiB", 1048576.0},
                                              {"KiB", 1024.0},
                                              {"TB", 1e12},
                                              {"GB", 1e9},
                                              {"MB", 1e6},
                                              {"kB", 1e3},
                                              {"KB", 1e3},
                                              {"B", 1}}};

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t substitute = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substitute});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string FormatThreeDigits(double value) {
  if (value == 0 || !std::isfinite(value)) {
    return fmt::format("{}", value);
  }
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value) * 1.0005)));
  return fmt::format("{:.{}f}", value, std::clamp(2 - magnitude, 0, 9));
}

std::string FormatPercent(double fraction) { return fmt::format("{:.1f}%", 100 * fraction); }

std::string Format(Seconds time) {
  if (time.base() == 0) {
    return "0 s";
  }
  return WithUnit(time.base(), kTimeUnits, "");
}
std::string Format(Bytes amount) { return WithUnit(amount.base(), kBinaryUnits, ""); }
std::string FormatDecimal(Bytes amount) { return WithUnit(amount.base(), kDecimalUnits, ""); }
std::string Format(BytesPerSecond rate) { return WithUnit(rate.base(), kDecimalUnits, "/s"); }
std::string Format(FlopsPerSecond rate) { return WithUnit(rate.base(), kFlopsUnits, "/s"); }
std::string Format(Flops amount) { return WithUnit(amount.base(), kFlopsUnits, ""); }

std::string FormatExact(double value) { return fmt::format("{}", value); }

std::string FormatCount(std::int64_t count) {
  std::string digits = fmt::format("{}", count);
  const std::size_t first = count < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3; i -= 3) {
    digits.insert(i - 3, ",");
  }
  return digits;
}

BytesPerSecond ParseBytesPerSecond(std::string_view text) {
  return BytesPerSecond::FromBase(
      ParseWithUnit(text, kByteUnits, "/s", "a rate in bytes per second, such as '1.2 TB/s'"));
}
Bytes ParseBytes(std::string_view text) {
  return BytesOf(ParseWithUnit(text, kByteUnits, "", "an amount of bytes, such as '32 GiB'"));
}
FlopsPerSecond ParseFlopsPerSecond(std::string_view text) {
  return FlopsPerSecond::FromBase(ParseWithUnit(
      text, kFlopsUnits, "/s", "a rate of floating-point operations, such as '275 TFLOP/s'"));
}
Seconds ParseSeconds(std::string_view text) {
  return SecondsOf(ParseWithUnit(text, kTimeUnits, "", "a time with its unit, such as '300ms'"));
}

std::optional<std::string> NearestName(std::string_view text,
                                       std::span<const std::string> candidates) {
  std::optional<std::string> nearest;
  std::size_t best = std::max<std::size_t>(2, text.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = EditDistance(text, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view text, std::span<const std::string> candidates) {
  const std::optional<std::string> nearest = NearestName(text, candidates);
  return nearest ? fmt::format("; did you mean '{}'?", *nearest) : std::string();
}

}  // namespace slicewise
