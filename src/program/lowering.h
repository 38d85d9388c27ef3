// The state of one lowering; lower.h says what it does. Split over files by what they lower:
// lower.cc (dims, tensors, the plumbing of ops), lower_weights.cc, lower_ends.cc (embedding,
// unembedding, sampling), lower_block.cc (attention and feed-forward).
#pragma once

#include <initializer_list>

#include "slicewise/program/lower.h"

namespace slicewise {

// One dim of a tensor and the axes that cut it.
struct Cut {
  Dim dim;
  AxisSet axes;
};

inline AxisOrder Joined(std::initializer_list<AxisSet> sets) {
  AxisOrder order;
  for (AxisSet set : sets) {
    order.Append(set);
  }
  return order;
}

using TensorList = FixedVector<TensorId, 5>;  // tensors that travel together

class Lowering {
 public:
  Lowering(const LowerRequest& request, const Layout& layout, const Mesh& mesh, Program& program)
      : model_(*request.model),
        work_(*request.workload),
        phase_(request.phase),
        layout_(layout),
        mesh_(mesh),
        p_(program),
        weights_embed_(layout.weights_embed),
        weights_ffn_(layout.weights_ffn),
        gathered_(layout.gathered),
        replicas_(layout.replicas),
        spread_(layout.gathered | layout.replicas),
        embed_(layout.weights_embed - layout.gathered),
        ffn_(layout.weights_ffn - layout.gathered),
        residual_embed_(layout.residual_embed()),
        batch_(layout.attention_batch - layout.gathered - layout.replicas),
        heads_(layout.attention_heads),
        sequence_(layout.attention_sequence),
        stored_heads_(static_cast<double>(request.padded_heads != 0
                                              ? request.padded_heads
                                              : StoredHeads(model_, layout, mesh, 0))),
        wide_residual_(layout.residual.has_value()) {}
  void Run();

 private:
  // --- dims -------------------------------------------------------------------------------------
  void SetDim(Dim dim, double size, double padded, const AxisOrder& order);
  void SetBatchAndLengthDims();

  // d_model, d_ff and vocabulary are padded to all the weights' axes, so that what is stored does
  // not depend on the phase.
  void SetModelDims();

  // Query heads that share a KV head must meet on the chips that hold it, so with grouped-query
  // attention the axes that stay in heads are the major digits; else the order is the weights'.
  void SetHeadDims();
  void SetKvDim(Dim dim, const AxisOrder& all, AxisSet split, AxisSet& axes);

  // --- tensors ----------------------------------------------------------------------------------
  TensorId Add(TensorRole role, DataType type, Lifetime lifetime, bool per_layer,
               std::initializer_list<Cut> cuts, AxisSet partial = {});
  TensorId LayerWeight(TensorRole role, std::initializer_list<Cut> cuts);
  // Norms, biases and embeddings stay in bf16: int8 is for the matrices (paper section 3.6).
  TensorId SmallWeight(TensorRole role, bool per_layer, std::initializer_list<Cut> cuts);
  // Partial sums are never narrower than bf16: int8 sums would overflow.
  TensorId Activation(TensorRole role, std::initializer_list<Cut> cuts, AxisSet partial = {});
  void KeepResidual();
  void AddWeights();
  void AddAttentionWeights();
  void AddEmbeddingWeights();

  // --- ops --------------------------------------------------------------------------------------
  Op& Emit(OpKind kind, Part part);
  void AddTerm(Op& op, TensorId lhs, TensorId rhs, TensorId out);
  TensorId Map(Elementwise function, Part part, TensorId lhs, TensorId rhs, TensorId out);
  // A collective of one term; returns `out`. With no axes nothing is emitted and `lhs` is returned.
  TensorId Move(OpKind kind, Part part, AxisSet axes, TensorId lhs, TensorId out);

  // Marks what a looped collective never holds whole: two chunks, one in use and one under way.
  void Stream(TensorId whole, TensorId chunk);
  Op& Looped(OpKind kind, Part part, Schedule schedule, AxisSet axes);

  // The weights as the coming einsum reads them: gathered over the gathered axes by one loop.
  void GatherWeights(TensorList& weights, Part part);

  // --- prologue and epilogue --------------------------------------------------------------------
  void Prologue();
  void Epilogue();
  // Whether gathering the table moves less; narrows the range of batches that the program is for.
  [[nodiscard]] bool GatherTable();
  TensorId FinalHidden(AxisSet batch, AxisSet embed);

  // The released code computes logits in float32. `embed` are the axes that shard E of the table as
  // the einsum reads it.
  TensorId Unembed(TensorId x, AxisSet batch, AxisSet embed);

  // Every chip offers the best candidate of its vocabulary shard for its sequences; all chips learn
  // all of them.
  void Sample(TensorId logits, AxisSet batch, AxisSet embed);

  // --- layer ------------------------------------------------------------------------------------
  void Layer();
  TensorId GatherFfnAxes(TensorId x, Part part, Dim length);

  // `axes` shard E of x: the statistics are summed over them.
  TensorId Normalize(TensorId x, TensorId vectors, TensorRole role, Part part, Dim length,
                     AxisSet axes);

