// The program as names and numbers: indices worked out by hand, names that are one to one, weights
// that both phases read alike.
#include "slicewise/search/execution.h"

#include <algorithm>
#include <map>
#include <set>

#include "program/program_test_util.h"
#include "slicewise/search/fingerprint.h"

namespace slicewise {
namespace {

using Indices = std::vector<std::int64_t>;

Execution Of(const Model& model, const char* prefill, const char* decode,
             const Workload& work = SmallWorkload(), const Slice& slice = SliceOf(4, 4, 4)) {
  const Setting setting = SettingOf(model, slice, work, {});
  const Mesh mesh(slice);
  ExecutionLayouts layouts;
  layouts.prefill = ParseLayout(prefill, mesh);
  layouts.decode = ParseLayout(decode, mesh);
  layouts.stored_heads = std::max(StoredHeads(model, *layouts.prefill, mesh, 0),
                                  StoredHeads(model, *layouts.decode, mesh, 0));
  return MakeExecution(setting, layouts);
}

const ExecutionDim& DimOf(const ExecutionPhase& phase, const std::string& name) {
  for (const ExecutionDim& dim : phase.dims) {
    if (dim.name == name) {
      return dim;
    }
  }
  ADD_FAILURE() << "no dim " << name;
  return phase.dims.front();
}

const ExecutionTensor& TensorOf(const std::vector<ExecutionTensor>& tensors,
                                const std::string& name) {
  for (const ExecutionTensor& tensor : tensors) {
    if (tensor.name == name) {
      return tensor;
    }
  }
  ADD_FAILURE() << "no tensor " << name;
  return tensors.front();
}

// 6 query heads on 2 KV heads, 4 ways: groups of 3 grow to 4 (8 stored heads), each padded at its
// end.
TEST(TrueIndices, GroupedHeadsArePaddedGroupByGroup) {
  Model model = GroupedModel();
  model.query_heads = 6;
  model.kv_heads = 2;
  const Slice slice = SliceOf(1, 2, 2);
  const Execution execution = Of(model, "Fyz/ws/Hyz", "Fyz/ws/Hyz", SmallWorkload(), slice);
  EXPECT_EQ(execution.stored_heads, 8);
  const ExecutionDim& heads = DimOf(*execution.phases.decode, "heads");
  EXPECT_EQ(heads.indices, (Indices{0, 1, 2, -1, 3, 4, 5, -1}));
  // Two KV heads over y; along z they are repeated, which cuts nothing: 0, 1 as they are.
  EXPECT_EQ(DimOf(*execution.phases.decode, "cache_kv_heads").indices, Indices());
}

// 3 KV heads 2 ways: shard i serves KV heads floor(3 i / 2) up to ceil(3 (i + 1) / 2): 0, 1 and
// 1, 2.
TEST(TrueIndices, KvHeadsThatStraddleShardsAreHeldTwice) {
  Model model = ParallelGroupedModel();
  model.query_heads = 6;
  model.kv_heads = 3;
  const Execution execution = Of(model, "Fz/ws/Hz", "Fz/ws/Hz", SmallWorkload(), SliceOf(1, 1, 2));
  EXPECT_EQ(DimOf(*execution.phases.decode, "kv_heads").indices, (Indices{0, 1, 1, 2}));
}

// 5 sequences gathered over y (2 ways): 3 to a shard, 6 in all. Attention cuts each shard over z
// too: 4 to a shard of y, the last of each padding, and so is sequence 5.
TEST(TrueIndices, BatchPaddingNests) {
  Workload work = SmallWorkload();
  work.prefill_batch = work.decode_batch = 5;
  const Execution execution =
      Of(MultiqueryModel(), "Fyz/wg-y/Byz", "Fyz/wg-y/Byz", work, SliceOf(1, 2, 2));
  const ExecutionPhase& decode = *execution.phases.decode;
  EXPECT_EQ(DimOf(decode, "attention_batch").indices, (Indices{0, 1, 2, -1, 3, 4, -1, -1}));
  EXPECT_EQ(DimOf(decode, "attention_batch").axes, (std::vector<std::string>{"y", "z"}));
  EXPECT_EQ(DimOf(decode, "batch").padded_size, 6);
  EXPECT_EQ(DimOf(decode, "batch").indices, Indices());
}

// Two shards take positions in turn: 7 of decode in 4 slots each, the last of shard 1 padding; 5 of
// prefill in 3 slots each.
TEST(TrueIndices, ShardsOfTheCacheTakePositionsInTurn) {
  Workload work = SmallWorkload();
  work.input_length = 5;
  work.output_length = 2;
  const Execution execution =
      Of(GroupedModel(), "Fyz/ws/Hy.Sz", "Fyz/ws/Hy.Sz", work, SliceOf(1, 2, 2));
  const ExecutionDim& decode = DimOf(*execution.phases.decode, "cache_length");
  EXPECT_EQ(decode.size, 7);
  EXPECT_EQ(decode.padded_size, 8);
  EXPECT_EQ(decode.axes, (std::vector<std::string>{"z"}));
  EXPECT_EQ(decode.indices, (Indices{0, 2, 4, 6, 1, 3, 5, -1}));
  EXPECT_EQ(DimOf(*execution.phases.prefill, "cache_length").indices, (Indices{0, 2, 4, 1, 3, -1}));
  const Execution whole = Of(GroupedModel(), "Fyz/ws/Hyz", "Fyz/ws/Hyz", work, SliceOf(1, 2, 2));
  EXPECT_EQ(DimOf(*whole.phases.decode, "cache_length").indices, Indices());
}

// Attention over shards of the cache: the log sums of exponentials leave in a term of their own,
// are gathered, and scale each part, which is then summed over z and scattered into heads.
TEST(Execution, PartsOfTheSoftmaxAreCombined) {
  const Execution execution =
      Of(GroupedModel(), "Fyz/ws/Hy.Sz", "Fyz/ws/Hy.Sz", SmallWorkload(), SliceOf(1, 2, 2));
  const ExecutionPhase& decode = *execution.phases.decode;
  const auto attention = std::find_if(decode.ops.begin(), decode.ops.end(),
                                      [](const ExecutionOp& op) { return op.kind == "attention"; });
  ASSERT_LT(attention, decode.ops.end() - 3);
  EXPECT_EQ(attention->terms[0].out, "attended_shard");
  EXPECT_EQ(attention->terms.back().lhs, std::nullopt);
  EXPECT_EQ(attention->terms.back().out, "log_sum_exp");
  EXPECT_EQ(attention[1].kind, "all-gather");
  EXPECT_EQ(attention[1].terms[0].out, "log_sum_exp#2");
  EXPECT_EQ(attention[2].function, "combine");
  EXPECT_EQ(attention[2].terms[0].lhs, "attended_shard");
  EXPECT_EQ(attention[2].terms[0].rhs, "log_sum_exp#2");
  EXPECT_EQ(attention[2].terms[0].out, "attended");
  EXPECT_EQ(TensorOf(decode.tensors, "attended").partial_axes, (std::vector<std::string>{"z"}));
  EXPECT_EQ(attention[3].kind, "reduce-scatter");
  // One index to a shard, whichever chip holds it.
  const ExecutionTensor& own = TensorOf(decode.tensors, "log_sum_exp");
  EXPECT_EQ(own.dims[3].name, "sequence_shard");
  EXPECT_EQ(own.dims[3].axes, (std::vector<std::string>{"z"}));
  EXPECT_EQ(own.dims[3].local_size, 1);
  EXPECT_EQ(TensorOf(decode.tensors, "log_sum_exp#2").dims[3].local_size, 2);
}

TEST(Execution, NamesAreOneToOneAndEveryTermIsATensor) {
  for (const Model& model : TestModels()) {
    const Execution execution = Of(model, "Ex.Fyz/wg-xyz/Bxyz", "Ex.Fyz/wg-xyz/Bxyz");
    for (const auto& phase : {execution.phases.prefill, execution.phases.decode}) {
      std::set<std::string> names;
      std::size_t tensors = 0;
      for (const auto* list : {&execution.weights, &phase->tensors}) {
        for (const ExecutionTensor& tensor : *list) {
          names.insert(tensor.name);
          ++tensors;
        }
      }
      EXPECT_EQ(names.size(), tensors) << model.name;
      for (const ExecutionOp& op : phase->ops) {
        for (const ExecutionTerm& term : op.terms) {
          for (const auto& name : {term.lhs, term.rhs, term.out}) {
            EXPECT_TRUE(!name || names.contains(*name)) << *name;
          }
        }
      }
    }
  }
}

// What is stored is stored once: both phases of a deployment read the same shards of it.
TEST(Execution, BothPhasesReadTheWeightsAlike) {
  const Model model = GroupedModel();
  const Execution both = Of(model, "Ex.Fyz/wg-xyz/Bxyz", "Ex.Fyz/ws/Bxyz");
  const Mesh mesh = MeshOf(4, 4, 4);
  ExecutionLayouts alone;
  alone.prefill = ParseLayout("Ex.Fyz/wg-xyz/Bxyz", mesh);
  alone.stored_heads = both.stored_heads;
  const Execution prefill =
      MakeExecution(SettingOf(model, SliceOf(4, 4, 4), SmallWorkload(), {}), alone);
  ASSERT_EQ(prefill.weights.size(), both.weights.size());
  for (std::size_t i = 0; i < both.weights.size(); ++i) {
    const ExecutionTensor& a = prefill.weights[i];
    const ExecutionTensor& b = both.weights[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.shape_per_chip, b.shape_per_chip) << a.name;
    for (std::size_t d = 0; d < a.dims.size(); ++d) {
      EXPECT_EQ(a.dims[d].axes, b.dims[d].axes) << a.name;
    }
  }
  for (const char* dim : {"heads", "kv_heads", "embed", "ffn"}) {
    EXPECT_EQ(DimOf(*both.phases.prefill, dim).indices, DimOf(*both.phases.decode, dim).indices);
  }
}

// E 512 over x (4): 128; F 2048 over y and z (16): 128. bf16: 128 x 128 x 2 = 32768 bytes.
TEST(Execution, ShapesAndBytesOfAShard) {
  const Execution execution = Of(MultiqueryModel(), "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Bxyz");
  const ExecutionTensor& in = TensorOf(execution.weights, "ffn_input_weights");
  EXPECT_EQ(in.shape_per_chip, (Indices{128, 128}));
  EXPECT_DOUBLE_EQ(in.bytes_per_chip, 32768);
  EXPECT_EQ(in.dims[1].axes, (std::vector<std::string>{"y", "z"}));
  // The scattered hidden layer: axes of the weights first, then what the reduce-scatter adds.
  EXPECT_EQ(TensorOf(execution.phases.decode->tensors, "ffn_hidden#2").dims[2].axes,
            (std::vector<std::string>{"y", "z", "x"}));
}

TEST(Execution, LoopedCollectivesNameTheirEinsum) {
  const Execution execution = Of(MultiqueryModel(), "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Bxyz");
  int overlapped = 0;
  for (const ExecutionOp& op : execution.phases.decode->ops) {
    if (op.overlaps) {
      ++overlapped;
      const ExecutionOp& einsum =
          execution.phases.decode->ops[static_cast<std::size_t>(*op.overlaps)];
      EXPECT_EQ(einsum.kind, "einsum");
      EXPECT_EQ(einsum.section, op.section);
      EXPECT_EQ(einsum.group, op.group);
    }
  }
  EXPECT_EQ(overlapped, 3);  // the two over x of the layer, and the logits' reduce-scatter
}

// Multiquery from every head's chips to batch: each keeps its sequences (program/reshard.h).
TEST(Execution, ChangesAreTheReshardOfTheCache) {
  const Execution execution = Of(MultiqueryModel(), "Ex.Fyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz");
  ASSERT_TRUE(execution.changes);
  ASSERT_EQ(execution.changes->ops.size(), 1U);
  EXPECT_EQ(*execution.changes->ops[0].function, "slice");
  EXPECT_EQ(*execution.changes->ops[0].terms[0].lhs, "key_cache");
  EXPECT_EQ(*execution.changes->ops[0].terms[1].out, "value_cache#2");
  EXPECT_EQ(execution.changes->batch, 128);
}

TEST(Fingerprints, ChangeWithEveryInputAndWithNothingElse) {
  const Setting setting =
      SettingOf(MultiqueryModel(), SliceOf(4, 4, 4), SmallWorkload(), RoughCalibration());
  const Fingerprints base = FingerprintsOf(setting);
  Setting other = setting;
  other.workload.decode_batch = 1;
  other.slice = SliceOf(2, 2, 2);
  EXPECT_EQ(FingerprintsOf(other), base);
  other = setting;
  other.model.query_key_norm = true;
  EXPECT_NE(FingerprintsOf(other).model, base.model);
  EXPECT_EQ(FingerprintsOf(other).chip, base.chip);
  other = setting;
  other.chip.hbm_bandwidth *= 1.0000001;
  EXPECT_NE(FingerprintsOf(other).chip, base.chip);
  other = setting;
  other.calibration.inside.factor_low = 0.9;
  EXPECT_NE(FingerprintsOf(other).calibration, base.calibration);
}

}  // namespace
}  // namespace slicewise
