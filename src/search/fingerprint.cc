#include "slicewise/search/fingerprint.h"

#include <fmt/format.h>

#include <cstdint>
#include <type_traits>
#include <vector>

namespace slicewise {
namespace {

// FNV-1a over the text of every field, each ended by a separator.
class Hash {
 public:
  template <class... Fields>
  Hash& Add(const Fields&... fields) {
    (AddOne(fields), ...);
    return *this;
  }
  [[nodiscard]] std::string text() const { return fmt::format("{:016x}", state_); }

 private:
  void AddText(std::string_view text) {
    for (char c : text) {
      AddByte(static_cast<unsigned char>(c));
    }
    AddByte(0);
  }
  void AddByte(unsigned char byte) { state_ = (state_ ^ byte) * 1099511628211U; }

  template <class Dimension>
  void AddOne(Quantity<Dimension> quantity) {
    AddOne(quantity.base());
  }
  template <class Item>
  void AddOne(const std::vector<Item>& items) {
    for (const Item& item : items) {
      AddOne(item);
    }
    AddText("]");
  }
  void AddOne(std::string_view text) { AddText(text); }
  template <class Field>
  requires(std::is_enum_v<Field>) void AddOne(Field field) {
    AddText(fmt::format("{}", static_cast<int>(field)));
  }
  template <class Field>
  requires(std::is_arithmetic_v<Field>) void AddOne(Field field) {
    AddText(fmt::format("{}", field));
  }

  std::uint64_t state_ = 14695981039346656037U;
};

// The bindings below name every field: a field that is added does not compile until it is hashed.

std::string HashOf(const Model& model) {
  const auto& [name, layers, embed_dim, ffn_dim, gated, query_heads, kv_heads, head_dim, vocabulary,
               tied_embedding, block, norm, norm_bias, norms_per_layer, final_norm, query_key_norm,
               biases, positions, max_positions, nominal_parameters] = model;
  static_cast<void>(name);
  const auto& [attention_qkv, attention_output, ffn] = biases;
  return Hash()
      .Add(layers, embed_dim, ffn_dim, gated, query_heads, kv_heads, head_dim, vocabulary)
      .Add(tied_embedding, block, norm, norm_bias, norms_per_layer, final_norm, query_key_norm)
      .Add(attention_qkv, attention_output, ffn, positions, max_positions, nominal_parameters)
      .text();
}

std::string HashOf(const Chip& chip) {
  const auto& [name, accelerator_prefix, cores_per_chip, peak_bf16, peak_int8, hbm_nominal,
               hbm_usable, hbm_bandwidth, on_chip_memory, link_bandwidth, paper_bandwidth,
               torus_rank, wrap_rule, wrap_multiple, max_chips, small_shapes, chips_per_host,
               host_bandwidth, price_per_chip_hour] = chip;
  static_cast<void>(name);
  return Hash()
      .Add(accelerator_prefix, cores_per_chip, peak_bf16, peak_int8, hbm_nominal, hbm_usable)
      .Add(hbm_bandwidth, on_chip_memory, link_bandwidth, paper_bandwidth, torus_rank, wrap_rule)
      .Add(wrap_multiple, max_chips, small_shapes, chips_per_host, host_bandwidth)
      .Add(price_per_chip_hour)
      .text();
}

std::string HashOf(const Calibration& calibration) {
  Hash hash;
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    hash.Add(parameter.name, calibration.*parameter.member);
  }
  for (const Calibration::Interval* interval : {&calibration.inside, &calibration.outside}) {
    const auto& [coverage, factor_low, factor_high] = *interval;
    hash.Add(coverage, factor_low, factor_high);
  }
  const auto& [min_chips, max_chips, min_rows, max_rows, min_context, max_context, weight_types] =
      calibration.range;
  return hash.Add(calibration.ideal_schedules, min_chips, max_chips, min_rows, max_rows)
      .Add(min_context, max_context, weight_types)
      .text();
}

std::string HashOf(const Request& request) {
  const Setting& setting = request.setting;
  const auto& [prefill_batch, decode_batch, input_length, output_length, context, prefill_chunk,
               fixed_context, weights, activations, kv_cache, logits, scope] = setting.workload;
  return Hash()
      .Add(ToString(setting.slice), setting.padded_heads, setting.network, request.phases)
      .Add(request.layout, request.objective, prefill_batch, decode_batch, input_length)
      .Add(output_length, context, prefill_chunk, fixed_context, weights, activations, kv_cache,
           logits, scope)
      .text();
}

}  // namespace

Inputs InputsOf(const Request& request) {
  return {request.provenance.tool_version, HashOf(request), HashOf(request.setting.model),
          HashOf(request.setting.chip), HashOf(request.setting.calibration)};
}

}  // namespace slicewise
