#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "options.h"
#include "output.h"
#include "slicewise/report/capacity_report.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

// "free", or a percentage of nominal HBM such as "30%".
KvBudget ParseBudget(const std::string& text) {
  if (text == "free") {
    return {};
  }
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || std::string_view(end) != "%" || !(percent > 0) || percent > 100) {
    throw InputError(fmt::format(
        "--kv-budget: found '{}', expected free, or a percentage of nominal HBM such as 30%",
        text));
  }
  return {percent / 100};
}

std::string Render(const CapacityReport& report, OutputFormat format, std::size_t width) {
  switch (format) {
    case OutputFormat::kTable:
      return CapacityText(report, width);
    case OutputFormat::kJson:
      return CapacityJson(report).dump(2) + "\n";
    case OutputFormat::kCsv:
      return CapacityCsv(report);
    case OutputFormat::kMarkdown:
      return CapacityMarkdown(report);
  }
  return "";
}

}  // namespace

Command AddCapacity(CLI::App& root) {
  auto options = std::make_shared<CommonOptions>();
  auto budget = std::make_shared<std::string>("free");
  CLI::App* app = root.add_subcommand(
      "capacity", "Show the largest context and batch that fit, per attention layout.");
  AddModelOptions(*app, options->request);
  AddWorkloadOptions(*app, options->request);
  AddSearchOptions(*app, options->request);
  app->add_option("--kv-budget", *budget,
                  "memory for the KV cache: free (what weights and activations leave, the default) "
                  "or a percentage of nominal HBM such as 30%");
  AddOutputOptions(*app, *options);
  return {app, [options, budget](Streams streams) {
            const OutputFormat format = ResolveFormat(*options);
            RequestOptions typed = options->request;
            // Decode reads the cache; without a filter the weights stay where they are.
            typed.layout = typed.layout.value_or("*/ws/*");
            const Request request = ResolveRequest(typed);
            if (!request.setting.model.has_attention()) {
              throw InputError(fmt::format("model '{}' has no attention: there is no KV cache",
                                           request.setting.model.name));
            }
            const Mesh mesh(request.setting.slice);
            const CapacityReport report = {
                request.setting, request.provenance, request.layout, ParseBudget(*budget),
                Capacity(request.setting, LayoutFilter(request.layout, mesh), ParseBudget(*budget),
                         request.layouts)};
            for (const std::string& note : request.provenance.notes) {
              streams.err << "slicewise: note: " << note << "\n";
            }
            WriteResult(Render(report, format, ResultWidth(options->output, streams.terminal)),
                        options->output, streams.out);
            bool any = false;
            for (const CapacityRow& row : report.rows) {
              any = any || row.max_context > 0 || row.max_batch > 0;
            }
            if (!any) {
              streams.err << "slicewise: nothing fits: no layout has room for a KV cache\n";
            }
            return any ? ExitCode::kDone : ExitCode::kInfeasible;
          }};
}

}  // namespace slicewise::cli
