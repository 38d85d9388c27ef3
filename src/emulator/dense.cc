#include "slicewise/emulator/dense.h"

#include <cmath>

#include "functions.h"

namespace slicewise {

DenseModel::DenseModel(const Model& model, const Weights& weights)
    : model_(model), weights_(weights) {
  caches_.resize(static_cast<std::size_t>(model.layers));
}

DenseModel::Matrix DenseModel::Weight(TensorRole role, int layer, std::int64_t rows) const {
  const Values* values = weights_.Find(role, static_cast<std::size_t>(layer));
  return Eigen::Map<const Matrix>(values->data(), rows, values->size() / rows);
}

void DenseModel::Note(TensorRole role, const Matrix& value) {
  trace_[{layer_, role}].push_back(Eigen::Map<const Values>(value.data(), value.size()));
}

void DenseModel::Embed(const PassInput& input) {
  residual_.resize(batch_ * length_, model_.embed_dim);
  if (input.tokens.empty()) {
    residual_ = Eigen::Map<const Matrix>(input.residual.data(), batch_ * length_, model_.embed_dim);
    return;
  }
  const Matrix table = Weight(TensorRole::kEmbedding, -1, model_.vocabulary);
  for (std::int64_t row = 0; row < residual_.rows(); ++row) {
    residual_.row(row) = table.row(input.tokens[static_cast<std::size_t>(row)]);
  }
  Note(TensorRole::kEmbedded, residual_);
  Note(TensorRole::kResidual, residual_);
  if (model_.positions == PositionKind::kLearned) {
    const Matrix positions = Weight(TensorRole::kPositionTable, -1, model_.max_positions);
    for (std::int64_t row = 0; row < residual_.rows(); ++row) {
      residual_.row(row) += positions.row(cached_ + row % length_);
    }
    Note(TensorRole::kResidual, residual_);
  }
}

DenseModel::Matrix DenseModel::Normalize(const Matrix& x, TensorRole vectors, int layer) {
  if (model_.norm == NormKind::kNone) {
    return x;
  }
  const bool centred = model_.norm == NormKind::kLayerNorm;
  const Matrix rows = Weight(vectors, layer, centred && model_.norm_bias ? 2 : 1);
  Matrix statistics(x.rows(), centred ? 2 : 1);
  Matrix result(x.rows(), x.cols());
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    statistics(r, 0) = x.row(r).squaredNorm() / static_cast<double>(x.cols());
    const double mean = centred ? x.row(r).mean() : 0;
    if (centred) {
      statistics(r, 1) = mean;
    }
    const auto centre = (x.row(r).array() - mean).eval();
    const double variance = centre.square().mean();
    result.row(r) = centre / std::sqrt(variance + emulator::kNormEpsilon) * rows.row(0).array();
  }
  if (rows.rows() > 1) {
    result.rowwise() += rows.row(1);
  }
  Note(TensorRole::kStatistics, statistics);
  return result;
}

DenseModel::Matrix DenseModel::Biased(Matrix x, TensorRole role, int layer) const {
  if (weights_.Find(role, static_cast<std::size_t>(layer)) != nullptr) {
    x.rowwise() += Weight(role, layer, 1).row(0);
  }
  return x;
}

DenseModel::Matrix DenseModel::Ffn(const Matrix& x, int layer) {
  const Matrix in = x * Weight(TensorRole::kFfnInputWeights, layer, model_.embed_dim);
  Note(TensorRole::kFfnHidden, in);
  Matrix hidden = Biased(in, TensorRole::kFfnInputBias, layer);
  if (model_.gated) {
    const Matrix gate = x * Weight(TensorRole::kFfnGateWeights, layer, model_.embed_dim);
    Note(TensorRole::kFfnGate, gate);
    hidden = hidden.unaryExpr(&emulator::Silu)
                 .cwiseProduct(Biased(gate, TensorRole::kFfnGateBias, layer));
  } else {
    hidden = hidden.unaryExpr(&emulator::Gelu).eval();
  }
  Note(TensorRole::kFfnActivated, hidden);
  return hidden * Weight(TensorRole::kFfnOutputWeights, layer, model_.ffn_dim);
}

