// The command line as a function, so that tests drive it in-process.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace slicewise {

// Exit codes, documented in docs/cli.md.
enum class ExitCode : int {
  kDone = 0,
  kCheckFailed = 1,  // check, validate, verify
  kBadInput = 2,     // bad usage or bad input
  kInfeasible = 3,   // nothing feasible or legal
};

// What the command knows of the terminal.
struct Terminal {
  std::size_t width = 200;   // columns; a pipe or file takes the wide form
  bool interactive = false;  // messages go to a person: progress may be shown
};

// Runs `slicewise args...` (without the program's name). Results go to `out`, messages to `err`.
// Never throws, never exits.
[[nodiscard]] int Run(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
                      const Terminal& terminal = {});

}  // namespace slicewise
