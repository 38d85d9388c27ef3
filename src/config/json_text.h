// JSON as people write it: what fits a line of 100 columns stands on one. Private to the config
// room.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace slicewise {

// The root spans lines always; an object or array within it does where it holds another with
// members, or would not fit. Ends with a newline.
[[nodiscard]] std::string JsonText(const nlohmann::ordered_json& document);

// The line, from 1, on which the element `index` of the root's array `key` begins. The text must be
// a JSON document that has it.
[[nodiscard]] std::size_t LineOfElement(const std::string& text, const std::string& key,
                                        std::size_t index);

}  // namespace slicewise
