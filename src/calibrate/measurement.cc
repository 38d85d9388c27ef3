#include "slicewise/calibrate/measurement.h"

namespace slicewise {

std::string_view Name(Split split) { return split == Split::kFit ? "fit" : "holdout"; }

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
    prediction.inside_range = prediction.inside_range && InsideRange(calibration, setting, phase);
    tokens += setting.workload.tokens(phase);
    const bool rescaled = phase == Phase::kDecode && measurement.decode_layers != 0;
    const double scale = rescaled ? static_cast<double>(measurement.decode_layers) /
                                        static_cast<double>(setting.model.layers)
                                  : 1;
    // Only the layers were scaled; what a step spends outside them stays.
    Seconds layers;
    const Program& program = evaluator.program();
    for (std::size_t i = program.layer.begin; i < program.layer.end; ++i) {
      layers += evaluator.cost().ops[i].exposed * program.layers * program.steps;
    }
    prediction.as_published += plan.latency + (scale - 1) * layers;
  }
  const Seconds chip_seconds = prediction.latency * static_cast<double>(setting.slice.chips());
  prediction.mfu = Mfu(MfuParameters(setting.model), tokens, setting.chip, chip_seconds);
  return prediction;
}

}  // namespace slicewise
