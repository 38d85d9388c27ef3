// The number formats that weights, activations and the KV cache are held in.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "slicewise/units/quantity.h"

namespace slicewise {

enum class DataType : std::uint8_t { kBf16, kInt8, kFloat32 };

// Bytes of one element: bf16 2, int8 1, float32 4.
[[nodiscard]] constexpr Bytes ElementBytes(DataType type) {
  switch (type) {
    case DataType::kBf16:
      return BytesOf(2);
    case DataType::kInt8:
      return BytesOf(1);
    case DataType::kFloat32:
      return BytesOf(4);
  }
  return BytesOf(0);
}

// "bf16", "int8", "float32".
[[nodiscard]] std::string_view Name(DataType type);
[[nodiscard]] std::optional<DataType> ParseDataType(std::string_view name);

}  // namespace slicewise
