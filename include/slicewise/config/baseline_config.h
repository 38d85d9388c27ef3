// Baseline files: named scenarios with the predictions that a team has accepted, and how far they
// may move (docs/ci.md, configs/schemas/baseline.schema.json).
//
//   {
//     "schema": "slicewise-baseline/1",
//     "tolerances": {"latency": "0.5%"},
//     "scenarios": [
//       {"name": "chat", "model": "palm-540b", "slice": "4x4x4", "decode_batch": 64,
//        "tolerances": {"mfu": "1 points", "layout": "any"},
//        "accepted": {...}}
//     ],
//     "history": [{"version": "0.1.0", "reason": "first", "changed": ["chat"]}]
//   }
//
// Every object may hold a "comment", text that is kept where it stands. `accepted` and `history`
// are written by the tool.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "slicewise/config/presets.h"
#include "slicewise/search/compare.h"

namespace slicewise {

struct BaselineScenario {
  std::string name;
  std::size_t line = 0;  // in the file, from 1
  Request request;
  Tolerances tolerances;  // its own, else the file's, else 0.1 % and the same layout
  std::vector<TargetPrediction> accepted;  // empty where nothing is accepted yet
  Inputs inputs;                           // of `accepted`
};

struct Baseline {
  std::string source;  // the file's path
  std::vector<BaselineScenario> scenarios;
};

// Throws InputError naming file, JSON path and scenario: an unknown schema version, a key that is
// not one, a request that cannot be resolved, a name given twice, a tolerance without its unit.
[[nodiscard]] Baseline ReadBaseline(const Document& document);

// A file of scenarios as a baseline that accepts nothing yet: with its schema named, and without
// accepted predictions and history, should it have any.
[[nodiscard]] Document NewBaseline(const Document& scenarios);

// What is accepted of the scenario at `index`.
struct Acceptance {
  std::size_t index = 0;
  std::vector<TargetPrediction> predictions;
  Inputs inputs;
};

// The document with these predictions accepted and one entry more in its history. All else keeps
// its order and its text, comments included. The reason must not be empty.
[[nodiscard]] std::string AcceptedBaseline(const Document& document,
                                           const std::vector<Acceptance>& acceptances,
                                           const std::string& reason,
                                           const std::string& tool_version);

// The predictions of a file: of a baseline those accepted, one per scenario; of a plan document the
// first plan of each phase and the deployment, under the name "plan". Nothing is planned and no
// preset is read. Throws InputError.
[[nodiscard]] std::vector<NamedPredictions> ReadPredictions(const Document& document);

}  // namespace slicewise
