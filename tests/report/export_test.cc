// Each target's mapping table, and what each cannot honour.
#include "slicewise/report/export.h"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Plans {
  Setting setting;
  Execution execution;
};

Plans PlansOf(const Model& model, const char* prefill, const char* decode,
              const Slice& slice = SliceOf(4, 4, 4), const Workload& work = SmallWorkload()) {
  const Setting setting = SettingOf(model, slice, work, {});
  const Mesh mesh(slice);
  ExecutionLayouts layouts;
  layouts.prefill = ParseLayout(prefill, mesh);
  layouts.decode = ParseLayout(decode, mesh);
  layouts.stored_heads = std::max(StoredHeads(model, *layouts.prefill, mesh, 0),
                                  StoredHeads(model, *layouts.decode, mesh, 0));
  return {setting, MakeExecution(setting, layouts)};
}

Exported To(ExportTarget target, const Plans& plans) {
  return Export(plans.setting, plans.execution, target);
}

Exported To(ExportTarget target, const Model& model, const char* layout,
            const Slice& slice = SliceOf(4, 4, 4)) {
  return To(target, PlansOf(model, layout, layout, slice));
}

// 16 query heads on a KV head each, so that no layout of 2x2x2 pads.
Model SerialModel() {
  Model model = GroupedModel();
  model.query_heads = 16;
  model.kv_heads = 16;
  return model;
}

TEST(AxesOf, FollowTheLayoutsLetters) {
  const Plans plans = PlansOf(SerialModel(), "Ex.Fyz/wg-x/Bxy.Hz", "Ex.Fyz/ws/By.Hxz");
  const PhaseAxes prefill = AxesOf(plans.execution, *plans.execution.phases.prefill);
  EXPECT_THAT(prefill.weights_embed, ElementsAre("x"));
  EXPECT_THAT(prefill.weights_ffn, ElementsAre("y", "z"));
  EXPECT_THAT(prefill.gathered, ElementsAre("x"));
  EXPECT_THAT(prefill.attention_batch, ElementsAre("x", "y"));
  EXPECT_THAT(prefill.attention_heads, ElementsAre("z"));
  EXPECT_THAT(prefill.residual_batch, ElementsAre("x"));
  EXPECT_THAT(prefill.residual_embed, ElementsAre("y", "z"));
  const PhaseAxes decode = AxesOf(plans.execution, *plans.execution.phases.decode);
  EXPECT_THAT(decode.gathered, IsEmpty());
  EXPECT_THAT(decode.attention_batch, ElementsAre("y"));
  EXPECT_THAT(decode.residual_embed, ElementsAre("x", "y", "z"));
}

TEST(AxesOf, ReplicasAndTheCachesLength) {
  const Plans plans = PlansOf(SerialModel(), "Ex.Fy.Rz/wg-x/Bxz.Hy", "Ex.Fy.Rz/ws/Bz.Hx.Sy");
  const PhaseAxes prefill = AxesOf(plans.execution, *plans.execution.phases.prefill);
  EXPECT_THAT(prefill.replicas, ElementsAre("z"));
  EXPECT_THAT(prefill.gathered, ElementsAre("x"));
  EXPECT_THAT(prefill.cache_length, IsEmpty());
  EXPECT_THAT(prefill.residual_batch, testing::UnorderedElementsAre("x", "z"));
  const PhaseAxes decode = AxesOf(plans.execution, *plans.execution.phases.decode);
  EXPECT_THAT(decode.attention_batch, ElementsAre("z"));
  EXPECT_THAT(decode.attention_heads, ElementsAre("x"));
  EXPECT_THAT(decode.cache_length, ElementsAre("y"));
}

// Against jax 0.7.2's own answers (mesh_utils._create_device_mesh_for_nd_torus).
TEST(GreedyAssignment, IsCreateDeviceMeshs) {
  using Assigned = std::vector<std::vector<int>>;
  // From the last: 4 takes x, then y, then z.
  EXPECT_EQ(GreedyAssignment({4, 4, 4}, {4, 4, 4}), (Assigned{{2}, {1}, {0}}));
  EXPECT_EQ(GreedyAssignment({4, 4, 8}, {4, 8, 4}), (Assigned{{1}, {2}, {0}}));
  // 16 prefers two physical axes of 4 over one of 16.
  EXPECT_EQ(GreedyAssignment({4, 4, 16}, {16, 16}), (Assigned{{2}, {0, 1}}));
  // The trap: 4 takes both axes of 2, and nothing is left for the logical 2s.
  EXPECT_EQ(GreedyAssignment({2, 2, 4}, {2, 2, 4}), Assigned());
  EXPECT_EQ(GreedyAssignment({2, 2, 4}, {4, 2, 2}), (Assigned{{2}, {1}, {0}}));
}

