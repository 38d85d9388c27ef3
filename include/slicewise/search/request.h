// What is asked of a search, resolved and checked, and where its inputs came from.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"
#include "slicewise/search/search.h"

namespace slicewise {

// Where the inputs came from.
struct Provenance {
  std::string tool_version;
  std::string model_source;
  std::string chip_source;
  std::string calibration_source;
  std::vector<std::string> notes;  // what the person must hear of, one line each
};

struct Request {
  Setting setting;
  Provenance provenance;
  std::vector<Phase> phases;  // in the order in which they run
  std::string layout = "*/*/*";
  Objective objective = Objective::kLatency;
  std::size_t top = 5;  // plans per phase
};

}  // namespace slicewise
