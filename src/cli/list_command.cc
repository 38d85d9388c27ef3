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

using Json = nlohmann::ordered_json;

// A listing: the table for people, and its rows as objects for JSON and CSV.
struct Listing {
  std::string noun;
  Table table;
  Json rows = Json::array();
};

Listing ListModels() {
  Listing listing = {"models", {}};
  listing.table.columns = {{"name", false}, {"parameters"}, {"layers"},
                           {"embed_dim"},   {"ffn_dim"},    {"heads"},
                           {"kv_heads"},    {"head_dim"},   {"block", false}};
  for (const std::string& name : PresetNames("models")) {
    const Model m = LoadModel(name).model;
    const std::string block = m.parallel() ? "parallel" : "serial";
    listing.table.rows.push_back({name, FormatCount(Parameters(m)), std::to_string(m.layers),
                                  std::to_string(m.embed_dim), std::to_string(m.ffn_dim),
                                  std::to_string(m.query_heads), std::to_string(m.kv_heads),
                                  std::to_string(m.head_dim), block});
    listing.rows.push_back({{"name", name},
                            {"parameters", Parameters(m)},
                            {"layers", m.layers},
                            {"embed_dim", m.embed_dim},
                            {"ffn_dim", m.ffn_dim},
                            {"query_heads", m.query_heads},
                            {"kv_heads", m.kv_heads},
                            {"head_dim", m.head_dim},
                            {"block", block}});
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
    listing.rows.push_back({{"name", name},
                            {"peak_bf16_flops_per_second", c.peak_bf16.base()},
                            {"hbm_nominal_bytes", c.hbm_nominal.base()},
                            {"hbm_usable_bytes", c.hbm_usable.base()},
                            {"hbm_bandwidth_bytes_per_second", c.hbm_bandwidth.base()},
                            {"link_bandwidth_bytes_per_second", c.link_bandwidth.base()},
                            {"price_dollars_per_chip_hour", c.price_per_chip_hour.base()}});
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
    Json object = {{"name", name}};
    for (const CalibrationParameter& parameter : CalibrationParameters()) {
      row.push_back(fmt::format("{:.4g}", calibration.*parameter.member));
      object[std::string(parameter.name)] = calibration.*parameter.member;
    }
    listing.table.rows.push_back(row);
    listing.rows.push_back(object);
  }
  return listing;
}

Listing ListSlices(const Chip& chip, int max_chips) {
  Listing listing = {"slices", {}};
  listing.table.columns = {{"slice", false}, {"chips"},        {"accelerator", false},
                           {"hosts"},        {"wraps", false}, {"twistable", false}};
  for (const Slice& slice : LegalSlices(chip, max_chips)) {
    const auto hosts = (slice.chips() + chip.chips_per_host - 1) / chip.chips_per_host;
    const bool twistable = CanTwist(slice.dims, chip);
    listing.table.rows.push_back({ToString(slice), std::to_string(slice.chips()),
                                  AcceleratorType(slice, chip), std::to_string(hosts),
                                  slice.wraps ? "torus" : "mesh", twistable ? "yes" : "no"});
    listing.rows.push_back({{"slice", ToString(slice)},
                            {"chips", slice.chips()},
                            {"accelerator_type", AcceleratorType(slice, chip)},
                            {"hosts", hosts},
                            {"wraps", slice.wraps},
                            {"twistable", twistable}});
  }
  return listing;
}

Listing ListLayouts(const Mesh& mesh, const std::string& filter) {
  Listing listing = {"layouts", {}};
  listing.table.columns = {{"layout", false}, {"in words", false}};
  const std::vector<Layout> all = EnumerateLayouts(mesh, LayoutFilter(filter, mesh));
  for (const Layout& layout : ClassRepresentatives(all, mesh)) {
    listing.table.rows.push_back({ToString(layout, mesh), Describe(layout, mesh)});
    listing.rows.push_back(
        {{"layout", ToString(layout, mesh)}, {"description", Describe(layout, mesh)}});
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
  return TableWidth(turned) <= width ? TableText(turned) : FittedText(listing.table, width);
}

Json ListingJson(const std::vector<Listing>& listings) {
  Json out = {{"schema", "slicewise-list/1"}};
  for (const Listing& listing : listings) {
    out[listing.noun] = listing.rows;
  }
  return out;
}

std::string ListingCsv(const Listing& listing) {
  Table table;
  for (const Json& row : listing.rows) {
    const bool first = table.columns.empty();
    std::vector<std::string>& cells = table.rows.emplace_back();
    for (const auto& [key, value] : row.items()) {
      if (first) {
        table.columns.push_back({key});
      }
      cells.push_back(value.is_string()         ? value.get<std::string>()
                      : value.is_number_float() ? FormatExact(value.get<double>())
                                                : value.dump());
    }
  }
  return TableCsv(table);
}

std::string Render(const std::vector<Listing>& listings, OutputFormat format, std::size_t width) {
  if (format == OutputFormat::kJson) {
    return ListingJson(listings).dump(2) + "\n";
  }
  std::string text;
  for (const Listing& listing : listings) {
    text += text.empty() ? "" : "\n";
    if (format == OutputFormat::kCsv) {
      text += ListingCsv(listing);
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
  const Chip chip = LoadChip(options.common.request.chip.value_or("tpu-v4"));
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
      const Mesh mesh(ParseSlice(options.common.request.slice.value_or("4x4x4"), chip));
      return {ListLayouts(mesh, options.common.request.layout.value_or("*/*/*"))};
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
  app->add_option("--chip", options->common.request.chip, "preset or file (default tpu-v4)");
  app->add_option("--slice", options->common.request.slice, "for layouts (default 4x4x4)");
  app->add_option("--layout", options->common.request.layout,
                  "for layouts: a filter such as '*/ws/*'");
  AddOutputOptions(*app, options->common);
  return {app, [options](Streams streams) {
            const OutputFormat format = ResolveFormat(options->common);
            const std::size_t width = ResultWidth(options->common.output, streams.terminal);
            WriteResult(Render(Collect(*options), format, width), options->common.output,
                        streams.out);
            return ExitCode::kDone;
          }};
}

}  // namespace slicewise::cli