DenseModel::Matrix DenseModel::Attention(const Matrix& x, int layer) {
  const Matrix query = x * Weight(TensorRole::kQueryWeights, layer, model_.embed_dim);
  const Matrix key = x * Weight(TensorRole::kKeyWeights, layer, model_.embed_dim);
  const Matrix value = x * Weight(TensorRole::kValueWeights, layer, model_.embed_dim);
  Note(TensorRole::kQuery, query);
  Note(TensorRole::kKey, key);
  Note(TensorRole::kValue, value);
  const Matrix new_keys = Biased(key, TensorRole::kKeyBias, layer);
  const Matrix new_values = Biased(value, TensorRole::kValueBias, layer);
  Cache& cache = caches_[static_cast<std::size_t>(layer)];
  cache.keys.resize(static_cast<std::size_t>(batch_));
  cache.values.resize(static_cast<std::size_t>(batch_));
  for (std::int64_t b = 0; b < batch_; ++b) {
    for (const auto& [all, added] :
         {std::pair{&cache.keys, &new_keys}, std::pair{&cache.values, &new_values}}) {
      Matrix& rows = (*all)[static_cast<std::size_t>(b)];
      rows.conservativeResize(cached_ + length_, added->cols());
      rows.bottomRows(length_) = added->middleRows(b * length_, length_);
    }
  }
  const Matrix attended = Attend(Biased(query, TensorRole::kQueryBias, layer), layer);
  Note(TensorRole::kAttended, attended);
  return attended *
         Weight(TensorRole::kAttentionOutputWeights, layer, model_.query_heads * model_.head_dim);
}

DenseModel::Matrix DenseModel::Attend(const Matrix& queries, int layer) {
  const Cache& cache = caches_[static_cast<std::size_t>(layer)];
  const std::int64_t d = model_.head_dim;
  const std::int64_t group = model_.query_heads / model_.kv_heads;
  Matrix attended(queries.rows(), queries.cols());
  for (std::int64_t row = 0; row < queries.rows(); ++row) {
    const auto sequence = static_cast<std::size_t>(row / length_);
    const std::int64_t positions = cached_ + row % length_ + 1;
    for (std::int64_t head = 0; head < model_.query_heads; ++head) {
      const std::int64_t first = head / group * d;
      const auto keys = cache.keys[sequence].block(0, first, positions, d);
      const auto values = cache.values[sequence].block(0, first, positions, d);
      const Values scores = keys * queries.row(row).segment(head * d, d).transpose() /
                            std::sqrt(static_cast<double>(d));
      Values weights = (scores.array() - scores.maxCoeff()).exp();
      weights /= weights.sum();
      attended.row(row).segment(head * d, d) = weights.transpose() * values;
    }
  }
  return attended;
}

void DenseModel::Layer(int layer) {
  layer_ = layer;
  const auto norm = [&](TensorRole vectors, TensorRole role) {
    Matrix x = Normalize(residual_, vectors, layer);
    Note(role, x);
    Note(TensorRole::kBatchSlice, x);
    return x;
  };
  const auto finish = [&](Matrix out, bool attention, bool ffn) {
    Note(TensorRole::kBlockOutput, out);
    out = ffn ? Biased(out, TensorRole::kFfnOutputBias, layer) : out;
    residual_ += attention ? Biased(out, TensorRole::kAttentionOutputBias, layer) : out;
    Note(TensorRole::kResidual, residual_);
    Note(TensorRole::kGatheredResidual, residual_);
  };
  Note(TensorRole::kGatheredResidual, residual_);
  const TensorRole second =
      model_.norms_per_layer > 1 ? TensorRole::kSecondNormVectors : TensorRole::kNormVectors;
  const Matrix x = norm(TensorRole::kNormVectors, TensorRole::kNormalized);
  if (!model_.has_attention()) {
    finish(Ffn(x, layer), false, true);
  } else if (model_.parallel()) {
    const Matrix other = norm(second, TensorRole::kSecondNormalized);
    finish(Attention(x, layer) + Ffn(other, layer), true, true);
  } else {
    finish(Attention(x, layer), true, false);
    finish(Ffn(norm(second, TensorRole::kNormalized), layer), false, true);
  }
}

DenseModel::Matrix DenseModel::Logits() {
  layer_ = static_cast<int>(model_.layers);
  const bool normed = model_.final_norm && model_.norm != NormKind::kNone;
  const Matrix x = normed ? Normalize(residual_, TensorRole::kFinalNormVectors, layer_) : residual_;
  for (TensorRole role : {TensorRole::kFinalHidden, TensorRole::kGatheredResidual}) {
    Note(role, residual_);
    Note(role, x);
  }
  const TensorRole table =
      model_.tied_embedding ? TensorRole::kEmbedding : TensorRole::kUnembedding;
  const Matrix logits = x * Weight(table, layer_, model_.vocabulary).transpose();
  Note(TensorRole::kLogits, logits);
  return logits;
}

DenseModel::Output DenseModel::Pass(const PassInput& input) {
  batch_ = input.batch;
  length_ = input.length;
  layer_ = -1;
  trace_.clear();
  Embed(input);
  for (int layer = 0; layer < static_cast<int>(model_.layers); ++layer) {
    Layer(layer);
  }
  Output output;
  output.residual = Eigen::Map<const Values>(residual_.data(), residual_.size());
  if (!input.tokens.empty()) {
    const Matrix logits = Logits();
    output.logits = Eigen::Map<const Values>(logits.data(), logits.size());
  }
  cached_ += length_;
  return output;
}

}  // namespace slicewise
