#include "options.h"

#include <fmt/format.h>

#include <charconv>

#include "slicewise/config/calibration_config.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise::cli {
namespace {

const std::vector<std::string> kWeightTypes = {"bf16", "int8"};

DataType ParseType(const std::string& option, const std::optional<std::string>& text) {
  if (!text) {
    return DataType::kBf16;
  }
  return ParseChoice(option, *text, kWeightTypes) == 0 ? DataType::kBf16 : DataType::kInt8;
}

std::int64_t WholeOr(const std::string& option, const std::optional<std::string>& text,
                     std::int64_t fallback, std::int64_t low) {
  return text ? ParseWhole(option, *text, low) : fallback;
}

Workload ResolveWorkload(const CommonOptions& o) {
  Workload work;
  const std::int64_t batch = WholeOr("--batch", o.batch, 1, 1);
  work.prefill_batch = WholeOr("--prefill-batch", o.prefill_batch, batch, 1);
  work.decode_batch = WholeOr("--decode-batch", o.decode_batch, batch, 1);
  work.context = WholeOr("--context", o.context, 0, 0);
  work.input_length = WholeOr("--input-len", o.input_len, o.context ? 0 : 2048, 0);
  work.output_length = WholeOr("--output-len", o.output_len, 64, 0);
  work.fixed_context = o.fixed_context;
  work.weights = ParseType("--weights", o.weights);
  work.activations = ParseType("--activations", o.activations);
  work.kv_cache = ParseType("--kv-cache", o.kv_cache);
  if (o.logits && ParseChoice("--logits", *o.logits, {"last", "all"}) == 1) {
    work.logits = Logits::kAll;
  }
  if (o.scope && ParseChoice("--scope", *o.scope, {"end-to-end", "layers"}) == 1) {
    work.scope = Scope::kLayers;
  }
  return work;
}

std::vector<Phase> ResolvePhases(const CommonOptions& o, const Workload& work,
                                 std::vector<std::string>& notes) {
  std::vector<Phase> phases = {Phase::kPrefill, Phase::kDecode};
  if (o.phase) {
    const std::size_t choice = ParseChoice("--phase", *o.phase, {"both", "prefill", "decode"});
    if (choice > 0) {
      phases = {choice == 1 ? Phase::kPrefill : Phase::kDecode};
    }
  }
  const auto drop = [&](Phase phase, bool empty, const char* option) {
    const auto at = std::find(phases.begin(), phases.end(), phase);
    if (!empty || at == phases.end()) {
      return;
    }
    if (o.phase || phases.size() == 1) {
      throw InputError(
          fmt::format("{}: found 0, but {} needs at least 1 token", option, Name(phase)));
    }
    phases.erase(at);
    notes.push_back(fmt::format("{} is 0: {} is not planned", option, Name(phase)));
  };
  drop(Phase::kPrefill, work.input_length == 0, "--input-len");
  drop(Phase::kDecode, work.output_length == 0, "--output-len");
  if (work.context + work.input_length == 0) {
    throw InputError("--context and --input-len are both 0: decode has nothing to attend to");
  }
  return phases;
}

const std::string& Required(const std::string& option, const std::optional<std::string>& text,
                            const char* example) {
  if (!text) {
    throw InputError(fmt::format("{} is required, for example {} {}", option, option, example));
  }
  return *text;
}

}  // namespace

void AddModelOptions(CLI::App& app, CommonOptions& o) {
  app.add_option("--model", o.model,
                 "preset, slicewise model file, or Hugging Face config.json (required)");
  app.add_option("--chip", o.chip, "preset or file (default tpu-v4)");
  app.add_option("--slice", o.slice,
                 "chips along x, y, z (4x4x4), or an accelerator type (v4-128 is 64 chips: it "
                 "counts TensorCores) (required)");
}

