// The options that every command names alike.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "slicewise/config/request.h"

namespace slicewise::cli {

enum class OutputFormat { kTable, kJson, kCsv, kMarkdown };

// As typed; nullopt where not given.
struct CommonOptions {
  RequestOptions request;
  std::optional<std::string> format, output;
};

// Adds groups of options to a subcommand; help names unit and default of each.
void AddModelOptions(CLI::App& app, RequestOptions& options);
void AddWorkloadOptions(CLI::App& app, RequestOptions& options);
void AddSearchOptions(CLI::App& app, RequestOptions& options);
// Lists to search over, limits, and what else only plan and pareto take.
void AddSweepOptions(CLI::App& app, RequestOptions& options);
void AddOutputOptions(CLI::App& app, CommonOptions& options);

// The format asked for, or the one that the output file's name ends with. Throws InputError naming
// the option, what was found and what was expected.
[[nodiscard]] OutputFormat ResolveFormat(const CommonOptions& options);

}  // namespace slicewise::cli
