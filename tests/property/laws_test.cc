// Laws of design section 8 that hold for every layout, phase and kind of model.
#include <map>
#include <random>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

struct Case {
  std::string name;
  Slice slice;
  Model model;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Slice& slice : {SliceOf(4, 4, 4), SliceOf(2, 2, 4)}) {
    for (const Model& model : TestModels()) {
      cases.push_back({model.name + "_" + ToString(slice), slice, model});
    }
  }
  return cases;
}

class EveryLayoutLaw : public testing::TestWithParam<Case> {
 protected:
  // Calls `check` for each layout, fourth parts included, in both phases.
  void ForEach(const std::function<void(const Layout&, Phase)>& check) {
    const Mesh mesh(GetParam().slice);
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      for (const Layout& layout : WithSplits(mesh)) {
        SCOPED_TRACE(testing::Message() << Name(phase) << " " << ToString(layout, mesh));
        check(layout, phase);
        if (HasFailure()) {
          return;
        }
      }
    }
  }
  Setting Base(const Calibration& calibration = RoughCalibration()) {
    return SettingOf(GetParam().model, GetParam().slice, SmallWorkload(), calibration);
  }
};

INSTANTIATE_TEST_SUITE_P(Models, EveryLayoutLaw, testing::ValuesIn(Cases()), [](const auto& param) {
  std::string name = param.param.name;
  for (char& c : name) {
    c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
});

TEST_P(EveryLayoutLaw, ExposedTimesAndBoundsSumToTheTotals) {
  for (NetworkKind network : {NetworkKind::kTorus, NetworkKind::kPaper}) {
    Setting setting = Base();
    setting.network = network;
    Evaluator evaluator(setting);
    ForEach([&](const Layout& layout, Phase phase) {
      const Plan plan = *evaluator.Evaluate(layout, phase);
      const Program& program = evaluator.program();
      const PhaseCost cost = evaluator.Cost();
      double step = setting.calibration.step_latency;
      for (std::size_t i = 0; i < program.ops.size(); ++i) {
        const bool in_layer = i >= program.layer.begin && i < program.layer.end;
        step += cost.ops[i].exposed.base() * (in_layer ? program.layers : 1);
        EXPECT_LE(cost.ops[i].exposed.base(), cost.ops[i].alone().base() * (1 + 1e-12));
        EXPECT_GE(cost.ops[i].exposed.base(), 0);
      }
      EXPECT_NEAR(step / cost.step.base(), 1, 1e-12);
      double bounds = 0;
      for (Seconds seconds : cost.bound_seconds) {
        bounds += seconds.base();
      }
      EXPECT_NEAR(bounds / cost.step.base(), 1, 1e-12);
      EXPECT_DOUBLE_EQ(plan.latency.base(), cost.step.base() * program.steps);
      EXPECT_EQ(cost.bound_seconds[static_cast<std::size_t>(cost.bound)],
                *std::max_element(cost.bound_seconds.begin(), cost.bound_seconds.end()));
    });
  }
}

TEST_P(EveryLayoutLaw, MemoryPartsSumToTheTotal) {
  Evaluator evaluator(Base());
  ForEach([&](const Layout& layout, Phase phase) {
    const MemoryUse use = evaluator.Evaluate(layout, phase)->memory;
    EXPECT_DOUBLE_EQ(
        (use.weights + use.kv_cache + use.activations + use.gathered_weights + use.logits).base(),
        use.total().base());
    for (Bytes part : {use.weights, use.kv_cache, use.activations}) {
      EXPECT_GT(part, Bytes());
    }
    // All chips together hold at least the model.
    EXPECT_GE(use.weights.base() * GetParam().slice.chips(),
              2 * static_cast<double>(Parameters(GetParam().model)));
  });
}

TEST_P(EveryLayoutLaw, MoreBandwidthNeverCostsTime) {
  using Change = std::function<void(Chip&)>;
  const std::vector<std::pair<const char*, Change>> faster = {
      {"links", [](Chip& c) { c.link_bandwidth *= 2; }},
      {"HBM", [](Chip& c) { c.hbm_bandwidth *= 2; }},
      {"matmul", [](Chip& c) { c.peak_bf16 *= 2; }},
      {"on-chip memory", [](Chip& c) { c.on_chip_memory *= 2; }}};
  for (const Calibration& calibration : {Calibration(), RoughCalibration()}) {
    Setting base = Base(calibration);
    base.chip.on_chip_memory = BytesOf(20000);  // so that some of it spills
    Evaluator before(base);
    for (const auto& entry : faster) {
      const char* what = entry.first;
      Setting setting = base;
      entry.second(setting.chip);
      Evaluator after(setting);
      ForEach([&](const Layout& layout, Phase phase) {
        EXPECT_LE(after.Evaluate(layout, phase)->latency.base(),
                  before.Evaluate(layout, phase)->latency.base() * (1 + 1e-12))
            << "twice the " << what << " under " << calibration.name;
      });
    }
  }
}

TEST_P(EveryLayoutLaw, RooflineNeverExceedsACalibratedTime) {
  constexpr unsigned kSeed = 7;
  std::mt19937 random(kSeed);
  Evaluator roofline(Base(Calibration()));
  std::vector<Calibration> calibrations = {RoughCalibration()};
  for (int i = 0; i < 4; ++i) {
    Calibration drawn;
    drawn.name = "drawn";
    drawn.ideal_schedules = false;
    for (const CalibrationParameter& p : CalibrationParameters()) {
      drawn.*p.member = std::uniform_real_distribution<double>(p.lower, p.upper)(random);
    }
    calibrations.push_back(drawn);
  }
  for (const Calibration& calibration : calibrations) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", " << calibration.name);
    Evaluator calibrated(Base(calibration));
    ForEach([&](const Layout& layout, Phase phase) {
      EXPECT_LE(roofline.Evaluate(layout, phase)->latency.base(),
                calibrated.Evaluate(layout, phase)->latency.base() * (1 + 1e-12));
    });
  }
}

