// SHA-256 (FIPS 180-4), for naming the inputs that a plan was made from.
#pragma once

#include <string>
#include <string_view>

namespace slicewise {

// The digest in 64 lower-case hexadecimal digits.
[[nodiscard]] std::string Sha256(std::string_view text);

}  // namespace slicewise
