// What is asked of a search, resolved and checked, and where its inputs came from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/cost/plan.h"
#include "slicewise/search/search.h"
#include "slicewise/search/sweep.h"

namespace slicewise {

// Where the inputs came from.
struct Provenance {
  std::string tool_version;
  std::string model_source;
  std::string chip_source;
  std::string calibration_source;
  std::vector<std::string> notes;  // what the person must hear of, one line each
};

// The plan document's format, written by report and read by config.
inline constexpr std::string_view kPlanSchema = "slicewise-plan/1";

struct Request {
  Setting setting;
  Provenance provenance;
  std::vector<Phase> phases;  // in the order in which they run
  std::string layout = "*/*/*";
  Objective objective = Objective::kLatency;
  std::size_t top = 5;  // plans per phase
  Targets targets;
  LayoutSpace layouts = LayoutSpace::kPaper;
  bool same_layout = false;  // a deployment has one layout for both phases
  // What to search over. Where it is one point, `setting` is that point; otherwise its first.
  SweepSpace space;
  int threads = 1;

  // Whether there is more than one slice, batch size or weight format to choose from.
  [[nodiscard]] bool sweeps() const {
    return std::max(space.points(Phase::kPrefill), space.points(Phase::kDecode)) > 1;
  }
};

// How a deployment of the request's one slice and workload is searched.
[[nodiscard]] inline DeploymentOptions OptionsOf(const Request& request) {
  return {.objective = request.objective,
          .targets = request.targets,
          .same_layout = request.same_layout,
          .space = request.layouts};
}

}  // namespace slicewise