TEST(ExportJax, MeshAxesByIncreasingTraffic) {
  const Json json = Json::parse(To(ExportTarget::kJax, MultiqueryModel(), "Ex.Fyz/ws/Bxyz").text);
  const Json& mesh = json["mesh"];
  for (std::size_t i = 1; i < 3; ++i) {
    EXPECT_LE(mesh["sent_bytes"][i - 1].get<double>(), mesh["sent_bytes"][i].get<double>());
  }
  std::map<std::string, int> physical = {{"x", 0}, {"y", 1}, {"z", 2}};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t row = 0; row < 3; ++row) {
      const bool own = physical[mesh["axis_names"][i]] == static_cast<int>(row);
      EXPECT_EQ(mesh["assignment"][row][i], own ? 4 : 1);
    }
  }
}

// On 2x2x4 the axes of 2 end up first or the mesh is refused; the explicit order is the planned
// one.
TEST(ExportJax, ExplicitDeviceOrderWhereTheGreedyOneDiffers) {
  const Json json =
      Json::parse(To(ExportTarget::kJax, SerialModel(), "Ex.Fyz/ws/Hxyz", SliceOf(2, 2, 4)).text);
  const Json& mesh = json["mesh"];
  ASSERT_EQ(mesh["device_order"].size(), 16U);
  const std::vector<std::string> names = mesh["axis_names"];
  const std::vector<int> shape = mesh["shape"];
  for (int device = 0; device < 16; ++device) {
    int rest = device;
    for (std::size_t i = 3; i-- > 0;) {
      const auto physical = static_cast<std::size_t>(names[i][0] - 'x');
      EXPECT_EQ(mesh["device_order"][static_cast<std::size_t>(device)][physical], rest % shape[i]);
      rest /= shape[i];
    }
  }
}

TEST(ExportJax, SpecsAreTheTensorsAxes) {
  const Plans plans = PlansOf(MultiqueryModel(), "Ex.Fyz/wg-xyz/Bxyz", "Ex.Fyz/ws/Bxyz");
  const Json json = Json::parse(To(ExportTarget::kJax, plans).text);
  EXPECT_EQ(json["weights"]["ffn_input_weights"]["partition_spec"],
            Json::parse(R"(["x", ["y", "z"]])"));
  EXPECT_EQ(json["weights"]["ffn_input_weights"]["shape"], (Json{512, 2048}));
  EXPECT_EQ(json["weights"]["norm_vectors"]["partition_spec"], Json::parse("[null, null]"));
  EXPECT_EQ(json["phases"]["decode"]["tensors"]["key_cache"]["partition_spec"],
            Json::parse(R"([["y", "z", "x"], null, null, null])"));
  EXPECT_EQ(json["phases"]["prefill"]["tensors"]["residual"]["partition_spec"],
            Json::parse(R"([["x", "y", "z"], null, null])"));
  EXPECT_THAT(To(ExportTarget::kJax, plans).downgrades, IsEmpty());
}

// Grouped-query heads, attention over E's axis too: heads are kept in the order z x y, of which the
// weights are cut by y and z. 16 heads over 2x2x2: head = 8 z + 4 x + 2 y + rest, shards by y, z.
TEST(ExportJax, SaysWhereStoredHeadsAreInAnotherOrder) {
  Model model = GroupedModel();
  model.query_heads = 16;
  model.kv_heads = 4;
  const Json json =
      Json::parse(To(ExportTarget::kJax, model, "Ex.Fyz/ws/By.Hxz", SliceOf(2, 2, 2)).text);
  const Json& query = json["weights"]["query_weights"];
  ASSERT_EQ(query["partition_spec"], Json::parse(R"(["x", ["z", "y"], null])"));
  EXPECT_EQ(query["stored_indices"][1],
            (Json{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}));
  EXPECT_TRUE(query["stored_indices"][0].is_null());
}

