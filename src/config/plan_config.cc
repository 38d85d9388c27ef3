#include "slicewise/config/plan_config.h"

#include <fmt/format.h>

#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/json_reader.h"
#include "slicewise/config/model_config.h"
#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

DataType ReadType(JsonReader& request, const char* key) {
  return *ParseDataType(request.Choice(key, {"bf16", "int8"}));
}

// What a name in the document stands for; a name that cannot be loaded is given its place.
template <class Load>
auto Named(JsonReader& reader, const char* key, const Load& load) {
  std::string name = reader.Text(key);
  if (constexpr std::string_view kPreset = "preset "; name.starts_with(kPreset)) {
    name.erase(0, kPreset.size());
  }
  try {
    return load(name);
  } catch (const InputError& error) {
    reader.Fail(key, error.what());
  }
}

Workload ReadWorkload(JsonReader& request) {
  Workload work;
  work.prefill_batch = request.Count("prefill_batch");
  work.decode_batch = request.Count("decode_batch");
  work.input_length = request.Whole("input_length");
  work.output_length = request.Whole("output_length");
  work.context = request.Whole("context");
  work.fixed_context = request.Flag("fixed_context");
  work.weights = ReadType(request, "weights");
  work.activations = ReadType(request, "activations");
  work.kv_cache = ReadType(request, "kv_cache");
  work.logits = request.Choice("logits", {"last", "all"}) == "all" ? Logits::kAll : Logits::kLast;
  work.scope = request.Choice("scope", {"end-to-end", "layers"}) == "layers" ? Scope::kLayers
                                                                             : Scope::kEndToEnd;
  return work;
}

PlanFileEntry ReadPlan(JsonReader plan, Phase phase, const Setting& setting) {
  PlanFileEntry entry;
  entry.phase = phase;
  entry.layout_text = plan.Text("layout");
  entry.stored_heads = plan.Whole("stored_heads");
  const Mesh mesh(setting.slice);
  try {
    entry.layout = ParseLayout(entry.layout_text, mesh);
  } catch (const InputError& error) {
    plan.Fail("layout", error.what());
  }
  if (StoredHeads(setting.model, entry.layout, mesh, entry.stored_heads) != entry.stored_heads) {
    plan.Fail("stored_heads",
              fmt::format("{} heads do not fit layout {}", entry.stored_heads, entry.layout_text));
  }
  return entry;
}

}  // namespace

PlanFile LoadPlanFile(const std::string& path) {
  JsonReader root = JsonReader::Parse(LoadFile(path));
  if (const std::string schema = root.Text("schema"); schema != "slicewise-plan/1") {
    root.Fail("schema", fmt::format("found '{}', expected 'slicewise-plan/1'", schema));
  }
  PlanFile file;
  JsonReader provenance = root.Object("provenance");
  file.setting.model = Named(provenance, "model", LoadModel).model;
  file.setting.chip = Named(provenance, "chip", LoadChip);
  file.setting.calibration = Named(provenance, "calibration", LoadCalibration);
  JsonReader request = root.Object("request");
  file.setting.slice = Named(request, "slice", [&](const std::string& text) {
    return ParseSlice(text, file.setting.chip);
  });
  file.setting.workload = ReadWorkload(request);
  file.setting.network = request.Choice("network", {"torus", "paper"}) == "paper"
                             ? NetworkKind::kPaper
                             : NetworkKind::kTorus;
  JsonReader phases = root.Object("phases");
  for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    if (!phases.Has(Name(phase))) {
      continue;
    }
    for (const JsonReader& plan : phases.Object(Name(phase)).Objects("plans")) {
      file.plans.push_back(ReadPlan(plan, phase, file.setting));
    }
  }
  if (file.plans.empty()) {
    phases.Fail("", "found no plan, expected at least one");
  }
  return file;
}

}  // namespace slicewise
