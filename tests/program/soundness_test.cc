// What holds of every program: shapes, shardings, FLOPs and capacities, over all layouts with and
// without a fourth part.
#include <algorithm>
#include <cmath>
#include <set>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

// Calls `check` for every test model, phase and layout of a mesh.
void ForEachProgram(const Mesh& mesh, const std::vector<Model>& models,
                    const std::function<void(const Model&, const Layout&, const Program&)>& check) {
  Workload work = SmallWorkload();
  work.prefill_batch = 5;  // never a multiple of an axis
  work.decode_batch = 37;
  work.logits = Logits::kAll;
  Program program;
  for (const Model& model : models) {
    for (Phase phase : {Phase::kPrefill, Phase::kDecode}) {
      for (const Layout& layout : WithSplits(mesh)) {
        SCOPED_TRACE(testing::Message()
                     << model.name << ", " << Name(phase) << ", " << ToString(layout, mesh)
                     << " on " << ToString(mesh.slice()));
        Lower({&model, &work, phase, 0}, layout, mesh, program);
        check(model, layout, program);
        if (testing::Test::HasFailure()) {
          return;  // one layout's report is enough
        }
      }
    }
  }
}

double WholeElements(const Program& program, const Tensor& tensor) {
  double elements = 1;
  for (int i = 0; i < tensor.rank; ++i) {
    elements *= program.dim(tensor.dims[static_cast<std::size_t>(i)]).size;
  }
  return elements;
}

double PaddedElements(const Program& program, const Tensor& tensor) {
  double elements = 1;
  for (int i = 0; i < tensor.rank; ++i) {
    elements *= program.dim(tensor.dims[static_cast<std::size_t>(i)]).padded;
  }
  return elements;
}

const Slice kTorus = SliceOf(4, 4, 4);
const Slice kFlat = SliceOf(1, 2, 2);
const Slice kLong = SliceOf(2, 4, 8);  // not a slice one can have; a mesh all the same

class EveryProgram : public testing::TestWithParam<Slice> {};

INSTANTIATE_TEST_SUITE_P(Slices, EveryProgram, testing::Values(kTorus, kFlat, kLong),
                         [](const auto& param) { return "On" + ToString(param.param); });

TEST_P(EveryProgram, ShardsOverAllChipsHoldTheWholeTensor) {
  const Mesh mesh(GetParam());
  const double chips = mesh.Size(mesh.all());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    for (const Tensor& tensor : program.tensors) {
      const double ways = mesh.Size(tensor.sharded());
      EXPECT_GE(program.Elements(tensor) * ways, WholeElements(program, tensor))
          << Name(tensor.role);
      EXPECT_GE(program.Elements(tensor) * chips, WholeElements(program, tensor))
          << Name(tensor.role);
      EXPECT_DOUBLE_EQ(program.Elements(tensor) * ways, PaddedElements(program, tensor))
          << Name(tensor.role);
      EXPECT_LE(program.StoredElements(tensor), program.Elements(tensor)) << Name(tensor.role);
      EXPECT_GT(program.StoredElements(tensor), 0) << Name(tensor.role);
    }
  });
}

TEST_P(EveryProgram, ShardsAreWholeAndCutByTheDimsOwnAxes) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    for (const Tensor& tensor : program.tensors) {
      for (int i = 0; i < tensor.rank; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double local = program.LocalSize(tensor, i);
        EXPECT_EQ(local, std::floor(local)) << Name(tensor.role) << " " << Name(tensor.dims[at]);
        EXPECT_TRUE(program.dim(tensor.dims[at]).order.set().HasAll(tensor.sharding[at]))
            << Name(tensor.role) << " " << Name(tensor.dims[at]);
      }
    }
  });
}

TEST_P(EveryProgram, AnAxisAppearsAtMostOncePerTensor) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    for (const Tensor& tensor : program.tensors) {
      int cuts = tensor.partial.count();
      for (int i = 0; i < tensor.rank; ++i) {
        cuts += tensor.sharding[static_cast<std::size_t>(i)].count();
      }
      EXPECT_EQ(cuts, (tensor.sharded() | tensor.partial).count()) << Name(tensor.role);
      EXPECT_TRUE(mesh.all().HasAll(tensor.sharded() | tensor.partial)) << Name(tensor.role);
    }
  });
}