// 36 positions over four shards, 9 slots each: 0, 4, ... 32, then 1, 5, ...
TEST(ExportJax, PositionsOfTheCacheAreDealtOutInTurn) {
  const Json json = Json::parse(To(ExportTarget::kJax, SerialModel(), "Fxy.Rz/ws/Bz.Hx.Sy").text);
  const Json& keys = json["phases"]["decode"]["tensors"]["key_cache"];
  EXPECT_EQ(keys["partition_spec"], Json::parse(R"(["z", "y", "x", null])"));
  ASSERT_EQ(keys["stored_indices"][1].size(), 36U);
  for (int slot = 0; slot < 36; ++slot) {
    EXPECT_EQ(keys["stored_indices"][1][static_cast<std::size_t>(slot)], slot % 9 * 4 + slot / 9);
  }
  EXPECT_EQ(json["weights"]["ffn_input_weights"]["partition_spec"],
            Json::parse(R"([null, ["x", "y"]])"));
  EXPECT_EQ(json["phases"]["decode"]["tensors"]["residual"]["partition_spec"],
            Json::parse(R"(["z", null, ["x", "y"]])"));
}

// The nine uses of an axis, and MaxText's name for each (export_maxtext.cc).
TEST(ExportMaxText, EachUseOfAnAxisHasItsMeshAxis) {
  const auto sized = [](const char* layout, const char* option) {
    const Exported exported = To(ExportTarget::kMaxText, SerialModel(), layout, SliceOf(2, 2, 4));
    EXPECT_THAT(exported.text, HasSubstr(option)) << layout;
  };
  sized("Fxyz/ws/Hxyz", "\nici_tensor_parallelism: 16\n");
  sized("Fxyz/ws/Bxy.Hz", "\nici_autoregressive_parallelism: 4\n");
  sized("Fxyz/ws/Bxy.Hz", "\nici_tensor_parallelism: 4\n");
  sized("Ex.Fyz/ws/Hxyz", "\nici_tensor_transpose_parallelism: 2\n");
  sized("Exz.Fy/ws/Bxz.Hy", "\nici_fsdp_transpose_parallelism: 8\n");
  sized("Exz.Fy/wg-xz/Bxz.Hy", "\nici_fsdp_parallelism: 8\n");
  sized("Ex.Fyz/wg-z/Bz.Hxy", "\nici_data_parallelism: 4\n");
  sized("Fxy.Rz/ws/Bz.Hxy", "\nici_data_parallelism: 4\n");
  sized("Fxyz/ws/Hxy.Sz", "\nici_context_autoregressive_parallelism: 4\n");
  sized("Ex.Fyz/ws/Hyz.Sx", "\nici_sequence_parallelism: 2\n");
}

TEST(ExportMaxText, ReplicasAreItsDataParallelism) {
  const Exported exported =
      To(ExportTarget::kMaxText, SerialModel(), "Fxy.Rz/ws/Bz.Hxy", SliceOf(2, 2, 4));
  EXPECT_THAT(exported.downgrades, IsEmpty());
  for (const char* rule : {"['mlp', ['tensor']]", "['activation_batch', ['data']]",
                           "['cache_batch', ['data']]", "['cache_sequence', []]"}) {
    EXPECT_THAT(exported.text, HasSubstr(rule));
  }
}

TEST(ExportMaxText, TheCachesLengthInBlocks) {
  const Exported exported =
      To(ExportTarget::kMaxText, SerialModel(), "Ex.Fyz/ws/Hy.Sxz", SliceOf(2, 2, 4));
  EXPECT_THAT(exported.downgrades, ElementsAre(HasSubstr("positions dealt out in turn over x,z")));
  for (const char* rule :
       {"['cache_sequence', ['sequence', 'context_autoregressive']]", "['embed', ['sequence']]",
        "['mlp', ['tensor', 'context_autoregressive']]", "['cache_heads', ['tensor']]"}) {
    EXPECT_THAT(exported.text, HasSubstr(rule));
  }
}

TEST(ExportMaxText, RulesOfAMixedLayout) {
  const Exported exported =
      To(ExportTarget::kMaxText, SerialModel(), "Ex.Fyz/ws/By.Hxz", SliceOf(2, 2, 4));
  EXPECT_THAT(exported.downgrades, IsEmpty());
  for (const char* rule :
       {"['embed', ['tensor_transpose']]", "['mlp', ['autoregressive', 'tensor']]",
        "['activation_kv_batch', ['autoregressive']]", "['cache_batch', ['autoregressive']]",
        "['activation_heads', ['tensor', 'tensor_transpose']]", "['activation_batch', []]",
        "override_logical_axis_rules: true", "per_device_batch_size: 8",  // 128 / 16
        "max_prefill_predict_length: 32", "max_target_length: 36"}) {
    EXPECT_THAT(exported.text, HasSubstr(rule));
  }
  EXPECT_THAT(exported.text, Not(HasSubstr("quantization")));
}

