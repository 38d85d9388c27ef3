// Requests from options as a person gives them, on the command line or in a file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/search/request.h"

namespace slicewise {

// As typed; nullopt where not given. The names are the options', dashes as underscores.
struct RequestOptions {
  std::optional<std::string> model, chip, slice, phase;
  std::optional<std::string> batch, prefill_batch, decode_batch;
  std::optional<std::string> input_len, output_len, context;
  bool fixed_context = false;
  std::optional<std::string> weights, activations, kv_cache, logits, pad_heads;
  std::optional<std::string> layout, calibration, network, scope, objective, top;
  std::optional<std::string> max_chips, ttft, tpot, min_context, prefill_chunk, layouts, threads;
  bool same_layout = false;

  // The place of the object that they were read from, such as "f.json: /scenarios/3"; empty for the
  // command line.
  std::string source;
  // Options that stand there under another key: "input_len" -> "input_length".
  std::map<std::string, std::string> keys;
};

// An option by the name of its member, as error messages name it: "--input-len", or
// "f.json: /scenarios/3/input_length".
[[nodiscard]] std::string PlaceOf(const RequestOptions& options, const std::string& member);

// Whether slices, batch sizes and weight formats may be lists to search over.
enum class Lists : std::uint8_t { kRefused, kAllowed };

// Loads what is named, checks what is given and fills in the defaults of docs/cli.md. Throws
// InputError naming the option, what was found and what was expected.
[[nodiscard]] Request ResolveRequest(const RequestOptions& options, Lists lists = Lists::kRefused);

// "64"; "1,8,64"; "1..1024", by powers of two from the first number to the last.
[[nodiscard]] std::vector<std::int64_t> ParseBatches(const std::string& place,
                                                     const std::string& text);

// The whole number of that text within [low, high]; `place` begins the error message.
[[nodiscard]] std::int64_t ParseWhole(const std::string& place, const std::string& text,
                                      std::int64_t low, std::int64_t high = 1'000'000'000);
// The text as one of `allowed`, by position.
[[nodiscard]] std::size_t ParseChoice(const std::string& place, const std::string& text,
                                      const std::vector<std::string>& allowed);

}  // namespace slicewise
