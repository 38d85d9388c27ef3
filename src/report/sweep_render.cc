#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "slicewise/report/sweep_report.h"
#include "slicewise/report/table.h"
#include "slicewise/units/text.h"
#include "sweep_chart.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

std::string Range(const std::vector<std::int64_t>& values) {
  return values.size() == 1 ? fmt::format("{}", values.front())
                            : fmt::format("{} to {}", values.front(), values.back());
}

std::string Formats(const std::vector<DataType>& types) {
  std::vector<std::string_view> names;
  for (DataType type : types) {
    names.push_back(Name(type));
  }
  return fmt::format("{}", fmt::join(names, " or "));
}

std::string SpaceText(const Request& request) {
  const SweepSpace& space = request.space;
  const Setting& s = request.setting;
  int most = 0;
  for (const Slice& slice : space.slices) {
    most = std::max(most, slice.chips());
  }
  std::string text = fmt::format(
      "{} on {}: {}, prefill batch {}, decode batch {}, {} weights\n", s.model.name, s.chip.name,
      space.slices.size() == 1
          ? "slice " + ToString(space.slices.front())
          : fmt::format("{} slices of up to {} chips", space.slices.size(), most),
      Range(space.prefill_batches), Range(space.decode_batches), Formats(space.weights));
  text += fmt::format("{} input and {} output tokens, objective {}; calibration {}, network {}\n",
                      s.workload.input_length, s.workload.output_length, Name(request.objective),
                      s.calibration.name, Name(s.network));
  std::vector<std::string> limits;
  if (request.targets.ttft > Seconds()) {
    limits.push_back("TTFT at most " + Format(request.targets.ttft));
  }
  if (request.targets.tpot > Seconds()) {
    limits.push_back("TPOT at most " + Format(request.targets.tpot));
  }
  if (request.targets.min_context > 0) {
    limits.push_back(fmt::format("room for {} tokens of context", request.targets.min_context));
  }
  return limits.empty() ? text : text + fmt::format("hard limits: {}\n", fmt::join(limits, ", "));
}

Dollars PricePerMillion(const SweepPoint& point, const Chip& chip) {
  return chip.price_per_chip_hour * (point.plan.chip_seconds_per_token.base() * 1e6 / 3600);
}

