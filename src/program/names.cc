#include <array>

#include "slicewise/program/program.h"

namespace slicewise {
namespace {

template <class Enum, std::size_t N>
std::string_view Look(const std::array<std::string_view, N>& names, Enum value) {
  return names[static_cast<std::size_t>(value)];
}

}  // namespace

std::string_view Letter(Dim dim) {
  static constexpr std::array<std::string_view, kDimCount> kLetters = {
      "B", "B", "L", "L", "T",    "S",   "shard", "E",    "F", "H",
      "K", "K", "D", "V", "stat", "row", "C",     "pair", "P"};
  return Look(kLetters, dim);
}

std::string_view Name(Dim dim) {
  static constexpr std::array<std::string_view, kDimCount> kNames = {
      "batch",        "attention_batch", "length",   "logit_length", "context",
      "cache_length", "sequence_shard",  "embed",    "ffn",          "heads",
      "kv_heads",     "cache_kv_heads",  "head_dim", "vocabulary",   "statistic",
      "norm_row",     "candidate",       "pair",     "position"};
  return Look(kNames, dim);
}

std::string_view Name(TensorRole role) {
  static constexpr std::array<std::string_view, 45> kNames = {"embedding",
                                                              "unembedding",
                                                              "position_table",
                                                              "ffn_input_weights",
                                                              "ffn_gate_weights",
                                                              "ffn_output_weights",
                                                              "query_weights",
                                                              "key_weights",
                                                              "value_weights",
                                                              "attention_output_weights",
                                                              "norm_vectors",
                                                              "second_norm_vectors",
                                                              "final_norm_vectors",
                                                              "ffn_input_bias",
                                                              "ffn_gate_bias",
                                                              "ffn_output_bias",
                                                              "query_bias",
                                                              "key_bias",
                                                              "value_bias",
                                                              "attention_output_bias",
                                                              "key_cache",
                                                              "value_cache",
                                                              "tokens",
                                                              "embedded",
                                                              "residual",
                                                              "gathered_residual",
                                                              "statistics",
                                                              "normalized",
                                                              "second_normalized",
                                                              "batch_slice",
                                                              "ffn_hidden",
                                                              "ffn_gate",
                                                              "ffn_activated",
                                                              "query",
                                                              "key",
                                                              "value",
                                                              "attended",
                                                              "attended_shard",
                                                              "log_sum_exp",
                                                              "block_output",
                                                              "final_hidden",
                                                              "logits",
                                                              "candidates",
                                                              "gathered_weights"};
  return Look(kNames, role);
}

std::string_view Name(Lifetime lifetime) {
  static constexpr std::array<std::string_view, 3> kNames = {"persistent", "phase", "transient"};
  return Look(kNames, lifetime);
}

std::string_view Name(OpKind kind) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "einsum",     "attention",  "all-gather", "reduce-scatter",
      "all-reduce", "all-to-all", "elementwise"};
  return Look(kNames, kind);
}

std::string_view Name(Elementwise function) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "none",     "lookup", "norm statistics", "normalize", "slice",
      "activate", "add",    "last token",      "sample",    "combine"};
  return Look(kNames, function);
}

std::string_view Name(Part part) {
  static constexpr std::array<std::string_view, 5> kNames = {"ffn", "attention", "shared",
                                                             "embedding", "head"};
  return Look(kNames, part);
}

std::string_view Name(Schedule schedule) {
  static constexpr std::array<std::string_view, 3> kNames = {"blocking", "looped one-way",
                                                             "looped two-way"};
  return Look(kNames, schedule);
}

std::string_view SectionName(const Program& program, std::size_t op) {
  return op < program.layer.begin ? "prologue" : op < program.layer.end ? "layer" : "epilogue";
}

}  // namespace slicewise
