// What must hold of a model's shape whichever file it came from. Private to the config room.
#pragma once

#include <string>

#include "slicewise/config/json_reader.h"
#include "slicewise/model/model.h"

namespace slicewise {

// The keys under which the file at hand gives the head counts; error messages point there.
struct HeadKeys {
  std::string query_heads = "query_heads";
  std::string kv_heads = "kv_heads";
};

// Throws InputError where the KV heads do not divide the query heads, or where the counts are so
// large that their products would overflow.
void CheckModel(const Model& model, const JsonReader& file, const HeadKeys& keys);

}  // namespace slicewise
