#include "slicewise/calibrate/validate.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "slicewise/program/traffic.h"

namespace slicewise {
namespace {

using NamedErrors = std::vector<std::pair<std::string, double>>;

std::vector<ErrorSummary> Groups(const std::vector<ValidationRow>& rows) {
  std::vector<std::string> order;
  std::map<std::string, NamedErrors> groups;
  const auto add = [&](const std::string& group, const ValidationRow& row) {
    if (!groups.contains(group)) {
      order.push_back(group);
    }
    groups[group].emplace_back(row.measurement->id, row.error);
  };
  for (const ValidationRow& row : rows) {
    add(fmt::format("{}, {}", row.measurement->source, Name(row.measurement->split)), row);
  }
  for (Split split : {Split::kFit, Split::kHoldout}) {
    for (const ValidationRow& row : rows) {
      if (row.measurement->split == split) {
        add(fmt::format("all {}", Name(split)), row);
      }
    }
  }
  for (const ValidationRow& row : rows) {
    add("all rows", row);
  }
  std::vector<ErrorSummary> summaries;
  for (const std::string& group : order) {
    summaries.push_back(Summarize(group, groups[group]));
  }
  return summaries;
}

double LogResidual(const ValidationRow& row) { return -std::log1p(row.error); }

// Whether each holdout row lies within an interval made of the other holdout rows.
double LeftOutCoverage(const std::vector<const ValidationRow*>& holdout, double coverage) {
  std::size_t covered = 0;
  for (const ValidationRow* tested : holdout) {
    std::vector<double> residuals;
    for (const ValidationRow* row : holdout) {
      if (row != tested) {
        residuals.push_back(LogResidual(*row));
      }
    }
    const Calibration::Interval interval = IntervalFrom(residuals, coverage);
    const double factor = std::exp(LogResidual(*tested));
    covered += factor >= interval.factor_low && factor <= interval.factor_high ? 1 : 0;
  }
  return holdout.empty() ? 0 : static_cast<double>(covered) / static_cast<double>(holdout.size());
}

void AddCoverage(Validation& validation, double coverage) {
  std::vector<const ValidationRow*> holdout;
  std::size_t covered = 0;
  for (const ValidationRow& row : validation.rows) {
    if (row.measurement->split == Split::kHoldout) {
      holdout.push_back(&row);
      covered += row.covered ? 1 : 0;
    }
  }
  if (!holdout.empty() && coverage > 0) {
    validation.coverage = static_cast<double>(covered) / static_cast<double>(holdout.size());
    validation.left_out_coverage = LeftOutCoverage(holdout, coverage);
  }
}

}  // namespace

Validation Validate(const MeasurementFile& file, const Calibration& calibration,
                    NetworkKind network) {
  Validation validation;
  validation.title = file.title;
  validation.calibration = calibration.name;
  NamedErrors unscaled;
  for (const Measurement& measurement : file.rows) {
    ValidationRow row;
    row.measurement = &measurement;
    row.prediction = Predict(measurement, calibration, network);
    row.error = row.prediction.as_published / measurement.latency - 1;
    row.plain_error = row.prediction.latency / measurement.latency - 1;
    const double scale = row.prediction.as_published / row.prediction.latency;
    row.covered = measurement.latency >= row.prediction.latency_low * scale &&
                  measurement.latency <= row.prediction.latency_high * scale;
    if (measurement.decode_layers != 0) {
      unscaled.emplace_back(measurement.id, row.plain_error);
    }
    validation.rows.push_back(row);
  }
  validation.groups = Groups(validation.rows);
  if (!unscaled.empty()) {
    validation.unscaled = Summarize("rows with decode_layers, scaling undone", unscaled);
  }
  AddCoverage(validation, calibration.inside.coverage);
  const auto append = [&](const std::vector<Check>& checks) {
    validation.checks.insert(validation.checks.end(), checks.begin(), checks.end());
  };
  if (file.figure3) {
    append(VolumeChecks(*file.figure3));
  }
  if (file.table1) {
    append(ContextChecks(*file.table1));
  }
  for (const Measurement& measurement : file.rows) {
    // The claims speak of the paper's own model and slice; a user's file has no such row.
    if (measurement.id == "t2-high-throughput-decode") {
      Setting base = measurement.setting;
      base.calibration = calibration;
      base.network = network;
      append(TextClaims(base));
    }
  }
  return validation;
}

std::vector<Check> VolumeChecks(const VolumeFigure& figure) {
  std::vector<Check> checks;
  const Mesh mesh(figure.setting.slice);
  for (const VolumeFigure::Row& row : figure.rows) {
    for (std::size_t i = 0; i < figure.layouts.size(); ++i) {
      Workload work;
      // The figure's axis is tokens in all: one each of so many sequences, so that batch shards.
      work.prefill_batch = static_cast<std::int64_t>(row.tokens);
      work.input_length = 1;
      Program program;
      Lower({&figure.setting.model, &work, Phase::kPrefill, 0},
            ParseLayout(figure.layouts[i], mesh), mesh, program);
      Bytes volume;
      for (const Op& op : program.ops) {
        volume += CollectiveTraffic(program, op).volume;
      }
      checks.push_back(
          {fmt::format("Figure 3, {} tokens, {}", row.tokens, figure.layouts[i]),
           fmt::format("explain --model figure-3 --slice 4x4x4 --phase prefill --batch "
                       "{} --input-len 1 --network paper --layout {}",
                       row.tokens, figure.layouts[i]),
           row.gigabytes[i], volume / Gigabytes(1), 5e-6, "GB"});
    }
  }
  return checks;
}

std::vector<Check> ContextChecks(const ContextTable& table) {
  std::vector<Check> checks;
  for (const ContextRow& row : table.rows) {
    Setting setting = row.setting;
    setting.workload.context = 0;
    setting.workload.input_length = 0;
    setting.workload.output_length = 1;
    Evaluator evaluator(setting);
    // The cache grows by the same bytes with every token, so one token tells them all.
    const Plan plan = *evaluator.Evaluate(
        ParseLayout("Ex.Fyz/ws/" + row.attention, evaluator.mesh()), Phase::kDecode);
    const Bytes budget = setting.chip.hbm_nominal * table.kv_budget_fraction;
    const double context = std::floor(budget / plan.memory.kv_cache);
    checks.push_back(
        {fmt::format("Table 1, {}, batch {}", row.variant, setting.workload.decode_batch),
         fmt::format("capacity --model {} --slice 4x4x4 --pad-heads {} --kv-budget 30% --batch {} "
                     "--layout Ex.Fyz/ws/{}",
                     setting.model.name, setting.padded_heads, setting.workload.decode_batch,
                     row.attention),
         static_cast<double>(row.published), context, 0.02, "tokens"});
  }
  return checks;
}

}  // namespace slicewise
