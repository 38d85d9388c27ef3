#include "slicewise/config/baseline_config.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "json_text.h"
#include "prediction_json.h"
#include "slicewise/config/json_reader.h"
#include "slicewise/config/scenario_config.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchema = "slicewise-baseline/1";

void SkipComment(JsonReader& reader) { static_cast<void>(reader.OptionalText("comment")); }

// The number before `unit`; nothing where the text is not that.
std::optional<double> NumberBefore(std::string_view text, std::string_view unit) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
  const bool good = error == std::errc() && rest == unit && std::isfinite(value);
  return good ? std::optional(value) : std::nullopt;
}

// An example of an absolute tolerance, for messages.
std::string_view AbsoluteExample(Metric metric) {
  switch (metric) {
    case Metric::kLatency:
      return "a time such as '2 ms'";
    case Metric::kMfu:
      return "percentage points such as '0.5 points'";
    case Metric::kCost:
      return "chip-seconds per token such as '1 ms'";
    case Metric::kMemory:
      return "an amount such as '64 MiB'";
  }
  return "";
}

// The tolerance in the metric's base unit; throws InputError where the text is none.
double ParseAbsolute(Metric metric, const std::string& text) {
  switch (metric) {
    case Metric::kLatency:
    case Metric::kCost:
      return ParseSeconds(text).base();
    case Metric::kMfu:
      if (const std::optional<double> points = NumberBefore(text, "points")) {
        return *points / 100;
      }
      throw InputError("no points");
    case Metric::kMemory:
      return ParseBytes(text).base();
  }
  return 0;
}

Tolerance ReadTolerance(JsonReader& reader, Metric metric) {
  const std::string key(Name(metric));
  const std::string text = reader.Text(key);
  Tolerance tolerance;
  try {
    const std::optional<double> percent = NumberBefore(text, "%");
    tolerance = percent ? Tolerance{Tolerance::Kind::kRelative, *percent / 100}
                        : Tolerance{Tolerance::Kind::kAbsolute, ParseAbsolute(metric, text)};
  } catch (const InputError&) {
    tolerance.amount = -1;
  }
  if (!(tolerance.amount >= 0)) {
    reader.Fail(key, fmt::format("found '{}', expected a percentage of at least 0 such as '0.5%', "
                                 "or {}",
                                 text, AbsoluteExample(metric)));
  }
  return tolerance;
}

// The object's tolerances; what it does not name stays as it is in `fallback`.
Tolerances ReadTolerances(JsonReader& parent, const Tolerances& fallback) {
  Tolerances tolerances = fallback;
  if (!parent.Has("tolerances")) {
    return tolerances;
  }
  JsonReader reader = parent.Object("tolerances");
  SkipComment(reader);
  for (Metric metric : kMetrics) {
    if (reader.Has(Name(metric))) {
      tolerances.metrics[static_cast<std::size_t>(metric)] = ReadTolerance(reader, metric);
    }
  }
  if (reader.Has("layout")) {
    tolerances.any_layout = reader.Choice("layout", {"same", "any"}) == "any";
  }
  return tolerances;
}

void CheckHistory(JsonReader& root) {
  if (!root.Has("history")) {
    return;
  }
  for (JsonReader& entry : root.Objects("history")) {
    SkipComment(entry);
    static_cast<void>(entry.Text("version"));
    static_cast<void>(entry.Text("reason"));
    static_cast<void>(entry.Texts("changed"));
  }
}

void ReadAccepted(JsonReader& scenario, BaselineScenario& out) {
  if (!scenario.Has("accepted")) {
    return;
  }
  JsonReader accepted = scenario.Object("accepted");
  SkipComment(accepted);
  JsonReader inputs = accepted.Object("inputs");
  SkipComment(inputs);
  out.inputs = {inputs.Text("version"), inputs.Text("request"), inputs.Text("model"),
                inputs.Text("chip"), inputs.Text("calibration")};
  out.accepted = ReadAcceptedPredictions(accepted);
  if (out.accepted.empty()) {
    accepted.Fail("", "found no prediction, expected prefill, decode or deployment");
  }
}

// Everything of a scenario but its request, which needs the presets.
BaselineScenario ReadStored(JsonReader& scenario, const Tolerances& fallback) {
  BaselineScenario out;
  SkipComment(scenario);
  out.tolerances = ReadTolerances(scenario, fallback);
  ReadAccepted(scenario, out);
  return out;
}

// Errors of a scenario that has a name say it, as well as the path.
template <class Read>
auto WithName(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{} (scenario '{}')", error.what(), name));
  }
}