// 8 KV heads over 64 ways: x and y share them out, z repeats them.
TEST(ExportMaxText, AxesThatRepeatKvHeadsAreApart) {
  Model model = GroupedModel();
  model.query_heads = 64;
  const Exported exported = To(ExportTarget::kMaxText, model, "Fxyz/ws/Hxyz");
  EXPECT_THAT(exported.downgrades, IsEmpty());
  EXPECT_THAT(exported.text, HasSubstr("['heads', ['tensor', 'tensor_sequence']]"));
  EXPECT_THAT(exported.text, HasSubstr("['cache_heads', ['tensor']]"));
}

TEST(ExportMaxText, SaysWhatIsLost) {
  // 12 heads over 64 chips.
  EXPECT_THAT(
      To(ExportTarget::kMaxText, MultiqueryModel(), "Fxyz/ws/Hxyz").downgrades,
      ElementsAre(HasSubstr("the parallel block"), HasSubstr("padding of 12 query heads to 64")));
  EXPECT_THAT(To(ExportTarget::kMaxText, SerialModel(), "Ex.Fyz/wg-x/Bx.Hyz").downgrades,
              ElementsAre(HasSubstr("looped gathering")));
  const Plans differ = PlansOf(SerialModel(), "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Bx.Hyz");
  EXPECT_THAT(To(ExportTarget::kMaxText, differ).downgrades,
              ElementsAre(HasSubstr("prefill under Ex.Fyz/ws/Bxyz and decode under "
                                    "Ex.Fyz/ws/Bx.Hyz")));
  EXPECT_THAT(To(ExportTarget::kMaxText, differ).text, HasSubstr("# not honoured: prefill under"));
}

TEST(ExportMaxText, NumberFormats) {
  Workload work = SmallWorkload();
  work.weights = work.kv_cache = DataType::kInt8;
  const auto text = [&] {
    return To(ExportTarget::kMaxText,
              PlansOf(SerialModel(), "Fxyz/ws/Hxyz", "Fxyz/ws/Hxyz", SliceOf(2, 2, 2), work))
        .text;
  };
  EXPECT_THAT(text(), HasSubstr("quantization: 'int8w'\nquantize_kvcache: true\n"
                                "kv_quant_dtype: 'int8'\n"));
  work.activations = DataType::kInt8;
  EXPECT_THAT(text(), HasSubstr("quantization: 'int8'\n"));
}

TEST(ExportVllmTpu, TensorAndAttentionDataParallelism) {
  const Exported heads = To(ExportTarget::kVllmTpu, SerialModel(), "Fxyz/ws/Hxyz");
  EXPECT_THAT(heads.downgrades, IsEmpty());
  EXPECT_THAT(heads.text, HasSubstr(R"({"sharding_strategy":{"tensor_parallelism":64}})"));
  EXPECT_THAT(heads.text, Not(HasSubstr("NEW_MODEL_DESIGN")));
  EXPECT_THAT(heads.text, HasSubstr("--tensor-parallel-size 64 --max-model-len 36 "
                                    "--max-num-seqs 128 "));
  const Exported mixed = To(ExportTarget::kVllmTpu, SerialModel(), "Fxyz/ws/Bxy.Hz");
  EXPECT_THAT(mixed.downgrades, IsEmpty());
  EXPECT_THAT(mixed.text, HasSubstr(R"("tensor_parallelism":64,"enable_dp_attention":true,)"
                                    R"("attn_dp_size":16)"));
  EXPECT_THAT(mixed.text, HasSubstr("export NEW_MODEL_DESIGN=1\n"));
}

// 64 chips in four replicas of 16: 4 ways over batch, 4 over heads.
TEST(ExportVllmTpu, ReplicasAreItsDataParallelism) {
  const Exported exported = To(ExportTarget::kVllmTpu, SerialModel(), "Fxy.Rz/ws/Byz.Hx");
  EXPECT_THAT(exported.downgrades, IsEmpty());
  EXPECT_THAT(exported.text,
              HasSubstr("over batch 16 ways, over heads 4 ways, over the cache's length 1 ways"));
  EXPECT_THAT(exported.text, HasSubstr("--tensor-parallel-size 16 --data-parallel-size 4 --max"));
  EXPECT_THAT(exported.text, HasSubstr(R"("tensor_parallelism":16,"enable_dp_attention":true,)"
                                       R"("attn_dp_size":4)"));
}

