#include "slicewise/calibrate/fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

constexpr double kHuber = 0.05;  // residuals beyond 5 % count linearly
// A parameter that cannot change any prediction by 0.1 % within a tenth of its bounds is not
// determined by the data.
constexpr double kDeterminedSensitivity = 0.01;
// Standard error assumed of one measurement against the model; weighs the data against the priors.
constexpr double kRowError = 0.05;
constexpr double kStep = 1e-4;  // of the range, for numerical derivatives
constexpr int kMaxIterations = 200;

using Eigen::MatrixXd;
using Eigen::VectorXd;

double Predicted(const Measurement& row, const Calibration& calibration) {
  return Predict(row, calibration, NetworkKind::kTorus).as_published.base();
}

class Problem {
 public:
  Problem(std::span<const Measurement> rows, const Calibration& start)
      : rows_(rows),
        parameters_(CalibrationParameters()),
        start_(start),
        start_point_(Point(start)) {
    pull_.resize(size());
    for (Eigen::Index i = 0; i < size(); ++i) {
      const CalibrationParameter& p = parameters_[static_cast<std::size_t>(i)];
      pull_[i] = kRowError * (p.upper - p.lower) / p.prior_width;
    }
  }

  [[nodiscard]] Eigen::Index size() const { return static_cast<Eigen::Index>(parameters_.size()); }
  [[nodiscard]] const VectorXd& start_point() const { return start_point_; }
  // Weight of the pull of each scaled parameter to its start.
  [[nodiscard]] const VectorXd& pull() const { return pull_; }

  // Parameters scaled to [0, 1] within their bounds.
  [[nodiscard]] VectorXd Point(const Calibration& calibration) const {
    VectorXd point(size());
    for (Eigen::Index i = 0; i < size(); ++i) {
      const CalibrationParameter& p = parameters_[static_cast<std::size_t>(i)];
      point[i] = std::clamp((calibration.*p.member - p.lower) / (p.upper - p.lower), 0.0, 1.0);
    }
    return point;
  }
  [[nodiscard]] Calibration At(const VectorXd& point) const {
    Calibration calibration = start_;
    for (Eigen::Index i = 0; i < size(); ++i) {
      const CalibrationParameter& p = parameters_[static_cast<std::size_t>(i)];
      calibration.*p.member = p.lower + point[i] * (p.upper - p.lower);
    }
    return calibration;
  }

  // log(predicted / published) of every row.
  [[nodiscard]] VectorXd Residuals(const VectorXd& point) const {
    const Calibration calibration = At(point);
    VectorXd residuals(static_cast<Eigen::Index>(rows_.size()));
    for (Eigen::Index i = 0; i < residuals.size(); ++i) {
      const Measurement& row = rows_[static_cast<std::size_t>(i)];
      residuals[i] = std::log(Predicted(row, calibration) / row.latency.base());
    }
    return residuals;
  }

  [[nodiscard]] double Loss(const VectorXd& point, const VectorXd& residuals) const {
    double loss = pull_.cwiseProduct(point - start_point_).squaredNorm();
    for (double r : residuals) {
      const double size = std::abs(r);
      loss += size <= kHuber ? r * r : kHuber * (2 * size - kHuber);
    }
    return loss;
  }

  [[nodiscard]] MatrixXd Jacobian(const VectorXd& point) const {
    MatrixXd jacobian(static_cast<Eigen::Index>(rows_.size()), size());
    for (Eigen::Index i = 0; i < size(); ++i) {
      VectorXd low = point;
      VectorXd high = point;
      low[i] = std::max(0.0, point[i] - kStep);
      high[i] = std::min(1.0, point[i] + kStep);
      jacobian.col(i) = (Residuals(high) - Residuals(low)) / (high[i] - low[i]);
    }
    return jacobian;
  }

 private:
  std::span<const Measurement> rows_;
  std::span<const CalibrationParameter> parameters_;
  Calibration start_;
  VectorXd start_point_;
  VectorXd pull_;
};

// Weights of iteratively reweighted least squares for the Huber loss.
VectorXd HuberWeights(const VectorXd& residuals) {
  return residuals.unaryExpr(
      [](double r) { return std::abs(r) <= kHuber ? 1.0 : kHuber / std::abs(r); });
}

