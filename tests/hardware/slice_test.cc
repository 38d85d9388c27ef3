// Slices, accelerator types, the wrap rule, twists, and meshes. Facts: tpu.md sections 1.2 to 1.4.
#include "slicewise/hardware/slice.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

Slice Parse(std::string_view text) { return ParseSlice(text, TestChip()); }
std::string ErrorOfSlice(std::string_view text) {
  return ErrorOf([&] { static_cast<void>(Parse(text)); });
}

TEST(ParseSlice, AnyOrderIsKept) {
  EXPECT_EQ(Parse("4x4x8").dims, (std::array<int, 3>{4, 4, 8}));
  EXPECT_EQ(Parse("8x4x4").dims, (std::array<int, 3>{8, 4, 4}));
  EXPECT_EQ(Parse("4x2x4").dims, (std::array<int, 3>{4, 2, 4}));
  EXPECT_EQ(Parse("2x2x1").dims, (std::array<int, 3>{2, 2, 1}));
  EXPECT_EQ(Parse("v4-4x4x8").dims, (std::array<int, 3>{4, 4, 8}));
  EXPECT_EQ(ToString(Parse("8x4x4")), "8x4x4");
  EXPECT_EQ(Parse("4x8x8").chips(), 256);
}

TEST(ParseSlice, WrapsWhenEveryDimensionIsAMultipleOfFour) {
  for (const char* text : {"4x4x4", "4x4x8", "8x4x12", "16x16x16"}) {
    EXPECT_TRUE(Parse(text).wraps) << text;
  }
  for (const char* text : {"2x2x1", "2x2x2", "2x4x2", "4x4x2"}) {
    EXPECT_FALSE(Parse(text).wraps) << text;
  }
}

// tpu.md 1.3: the number counts TensorCores, two to a chip; the shape is the most cube-like.
TEST(ParseSlice, AcceleratorTypes) {
  struct Row {
    const char* type;
    const char* shape;
    int chips;
  };
  for (const Row& row :
       {Row{"v4-8", "1x2x2", 4}, Row{"v4-16", "2x2x2", 8}, Row{"v4-32", "2x2x4", 16},
        Row{"v4-64", "2x4x4", 32}, Row{"v4-128", "4x4x4", 64}, Row{"v4-256", "4x4x8", 128},
        Row{"v4-384", "4x4x12", 192}, Row{"v4-512", "4x8x8", 256}, Row{"v4-1024", "8x8x8", 512},
        Row{"v4-1536", "8x8x12", 768}, Row{"v4-2048", "8x8x16", 1024},
        Row{"v4-4096", "8x16x16", 2048}, Row{"v4-6144", "12x16x16", 3072},
        Row{"v4-8192", "16x16x16", 4096}}) {
    const Slice slice = Parse(row.type);
    EXPECT_EQ(ToString(slice), row.shape) << row.type;
    EXPECT_EQ(slice.chips(), row.chips) << row.type;
    EXPECT_EQ(AcceleratorType(slice, TestChip()), row.type);
  }
}

TEST(ParseSlice, Errors) {
  const std::string not_a_shape =
      " is not a shape of 3 dimensions such as 4x4x4, nor an accelerator type such as v4-128 (2 "
      "TensorCores per chip)";
  for (const char* text : {"", "4", "4x4", "4x4x4x4", "4x4xA", "4xx4", "-4x4x4", "0x4x4", "4x4x4_",
                           "4X4X4", " 4x4x4", "v5p-128", "99999999999x4x4"}) {
    EXPECT_EQ(ErrorOfSlice(text), "slice '" + std::string(text) + "'" + not_a_shape);
  }
  const auto no_such = [](const char* text, const char* nearest) {
    return "slice '" + std::string(text) +
           "': tpu-v4 has no such slice (all dimensions multiples of 4, at most 4096 chips, or a "
           "small shape); the nearest is " +
           nearest;
  };
  EXPECT_EQ(ErrorOfSlice("3x4x4"), no_such("3x4x4", "4x4x4"));
  EXPECT_EQ(ErrorOfSlice("5x4x4"), no_such("5x4x4", "4x4x4"));
  EXPECT_EQ(ErrorOfSlice("1x1x1"), no_such("1x1x1", "1x2x2"));
  EXPECT_EQ(ErrorOfSlice("16x16x20"), no_such("16x16x20", "16x16x16"));
  EXPECT_EQ(ErrorOfSlice("2x2x8"), no_such("2x2x8", "2x2x4"));
  EXPECT_EQ(
      ErrorOfSlice("v4-130"),
      "slice 'v4-130': tpu-v4 has no accelerator type of that size; the nearest is v4-128, 64 "
      "chips as 4x4x4");
  EXPECT_EQ(ErrorOfSlice("v4-many"),
            "slice 'v4-many': tpu-v4 has no accelerator type of that size; the number counts "
            "TensorCores, 2 per chip");
}

