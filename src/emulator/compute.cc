// What one chip computes by itself: einsums and elementwise ops.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "functions.h"
#include "machine.h"

namespace slicewise::emulator {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const RowMajor>;
using MutableMap = Eigen::Map<RowMajor>;

// Positions of the dims two tensors share, or of those they do not.
std::int64_t SizeOver(const Tensor& tensor, const Box& box, const Tensor& other, bool shared) {
  std::int64_t size = 1;
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    if ((other.Find(tensor.dims[i]) >= 0) == shared) {
      size *= static_cast<std::int64_t>(box.size(i));
    }
  }
  return size;
}

// Whether the chip holds the same indices of every dim the two tensors share; else a fault.
bool Aligned(Machine& machine, TensorId first, TensorId second, int chip) {
  const Tensor& a = machine.tensor(first);
  const Tensor& b = machine.tensor(second);
  const Box box_a = machine.BoxOf(first, chip);
  const Box box_b = machine.BoxOf(second, chip);
  for (std::size_t i = 0; i < a.rank; ++i) {
    const int j = b.Find(a.dims[i]);
    if (j >= 0 && box_a.held[i] != box_b.held[static_cast<std::size_t>(j)]) {
      machine.Raise(fmt::format("{} and {} hold different parts of {}", Name(a.role), Name(b.role),
                                Name(a.dims[i])));
      return false;
    }
  }
  return true;
}

void RunTerm(Machine& machine, const Term& term, int chip, bool first) {
  if (!Aligned(machine, term.lhs, term.rhs, chip) || !Aligned(machine, term.lhs, term.out, chip) ||
      !Aligned(machine, term.rhs, term.out, chip)) {
    return;
  }
  const Tensor& lhs = machine.tensor(term.lhs);
  const Tensor& rhs = machine.tensor(term.rhs);
  const Box left = machine.BoxOf(term.lhs, chip);
  const Box right = machine.BoxOf(term.rhs, chip);
  const std::int64_t rows = SizeOver(lhs, left, rhs, false);
  const std::int64_t inner = SizeOver(lhs, left, rhs, true);
  const std::int64_t columns = SizeOver(rhs, right, lhs, false);
  Values& out = machine.Write(term.out, chip);
  if (SizeOver(rhs, right, lhs, true) != inner || out.size() != rows * columns) {
    machine.Raise("an einsum's shapes do not fit");
    return;
  }
  const ConstMap activations(machine.Read(term.lhs, chip).data(), rows, inner);
  MutableMap sums(out.data(), rows, columns);
  if (first) {
    sums.setZero();
  }
  // Weights have the contracted dims together, at their beginning or at their end.
  const double* weights = machine.Read(term.rhs, chip).data();
  if (lhs.Find(rhs.dims[0]) >= 0) {
    sums.noalias() += activations * ConstMap(weights, inner, columns);
  } else {
    sums.noalias() += activations * ConstMap(weights, columns, inner).transpose();
  }
}

// A vector's value at a true index of its last dim; vectors are whole on every chip.
double VectorAt(Machine& machine, TensorId id, int chip, int row, int index) {
  const Tensor& tensor = machine.tensor(id);
  if (index < 0) {
    return 0;
  }
  const Values& values = machine.Read(id, chip);
  const Box box = machine.BoxOf(id, chip);
  const std::size_t width = box.size(static_cast<std::size_t>(tensor.rank) - 1);
  return values[static_cast<std::int64_t>(static_cast<std::size_t>(row) * width +
                                          static_cast<std::size_t>(index))];
}

// An elementwise op on one chip: term 0's operand and result as matrices whose columns are the last
// dim and whose rows are batch and length.
class Local {
 public:
  Local(Machine& machine, int chip)
      : machine_(machine),
        op_(machine.current()),
        chip_(chip),
        in_(op_.terms[0].lhs),
        out_(op_.terms[0].out) {
    in_box_ = machine.BoxOf(in_, chip);
    out_box_ = machine.BoxOf(out_, chip);
  }