// A collective's axes are those its terms name, and it does to digits what its kind says.
TEST_P(EveryProgram, CollectivesMoveTheirAxes) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    for (const Op& op : program.ops) {
      if (!IsCollective(op.kind)) {
        continue;
      }
      AxisSet axes;
      for (std::size_t t = 0; t < op.term_count; ++t) {
        const Tensor& from = program.tensor(op.terms[t].lhs);
        const Tensor& to = program.tensor(op.terms[t].out);
        const AxisSet own = TermAxes(program, op, op.terms[t]);
        axes |= own;
        for (int axis : own) {
          const AxisMove move = MoveOf(program, op.terms[t], axis);
          EXPECT_EQ(move.has_from, op.kind == OpKind::kAllGather || op.kind == OpKind::kAllToAll);
          EXPECT_EQ(move.from_partial,
                    op.kind == OpKind::kReduceScatter || op.kind == OpKind::kAllReduce);
          EXPECT_EQ(move.has_to, op.kind == OpKind::kReduceScatter || op.kind == OpKind::kAllToAll);
        }
        // Axes that take no part stay where they are.
        for (int axis : mesh.all() - own) {
          EXPECT_EQ(from.partial.Has(axis), to.partial.Has(axis)) << Name(op.kind);
          EXPECT_EQ(from.sharded().Has(axis), to.sharded().Has(axis)) << Name(op.kind);
        }
      }
      EXPECT_EQ(op.axes.set(), axes) << Name(op.kind) << " over " << mesh.Names(op.axes);
    }
  });
}

// What an op reads was made before it (or is stored); attention and additions read finished sums.
// Slices keep sums as they are, and combining scales a shard's part of one.
TEST_P(EveryProgram, OperandsExistAndSumsAreFinished) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    std::set<TensorId> made;
    for (const Op& op : program.ops) {
      for (std::size_t t = 0; t < op.term_count; ++t) {
        // The attended tensor is the result of attention's first term, the caches are stored.
        for (TensorId id : {op.terms[t].lhs, op.terms[t].rhs}) {
          if (id != kNoTensor && program.tensor(id).lifetime == Lifetime::kTransient) {
            EXPECT_TRUE(made.contains(id)) << Name(op.kind) << " " << Name(program.tensor(id).role);
          }
          const bool needs_whole =
              op.kind == OpKind::kAttention || op.kind == OpKind::kEinsum ||
              (op.kind == OpKind::kElementwise && op.function != Elementwise::kSlice &&
               op.function != Elementwise::kCombine);
          if (id != kNoTensor && needs_whole) {
            EXPECT_TRUE(program.tensor(id).partial.empty())
                << Name(op.kind) << " " << Name(program.tensor(id).role);
          }
        }
      }
      for (std::size_t t = 0; t < op.term_count; ++t) {
        if (op.terms[t].out != kNoTensor) {
          made.insert(op.terms[t].out);
        }
      }
    }
  });
}

// Each einsum contracts dims that both sides cut alike, and what is cut becomes a partial sum.
TEST_P(EveryProgram, EinsumsLeavePartialSumsOverContractedAxes) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    for (const Op& op : program.ops) {
      for (std::size_t t = 0; op.kind == OpKind::kEinsum && t < op.term_count; ++t) {
        const Tensor& lhs = program.tensor(op.terms[t].lhs);
        const Tensor& rhs = program.tensor(op.terms[t].rhs);
        const Tensor& out = program.tensor(op.terms[t].out);
        AxisSet contracted;
        for (int i = 0; i < lhs.rank; ++i) {
          const auto at = static_cast<std::size_t>(i);
          if (rhs.Find(lhs.dims[at]) >= 0) {
            EXPECT_EQ(lhs.sharding[at], rhs.ShardingOf(lhs.dims[at]));
            contracted |= lhs.sharding[at];
          } else {
            EXPECT_EQ(lhs.sharding[at], out.ShardingOf(lhs.dims[at]));
          }
        }
        EXPECT_EQ(out.partial, contracted) << Name(rhs.role);
      }
    }
  });
}