  // One residual branch: attention, feed-forward, or both from one input (parallel block).
  void Block(bool attention, bool ffn, TensorId norm);

  // The residual, normalised and gathered over F'. Gathering comes first, which leaves the
  // statistics to be summed over E' alone; the released 1D code normalises its wider shards first
  // and loops the gathering with the einsum.
  TensorId BlockInput(TensorId norm, TensorRole role, Part part);
  struct Inputs {
    TensorId hidden = kNoTensor, gate = kNoTensor;
    TensorId query = kNoTensor, key = kNoTensor, value = kNoTensor;
  };
  [[nodiscard]] Dim BatchDim(AxisSet extra) const;

  // Axes of F that shard heads when projected and the cache's length in attention.
  [[nodiscard]] AxisSet FfnSequence() const { return ffn_ & sequence_; }
  // Of these, the ones that shard KV heads when projected: they are gathered.
  [[nodiscard]] AxisSet KvGatherAxes() const { return FfnSequence() & kv_axes_; }

  // Axes of F and B along which every chip projects the same KV heads: it slices its batch instead.
  [[nodiscard]] AxisSet SliceAxes() const;
  // Axes of F and B along which KV heads are sharded when projected: they move to batch.
  [[nodiscard]] AxisSet KvMoveAxes() const;
  // Grouped-query heads must first meet (all-to-all) before an E axis can share them out.
  [[nodiscard]] bool ScatterKvLate() const;

  // Gather weights, einsum, reduce-scatter over E': the first half of a block.
  Inputs ProjectInputs(bool attention, bool ffn, TensorId x, TensorId ffn_x, Part part);
  TensorId Hidden(TensorRole role, AxisSet axes, AxisSet partial);
  TensorId KeyValue(TensorRole role, AxisSet batch, Dim heads, AxisSet head_axes, AxisSet partial);
  void ScatterInputs(Inputs& in, Part part);

  // --- attention --------------------------------------------------------------------------------
  TensorId Attend(Inputs in);
  void GatherKvHeads(Inputs& in);
  void MoveHeadsToBatch(Inputs& in, AxisSet axes);

  // Partial sums over E axes of the heads: shared out where there are heads, else summed.
  void FinishKeyValue(Inputs& in);
  // Before every shard of the cache is attended to: summed over its E axes, gathered over its F.
  void FinishQuery(Inputs& in);
  TensorId Attended(TensorRole role, AxisSet batch, AxisSet heads, AxisSet partial);
  // Attention over shards of the cache: each shard's result is normalised by itself; the shards'
  // log sums of exponentials are gathered, every shard scales its result by its share of the whole
  // softmax, and the results are summed.
  TensorId AttendShards(const Inputs& in);
  Op& EmitAttention(const Inputs& in, TensorId attended);

  // --- second half of a block -------------------------------------------------------------------
  void ProjectOutputs(TensorId activated, TensorId attended, Part part);
  TensorId Output(AxisSet axes, AxisSet partial);
  void GatherOutputs(TensorId& activated, TensorId& attended, Part part, bool looped);
  // Whether the output einsum loops with the scatter of its result or, as a parallel block of the
  // released code, with the gather before it; a serial block here with what sends more.
  [[nodiscard]] bool LoopsScatter(bool ffn, bool attention) const;
  const Model& model_;
  const Workload& work_;
  const Phase phase_;
  const Layout& layout_;
  const Mesh& mesh_;
  Program& p_;
  const AxisSet weights_embed_, weights_ffn_, gathered_, replicas_;
  const AxisSet spread_;       // axes that shard the batch of every activation
  const AxisSet embed_, ffn_;  // E' and F': the weights' axes that are not gathered
  const AxisSet residual_embed_;
  const AxisSet batch_,
      heads_;               // attention's batch axes beyond those of all activations, and heads
  const AxisSet sequence_;  // axes that shard the cache's length
  const double stored_heads_;
  const bool wide_residual_;      // the fourth part: the residual is replicated over some axes
  AxisSet kv_axes_, cache_axes_;  // axes that shard KV heads as projected, and as cached
  std::uint8_t group_ = 0;
  TensorId residual_ = kNoTensor, gathered_input_ = kNoTensor;
  TensorId embedding_ = kNoTensor, unembedding_ = kNoTensor, positions_ = kNoTensor;
  TensorId norm_ = kNoTensor, second_norm_ = kNoTensor, final_norm_ = kNoTensor;
  TensorId ffn_in_ = kNoTensor, ffn_gate_ = kNoTensor, ffn_out_ = kNoTensor;
  TensorId ffn_in_bias_ = kNoTensor, ffn_gate_bias_ = kNoTensor, ffn_out_bias_ = kNoTensor;
  TensorId query_weights_ = kNoTensor, key_weights_ = kNoTensor, value_weights_ = kNoTensor;
  TensorId query_bias_ = kNoTensor, key_bias_ = kNoTensor, value_bias_ = kNoTensor;
  TensorId output_weights_ = kNoTensor, output_bias_ = kNoTensor;
  TensorId key_cache_ = kNoTensor, value_cache_ = kNoTensor;
};

}  // namespace slicewise