  void Lookup() {
    const Values& tokens = machine_.Read(in_, chip_);
    const TensorId table_id = op_.terms[0].rhs;
    const Box table_box = machine_.BoxOf(table_id, chip_);
    const Held& vocabulary = *table_box.held[0];
    const std::int64_t width = static_cast<std::int64_t>(table_box.size(1));
    const ConstMap table(machine_.Read(table_id, chip_).data(),
                         static_cast<std::int64_t>(vocabulary.size()), width);
    Values& out = machine_.Write(out_, chip_);
    if (!Fits(out.size(), tokens.size() * width)) {
      return;
    }
    MutableMap rows(out.data(), tokens.size(), width);
    rows.setZero();
    for (std::int64_t i = 0; i < tokens.size(); ++i) {
      const auto found =
          std::find(vocabulary.begin(), vocabulary.end(), static_cast<int>(tokens[i]));
      if (found != vocabulary.end()) {
        rows.row(i) = table.row(found - vocabulary.begin());
      }
    }
  }

  void Statistics() {
    const ConstMap x = Input();
    Values& out = machine_.Write(out_, chip_);
    const std::int64_t kinds = static_cast<std::int64_t>(out_box_.size(2));
    if (!Fits(out.size(), x.rows() * kinds)) {
      return;
    }
    MutableMap moments(out.data(), x.rows(), kinds);
    const double width = machine_.placement.TrueSize(Dim::kEmbed);
    moments.col(0) = x.rowwise().squaredNorm() / width;
    if (kinds > 1) {
      moments.col(1) = x.rowwise().sum() / width;
    }
  }

  void Normalize() {
    if (!Aligned(machine_, in_, out_, chip_) || !Aligned(machine_, op_.terms[0].rhs, out_, chip_)) {
      return;
    }
    const ConstMap x = Input();
    const TensorId vectors = op_.terms[1].lhs;
    const Values& statistics = machine_.Read(op_.terms[0].rhs, chip_);
    const std::int64_t kinds = statistics.size() / x.rows();
    const ConstMap moments(statistics.data(), x.rows(), kinds);
    MutableMap out = Output(x.size());
    const Held& columns = *out_box_.held[2];
    const bool bias = machine_.BoxOf(vectors, chip_).size(0) > 1;
    for (std::int64_t c = 0; c < out.cols(); ++c) {
      const int index = columns[static_cast<std::size_t>(c)];
      const double scale = VectorAt(machine_, vectors, chip_, 0, index);
      const double shift = bias ? VectorAt(machine_, vectors, chip_, 1, index) : 0;
      for (std::int64_t r = 0; r < out.rows(); ++r) {
        const double mean = kinds > 1 ? moments(r, 1) : 0;
        const double variance = moments(r, 0) - mean * mean;
        out(r, c) = (x(r, c) - mean) / std::sqrt(variance + kNormEpsilon) * scale + shift;
      }
    }
  }

  void Slice() {
    Values values(static_cast<std::int64_t>(out_box_.elements()));
    Clear(out_box_, values.data());
    Overlay(machine_.placement, out_box_, values.data(), in_box_, machine_.Read(in_, chip_).data());
    if (HasMissing(values)) {
      machine_.Raise("a slice asks for more than the chip holds");
    }
    machine_.Write(out_, chip_) = std::move(values);
  }

  void Activate() {
    if (!Aligned(machine_, in_, out_, chip_)) {
      return;
    }
    const bool gated = op_.term_count > 1;
    const ConstMap hidden = Input();
    MutableMap out = Output(hidden.size());
    const TensorId gate_id = gated ? op_.terms[1].lhs : in_;
    const Values& gate = machine_.Read(gate_id, chip_);
    if (!Aligned(machine_, gate_id, out_, chip_) || !Fits(gate.size(), hidden.size())) {
      return;
    }
    const TensorId gate_bias = gated ? op_.terms[1].rhs : kNoTensor;
    for (std::int64_t c = 0; c < out.cols(); ++c) {
      const double bias = Bias(op_.terms[0].rhs, c);
      const double other = Bias(gate_bias, c);
      for (std::int64_t r = 0; r < out.rows(); ++r) {
        const double value = hidden(r, c) + bias;
        out(r, c) = gated ? Silu(value) * (gate[r * out.cols() + c] + other) : Gelu(value);
      }
    }
  }

