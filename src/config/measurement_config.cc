#include "slicewise/config/measurement_config.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "slicewise/config/chip_config.h"
#include "slicewise/config/json_reader.h"
#include "slicewise/config/model_config.h"
#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

// Models and chips named by many rows are read once.
struct Cache {
  std::map<std::string, Model> models;
  Chip chip;
};

void ReadWorkload(JsonReader& row, Measurement& out) {
  Workload& work = out.setting.workload;
  work.prefill_batch = row.Count("batch");
  work.decode_batch = work.prefill_batch;
  work.input_length = row.Whole("input_length");
  work.output_length = row.Whole("output_length");
  work.context = row.OptionalWhole("context").value_or(0);
  work.fixed_context = row.OptionalFlag("fixed_context").value_or(false);
  const auto type = [&](const char* key) {
    return row.Has(key) ? *ParseDataType(row.Choice(key, {"bf16", "int8"})) : DataType::kBf16;
  };
  work.weights = type("weights");
  work.activations = type("activations");
  work.kv_cache = type("kv_cache");
  work.logits = row.Has("logits") && row.Choice("logits", {"last", "all"}) == "all" ? Logits::kAll
                                                                                    : Logits::kLast;
  work.scope = row.Has("scope") && row.Choice("scope", {"end-to-end", "layers"}) == "layers"
                   ? Scope::kLayers
                   : Scope::kEndToEnd;
  const std::string phase = row.Choice("phase", {"prefill", "decode", "both"});
  if (phase != "decode") {
    out.phases.push_back(Phase::kPrefill);
    if (work.input_length == 0) {
      row.Fail("input_length", "found 0, expected at least 1 token for prefill");
    }
  }
  if (phase != "prefill") {
    out.phases.push_back(Phase::kDecode);
    if (work.output_length == 0) {
      row.Fail("output_length", "found 0, expected at least 1 token for decode");
    }
  }
}

// What belongs to model, slice and layout; their own errors are given the row's place.
void ReadLayout(JsonReader& row, Cache& cache, Measurement& out) {
  const std::string model = row.Text("model");
  const std::string slice = row.Text("slice");
  out.layout_text = row.Text("layout");
  out.setting.chip = cache.chip;
  out.setting.padded_heads = row.OptionalCount("padded_heads").value_or(0);
  const auto at = [&](const char* key, const auto& read) {
    try {
      read();
    } catch (const InputError& error) {
      row.Fail(key, error.what());
    }
  };
  at("model", [&] {
    if (!cache.models.contains(model)) {
      cache.models[model] = LoadModel(model).model;
    }
  });
  out.setting.model = cache.models[model];
  at("slice", [&] { out.setting.slice = ParseSlice(slice, cache.chip); });
  const Mesh mesh(out.setting.slice);
  at("layout", [&] { out.layout = ParseLayout(out.layout_text, mesh); });
  if (out.setting.model.has_attention() &&
      StoredHeads(out.setting.model, out.layout, mesh, out.setting.padded_heads) == 0) {
    row.Fail("padded_heads", fmt::format("{} heads do not fit layout {}", out.setting.padded_heads,
                                         out.layout_text));
  }
}

Measurement ReadRow(JsonReader row, Cache& cache) {
  Measurement out;
  out.id = row.Text("id");
  out.source = row.Text("source");
  out.split = row.Choice("split", {"fit", "holdout"}) == "fit" ? Split::kFit : Split::kHoldout;
  ReadLayout(row, cache, out);
  ReadWorkload(row, out);
  out.latency = SecondsOf(row.Positive("latency_seconds"));
  out.mfu = row.OptionalPositive("mfu");
  out.decode_layers = row.OptionalCount("decode_layers").value_or(0);
  row.Skip("note");
  row.Finish();
  return out;
}

// The error of a row that has an id says the id, as well as the path.
Measurement ReadNamedRow(const JsonReader& row, Cache& cache) {
  try {
    return ReadRow(row, cache);
  } catch (const InputError& error) {
    const auto id = row.json().find("id");
    if (id == row.json().end() || !id->is_string()) {
      throw;
    }
    throw InputError(fmt::format("{} (row '{}')", error.what(), id->get<std::string>()));
  }
}

