#include "options.h"

namespace slicewise::cli {

void AddModelOptions(CLI::App& app, RequestOptions& o) {
  app.add_option("--model", o.model,
                 "preset, slicewise model file, or Hugging Face config.json (required)");
  app.add_option("--chip", o.chip, "preset or file (default tpu-v4)");
  app.add_option("--slice", o.slice,
                 "chips along x, y, z (4x4x4), or an accelerator type (v4-128 is 64 chips: it "
                 "counts TensorCores) (required)");
}

void AddWorkloadOptions(CLI::App& app, RequestOptions& o) {
  app.add_option("--phase", o.phase, "prefill, decode or both (default both)");
  app.add_option("--batch", o.batch, "sequences, both phases (default 1)");
  app.add_option("--prefill-batch", o.prefill_batch, "sequences, prefill (default --batch)");
  app.add_option("--decode-batch", o.decode_batch, "sequences, decode (default --batch)");
  app.add_option("--input-len", o.input_len,
                 "input tokens per sequence (default 2048; 0 when --context is given)");
  app.add_option("--output-len", o.output_len, "output tokens per sequence (default 64)");
  app.add_option("--context", o.context, "tokens cached before the phase begins (default 0)");
  app.add_flag("--fixed-context", o.fixed_context,
               "hold the attended context at its start during decode");
  app.add_option("--weights", o.weights, "bf16 or int8 (default bf16)");
  app.add_option("--activations", o.activations, "bf16 or int8 (default bf16)");
  app.add_option("--kv-cache", o.kv_cache, "bf16 or int8 (default bf16)");
  app.add_option("--logits", o.logits, "of which positions: last or all (default last)");
  app.add_option("--pad-heads", o.pad_heads,
                 "stored query heads (default: the fewest each layout allows)");
  app.add_option("--scope", o.scope, "end-to-end or layers (default end-to-end)");
}

void AddSearchOptions(CLI::App& app, RequestOptions& o) {
  app.add_option("--layout", o.layout,
                 "price exactly this layout, such as Ex.Fyz/ws/Bxyz; * matches any part, as in "
                 "'*/ws/*' (default all)");
  app.add_option("--calibration", o.calibration, "preset or file, or roofline (default tpu-v4)");
  app.add_option("--network", o.network, "torus or paper (default torus)");
  app.add_option("--objective", o.objective, "latency, mfu or cost (default latency)");
  app.add_option("--top", o.top, "plans to print per phase (default 5)");
}

void AddOutputOptions(CLI::App& app, CommonOptions& o) {
  app.add_option("--format", o.format, "table, json, csv or markdown (default table)");
  app.add_option("--output", o.output, "write to this file, whole or not at all");
}

OutputFormat ResolveFormat(const CommonOptions& o) {
  return o.format ? static_cast<OutputFormat>(
                        ParseChoice("--format", *o.format, {"table", "json", "csv", "markdown"}))
                  : OutputFormat::kTable;
}

}  // namespace slicewise::cli