// One damped step, held within the bounds: parameters at a bound that the gradient pushes outward
// stay there.
VectorXd Step(const Problem& problem, const VectorXd& point, const VectorXd& residuals,
              const MatrixXd& jacobian, double damping) {
  const VectorXd weights = HuberWeights(residuals);
  MatrixXd normal = jacobian.transpose() * weights.asDiagonal() * jacobian;
  VectorXd gradient = jacobian.transpose() * weights.asDiagonal() * residuals;
  const VectorXd pull = problem.pull().cwiseAbs2();
  normal.diagonal() += pull;
  gradient += pull.cwiseProduct(point - problem.start_point());
  for (Eigen::Index i = 0; i < point.size(); ++i) {
    const bool held = (point[i] <= 0 && gradient[i] > 0) || (point[i] >= 1 && gradient[i] < 0);
    if (held) {
      normal.row(i).setZero();
      normal.col(i).setZero();
      normal(i, i) = 1;
      gradient[i] = 0;
    }
  }
  normal.diagonal() *= 1 + damping;
  const VectorXd moved = point - normal.ldlt().solve(gradient);
  return moved.cwiseMax(0.0).cwiseMin(1.0);
}

struct Optimum {
  VectorXd point;
  VectorXd residuals;
  int iterations = 0;
};

Optimum Minimize(const Problem& problem, const std::function<void(int, double)>& progress) {
  Optimum best = {problem.start_point(), problem.Residuals(problem.start_point()), 0};
  double loss = problem.Loss(best.point, best.residuals);
  double damping = 1e-2;
  while (best.iterations < kMaxIterations) {
    ++best.iterations;
    const MatrixXd jacobian = problem.Jacobian(best.point);
    bool improved = false;
    double gain = 0;
    for (int attempt = 0; attempt < 12 && !improved; ++attempt) {
      const VectorXd point = Step(problem, best.point, best.residuals, jacobian, damping);
      const VectorXd residuals = problem.Residuals(point);
      const double next = problem.Loss(point, residuals);
      improved = next < loss;
      damping *= improved ? 0.3 : 4;
      if (improved) {
        gain = (loss - next) / loss;
        best.point = point;
        best.residuals = residuals;
        loss = next;
      }
    }
    if (progress) {
      progress(best.iterations, loss);
    }
    if (!improved || gain < 1e-9) {
      break;
    }
  }
  return best;
}

std::vector<FittedParameter> Report(const Problem& problem, const Optimum& best) {
  const MatrixXd jacobian = problem.Jacobian(best.point);
  const VectorXd weights = HuberWeights(best.residuals);
  const Eigen::Index n = problem.size();
  MatrixXd normal = jacobian.transpose() * weights.asDiagonal() * jacobian;
  normal.diagonal() += problem.pull().cwiseAbs2();
  const double freedom = std::max<double>(1, static_cast<double>(best.residuals.size() - n));
  const double variance = best.residuals.cwiseProduct(weights).dot(best.residuals) / freedom;
  const MatrixXd covariance = normal.ldlt().solve(MatrixXd::Identity(n, n)) * variance;
  std::vector<FittedParameter> parameters;
  const Calibration at = problem.At(best.point);
  const Calibration start = problem.At(problem.start_point());
  for (Eigen::Index i = 0; i < n; ++i) {
    const CalibrationParameter& p = CalibrationParameters()[static_cast<std::size_t>(i)];
    FittedParameter out;
    out.name = p.name;
    out.value = at.*p.member;
    out.start = start.*p.member;
    out.at_bound = best.point[i] <= 0 || best.point[i] >= 1;
    out.determined = jacobian.col(i).cwiseAbs().maxCoeff() >= kDeterminedSensitivity;
    out.standard_error =
        out.determined ? std::sqrt(std::max(0.0, covariance(i, i))) * (p.upper - p.lower) : 0;
    parameters.push_back(out);
  }
  return parameters;
}

std::vector<std::pair<std::string, double>> Errors(std::span<const Measurement> rows,
                                                   const Calibration& calibration) {
  std::vector<std::pair<std::string, double>> errors;
  for (const Measurement& row : rows) {
    errors.emplace_back(row.id, Predicted(row, calibration) / row.latency.base() - 1);
  }
  return errors;
}

