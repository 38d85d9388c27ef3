#include "slicewise/search/offer.h"

#include <algorithm>
#include <limits>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

std::optional<SweepPoint> First(const PhaseSweep& sweep) {
  return sweep.points.empty() ? std::nullopt : std::optional(sweep.points.front());
}

// Whether the layouts asked for can be named on the slice: Fyz/ws/Byz cannot where x is longer
// than 1.
bool CanName(const std::string& layout, const Slice& slice) {
  try {
    static_cast<void>(LayoutFilter(layout, Mesh(slice)));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

// The slices in order of their chips; the first count that has an answer gives the best of its
// shapes.
std::optional<SweepPoint> FewestChips(const Setting& base, SweepSpace space, Phase phase,
                                      const SweepOptions& options) {
  std::vector<Slice> all = LegalSlices(base.chip, base.chip.max_chips);
  std::erase_if(all, [&](const Slice& slice) { return !CanName(space.layout, slice); });
  for (auto first = all.begin(); first != all.end();) {
    const auto end = std::find_if(
        first, all.end(), [&](const Slice& slice) { return slice.chips() != first->chips(); });
    space.slices.assign(first, end);
    if (const auto found = First(SweepPhase(base, space, phase, options))) {
      return found;
    }
    first = end;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Offer> NearestOffer(const Setting& base, const SweepSpace& space, Phase phase,
                                  const SweepOptions& options) {
  SweepOptions one = options;
  one.keep = 1;
  one.front = false;
  one.progress = nullptr;
  if (First(SweepPhase(base, space, phase, one))) {
    return std::nullopt;
  }
  Setting roomy = base;
  roomy.chip.hbm_usable = BytesOf(std::numeric_limits<double>::infinity());
  SweepOptions unlimited = one;
  unlimited.targets = {};
  if (!First(SweepPhase(roomy, space, phase, unlimited))) {
    return std::nullopt;  // no layout is legal: no limit binds
  }
  Offer offer;
  offer.sufficient = FewestChips(base, space, phase, one);
  SweepOptions unhurried = one;
  unhurried.objective = Objective::kLatency;
  unhurried.targets.ttft = unhurried.targets.tpot = Seconds();
  offer.fastest = First(SweepPhase(base, space, phase, unhurried));
  if (offer.fastest) {
    offer.binding = phase == Phase::kPrefill ? Violation::Code::kTtft : Violation::Code::kTpot;
  } else if (options.targets.min_context > 0) {
    unhurried.targets.min_context = 0;
    const bool fits = First(SweepPhase(base, space, phase, unhurried)).has_value();
    offer.binding = fits ? Violation::Code::kContext : Violation::Code::kMemory;
  }
  return offer;
}

}  // namespace slicewise
