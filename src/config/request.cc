#include "slicewise/config/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

const std::vector<std::string> kTypes = {"bf16", "int8"};

// One of `allowed` by position, the first where nothing is given.
std::size_t ChoiceOf(const RequestOptions& o, const std::string& member,
                     const std::optional<std::string>& text,
                     const std::vector<std::string>& allowed) {
  return text ? ParseChoice(PlaceOf(o, member), *text, allowed) : 0;
}

DataType TypeOf(const RequestOptions& o, const std::string& member,
                const std::optional<std::string>& text) {
  return ChoiceOf(o, member, text, kTypes) == 0 ? DataType::kBf16 : DataType::kInt8;
}

std::int64_t WholeOr(const RequestOptions& o, const std::string& member,
                     const std::optional<std::string>& text, std::int64_t fallback,
                     std::int64_t low) {
  return text ? ParseWhole(PlaceOf(o, member), *text, low) : fallback;
}

Workload ResolveWorkload(const RequestOptions& o) {
  Workload work;
  const std::int64_t batch = WholeOr(o, "batch", o.batch, 1, 1);
  work.prefill_batch = WholeOr(o, "prefill_batch", o.prefill_batch, batch, 1);
  work.decode_batch = WholeOr(o, "decode_batch", o.decode_batch, batch, 1);
  work.context = WholeOr(o, "context", o.context, 0, 0);
  work.input_length = WholeOr(o, "input_len", o.input_len, o.context ? 0 : 2048, 0);
  work.output_length = WholeOr(o, "output_len", o.output_len, 64, 0);
  work.fixed_context = o.fixed_context;
  work.weights = TypeOf(o, "weights", o.weights);
  work.activations = TypeOf(o, "activations", o.activations);
  work.kv_cache = TypeOf(o, "kv_cache", o.kv_cache);
  if (ChoiceOf(o, "logits", o.logits, {"last", "all"}) == 1) {
    work.logits = Logits::kAll;
  }
  if (ChoiceOf(o, "scope", o.scope, {"end-to-end", "layers"}) == 1) {
    work.scope = Scope::kLayers;
  }
  return work;
}

std::vector<Phase> ResolvePhases(const RequestOptions& o, const Workload& work,
                                 std::vector<std::string>& notes) {
  std::vector<Phase> phases = {Phase::kPrefill, Phase::kDecode};
  const std::size_t choice = ChoiceOf(o, "phase", o.phase, {"both", "prefill", "decode"});
  if (choice > 0) {
    phases = {choice == 1 ? Phase::kPrefill : Phase::kDecode};
  }
  const auto drop = [&](Phase phase, bool empty, const std::string& member) {
    const auto at = std::find(phases.begin(), phases.end(), phase);
    if (!empty || at == phases.end()) {
      return;
    }
    if (o.phase || phases.size() == 1) {
      throw InputError(fmt::format("{}: found 0, but {} needs at least 1 token", PlaceOf(o, member),
                                   Name(phase)));
    }
    phases.erase(at);
    notes.push_back(fmt::format("{} is 0: {} is not planned", PlaceOf(o, member), Name(phase)));
  };
  drop(Phase::kPrefill, work.input_length == 0, "input_len");
  drop(Phase::kDecode, work.output_length == 0, "output_len");
  if (work.context + work.input_length == 0) {
    throw InputError(fmt::format("{} and {} are both 0: decode has nothing to attend to",
                                 PlaceOf(o, "context"), PlaceOf(o, "input_len")));
  }
  return phases;
}

const std::string& Required(const RequestOptions& o, const std::string& member,
                            const std::optional<std::string>& text, const char* example) {
  if (text) {
    return *text;
  }
  const std::string place = PlaceOf(o, member);
  throw InputError(o.source.empty()
                       ? fmt::format("{} is required, for example {} {}", place, place, example)
                       : fmt::format("{}: missing, expected text such as '{}'", place, example));
}

// Runs `load`. On the command line its errors speak for themselves; those of a file get their
// place.
template <class Load>
auto Placed(const RequestOptions& o, const std::string& member, const Load& load) {
  try {
    return load();
  } catch (const InputError& error) {
    if (o.source.empty()) {
      throw;
    }
    throw InputError(fmt::format("{}: {}", PlaceOf(o, member), error.what()));
  }
}

}  // namespace

std::string PlaceOf(const RequestOptions& options, const std::string& member) {
  if (options.source.empty()) {
    std::string name = member;
    std::replace(name.begin(), name.end(), '_', '-');
    return "--" + name;
  }
  const auto key = options.keys.find(member);
  // A root object has no path of its own.
  const bool root = options.source.find(": /") == std::string::npos;
  return fmt::format("{}{}/{}", options.source, root ? ": " : "",
                     key == options.keys.end() ? member : key->second);
}

std::int64_t ParseWhole(const std::string& place, const std::string& text, std::int64_t low,
                        std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw InputError(fmt::format("{}: found '{}', expected a whole number from {} to {}", place,
                                 text, low, high));
  }
  return value;
}

std::size_t ParseChoice(const std::string& place, const std::string& text,
                        const std::vector<std::string>& allowed) {
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    if (allowed[i] == text) {
      return i;
    }
  }
  throw InputError(fmt::format("{}: found '{}', expected {}{}", place, text,
                               fmt::join(allowed, ", "), DidYouMean(text, allowed)));
}

Request ResolveRequest(const RequestOptions& o) {
  Request request;
  Setting& setting = request.setting;
  const std::string chip = o.chip.value_or("tpu-v4");
  const std::string calibration = o.calibration.value_or("tpu-v4");
  setting.chip = Placed(o, "chip", [&] { return LoadChip(chip); });
  const std::string& name = Required(o, "model", o.model, "palm-540b");
  const LoadedModel model = Placed(o, "model", [&] { return LoadModel(name); });
  setting.model = model.model;
  const std::string& slice = Required(o, "slice", o.slice, "4x4x4");
  setting.slice = Placed(o, "slice", [&] { return ParseSlice(slice, setting.chip); });
  setting.calibration = Placed(o, "calibration", [&] { return LoadCalibration(calibration); });
  setting.workload = ResolveWorkload(o);
  setting.padded_heads = WholeOr(o, "pad_heads", o.pad_heads, 0, 1);
  if (ChoiceOf(o, "network", o.network, {"torus", "paper"}) == 1) {
    setting.network = NetworkKind::kPaper;
  }
  request.provenance = {SLICEWISE_VERSION, model.source, chip, calibration, model.notes};
  request.phases = ResolvePhases(o, setting.workload, request.provenance.notes);
  request.layout = o.layout.value_or("*/*/*");
  Placed(o, "layout", [&] { return LayoutFilter(request.layout, Mesh(setting.slice)); });
  request.objective =
      static_cast<Objective>(ChoiceOf(o, "objective", o.objective, {"latency", "mfu", "cost"}));
  request.top = static_cast<std::size_t>(WholeOr(o, "top", o.top, 5, 1));
  return request;
}

}  // namespace slicewise
