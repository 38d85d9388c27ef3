// Models from JSON: slicewise's own model files, and Hugging Face config.json.
#pragma once

#include <string>
#include <vector>

#include "slicewise/model/model.h"

namespace slicewise {

struct LoadedModel {
  Model model;
  std::string source;              // preset name or path, for provenance
  std::vector<std::string> notes;  // honest approximations the person must hear of, one line each
};

// A preset's name, a slicewise model file, or a Hugging Face config.json (recognised by its
// model_type or architectures). Throws InputError; an architecture that a dense decoder cannot
// stand for (mixture of experts, multi-head latent attention, ...) is refused by name.
[[nodiscard]] LoadedModel LoadModel(const std::string& name_or_path);

}  // namespace slicewise
