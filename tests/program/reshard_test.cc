// Moving the KV cache between the layouts of prefill and decode.
#include "slicewise/program/reshard.h"

#include "program/program_test_util.h"

namespace slicewise {
namespace {

class KvReshard : public testing::Test {
 protected:
  Program Between(const Model& model, const char* from, const char* to) {
    Program program;
    LowerKvReshard({&model, &work_, Phase::kPrefill, 64}, ParseLayout(from, mesh_),
                   ParseLayout(to, mesh_), mesh_, program);
    return program;
  }
  // "all-to-all xyz, all-gather y": the ops in order.
  std::string Ops(const Program& program) {
    std::string text;
    for (const Op& op : program.ops) {
      text += text.empty() ? "" : ", ";
      text += op.kind == OpKind::kElementwise ? Name(op.function) : Name(op.kind);
      text += op.axes.size() == 0 ? "" : " " + mesh_.Names(op.axes);
    }
    return text;
  }
  static Model WithKvHeads(std::int64_t kv_heads) {
    Model model = MultiqueryModel();
    model.query_heads = 64;
    model.kv_heads = kv_heads;
    return model;
  }

  Mesh mesh_ = MeshOf(4, 4, 4);
  Workload work_ = SmallWorkload();  // batch 128, 32 tokens
  // Elements of keys, all chips: B S D of one KV head.
  static constexpr double kOneHead = 128.0 * 32 * 16;
};

TEST_F(KvReshard, SameCacheLayoutMovesNothing) {
  for (std::int64_t kv_heads : {1, 8, 64}) {
    const Model model = WithKvHeads(kv_heads);
    EXPECT_EQ(Ops(Between(model, "Ex.Fyz/wg-xyz/Bxyz", "Ex.Fyz/ws/Bxyz")), "");
    EXPECT_EQ(Ops(Between(model, "Ex.Fyz/ws/Hxyz", "Ex.Fyz/ws/Hxyz")), "");
  }
}

// Every chip has the one head of every sequence: it keeps its own sequences.
TEST_F(KvReshard, MultiqueryFromHeadsToBatchIsAFreeSlice) {
  const Program program = Between(WithKvHeads(1), "Ex.Fyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz");
  EXPECT_EQ(Ops(program), "slice");
  const Tensor& before = program.tensor(program.ops[0].terms[0].lhs);
  const Tensor& after = program.tensor(program.ops[0].terms[0].out);
  EXPECT_EQ(program.Elements(before), kOneHead);
  EXPECT_EQ(program.Elements(after), kOneHead / 64);
}

// The other way every chip needs everything: an all-gather of keys and of values.
TEST_F(KvReshard, MultiqueryFromBatchToHeadsGathersTheWhole) {
  const Program program = Between(WithKvHeads(1), "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Hxyz");
  EXPECT_EQ(Ops(program), "all-gather xyz");
  const Traffic traffic = CollectiveTraffic(program, program.ops[0]);
  EXPECT_DOUBLE_EQ(traffic.volume.base(), 2 * 2 * kOneHead);  // keys and values, bf16
  EXPECT_DOUBLE_EQ(traffic.sent.base(), 2 * 2 * kOneHead * 63 / 64);
}

TEST_F(KvReshard, MultiheadMovesBetweenHeadsAndBatch) {
  const Model model = WithKvHeads(64);
  for (const auto& [from, to] : {std::pair("Ex.Fyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz"),
                                 std::pair("Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Hxyz")}) {
    const Program program = Between(model, from, to);
    EXPECT_EQ(Ops(program), "all-to-all xyz");
    // Each chip holds 1/64 of 64 heads, keys and values.
    EXPECT_DOUBLE_EQ(CollectiveTraffic(program, program.ops[0]).volume.base(), 2 * 2 * kOneHead);
  }
  // Only the axis that changes sides moves.
  EXPECT_EQ(Ops(Between(model, "Ex.Fyz/ws/Bxy.Hz", "Ex.Fyz/ws/Bx.Hyz")), "all-to-all y");
}

// 8 KV heads fill 16 of 64 ways: two axes cut them, the third repeats them. Going to batch the two
// move and the third slices.
TEST_F(KvReshard, GroupedQueryMovesSomeAxesAndSlicesTheRest) {
  const Program program = Between(WithKvHeads(8), "Ex.Fyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz");
  ASSERT_EQ(program.ops.size(), 2U) << Ops(program);
  EXPECT_EQ(program.ops[0].function, Elementwise::kSlice);
  EXPECT_EQ(program.ops[1].kind, OpKind::kAllToAll);
  EXPECT_EQ(program.mesh.Names(program.ops[1].axes).size(), 2U);  // two letters
  const Program back = Between(WithKvHeads(8), "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Hxyz");
  ASSERT_EQ(back.ops.size(), 2U) << Ops(back);
  EXPECT_EQ(back.ops[0].kind, OpKind::kAllToAll);
  EXPECT_EQ(back.ops[1].kind, OpKind::kAllGather);
  EXPECT_EQ(back.mesh.Names(back.ops[1].axes).size(), 1U);
}

// From any cache layout to any other the last tensors lie as decode's own cache does, and the steps
// join up.
TEST_F(KvReshard, EveryPairEndsInTheTargetsCache) {
  for (std::int64_t kv_heads : {1, 8, 64}) {
    const Model model = WithKvHeads(kv_heads);
    for (const char* from : {"Bxyz", "Bxy.Hz", "Bx.Hyz", "By.Hxz", "Hxyz"}) {
      for (const char* to : {"Bxyz", "Bxy.Hz", "Bx.Hyz", "By.Hxz", "Hxyz"}) {
        SCOPED_TRACE(testing::Message() << kv_heads << " KV heads, " << from << " to " << to);
        const std::string stem = "Ex.Fyz/ws/";
        const Program program = Between(model, (stem + from).c_str(), (stem + to).c_str());
        const Program target =
            Lowered(model, work_, Phase::kPrefill, ParseLayout(stem + to, mesh_), mesh_, 64);
        for (const Tensor& cache : target.tensors) {
          if (cache.role == TensorRole::kKeyCache) {
            const Tensor& last = program.tensors[program.tensors.size() - 1];
            EXPECT_EQ(last.ShardingOf(Dim::kAttentionBatch),
                      cache.ShardingOf(Dim::kAttentionBatch));
            EXPECT_EQ(last.ShardingOf(Dim::kCacheKvHeads), cache.ShardingOf(Dim::kCacheKvHeads));
          }
        }
        for (std::size_t i = 1; i < program.ops.size(); ++i) {
          EXPECT_EQ(program.ops[i].terms[0].lhs, program.ops[i - 1].terms[0].out);
        }
        EXPECT_EQ(program.layer.end - program.layer.begin, program.ops.size());
        EXPECT_DOUBLE_EQ(program.layers, 3);
      }
    }
  }
}

TEST_F(KvReshard, NoAttentionNoCacheNothingToMove) {
  const Program program = Between(FfnModel(64, 64), "Ex.Fyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz");
  EXPECT_TRUE(program.ops.empty());
}

}  // namespace
}  // namespace slicewise
