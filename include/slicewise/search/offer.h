// What nearly answers a request for a phase that nothing answers.
#pragma once

#include <optional>

#include "slicewise/search/sweep.h"

namespace slicewise {

struct Offer {
  // The limit that binds: memory where no layout fits at all, else the target that is missed.
  Violation::Code binding = Violation::Code::kMemory;
  // On the slices asked for, without the time targets: the fastest; nullopt where nothing fits.
  std::optional<SweepPoint> fastest;
  // Over all slices of the chip: one with the fewest chips that keeps every limit.
  std::optional<SweepPoint> sufficient;
};

// nullopt when the request has an answer, or no layout is legal. Layouts, batches and weight
// formats are those asked for.
[[nodiscard]] std::optional<Offer> NearestOffer(const Setting& base, const SweepSpace& space,
                                                Phase phase, const SweepOptions& options);

}  // namespace slicewise
