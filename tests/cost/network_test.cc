// Collectives on tori and meshes against the scaling book's worked problems (facts B2 and B4): TPU
// v4, 45 GB/s one way per link, 90 GB/s per wrapped axis, 1 us per hop. The book drops the factor
// (K-1)/K of what is really sent; the tests put it in.
#include "slicewise/cost/network.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

constexpr double kMicro = 1e-6;

// A roofline whose hops take 1 us.
Calibration HopCalibration() {
  Calibration calibration;
  calibration.hop_latency = kMicro;
  return calibration;
}

Op Collective(OpKind kind, AxisSet axes, Schedule schedule = Schedule::kBlocking) {
  Op op = {};
  op.kind = kind;
  op.schedule = schedule;
  op.axes = AxisOrder(axes);
  op.looped = schedule == Schedule::kBlocking ? AxisSet() : axes;
  return op;
}

TrafficAmount TrafficOf(double volume, double ways) {
  TrafficAmount traffic;
  traffic.volume.Add(Follows::kNothing, BytesOf(volume));
  traffic.sent.Add(Follows::kNothing, BytesOf(volume * (ways - 1) / ways));
  return traffic;
}

// The time of traffic that follows no batch.
struct FixedTime {
  explicit FixedTime(const CollectiveTime& time)
      : bandwidth(time.bandwidth.At({1, 1, 1})), latency(time.latency) {}
  Seconds bandwidth, latency;
};

AxisSet Axes(const Mesh& mesh, std::string_view names) {
  AxisSet axes;
  for (char name : names) {
    axes |= mesh.Physical(name - 'x');
  }
  return axes;
}

FixedTime TimeOf(const Mesh& mesh, OpKind kind, std::string_view axes, double volume,
                 const Calibration& calibration, Schedule schedule = Schedule::kBlocking,
                 NetworkKind network = NetworkKind::kTorus) {
  const AxisSet set = Axes(mesh, axes);
  return FixedTime(Network(TestChip(), mesh, calibration, network)
                       .Time(Collective(kind, set, schedule), TrafficOf(volume, mesh.Size(set))));
}

// Sharding problem 2 on a wrapped 4x4x4, B = 1024, D = 4096, bf16.
TEST(ScalingBook, AllGatherOverOneAxisTakes23Microseconds) {
  const double volume = 2.0 * 1024 * 4096 / 4;  // D over y: 2BD/Y
  const FixedTime time = TimeOf(MeshOf(4, 4, 4), OpKind::kAllGather, "x", volume, HopCalibration());
  EXPECT_NEAR(time.bandwidth / Microseconds(1), 23.3 * 3 / 4, 0.05);  // 2,097,152 / 9e10 = 23.3
  EXPECT_NEAR(time.latency / Microseconds(1), 2, 1e-12);              // 4/2 hops
}

TEST(ScalingBook, AllGatherOverTwoAxesTakes46Microseconds) {
  const double volume = 2.0 * 1024 * 4096;
  const FixedTime time =
      TimeOf(MeshOf(4, 4, 4), OpKind::kAllGather, "xy", volume, HopCalibration());
  // 8,388,608 / (2 x 9e10) = 46.6
  EXPECT_NEAR(time.bandwidth / Microseconds(1), 46.6 * 15 / 16, 0.05);
  EXPECT_NEAR(time.latency / Microseconds(1), 4, 1e-12);  // 2 + 2 hops, the book's "4 us"
}

TEST(ScalingBook, AllReduceOverOneAxisTakes11Microseconds) {
  // 4BD/(XY 9e10): twice 2BD/(XY), 4 x 1024 x 4096 / 16 = 1,048,576 bytes, 11.65 us
  const double volume = 2 * 2.0 * 1024 * 4096 / 16;
  const FixedTime time = TimeOf(MeshOf(4, 4, 4), OpKind::kAllReduce, "z", volume, HopCalibration());
  EXPECT_NEAR(time.bandwidth / Microseconds(1), 11.65 * 3 / 4, 0.05);
  EXPECT_NEAR(time.latency / Microseconds(1), 4, 1e-12);  // there and back
}

