#include "slicewise/config/scenario_config.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Value = std::optional<std::string> RequestOptions::*;

struct Field {
  std::string_view key;
  Value value;
  std::string_view long_key = {};  // as plan documents spell it
};

constexpr std::array<Field, 16> kTexts = {{{"model", &RequestOptions::model},
                                           {"chip", &RequestOptions::chip},
                                           {"slice", &RequestOptions::slice},
                                           {"phase", &RequestOptions::phase},
                                           {"weights", &RequestOptions::weights},
                                           {"activations", &RequestOptions::activations},
                                           {"kv_cache", &RequestOptions::kv_cache},
                                           {"logits", &RequestOptions::logits},
                                           {"layout", &RequestOptions::layout},
                                           {"calibration", &RequestOptions::calibration},
                                           {"network", &RequestOptions::network},
                                           {"scope", &RequestOptions::scope},
                                           {"objective", &RequestOptions::objective},
                                           {"ttft", &RequestOptions::ttft},
                                           {"tpot", &RequestOptions::tpot},
                                           {"layouts", &RequestOptions::layouts}}};

constexpr std::array<Field, 3> kBatches = {{{"batch", &RequestOptions::batch},
                                            {"prefill_batch", &RequestOptions::prefill_batch},
                                            {"decode_batch", &RequestOptions::decode_batch}}};

constexpr std::array<Field, 7> kNumbers = {
    {{"input_len", &RequestOptions::input_len, "input_length"},
     {"output_len", &RequestOptions::output_len, "output_length"},
     {"context", &RequestOptions::context},
     {"pad_heads", &RequestOptions::pad_heads, "padded_heads"},
     {"max_chips", &RequestOptions::max_chips},
     {"min_context", &RequestOptions::min_context},
     {"prefill_chunk", &RequestOptions::prefill_chunk}}};

// The key under which the field stands; both of its keys at once are a mistake.
std::string KeyOf(const JsonReader& scenario, const Field& field) {
  const std::string key(field.key);
  if (field.long_key.empty() || !scenario.Has(field.long_key)) {
    return key;
  }
  if (scenario.Has(key)) {
    scenario.Fail(field.long_key, "found a value, expected none beside '" + key + "'");
  }
  return std::string(field.long_key);
}

// A batch size as a number, or a list of them as text: "1..64".
void ReadBatches(JsonReader& scenario, const std::string& key, Value value,
                 RequestOptions& options) {
  if (scenario.Has(key) && scenario.json().at(key).is_string()) {
    options.*value = scenario.Text(key);
  } else if (const std::optional<std::int64_t> number = scenario.OptionalWhole(key)) {
    options.*value = std::to_string(*number);
  }
}

// A limit in seconds, as a plan document gives it, in place of one with its unit.
void ReadSeconds(JsonReader& scenario, const std::string& member, Value value,
                 RequestOptions& options) {
  const std::string key = member + "_seconds";
  const std::optional<double> seconds = scenario.OptionalPositive(key);
  if (!seconds) {
    return;
  }
  if (scenario.Has(member)) {
    scenario.Fail(key, "found a value, expected none beside '" + member + "'");
  }
  options.*value = FormatExact(*seconds) + " s";
  options.keys[member] = key;
}

// "phases": ["prefill", "decode"], as in a plan document.
std::optional<std::string> ReadPhases(JsonReader& scenario) {
  if (!scenario.Has("phases")) {
    return std::nullopt;
  }
  if (scenario.Has("phase")) {
    scenario.Fail("phases", "found a value, expected none beside 'phase'");
  }
  const std::vector<std::string> phases = scenario.Texts("phases");
  if (phases.size() == 1) {
    return phases.front();
  }
  if (phases != std::vector<std::string>{"prefill", "decode"}) {
    scenario.Fail("phases", "expected 'prefill', 'decode', or both in this order");
  }
  return "both";
}

}  // namespace

RequestOptions ReadScenario(JsonReader& scenario) {
  RequestOptions options;
  options.source = scenario.Where("");
  for (const Field& field : kTexts) {
    options.*field.value = scenario.OptionalText(field.key);
  }
  for (const Field& field : kBatches) {
    ReadBatches(scenario, std::string(field.key), field.value, options);
  }
  for (const Field& field : kNumbers) {
    const std::string key = KeyOf(scenario, field);
    if (const std::optional<std::int64_t> number = scenario.OptionalWhole(key)) {
      options.*field.value = std::to_string(*number);
    }
    if (key != field.key) {
      options.keys[std::string(field.key)] = key;
    }
  }
  if (const std::optional<std::string> phases = ReadPhases(scenario)) {
    options.phase = phases;
    options.keys["phase"] = "phases";
  }
  ReadSeconds(scenario, "ttft", &RequestOptions::ttft, options);
  ReadSeconds(scenario, "tpot", &RequestOptions::tpot, options);
  options.fixed_context = scenario.OptionalFlag("fixed_context").value_or(false);
  options.same_layout = scenario.OptionalFlag("same_layout").value_or(false);
  for (std::string_view derived : {"accelerator_type", "chips", "tensor_cores"}) {
    scenario.Skip(derived);
  }
  return options;
}

}  // namespace slicewise