// 8 KV heads of 16 query heads each over 64 chips: 8 chips would repeat a head, so its cache can be
// cut 4 ways; 16 ways not. Of SerialModel no head is repeated.
TEST(ExportVllmTpu, TheCachesLengthWhereKvHeadsRepeat) {
  Model model = GroupedModel();
  model.query_heads = 128;
  model.kv_heads = 8;
  const Exported exported = To(ExportTarget::kVllmTpu, model, "Fxyz/ws/Hxy.Sz");
  EXPECT_THAT(exported.downgrades, IsEmpty());
  EXPECT_THAT(exported.text,
              HasSubstr("over batch 1 ways, over heads 16 ways, over the cache's length 4 ways"));
  EXPECT_THAT(exported.text,
              HasSubstr("--tensor-parallel-size 64 --decode-context-parallel-size 4 --max"));
  EXPECT_THAT(exported.text, HasSubstr("export NEW_MODEL_DESIGN=1\n"));
  const Exported finer = To(ExportTarget::kVllmTpu, model, "Fxyz/ws/Hx.Syz");
  EXPECT_THAT(
      finer.downgrades,
      ElementsAre(HasSubstr("the KV cache's length over y,z: vLLM needs a "
                            "tensor_parallel_size of at least 16 x 8 KV heads (found 64)")));
  EXPECT_THAT(finer.text, Not(HasSubstr("decode-context")));
  EXPECT_THAT(To(ExportTarget::kVllmTpu, SerialModel(), "Fxyz/ws/Hxy.Sz").downgrades,
              ElementsAre(HasSubstr("4 to divide the 1 query heads of each")));
}

TEST(ExportVllmTpu, SaysWhatIsLost) {
  EXPECT_THAT(To(ExportTarget::kVllmTpu, SerialModel(), "Ex.Fyz/wg-xyz/Bxyz").downgrades,
              ElementsAre(HasSubstr("weight-gathered feed-forward over x,y,z"),
                          HasSubstr("d_model of the weights over x")));
  Workload work = SmallWorkload();
  work.weights = work.activations = work.kv_cache = DataType::kInt8;
  const Exported bytes =
      To(ExportTarget::kVllmTpu,
         PlansOf(SerialModel(), "Fxyz/ws/Bxyz", "Fxyz/ws/Hxyz", SliceOf(2, 2, 2), work));
  EXPECT_THAT(bytes.downgrades,
              ElementsAre(HasSubstr("prefill under"), HasSubstr("int8 activations"),
                          HasSubstr("int8 weights"), HasSubstr("int8 KV cache")));
  EXPECT_THAT(bytes.text, HasSubstr("--kv-cache-dtype fp8"));
}

TEST(ExportEstiRules, TheReleasedLayoutsAreExact) {
  struct Case {
    const char* layout;
    const char* attention;
    const char* rule;
  };
  for (const Case& c :
       {Case{"Ex.Fyz/ws/Hxyz", "NONE", "('attn_batch', None)"},
        Case{"Ex.Fyz/ws/Bz.Hxy", "AXIS_Z", "('attn_batch', 'z')"},
        Case{"Ex.Fyz/ws/Byz.Hx", "AXES_YZ", "('attn_batch', ('y', 'z'))"},
        Case{"Ex.Fyz/ws/Bxyz", "AXES_YZX", "('residual_embed', ('x', 'y', 'z'))"},
        Case{"Fxyz/ws/Hxyz/Ex", "NONE", "('params_heads', ('x', 'y', 'z'))"},
        Case{"Ex.Fyz/wg-xyz/Bxyz", "NONE", "('residual_batch', ('x', 'y', 'z'))"}}) {
    const Exported exported = To(ExportTarget::kEstiRules, MultiqueryModel(), c.layout);
    EXPECT_THAT(exported.downgrades, IsEmpty()) << c.layout;
    EXPECT_THAT(exported.text, HasSubstr(std::string("AttnAllToAll.") + c.attention + "\n"));
    EXPECT_THAT(exported.text, HasSubstr(c.rule)) << c.layout;
  }
}

