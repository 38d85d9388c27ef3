#include "slicewise/cost/memory.h"

#include <algorithm>
#include <array>

namespace slicewise {
namespace {

using Alive = MemoryCurve::Alive;
using Capped = MemoryCurve::Capped;

Amount<Bytes>& PartOf(Alive& alive, TensorRole role) {
  if (role == TensorRole::kGatheredWeights) {
    return alive.gathered_weights;
  }
  const bool logits = role == TensorRole::kLogits || role == TensorRole::kCandidates;
  return logits ? alive.logits : alive.activations;
}

Amount<Bytes>& PartOf(MemoryCurve& curve, const Tensor& tensor) {
  if (tensor.lifetime == Lifetime::kPersistent) {
    return curve.weights;
  }
  const bool cache = tensor.role == TensorRole::kKeyCache || tensor.role == TensorRole::kValueCache;
  return cache ? curve.kv_cache : curve.activations;
}

Bytes BytesFor(const Tensor& tensor, double elements) {
  return elements * ElementBytes(tensor.type);
}

// Whether two chunks of a streamed tensor are more than the whole depends on the batch where the
// two are not padded alike.
bool IsCapped(const Tensor& tensor) {
  return tensor.streamed && tensor.chunks_follow != tensor.follows;
}

Bytes StoredBytes(const Tensor& tensor) {
  const double all = tensor.unit_elements;
  return BytesFor(tensor, tensor.streamed ? std::min(all, tensor.unit_chunks) : all);
}

bool HoldsAsMuch(const Amount<Bytes>& a, const Amount<Bytes>& b) {
  return a.each[0] >= b.each[0] && a.each[1] >= b.each[1] && a.each[2] >= b.each[2];
}

// What is alive at an op: at least, and at most, as capped tensors go.
struct Moment {
  std::size_t op;
  Amount<Bytes> least, most;
};
using Moments = FixedVector<Moment, kMaxOps>;

// The ops that may be the fullest.
void FindPeaks(const Program& program, Moments& peaks) {
  struct Change {
    Amount<Bytes> all, capped;
  };
  std::array<Change, kMaxOps + 1> changes;
  std::fill_n(changes.begin(), program.ops.size() + 1, Change());
  for (const Tensor& tensor : program.tensors) {
    if (tensor.lifetime == Lifetime::kTransient && tensor.first_op != kNoOp) {
      const bool capped = IsCapped(tensor);
      const Bytes bytes = capped ? BytesFor(tensor, tensor.unit_chunks) : StoredBytes(tensor);
      const Follows follows = capped ? tensor.chunks_follow : tensor.follows;
      Change& first = changes[tensor.first_op];
      Change& after = changes[tensor.last_op + 1U];
      (capped ? first.capped : first.all).Add(follows, bytes);
      (capped ? after.capped : after.all).Add(follows, -1 * bytes);
    }
  }
  Moment now = {};
  Amount<Bytes> capped;
  for (now.op = 0; now.op < program.ops.size(); ++now.op) {
    now.least += changes[now.op].all;
    capped += changes[now.op].capped;
    now.most = now.least;
    now.most += capped;
    const auto beaten = [&](const Moment& peak) { return HoldsAsMuch(peak.least, now.most); };
    if (std::none_of(peaks.begin(), peaks.end(), beaten)) {
      const auto beats = [&](const Moment& peak) { return HoldsAsMuch(now.least, peak.most); };
      peaks.truncate(static_cast<std::size_t>(std::remove_if(peaks.begin(), peaks.end(), beats) -
                                              peaks.begin()));
      peaks.push_back(now);
    }
  }
}

Bytes CappedBytes(const Alive& alive, const Sequences& sequences) {
  Bytes bytes;
  for (std::size_t i = 0; i < alive.capped_count; ++i) {
    bytes += std::min(alive.capped[i].whole.At(sequences), alive.capped[i].chunks.At(sequences));
  }
  return bytes;
}

}  // namespace

void TraceMemory(const Program& program, MemoryCurve& curve) {
  Moments peaks;
  FindPeaks(program, peaks);
  curve.weights = curve.kv_cache = curve.activations = {};
  curve.peaks.clear();
  for (const Moment& peak : peaks) {
    curve.peaks.push_back({.certain = peak.least});
  }
  for (const Tensor& tensor : program.tensors) {
    if (tensor.lifetime != Lifetime::kTransient) {
      const Bytes bytes = StoredBytes(tensor) * (tensor.per_layer ? program.layers : 1);
      PartOf(curve, tensor).Add(tensor.follows, bytes);
      continue;
    }
    for (std::size_t i = 0; i < peaks.size(); ++i) {
      if (tensor.first_op > peaks[i].op || peaks[i].op > tensor.last_op) {
        continue;
      }
      MemoryCurve::Alive& alive = curve.peaks[i];
      if (IsCapped(tensor)) {
        Capped& capped = alive.capped[alive.capped_count++];
        capped.whole.Add(tensor.follows, BytesFor(tensor, tensor.unit_elements));
        capped.chunks.Add(tensor.chunks_follow, BytesFor(tensor, tensor.unit_chunks));
      } else {
        PartOf(alive, tensor.role).Add(tensor.follows, StoredBytes(tensor));
      }
    }
  }
}

MemoryUse PeakMemory(const MemoryCurve& curve, const Sequences& sequences) {
  static constexpr Alive kNothing = {};
  const Alive* peak = &kNothing;
  Bytes most;
  for (const Alive& alive : curve.peaks) {
    const Bytes bytes = alive.certain.At(sequences) + CappedBytes(alive, sequences);
    if (bytes > most) {
      most = bytes;
      peak = &alive;
    }
  }
  return {.weights = curve.weights.At(sequences),
          .kv_cache = curve.kv_cache.At(sequences),
          .activations = curve.activations.At(sequences) + peak->activations.At(sequences) +
                         CappedBytes(*peak, sequences),
          .gathered_weights = peak->gathered_weights.At(sequences),
          .logits = peak->logits.At(sequences)};
}

MemoryUse PeakMemory(const Program& program) {
  MemoryCurve curve;
  TraceMemory(program, curve);
  return PeakMemory(curve, program.sequences);
}

}  // namespace slicewise
