// Plan documents (docs/plan-format.md) read back.
#pragma once

#include <string>
#include <vector>

#include "slicewise/cost/plan.h"

namespace slicewise {

struct PlanFileEntry {
  Phase phase = Phase::kPrefill;
  Layout layout;
  std::string layout_text;
  std::int64_t stored_heads = 0;
};

struct PlanFile {
  Setting setting;                   // with the model, chip and calibration that the document names
  std::vector<PlanFileEntry> plans;  // prefill first, in the order of the document
};

// Throws InputError naming file and JSON path: an unknown schema version, a model, chip or
// calibration that cannot be loaded, a layout that is illegal on the slice, heads that do not fit
// it.
[[nodiscard]] PlanFile LoadPlanFile(const std::string& path);

}  // namespace slicewise
