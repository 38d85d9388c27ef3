#include "slicewise/search/fingerprint.h"

#include <fmt/format.h>

#include <type_traits>
#include <vector>

#include "slicewise/units/sha256.h"

namespace slicewise {
namespace {

// The canonical text of what was added: a line for every value.
class Lines {
 public:
  template <class... Fields>
  Lines& Add(const Fields&... fields) {
    (AddOne(fields), ...);
    return *this;
  }
  [[nodiscard]] std::string Digest() const { return Sha256(text_); }

 private:
  template <class Dimension>
  void AddOne(Quantity<Dimension> quantity) {
    AddOne(quantity.base());
  }
  template <class Item>
  void AddOne(const std::vector<Item>& items) {
    for (const Item& item : items) {
      AddOne(item);
    }
    AddOne("]");
  }
  void AddOne(std::string_view text) {
    text_ += text;
    text_ += '\n';
  }
  template <class Field>
  requires(std::is_enum_v<Field>) void AddOne(Field field) { AddOne(static_cast<int>(field)); }
  template <class Field>
  requires(std::is_arithmetic_v<Field>) void AddOne(Field field) {
    AddOne(std::string_view(fmt::format("{}", field)));
  }

  std::string text_;
};

// The bindings below name every field: a field that is added does not compile until it is hashed.

std::string DigestOf(const Model& model) {
  const auto& [name, layers, embed_dim, ffn_dim, gated, query_heads, kv_heads, head_dim, vocabulary,
               tied_embedding, block, norm, norm_bias, norms_per_layer, final_norm, query_key_norm,
               biases, positions, max_positions, nominal_parameters] = model;
  static_cast<void>(name);
  const auto& [attention_qkv, attention_output, ffn] = biases;
  return Lines()
      .Add(layers, embed_dim, ffn_dim, gated, query_heads, kv_heads, head_dim, vocabulary)
      .Add(tied_embedding, block, norm, norm_bias, norms_per_layer, final_norm, query_key_norm)
      .Add(attention_qkv, attention_output, ffn, positions, max_positions, nominal_parameters)
      .Digest();
}

std::string DigestOf(const Chip& chip) {
  const auto& [name, accelerator_prefix, cores_per_chip, peak_bf16, peak_int8, hbm_nominal,
               hbm_usable, hbm_bandwidth, on_chip_memory, link_bandwidth, paper_bandwidth,
               torus_rank, wrap_rule, wrap_multiple, max_chips, small_shapes, chips_per_host,
               host_bandwidth, price_per_chip_hour] = chip;
  static_cast<void>(name);
  return Lines()
      .Add(accelerator_prefix, cores_per_chip, peak_bf16, peak_int8, hbm_nominal, hbm_usable)
      .Add(hbm_bandwidth, on_chip_memory, link_bandwidth, paper_bandwidth, torus_rank, wrap_rule)
      .Add(wrap_multiple, max_chips, small_shapes, chips_per_host, host_bandwidth)
      .Add(price_per_chip_hour)
      .Digest();
}

std::string DigestOf(const Calibration& calibration) {
  Lines lines;
  for (const CalibrationParameter& parameter : CalibrationParameters()) {
    lines.Add(parameter.name, calibration.*parameter.member);
  }
  for (const Calibration::Interval* interval : {&calibration.inside, &calibration.outside}) {
    const auto& [coverage, factor_low, factor_high] = *interval;
    lines.Add(coverage, factor_low, factor_high);
  }
  const auto& [min_chips, max_chips, min_rows, max_rows, min_context, max_context, weight_types] =
      calibration.range;
  return lines.Add(calibration.ideal_schedules, min_chips, max_chips, min_rows, max_rows)
      .Add(min_context, max_context, weight_types)
      .Digest();
}

std::string DigestOf(const Request& request) {
  const Setting& setting = request.setting;
  const auto& [prefill_batch, decode_batch, input_length, output_length, context, prefill_chunk,
               fixed_context, weights, activations, kv_cache, logits, scope] = setting.workload;
  const auto& [ttft, tpot, min_context] = request.targets;
  return Lines()
      .Add(ToString(setting.slice), setting.padded_heads, setting.network, request.phases)
      .Add(request.layout, request.layouts, request.same_layout, request.objective)
      .Add(prefill_batch, decode_batch, input_length, output_length, context, prefill_chunk)
      .Add(fixed_context, weights, activations, kv_cache, logits, scope)
      .Add(ttft, tpot, min_context)
      .Digest();
}

std::string Short(const std::string& digest) { return digest.substr(0, 16); }

}  // namespace

Fingerprints FingerprintsOf(const Setting& setting) {
  return {DigestOf(setting.model), DigestOf(setting.chip), DigestOf(setting.calibration)};
}

Inputs InputsOf(const Request& request) {
  const Fingerprints all = FingerprintsOf(request.setting);
  return {request.provenance.tool_version, Short(DigestOf(request)), Short(all.model),
          Short(all.chip), Short(all.calibration)};
}

}  // namespace slicewise
