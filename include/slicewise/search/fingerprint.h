// What a plan or a prediction was made from, as hashes: a document that carries them can tell
// whether the model, chip or calibration it names is still the one it was made from, and what
// changed a prediction.
//
// SHA-256 over the values of all fields in declaration order, in a text of one line each, numbers
// as the shortest text that reads back as the same double. Names and sources do not count: a preset
// and a copy of it are the same.
#pragma once

#include <string>

#include "slicewise/search/request.h"

namespace slicewise {

// 64 hexadecimal digits each.
struct Fingerprints {
  std::string model;        // shape
  std::string chip;         // datasheet and slice rules
  std::string calibration;  // parameters, intervals and their range

  bool operator==(const Fingerprints&) const = default;
};
[[nodiscard]] Fingerprints FingerprintsOf(const Setting& setting);

// The same and the request's own, 16 digits each: enough to tell two apart.
struct Inputs {
  std::string version;  // of the tool
  std::string request;  // slice, workload, padding, layouts, objective, targets, phases
  std::string model, chip, calibration;

  bool operator==(const Inputs&) const = default;
};
[[nodiscard]] Inputs InputsOf(const Request& request);

}  // namespace slicewise