void AddWorkloadOptions(CLI::App& app, CommonOptions& o) {
  app.add_option("--phase", o.phase, "prefill, decode or both (default both)");
  app.add_option("--batch", o.batch, "sequences, both phases (default 1)");
  app.add_option("--prefill-batch", o.prefill_batch, "sequences, prefill (default --batch)");
  app.add_option("--decode-batch", o.decode_batch, "sequences, decode (default --batch)");
  app.add_option("--input-len", o.input_len,
                 "input tokens per sequence (default 2048; 0 when --context is given)");
  app.add_option("--output-len", o.output_len, "output tokens per sequence (default 64)");
  app.add_option("--context", o.context, "tokens cached before the phase begins (default 0)");
  app.add_flag("--fixed-context", o.fixed_context,
               "hold the attended context at its start during decode");
  app.add_option("--weights", o.weights, "bf16 or int8 (default bf16)");
  app.add_option("--activations", o.activations, "bf16 or int8 (default bf16)");
  app.add_option("--kv-cache", o.kv_cache, "bf16 or int8 (default bf16)");
  app.add_option("--logits", o.logits, "of which positions: last or all (default last)");
  app.add_option("--pad-heads", o.pad_heads,
                 "stored query heads (default: the fewest each layout allows)");
  app.add_option("--scope", o.scope, "end-to-end or layers (default end-to-end)");
}

void AddSearchOptions(CLI::App& app, CommonOptions& o) {
  app.add_option("--layout", o.layout,
                 "price exactly this layout, such as Ex.Fyz/ws/Bxyz; * matches any part, as in "
                 "'*/ws/*' (default all)");
  app.add_option("--calibration", o.calibration, "preset or file, or roofline (default tpu-v4)");
  app.add_option("--network", o.network, "torus or paper (default torus)");
  app.add_option("--objective", o.objective, "latency, mfu or cost (default latency)");
  app.add_option("--top", o.top, "plans to print per phase (default 5)");
}

void AddOutputOptions(CLI::App& app, CommonOptions& o) {
  app.add_option("--format", o.format, "table, json, csv or markdown (default table)");
  app.add_option("--output", o.output, "write to this file, whole or not at all");
}

std::int64_t ParseWhole(const std::string& option, const std::string& text, std::int64_t low,
                        std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw InputError(fmt::format("{}: found '{}', expected a whole number from {} to {}", option,
                                 text, low, high));
  }
  return value;
}

std::size_t ParseChoice(const std::string& option, const std::string& text,
                        const std::vector<std::string>& allowed) {
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    if (allowed[i] == text) {
      return i;
    }
  }
  throw InputError(fmt::format("{}: found '{}', expected {}{}", option, text,
                               fmt::join(allowed, ", "), DidYouMean(text, allowed)));
}

OutputFormat ResolveFormat(const CommonOptions& o) {
  return o.format ? static_cast<OutputFormat>(
                        ParseChoice("--format", *o.format, {"table", "json", "csv", "markdown"}))
                  : OutputFormat::kTable;
}

Request Resolve(const CommonOptions& o) {
  Request request;
  Setting& setting = request.setting;
  Provenance& provenance = request.provenance;
  const std::string chip = o.chip.value_or("tpu-v4");
  const std::string calibration = o.calibration.value_or("tpu-v4");
  setting.chip = LoadChip(chip);
  const LoadedModel model = LoadModel(Required("--model", o.model, "palm-540b"));
  setting.model = model.model;
  setting.slice = ParseSlice(Required("--slice", o.slice, "4x4x4"), setting.chip);
  setting.calibration = LoadCalibration(calibration);
  setting.workload = ResolveWorkload(o);
  setting.padded_heads = WholeOr("--pad-heads", o.pad_heads, 0, 1);
  if (o.network && ParseChoice("--network", *o.network, {"torus", "paper"}) == 1) {
    setting.network = NetworkKind::kPaper;
  }
  provenance = {SLICEWISE_VERSION, model.source, chip, calibration, model.notes};
  request.phases = ResolvePhases(o, setting.workload, provenance.notes);
  request.layout = o.layout.value_or("*/*/*");
  if (o.objective) {
    request.objective = static_cast<Objective>(
        ParseChoice("--objective", *o.objective, {"latency", "mfu", "cost"}));
  }
  request.top = static_cast<std::size_t>(WholeOr("--top", o.top, 5, 1));
  return request;
}

}  // namespace slicewise::cli
