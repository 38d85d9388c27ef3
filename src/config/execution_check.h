// Comparing the `execution` section of a plan document with what its layouts lower to. Private to
// the config room.
#pragma once

#include "slicewise/config/json_reader.h"
#include "slicewise/search/execution.h"

namespace slicewise {

// Throws InputError with the JSON path of the first difference: a tensor that is missing, an axis
// that cuts a tensor twice, a size, axis or byte count other than the program's, an unknown key.
void CheckExecution(JsonReader reader, const Execution& expected);

}  // namespace slicewise