// Sharding problem 3: 64 bytes per device over 2 hops are latency, 2 us.
TEST(ScalingBook, TinyAllGatherIsLatencyBound) {
  const FixedTime time =
      TimeOf(MeshOf(4, 4, 4), OpKind::kAllGather, "x", 128 * 2, HopCalibration());
  EXPECT_NEAR((time.bandwidth + time.latency) / Microseconds(1), 2, 0.01);
  EXPECT_LT(time.bandwidth, time.latency);
}

// Pop quiz 2, with v4's links: without wraparound on an axis of 4, 3 hops of a quarter each over
// one link: 33,554,432 x 3/4 / 4.5e10 = 559 us, and three hops.
TEST(ScalingBook, UnwrappedAxisHasHalfTheBandwidthAndAllTheHops) {
  const double volume = 2.0 * 2048 * 8192;
  const FixedTime open = TimeOf(MeshOf(2, 4, 4), OpKind::kAllGather, "y", volume, HopCalibration());
  EXPECT_NEAR(open.bandwidth / Microseconds(1), 559, 1);
  EXPECT_NEAR(open.latency / Microseconds(1), 3, 1e-12);
  const FixedTime closed =
      TimeOf(MeshOf(4, 4, 4), OpKind::kAllGather, "y", volume, HopCalibration());
  EXPECT_DOUBLE_EQ(open.bandwidth / closed.bandwidth, 2);
}

// B2: T_all-to-all on a ring is a quarter of an all-gather's V/W, where V is what the whole of the
// axis holds: V/(4W). Each of K chips holds V/K and sends (K-1)/K of it.
TEST(ScalingBook, AllToAllIsAQuarterOfAnAllGather) {
  for (int k : {4, 8, 16}) {
    const Mesh mesh = MeshOf(k, 4, 4);
    const double whole = 1e8;
    const Calibration roofline;
    const Seconds time = TimeOf(mesh, OpKind::kAllToAll, "x", whole / k, roofline).bandwidth;
    EXPECT_NEAR(time / SecondsOf(whole / (4 * 9e10)), 1, 1e-9) << k;
  }
  // N-D: T = V max(A, B, C) / (4 N W) with V held by all N together.
  const Mesh mesh = MeshOf(4, 4, 8);
  const double whole = 1e9;
  const Calibration roofline;
  const Seconds time = TimeOf(mesh, OpKind::kAllToAll, "xyz", whole / 128, roofline).bandwidth;
  EXPECT_NEAR(time / SecondsOf(whole * 8 / (4 * 128 * 9e10)), 1, 1e-9);
}

// Facts tpu.md 1.4: messages on the busiest link. Regular torus N x max / 8; twisted by distance.
TEST(AllToAllLoad, TablesOfTheFacts) {
  const auto load = [](int x, int y, int z, bool twisted = false) {
    Slice slice = SliceOf(x, y, z);
    slice.twisted = twisted;
    const Mesh mesh(slice);
    return AllToAllLoad(mesh, mesh.all());
  };
  EXPECT_DOUBLE_EQ(load(4, 4, 4), 32);              // 64 x 4 / 8
  EXPECT_DOUBLE_EQ(load(4, 4, 8), 128);             // 128 x 8 / 8
  EXPECT_DOUBLE_EQ(load(4, 8, 8), 256);             // 256 x 8 / 8
  EXPECT_DOUBLE_EQ(load(8, 8, 8), 512);             // 512 x 8 / 8
  EXPECT_DOUBLE_EQ(load(8, 8, 16), 2048);           // 1024 x 16 / 8
  EXPECT_NEAR(load(4, 4, 8, true), 73.3, 0.05);     // 128 x 3.438 / 6
  EXPECT_DOUBLE_EQ(load(4, 8, 8, true), 184);       // 256 x 4.3125 / 6
  EXPECT_NEAR(load(8, 8, 16, true), 1189.3, 0.05);  // 1024 x 6.969 / 6
  EXPECT_NEAR(load(8, 16, 16, true), 2976, 0.5);
  EXPECT_NEAR(load(12, 12, 24, true), 6036, 0.5);
  // The order of the axes names them, nothing else.
  EXPECT_DOUBLE_EQ(load(8, 4, 4, true), load(4, 4, 8, true));
  EXPECT_DOUBLE_EQ(load(8, 4, 8, true), load(4, 8, 8, true));
}

