#include "slicewise/calibrate/measurement.h"

namespace slicewise {

std::string_view Name(Split split) { return split == Split::kFit ? "fit" : "holdout"; }

namespace {

// Of the latest Evaluate, what a phase spends in its layers.
Seconds TimeOfLayers(const Evaluator& evaluator) {
  const Program& program = evaluator.program();
  const PhaseCost cost = evaluator.Cost();
  Seconds layers;
  for (std::size_t i = program.layer.begin; i < program.layer.end; ++i) {
    layers += cost.ops[i].exposed * program.layers * program.steps;
  }
  return layers;
}

}  // namespace

Prediction Predict(const Measurement& measurement, const Calibration& calibration,
                   NetworkKind network) {
  Setting setting = measurement.setting;
  setting.calibration = calibration;
  setting.network = network;
  Evaluator evaluator(setting);
  Prediction prediction;
  double tokens = 0;
  for (Phase phase : measurement.phases) {
    const Plan plan = *evaluator.Evaluate(measurement.layout, phase);
    prediction.latency += plan.latency;
    prediction.latency_low += plan.latency_low;
    prediction.latency_high += plan.latency_high;
    prediction.fits = prediction.fits && plan.fits();
    prediction.inside_range =
        prediction.inside_range && InsideRange(calibration, setting.slice, setting.workload, phase);
    tokens += setting.workload.tokens(phase);
    const bool rescaled = phase == Phase::kDecode && measurement.decode_layers != 0;
    const double scale = rescaled ? static_cast<double>(measurement.decode_layers) /
                                        static_cast<double>(setting.model.layers)
                                  : 1;
    // Only the layers were scaled; what a step spends outside them stays.
    prediction.as_published += plan.latency;
    if (rescaled) {
      prediction.as_published += (scale - 1) * TimeOfLayers(evaluator);
    }
  }
  const Seconds chip_seconds = prediction.latency * static_cast<double>(setting.slice.chips());
  prediction.mfu = Mfu(MfuParameters(setting.model), tokens, setting.chip, chip_seconds);
  return prediction;
}

}  // namespace slicewise
