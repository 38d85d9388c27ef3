// Commands run in the test's own process, and what they print.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli_test_util.h"
#include "slicewise/cli/run.h"

namespace slicewise {

inline Outcome RunHere(const Args& args, const Terminal& terminal = {}) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = Run(args, out, err, terminal);
  return {.exit_code = code, .out = out.str(), .err = err.str()};
}

// "plan --batch '1, 2'" with no word that holds a blank.
inline Outcome RunHere(const std::string& words) { return RunHere(Words(words)); }

inline nlohmann::json JsonOf(const std::string& words) {
  const Outcome outcome = RunHere(words + " --format json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out);
}

inline std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

}  // namespace slicewise
