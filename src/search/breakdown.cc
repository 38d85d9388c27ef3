#include "slicewise/search/breakdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "slicewise/units/text.h"

namespace slicewise {
namespace {

std::string OpName(const Op& op) {
  return std::string(op.kind == OpKind::kElementwise ? Name(op.function) : Name(op.kind));
}

// "reduce-scatter over yz", "einsum", "elementwise".
std::string Heading(const BreakdownRow& row) {
  return row.axes.empty() ? row.op : fmt::format("{} over {}", row.op, row.axes);
}

Seconds Total(const std::vector<BreakdownRow>& rows) {
  Seconds total;
  for (const BreakdownRow& row : rows) {
    total += row.exposed;
  }
  return total;
}

}  // namespace

std::vector<BreakdownRow> Breakdown(const Evaluator& evaluator) {
  const Program& program = evaluator.program();
  const PhaseCost cost = evaluator.Cost();
  std::vector<BreakdownRow> rows;
  Seconds accounted;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    const OpCost& priced = cost.ops[i];
    const bool in_layer = i >= program.layer.begin && i < program.layer.end;
    const double times = program.steps * (in_layer ? program.layers : 1);
    const Seconds network = priced.network_bandwidth + priced.network_latency;
    if (priced.alone() == Seconds()) {
      continue;
    }
    rows.push_back({op.part, OpName(op), program.mesh.Names(op.axes), priced.compute * times,
                    priced.hbm * times, network * times, priced.exposed * times});
    accounted += priced.exposed * times;
  }
  const Seconds rest = cost.bound_seconds[static_cast<std::size_t>(Bound::kLatency)];
  if (const Seconds outside = cost.latency - accounted;
      rest > Seconds() && outside > cost.latency * 1e-9) {
    rows.push_back({Part::kHead, "step", "", {}, {}, {}, outside});
  }
  return rows;
}

std::vector<PaddingRow> Padding(const Program& program) {
  std::vector<PaddingRow> rows;
  for (Dim dim : {Dim::kBatch, Dim::kAttentionBatch, Dim::kEmbed, Dim::kFfn, Dim::kHeads,
                  Dim::kKvHeads, Dim::kCacheKvHeads, Dim::kVocabulary}) {
    const DimInfo& info = program.dim(dim);
    const bool unused = dim == Dim::kAttentionBatch && program.dim(Dim::kHeads).size == 0;
    if (info.padded > info.size && info.size > 0 && !unused) {
      rows.push_back({std::string(Name(dim)), info.size, info.padded});
    }
  }
  return rows;
}

std::string WhyFaster(const std::vector<BreakdownRow>& better,
                      const std::vector<BreakdownRow>& worse) {
  std::map<std::string, Seconds> difference;  // positive: the better plan spends less
  for (const BreakdownRow& row : worse) {
    difference[Heading(row)] += row.exposed;
  }
  for (const BreakdownRow& row : better) {
    difference[Heading(row)] -= row.exposed;
  }
  std::vector<std::pair<std::string, Seconds>> terms(difference.begin(), difference.end());
  std::stable_sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) {
    return std::abs(a.second.base()) > std::abs(b.second.base());
  });
  const Seconds gap = Total(worse) - Total(better);
  if (gap <= Total(worse) * 1e-6) {
    return "equally fast";
  }
  std::string text = fmt::format("{:.1f} % faster ({})", 100 * (gap / Total(worse)), Format(gap));
  std::string separator = ": ";
  for (std::size_t i = 0; i < std::min<std::size_t>(3, terms.size()); ++i) {
    const double seconds = terms[i].second.base();
    if (std::abs(seconds) < 0.02 * gap.base()) {
      break;
    }
    text += fmt::format("{}{} {} in {}", separator, Format(SecondsOf(std::abs(seconds))),
                        seconds > 0 ? "less" : "more", terms[i].first);
    separator = ", ";
  }
  return text;
}

}  // namespace slicewise
