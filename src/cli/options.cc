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
  app.add_option("--prefill-chunk", o.prefill_chunk,
                 "tokens of one prefill pass (default all of the input at once)");
  app.add_option("--scope", o.scope, "end-to-end or layers (default end-to-end)");
}

void AddSearchOptions(CLI::App& app, RequestOptions& o) {
  app.add_option("--layout", o.layout,
                 "price exactly this layout, such as Ex.Fyz/ws/Bxyz; * matches any part, as in "
                 "'*/ws/*' (default all)");
  app.add_option("--calibration", o.calibration, "preset or file, or roofline (default tpu-v4)");
  app.add_option("--network", o.network, "torus or paper (default torus)");
  app.add_option("--objective", o.objective, "latency, mfu, cost or throughput (default latency)");
  app.add_option("--top", o.top, "plans to print per phase (default 5)");
  app.add_option(
      "--layouts", o.layouts,
      "paper, or all: with weights replicated over axes (R), the KV cache sharded over its "
      "length (S) and axes split into factors (x1, x2) too (default paper)");
}

void AddSweepOptions(CLI::App& app, RequestOptions& o) {
  app.get_option("--slice")->description(
      "chips along x, y, z (4x4x4), an accelerator type (v4-128 is 64 chips: it counts "
      "TensorCores), "
      "a list of them, or all");
  for (const char* batch : {"--batch", "--prefill-batch", "--decode-batch"}) {
    CLI::Option* option = app.get_option(batch);
    option->description(option->get_description() +
                        "; a list 1,8,64 or a range 1..1024 by powers "
                        "of two");
  }
  app.get_option("--weights")->description("bf16, int8 or both as a list (default bf16)");
  app.add_option("--max-chips", o.max_chips,
                 "search over all slices of at most this many chips, or keep those of --slice");
  app.add_option("--ttft", o.ttft,
                 "hard limit on the time to first token, with its unit, such as 300ms: plans that "
                 "miss it are left out");
  app.add_option("--tpot", o.tpot,
                 "hard limit on the time per output token, with its unit, such as 30ms");
  app.add_option("--min-context", o.min_context,
                 "tokens that the KV cache must have room for, per sequence of the decode batch");
  app.add_flag("--same-layout", o.same_layout,
               "a deployment has one layout for both phases; says what that costs");
  app.add_option("--threads", o.threads, "threads of a search over lists (default 1)");
}

void AddOutputOptions(CLI::App& app, CommonOptions& o) {
  app.add_option(
      "--format", o.format,
      "table, json, csv or markdown (default as --output ends: .json, .csv, .md; else table)");
  app.add_option("--output", o.output, "write to this file, whole or not at all");
}

OutputFormat ResolveFormat(const CommonOptions& o) {
  if (o.format) {
    return static_cast<OutputFormat>(
        ParseChoice("--format", *o.format, {"table", "json", "csv", "markdown"}));
  }
  const std::string file = o.output.value_or("");
  return file.ends_with(".json")  ? OutputFormat::kJson
         : file.ends_with(".csv") ? OutputFormat::kCsv
         : file.ends_with(".md")  ? OutputFormat::kMarkdown
                                  : OutputFormat::kTable;
}

}  // namespace slicewise::cli