JsonReader Open(const std::string& name_or_path) {
  JsonReader root =
      JsonReader::Parse(LoadPresetOrFile("measurements", "measurement file", name_or_path));
  const std::string schema = root.Text("schema");
  if (schema != "slicewise-measurements/1") {
    root.Fail("schema", fmt::format("found '{}', expected 'slicewise-measurements/1'", schema));
  }
  return root;
}

// Model and slice of a published figure or table, whose own errors are given the member's place.
Setting ReadSetting(JsonReader& reader, const JsonReader& slice_owner, const std::string& slice,
                    Cache& cache) {
  Setting setting;
  setting.chip = cache.chip;
  const std::string model = reader.Text("model");
  try {
    setting.model = LoadModel(model).model;
  } catch (const InputError& error) {
    reader.Fail("model", error.what());
  }
  try {
    setting.slice = ParseSlice(slice, cache.chip);
  } catch (const InputError& error) {
    slice_owner.Fail("slice", error.what());
  }
  return setting;
}

VolumeFigure ReadFigure(JsonReader reader, Cache& cache) {
  VolumeFigure figure;
  figure.source = reader.Text("source");
  figure.setting = ReadSetting(reader, reader, reader.Text("slice"), cache);
  figure.layouts = reader.Texts("layouts");
  for (const std::string& layout : figure.layouts) {
    try {
      static_cast<void>(ParseLayout(layout, Mesh(figure.setting.slice)));
    } catch (const InputError& error) {
      reader.Fail("layouts", error.what());
    }
  }
  for (JsonReader row : reader.Objects("rows")) {
    figure.rows.push_back({row.Positive("tokens"), row.Positives("volume_gigabytes")});
    if (figure.rows.back().gigabytes.size() != figure.layouts.size()) {
      row.Fail("volume_gigabytes",
               fmt::format("found {} values, expected one for each of {} layouts",
                           figure.rows.back().gigabytes.size(), figure.layouts.size()));
    }
  }
  return figure;
}

ContextTable ReadContextTable(JsonReader reader, Cache& cache) {
  ContextTable table;
  table.source = reader.Text("source");
  const std::string slice = reader.Text("slice");
  const std::int64_t padded_heads = reader.Count("padded_heads");
  table.kv_budget_fraction = reader.Positive("kv_budget_fraction");
  for (JsonReader row : reader.Objects("rows")) {
    ContextRow out;
    out.variant = row.Text("variant");
    out.setting = ReadSetting(row, reader, slice, cache);
    out.setting.padded_heads = padded_heads;
    out.setting.workload.decode_batch = row.Count("batch");
    out.attention = row.Choice("attention", {"Hxyz", "Bxyz"});
    out.published = row.Count("max_context");
    const Mesh mesh(out.setting.slice);
    if (StoredHeads(out.setting.model, ParseLayout("Ex.Fyz/ws/" + out.attention, mesh), mesh,
                    padded_heads) == 0) {
      reader.Fail("padded_heads",
                  fmt::format("{} heads do not fit {}", padded_heads, out.setting.model.name));
    }
    table.rows.push_back(out);
  }
  return table;
}

}  // namespace

MeasurementFile LoadMeasurements(const std::string& name_or_path) {
  JsonReader root = Open(name_or_path);
  MeasurementFile file;
  file.source = name_or_path;
  file.title = root.OptionalText("title").value_or(name_or_path);
  file.chip = root.OptionalText("chip").value_or("tpu-v4");
  Cache cache;
  cache.chip = LoadChip(file.chip);
  std::set<std::string> ids;
  for (const JsonReader& row : root.Objects("rows")) {
    file.rows.push_back(ReadNamedRow(row, cache));
    if (!ids.insert(file.rows.back().id).second) {
      row.Fail("id", fmt::format("'{}' appears twice", file.rows.back().id));
    }
  }
  if (file.rows.empty()) {
    root.Fail("rows", "found none, expected at least one measurement");
  }
  if (root.Has("figure3")) {
    file.figure3 = ReadFigure(root.Object("figure3"), cache);
  }
  if (root.Has("table1")) {
    file.table1 = ReadContextTable(root.Object("table1"), cache);
  }
  root.Skip("notes");
  root.Finish();
  return file;
}

}  // namespace slicewise