  void Add() {
    const TensorId rhs = op_.terms[0].rhs;
    const bool positions = machine_.tensor(rhs).role == TensorRole::kPositionTable;
    if (!Aligned(machine_, in_, out_, chip_) ||
        (!positions && !Aligned(machine_, rhs, out_, chip_))) {
      return;
    }
    MutableMap out = Output(machine_.Read(in_, chip_).size());
    if (in_ != out_) {
      out = Input();
    }
    if (positions) {
      return AddPositions(out, rhs);
    }
    const Values& more = machine_.Read(rhs, chip_);
    if (!Fits(more.size(), out.size())) {
      return;
    }
    out += ConstMap(more.data(), out.rows(), out.cols());
    for (TensorId bias : {op_.terms[1].lhs, op_.terms[1].rhs}) {
      if (op_.term_count > 1 && bias != kNoTensor) {
        for (std::int64_t c = 0; c < out.cols(); ++c) {
          out.col(c).array() += Bias(bias, c);
        }
      }
    }
  }

  void LastToken() {
    const auto width = static_cast<std::int64_t>(in_box_.size(2));
    const auto all = static_cast<std::int64_t>(in_box_.size(1));
    const auto kept = static_cast<std::int64_t>(out_box_.size(1));
    const Values& in = machine_.Read(in_, chip_);
    Values& out = machine_.Write(out_, chip_);
    const std::int64_t sequences = static_cast<std::int64_t>(in_box_.size(0));
    if (!Fits(out.size(), sequences * kept * width)) {
      return;
    }
    for (std::int64_t b = 0; b < sequences; ++b) {
      out.segment(b * kept * width, kept * width) =
          in.segment((b * all + all - kept) * width, kept * width);
    }
  }

  void Sample() {
    const Values& logits = machine_.Read(in_, chip_);
    const Held& vocabulary = *in_box_.held[2];
    const auto width = static_cast<std::int64_t>(vocabulary.size());
    const auto positions = static_cast<std::int64_t>(in_box_.size(1));
    Values& out = machine_.Write(out_, chip_);
    const auto sequences = static_cast<std::int64_t>(in_box_.size(0));
    if (!Fits(out.size(), sequences * 2)) {
      return;
    }
    for (std::int64_t b = 0; b < sequences; ++b) {
      double best = -std::numeric_limits<double>::infinity();
      int token = -1;
      for (std::int64_t v = 0; v < width; ++v) {
        const double logit = logits[((b + 1) * positions - 1) * width + v];
        if (vocabulary[static_cast<std::size_t>(v)] >= 0 && logit > best) {
          best = logit;
          token = vocabulary[static_cast<std::size_t>(v)];
        }
      }
      out[b * 2] = best;
      out[b * 2 + 1] = token;
    }
  }

  // Every row of the last dim times exp(own log sum) over the sum of all shards' exponentials.
  void Combine() {
    const Values& log_sums = machine_.Read(op_.terms[0].rhs, chip_);
    const Box box = machine_.BoxOf(op_.terms[0].rhs, chip_);
    const auto shards = static_cast<std::int64_t>(box.size(3));
    const auto width = static_cast<std::int64_t>(out_box_.size(3));
    const Values& in = machine_.Read(in_, chip_);
    Values& out = machine_.Write(out_, chip_);
    if (!Aligned(machine_, in_, out_, chip_) || !Fits(in.size(), out.size()) ||
        !Fits(log_sums.size() * width, out.size() * shards)) {
      return;
    }
    const std::int64_t own = OwnShard();
    for (std::int64_t row = 0; row < out.size() / width; ++row) {
      const auto sums = log_sums.segment(row * shards, shards);
      const double whole = (sums.array() - sums.maxCoeff()).exp().sum();
      out.segment(row * width, width) =
          in.segment(row * width, width) * (std::exp(sums[own] - sums.maxCoeff()) / whole);
    }
  }

