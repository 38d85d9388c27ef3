// The result of `verify` and its renderings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "slicewise/search/verify.h"

namespace slicewise {

struct VerifySummary {
  std::string model, slice;
  std::vector<VerifyReport> reports;  // one per layout

  [[nodiscard]] bool passed() const;
};

// One layout: passes, traffic per op, memory. Several: one line each, failures in full.
[[nodiscard]] std::string VerifyText(const VerifySummary& summary, std::size_t width = 200);
[[nodiscard]] std::string VerifyMarkdown(const VerifySummary& summary);
[[nodiscard]] std::string VerifyCsv(const VerifySummary& summary);
[[nodiscard]] nlohmann::ordered_json VerifyJson(const VerifySummary& summary);

}  // namespace slicewise
