#include "golden.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

namespace slicewise {
namespace {

// The version changes with every release, the goldens do not.
std::string WithoutVersion(std::string text) {
  const std::string version = "\"version\": \"" SLICEWISE_VERSION "\"";
  const std::size_t at = text.find(version);
  return at == std::string::npos ? text
                                 : text.replace(at, version.size(), "\"version\": \"VERSION\"");
}

// The number at the front of the text, which is then removed from it.
std::optional<double> TakeNumber(std::string_view& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool Near(double a, double b) {
  constexpr double kTolerance = 1e-9;
  return a == b || std::abs(a - b) <= kTolerance * std::max(std::abs(a), std::abs(b));
}

// Equal, numbers apart from their last digits.
bool Same(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const std::optional<double> number_a = TakeNumber(a);
    const std::optional<double> number_b = TakeNumber(b);
    if (number_a.has_value() != number_b.has_value()) {
      return false;
    }
    if (number_a) {
      if (!Near(*number_a, *number_b)) {
        return false;
      }
      continue;
    }
    if (a.front() != b.front()) {
      return false;
    }
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.empty() && b.empty();
}

}  // namespace

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::filesystem::path path =
      std::filesystem::path(SLICEWISE_SOURCE_DIR) / "tests/golden/data" / name;
  const std::string found = WithoutVersion(text);
  if (std::getenv("SLICEWISE_UPDATE_GOLDENS") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << found;
    return;
  }
  std::ifstream stream(path, std::ios::binary);
  ASSERT_TRUE(stream) << path << " is missing; golden.h says how to write it";
  const std::string golden((std::istreambuf_iterator<char>(stream)),
                           std::istreambuf_iterator<char>());
  if (!Same(golden, found)) {
    EXPECT_EQ(golden, found) << path << "; golden.h says how to update it";
  }
}

}  // namespace slicewise