// The roofline is a lower bound of its own parts: never below the FLOPs, the weights or the bytes
// sent alone.
TEST_P(EveryLayoutLaw, NothingBeatsTheChip) {
  Evaluator evaluator(Base(Calibration()));
  ForEach([&](const Layout& layout, Phase phase) {
    const Plan plan = *evaluator.Evaluate(layout, phase);
    const Program& program = evaluator.program();
    double compute = 0;
    double hbm = 0;
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const bool in_layer = i >= program.layer.begin && i < program.layer.end;
      const double times = program.steps * (in_layer ? program.layers : 1);
      compute += OpFlops(program, program.ops[i]).base() / 275e12 * times;
      hbm += StreamedBytes(program, program.ops[i]).base() / 1200e9 * times;
    }
    EXPECT_GE(plan.latency.base() * (1 + 1e-12), compute);
    EXPECT_GE(plan.latency.base() * (1 + 1e-12), hbm);
    // N counts the vocabulary's tables for every token; the program looks rows up, and multiplies
    // only where logits are wanted.
    const Model& model = GetParam().model;
    const double tables = static_cast<double>(model.vocabulary * model.embed_dim) * 2;
    EXPECT_LE(plan.mfu * (1 - tables / MfuParameters(model)), 1);
  });
}

// Renaming axes of equal length renames the layout and nothing else: time, memory, traffic, heads.
TEST_P(EveryLayoutLaw, RelabellingEqualAxesChangesNothing) {
  const Mesh mesh(GetParam().slice);
  Evaluator evaluator(Base());
  std::array<int, 3> to = {0, 1, 2};
  do {
    bool keeps_sizes = true;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const auto& dims = mesh.slice().dims;
      keeps_sizes = keeps_sizes && dims[axis] == dims[static_cast<std::size_t>(to[axis])];
    }
    if (!keeps_sizes) {
      continue;
    }
    ForEach([&](const Layout& layout, Phase phase) {
      Layout other = layout;
      for (AxisSet Layout::*part : {&Layout::weights_embed, &Layout::weights_ffn, &Layout::gathered,
                                    &Layout::attention_batch, &Layout::attention_heads,
                                    &Layout::replicas, &Layout::attention_sequence}) {
        other.*part = Relabelled(layout.*part, to, mesh);
      }
      if (layout.residual) {
        other.residual = Relabelled(*layout.residual, to, mesh);
      }
      const Plan a = *evaluator.Evaluate(layout, phase);
      const Plan b = *evaluator.Evaluate(other, phase);
      EXPECT_NEAR(a.latency / b.latency, 1, 1e-12) << ToString(other, mesh);
      EXPECT_NEAR(a.memory.total() / b.memory.total(), 1, 1e-12) << ToString(other, mesh);
      EXPECT_EQ(a.stored_heads, b.stored_heads) << ToString(other, mesh);
    });
  } while (std::next_permutation(to.begin(), to.end()));
}