TEST(Twist, OnlyShapesThatCanBeTwisted) {
  for (const char* text : {"4x4x8_twisted", "4x8x8_twisted", "8x4x4_twisted", "8x4x8_twisted",
                           "8x8x16_twisted", "8x16x16_twisted", "12x12x24_twisted"}) {
    const Slice slice = Parse(text);
    EXPECT_TRUE(slice.twisted) << text;
    EXPECT_TRUE(slice.wraps) << text;
    EXPECT_EQ(ToString(slice), text);
  }
  for (const char* text :
       {"4x4x4_twisted", "4x4x16_twisted", "4x8x16_twisted", "2x2x4_twisted", "8x8x12_twisted"}) {
    EXPECT_EQ(ErrorOfSlice(text), "slice '" + std::string(text) +
                                      "': only n x n x 2n and n x 2n x 2n shapes can be twisted");
  }
  EXPECT_FALSE(Parse("4x4x8").twisted);
}

// tpu.md 1.3: four small shapes, and every multiple of 4 with a <= b <= c up to 64 cubes.
TEST(LegalSlices, SmallShapesAndAllCubesUpToThePod) {
  const std::vector<Slice> slices = LegalSlices(TestChip(), 4096);
  std::vector<std::string> texts;
  for (const Slice& slice : slices) {
    texts.push_back(ToString(slice));
  }
  const std::vector<std::string> small = {"1x2x2", "2x2x2",  "2x2x4",  "2x4x4", "4x4x4",
                                          "4x4x8", "4x4x12", "4x4x16", "4x8x8"};
  EXPECT_EQ(std::vector<std::string>(texts.begin(), texts.begin() + 9), small);
  EXPECT_EQ(texts.back(), "16x16x16");
  // The slow twin: a <= b <= c cubes with a b c <= 64.
  std::size_t cubes = 0;
  for (int a = 1; a <= 64; ++a) {
    for (int b = a; b <= 64; ++b) {
      for (int c = b; c <= 64; ++c) {
        cubes += a * b * c <= 64 ? 1 : 0;
      }
    }
  }
  EXPECT_EQ(slices.size(), 4 + cubes);
  for (std::size_t i = 0; i < slices.size(); ++i) {
    EXPECT_TRUE(std::is_sorted(slices[i].dims.begin(), slices[i].dims.end())) << texts[i];
    EXPECT_EQ(Parse(texts[i]), slices[i]);
    EXPECT_FALSE(slices[i].twisted);
    EXPECT_TRUE(i == 0 || slices[i - 1].chips() <= slices[i].chips());
    EXPECT_EQ(std::count(texts.begin(), texts.end(), texts[i]), 1);
  }
}

TEST(LegalSlices, UpToALimit) {
  EXPECT_EQ(LegalSlices(TestChip(), 64).size(), 5U);  // 1x2x2 2x2x2 2x2x4 2x4x4 4x4x4
  EXPECT_EQ(LegalSlices(TestChip(), 8).size(), 2U);
  EXPECT_TRUE(LegalSlices(TestChip(), 3).empty());
}

TEST(AxisSet, BehavesLikeASet) {
  constexpr AxisSet kXz = AxisSet::Of(0) | AxisSet::Of(2);
  static_assert(kXz.count() == 2 && kXz.Has(2) && !kXz.Has(1) && kXz.first() == 0);
  static_assert((kXz - AxisSet::Of(0)) == AxisSet::Of(2));
  static_assert((kXz & AxisSet::FirstN(2)) == AxisSet::Of(0));
  static_assert(AxisSet::FirstN(3).HasAll(kXz) && !kXz.HasAll(AxisSet::FirstN(2)));
  static_assert(AxisSet().empty() && !kXz.empty());
  std::vector<int> axes;
  for (int axis : kXz) {
    axes.push_back(axis);
  }
  EXPECT_EQ(axes, (std::vector<int>{0, 2}));
}

TEST(AxisOrder, KeepsTheOrderOfAppends) {
  AxisOrder order(AxisSet::Of(2));
  order.Append(AxisSet::FirstN(2));
  ASSERT_EQ(order.size(), 3);
  EXPECT_EQ(order[0], 2);
  EXPECT_EQ(order[1], 0);
  EXPECT_EQ(order[2], 1);
  EXPECT_EQ(order.set(), AxisSet::FirstN(3));
  EXPECT_NE(order, AxisOrder(AxisSet::FirstN(3)));
}

}  // namespace
}  // namespace slicewise
