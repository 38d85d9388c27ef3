#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/config/presets.h"
#include "slicewise/report/table.h"
#include "slicewise/search/enumerate.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise::cli {
namespace {

// A listing: the table for people, whose rows are the JSON objects too (titles as keys).
struct Listing {
  std::string noun;
  Table table;
};

Listing ListModels() {
  Listing listing = {"models", {}};
  listing.table.columns = {{"name", false}, {"parameters"}, {"layers"}, {"embed_dim"},
                           {"ffn_dim"},     {"heads"},      {"kv_heads"}, {"head_dim"},
                           {"block", false}};
  for (const std::string& name : PresetNames("models")) {
    const Model m = LoadModel(name).model;
    listing.table.rows.push_back(
        {name, FormatCount(Parameters(m)), std::to_string(m.layers), std::to_string(m.embed_dim),
         std::to_string(m.ffn_dim), std::to_string(m.query_heads), std::to_string(m.kv_heads),
         std::to_string(m.head_dim), m.parallel() ? "parallel" : "serial"});
  }
  return listing;
}

Listing ListChips() {
  Listing listing = {"chips", {}};
  listing.table.columns = {{"name", false}, {"bf16 peak"}, {"HBM"},  {"usable"},
                           {"HBM rate"},    {"link rate"}, {"price"}};
  for (const std::string& name : PresetNames("chips")) {
    const Chip c = LoadChip(name);
    listing.table.rows.push_back({name, Format(c.peak_bf16), Format(c.hbm_nominal),
                                  Format(c.hbm_usable), Format(c.hbm_bandwidth),
                                  Format(c.link_bandwidth),
                                  fmt::format("{:.2f} $/chip-hour", c.price_per_chip_hour.base())});
  }
  return listing;
}

Listing ListCalibrations() {
  Listing listing = {"calibrations", {}};
  listing.table.columns = {{"name", false}};
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    listing.table.columns.push_back({std::string(parameter.name)});
  }
  std::vector<std::string> names = PresetNames("calibrations");
  names.emplace_back("roofline");
  for (const std::string& name : names) {
    const Calibration calibration = LoadCalibration(name);
    std::vector<std::string> row = {name};
    for (const CalibrationParameter& parameter : CalibrationParameters()) {
      row.push_back(fmt::format("{:.4g}", calibration.*parameter.member));
    }
    listing.table.rows.push_back(row);
  }
  return listing;
}

Listing ListSlices(const Chip& chip, int max_chips) {
  Listing listing = {"slices", {}};
  listing.table.columns = {{"slice", false}, {"chips"},         {"accelerator", false},
                           {"hosts"},        {"wraps", false}, {"twistable", false}};
  for (const Slice& slice : LegalSlices(chip, max_chips)) {
    listing.table.rows.push_back(
        {ToString(slice), std::to_string(slice.chips()), AcceleratorType(slice, chip),
         std::to_string((slice.chips() + chip.chips_per_host - 1) / chip.chips_per_host),
         slice.wraps ? "torus" : "mesh", CanTwist(slice.dims, chip) ? "yes" : "no"});
  }
  return listing;
}

Listing ListLayouts(const Mesh& mesh, const std::string& filter) {
  Listing listing = {"layouts", {}};
  listing.table.columns = {{"layout", false}, {"in words", false}};
  const std::vector<Layout> all = EnumerateLayouts(mesh, LayoutFilter(filter, mesh));
  for (const Layout& layout : ClassRepresentatives(all, mesh)) {
    listing.table.rows.push_back({ToString(layout, mesh), Describe(layout, mesh)});
  }
  return listing;
}

// Transposed where there are more columns than a terminal holds: one line per column.
std::string ListingText(const Listing& listing, std::size_t width) {
  if (TableWidth(listing.table) <= width) {
    return TableText(listing.table);
  }
  Table turned;
  turned.columns = {{listing.table.columns[0].title, false}};
  for (const auto& row : listing.table.rows) {
    turned.columns.push_back({row[0]});
  }
  for (std::size_t i = 1; i < listing.table.columns.size(); ++i) {
    std::vector<std::string> line = {listing.table.columns[i].title};
    for (const auto& row : listing.table.rows) {
      line.push_back(row[i]);
    }
    turned.rows.push_back(line);
  }
  return TableWidth(turned) <= width ? TableText(turned) : TableText(listing.table, 1);
}

nlohmann::ordered_json ListingJson(const std::vector<Listing>& listings) {
  nlohmann::ordered_json out = {{"schema", "slicewise-list/1"}};
  for (const Listing& listing : listings) {
    out[listing.noun] = nlohmann::ordered_json::array();
    for (const auto& row : listing.table.rows) {
      nlohmann::ordered_json entry = nlohmann::ordered_json::object();
      for (std::size_t i = 0; i < row.size(); ++i) {
        entry[listing.table.columns[i].title] = row[i];
      }
      out[listing.noun].push_back(entry);
    }
  }
  return out;
}

std::string Render(const std::vector<Listing>& listings, OutputFormat format, std::size_t width) {
  if (format == OutputFormat::kJson) {
    return ListingJson(listings).dump(2) + "\n";
  }
  std::string text;
  for (const Listing& listing : listings) {
    text += text.empty() ? "" : "\n";
    if (format == OutputFormat::kCsv) {
      text += TableCsv(listing.table);
      continue;
    }
    text += listings.size() > 1 ? listing.noun + ":\n" : "";
    text += format == OutputFormat::kMarkdown ? "\n" + TableMarkdown(listing.table)
                                        : ListingText(listing, width);
  }
  return text;
}

struct ListOptions {
  std::string what = "all";
  CommonOptions common;
};

std::vector<Listing> Collect(const ListOptions& options) {
  static const std::vector<std::string> kNouns = {"all",    "models",       "chips",
                                                  "slices", "calibrations", "layouts"};
  const std::size_t what = ParseChoice("list", options.what, kNouns);
  const Chip chip = LoadChip(options.common.chip.value_or("tpu-v4"));
  constexpr int kListedChips = 512;
  switch (what) {
    case 1:
      return {ListModels()};
    case 2:
      return {ListChips()};
    case 3:
      return {ListSlices(chip, chip.max_chips)};
    case 4:
      return {ListCalibrations()};
    case 5: {
      const Mesh mesh(ParseSlice(options.common.slice.value_or("4x4x4"), chip));
      return {ListLayouts(mesh, options.common.layout.value_or("*/*/*"))};
    }
    default:
      return {ListModels(), ListChips(), ListSlices(chip, kListedChips), ListCalibrations()};
  }
}

}  // namespace

Command AddList(CLI::App& root) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* app = root.add_subcommand(
      "list", "List models, chips, slices, calibrations, or the layouts of a slice.");
  app->add_option("what", options->what,
                  "all, models, chips, slices, calibrations or layouts (default all; slices up to "
                  "512 chips)");
  app->add_option("--chip", options->common.chip, "preset or file (default tpu-v4)");
  app->add_option("--slice", options->common.slice, "for layouts (default 4x4x4)");
  app->add_option("--layout", options->common.layout, "for layouts: a filter such as '*/ws/*'");
  AddOutputOptions(*app, options->common);
  return {app, [options](Streams streams) {
            const OutputFormat format = ResolveFormat(options->common);
            WriteResult(Render(Collect(*options), format, streams.terminal.width),
                        options->common.output, streams.out);
            return ExitCode::kDone;
          }};
}

}  // namespace slicewise::cli
