#include "slicewise/units/data_type.h"

namespace slicewise {

std::string_view Name(DataType type) {
  switch (type) {
    case DataType::kBf16:
      return "bf16";
    case DataType::kInt8:
      return "int8";
    case DataType::kFloat32:
      return "float32";
  }
  return "";
}

std::optional<DataType> ParseDataType(std::string_view name) {
  for (DataType type : {DataType::kBf16, DataType::kInt8, DataType::kFloat32}) {
    if (name == Name(type)) {
      return type;
    }
  }
  return std::nullopt;
}

}  // namespace slicewise
