// Plan documents (docs/plan-format.md) read back, and re-checked: nothing in one is taken on trust.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "slicewise/cost/plan.h"
#include "slicewise/search/execution.h"

namespace slicewise {

struct PlanFileEntry {
  Phase phase = Phase::kPrefill;
  Layout layout;
  std::string layout_text;
  std::int64_t stored_heads = 0;
};

// An input that is no longer the one the plan was made from: its SHA-256 differs.
struct ChangedInput {
  enum class Kind : std::uint8_t { kModel, kChip, kCalibration };
  Kind kind = Kind::kModel;
  std::string message;  // with file and JSON path, what was found and what was expected
};

struct PlanFile {
  Setting setting;                   // with the model, chip and calibration that the document names
  std::vector<PlanFileEntry> plans;  // prefill first, in the order of the document
  std::optional<ExecutionLayouts> layouts;  // of the execution section; none where it is null
  std::optional<Execution> execution;       // what these layouts lower to
  std::vector<ChangedInput> changed;        // inputs; empty in the normal case
};

// Throws InputError naming file and JSON path: an unknown schema version, a model, chip or
// calibration that cannot be loaded, a layout that is illegal on the slice, heads that do not fit
// it, an execution section other than what its layouts lower to, a latency other than what the plan
// prices to. What depends on a changed input is not compared.
[[nodiscard]] PlanFile LoadPlanFile(const std::string& path);

}  // namespace slicewise