// Einsum FLOPs summed over chips are the padded model's, 2 x rows x weights, times the chips that
// do the same work. Only keys and values are ever computed more than once, over attention's head
// axes that the KV heads cannot fill.
TEST_P(EveryProgram, EinsumFlopsSumToThePaddedModels) {
  const Mesh mesh(GetParam());
  const double chips = mesh.Size(mesh.all());
  ForEachProgram(
      mesh, TestModels(), [&](const Model& model, const Layout& layout, const Program& program) {
        for (const Op& op : program.ops) {
          if (op.kind != OpKind::kEinsum) {
            continue;
          }
          double expected = 0;  // over all chips
          for (std::size_t t = 0; t < op.term_count; ++t) {
            const Tensor& lhs = program.tensor(op.terms[t].lhs);
            const Tensor& rhs = program.tensor(op.terms[t].rhs);
            const AxisSet replicated = mesh.all() - (lhs.sharded() | rhs.sharded());
            const TensorRole out = program.tensor(op.terms[t].out).role;
            if (out == TensorRole::kKey || out == TensorRole::kValue) {
              EXPECT_FALSE(model.multihead() && !replicated.empty());
              const AxisSet shared = layout.attention_heads | layout.attention_sequence;
              EXPECT_TRUE(shared.HasAll(replicated));
            } else {
              EXPECT_TRUE(replicated.empty()) << Name(out) << " over " << mesh.Names(replicated);
            }
            expected += 2 * program.dim(lhs.dims[0]).padded * program.dim(lhs.dims[1]).padded *
                        PaddedElements(program, rhs) * mesh.Size(replicated);
          }
          EXPECT_DOUBLE_EQ(OpFlops(program, op).base() * chips, expected);
        }
      });
}

// Attention: 4 FLOPs per head, head element, query and attended token over all chips, padded.
TEST_P(EveryProgram, AttentionFlopsSumToThePaddedModels) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(), [&](const Model&, const Layout&, const Program& program) {
    int found = 0;
    for (const Op& op : program.ops) {
      if (op.kind == OpKind::kAttention) {
        ++found;
        const double expected = 4 * program.dim(Dim::kAttentionBatch).padded *
                                program.dim(Dim::kLength).padded * program.dim(Dim::kHeads).padded *
                                program.dim(Dim::kHeadDim).padded *
                                program.dim(Dim::kContext).padded;
        const AxisSet cut = program.tensor(op.terms[0].lhs).sharded() |
                            program.tensor(op.terms[1].rhs).ShardingOf(Dim::kCacheLength);
        // A chip has its own heads, its own sequences or its own part of the cache.
        EXPECT_EQ(cut, mesh.all());
        EXPECT_DOUBLE_EQ(OpFlops(program, op).base() * mesh.Size(cut), expected);
      }
    }
    EXPECT_EQ(found, 1);
  });
}

// The cache is where design section 3 says: B over attention's batch axes, ceil(kv / a) heads on a
// chip with a the product of the H axes (of those whose KV heads divide evenly, or are repeated).
TEST_P(EveryProgram, CacheHoldsCeilOfKvHeadsOverHeadAxes) {
  const Mesh mesh(GetParam());
  std::vector<Model> models;
  for (std::int64_t kv_heads : {1, 2, 4, 8, 16, 64}) {
    Model model = GroupedModel();
    model.query_heads = 64;
    model.kv_heads = kv_heads;
    models.push_back(model);
  }
  ForEachProgram(
      mesh, models, [&](const Model& model, const Layout& layout, const Program& program) {
        for (const Tensor& tensor : program.tensors) {
          if (tensor.role != TensorRole::kKeyCache && tensor.role != TensorRole::kValueCache) {
            continue;
          }
          const std::int64_t ways = mesh.IntSize(layout.attention_heads);
          EXPECT_EQ(tensor.sharding[0], layout.attention_batch);
          EXPECT_EQ(program.LocalSize(tensor, 2),
                    static_cast<double>((model.kv_heads + ways - 1) / ways))
              << "kv heads " << model.kv_heads;
        }
      });
}

