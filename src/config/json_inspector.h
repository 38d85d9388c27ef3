// What the parsed value of a JSON document no longer tells: where its syntax breaks, which keys
// repeat, and how its fractional numbers were written. Private to the config room.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "slicewise/config/presets.h"

namespace slicewise {

// The key or index as a step of a JSON pointer (RFC 6901): "/layers", "/a~1b".
[[nodiscard]] std::string PointerStep(std::string_view key);

// JSON pointer of every number that is not a plain integer of 64 bits -> its text, such as "1e3".
using NumberTexts = std::map<std::string, std::string>;

// Throws InputError on bad syntax and on numbers beyond a double, both with line and column, and on
// keys that appear twice in one object, with their path.
[[nodiscard]] NumberTexts InspectJson(const Document& document);

}  // namespace slicewise
