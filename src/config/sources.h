// The rule that every number of a chip or model file says where it comes from. Private to the
// config room.
//
//   "sources": {"layers, embed_dim": "PaLM (arXiv 2204.02311), Table 1", "*": "all that remains"}
#pragma once

#include <string>
#include <vector>

#include "slicewise/config/json_reader.h"

namespace slicewise {

// Throws InputError where a member of `root` that is, or holds, a number is named by no key of
// /sources, where a source names no member, or where its citation is empty. A key of /sources is
// one name, several with commas between, or '*' for every member. `quantities` are the members that
// write a number as text with a unit.
void CheckSources(JsonReader& root, const std::vector<std::string>& quantities);

}  // namespace slicewise