// After a layer the residual is back where it was, whatever lies between.
TEST_P(EveryProgram, TheResidualIsSharedOutAsDesigned) {
  const Mesh mesh(GetParam());
  ForEachProgram(mesh, TestModels(),
                 [&](const Model&, const Layout& layout, const Program& program) {
                   int residuals = 0;
                   for (const Tensor& tensor : program.tensors) {
                     if (tensor.role == TensorRole::kResidual) {
                       ++residuals;
                       EXPECT_EQ(tensor.ShardingOf(Dim::kBatch), layout.gathered | layout.replicas);
                       EXPECT_EQ(tensor.ShardingOf(Dim::kEmbed), layout.residual_embed());
                       EXPECT_TRUE(tensor.partial.empty());
                       EXPECT_EQ(tensor.type, DataType::kBf16);
                     }
                   }
                   EXPECT_EQ(residuals, 1);
                 });
}

// The largest program: every kind of block with everything a model can have, under every layout.
TEST(Capacity, TheLargestProgramLeavesRoom) {
  std::vector<Model> models;
  for (BlockKind block : {BlockKind::kSerial, BlockKind::kParallel}) {
    for (std::int64_t kv_heads : {1, 3, 8, 24}) {
      for (int norms : {1, 2}) {
        Model model = MultiheadModel();
        model.block = block;
        model.query_heads = 24;
        model.kv_heads = kv_heads;
        model.gated = true;
        model.norms_per_layer = norms;
        model.tied_embedding = false;
        model.query_key_norm = true;
        models.push_back(model);
      }
    }
  }
  std::size_t most_tensors = 0;
  std::size_t most_ops = 0;
  for (const Slice& slice : {kTorus, kFlat, kLong}) {
    ForEachProgram(Mesh(slice), models, [&](const Model&, const Layout&, const Program& program) {
      ASSERT_FALSE(program.tensors.full());
      ASSERT_FALSE(program.ops.full());
      most_tensors = std::max(most_tensors, program.tensors.size());
      most_ops = std::max(most_ops, program.ops.size());
      for (const Op& op : program.ops) {
        ASSERT_LE(op.term_count, kMaxTerms);
        ASSERT_LT(op.group, 8);  // the cost model's table of groups
      }
      for (const Tensor& tensor : program.tensors) {
        ASSERT_LE(tensor.rank, kMaxTensorRank);
      }
    });
  }
  // The walk did meet large programs: two blocks, 22 weights, biases and caches, 20-odd
  // activations.
  EXPECT_GT(most_tensors, 50U);
  EXPECT_GT(most_ops, 35U);
}

// A reduce-scatter and an all-gather of equal chunks, to the byte: with 12 chips an item of a chunk
// is no binary fraction of a sequence's.
TEST(AllReduce, MovesEqualChunks) {
  const Mesh mesh = MeshOf(2, 4, 12);
  int uneven = 0;
  for (const Model& model : TestModels()) {
    for (const Layout& layout : WithSplits(mesh)) {
      Workload work = SmallWorkload();
      work.input_length = 7;
      for (std::int64_t batch : {1, 5, 27, 81, 108, 512}) {
        work.prefill_batch = batch;
        const Program program = Lowered(model, work, Phase::kPrefill, layout, mesh);
        for (const Op& op : program.ops) {
          if (op.kind != OpKind::kAllReduce) {
            continue;
          }
          double volume = 0;
          for (std::size_t i = 0; i < op.term_count; ++i) {
            const Tensor& operand = program.tensor(op.terms[i].lhs);
            const double ways = mesh.Size(TermAxes(program, op, op.terms[i]));
            const double elements = program.Elements(operand);
            uneven += std::fmod(elements, ways) != 0 ? 1 : 0;
            volume += 2 * std::ceil(elements / ways) * ways * ElementBytes(operand.type).base();
          }
          ASSERT_EQ(CollectiveTraffic(program, op).volume.base(), volume)
              << model.name << " " << ToString(layout, mesh) << " batch " << batch;
        }
      }
    }
  }
  EXPECT_GT(uneven, 1000);
}

