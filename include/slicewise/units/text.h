// Quantities as text, both ways, and the small string helpers that error messages need.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "slicewise/units/quantity.h"

namespace slicewise {

// "28.5 ms", "85.2 s", "1.20 us": three significant digits, the unit that keeps the number
// readable.
[[nodiscard]] std::string Format(Seconds time);
// "30.8 GiB": three significant digits, binary units, as memory is spoken of.
[[nodiscard]] std::string Format(Bytes amount);
// "4.29 GB": decimal units, as traffic is spoken of.
[[nodiscard]] std::string FormatDecimal(Bytes amount);
[[nodiscard]] std::string Format(BytesPerSecond rate);
[[nodiscard]] std::string Format(FlopsPerSecond rate);
[[nodiscard]] std::string Format(Flops amount);
// Shortest decimal text that reads back as the same double.
[[nodiscard]] std::string FormatExact(double value);
// Three significant digits without an exponent: "0.0412", "28.5", "1230".
[[nodiscard]] std::string FormatThreeDigits(double value);
// "43.1%" of a fraction.
[[nodiscard]] std::string FormatPercent(double fraction);
// "1,048,576".
[[nodiscard]] std::string FormatCount(std::int64_t count);

// "1.2 TB/s", "270GB/s", "1.1 TiB/s". Throws InputError naming the text and the expected unit.
[[nodiscard]] BytesPerSecond ParseBytesPerSecond(std::string_view text);
// "32 GiB", "16 GB", "512 B".
[[nodiscard]] Bytes ParseBytes(std::string_view text);
// "275 TFLOP/s".
[[nodiscard]] FlopsPerSecond ParseFlopsPerSecond(std::string_view text);
// "300ms", "1.9 s", "20 us". A bare number is refused: a time without a unit is a mistake waiting.
[[nodiscard]] Seconds ParseSeconds(std::string_view text);

// The candidate nearest to `text` by edit distance (insert, delete, substitute, swap neighbours),
// if it is near enough to be a plausible misspelling (a third of the length, at least two edits).
[[nodiscard]] std::optional<std::string> NearestName(std::string_view text,
                                                     std::span<const std::string> candidates);
// "; did you mean 'x'?", or "" where nothing is near.
[[nodiscard]] std::string DidYouMean(std::string_view text,
                                     std::span<const std::string> candidates);

}  // namespace slicewise
