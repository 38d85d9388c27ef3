// Attention on one chip: new keys and values go into the caches, then every query attends to the
// positions up to its own, or to those of them that the chip's shard of the cache holds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "machine.h"

namespace slicewise::emulator {
namespace {

constexpr int kNobody = -1;
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

int PositionOf(const Held& held, int index) {
  const auto found = std::find(held.begin(), held.end(), index);
  return found == held.end() ? kNobody : static_cast<int>(found - held.begin());
}

// One chip's attention. Tensors are batch x length x heads x head_dim throughout.
class ChipAttention {
 public:
  ChipAttention(Machine& machine, int chip)
      : machine_(machine), op_(machine.current()), chip_(chip) {
    head_dim_ = machine.placement.TrueSize(Dim::kHeadDim);
  }

  void Run() {
    const TensorId none = kNoTensor;
    const bool biased = op_.term_count > 2 && op_.terms[2].lhs != none;
    const Term& last = op_.terms[op_.term_count - 1U];
    log_sum_ = last.lhs == none ? last.out : none;
    Append(op_.terms[0].rhs, op_.terms[1].rhs, biased ? op_.terms[2].rhs : none);
    Append(op_.terms[1].lhs, op_.terms[1].out, biased ? op_.terms[2].out : none);
    Attend(biased ? op_.terms[2].lhs : none);
  }

 private:
  static std::int64_t Offset(const Box& box, int i, int j, int k) {
    const auto wide = [](int value) { return static_cast<std::size_t>(value); };
    return static_cast<std::int64_t>(((wide(i) * box.size(1) + wide(j)) * box.size(2) + wide(k)) *
                                     box.size(3));
  }

  // Biases are heads x head_dim, whole on every chip. A dim may repeat heads: the first will do.
  Values BiasOf(TensorId id, int head) {
    if (id == kNoTensor) {
      return Values::Zero(head_dim_);
    }
    const Box box = machine_.BoxOf(id, chip_);
    const int row = PositionOf(*box.held[0], head);
    return machine_.Read(id, chip_).segment(static_cast<std::int64_t>(row) * head_dim_, head_dim_);
  }

  void Append(TensorId fresh, TensorId cache, TensorId bias) {
    const Box from = machine_.BoxOf(fresh, chip_);
    const Box to = machine_.BoxOf(cache, chip_);
    const Values& source = machine_.Read(fresh, chip_);
    Values& target = machine_.Write(cache, chip_);
    if (machine_.cached + machine_.length > machine_.placement.TrueSize(Dim::kCacheLength)) {
      machine_.Raise("the KV cache is full");
      return;
    }
    for (std::size_t b = 0; b < to.size(0); ++b) {
      for (std::size_t h = 0; h < to.size(2); ++h) {
        const int sequence = (*to.held[0])[b];
        const int head = (*to.held[2])[h];
        if (sequence < 0 || head < 0) {
          continue;
        }
        const int row = PositionOf(*from.held[0], sequence);
        const int column = PositionOf(*from.held[2], head);
        if (row == kNobody || column == kNobody) {
          machine_.Raise(fmt::format("chip {} lacks the {} of sequence {}, head {}", chip_,
                                     Name(machine_.tensor(fresh).role), sequence, head));
          continue;
        }
        const Values shift = BiasOf(bias, head);
        for (int l = 0; l < machine_.length; ++l) {
          const int slot = PositionOf(*to.held[1], machine_.cached + l);
          if (slot != kNobody) {
            target.segment(Offset(to, static_cast<int>(b), slot, static_cast<int>(h)), head_dim_) =
                source.segment(Offset(from, row, l, column), head_dim_) + shift;
          }
        }
      }
    }
  }

  // The KV head that a query head reads.
  [[nodiscard]] int KvHeadOf(int query_head) const {
    return static_cast<int>(query_head * machine_.model.kv_heads / machine_.model.query_heads);
  }