void SetRange(std::span<const Measurement> rows, Calibration& calibration) {
  Calibration::Range& range = calibration.range;
  range = {.min_chips = 1e30, .min_rows = 1e30, .min_context = 1e30};
  const auto widen = [](double value, double& low, double& high) {
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (const Measurement& row : rows) {
    const Workload& work = row.setting.workload;
    widen(row.setting.slice.chips(), range.min_chips, range.max_chips);
    for (Phase phase : row.phases) {
      widen(static_cast<double>(work.batch(phase) * work.query_length(phase)), range.min_rows,
            range.max_rows);
      widen(work.mean_attended(phase), range.min_context, range.max_context);
    }
    const std::string type(Name(work.weights));
    auto& types = range.weight_types;
    if (std::find(types.begin(), types.end(), type) == types.end()) {
      types.push_back(type);
    }
  }
}

double FiveDigits(double value) {
  if (value == 0) {
    return 0;
  }
  const double scale = std::pow(10, 4 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

double Quantile(const std::vector<double>& sorted, double fraction) {
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

Calibration PriorCalibration() {
  Calibration calibration;
  calibration.name = "prior";
  calibration.ideal_schedules = false;
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    calibration.*parameter.member = parameter.prior;
  }
  return calibration;
}

ErrorSummary Summarize(const std::string& group,
                       const std::vector<std::pair<std::string, double>>& errors) {
  ErrorSummary summary;
  summary.group = group;
  summary.rows = errors.size();
  if (errors.empty()) {
    return summary;
  }
  std::vector<double> sizes;
  std::vector<double> signedErrors;
  for (const auto& [id, error] : errors) {
    sizes.push_back(std::abs(error));
    signedErrors.push_back(error);
    if (summary.worst_id.empty() || std::abs(error) > std::abs(summary.worst)) {
      summary.worst = error;
      summary.worst_id = id;
    }
  }
  std::sort(sizes.begin(), sizes.end());
  std::sort(signedErrors.begin(), signedErrors.end());
  summary.median = Quantile(sizes, 0.5);
  summary.p90 = Quantile(sizes, 0.9);
  summary.bias = Quantile(signedErrors, 0.5);
  return summary;
}

Calibration::Interval IntervalFrom(std::vector<double> log_residuals, double coverage) {
  Calibration::Interval interval;
  if (log_residuals.size() < 5) {
    return interval;
  }
  std::sort(log_residuals.begin(), log_residuals.end());
  interval.coverage = coverage;
  interval.factor_low = std::exp(Quantile(log_residuals, (1 - coverage) / 2));
  interval.factor_high = std::exp(Quantile(log_residuals, (1 + coverage) / 2));
  // The prediction itself is always inside.
  interval.factor_low = FiveDigits(std::min(interval.factor_low, 1.0));
  interval.factor_high = FiveDigits(std::max(interval.factor_high, 1.0));
  return interval;
}

FitResult Fit(std::span<const Measurement> rows, const Calibration& start, const std::string& name,
              const std::function<void(int, double)>& progress) {
  std::vector<Measurement> fit_rows;
  std::vector<Measurement> holdout_rows;
  for (const Measurement& row : rows) {
    (row.split == Split::kFit ? fit_rows : holdout_rows).push_back(row);
  }
  if (fit_rows.empty()) {
    throw InputError("no row has split 'fit': there is nothing to fit to");
  }
  const Problem problem(fit_rows, start);
  const Optimum best = Minimize(problem, progress);
  FitResult result;
  result.calibration = problem.At(best.point);
  result.calibration.name = name;
  result.parameters = Report(problem, best);
  // Five digits: what the file says is what is used, and compilers agree on it.
  for (const CalibrationParameter& p : CalibrationParameters()) {
    result.calibration.*p.member = FiveDigits(result.calibration.*p.member);
  }
  for (const FittedParameter& parameter : result.parameters) {
    if (!parameter.determined) {
      for (const CalibrationParameter& p : CalibrationParameters()) {
        if (p.name == parameter.name) {
          result.calibration.*p.member = parameter.start;
        }
      }
    }
  }
  result.iterations = best.iterations;
  result.fit = Summarize("fit", Errors(fit_rows, result.calibration));
  result.holdout = Summarize("holdout", Errors(holdout_rows, result.calibration));
  SetRange(fit_rows, result.calibration);
  constexpr double kCoverage = 0.8;
  std::vector<double> residuals;
  for (const auto& [id, error] : Errors(holdout_rows, result.calibration)) {
    residuals.push_back(-std::log1p(error));
  }
  result.calibration.inside = IntervalFrom(residuals, kCoverage);
  // Nothing measures the error outside the range; twice the width in log is the stated guess.
  result.calibration.outside = result.calibration.inside;
  Calibration::Interval& outside = result.calibration.outside;
  outside.factor_low = FiveDigits(outside.factor_low * outside.factor_low);
  outside.factor_high = FiveDigits(outside.factor_high * outside.factor_high);
  return result;
}

}  // namespace slicewise
