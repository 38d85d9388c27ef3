#include "slicewise/emulator/torus.h"

#include <gtest/gtest.h>

#include "emulator/emulator_test_util.h"
#include "slicewise/emulator/schedule.h"

namespace slicewise {
namespace {

TEST(Torus, MeshesEndAndToriWrap) {
  const Torus mesh(MakeSlice({2, 2, 4}));
  EXPECT_EQ(mesh.Neighbor(0, DirectionOf(2, false)), 1);
  EXPECT_EQ(mesh.Neighbor(0, DirectionOf(2, true)), -1);
  EXPECT_EQ(mesh.Neighbor(3, DirectionOf(2, false)), -1);
  const Torus torus(MakeSlice({4, 4, 4}, true));
  EXPECT_EQ(torus.Neighbor(0, DirectionOf(2, true)), 3);
  EXPECT_EQ(torus.Neighbor(torus.ChipAt({3, 1, 2}), DirectionOf(0, false)),
            torus.ChipAt({0, 1, 2}));
}

TEST(Torus, AxesOfLengthOneHaveNoLinks) {
  const Torus torus(MakeSlice({4, 1, 4}, true));
  EXPECT_EQ(torus.Neighbor(0, DirectionOf(1, false)), -1);
}

TEST(Torus, EveryLinkHasAWayBack) {
  for (const Slice& slice : {MakeSlice({2, 3, 4}), MakeSlice({4, 4, 8}, true),
                             MakeSlice({4, 4, 8}, true, true), MakeSlice({4, 8, 8}, true, true)}) {
    const Torus torus(slice);
    for (int chip = 0; chip < torus.chips(); ++chip) {
      EXPECT_EQ(torus.ChipAt(torus.Coordinates(chip)), chip);
      for (int direction = 0; direction < kDirections; ++direction) {
        const int there = torus.Neighbor(chip, direction);
        EXPECT_TRUE(there < 0 || torus.Neighbor(there, Opposite(direction)) == chip);
      }
    }
  }
}

// 4x4x8: a wrap along x also moves half of z.
TEST(Torus, ATwistedWrapShiftsTheLongAxis) {
  const Torus torus(MakeSlice({4, 4, 8}, true, true));
  EXPECT_EQ(torus.Neighbor(torus.ChipAt({3, 0, 1}), DirectionOf(0, false)),
            torus.ChipAt({0, 0, 5}));
  EXPECT_EQ(torus.Neighbor(torus.ChipAt({0, 0, 7}), DirectionOf(2, false)),
            torus.ChipAt({0, 0, 0}));
}

TEST(Torus, ShortestWalksArriveAndAreAllOfThem) {
  const Torus torus(MakeSlice({4, 4, 4}, true));
  // Two of the three coordinates are half way round: either way is as short.
  EXPECT_EQ(torus.ShortestWalks(0, torus.ChipAt({2, 1, 2})).size(), 4U);
  const Torus mesh(MakeSlice({4, 4, 4}));
  EXPECT_EQ(mesh.ShortestWalks(0, mesh.ChipAt({2, 1, 2})).size(), 1U);
}

TEST(Groups, AreDigitsOverTheAxesMajorFirst) {
  const Mesh mesh(MakeSlice({2, 2, 2}));
  const auto groups = Groups(mesh, AxisSet::Of(0) | AxisSet::Of(2));
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0], (std::vector<int>{0, 1, 4, 5}));  // y = 0
  EXPECT_EQ(groups[1], (std::vector<int>{2, 3, 6, 7}));  // y = 1
}

// Every member gets every block exactly once, whole, over links that exist.
TEST(Schedules, GatherDeliversEverythingOnce) {
  for (const Slice& slice : {MakeSlice({2, 2, 4}), MakeSlice({4, 4, 4}, true),
                             MakeSlice({3, 5, 1}, true), MakeSlice({4, 8, 1}, true)}) {
    const Mesh mesh(slice);
    const Torus torus(slice);
    for (Rings rings : {Rings::kBothWays, Rings::kOneWay}) {
      const MessageList list = GatherMessages(mesh, mesh.all(), rings);
      std::vector<double> got(static_cast<std::size_t>(list.chips * list.chips));
      for (const Message& message : list.messages) {
        EXPECT_EQ(torus.Neighbor(message.from, message.direction), message.to);
        got[static_cast<std::size_t>(message.to * list.chips + message.block)] +=
            message.end - message.begin;
      }
      for (int chip = 0; chip < list.chips; ++chip) {
        for (int block = 0; block < list.chips; ++block) {
          EXPECT_NEAR(got[static_cast<std::size_t>(chip * list.chips + block)],
                      chip == block ? 0 : 1, 1e-9);
        }
      }
    }
  }
}

TEST(Schedules, PartsOfAnyCountFitTogether) {
  const Mesh mesh(MakeSlice({4, 4, 8}, true));
  const MessageList list = GatherMessages(mesh, mesh.all(), Rings::kBothWays);
  for (std::int64_t count : {1, 2, 3, 7, 64, 1001}) {
    std::int64_t total = 0;
    for (const Message& message : list.messages) {
      total += RangeOf(message, count).size();
    }
    EXPECT_EQ(total, count * 128 * 127);
  }
}

}  // namespace
}  // namespace slicewise