  void Attend(TensorId bias) {
    const Box in = machine_.BoxOf(op_.terms[0].lhs, chip_);
    const Box out = machine_.BoxOf(op_.terms[0].out, chip_);
    const Box cache = machine_.BoxOf(op_.terms[1].rhs, chip_);
    const Values& queries = machine_.Read(op_.terms[0].lhs, chip_);
    Values& attended = machine_.Write(op_.terms[0].out, chip_);
    attended.setZero();
    if (log_sum_ != kNoTensor) {
      machine_.Write(log_sum_, chip_).setZero();
    }
    for (std::size_t b = 0; b < out.size(0); ++b) {
      for (std::size_t h = 0; h < out.size(2); ++h) {
        const int sequence = (*out.held[0])[b];
        const int head = (*out.held[2])[h];
        if (sequence < 0 || head < 0) {
          continue;
        }
        const int row = PositionOf(*in.held[0], sequence);
        const int column = PositionOf(*in.held[2], head);
        const int cache_row = PositionOf(*cache.held[0], sequence);
        const int cache_column = PositionOf(*cache.held[2], KvHeadOf(head));
        if (std::min({row, column, cache_row, cache_column}) == kNobody) {
          machine_.Raise(
              fmt::format("chip {} lacks the query or the cached keys of sequence {}, head {}",
                          chip_, sequence, head));
          continue;
        }
        const Values shift = BiasOf(bias, head);
        for (int l = 0; l < machine_.length; ++l) {
          const Values query = queries.segment(Offset(in, row, l, column), head_dim_) + shift;
          const Softmax found =
              SoftmaxOver(query, cache, cache_row, cache_column, machine_.cached + l + 1);
          const std::int64_t at = Offset(out, static_cast<int>(b), l, static_cast<int>(h));
          attended.segment(at, head_dim_) = found.attended;
          if (log_sum_ != kNoTensor) {
            machine_.Write(log_sum_, chip_)[at / static_cast<std::int64_t>(out.size(3))] =
                found.log_sum;
          }
        }
      }
    }
  }

  struct Softmax {
    Values attended;
    double log_sum = 0;  // of the exponentials of the scores
  };

  // Over the chip's slots of the first `positions` positions; nothing where it has none of them.
  Softmax SoftmaxOver(const Values& query, const Box& cache, int row, int column, int positions) {
    const Values& keys = machine_.Read(op_.terms[1].rhs, chip_);
    const Values& values = machine_.Read(op_.terms[1].out, chip_);
    std::vector<int> slots;
    for (int t = 0; t < static_cast<int>(cache.size(1)); ++t) {
      const int position = (*cache.held[1])[static_cast<std::size_t>(t)];
      if (position >= 0 && position < positions) {
        slots.push_back(t);
      }
    }
    Softmax result{.attended = Values::Zero(head_dim_), .log_sum = kMinusInfinity};
    if (slots.empty()) {
      return result;
    }
    Values scores(static_cast<std::int64_t>(slots.size()));
    for (std::size_t i = 0; i < slots.size(); ++i) {
      scores[static_cast<std::int64_t>(i)] =
          query.dot(keys.segment(Offset(cache, row, slots[i], column), head_dim_)) /
          std::sqrt(static_cast<double>(head_dim_));
    }
    const double largest = scores.maxCoeff();
    const Values weights = (scores.array() - largest).exp();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      result.attended += weights[static_cast<std::int64_t>(i)] *
                         values.segment(Offset(cache, row, slots[i], column), head_dim_);
    }
    result.attended /= weights.sum();
    result.log_sum = largest + std::log(weights.sum());
    return result;
  }

  Machine& machine_;
  const Op& op_;
  int chip_;
  std::int64_t head_dim_ = 0;
  TensorId log_sum_ = kNoTensor;
};

}  // namespace

void RunAttention(Machine& machine) {
  for (int chip = 0; chip < machine.chips; ++chip) {
    ChipAttention(machine, chip).Run();
  }
}

}  // namespace slicewise::emulator