// The name of a scenario, which no other has.
std::string ReadName(JsonReader& scenario, std::set<std::string>& seen) {
  const std::string name = scenario.Text("name");
  if (name.empty()) {
    scenario.Fail("name", "found '', expected a name");
  }
  if (!seen.insert(name).second) {
    scenario.Fail("name", fmt::format("found '{}', which another scenario has", name));
  }
  return name;
}

}  // namespace

Baseline ReadBaseline(const Document& document) {
  JsonReader root = JsonReader::Parse(document);
  if (const std::string schema = root.Text("schema"); schema != kSchema) {
    root.Fail("schema", fmt::format("found '{}', expected '{}'", schema, kSchema));
  }
  SkipComment(root);
  CheckHistory(root);
  const Tolerances tolerances = ReadTolerances(root, {});
  Baseline baseline = {document.source, {}};
  std::set<std::string> names;
  for (JsonReader& scenario : root.Objects("scenarios")) {
    const std::string name = ReadName(scenario, names);
    WithName(name, [&] {
      BaselineScenario& out = baseline.scenarios.emplace_back(ReadStored(scenario, tolerances));
      out.name = name;
      out.line = LineOfElement(document.text, "scenarios", baseline.scenarios.size() - 1);
      const RequestOptions options = ReadScenario(scenario);
      scenario.Finish();
      out.request = ResolveRequest(options);
    });
  }
  if (baseline.scenarios.empty()) {
    root.Fail("scenarios", "found none, expected at least one");
  }
  root.Finish();
  return baseline;
}

std::vector<NamedPredictions> ReadPredictions(const Document& document) {
  JsonReader root = JsonReader::Parse(document);
  const std::string schema = root.Text("schema");
  if (schema == kPlanSchema) {
    return {{"plan", ReadPlanPredictions(root)}};
  }
  if (schema != kSchema) {
    root.Fail("schema",
              fmt::format("found '{}', expected '{}' or '{}'", schema, kSchema, kPlanSchema));
  }
  std::vector<NamedPredictions> all;
  std::set<std::string> names;
  for (JsonReader& scenario : root.Objects("scenarios")) {
    const std::string name = ReadName(scenario, names);
    all.push_back({name, WithName(name, [&] { return ReadStored(scenario, {}).accepted; })});
  }
  return all;
}

namespace {

// The members of `fresh`, those that `old` has at the places that they have there; a comment stays.
Json Merged(const Json& old, const Json& fresh) {
  if (!old.is_object() || !fresh.is_object()) {
    return fresh;
  }
  Json merged = Json::object();
  for (const auto& [key, member] : old.items()) {
    if (fresh.contains(key)) {
      merged[key] = Merged(member, fresh.at(key));
    } else if (key == "comment") {
      merged[key] = member;
    }
  }
  for (const auto& [key, member] : fresh.items()) {
    if (!merged.contains(key)) {
      merged[key] = member;
    }
  }
  return merged;
}

Json InputsJson(const Inputs& inputs) {
  return {{"version", inputs.version},
          {"request", inputs.request},
          {"model", inputs.model},
          {"chip", inputs.chip},
          {"calibration", inputs.calibration}};
}

}  // namespace

Document NewBaseline(const Document& scenarios) {
  const JsonReader root = JsonReader::Parse(scenarios);  // which names mistakes of syntax
  Json json = {{"schema", kSchema}};
  json.update(root.json());
  json.erase("history");
  if (json.contains("scenarios") && json["scenarios"].is_array()) {
    for (Json& scenario : json["scenarios"]) {
      if (scenario.is_object()) {
        scenario.erase("accepted");
      }
    }
  }
  return {scenarios.source, JsonText(json)};
}

std::string AcceptedBaseline(const Document& document, const std::vector<Acceptance>& acceptances,
                             const std::string& reason, const std::string& tool_version) {
  Json json = Json::parse(document.text);
  Json changed = Json::array();
  for (const Acceptance& acceptance : acceptances) {
    Json& scenario = json.at("scenarios").at(acceptance.index);
    Json fresh = {{"inputs", InputsJson(acceptance.inputs)}};
    for (const TargetPrediction& prediction : acceptance.predictions) {
      fresh[std::string(Name(prediction.target))] = PredictionJson(prediction);
    }
    scenario["accepted"] =
        scenario.contains("accepted") ? Merged(scenario["accepted"], fresh) : fresh;
    changed.push_back(scenario.at("name"));
  }
  json["history"].push_back({{"version", tool_version}, {"reason", reason}, {"changed", changed}});
  return JsonText(json);
}

}  // namespace slicewise
