// Another program, run to its end.
#pragma once

#include <string>
#include <vector>

namespace slicewise::cli {

struct ProcessResult {
  int exit_code = -1;  // -1 when a signal ended it
  std::string out;
  std::string err;
};

// Runs `args[0]`, which is found as a shell would, with `input` as its standard input. Throws
// InputError where it cannot be started.
[[nodiscard]] ProcessResult RunProcess(const std::vector<std::string>& args,
                                       const std::string& input);

}  // namespace slicewise::cli