// The slow twin: every pair of chips of a line or ring routed the shortest way, ties half and half.
TEST(AllToAllLoad, EqualsRoutingEveryPair) {
  for (bool wraps : {false, true}) {
    for (int size : {2, 3, 4, 5, 6, 8, 12}) {
      std::vector<double> right(static_cast<std::size_t>(size));  // link i -> i + 1
      for (int from = 0; from < size; ++from) {
        for (int to = 0; to < size; ++to) {
          const int ahead = (to - from + size) % size;
          const int back = size - ahead;
          double share = 0;  // of the pair that travels in ascending order
          if (!wraps) {
            share = to > from ? 1 : 0;
          } else if (ahead != 0) {
            share = ahead < back ? 1 : ahead == back ? 0.5 : 0;
          }
          for (int hop = 0; hop < ahead; ++hop) {
            right[static_cast<std::size_t>((from + hop) % size)] += share;
          }
        }
      }
      const double busiest = *std::max_element(right.begin(), right.end());
      const Mesh mesh(Slice{.dims = {size, 1, 1}, .wraps = wraps});
      EXPECT_DOUBLE_EQ(AllToAllLoad(mesh, mesh.all()), busiest)
          << size << (wraps ? " wrapped" : " open");
    }
  }
}

TEST(PaperNetwork, IsVolumeOver270Gigabytes) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Calibration rough = RoughCalibration();
  for (OpKind kind : {OpKind::kAllGather, OpKind::kReduceScatter, OpKind::kAllReduce}) {
    for (Schedule schedule :
         {Schedule::kBlocking, Schedule::kLoopedOneWay, Schedule::kLoopedTwoWay}) {
      for (const char* axes : {"x", "yz", "xyz"}) {
        const FixedTime time = TimeOf(mesh, kind, axes, 27e9, rough, schedule, NetworkKind::kPaper);
        EXPECT_DOUBLE_EQ(time.bandwidth / SecondsOf(1), 0.1);  // 27e9 / 270e9
        EXPECT_EQ(time.latency, Seconds());
      }
    }
  }
  // All-to-all: local bytes (K-1)/K.
  EXPECT_DOUBLE_EQ(
      TimeOf(mesh, OpKind::kAllToAll, "yz", 27e9, rough, Schedule::kBlocking, NetworkKind::kPaper)
              .bandwidth /
          SecondsOf(1),
      0.1 * 15 / 16);
}

TEST(Network, NothingSentTakesNoTime) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Network network(TestChip(), mesh, RoughCalibration(), NetworkKind::kTorus);
  const FixedTime time(network.Time(Collective(OpKind::kAllGather, Axes(mesh, "x")), {}));
  EXPECT_EQ(time.bandwidth + time.latency, Seconds());
}

