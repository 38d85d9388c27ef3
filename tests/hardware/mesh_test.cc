#include "slicewise/hardware/mesh.h"

#include <gtest/gtest.h>

namespace slicewise {
namespace {

Mesh MeshOf(int x, int y, int z, bool wraps = true) {
  return Mesh(Slice{.dims = {x, y, z}, .wraps = wraps});
}

AxisOrder OrderOf(std::initializer_list<int> axes) {
  AxisOrder order;
  for (int axis : axes) {
    order.Append(AxisSet::Of(axis));
  }
  return order;
}

// x is one axis of 2; y = 4 is y1 = 2 and y2 = 2; z = 8 is z1 = 4 and z2 = 2.
TEST(Mesh, EvenLengthsFromFourHaveTwoFactors) {
  const Mesh mesh = MeshOf(2, 4, 8, false);
  ASSERT_EQ(mesh.axis_count(), 5);
  const MeshAxis expected[] = {{.size = 2, .physical = 0, .stride = 1},
                               {.size = 2, .physical = 1, .stride = 2},
                               {.size = 2, .physical = 1, .stride = 1},
                               {.size = 4, .physical = 2, .stride = 2},
                               {.size = 2, .physical = 2, .stride = 1}};
  for (int axis = 0; axis < 5; ++axis) {
    EXPECT_EQ(mesh.axis(axis), expected[axis]) << axis;
  }
  EXPECT_EQ(MeshOf(3, 5, 7).axis_count(), 3);
  EXPECT_EQ(MeshOf(4, 8, 12).axis_count(), 6);
}

// Every second chip of a ring is a ring; neighbours are a line of two.
TEST(Mesh, OnlyTheMajorFactorOfARingWraps) {
  const Mesh mesh = MeshOf(8, 1, 1);
  EXPECT_TRUE(mesh.axis(0).wraps);
  EXPECT_FALSE(mesh.axis(1).wraps);
  const std::vector<MeshAxis> whole = mesh.Rows(mesh.all());
  ASSERT_EQ(whole.size(), 1U);
  EXPECT_EQ(whole[0], (MeshAxis{.size = 8, .physical = 0, .stride = 1, .wraps = true}));
}

TEST(Mesh, SizesOfAxisSets) {
  const Mesh mesh = MeshOf(4, 8, 16);
  EXPECT_EQ(mesh.Size({}), 1);
  EXPECT_EQ(mesh.Size(mesh.Physical(1)), 8);
  EXPECT_EQ(mesh.Size(mesh.Physical(0) | mesh.Physical(2)), 64);
  EXPECT_EQ(mesh.Size(AxisSet::Of(2)), 4);  // y1
  EXPECT_EQ(mesh.IntSize(mesh.all()), 512);
}

TEST(Mesh, NamesJoinTheFactorsOfAnAxis) {
  const Mesh mesh = MeshOf(4, 8, 16);  // x1 x2 y1 y2 z1 z2
  EXPECT_EQ(mesh.Names(mesh.all()), "xyz");
  EXPECT_EQ(mesh.Names(mesh.Physical(2) | mesh.Physical(0)), "xz");
  EXPECT_EQ(mesh.Names(AxisSet::FromBits(0b011001)), "x1y2z1");
  EXPECT_EQ(mesh.Names(AxisSet::FromBits(0b111010)), "x2y2z");
  EXPECT_EQ(mesh.Names(OrderOf({4, 5, 0, 1})), "zx");  // an order keeps its order
  EXPECT_EQ(mesh.Names(OrderOf({0, 4, 5, 1})), "x1zx2");
  EXPECT_EQ(mesh.Names(OrderOf({1, 0})), "x2x1");  // not the digits of x
  EXPECT_EQ(mesh.Names(OrderOf({0, 1, 3})), "xy2");
}

TEST(Mesh, PartsAreCutByPhysicalAxes) {
  const Mesh mesh = MeshOf(4, 2, 8);  // x1 x2 y z1 z2
  EXPECT_EQ(mesh.Parts(mesh.all()),
            (std::vector<AxisSet>{mesh.Physical(0), mesh.Physical(1), mesh.Physical(2)}));
  const AxisSet mixed = AxisSet::FromBits(0b01110);  // x2 y z1
  EXPECT_EQ(mesh.Parts(mixed),
            (std::vector<AxisSet>{AxisSet::Of(1), AxisSet::Of(2), AxisSet::Of(3)}));
  EXPECT_EQ(mesh.Factors(mixed), AxisSet::Of(1) | AxisSet::Of(3));  // y is whole
  EXPECT_EQ(mesh.Whole(mixed), mesh.all());
  EXPECT_TRUE(mesh.Factors(mesh.all()).empty());
}

// Two links for a ring; s rings side by side share them. A line's inner links carry all of one way.
TEST(Mesh, LongestPart) {
  const Mesh mesh(Slice{.dims = {4, 8, 4}, .wraps = true});  // x1 x2, y1 y2 of 4 and 2, z1 z2
  EXPECT_EQ(mesh.Longest(mesh.all()), mesh.Physical(1));
  EXPECT_EQ(mesh.Longest(mesh.Physical(0) | mesh.Physical(2)), mesh.Physical(0));
  // y1 and z have 4 chips each; z's are neighbours. So are the pair z2, not the pair x1.
  EXPECT_EQ(mesh.Longest(AxisSet::Of(2) | mesh.Physical(2)), mesh.Physical(2));
  EXPECT_EQ(mesh.Longest(AxisSet::Of(0) | AxisSet::Of(5)), AxisSet::Of(5));
  EXPECT_EQ(mesh.Longest(AxisSet::Of(3)), AxisSet::Of(3));
}

TEST(Mesh, LinksAndHopsOfRows) {
  EXPECT_EQ(Links({.size = 8, .stride = 1, .wraps = true}), 2);
  EXPECT_EQ(Links({.size = 4, .stride = 2, .wraps = true}), 1);
  EXPECT_EQ(Links({.size = 4, .stride = 1, .wraps = false}), 1);
  EXPECT_EQ(Links({.size = 2, .stride = 2, .wraps = false}), 0.5);
  EXPECT_EQ(Hops({.size = 8, .stride = 1, .wraps = true}), 4);
  EXPECT_EQ(Hops({.size = 4, .stride = 2, .wraps = true}), 4);   // 2 steps of 2 links
  EXPECT_EQ(Hops({.size = 2, .stride = 2, .wraps = false}), 2);  // 1 step of 2 links
  EXPECT_EQ(Hops({.size = 2, .stride = 1, .wraps = false}), 1);
}

TEST(Mesh, DropsAxesOfLengthOne) {
  const Mesh mesh = MeshOf(1, 2, 2, false);
  EXPECT_EQ(mesh.axis_count(), 2);
  EXPECT_TRUE(mesh.Physical(0).empty());
  EXPECT_EQ(mesh.Names(mesh.all()), "yz");
  const Mesh middle = MeshOf(4, 1, 8);
  EXPECT_EQ(middle.Names(middle.all()), "xz");
  const Mesh one = MeshOf(1, 1, 1);
  EXPECT_EQ(one.axis_count(), 0);
  EXPECT_TRUE(one.all().empty());
  EXPECT_EQ(one.Size(one.all()), 1);
}

}  // namespace
}  // namespace slicewise
