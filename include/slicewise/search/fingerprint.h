// What a prediction was made from, as short hashes: to tell, when it changes, what changed it.
//
// A hash is of values, not of files: names, sources and comments do not count, and a preset and a
// copy of it are the same. 16 hexadecimal digits of FNV-1a over the fields in declaration order; it
// tells apart, it does not protect.
#pragma once

#include <string>

#include "slicewise/search/request.h"

namespace slicewise {

struct Inputs {
  std::string version;      // of the tool
  std::string request;      // slice, workload, padding, layout filter, objective, network, phases
  std::string model;        // shape
  std::string chip;         // datasheet and slice rules
  std::string calibration;  // parameters, intervals and their range

  bool operator==(const Inputs&) const = default;
};

[[nodiscard]] Inputs InputsOf(const Request& request);

}  // namespace slicewise
