// Predictions from and to JSON. Private to the config room.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "slicewise/config/json_reader.h"
#include "slicewise/search/prediction.h"

namespace slicewise {

// A prediction as a baseline holds it: {"fits": false}, or its layout, metrics and terms.
[[nodiscard]] nlohmann::ordered_json PredictionJson(const TargetPrediction& prediction);

// Those of the members prefill, decode and deployment that are there.
[[nodiscard]] std::vector<TargetPrediction> ReadAcceptedPredictions(JsonReader& accepted);

// The first plan of each phase of a plan document, and its deployment.
[[nodiscard]] std::vector<TargetPrediction> ReadPlanPredictions(JsonReader& document);

}  // namespace slicewise
