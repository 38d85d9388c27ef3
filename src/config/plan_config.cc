#include "slicewise/config/plan_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "execution_check.h"
#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/json_reader.h"
#include "slicewise/config/model_config.h"
#include "slicewise/search/fingerprint.h"
#include "slicewise/search/request.h"
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
  work.prefill_chunk = request.OptionalWhole("prefill_chunk").value_or(0);
  work.fixed_context = request.Flag("fixed_context");
  work.weights = ReadType(request, "weights");
  work.activations = ReadType(request, "activations");
  work.kv_cache = ReadType(request, "kv_cache");
  work.logits = request.Choice("logits", {"last", "all"}) == "all" ? Logits::kAll : Logits::kLast;
  work.scope = request.Choice("scope", {"end-to-end", "layers"}) == "layers" ? Scope::kLayers
                                                                             : Scope::kEndToEnd;
  return work;
}

Layout ReadLayout(JsonReader& reader, const char* key, const Mesh& mesh) {
  try {
    return ParseLayout(reader.Text(key), mesh);
  } catch (const InputError& error) {
    reader.Fail(key, error.what());
  }
}

void RequireHeadsFit(const JsonReader& reader, const char* key, const Setting& setting,
                     const Layout& layout, std::int64_t heads) {
  const Mesh mesh(setting.slice);
  if (StoredHeads(setting.model, layout, mesh, heads) != heads) {
    reader.Fail(key, fmt::format("{} heads do not fit layout {}", heads, ToString(layout, mesh)));
  }
}

PlanFileEntry ReadPlan(JsonReader plan, Phase phase, const Setting& setting) {
  PlanFileEntry entry;
  entry.phase = phase;
  entry.layout = ReadLayout(plan, "layout", Mesh(setting.slice));
  entry.layout_text = plan.Text("layout");
  entry.stored_heads = plan.Whole("stored_heads");
  RequireHeadsFit(plan, "stored_heads", setting, entry.layout, entry.stored_heads);
  return entry;
}

// The latency that the document gives is what its plan prices to.
void CheckPrice(JsonReader plan, const PlanFileEntry& entry, Evaluator& evaluator) {
  constexpr double kTolerance = 1e-6;  // other machines round otherwise
  const double found = plan.Positive("latency_seconds");
  const double priced =
      evaluator.Evaluate(entry.layout, entry.phase, entry.stored_heads)->latency.base();
  if (std::abs(found - priced) > kTolerance * priced) {
    plan.Fail("latency_seconds",
              fmt::format("found {} s, but the plan prices to {} s", found, priced));
  }
}

std::vector<ChangedInput> ReadFingerprints(JsonReader provenance, const Setting& setting) {
  JsonReader sha256 = provenance.Object("sha256");
  const Fingerprints now = FingerprintsOf(setting);
  std::vector<ChangedInput> changed;
  const auto compare = [&](ChangedInput::Kind kind, const char* key, const std::string& loaded,
                           const std::string& name) {
    if (const std::string found = sha256.Text(key); found != loaded) {
      changed.push_back(
          {kind, fmt::format("{}: {} '{}' has changed since the plan was made: found {}, its "
                             "SHA-256 is now {}",
                             sha256.Where(key), key, name, found, loaded)});
    }
  };
  compare(ChangedInput::Kind::kModel, "model", now.model, setting.model.name);
  compare(ChangedInput::Kind::kChip, "chip", now.chip, setting.chip.name);
  compare(ChangedInput::Kind::kCalibration, "calibration", now.calibration,
          setting.calibration.name);
  return changed;
}

bool HasChanged(const PlanFile& file, ChangedInput::Kind kind) {
  return std::any_of(file.changed.begin(), file.changed.end(),
                     [&](const ChangedInput& input) { return input.kind == kind; });
}

