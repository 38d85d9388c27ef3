// What is predicted of a request, in the few numbers that a gate compares: the best plan of each
// phase, and the deployment that joins the two.
//
// Numbers carry nine significant digits: what lies beyond differs between compilers, and a
// prediction that is written down and read back must equal the one that is made again.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/search/breakdown.h"
#include "slicewise/search/request.h"
#include "slicewise/units/quantity.h"

namespace slicewise {

// What a prediction is of.
enum class Target : std::uint8_t { kPrefill, kDecode, kDeployment };
inline constexpr std::array<Target, 3> kTargets = {Target::kPrefill, Target::kDecode,
                                                   Target::kDeployment};
[[nodiscard]] std::string_view Name(Target target);

// Where the time goes: exposed seconds over the whole phase of all ops of one part, kind and axes.
struct CostTerm {
  std::string name;  // "ffn einsum", "attention all-to-all over xyz"
  Seconds exposed;

  bool operator==(const CostTerm&) const = default;
};

struct TargetPrediction {
  Target target = Target::kPrefill;
  // False: no layout is legal and fits. Then `layout` and `memory` are of the one that misses by
  // least, empty where none is legal, and nothing else means anything.
  bool fits = false;
  std::string layout;  // of a deployment both, as "Fxyz/ws/Hxyz + Fxyz/ws/Bxyz"
  Seconds latency;
  double mfu = 0;
  Seconds chip_seconds_per_token;
  Bytes memory;  // per chip at the fullest moment; of a deployment both phases at once
  std::vector<CostTerm> terms;  // sum to the latency; of a deployment, its two phases

  bool operator==(const TargetPrediction&) const = default;
};

// One per phase asked for; with both phases the deployment too.
[[nodiscard]] std::vector<TargetPrediction> Predict(const Request& request);

// The predictions that stand under one name in a file.
struct NamedPredictions {
  std::string name;
  std::vector<TargetPrediction> predictions;
};

enum class Metric : std::uint8_t { kLatency, kMfu, kCost, kMemory };
inline constexpr std::array<Metric, 4> kMetrics = {Metric::kLatency, Metric::kMfu, Metric::kCost,
                                                   Metric::kMemory};
// "latency", "mfu", "cost", "memory".
[[nodiscard]] std::string_view Name(Metric metric);
// The name with its unit, as documents spell it: "latency_seconds", "chip_seconds_per_token".
[[nodiscard]] std::string_view KeyOf(Metric metric);
// In SI base units.
[[nodiscard]] double ValueOf(const TargetPrediction& prediction, Metric metric);
void SetValue(TargetPrediction& prediction, Metric metric, double value);
// Only of MFU is more better.
[[nodiscard]] constexpr bool MoreIsBetter(Metric metric) { return metric == Metric::kMfu; }

// The terms of a breakdown: rows of the same part, op and axes are one term; free ones are left
// out.
[[nodiscard]] std::vector<CostTerm> TermsOf(const std::vector<BreakdownRow>& rows);
// "attention all-to-all over xyz"; `axes` may be empty.
[[nodiscard]] std::string TermName(std::string_view part, std::string_view op,
                                   std::string_view axes);
// Adds the term to the one of its name, or at the end; a free one is left out.
void AddTerm(const CostTerm& term, std::vector<CostTerm>& terms);

// The number with nine significant digits.
[[nodiscard]] double NineDigits(double value);

}  // namespace slicewise
