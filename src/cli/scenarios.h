// `plan --scenarios`: many requests, one JSON object a line, answered one document a line.
#pragma once

#include <string>

#include "commands.h"
#include "options.h"

namespace slicewise::cli {

// Reads `path` ("-": standard input) and writes one line for each of its lines, in order: a plan
// document with the line's number and name, or {"line", "schema": "slicewise-error/1", "error"}.
// A bad line is reported and the rest done; the exit code is then 2.
[[nodiscard]] ExitCode PlanScenarios(const std::string& path, const CommonOptions& options,
                                     Streams streams);

}  // namespace slicewise::cli