// The layout that a phase executes: the deployment's where there is one, else the best plan's.
Layout ReadExecutedLayout(JsonReader& root, JsonReader phase, const PlanFile& file, Phase which) {
  const Mesh mesh(file.setting.slice);
  const Layout layout = ReadLayout(phase, "layout", mesh);
  std::string chosen;
  if (!root.json().contains("deployment") || root.json().at("deployment").is_null()) {
    const auto best = std::find_if(file.plans.begin(), file.plans.end(),
                                   [&](const PlanFileEntry& plan) { return plan.phase == which; });
    chosen = best == file.plans.end() ? "" : ToString(best->layout, mesh);
  } else {
    JsonReader deployment = root.Object("deployment");
    chosen = ToString(
        ReadLayout(deployment, which == Phase::kPrefill ? "prefill_layout" : "decode_layout", mesh),
        mesh);
  }
  if (ToString(layout, mesh) != chosen) {
    phase.Fail("layout", fmt::format("found '{}', expected '{}', which the document has chosen",
                                     ToString(layout, mesh), chosen));
  }
  return layout;
}

ExecutionLayouts ReadLayouts(JsonReader& root, JsonReader execution, const PlanFile& file) {
  ExecutionLayouts layouts;
  layouts.stored_heads = execution.Whole("stored_heads");
  JsonReader phases = execution.Object("phases");
  for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    const std::string name(Name(phase));
    if (!phases.Has(name) || phases.json().at(name).is_null()) {
      continue;  // one phase alone was planned
    }
    const Layout layout = ReadExecutedLayout(root, phases.Object(name), file, phase);
    RequireHeadsFit(execution, "stored_heads", file.setting, layout, layouts.stored_heads);
    (phase == Phase::kPrefill ? layouts.prefill : layouts.decode) = layout;
  }
  if (!layouts.prefill && !layouts.decode) {
    phases.Fail("", "found no phase, expected at least one");
  }
  if (layouts.prefill && layouts.decode &&
      (layouts.prefill->weights_embed != layouts.decode->weights_embed ||
       layouts.prefill->replicas != layouts.decode->replicas)) {
    phases.Fail("", "prefill and decode do not share the weights part of their layouts");
  }
  return layouts;
}

void ReadExecution(JsonReader& root, PlanFile& file) {
  if (!root.json().contains("execution")) {
    root.Fail("", "'execution' is missing");
  }
  if (root.json().at("execution").is_null()) {
    return;
  }
  JsonReader execution = root.Object("execution");
  file.layouts = ReadLayouts(root, execution, file);
  file.execution = MakeExecution(file.setting, *file.layouts);
  if (!HasChanged(file, ChangedInput::Kind::kModel) &&
      !HasChanged(file, ChangedInput::Kind::kChip)) {
    CheckExecution(execution, *file.execution);
  }
}

}  // namespace

PlanFile LoadPlanFile(const std::string& path) {
  JsonReader root = JsonReader::Parse(LoadFile(path));
  if (const std::string schema = root.Text("schema"); schema != kPlanSchema) {
    root.Fail("schema", fmt::format("found '{}', expected '{}'", schema, kPlanSchema));
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
  file.changed = ReadFingerprints(provenance, file.setting);
  // Another version may well price otherwise.
  const bool same_prices = file.changed.empty() && provenance.Text("version") == SLICEWISE_VERSION;
  Evaluator evaluator(file.setting);
  JsonReader phases = root.Object("phases");
  for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    if (!phases.Has(Name(phase))) {
      continue;
    }
    for (const JsonReader& plan : phases.Object(Name(phase)).Objects("plans")) {
      file.plans.push_back(ReadPlan(plan, phase, file.setting));
      if (same_prices) {
        CheckPrice(plan, file.plans.back(), evaluator);
      }
    }
  }
  if (file.plans.empty()) {
    phases.Fail("", "found no plan, expected at least one");
  }
  ReadExecution(root, file);
  return file;
}

}  // namespace slicewise
