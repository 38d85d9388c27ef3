// Chips from JSON.
#pragma once

#include <string>

#include "slicewise/hardware/chip.h"

namespace slicewise {

// A preset's name or a chip file. Throws InputError.
[[nodiscard]] Chip LoadChip(const std::string& name_or_path);

}  // namespace slicewise
