// One function for each export target. Private to the report room.
#pragma once

#include <algorithm>

#include "slicewise/report/export.h"

namespace slicewise {

// What a target needs of a plan.
struct ExportInput {
  const Setting& setting;
  const Execution& execution;
  // The phase that a target with one layout describes: decode where it is planned.
  const ExecutionPhase& phase;
  PhaseAxes axes;  // of that phase

  [[nodiscard]] bool phases_differ() const {
    const ExecutionPhases& phases = execution.phases;
    return phases.prefill && phases.decode && phases.prefill->layout != phases.decode->layout;
  }
  [[nodiscard]] std::int64_t SizeOf(const std::string& axis) const;
  [[nodiscard]] std::int64_t SizeOf(const PhaseAxes::Names& names) const;
};

inline bool Has(const PhaseAxes::Names& axes, const std::string& axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

inline PhaseAxes::Names Without(PhaseAxes::Names axes, const PhaseAxes::Names& others) {
  std::erase_if(axes, [&](const std::string& axis) { return Has(others, axis); });
  return axes;
}

// "# not honoured: ..." lines, for targets whose output has comments.
[[nodiscard]] std::string DowngradeComments(const std::vector<std::string>& downgrades);
// Appends the sentence for a target that has one layout for both phases, where they differ.
void NoteOneLayout(const ExportInput& input, std::vector<std::string>& downgrades);

[[nodiscard]] Exported ExportJax(const ExportInput& input);
[[nodiscard]] Exported ExportMaxText(const ExportInput& input);
[[nodiscard]] Exported ExportVllmTpu(const ExportInput& input);
[[nodiscard]] Exported ExportEstiRules(const ExportInput& input);
[[nodiscard]] Exported ExportGcloud(const ExportInput& input);
[[nodiscard]] Exported ExportXlaFlags(const ExportInput& input);

}  // namespace slicewise
