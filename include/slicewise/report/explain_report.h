// The result of `explain`: one plan per phase, op by op, and what the total is sensitive to.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "slicewise/report/plan_report.h"

namespace slicewise {

// One op of the program, as text and numbers. Seconds, bytes and FLOPs are per chip and execution.
struct ExplainedOp {
  std::string section;  // "prologue", "layer", "epilogue"
  double times = 1;     // executions in the phase: steps, times layers within the layer
  OpCost cost;
  std::string kind;
  std::string function;  // of an elementwise op
  std::string part;
  std::string axes;
  std::string schedule;  // of a collective
  int links = 0;         // links in use per chip; steps; chunk buffers
  int steps = 0;
  int buffers = 0;
  int group = 0;
  std::vector<std::string> operands;  // "query_weights E_xH_yzD"
  std::vector<std::string> results;
  std::string moves;       // of a collective: "x: partial to F", "y: H to B"
  std::string contracted;  // of an einsum: "E"
  Bytes volume;
  Bytes sent;
  Bytes hbm_bytes;
  Flops flops;
  std::string bound;  // what takes the op's own time
};

struct Sensitivity {
  std::string quantity;       // "HBM bandwidth"
  double latency_change = 0;  // fraction, for 10 % more of it
};

struct Explanation {
  PlanEntry entry;
  std::vector<ExplainedOp> ops;
  std::vector<Sensitivity> sensitivities;
};

struct ExplainReport {
  PlanReport plan;  // with one entry per phase
  std::vector<Explanation> explanations;
};

// Explains the best plan of each phase, or the one that the filter names.
[[nodiscard]] ExplainReport MakeExplainReport(const Request& request);

[[nodiscard]] std::string ExplainText(const ExplainReport& report, std::size_t width);
[[nodiscard]] std::string ExplainMarkdown(const ExplainReport& report);
[[nodiscard]] std::string ExplainCsv(const ExplainReport& report);
[[nodiscard]] nlohmann::ordered_json ExplainJson(const ExplainReport& report);

// "B_xLE_yz (partialsum-x)": the paper's notation.
[[nodiscard]] std::string Notation(const Tensor& tensor, const Mesh& mesh);

}  // namespace slicewise
