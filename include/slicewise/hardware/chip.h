// One kind of accelerator chip: the numbers of a datasheet, and the rules by which its chips are
// joined into slices. A value; configs/chips/*.json holds one file per chip with a source for every
// number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "slicewise/units/data_type.h"
#include "slicewise/units/quantity.h"

namespace slicewise {

// When the links of a slice close into rings.
enum class WrapRule : std::uint8_t {
  // Every axis wraps when every dimension is a multiple of `wrap_multiple`, otherwise none does
  // (TPU v4: slices are built of 4x4x4 cubes whose faces meet at optical switches).
  kAllMultiples,
};

struct Chip {
  std::string name;                // "tpu-v4"
  std::string accelerator_prefix;  // "v4" of "v4-128"
  int cores_per_chip = 2;          // what the number in an accelerator type counts
  FlopsPerSecond peak_bf16;        // dense matmul
  FlopsPerSecond peak_int8;        // int8 x int8 matmul
  Bytes hbm_nominal;               // as sold
  Bytes hbm_usable;                // net of the runtime's reserve
  BytesPerSecond hbm_bandwidth;
  Bytes on_chip_memory;            // what intermediate results can stay in between two ops
  BytesPerSecond link_bandwidth;   // one direction of one link
  BytesPerSecond paper_bandwidth;  // the single per-chip figure of the paper's formulas
  int torus_rank = 3;
  WrapRule wrap_rule = WrapRule::kAllMultiples;
  int wrap_multiple = 4;
  int max_chips = 4096;
  // Shapes with a dimension below the multiple, in ascending order of dimensions.
  std::vector<std::vector<int>> small_shapes;
  int chips_per_host = 4;
  BytesPerSecond host_bandwidth;  // of a host to hosts of other slices; zero where not known
  Dollars price_per_chip_hour;    // on demand

  bool operator==(const Chip&) const = default;

  // Peak of a matmul. Float32 operands run as bf16 passes; how many is calibrated.
  [[nodiscard]] FlopsPerSecond Peak(DataType type) const {
    return type == DataType::kInt8 ? peak_int8 : peak_bf16;
  }
};

}  // namespace slicewise
