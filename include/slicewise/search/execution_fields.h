// The fields of an Execution by name, in the order of the document: visit(name, value) for each.
#pragma once

#include "slicewise/search/execution.h"

namespace slicewise {

template <class Visit>
void VisitFields(const ExecutionModel& model, Visit&& visit) {
  visit("name", model.name);
  visit("layers", model.layers);
  visit("embed_dim", model.embed_dim);
  visit("ffn_dim", model.ffn_dim);
  visit("gated", model.gated);
  visit("query_heads", model.query_heads);
  visit("kv_heads", model.kv_heads);
  visit("head_dim", model.head_dim);
  visit("vocabulary", model.vocabulary);
  visit("tied_embedding", model.tied_embedding);
  visit("block", model.block);
  visit("norm", model.norm);
  visit("norm_bias", model.norm_bias);
  visit("norms_per_layer", model.norms_per_layer);
  visit("final_norm", model.final_norm);
  visit("query_key_norm", model.query_key_norm);
  visit("attention_qkv_bias", model.attention_qkv_bias);
  visit("attention_output_bias", model.attention_output_bias);
  visit("ffn_bias", model.ffn_bias);
  visit("positions", model.positions);
  visit("max_positions", model.max_positions);
  visit("mfu_parameters", model.mfu_parameters);
}

template <class Visit>
void VisitFields(const ExecutionAxis& axis, Visit&& visit) {
  visit("name", axis.name);
  visit("size", axis.size);
  visit("physical_axis", axis.physical_axis);
  visit("wraps", axis.wraps);
}

template <class Visit>
void VisitFields(const ExecutionMesh& mesh, Visit&& visit) {
  visit("slice", mesh.slice);
  visit("twisted", mesh.twisted);
  visit("axes", mesh.axes);
}

template <class Visit>
void VisitFields(const ExecutionDim& dim, Visit&& visit) {
  visit("name", dim.name);
  visit("letter", dim.letter);
  visit("size", dim.size);
  visit("padded_size", dim.padded_size);
  visit("axes", dim.axes);
  visit("indices", dim.indices);
}

template <class Visit>
void VisitFields(const ExecutionShard& shard, Visit&& visit) {
  visit("name", shard.name);
  visit("letter", shard.letter);
  visit("size", shard.size);
  visit("padded_size", shard.padded_size);
  visit("axes", shard.axes);
  visit("local_size", shard.local_size);
}

template <class Visit>
void VisitFields(const ExecutionTensor& tensor, Visit&& visit) {
  visit("name", tensor.name);
  visit("role", tensor.role);
  visit("dtype", tensor.dtype);
  visit("lifetime", tensor.lifetime);
  visit("per_layer", tensor.per_layer);
  visit("streamed", tensor.streamed);
  visit("dims", tensor.dims);
  visit("partial_axes", tensor.partial_axes);
  visit("shape_per_chip", tensor.shape_per_chip);
  visit("bytes_per_chip", tensor.bytes_per_chip);
}

template <class Visit>
void VisitFields(const ExecutionTerm& term, Visit&& visit) {
  visit("lhs", term.lhs);
  visit("rhs", term.rhs);
  visit("out", term.out);
}

template <class Visit>
void VisitFields(const ExecutionOp& op, Visit&& visit) {
  visit("index", op.index);
  visit("section", op.section);
  visit("kind", op.kind);
  visit("function", op.function);
  visit("part", op.part);
  visit("axes", op.axes);
  visit("schedule", op.schedule);
  visit("group", op.group);
  visit("overlaps", op.overlaps);
  visit("terms", op.terms);
  visit("volume_bytes", op.volume_bytes);
  visit("sent_bytes", op.sent_bytes);
  visit("flops", op.flops);
}

template <class Visit>
void VisitFields(const ExecutionPhase& phase, Visit&& visit) {
  visit("layout", phase.layout);
  visit("batch", phase.batch);
  visit("query_length", phase.query_length);
  visit("cache_length", phase.cache_length);
  visit("layers", phase.layers);
  visit("steps", phase.steps);
  visit("dims", phase.dims);
  visit("tensors", phase.tensors);
  visit("ops", phase.ops);
}

template <class Visit>
void VisitFields(const ExecutionPhases& phases, Visit&& visit) {
  visit("prefill", phases.prefill);
  visit("decode", phases.decode);
}

template <class Visit>
void VisitFields(const ExecutionChanges& changes, Visit&& visit) {
  visit("batch", changes.batch);
  visit("layers", changes.layers);
  visit("tensors", changes.tensors);
  visit("ops", changes.ops);
}

template <class Visit>
void VisitFields(const Execution& execution, Visit&& visit) {
  visit("model", execution.model);
  visit("mesh", execution.mesh);
  visit("stored_heads", execution.stored_heads);
  visit("weights", execution.weights);
  visit("phases", execution.phases);
  visit("changes", execution.changes);
}

}  // namespace slicewise
