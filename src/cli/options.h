// The options that every command names alike, and what they resolve to.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"
#include "slicewise/report/plan_report.h"

namespace slicewise::cli {

enum class OutputFormat { kTable, kJson, kCsv, kMarkdown };

// As typed; nullopt where not given.
struct CommonOptions {
  std::optional<std::string> model, chip, slice, phase;
  std::optional<std::string> batch, prefill_batch, decode_batch;
  std::optional<std::string> input_len, output_len, context;
  bool fixed_context = false;
  std::optional<std::string> weights, activations, kv_cache, logits, pad_heads;
  std::optional<std::string> layout, calibration, network, scope, objective, top;
  std::optional<std::string> format, output;
};

// A request, resolved and checked.
struct Request {
  Setting setting;
  Provenance provenance;
  std::vector<Phase> phases;
  std::string layout = "*/*/*";
  Objective objective = Objective::kLatency;
  std::size_t top = 5;
};

// Adds groups of options to a subcommand; help names unit and default of each.
void AddModelOptions(CLI::App& app, CommonOptions& options);
void AddWorkloadOptions(CLI::App& app, CommonOptions& options);
void AddSearchOptions(CLI::App& app, CommonOptions& options);
void AddOutputOptions(CLI::App& app, CommonOptions& options);

// Throws InputError naming the option, what was found and what was expected.
[[nodiscard]] Request Resolve(const CommonOptions& options);
[[nodiscard]] OutputFormat ResolveFormat(const CommonOptions& options);

// An option's whole number within [low, high].
[[nodiscard]] std::int64_t ParseWhole(const std::string& option, const std::string& text,
                                      std::int64_t low, std::int64_t high = 1'000'000'000);
// An option's value as one of `allowed`, by position.
[[nodiscard]] std::size_t ParseChoice(const std::string& option, const std::string& text,
                                      const std::vector<std::string>& allowed);

}  // namespace slicewise::cli
