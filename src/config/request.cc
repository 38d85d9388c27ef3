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
const std::vector<std::string> kObjectives = {"latency", "mfu", "cost", "throughput"};

// One of `allowed` by position, the first where nothing is given.
std::size_t ChoiceOf(const RequestOptions& o, const std::string& member,
                     const std::optional<std::string>& text,
                     const std::vector<std::string>& allowed) {
  return text ? ParseChoice(PlaceOf(o, member), *text, allowed) : 0;
}

// "a,b,c" as its parts.
std::vector<std::string> Parts(const std::string& text) {
  std::vector<std::string> parts = {""};
  for (char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
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

std::vector<std::int64_t> BatchesOr(const RequestOptions& o, const std::string& member,
                                    const std::optional<std::string>& text,
                                    const std::vector<std::int64_t>& fallback) {
  return text ? ParseBatches(PlaceOf(o, member), *text) : fallback;
}

std::vector<DataType> ResolveWeights(const RequestOptions& o) {
  std::vector<DataType> types;
  for (const std::string& part : Parts(o.weights.value_or("bf16"))) {
    const DataType type = TypeOf(o, "weights", part);
    if (std::find(types.begin(), types.end(), type) == types.end()) {
      types.push_back(type);
    }
  }
  return types;
}

Seconds TimeOr(const RequestOptions& o, const std::string& member,
               const std::optional<std::string>& text) {
  if (!text) {
    return {};
  }
  try {
    const Seconds time = ParseSeconds(*text);
    if (time > Seconds()) {
      return time;
    }
  } catch (const InputError&) {  // said below, with its place
  }
  throw InputError(
      fmt::format("{}: found '{}', expected a time above zero with its unit, such as "
                  "'300ms'",
                  PlaceOf(o, member), *text));
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

// The slices that are named; with a limit on chips and none named, every legal one below it.
std::vector<Slice> ResolveSlices(const RequestOptions& o, const Chip& chip) {
  const bool limited = o.max_chips.has_value();
  const auto most = static_cast<int>(
      limited ? ParseWhole(PlaceOf(o, "max_chips"), *o.max_chips, 1, 1 << 20) : chip.max_chips);
  std::vector<Slice> slices;
  if (o.slice == "all" || (limited && !o.slice)) {
    slices = LegalSlices(chip, std::min(most, chip.max_chips));
  } else {
    if (!o.slice) {
      throw InputError(
          o.source.empty()
              ? "--slice is required, for example --slice 4x4x4; --max-chips N searches "
                "over all slices of at most N chips"
              : fmt::format("{}: missing, expected text such as '4x4x4'", PlaceOf(o, "slice")));
    }
    for (const std::string& part : Parts(*o.slice)) {
      const Slice slice = Placed(o, "slice", [&] { return ParseSlice(part, chip); });
      if (std::find(slices.begin(), slices.end(), slice) == slices.end()) {
        slices.push_back(slice);
      }
    }
  }
  const std::vector<Slice> named = slices.empty() ? LegalSlices(chip, chip.max_chips) : slices;
  std::erase_if(slices, [&](const Slice& slice) { return slice.chips() > most; });
  if (slices.empty()) {
    const auto smallest =
        std::min_element(named.begin(), named.end(),
                         [](const Slice& a, const Slice& b) { return a.chips() < b.chips(); });
    throw InputError(fmt::format("{}: found {}, expected at least {} chips, those of {}",
                                 PlaceOf(o, "max_chips"), most, smallest->chips(),
                                 ToString(*smallest)));
  }
  return slices;
}

SweepSpace ResolveSpace(const RequestOptions& o, const Chip& chip) {
  SweepSpace space;
  space.slices = ResolveSlices(o, chip);
  const std::vector<std::int64_t> both = BatchesOr(o, "batch", o.batch, {1});
  space.prefill_batches = BatchesOr(o, "prefill_batch", o.prefill_batch, both);
  space.decode_batches = BatchesOr(o, "decode_batch", o.decode_batch, both);
  space.weights = ResolveWeights(o);
  return space;
}

// Lists where the command wants one of each.
void RefuseLists(const RequestOptions& o, const SweepSpace& space) {
  const auto refuse = [&](const char* member, bool list, const char* what) {
    if (list) {
      throw InputError(
          fmt::format("{}: found several, expected one {}: only plan and pareto search over lists",
                      PlaceOf(o, member), what));
    }
  };
  refuse(o.slice ? "slice" : "max_chips", space.slices.size() > 1, "slice");
  refuse(o.prefill_batch ? "prefill_batch" : "batch", space.prefill_batches.size() > 1,
         "batch size");
  refuse(o.decode_batch ? "decode_batch" : "batch", space.decode_batches.size() > 1, "batch size");
  refuse("weights", space.weights.size() > 1, "weight format");
}

Workload ResolveWorkload(const RequestOptions& o, const SweepSpace& space) {
  Workload work;
  work.prefill_batch = space.prefill_batches.front();
  work.decode_batch = space.decode_batches.front();
  work.context = WholeOr(o, "context", o.context, 0, 0);
  work.input_length = WholeOr(o, "input_len", o.input_len, o.context ? 0 : 2048, 0);
  work.output_length = WholeOr(o, "output_len", o.output_len, 64, 0);
  work.fixed_context = o.fixed_context;
  work.prefill_chunk = WholeOr(o, "prefill_chunk", o.prefill_chunk, 0, 1);
  work.weights = space.weights.front();
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

std::vector<std::int64_t> ParseBatches(const std::string& place, const std::string& text) {
  std::vector<std::int64_t> batches;
  for (const std::string& part : Parts(text)) {
    const std::size_t dots = part.find("..");
    if (dots == std::string::npos) {
      batches.push_back(ParseWhole(place, part, 1));
      continue;
    }
    const std::int64_t first = ParseWhole(place, part.substr(0, dots), 1);
    const std::int64_t last = ParseWhole(place, part.substr(dots + 2), first);
    for (std::int64_t batch = first; batch <= last; batch *= 2) {
      batches.push_back(batch);
    }
  }
  std::sort(batches.begin(), batches.end());
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  return batches;
}

Request ResolveRequest(const RequestOptions& o, Lists lists) {
  Request request;
  Setting& setting = request.setting;
  const std::string chip = o.chip.value_or("tpu-v4");
  const std::string calibration = o.calibration.value_or("tpu-v4");
  setting.chip = Placed(o, "chip", [&] { return LoadChip(chip); });
  const std::string& name = Required(o, "model", o.model, "palm-540b");
  const LoadedModel model = Placed(o, "model", [&] { return LoadModel(name); });
  setting.model = model.model;
  request.space = ResolveSpace(o, setting.chip);
  if (lists == Lists::kRefused) {
    RefuseLists(o, request.space);
  }
  setting.slice = request.space.slices.front();
  setting.calibration = Placed(o, "calibration", [&] { return LoadCalibration(calibration); });
  setting.workload = ResolveWorkload(o, request.space);
  setting.padded_heads = WholeOr(o, "pad_heads", o.pad_heads, 0, 1);
  if (ChoiceOf(o, "network", o.network, {"torus", "paper"}) == 1) {
    setting.network = NetworkKind::kPaper;
  }
  request.provenance = {SLICEWISE_VERSION, model.source, chip, calibration, model.notes};
  request.phases = ResolvePhases(o, setting.workload, request.provenance.notes);
  request.layout = o.layout.value_or("*/*/*");
  for (const Slice& slice : request.space.slices) {
    Placed(o, "layout", [&] { return LayoutFilter(request.layout, Mesh(slice)); });
  }
  request.objective = static_cast<Objective>(ChoiceOf(o, "objective", o.objective, kObjectives));
  request.targets = {TimeOr(o, "ttft", o.ttft), TimeOr(o, "tpot", o.tpot),
                     WholeOr(o, "min_context", o.min_context, 0, 1)};
  request.layouts = ChoiceOf(o, "layouts", o.layouts, {"paper", "all"}) == 1 ? LayoutSpace::kAll
                                                                             : LayoutSpace::kPaper;
  request.same_layout = o.same_layout;
  request.space.layout = request.layout;
  request.space.layouts = request.layouts;
  request.threads = static_cast<int>(WholeOr(o, "threads", o.threads, 1, 1));
  request.top = static_cast<std::size_t>(WholeOr(o, "top", o.top, 5, 1));
  return request;
}

}  // namespace slicewise
