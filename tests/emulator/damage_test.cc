// Runs of right programs that go wrong, and the words of the report for some broken ones.
#include <gtest/gtest.h>

#include "emulator/mutation_bench.h"

namespace slicewise {
namespace {

// Exchanges two chips' shards; false where they are equal anyway.
bool SwapShards(Emulator& emulator, TensorId id, int layer, int a, int b) {
  Values& first = emulator.Shard(id, layer, a);
  Values& second = emulator.Shard(id, layer, b);
  if (first.size() != second.size() || first == second) {
    return false;
  }
  first.swap(second);
  return true;
}

// Digits in the wrong order: the result that belongs to (x, y, z) lands on (y, x, z).
TEST(Damage, SwappedDigitsOfEveryScatterAreCaught) {
  int tried = 0;
  for (Bench& bench : Benches()) {
    const Program& program = bench.right[0];
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const Op& op = program.ops[i];
      if (op.kind != OpKind::kReduceScatter && op.kind != OpKind::kAllToAll) {
        continue;
      }
      bool damaged = false;
      const VerifyReport report = bench.Run([&](Emulator& emulator, std::size_t at, int layer) {
        if (emulator.program().phase == Phase::kPrefill && at == i) {
          for (int z = 0; z < 2; ++z) {
            damaged |= SwapShards(emulator, op.terms[0].out, layer, 2 + z, 4 + z);
          }
        }
      });
      tried += damaged ? 1 : 0;
      EXPECT_NE(report.passed(), damaged) << "op " << i;
    }
  }
  EXPECT_GT(tried, 20);
}

// A gather over two axes that puts chunk (j, i) where chunk (i, j) belongs.
TEST(Damage, SwappedGatherOrderIsCaught) {
  const Bench bench(Multiquery(), MakeSlice({2, 2, 1}), "Fxy/ws/Hxy");
  const Program& program = bench.right[0];
  const std::size_t gather = program.layer.begin;
  ASSERT_EQ(program.ops[gather].kind, OpKind::kAllGather);
  const VerifyReport report = bench.Run([&](Emulator& emulator, std::size_t at, int layer) {
    if (at != gather) {
      return;
    }
    const TensorId id = program.ops[gather].terms[0].out;
    for (int chip = 0; chip < 4; ++chip) {
      Values& shard = emulator.Shard(id, layer, chip);
      const auto width = static_cast<std::int64_t>(program.dim(Dim::kEmbed).padded);
      const std::int64_t chunk = width / 4;
      for (std::int64_t row = 0; row < shard.size() / width; ++row) {
        const Values second = shard.segment(row * width + chunk, chunk);
        shard.segment(row * width + chunk, chunk) = shard.segment(row * width + 2 * chunk, chunk);
        shard.segment(row * width + 2 * chunk, chunk) = second;
      }
    }
  });
  EXPECT_EQ(report.failure,
            "layer: all-gather over xy (shared): gathered_residual is not what a single chip "
            "computes");
}

// One chip's keys of the prompt are lost; nobody notices until decode attends to them.
TEST(Damage, AStaleCacheShardIsCaughtInTheNextStep) {
  for (const char* text : {"Ex.Fyz/ws/Bxyz", "Fxyz/ws/Hxyz", "Ex.Fyz/wg-x/Bx.Hyz"}) {
    const Bench bench(Multihead(), MakeSlice({2, 2, 2}), text);
    for (bool keys : {true, false}) {
      const VerifyReport report = bench.Run([&](Emulator& emulator, std::size_t at, int layer) {
        const Program& program = emulator.program();
        const Op& op = program.ops[at];
        if (program.phase == Phase::kPrefill && op.kind == OpKind::kAttention) {
          emulator.Shard(keys ? op.terms[1].rhs : op.terms[1].out, layer, 0).setZero();
        }
      });
      ASSERT_FALSE(report.passed()) << text;
      EXPECT_LE(report.passes[0].difference, kVerifyTolerance);
      EXPECT_EQ(report.failure,
                "layer: attention (attention): attended is not what a single chip computes");
    }
  }
}

// Copies that drift apart are noticed when the cache is handed on.
TEST(Damage, DifferingCopiesOfTheCacheAreCaught) {
  const Bench bench(Multiquery(), MakeSlice({2, 2, 2}), "Fxyz/ws/Hxyz");
  const VerifyReport report = bench.Run([&](Emulator& emulator, std::size_t at, int layer) {
    const Op& op = emulator.program().ops[at];
    if (emulator.program().phase == Phase::kPrefill && op.kind == OpKind::kAttention) {
      emulator.Shard(op.terms[1].rhs, layer, 3).setZero();
    }
  });
  EXPECT_NE(report.failure.find("copies of key_cache differ"), std::string::npos) << report.failure;
}

TEST(Report, NamesTheOpWhoseBytesDiffer) {
  Bench bench(Multiquery(), MakeSlice({2, 2, 2}), "Ex.Fyz/ws/Bxyz");
  const std::size_t gather = bench.right[0].layer.begin;
  MoveTwice(bench.broken[0], gather);
  const VerifyReport report = bench.Run();
  EXPECT_LE(report.largest_difference(), kVerifyTolerance);
  EXPECT_EQ(report.failure.find("layer: all-gather over yz (shared): "), 0U) << report.failure;
}

TEST(Report, NamesTheOpWhoseNumbersDiffer) {
  Bench bench(Multiquery(), MakeSlice({2, 2, 2}), "Ex.Fyz/ws/Bxyz");
  Program& prefill = bench.broken[0];
  for (std::size_t i = prefill.layer.begin; i < prefill.layer.end; ++i) {
    if (prefill.ops[i].kind == OpKind::kAllReduce) {
      MoveNothing(prefill, i);
    }
  }
  EXPECT_EQ(bench.Run().failure,
            "layer: all-reduce over  (shared): statistics is not what a single chip computes");
}

TEST(Report, NoticesMemoryThatIsKeptTooLong) {
  Bench bench(Multiquery(), MakeSlice({2, 2, 2}), "Ex.Fyz/ws/Bxyz");
  Program& decode = bench.broken[1];
  for (Tensor& tensor : decode.tensors) {
    if (tensor.role == TensorRole::kNormalized) {
      tensor.lifetime = Lifetime::kPhase;
    }
  }
  EXPECT_NE(bench.Run().failure.find("bytes of memory predicted"), std::string::npos);
}

}  // namespace
}  // namespace slicewise
