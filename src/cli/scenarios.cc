#include "scenarios.h"

#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "output.h"
#include "slicewise/config/scenario_config.h"
#include "slicewise/report/sweep_report.h"
#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

using Json = nlohmann::ordered_json;

// One line's document. A request that nothing answers is answered: its document says what is
// missing.
Json Answer(const std::string& line, const std::string& place,
            const std::optional<std::string>& threads, std::string& name) {
  JsonReader reader = JsonReader::Parse({place, line});
  name = reader.OptionalText("name").value_or("");
  reader.Skip("comment");
  RequestOptions options = ReadScenario(reader);
  reader.Finish();
  options.threads = threads;
  const Request request = ResolveRequest(options, Lists::kAllowed);
  return request.sweeps() ? SweepJson(MakeSweepReport(request, nullptr))
                          : PlanJson(MakePlanReport(request));
}

}  // namespace

ExitCode PlanScenarios(const std::string& path, const CommonOptions& options, Streams streams) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) {
      throw InputError(fmt::format("cannot read '{}'", path));
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  const std::string source = path == "-" ? "standard input" : path;
  std::string whole;  // for a file; a stream gets each line as it is done
  const bool to_file = options.output && *options.output != "-";
  bool bad = false;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    Json document;
    std::string name;
    try {
      document =
          Answer(line, fmt::format("{} line {}", source, number), options.request.threads, name);
    } catch (const InputError& error) {
      bad = true;
      streams.err << "slicewise: " << error.what() << "\n";
      document = {{"schema", "slicewise-error/1"}, {"error", error.what()}};
    }
    Json out = {{"line", number}};
    if (!name.empty()) {
      out["name"] = name;
    }
    out.update(document);
    // What is wrong with a line may be that it is no UTF-8, and its message quotes it.
    const std::string text = out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (to_file) {
      whole += text;
    } else {
      streams.out << text << std::flush;
    }
  }
  if (to_file) {
    WriteFileWhole(*options.output, whole);
  }
  return bad ? ExitCode::kBadInput : ExitCode::kDone;
}

}  // namespace slicewise::cli
