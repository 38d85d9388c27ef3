// Peak memory by hand on small programs, and against the slow twin on all of them.
#include "slicewise/cost/memory.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

double StoredBytes(const Program& program, const Tensor& tensor) {
  return program.StoredElements(tensor) * ElementBytes(tensor.type).base();
}

// The slow twin: for every op, what is stored, plus every transient of its section that was made at
// or before it and is read at or after it.
double PeakByInspection(const Program& program) {
  double stored = 0;
  for (const Tensor& tensor : program.tensors) {
    if (tensor.lifetime != Lifetime::kTransient) {
      stored += StoredBytes(program, tensor) * (tensor.per_layer ? program.layers : 1);
    }
  }
  const auto names = [&](const Op& op, TensorId id) {
    for (std::size_t t = 0; t < op.term_count; ++t) {
      if (op.terms[t].lhs == id || op.terms[t].rhs == id || op.terms[t].out == id) {
        return true;
      }
    }
    return false;
  };
  double peak = stored;
  for (const Section& section : {program.prologue, program.layer, program.epilogue}) {
    for (std::size_t now = section.begin; now < section.end; ++now) {
      double alive = stored;
      for (std::size_t id = 0; id < program.tensors.size(); ++id) {
        const Tensor& tensor = program.tensors[id];
        bool before = false;
        bool after = false;
        for (std::size_t i = section.begin; i < section.end; ++i) {
          const bool used = names(program.ops[i], static_cast<TensorId>(id));
          before = before || (used && i <= now);
          after = after || (used && i >= now);
        }
        alive += tensor.lifetime == Lifetime::kTransient && before && after
                     ? StoredBytes(program, tensor)
                     : 0;
      }
      peak = std::max(peak, alive);
    }
  }
  return peak;
}

TEST(PeakMemory, EqualsTheSlowTwinForEveryLayout) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Workload work = SmallWorkload();
  for (const Model& model : TestModels()) {
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      for (const Layout& layout : WithSplits(mesh)) {
        const Program program = Lowered(model, work, phase, layout, mesh);
        ASSERT_NEAR(PeakMemory(program).total().base() / PeakByInspection(program), 1, 1e-12)
            << model.name << " " << Name(phase) << " " << ToString(layout, mesh);
      }
    }
  }
}

// Weights: all of them, once, in the number format asked for; small ones stay bf16.
TEST(PeakMemory, WeightsOfOneChip) {
  const Mesh mesh = MeshOf(1, 1, 1);
  Model model = MultiqueryModel();
  Workload work = SmallWorkload();
  const auto weights = [&] {
    return PeakMemory(Lowered(model, work, Phase::kDecode, Layout(), mesh)).weights.base();
  };
  // One chip pads nothing.
  EXPECT_DOUBLE_EQ(weights(), 2 * static_cast<double>(Parameters(model)));
  work.weights = DataType::kInt8;
  // 3 layers of 3EF + E (2 H + 2) D matrices in one byte; 3 + 1 norms and the embedding in two.
  const double matrices = 3 * (3 * 512.0 * 2048 + 512 * (2 * 12 + 2) * 16);
  EXPECT_DOUBLE_EQ(weights(), matrices + 2 * (4 * 512 + 1000 * 512));
}

// The cache of decode holds the tokens at the end of the output.
TEST(PeakMemory, CacheAtTheEndOfTheOutput) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = MultiqueryModel();
  Workload work = SmallWorkload();
  work.context = 100;
  const auto cache = [&](Phase phase, const char* layout) {
    return PeakMemory(Lowered(model, work, phase, ParseLayout(layout, mesh), mesh)).kv_cache.base();
  };
  // 2 x 3 layers x 16 x 2 bytes = 192 per token; 128 sequences on 64 chips are 2 each.
  EXPECT_DOUBLE_EQ(cache(Phase::kPrefill, "Ex.Fyz/ws/Bxyz"), 2 * 132 * 192.0);
  EXPECT_DOUBLE_EQ(cache(Phase::kDecode, "Ex.Fyz/ws/Bxyz"), 2 * 136 * 192.0);
  // Over heads every chip holds all 128 sequences.
  EXPECT_DOUBLE_EQ(cache(Phase::kDecode, "Ex.Fyz/ws/Hxyz"), 128 * 136 * 192.0);
  work.kv_cache = DataType::kInt8;
  EXPECT_DOUBLE_EQ(cache(Phase::kDecode, "Ex.Fyz/ws/Bxyz"), 2 * 136 * 96.0);
}

// A looped gather holds two chunks of the weights, not the layer.
TEST(PeakMemory, GatheredWeightsAreTwoChunks) {
  const Mesh mesh = MeshOf(4, 4, 4);
  const Model model = FfnModel(1024, 4096);
  Workload work;
  work.prefill_batch = 64;
  work.input_length = 1;
  const MemoryUse use = PeakMemory(
      Lowered(model, work, Phase::kPrefill, ParseLayout("Ex.Fyz/wg-xyz/Bxyz", mesh), mesh));
  // Chunks of 1024 x 4096 / 64 elements.
  EXPECT_DOUBLE_EQ(use.gathered_weights.base(), 2 * 2 * 1024 * 4096 / 64.0);
  EXPECT_DOUBLE_EQ(use.weights.base(), 2 * 2 * 1024 * 4096 / 64.0);
  EXPECT_EQ(use.kv_cache, Bytes());
  EXPECT_EQ(use.logits, Bytes());
  EXPECT_EQ(use.total(),
            use.weights + use.kv_cache + use.activations + use.gathered_weights + use.logits);
}

}  // namespace
}  // namespace slicewise