// The planner's y is the released code's z where attention shards batch over y alone.
TEST(ExportEstiRules, AxesAreRenamedToItsOrder) {
  const Exported exported = To(ExportTarget::kEstiRules, MultiqueryModel(), "Ey.Fxz/ws/Bx.Hyz");
  EXPECT_THAT(exported.downgrades, IsEmpty());
  EXPECT_THAT(exported.text, HasSubstr("x = y (4 chips), y = z (4 chips), z = x (4 chips)"));
  EXPECT_THAT(exported.text, HasSubstr("AttnAllToAll.AXIS_Z"));
}

TEST(ExportEstiRules, SaysWhatIsLost) {
  for (const char* layout :
       {"Ex.Fyz/ws/Bx.Hyz", "Exy.Fz/ws/Bxyz", "Ex.Fyz/wg-x/Bxyz", "Fxyz/ws/Hxyz", "Fxyz/ws/Bxyz"}) {
    EXPECT_THAT(To(ExportTarget::kEstiRules, MultiqueryModel(), layout).downgrades,
                ElementsAre(HasSubstr("layout " + std::string(layout))));
  }
  EXPECT_THAT(To(ExportTarget::kEstiRules, SerialModel(), "Ex.Fyz/ws/Bxyz").downgrades,
              ElementsAre(HasSubstr("the released code runs PaLM's block")));
}

TEST(ExportEstiRules, HasNeitherReplicasNorTheCachesLength) {
  const Exported length = To(ExportTarget::kEstiRules, MultiqueryModel(), "Ex.Fyz/ws/Bz.Hx.Sy");
  EXPECT_THAT(length.downgrades, ElementsAre(HasSubstr("the KV cache's length over y")));
  EXPECT_THAT(length.text, HasSubstr("AttnAllToAll.AXIS_Z"));
  const Exported replica = To(ExportTarget::kEstiRules, MultiqueryModel(), "Fxy.Rz/ws/Bz.Hxy/Ex");
  EXPECT_THAT(replica.downgrades,
              ElementsAre(HasSubstr("weights replicated over z: the released code has one copy of "
                                    "them; these are the rules of one replica of 4")));
  EXPECT_THAT(replica.text, HasSubstr("mesh_shape = (4, 4, 1)"));
  EXPECT_THAT(replica.text, HasSubstr("AttnAllToAll.NONE"));
}

TEST(ExportGcloud, NamesTheSliceInEveryVocabulary) {
  const Exported exported = To(ExportTarget::kGcloud, SerialModel(), "Fxyz/ws/Hxyz");
  EXPECT_THAT(exported.downgrades, IsEmpty());
  // 64 chips are 128 TensorCores.
  for (const char* part : {"--type=v4 --topology=4x4x4", "gke-tpu-topology: 4x4x4",
                           "gke-tpu-accelerator: tpu-v4-podslice", "--tpu-type=v4-128"}) {
    EXPECT_THAT(exported.text, HasSubstr(part));
  }
  const Exported turned =
      To(ExportTarget::kGcloud, SerialModel(), "Fxyz/ws/Hxyz", SliceOf(8, 4, 4));
  EXPECT_THAT(turned.text, HasSubstr("--topology=4x4x8"));
  EXPECT_THAT(turned.downgrades, ElementsAre(HasSubstr("8x4x4")));
}

TEST(ExportXlaFlags, OnlyWhatThePlansOverlapsNeed) {
  const auto flags = [](const char* layout) {
    return To(ExportTarget::kXlaFlags, MultiqueryModel(), layout).text;
  };
  EXPECT_THAT(flags("Ex.Fyz/ws/Bxyz"), HasSubstr("decompose_all_gather_einsum=true"));
  EXPECT_THAT(flags("Ex.Fyz/ws/Bxyz"), HasSubstr("decompose_einsum_reduce_scatter=true"));
  EXPECT_THAT(flags("Ex.Fyz/ws/Bxyz"), Not(HasSubstr("async_all_gather")));
  EXPECT_THAT(flags("Exyz/wg-xyz/Bxyz"), HasSubstr("--xla_enable_async_all_gather=true"));
  // 1D: the gather stands between residual and norm, the scatter loops with the einsum before it.
  EXPECT_THAT(flags("Fxyz/ws/Hxyz"), Not(HasSubstr("decompose_all_gather_einsum")));
  EXPECT_THAT(flags("Fxyz/ws/Hxyz"), HasSubstr("decompose_einsum_reduce_scatter=true"));
  // Nothing is left to loop over where every axis holds a replica.
  EXPECT_THAT(flags("Rxyz/ws/Bxyz"), HasSubstr("no flag is needed"));
}

}  // namespace
}  // namespace slicewise
