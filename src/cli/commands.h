// The subcommands. Each adds its options to the parser and returns what to run if it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <ostream>
#include <vector>

#include "slicewise/cli/run.h"

namespace slicewise::cli {

struct Streams {
  std::ostream& out;
  std::ostream& err;
  const Terminal& terminal;
};

using Action = std::function<ExitCode(Streams)>;

struct Command {
  CLI::App* app;
  Action run;
};

Command AddPlan(CLI::App& root);
Command AddPareto(CLI::App& root);
Command AddExplain(CLI::App& root);
Command AddCapacity(CLI::App& root);
Command AddList(CLI::App& root);
Command AddExport(CLI::App& root);
Command AddVerify(CLI::App& root);
Command AddValidate(CLI::App& root);
Command AddCalibrate(CLI::App& root);
Command AddCheck(CLI::App& root);
Command AddDiff(CLI::App& root);

}  // namespace slicewise::cli