// Under the same model a reduce-scatter and an all-gather take what an all-reduce of the same array
// takes (its volume counts both); an all-reduce saves one launch. A calibration may say that
// blocking reduce-scatters are slower than their rings; here it does not.
TEST(Network, ReduceScatterThenAllGatherIsAllReduce) {
  for (const Mesh& mesh : {MeshOf(4, 4, 4), MeshOf(2, 4, 4), MeshOf(4, 8, 8), MeshOf(1, 2, 2)}) {
    for (NetworkKind kind : {NetworkKind::kTorus, NetworkKind::kPaper}) {
      for (Calibration calibration : {Calibration(), HopCalibration(), RoughCalibration()}) {
        calibration.scatter_passes = 1;
        const double launch = kind == NetworkKind::kTorus ? calibration.launch_latency : 0;
        for (unsigned bits = 1; bits <= mesh.all().bits(); ++bits) {
          const AxisSet axes = AxisSet::FromBits(bits);
          const Network network(TestChip(), mesh, calibration, kind);
          const auto seconds = [&](OpKind op, double volume) {
            const FixedTime time(
                network.Time(Collective(op, axes), TrafficOf(volume, mesh.Size(axes))));
            return (time.bandwidth + time.latency).base();
          };
          const double bytes = 1 << 20;
          EXPECT_NEAR(seconds(OpKind::kReduceScatter, bytes) + seconds(OpKind::kAllGather, bytes),
                      seconds(OpKind::kAllReduce, 2 * bytes) + launch, 1e-15)
              << calibration.name << " on " << ToString(mesh.slice()) << " over "
              << mesh.Names(axes);
        }
      }
    }
  }
}

// A ring of 8 as x1, every second chip (4 of them, two rings on the same links), and x2, pairs. Of
// 80 MB gathered x1 sends 60 MB over 2 links shared by 2, and takes 2 steps of 2 hops; x2 sends
// 40 MB over one link, one hop. Together they are the ring.
TEST(Network, FactorsOfARing) {
  const Mesh mesh = MeshOf(8, 4, 4);
  const Calibration roofline = HopCalibration();
  const Network network(TestChip(), mesh, roofline, NetworkKind::kTorus);
  const AxisSet x = mesh.Physical(0);
  const AxisSet x1 = AxisSet::Of(x.first());
  const auto gather = [&](AxisSet axes) {
    return FixedTime(
        network.Time(Collective(OpKind::kAllGather, axes), TrafficOf(80e6, mesh.Size(axes))));
  };
  EXPECT_NEAR(gather(x1).bandwidth / SecondsOf(60e6 / 45e9), 1, 1e-12);
  EXPECT_NEAR(gather(x1).latency / Microseconds(1), 4, 1e-12);
  EXPECT_NEAR(gather(x - x1).bandwidth / SecondsOf(40e6 / 45e9), 1, 1e-12);
  EXPECT_NEAR(gather(x - x1).latency / Microseconds(1), 1, 1e-12);
  EXPECT_NEAR(gather(x).bandwidth / SecondsOf(70e6 / 90e9), 1, 1e-12);
  EXPECT_NEAR(gather(x).latency / Microseconds(1), 4, 1e-12);
  // Each of 8 chips has 3 others at 1, 2 and 1 steps of 2 links: 8 x 8 links crossed, over 16
  // links. Neighbours: one message each way.
  EXPECT_DOUBLE_EQ(AllToAllLoad(mesh, x1), 4);
  EXPECT_DOUBLE_EQ(AllToAllLoad(mesh, x - x1), 1);
  // A one-way loop over x1 crosses two links a step on links that two rings share.
  EXPECT_DOUBLE_EQ(OneWayLoad(mesh, x1), 2);
  EXPECT_DOUBLE_EQ(OneWayLoad(mesh, x - x1), 1);
  EXPECT_DOUBLE_EQ(OneWayLoad(mesh, mesh.all()), 1);
  // x1 first: 3 blocks over 2 links each, then 3 times the 4 blocks along y: 6 + 12 for 15 sent.
  EXPECT_DOUBLE_EQ(OneWayLoad(mesh, x1 | mesh.Physical(1)), 18.0 / 15);
}

