// Message-by-message times against the closed forms of cost/network.h, and loads against published
// ones. docs/emulator.md quotes the figures asserted here.
#include <gtest/gtest.h>

#include <cmath>

#include "emulator/emulator_test_util.h"
#include "slicewise/cost/network.h"
#include "slicewise/emulator/schedule.h"

namespace slicewise {
namespace {

// Divisible into every part and half that occurs in these slices, so nothing is rounded.
constexpr Bytes kBlock = Bytes::FromBase(1e6);
constexpr BytesPerSecond kLink = BytesPerSecond::FromBase(1e9);

Chip UnitChip() {
  Chip chip;
  chip.link_bandwidth = kLink;
  chip.paper_bandwidth = kLink;
  return chip;
}

Calibration HopsOfOneSecond() {
  Calibration calibration;
  calibration.hop_latency = 1;
  calibration.ideal_schedules = false;
  return calibration;
}

struct ClosedForm {
  Seconds bandwidth, latency;
};

ClosedForm Closed(const Slice& slice, AxisSet axes, OpKind kind, Schedule schedule) {
  const Mesh mesh(slice);
  // The emulator's own schedules, of which only the one-way loop is not the lower bound.
  Calibration calibration = HopsOfOneSecond();
  calibration.ideal_schedules = schedule != Schedule::kLoopedOneWay;
  const Network network(UnitChip(), mesh, calibration, NetworkKind::kTorus);
  Op op = {};
  op.kind = kind;
  op.schedule = schedule;
  op.term_count = 1;
  op.axes = AxisOrder(axes);
  const double ways = mesh.Size(axes);
  TrafficAmount traffic;
  traffic.volume.Add(Follows::kNothing, kBlock * ways);
  traffic.sent.Add(Follows::kNothing, kBlock * (ways - 1));
  const CollectiveTime time = network.Time(op, traffic);
  return {time.bandwidth.At({1, 1, 1}), time.latency};
}

double BandwidthRatio(const MessageList& list, const ClosedForm& closed) {
  return TimeOf(list, kBlock, {kLink, {}}) / closed.bandwidth;
}

// Hops alone: bytes cost nothing.
double LatencyOf(const MessageList& list) {
  const LinkTiming timing = {BytesPerSecond::FromBase(1e30), SecondsOf(1)};
  return std::round(TimeOf(list, kBlock, timing) / SecondsOf(1));
}

std::vector<Slice> Slices() {
  return {MakeSlice({2, 2, 1}),       MakeSlice({2, 2, 2}),       MakeSlice({2, 2, 4}),
          MakeSlice({2, 4, 4}),       MakeSlice({4, 4, 4}, true), MakeSlice({4, 4, 8}, true),
          MakeSlice({4, 8, 8}, true), MakeSlice({3, 5, 1}, true), MakeSlice({1, 1, 12}, true)};
}

bool IsWhole(const Mesh& mesh, AxisSet axes) { return mesh.Factors(axes).empty(); }

// Every set of axes, factors among them.
template <class Check>
void ForEachAxisSet(Check check) {
  for (const Slice& slice : Slices()) {
    const Mesh mesh(slice);
    for (unsigned bits = 1; bits <= mesh.all().bits(); ++bits) {
      SCOPED_TRACE(ToString(slice) + " over " + mesh.Names(AxisSet::FromBits(bits)));
      check(slice, mesh, AxisSet::FromBits(bits));
    }
  }
}

// Over factors and other axes together the links are loaded as evenly, but whole blocks wait for
// one another between the axes: up to 1.2 times the closed form on tori, 1.5 on meshes.
void ExpectClosedTime(double ratio, const Mesh& mesh, AxisSet axes) {
  EXPECT_GE(ratio, 1 - 1e-6);
  const double most = IsWhole(mesh, axes) || mesh.Parts(axes).size() == 1 ? 1
                      : mesh.slice().wraps                                ? 1.2
                                                                          : 1.5;
  EXPECT_LE(ratio, most + 1e-6);
}

TEST(Gather, TakesTheClosedFormsTimeOnToriMeshesAndMixedAxes) {
  ForEachAxisSet([](const Slice& slice, const Mesh& mesh, AxisSet axes) {
    const ClosedForm closed = Closed(slice, axes, OpKind::kAllGather, Schedule::kBlocking);
    const MessageList list = GatherMessages(mesh, axes, Rings::kBothWays);
    ExpectClosedTime(BandwidthRatio(list, closed), mesh, axes);
    EXPECT_NEAR(BusiestLink(list, kBlock) / kLink / closed.bandwidth, 1, 1e-6);
  });
}

TEST(Scatter, TakesWhatGatherTakes) {
  ForEachAxisSet([](const Slice& slice, const Mesh& mesh, AxisSet axes) {
    const ClosedForm closed = Closed(slice, axes, OpKind::kReduceScatter, Schedule::kBlocking);
    const MessageList list = ScatterMessages(mesh, axes, Rings::kBothWays);
    ExpectClosedTime(BandwidthRatio(list, closed), mesh, axes);
    EXPECT_NEAR(BusiestLink(list, kBlock) / kLink / closed.bandwidth, 1, 1e-6);
  });
}

// Closed: the hops of the longest way. Ours pipelines bytes, so that on axes of different lengths a
// block may wait for one or two hops more, four with factors; never fewer than the closed form.
TEST(Gather, TakesTheClosedFormsHopsOrUpToTwoMore) {
  ForEachAxisSet([](const Slice& slice, const Mesh& mesh, AxisSet axes) {
    const ClosedForm closed = Closed(slice, axes, OpKind::kAllGather, Schedule::kBlocking);
    const double hops = LatencyOf(GatherMessages(mesh, axes, Rings::kBothWays));
    const double expected = closed.latency / SecondsOf(1);
    EXPECT_GE(hops, expected);
    EXPECT_LE(hops, expected + (IsWhole(mesh, axes) ? 2 : 4));
    if (mesh.Parts(axes).size() == 1) {
      EXPECT_EQ(hops, expected);
    }
  });
}

// The closed form has the loop's steps one after another; messages that need not wait do not, so
// over three axes the emulator is up to 14 % (2x2x2) faster, with factors 20 % (xy2z2 of 4x4x4).
TEST(OneWayLoop, IsBoundedByTheClosedForm) {
  ForEachAxisSet([](const Slice& slice, const Mesh& mesh, AxisSet axes) {
    const ClosedForm closed = Closed(slice, axes, OpKind::kAllGather, Schedule::kLoopedOneWay);
    const double ratio = BandwidthRatio(GatherMessages(mesh, axes, Rings::kOneWay), closed);
    EXPECT_LE(ratio, 1 + 1e-6);
    EXPECT_GE(ratio, (IsWhole(mesh, axes) ? 6.0 / 7 : 0.8) - 1e-6);
    if (mesh.Parts(axes).size() < 3) {
      EXPECT_NEAR(ratio, 1, 1e-6);
    }
  });
}

// The closed form is the busiest link's bytes, a lower bound: links also wait for one another.
TEST(Exchange, LoadsTheBusiestLinkAsTheClosedFormSays) {
  ForEachAxisSet([](const Slice& slice, const Mesh& mesh, AxisSet axes) {
    if (mesh.Size(axes) > 128) {
      return;
    }
    const MessageList list = ExchangeMessages(mesh, axes);
    const ClosedForm closed = Closed(slice, axes, OpKind::kAllToAll, Schedule::kBlocking);
    EXPECT_NEAR(BusiestLink(list, kBlock) / kBlock, AllToAllLoad(mesh, axes), 1e-6);
    const double ratio = BandwidthRatio(list, closed);
    EXPECT_GE(ratio, 1 - 1e-6);
    // 2x4x4 over yz, and over y1z; 4x4x4 over y1z.
    const bool whole = IsWhole(mesh, axes);
    EXPECT_LE(ratio, slice.wraps ? (whole ? 1.05 : 1.13) : (whole ? 1.21 : 1.25));
  });
}

TEST(Exchange, OnATwistedTorusReachesItsLoad) {
  const Slice slice = MakeSlice({4, 4, 8}, true, true);
  const Mesh mesh(slice);
  const MessageList list = ExchangeMessages(mesh, mesh.all());
  // 128 chips at a mean distance of 440 / 127 over 6 links: 440 / 6.
  EXPECT_NEAR(BusiestLink(list, kBlock) / kBlock, 440.0 / 6, 1e-6);
  const ClosedForm closed = Closed(slice, mesh.all(), OpKind::kAllToAll, Schedule::kBlocking);
  EXPECT_NEAR(BandwidthRatio(list, closed), 1, 0.01);
}

// The TPU v4 paper's shapes (facts/tpu.md section 1.4).
TEST(ExchangeLoad, EqualsThePublishedOnes) {
  struct Row {
    std::array<int, 3> dims;
    double regular, twisted;
  };
  for (const Row& row :
       {Row{{4, 4, 8}, 128, 73.333}, Row{{4, 8, 8}, 256, 184}, Row{{8, 8, 16}, 2048, 1189.333}}) {
    const Slice regular = MakeSlice(row.dims, true);
    const Slice twisted = MakeSlice(row.dims, true, true);
    EXPECT_NEAR(ExchangeLoad(regular), row.regular, 1e-3);
    EXPECT_NEAR(ExchangeLoad(twisted), row.twisted, 1e-3);
    EXPECT_NEAR(AllToAllLoad(Mesh(regular), Mesh(regular).all()), row.regular, 1e-3);
    EXPECT_NEAR(AllToAllLoad(Mesh(twisted), Mesh(twisted).all()), row.twisted, 1e-3);
  }
  EXPECT_NEAR(ExchangeLoad(MakeSlice({4, 4, 4}, true)), 32, 1e-9);
  EXPECT_NEAR(ExchangeLoad(MakeSlice({2, 2, 2})), 4, 1e-9);
}

TEST(Timing, OneRingByHand) {
  const Mesh mesh(MakeSlice({4, 1, 1}, true));
  const MessageList list = GatherMessages(mesh, mesh.all(), Rings::kBothWays);
  // Step 1: a block both ways; step 2: half a block both ways. 1 MB / 1 GB/s = 1 ms.
  const LinkTiming timing = {kLink, Microseconds(3)};
  EXPECT_NEAR(TimeOf(list, kBlock, timing) / Microseconds(1), 1000 + 3 + 500 + 3, 1e-6);
  // A line of 4: the end chip takes 3 blocks through one link.
  const Mesh line(MakeSlice({4, 1, 1}));
  const MessageList other = GatherMessages(line, line.all(), Rings::kBothWays);
  EXPECT_NEAR(TimeOf(other, kBlock, timing) / Microseconds(1), 3 * (1000 + 3), 1e-6);
}

TEST(Timing, MoreBandwidthNeverCostsTime) {
  ForEachAxisSet([](const Slice&, const Mesh& mesh, AxisSet axes) {
    const MessageList list = GatherMessages(mesh, axes, Rings::kBothWays);
    const Seconds slow = TimeOf(list, kBlock, {kLink, Microseconds(1)});
    const Seconds fast = TimeOf(list, kBlock, {2 * kLink, Microseconds(1)});
    EXPECT_LT(fast, slow);
  });
}

}  // namespace
}  // namespace slicewise