TEST(FixedVector, HoldsCopiesAndTruncates) {
  FixedVector<int, 4> items;
  EXPECT_TRUE(items.empty());
  for (int i : {10, 20, 30, 40}) {
    items.push_back(i);
  }
  EXPECT_TRUE(items.full());
  items.truncate(3);  // 10 20 30
  EXPECT_EQ(items.size(), 3U);
  EXPECT_EQ(items.back(), 30);
  FixedVector<int, 4> copy = items;
  copy[0] = 7;
  EXPECT_EQ(items[0], 10);
  items = copy;
  EXPECT_EQ(items[0], 7);
  items.clear();
  EXPECT_EQ(items.size(), 0U);
  EXPECT_EQ((FixedVector<int, 4>::capacity()), 4U);
}

TEST(KvHeads, PerShardIsTheCeilingWhereverOneDividesTheOther) {
  for (std::int64_t kv_heads : {1, 2, 4, 8, 16, 32, 64}) {
    for (std::int64_t ways : {1, 2, 4, 8, 16, 32, 64}) {
      EXPECT_EQ(KvHeadsPerShard(kv_heads, ways), (kv_heads + ways - 1) / ways)
          << kv_heads << " over " << ways;
    }
  }
  // 3 heads in 4 shards: blocks [0, 3/4), [3/4, 6/4), ... of them: the second needs heads 0 and 1.
  EXPECT_EQ(KvHeadsPerShard(3, 4), 2);
}

// Every shard holds the heads of its block of query heads, and every head is held somewhere.
TEST(KvHeads, SlotsHoldTheHeadsThatTheirQueriesNeed) {
  for (std::int64_t kv_heads = 1; kv_heads <= 12; ++kv_heads) {
    for (std::int64_t ways = 1; ways <= 16; ++ways) {
      SCOPED_TRACE(testing::Message() << kv_heads << " heads in " << ways << " shards");
      const std::int64_t per_shard = KvHeadsPerShard(kv_heads, ways);
      // ways x kv_heads query heads: `ways` to a group, `kv_heads` to a shard.
      for (std::int64_t query = 0; query < ways * kv_heads; ++query) {
        const std::int64_t shard = query / kv_heads;
        const std::int64_t needed = query / ways;
        bool held = false;
        for (std::int64_t slot = shard * per_shard; slot < (shard + 1) * per_shard; ++slot) {
          held = held || KvHeadOfSlot(slot, kv_heads, ways) == needed;
        }
        EXPECT_TRUE(held) << "query head " << query;
      }
    }
  }
}

TEST(StoredHeads, FewestThatTheLayoutAllowsOrTheRequestIfItFits) {
  const Mesh mesh = MeshOf(4, 4, 4);
  Model palm = MultiqueryModel();
  palm.query_heads = 48;
  // Ex.Fyz with attention over batch: 16 ways; over heads: 64 ways.
  EXPECT_EQ(HeadWays(ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh), 16);
  EXPECT_EQ(StoredHeads(palm, ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh, 0), 48);
  EXPECT_EQ(HeadWays(ParseLayout("Ex.Fyz/ws/Hxyz", mesh), mesh), 64);
  EXPECT_EQ(StoredHeads(palm, ParseLayout("Ex.Fyz/ws/Hxyz", mesh), mesh, 0), 64);
  // 64 fits either; 48 is not a multiple of 64, and 32 is fewer than the model has.
  EXPECT_EQ(StoredHeads(palm, ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh, 64), 64);
  EXPECT_EQ(StoredHeads(palm, ParseLayout("Ex.Fyz/ws/Hxyz", mesh), mesh, 48), 0);
  EXPECT_EQ(StoredHeads(palm, ParseLayout("Ex.Fyz/ws/Bxyz", mesh), mesh, 32), 0);
}

}  // namespace
}  // namespace slicewise