// The schedule of the weight-gathering loop: one link, K-1 steps; the roofline may use them all.
TEST(Network, OneWayLoopUsesOneLink) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Calibration calibration = HopCalibration();
  const double volume = 64e6;
  const auto gather = [&] {
    return TimeOf(mesh, OpKind::kAllGather, "xyz", volume, calibration, Schedule::kLoopedOneWay);
  };
  // 63 MB over 6 links of 45 GB/s; 2 + 2 + 2 hops.
  EXPECT_NEAR(gather().bandwidth / SecondsOf(63e6 / (6 * 45e9)), 1, 1e-12);
  EXPECT_NEAR(gather().latency / Microseconds(1), 6, 1e-9);
  calibration.ideal_schedules = false;
  EXPECT_NEAR(gather().bandwidth / SecondsOf(63e6 / 45e9), 1, 1e-12);
  EXPECT_NEAR(gather().latency / Microseconds(1), 63, 1e-9);
  calibration.gather_bandwidth = 0.5;
  EXPECT_NEAR(gather().bandwidth / SecondsOf(63e6 / 22.5e9), 1, 1e-12);
}

// Each parameter of the calibration does what its meaning says.
TEST(Network, CalibrationParameters) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Calibration calibration;
  const auto time = [&](OpKind kind) { return TimeOf(mesh, kind, "xyz", 64e6, calibration); };
  const Seconds ideal = time(OpKind::kAllGather).bandwidth;
  calibration.link_bandwidth = 0.5;
  EXPECT_NEAR(time(OpKind::kAllGather).bandwidth / ideal, 2, 1e-12);
  calibration.link_bandwidth = 1;
  // Three axes one after another: 2 links, not 6.
  calibration.ideal_schedules = false;
  EXPECT_NEAR(time(OpKind::kAllGather).bandwidth / ideal, 3, 1e-12);
  calibration.scatter_passes = 1.5;
  EXPECT_NEAR(time(OpKind::kReduceScatter).bandwidth / ideal, 4.5, 1e-12);
  EXPECT_NEAR(time(OpKind::kAllGather).bandwidth / ideal, 3, 1e-12);
  calibration.launch_latency = 5e-6;
  EXPECT_NEAR(time(OpKind::kAllGather).latency / Microseconds(1), 5, 1e-9);
  EXPECT_NEAR(time(OpKind::kAllReduce).latency / Microseconds(1), 5, 1e-9);
  calibration.message_latency = 1e-7;  // two exchanges: to 3 others along x, to 15 over y and z
  EXPECT_NEAR(time(OpKind::kAllToAll).latency / Microseconds(1), 2 * 5 + 1.8, 1e-9);
  EXPECT_NEAR(time(OpKind::kAllGather).latency / Microseconds(1), 5, 1e-9);
}

// Along one axis after another, the slow ones first: 2x4x4 does not wrap, so one link each. A ring
// of 8 with a stride of 2 (x1 of 8) has half its two links, and goes before y's two.
TEST(Network, RingsOneAxisAfterAnother) {
  const Mesh open = MeshOf(2, 4, 4);
  EXPECT_DOUBLE_EQ(RingLoad(open, Axes(open, "yz")), 1);
  const Mesh mesh = MeshOf(8, 4, 4);
  EXPECT_DOUBLE_EQ(RingLoad(mesh, Axes(mesh, "xy")), 0.5);
  const AxisSet x1 = AxisSet::Of(mesh.Physical(0).first());  // 4 chips, one link's worth
  // Of 16 blocks 3 arrive along x1 over 1 link, then 3 x 4 along y over 2: 3 + 6 for 15 sent.
  EXPECT_DOUBLE_EQ(RingLoad(mesh, x1 | mesh.Physical(1)), 9.0 / 15);
}

