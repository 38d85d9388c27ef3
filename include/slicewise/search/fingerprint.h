// Names for the exact inputs of a plan: SHA-256 of their values, so that a plan document can tell
// whether the model, chip or calibration it was made from is still the one of that name.
#pragma once

#include <string>

#include "slicewise/cost/plan.h"

namespace slicewise {

// Digests of the canonical text of each input: one line "name=value" for each field, numbers as the
// shortest text that reads back as the same double.
struct Fingerprints {
  std::string model, chip, calibration;
  bool operator==(const Fingerprints&) const = default;
};
[[nodiscard]] Fingerprints FingerprintsOf(const Setting& setting);

}  // namespace slicewise