Table PointTable(const Request& request, const PhaseSweep& sweep) {
  const bool decode = sweep.phase == Phase::kDecode;
  Table table;
  table.columns = {{"#"},      {"slice", false},   {"chips"},
                   {"batch"},  {"weights", false}, {"layout", false},
                   {"latency"}};
  if (decode) {
    table.columns.push_back({"TPOT"});
  }
  for (const char* title : {"MFU", "tok/s", "chip-s/tok", "$/Mtok", "GiB/chip"}) {
    table.columns.push_back({title});
  }
  int rank = 0;
  for (const SweepPoint& point : sweep.points) {
    const Plan& plan = point.plan;
    std::vector<std::string> row = {std::to_string(++rank),
                                    ToString(point.slice),
                                    std::to_string(point.slice.chips()),
                                    std::to_string(point.batch),
                                    std::string(Name(point.weights)),
                                    ToString(plan.layout, Mesh(point.slice)),
                                    Format(plan.latency)};
    if (decode) {
      row.push_back(Format(plan.step));
    }
    row.push_back(FormatPercent(plan.mfu));
    row.push_back(FormatThreeDigits(plan.tokens_per_second));
    row.push_back(Format(plan.chip_seconds_per_token));
    row.push_back(FormatThreeDigits(PricePerMillion(point, request.setting.chip).base()));
    row.push_back(fmt::format("{:.1f}", plan.memory.total() / Gibibytes(1)));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table DeploymentTable(const std::vector<DeploymentPoint>& points, std::size_t most) {
  Table table;
  table.columns = {{"#"},      {"slice", false},   {"chips"},         {"weights", false},
                   {"batch"},  {"prefill", false}, {"decode", false}, {"latency"},
                   {"TTFT"},   {"TPOT"},           {"req/s"},         {"tok/chip-s"},
                   {"$/Mtok"}, {"GiB/chip"}};
  int rank = 0;
  for (const DeploymentPoint& point : points) {
    if (table.rows.size() == most) {
      break;
    }
    const Deployment& d = point.deployment;
    const Mesh mesh(point.slice);
    table.rows.push_back({std::to_string(++rank), ToString(point.slice),
                          std::to_string(point.slice.chips()), std::string(Name(point.weights)),
                          fmt::format("{}/{}", d.prefill_batch, d.decode_batch),
                          ToString(d.prefill.layout, mesh), ToString(d.decode.layout, mesh),
                          Format(d.latency), Format(d.figures.ttft), Format(d.figures.tpot),
                          FormatThreeDigits(d.figures.requests_per_second),
                          FormatThreeDigits(d.figures.tokens_per_chip_second),
                          FormatThreeDigits(d.figures.price_per_million_tokens.base()),
                          fmt::format("{:.1f}", d.memory / Gibibytes(1))});
  }
  return table;
}

std::string PairText(const SweepReport& report) {
  if (!report.pair) {
    return "";
  }
  const PairedDeployment& pair = *report.pair;
  const auto side = [](const SweepPoint& point) {
    return fmt::format("{} batch {} {} {}", ToString(point.slice), point.batch, Name(point.weights),
                       ToString(point.plan.layout, Mesh(point.slice)));
  };
  return fmt::format(
      "a slice for each phase: prefill {}, decode {}; {:.3g} prefill slices to a decode slice keep "
      "both busy\n  serving: TTFT {}, TPOT {}, {:.3g} requests/s per decode slice, {:.3g} tokens "
      "per chip-second, ${:.3g} per million tokens; moving the KV cache of a prefill {}\n",
      side(pair.prefill), side(pair.decode), pair.prefill_slices_per_decode_slice,
      Format(pair.figures.ttft), Format(pair.figures.tpot), pair.figures.requests_per_second,
      pair.figures.tokens_per_chip_second, pair.figures.price_per_million_tokens.base(),
      pair.kv_transfer > Seconds() ? Format(pair.kv_transfer) : "is not known");
}

std::string SameLayoutText(const SweepReport& report) {
  if (!report.with_two_layouts || report.deployments.empty()) {
    return "";
  }
  const Deployment& one = report.deployments.front().deployment;
  const Deployment& two = report.with_two_layouts->deployment;
  return fmt::format(
      "one layout for both phases: {} and ${:.3g} per million tokens; with two {} and ${:.3g}\n",
      Format(one.latency), one.figures.price_per_million_tokens.base(), Format(two.latency),
      two.figures.price_per_million_tokens.base());
}

std::string CountersText(const SweepCounters& counters) {
  return fmt::format("{} points, {} pruned by bounds; {} plans priced, {} infeasible\n",
                     counters.points, counters.pruned_points, counters.priced, counters.infeasible);
}

// The table of a phase's points, and what the search did.
std::string PointsText(const Request& request, const PhaseSweep& sweep, std::size_t width) {
  return (sweep.points.empty() ? std::string("no plan is feasible\n")
                               : FittedText(PointTable(request, sweep), width)) +
         Wrap(CountersText(sweep.counters), width);
}

Json CountersJson(const SweepCounters& c) {
  return {{"points", c.points},   {"pruned_points", c.pruned_points},
          {"layouts", c.layouts}, {"pruned", c.pruned},
          {"priced", c.priced},   {"infeasible", c.infeasible}};
}

Json PointJson(const SweepPoint& point, const Chip& chip) {
  Json json = {{"slice", ToString(point.slice)},
               {"chips", point.slice.chips()},
               {"batch", point.batch},
               {"weights", Name(point.weights)},
               {"layout", ToString(point.plan.layout, Mesh(point.slice))},
               {"stored_heads", point.plan.stored_heads}};
  json.update(PlanFiguresJson(point.plan));
  json["dollars_per_million_tokens"] = PricePerMillion(point, chip).base();
  json["memory_bytes"] = point.plan.memory.total().base();
  return json;
}

Json DeploymentPointJson(const DeploymentPoint& point) {
  const Deployment& d = point.deployment;
  const Mesh mesh(point.slice);
  return {{"slice", ToString(point.slice)},
          {"chips", point.slice.chips()},
          {"weights", Name(point.weights)},
          {"prefill_batch", d.prefill_batch},
          {"decode_batch", d.decode_batch},
          {"prefill_layout", ToString(d.prefill.layout, mesh)},
          {"decode_layout", ToString(d.decode.layout, mesh)},
          {"latency_seconds", d.latency.base()},
          {"mfu", d.mfu},
          {"kv_reshard_seconds", d.kv_reshard.base()},
          {"memory_bytes", d.memory.base()},
          {"serving", FiguresJson(d.figures)}};
}

Json PhasesJson(const std::vector<PhaseSweep>& phases, const Chip& chip) {
  Json out = Json::object();
  for (const PhaseSweep& sweep : phases) {
    Json points = Json::array();
    for (const SweepPoint& point : sweep.points) {
      points.push_back(PointJson(point, chip));
    }
    out[std::string(Name(sweep.phase))] = {{"counters", CountersJson(sweep.counters)},
                                           {"points", points}};
  }
  return out;
}

Json DeploymentsJson(const std::vector<DeploymentPoint>& points) {
  Json out = Json::array();
  for (const DeploymentPoint& point : points) {
    out.push_back(DeploymentPointJson(point));
  }
  return out;
}

Json PairJson(const PairedDeployment& pair, const Chip& chip) {
  return {{"prefill", PointJson(pair.prefill, chip)},
          {"decode", PointJson(pair.decode, chip)},
          {"prefill_slices_per_decode_slice", pair.prefill_slices_per_decode_slice},
          {"kv_transfer_seconds",
           pair.kv_transfer > Seconds() ? Json(pair.kv_transfer.base()) : Json()},
          {"serving", FiguresJson(pair.figures)}};
}

Json SpaceJson(const SweepSpace& space) {
  Json slices = Json::array();
  for (const Slice& slice : space.slices) {
    slices.push_back(ToString(slice));
  }
  Json weights = Json::array();
  for (DataType type : space.weights) {
    weights.push_back(Name(type));
  }
  return {{"slices", slices},
          {"prefill_batches", space.prefill_batches},
          {"decode_batches", space.decode_batches},
          {"weights", weights}};
}

// CSV of both reports: one line for each point, one for each deployment.
std::string PointsCsv(const Request& request, const std::vector<PhaseSweep>& phases,
                      const std::vector<DeploymentPoint>& deployments) {
  Table table;
  for (const char* title : {"kind", "rank", "slice", "chips", "weights", "prefill_batch",
                            "decode_batch", "prefill_layout", "decode_layout", "latency_seconds",
                            "step_seconds", "mfu", "chip_seconds_per_token",
                            "dollars_per_million_tokens", "requests_per_second", "memory_bytes"}) {
    table.columns.push_back({title});
  }
  const auto exact = [](double value) { return FormatExact(value); };
  for (const PhaseSweep& sweep : phases) {
    const bool prefill = sweep.phase == Phase::kPrefill;
    int rank = 0;
    for (const SweepPoint& p : sweep.points) {
      const std::string layout = ToString(p.plan.layout, Mesh(p.slice));
      const std::string batch = std::to_string(p.batch);
      table.rows.push_back({std::string(Name(sweep.phase)), std::to_string(++rank),
                            ToString(p.slice), std::to_string(p.slice.chips()),
                            std::string(Name(p.weights)), prefill ? batch : "",
                            prefill ? "" : batch, prefill ? layout : "", prefill ? "" : layout,
                            exact(p.plan.latency.base()), exact(p.plan.step.base()),
                            exact(p.plan.mfu), exact(p.plan.chip_seconds_per_token.base()),
                            exact(PricePerMillion(p, request.setting.chip).base()), "",
                            exact(p.plan.memory.total().base())});
    }
  }
  int rank = 0;
  for (const DeploymentPoint& p : deployments) {
    const Deployment& d = p.deployment;
    const Mesh mesh(p.slice);
    table.rows.push_back({"deployment", std::to_string(++rank), ToString(p.slice),
                          std::to_string(p.slice.chips()), std::string(Name(p.weights)),
                          std::to_string(d.prefill_batch), std::to_string(d.decode_batch),
                          ToString(d.prefill.layout, mesh), ToString(d.decode.layout, mesh),
                          exact(d.latency.base()), exact(d.figures.tpot.base()), exact(d.mfu),
                          exact(1 / d.figures.tokens_per_chip_second),
                          exact(d.figures.price_per_million_tokens.base()),
                          exact(d.figures.requests_per_second), exact(d.memory.base())});
  }
  return TableCsv(table);
}

}  // namespace

std::string SweepText(const SweepReport& report, std::size_t width) {
  std::string text = Wrap(SpaceText(report.request), width);
  for (const PhaseSweep& sweep : report.phases) {
    text += fmt::format("\n{}: the best layout of each slice, batch and format, by {}\n",
                        Name(sweep.phase), Name(report.request.objective));
    text += PointsText(report.request, sweep, width);
  }
  if (report.request.phases.size() == 2 && !report.infeasible()) {
    text += "\nboth phases on one slice, with shared weights\n";
    text += report.deployments.empty()
                ? std::string("no pair of plans shares its weights and fits in memory at once\n")
                : FittedText(DeploymentTable(report.deployments, report.request.top), width);
    text += Wrap(SameLayoutText(report) + "\n" + PairText(report), width);
  }
  return text;
}

std::string SweepMarkdown(const SweepReport& report) {
  std::string text = fmt::format("# {}\n\n", report.request.setting.model.name);
  text += SpaceText(report.request);
  for (const PhaseSweep& sweep : report.phases) {
    text += fmt::format("\n## {}\n\n", Name(sweep.phase)) +
            TableMarkdown(PointTable(report.request, sweep)) + "\n" + CountersText(sweep.counters);
  }
  if (!report.deployments.empty()) {
    text += "\n## Deployments\n\n" +
            TableMarkdown(DeploymentTable(report.deployments, report.request.top)) + "\n" +
            SameLayoutText(report) + PairText(report);
  }
  return text;
}

std::string SweepCsv(const SweepReport& report) {
  return PointsCsv(report.request, report.phases, report.deployments);
}

Json SweepJson(const SweepReport& report) {
  const Chip& chip = report.request.setting.chip;
  Json document = PlanJson(report.winner);
  Json sweep = SpaceJson(report.request.space);
  sweep["phases"] = PhasesJson(report.phases, chip);
  sweep["deployments"] = DeploymentsJson(report.deployments);
  sweep["with_two_layouts"] =
      report.with_two_layouts ? DeploymentPointJson(*report.with_two_layouts) : Json();
  sweep["pair"] = report.pair ? PairJson(*report.pair, chip) : Json();
  document["sweep"] = std::move(sweep);
  return document;
}

std::string ParetoText(const ParetoReport& report, std::size_t width) {
  const Chip& chip = report.request.setting.chip;
  std::string text = Wrap(SpaceText(report.request), width);
  for (const PhaseSweep& sweep : report.phases) {
    const bool decode = sweep.phase == Phase::kDecode;
    text += fmt::format("\n{}: no other is both faster and cheaper\n", Name(sweep.phase));
    text += PointsText(report.request, sweep, width);
    std::vector<ChartPoint> points;
    for (const SweepPoint& p : sweep.points) {
      points.push_back(
          {decode ? p.plan.step : p.plan.latency, PricePerMillion(p, chip), p.slice.chips()});
    }
    text += (points.empty() ? "" : "\n") +
            Chart(points, decode ? "time per output token" : "latency", width);
  }
  if (!report.deployments.empty()) {
    text += "\nboth phases on one slice, with shared weights\n";
    text += FittedText(DeploymentTable(report.deployments, report.deployments.size()), width);
    std::vector<ChartPoint> points;
    for (const DeploymentPoint& p : report.deployments) {
      points.push_back(
          {p.deployment.latency, p.deployment.figures.price_per_million_tokens, p.slice.chips()});
    }
    text += "\n" + Chart(points, "latency", width);
  }
  return text;
}

std::string ParetoMarkdown(const ParetoReport& report) {
  std::string text = fmt::format("# {}\n\n", report.request.setting.model.name);
  text += SpaceText(report.request);
  for (const PhaseSweep& sweep : report.phases) {
    text += fmt::format("\n## {}\n\n", Name(sweep.phase)) +
            TableMarkdown(PointTable(report.request, sweep));
  }
  if (!report.deployments.empty()) {
    text += "\n## Deployments\n\n" +
            TableMarkdown(DeploymentTable(report.deployments, report.deployments.size()));
  }
  return text;
}

std::string ParetoCsv(const ParetoReport& report) {
  return PointsCsv(report.request, report.phases, report.deployments);
}

Json ParetoJson(const ParetoReport& report) {
  PlanReport origin;
  origin.request = report.request;
  Json request = RequestJson(origin);
  for (const char* swept : {"slice", "accelerator_type", "chips", "tensor_cores", "prefill_batch",
                            "decode_batch", "weights"}) {
    request.erase(swept);
  }
  request.update(SpaceJson(report.request.space));
  return {{"schema", "slicewise-pareto/1"},
          {"request", request},
          {"provenance", ProvenanceJson(origin)},
          {"phases", PhasesJson(report.phases, report.request.setting.chip)},
          {"deployments", DeploymentsJson(report.deployments)}};
}

}  // namespace slicewise
