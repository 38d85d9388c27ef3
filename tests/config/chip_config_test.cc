#include "slicewise/config/chip_config.h"

#include <gtest/gtest.h>

#include <string>

#include "config_test_util.h"
#include "slicewise/config/presets.h"
#include "slicewise/hardware/slice.h"

namespace slicewise {
namespace {

// The error of loading TPU v4's file with one passage replaced.
std::string ErrorWith(const std::string& from, const std::string& to) {
  const std::string text = LoadPresetOrFile("chips", "chip", "tpu-v4").text;
  return ErrorOfText(Replaced(text, from, to),
                     [](const std::string& path) { (void)LoadChip(path); });
}

TEST(ChipConfigTest, TpuV4) {
  const Chip chip = LoadChip("tpu-v4");
  EXPECT_EQ(chip.accelerator_prefix, "v4");
  EXPECT_EQ(chip.cores_per_chip, 2);
  EXPECT_EQ(chip.peak_bf16, TeraflopsPerSecond(275));
  EXPECT_EQ(chip.peak_int8, TeraflopsPerSecond(275));
  EXPECT_EQ(chip.hbm_nominal, Gibibytes(32));
  EXPECT_EQ(chip.hbm_usable, Gibibytes(30.75));  // 32 less the 1.25 GiB that the runtime reserves
  EXPECT_EQ(chip.hbm_bandwidth, GigabytesPerSecond(1200));
  EXPECT_EQ(chip.link_bandwidth, GigabytesPerSecond(45));
  EXPECT_EQ(chip.paper_bandwidth, GigabytesPerSecond(270));
  EXPECT_EQ(chip.paper_bandwidth, 6 * chip.link_bandwidth);  // 3 axes, 2 directions
  EXPECT_EQ(chip.torus_rank, 3);
  EXPECT_EQ(chip.wrap_multiple, 4);
  EXPECT_EQ(chip.max_chips, 4096);  // 16 * 16 * 16
  EXPECT_EQ(chip.chips_per_host, 4);
  EXPECT_EQ(chip.price_per_chip_hour / Dollars::FromBase(1), 3.22);
  EXPECT_EQ(chip.small_shapes,
            (std::vector<std::vector<int>>{{1, 2, 2}, {2, 2, 2}, {2, 2, 4}, {2, 4, 4}}));
}

TEST(ChipConfigTest, TheShapesAreThoseThatSlicesKnow) {
  const Chip chip = LoadChip("tpu-v4");
  EXPECT_EQ(ParseSlice("v4-8", chip).chips(), 4);  // 8 TensorCores / 2
  EXPECT_EQ(ParseSlice("2x2x1", chip).chips(), 4);
  EXPECT_FALSE(ParseSlice("2x4x4", chip).wraps);
  EXPECT_TRUE(ParseSlice("4x4x4", chip).wraps);
  EXPECT_EQ(ParseSlice("16x16x16", chip).chips(), chip.max_chips);
}

TEST(ChipConfigTest, UnknownChipsGetTheNearestName) {
  EXPECT_EQ(ErrorOf([] { (void)LoadChip("tpu-v5"); }),
            "chip 'tpu-v5': no such preset or file; did you mean 'tpu-v4'?");
}

TEST(ChipConfigTest, QuantitiesNeedUnits) {
  EXPECT_EQ(ErrorWith("\"275 TFLOP/s\"", "275"),
            "file: /peak_bf16: found 275, expected a rate of floating-point operations above 0, "
            "such as '275 TFLOP/s'");
  EXPECT_EQ(ErrorWith("45 GB/s", "45 Gb/s"),
            "file: /link_bandwidth: found '45 Gb/s', expected a rate in bytes per second above 0, "
            "such as '1.2 TB/s'");
  EXPECT_EQ(ErrorWith("3.22 USD", "$3.22"),
            "file: /price_per_chip_hour: found '$3.22', expected a price in dollars, such as "
            "'3.22 USD'");
  EXPECT_EQ(ErrorWith("3.22 USD", "-1 USD"),
            "file: /price_per_chip_hour: found '-1 USD', expected a price in dollars, such as "
            "'3.22 USD'");
}

TEST(ChipConfigTest, ContradictionsAreRefused) {
  EXPECT_EQ(ErrorWith("30.75 GiB", "33 GiB"),
            "file: /hbm_usable: found '33 GiB', expected at most hbm_nominal, '32 GiB'");
  EXPECT_EQ(ErrorWith("\"torus_rank\": 3", "\"torus_rank\": 2"),
            "file: /torus_rank: found 2, expected 3: other tori cannot be planned");
  EXPECT_EQ(ErrorWith("4096,", "32,"),  // 4 * 4 * 4 = 64
            "file: /max_chips: found 32, expected at least the 64 chips of the smallest torus, "
            "wrap_multiple cubed");
  EXPECT_EQ(ErrorWith("\"chips_per_host\": 4", "\"chips_per_host\": 99999"),
            "file: /chips_per_host: found 99999, expected a whole number from 1 to 1024");
  EXPECT_EQ(ErrorWith("all-multiples", "always"),
            "file: /wrap_rule: found 'always', expected one of 'all-multiples'");
}

TEST(ChipConfigTest, SmallShapesAreAscendingAndSmall) {
  const std::string expected =
      ", expected 3 ascending dimensions, not all multiples of 4, such as '1x2x2'";
  EXPECT_EQ(ErrorWith("1x2x2", "2x2x1"), "file: /small_shapes: found '2x2x1'" + expected);
  EXPECT_EQ(ErrorWith("1x2x2", "4x4x8"), "file: /small_shapes: found '4x4x8'" + expected);
  EXPECT_EQ(ErrorWith("1x2x2", "2x2"), "file: /small_shapes: found '2x2'" + expected);
  EXPECT_EQ(ErrorWith("1x2x2", "1x2x"), "file: /small_shapes: found '1x2x'" + expected);
  EXPECT_EQ(ErrorWith("1x2x2", ""), "file: /small_shapes: found ''" + expected);
}

TEST(ChipConfigTest, UnknownKeys) {
  EXPECT_EQ(ErrorWith("\"cores_per_chip\": 2", "\"cores_per_chip\": 2, \"core_per_chip\": 2"),
            "file: /core_per_chip: unknown key; did you mean 'cores_per_chip'?");
}

TEST(ChipConfigTest, EveryNumberHasASource) {
  EXPECT_EQ(ErrorWith("\"price_per_chip_hour\": \"Google", "\"name\": \"Google"),
            "file: /price_per_chip_hour: found no source, expected 'price_per_chip_hour' among the "
            "keys of /sources");
  EXPECT_EQ(ErrorWith("\"chips_per_host\": \"Google", "\"chip_per_host\": \"Google"),
            "file: /sources/chip_per_host: found a source for 'chip_per_host', which this file "
            "does not have; did you mean 'chips_per_host'?");
}

}  // namespace
}  // namespace slicewise
