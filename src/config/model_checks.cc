#include "model_checks.h"

#include <fmt/format.h>

namespace slicewise {
namespace {

// Parameters to within a factor of two or so, in floating point: what cannot overflow.
double RoughParameters(const Model& model) {
  const auto real = [](std::int64_t count) { return static_cast<double>(count); };
  const double embed = real(model.embed_dim);
  const double attention =
      2 * embed * (real(model.query_heads) + real(model.kv_heads)) * real(model.head_dim);
  const double ffn = 3 * embed * real(model.ffn_dim);
  const double norms = 2 * embed * model.norms_per_layer;
  const double rows = 2 * real(model.vocabulary) + real(model.max_positions);
  return real(model.layers) * (attention + ffn + norms) + rows * embed;
}

}  // namespace

void CheckModel(const Model& model, const JsonReader& file, const HeadKeys& keys) {
  constexpr double kMostParameters = 1e17;
  if (model.has_attention() && model.query_heads % model.kv_heads != 0) {
    file.Fail(keys.kv_heads, fmt::format("found {}, expected a divisor of {}, {}", model.kv_heads,
                                         keys.query_heads, model.query_heads));
  }
  const double parameters = RoughParameters(model);
  if (parameters > kMostParameters) {
    file.Fail("", fmt::format("found a model of about {:.0e} parameters, expected at most {:.0e}",
                              parameters, kMostParameters));
  }
}

}  // namespace slicewise