// Under the paper's network a collective takes its volume over 270 GB/s and no latency.
TEST_P(EveryLayoutLaw, PaperNetworkIsVolumeOverBandwidth) {
  Setting setting = Base(Calibration());
  setting.network = NetworkKind::kPaper;
  Evaluator evaluator(setting);
  ForEach([&](const Layout& layout, Phase phase) {
    static_cast<void>(evaluator.Evaluate(layout, phase));
    const Program& program = evaluator.program();
    const PhaseCost cost = evaluator.Cost();
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const Op& op = program.ops[i];
      if (IsCollective(op.kind)) {
        const Traffic traffic = CollectiveTraffic(program, op);
        const Bytes counted = op.kind == OpKind::kAllToAll ? traffic.sent : traffic.volume;
        EXPECT_DOUBLE_EQ(cost.ops[i].network_bandwidth.base(), counted.base() / 270e9);
        EXPECT_EQ(cost.ops[i].network_latency, Seconds());
      }
    }
  });
}

// Sent bytes are D (K-1)/K per term; an all-reduce of an array counts a reduce-scatter and an
// all-gather of it.
TEST_P(EveryLayoutLaw, SentBytesAreVolumeLessOnesOwnShare) {
  const Mesh mesh(GetParam().slice);
  Evaluator evaluator(Base());
  ForEach([&](const Layout& layout, Phase phase) {
    static_cast<void>(evaluator.Evaluate(layout, phase));
    const Program& program = evaluator.program();
    for (const Op& op : program.ops) {
      if (!IsCollective(op.kind)) {
        EXPECT_EQ(CollectiveTraffic(program, op).sent, Bytes());
        continue;
      }
      const Traffic traffic = CollectiveTraffic(program, op);
      EXPECT_GT(traffic.sent, Bytes());
      if (op.term_count == 1) {
        const double ways = mesh.Size(op.axes.set());
        EXPECT_DOUBLE_EQ(traffic.sent.base(), traffic.volume.base() * (ways - 1) / ways);
        // Per chip no array is moved for less than it holds, none sent in smaller pieces than
        // bytes.
        EXPECT_GE(traffic.volume.base(),
                  TensorBytes(program, program.tensor(op.terms[0].lhs)).base());
      }
    }
  });
}

// More work never takes less time: layers, batch and context.
TEST_P(EveryLayoutLaw, MoreWorkNeverTakesLess) {
  const Setting base = Base();
  Setting layers = base;
  layers.model.layers += 1;
  Setting batch = base;
  batch.workload.prefill_batch *= 2;
  batch.workload.decode_batch *= 2;
  Setting context = base;
  context.workload.context += 500;
  Evaluator evaluator(base);
  for (Setting* more : {&layers, &batch, &context}) {
    Evaluator other(*more);
    ForEach([&](const Layout& layout, Phase phase) {
      const Plan a = *evaluator.Evaluate(layout, phase);
      const Plan b = *other.Evaluate(layout, phase);
      EXPECT_LE(a.latency.base(), b.latency.base() * (1 + 1e-12));
      EXPECT_LE(a.memory.total().base(), b.memory.total().base() * (1 + 1e-12));
    });
  }
}

}  // namespace
}  // namespace slicewise
