// Scenarios: requests that stand in a file, one JSON object each.
//
//   {"name": "chat", "model": "palm-540b", "slice": "4x4x4", "phase": "decode", "batch": 64}
//
// The keys are the options of `slicewise plan`, dashes as underscores; numbers are JSON numbers, a
// list of batch sizes is text ("1..64"), and fixed_context and same_layout are true or false. The
// `request` of a plan document (docs/plan-format.md) is a scenario too: its longer names are
// understood, and what it derives from the slice (accelerator_type, chips, tensor_cores) is not
// read.
#pragma once

#include "slicewise/config/json_reader.h"
#include "slicewise/config/request.h"

namespace slicewise {

// Reads the options of one scenario, whose other keys (name, comment, ...) are the caller's to
// read; Finish then refuses what neither asked for. Throws InputError naming file and path.
[[nodiscard]] RequestOptions ReadScenario(JsonReader& scenario);

}  // namespace slicewise