 private:
  // Which shard of the cache's length this chip holds.
  [[nodiscard]] std::int64_t OwnShard() {
    const AxisSet axes = machine_.program.dim(Dim::kSequenceShard).order.set();
    return machine_.placement.Of(Dim::kSequenceShard, axes, chip_)->front();
  }

  bool Fits(std::int64_t found, std::int64_t expected) {
    if (found != expected) {
      machine_.Raise("an elementwise op's shapes do not fit");
    }
    return found == expected;
  }

  [[nodiscard]] ConstMap Input() {
    const Values& values = machine_.Read(in_, chip_);
    const auto columns = static_cast<std::int64_t>(in_box_.size(2));
    return {values.data(), values.size() / columns, columns};
  }

  // The result, with as many elements as it has to take; shapes that do not fit are a fault.
  [[nodiscard]] MutableMap Output(std::int64_t elements) {
    Values& values = machine_.Write(out_, chip_);
    if (!Fits(values.size(), elements)) {
      values = Values::Zero(elements);
    }
    const auto columns = static_cast<std::int64_t>(out_box_.size(2));
    return {values.data(), values.size() / columns, columns};
  }

  [[nodiscard]] double Bias(TensorId id, std::int64_t column) {
    return id == kNoTensor ? 0
                           : VectorAt(machine_, id, chip_, 0,
                                      (*out_box_.held[2])[static_cast<std::size_t>(column)]);
  }

  void AddPositions(MutableMap& out, TensorId table) {
    const auto length = static_cast<std::int64_t>(out_box_.size(1));
    for (std::int64_t r = 0; r < out.rows(); ++r) {
      const int position = machine_.cached + static_cast<int>(r % length);
      if (position >= machine_.placement.TrueSize(Dim::kPosition)) {
        machine_.Raise("a position is beyond the table");
        return;
      }
      for (std::int64_t c = 0; c < out.cols(); ++c) {
        const int index = (*out_box_.held[2])[static_cast<std::size_t>(c)];
        out(r, c) += VectorAt(machine_, table, chip_, position, index);
      }
    }
  }

  Machine& machine_;
  const Op& op_;
  int chip_;
  TensorId in_, out_;
  Box in_box_, out_box_;
};

}  // namespace

void RunEinsum(Machine& machine) {
  const Op& op = machine.current();
  for (int chip = 0; chip < machine.chips; ++chip) {
    for (std::size_t i = 0; i < op.term_count; ++i) {
      const auto writes_same = [&](const Term& other) { return other.out == op.terms[i].out; };
      const bool first = std::none_of(
          op.terms.begin(), op.terms.begin() + static_cast<std::ptrdiff_t>(i), writes_same);
      RunTerm(machine, op.terms[i], chip, first);
    }
  }
}

void RunElementwise(Machine& machine) {
  for (int chip = 0; chip < machine.chips; ++chip) {
    Local local(machine, chip);
    switch (machine.current().function) {
      case Elementwise::kNone:
        break;
      case Elementwise::kLookup:
        local.Lookup();
        break;
      case Elementwise::kStatistics:
        local.Statistics();
        break;
      case Elementwise::kNormalize:
        local.Normalize();
        break;
      case Elementwise::kSlice:
        local.Slice();
        break;
      case Elementwise::kActivate:
        local.Activate();
        break;
      case Elementwise::kAdd:
        local.Add();
        break;
      case Elementwise::kLastToken:
        local.LastToken();
        break;
      case Elementwise::kSample:
        local.Sample();
        break;
      case Elementwise::kCombine:
        local.Combine();
        break;
    }
  }
}

}  // namespace slicewise::emulator