// A scatter over y and z (4 and 4) of which y loops with an einsum: y carries 12 of 15 blocks, z 3
// of 15 after it, and that part is a blocking scatter of 1.5 passes. Rings of 4 have 2 hops.
TEST(Network, LoopOverOneOfTwoAxes) {
  Calibration calibration = HopCalibration();
  calibration.scatter_passes = 1.5;
  calibration.launch_latency = 5e-6;
  const Mesh mesh = MeshOf(4, 4, 4);
  Op op = Collective(OpKind::kReduceScatter, Axes(mesh, "yz"), Schedule::kLoopedTwoWay);
  const TrafficAmount traffic = TrafficOf(16 * 90e9, 16);
  const auto time = [&] {
    return Network(TestChip(), mesh, calibration, NetworkKind::kTorus).Time(op, traffic);
  };
  op.looped = Axes(mesh, "y");
  EXPECT_EQ(time().blocking_fraction, 0);  // the roofline loops over all
  calibration.ideal_schedules = false;
  EXPECT_NEAR(time().bandwidth.At({1, 1, 1}).base(), 12 + 1.5 * 3, 1e-9);
  EXPECT_NEAR(time().blocking_fraction, 4.5 / 16.5, 1e-12);
  EXPECT_NEAR(time().latency / Microseconds(1), (2 + 5) + (1.5 * 2 + 5), 1e-9);
  EXPECT_NEAR(time().blocking_latency / Microseconds(1), 1.5 * 2 + 5, 1e-9);
  op.looped = Axes(mesh, "yz");
  EXPECT_NEAR(time().bandwidth.At({1, 1, 1}).base(), 15, 1e-9);
  EXPECT_EQ(time().blocking_latency, Seconds());
}

// 64 chips that each hold 64 blocks: first 16 to each of 3 along x, where the busiest link of a
// ring of 4 carries 2 messages; then 4 to each of 15 over y and z, whose busiest link carries 16 x
// 4 / 8.
TEST(Network, AllToAllInTwoStages) {
  Calibration calibration;
  calibration.ideal_schedules = false;
  const double block = 45e9 / 64;  // a second over one link, 64 of them
  const FixedTime time = TimeOf(MeshOf(4, 4, 4), OpKind::kAllToAll, "xyz", 64 * block, calibration);
  EXPECT_NEAR(time.bandwidth.base(), (2 * 16 + 8 * 4) / 64.0, 1e-12);
  // Relabelling equal axes: of y and z the one of which the group has more comes first.
  const Mesh mesh = MeshOf(4, 4, 4);
  const auto seconds = [&](AxisSet axes) {
    return FixedTime(Network(TestChip(), mesh, calibration, NetworkKind::kTorus)
                         .Time(Collective(OpKind::kAllToAll, axes), TrafficOf(1e9, 32)))
        .bandwidth.base();
  };
  for (int factor : {0, 1}) {
    const auto without = [&](int physical) {
      AxisSet pair = mesh.Physical(physical);
      const AxisSet first = AxisSet::Of(pair.first());
      return mesh.all() - (factor == 0 ? first : pair - first);
    };
    EXPECT_DOUBLE_EQ(seconds(without(0)), seconds(without(1)));
    EXPECT_DOUBLE_EQ(seconds(without(0)), seconds(without(2)));
  }
}

// A twist shortens the all-to-all over all axes and nothing else.
TEST(Network, TwistHelpsTheAllToAll) {
  Slice slice = SliceOf(4, 4, 8);
  const Mesh plain(slice);
  slice.twisted = true;
  const Mesh twisted(slice);
  const Calibration roofline;
  const double gain = TimeOf(plain, OpKind::kAllToAll, "xyz", 1e8, roofline).bandwidth /
                      TimeOf(twisted, OpKind::kAllToAll, "xyz", 1e8, roofline).bandwidth;
  EXPECT_NEAR(gain, 1.745, 0.001);  // facts tpu.md 1.4, "theory gain"
  EXPECT_DOUBLE_EQ(TimeOf(plain, OpKind::kAllGather, "xyz", 1e8, roofline).bandwidth.base(),
                   TimeOf(twisted, OpKind::kAllGather, "xyz", 1e8, roofline).bandwidth.base());
}

}  // namespace
}  // namespace slicewise
