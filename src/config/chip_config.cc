#include "slicewise/config/chip_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "slicewise/config/json_reader.h"
#include "slicewise/config/presets.h"
#include "sources.h"

namespace slicewise {
namespace {

int SmallCount(JsonReader& root, std::string_view key, int most) {
  const std::int64_t count = root.Count(key);
  if (count > most) {
    root.Fail(key, fmt::format("found {}, expected a whole number from 1 to {}", count, most));
  }
  return static_cast<int>(count);
}

// "3.22 USD".
Dollars ReadPrice(JsonReader& root, std::string_view key) {
  constexpr std::string_view kUnit = " USD";
  const std::string text = root.Text(key);
  double price = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), price);
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  if (error != std::errc() || unit != kUnit || !std::isfinite(price) || price < 0) {
    root.Fail(key,
              fmt::format("found '{}', expected a price in dollars, such as '3.22 USD'", text));
  }
  return Dollars::FromBase(price);
}

// "2x4x4" -> {2, 4, 4}; empty where the text is not such a list.
std::vector<int> ParseShape(std::string_view text) {
  std::vector<int> shape;
  while (true) {
    const std::string_view piece = text.substr(0, text.find('x'));
    int size = 0;
    const auto [end, error] = std::from_chars(piece.data(), piece.data() + piece.size(), size);
    if (error != std::errc() || end != piece.data() + piece.size() || size < 1 || size > 1000) {
      return {};
    }
    shape.push_back(size);
    if (piece.size() == text.size()) {
      return shape;
    }
    text.remove_prefix(piece.size() + 1);
  }
}

std::vector<std::vector<int>> ReadSmallShapes(JsonReader& root, const Chip& chip) {
  std::vector<std::vector<int>> shapes;
  for (const std::string& text : root.Texts("small_shapes")) {
    const std::vector<int> shape = ParseShape(text);
    const auto is_multiple = [&](int size) { return size % chip.wrap_multiple == 0; };
    const bool ascending = std::is_sorted(shape.begin(), shape.end());
    if (std::cmp_not_equal(shape.size(), chip.torus_rank) || !ascending ||
        std::all_of(shape.begin(), shape.end(), is_multiple)) {
      root.Fail("small_shapes",
                fmt::format("found '{}', expected {} ascending dimensions, not all multiples of "
                            "{}, such as '1x2x2'",
                            text, chip.torus_rank, chip.wrap_multiple));
    }
    shapes.push_back(shape);
  }
  return shapes;
}

void ReadTorus(JsonReader& root, Chip& chip) {
  constexpr int kMostChips = 1 << 20;
  chip.torus_rank = SmallCount(root, "torus_rank", 3);
  if (chip.torus_rank != 3) {
    root.Fail("torus_rank",
              fmt::format("found {}, expected 3: other tori cannot be planned", chip.torus_rank));
  }
  if (root.Choice("wrap_rule", {"all-multiples"}) == "all-multiples") {
    chip.wrap_rule = WrapRule::kAllMultiples;
  }
  chip.wrap_multiple = SmallCount(root, "wrap_multiple", 64);
  chip.max_chips = SmallCount(root, "max_chips", kMostChips);
  const int smallest = chip.wrap_multiple * chip.wrap_multiple * chip.wrap_multiple;
  if (chip.max_chips < smallest) {
    root.Fail("max_chips", fmt::format("found {}, expected at least the {} chips of the smallest "
                                       "torus, wrap_multiple cubed",
                                       chip.max_chips, smallest));
  }
  chip.small_shapes = ReadSmallShapes(root, chip);
}

void ReadMemory(JsonReader& root, Chip& chip) {
  chip.hbm_nominal = root.Amount("hbm_nominal");
  chip.hbm_usable = root.Amount("hbm_usable");
  if (chip.hbm_usable > chip.hbm_nominal) {
    root.Fail("hbm_usable", fmt::format("found '{}', expected at most hbm_nominal, '{}'",
                                        root.Text("hbm_usable"), root.Text("hbm_nominal")));
  }
  chip.hbm_bandwidth = root.Bandwidth("hbm_bandwidth");
  chip.on_chip_memory = root.Amount("on_chip_memory");
}

Chip ReadChip(JsonReader& root) {
  Chip chip;
  chip.name = root.Text("name");
  chip.accelerator_prefix = root.Text("accelerator_prefix");
  chip.cores_per_chip = SmallCount(root, "cores_per_chip", 64);
  chip.peak_bf16 = root.FlopsRate("peak_bf16");
  chip.peak_int8 = root.FlopsRate("peak_int8");
  ReadMemory(root, chip);
  chip.link_bandwidth = root.Bandwidth("link_bandwidth");
  chip.paper_bandwidth = root.Bandwidth("paper_bandwidth");
  ReadTorus(root, chip);
  chip.chips_per_host = SmallCount(root, "chips_per_host", 1024);
  std::vector<std::string> with_sources = {
      "peak_bf16",      "peak_int8",      "hbm_nominal",     "hbm_usable",   "hbm_bandwidth",
      "on_chip_memory", "link_bandwidth", "paper_bandwidth", "small_shapes", "price_per_chip_hour"};
  if (root.Has("host_bandwidth")) {
    chip.host_bandwidth = root.Bandwidth("host_bandwidth");
    with_sources.emplace_back("host_bandwidth");
  }
  chip.price_per_chip_hour = ReadPrice(root, "price_per_chip_hour");
  root.Skip("sources");
  root.Finish();
  CheckSources(root, with_sources);
  return chip;
}

}  // namespace

Chip LoadChip(const std::string& name_or_path) {
  JsonReader root = JsonReader::Parse(LoadPresetOrFile("chips", "chip", name_or_path));
  return ReadChip(root);
}

}  // namespace slicewise
