#include "slicewise/search/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "slicewise/cost/memory.h"
#include "slicewise/cost/network.h"
#include "slicewise/emulator/dense.h"
#include "slicewise/emulator/emulator.h"
#include "slicewise/program/lower.h"
#include "slicewise/program/traffic.h"
#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

// The largest difference relative to the largest expected value; 1 where values are missing.
double Difference(const Values& found, const Values& expected) {
  if (found.size() != expected.size() || found.size() == 0 || found.hasNaN()) {
    return 1;
  }
  const double scale = expected.cwiseAbs().maxCoeff();
  const double most = (found - expected).cwiseAbs().maxCoeff();
  return scale > 0 ? most / scale : most;
}

// The last positions of each sequence, as many as make `size` elements.
Values LastPositions(const Values& all, std::int64_t batch, std::int64_t size) {
  const std::int64_t row = all.size() / batch;
  const std::int64_t kept = size / batch;
  if (kept == 0 || kept > row || size % batch != 0) {
    return all;
  }
  Values last(size);
  for (std::int64_t b = 0; b < batch; ++b) {
    last.segment(b * kept, kept) = all.segment((b + 1) * row - kept, kept);
  }
  return last;
}

std::string OpName(const Program& program, std::size_t index) {
  const Op& op = program.ops[index];
  const std::string_view kind = op.kind == OpKind::kElementwise ? Name(op.function) : Name(op.kind);
  const std::string axes =
      IsCollective(op.kind) ? " over " + program.mesh.Names(op.axes) : std::string();
  return fmt::format("{}: {}{} ({})", SectionName(program, index), kind, axes, Name(op.part));
}

// One program's run beside the dense model's.
class Runner {
 public:
  Runner(const ShrunkRequest& request, const VerifyPrograms& programs, const VerifyOptions& options,
         const Damage& damage)
      : request_(request),
        options_(options),
        damage_(damage),
        weights_(RandomWeights(request.model, options.seed)),
        dense_(request.model, weights_),
        random_(options.seed) {
    for (const Program& program : programs) {
      emulators_.push_back(std::make_unique<Emulator>(request.model, program, weights_));
    }
  }

  // With `locate`, every op's result is compared, so that the failure names the first wrong one.
  void Run(bool locate, VerifyReport& report) {
    const Workload& work = request_.workload;
    for (std::size_t i = 0; i < emulators_.size() && report.passed(); ++i) {
      Emulator& emulator = *emulators_[i];
      Watch(emulator, locate, report);
      if (i > 0) {
        emulator.CarryCache(*emulators_[i - 1]);
      }
      const bool decode = i + 1 == emulators_.size();
      const bool context = i + 2 < emulators_.size();
      const std::int64_t length = decode ? 1 : context ? work.context : work.input_length;
      for (int step = 0; step < (decode ? options_.decode_steps : 1); ++step) {
        RunPass(emulator, length,
                decode    ? fmt::format("decode step {}", step + 1)
                : context ? "prefill of the context"
                          : "prefill",
                report);
      }
    }
  }

  [[nodiscard]] const Emulator& emulator(std::size_t i) const { return *emulators_[i]; }

 private:
  void Watch(Emulator& emulator, bool locate, VerifyReport& report) {
    emulator.SetObserver([&, locate](std::size_t op, int layer) {
      if (damage_) {
        damage_(emulator, op, layer);
      }
      if (locate && report.passed()) {
        Compare(emulator, op, layer, report);
      }
    });
  }

  void Compare(Emulator& emulator, std::size_t index, int layer, VerifyReport& report) {
    const Program& program = emulator.program();
    const Op& op = program.ops[index];
    const std::int64_t batch = request_.workload.prefill_batch;
    for (std::size_t t = 0; t < op.term_count; ++t) {
      const TensorId out = op.terms[t].out;
      if (out == kNoTensor) {
        continue;
      }
      const auto found = dense_.trace().find({layer, program.tensor(out).role});
      if (found == dense_.trace().end()) {
        continue;
      }
      const Values values = emulator.Collect(out, layer);
      const bool known =
          std::any_of(found->second.begin(), found->second.end(), [&](const Values& expected) {
            return Difference(values, LastPositions(expected, batch, values.size())) <=
                   kVerifyTolerance;
          });
      if (!known) {
        report.failure = fmt::format("{}: {} is not what a single chip computes",
                                     OpName(program, index), Name(program.tensor(out).role));
        return;
      }
    }
  }

  PassInput NextInput(std::int64_t length) {
    const std::int64_t batch = request_.workload.prefill_batch;
    PassInput input{.batch = batch, .length = length, .tokens = {}, .residual = {}};
    if (!EndToEnd()) {
      std::normal_distribution<double> normal;
      input.residual.resize(batch * length * request_.model.embed_dim);
      for (double& value : input.residual) {
        value = normal(random_);
      }
      return input;
    }
    input.tokens = next_tokens_;
    if (next_tokens_.empty() || length > 1) {
      std::uniform_int_distribution<int> token(0, static_cast<int>(request_.model.vocabulary) - 1);
      input.tokens.resize(static_cast<std::size_t>(batch * length));
      std::generate(input.tokens.begin(), input.tokens.end(), [&] { return token(random_); });
    }
    return input;
  }

  [[nodiscard]] bool EndToEnd() const {
    return request_.workload.scope == Scope::kEndToEnd && request_.model.vocabulary > 0;
  }

  void RunPass(Emulator& emulator, std::int64_t length, std::string name, VerifyReport& report) {
    const PassInput input = NextInput(length);
    const DenseModel::Output expected = dense_.Pass(input);
    emulator.Pass(input);
    VerifyPass pass{.name = std::move(name)};
    pass.difference = Difference(emulator.residual(), expected.residual);
    if (EndToEnd()) {
      const Values logits = LastPositions(expected.logits, input.batch, emulator.logits().size());
      pass.difference = std::max(pass.difference, Difference(emulator.logits(), logits));
      next_tokens_ = BestTokens(expected.logits, input);
      pass.tokens_agree = emulator.sampled() == next_tokens_;
    }
    report.passes.push_back(pass);
    if (emulator.fault() && report.passed()) {
      const Fault& fault = *emulator.fault();
      report.failure = OpName(emulator.program(), fault.op) + ": " + fault.reason;
    }
  }

  // The dense model's choice, so that one wrong token does not derail the steps after it.
  [[nodiscard]] std::vector<int> BestTokens(const Values& logits, const PassInput& input) const {
    const std::int64_t vocabulary = request_.model.vocabulary;
    std::vector<int> best;
    for (std::int64_t b = 0; b < input.batch; ++b) {
      std::int64_t index = 0;
      logits.segment(((b + 1) * input.length - 1) * vocabulary, vocabulary).maxCoeff(&index);
      best.push_back(static_cast<int>(index));
    }
    return best;
  }

  const ShrunkRequest& request_;
  const VerifyOptions& options_;
  const Damage& damage_;
  Weights weights_;
  DenseModel dense_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Emulator>> emulators_;
  std::vector<int> next_tokens_;
};

// What the cost model takes a link to carry: sent bytes over the links that the schedule uses.
Bytes EvenLink(const Program& program, const Op& op, Bytes sent) {
  const double ways = program.mesh.Size(op.axes.set());
  if (op.kind == OpKind::kAllToAll) {
    return sent / (ways - 1) * AllToAllLoad(program.mesh, op.axes.set());
  }
  if (op.schedule == Schedule::kLoopedOneWay) {
    return sent * OneWayLoad(program.mesh, op.axes.set());
  }
  double links = 0;
  for (const MeshAxis& row : program.mesh.Rows(op.axes.set())) {
    links += Links(row);
  }
  return sent / links;
}

void CompareTraffic(const Program& predicted, const Emulator& emulator, VerifyReport& report) {
  const Program& executed = emulator.program();
  if (predicted.ops.size() != executed.ops.size() && report.passed()) {
    report.failure = "the program run has other ops than the one predicted";
  }
  for (std::size_t i = 0; i < std::min(predicted.ops.size(), executed.ops.size()); ++i) {
    const Op& op = predicted.ops[i];
    if (!IsCollective(op.kind)) {
      continue;
    }
    const Bytes sent = CollectiveTraffic(predicted, op).sent;
    const OpTraffic& counted = emulator.traffic()[i];
    VerifyOp row{.phase = predicted.phase,
                 .op = i,
                 .name = OpName(predicted, i),
                 .predicted = sent * static_cast<double>(emulator.chips()),
                 .counted = counted.sent,
                 .busiest_link = counted.busiest_link,
                 .even_link = EvenLink(predicted, op, sent)};
    if (!row.equal() && report.passed()) {
      report.failure = fmt::format("{}: {} bytes predicted, {} sent", row.name,
                                   row.predicted.base(), row.counted.base());
    }
    report.ops.push_back(std::move(row));
  }
}

void CompareMemory(const Program& predicted, const Emulator& emulator, VerifyReport& report) {
  VerifyMemory row{.phase = predicted.phase,
                   .predicted = PeakMemory(predicted).total(),
                   .held = emulator.peak_memory()};
  if (row.predicted != row.held && report.passed()) {
    report.failure = fmt::format("{}: {} bytes of memory predicted, {} held", Name(row.phase),
                                 row.predicted.base(), row.held.base());
  }
  report.memory.push_back(row);
}

Program LowerOne(const ShrunkRequest& request, const Workload& workload, Phase phase,
                 const Layout& layout, const Mesh& mesh) {
  Program program;
  Lower({.model = &request.model,
         .workload = &workload,
         .phase = phase,
         .padded_heads = request.padded_heads},
        layout, mesh, program);
  return program;
}

void CheckRunnable(const ShrunkRequest& request, const Layout& layout, const Mesh& mesh) {
  if (const auto reason = WhyIllegal(layout, mesh)) {
    throw InputError(fmt::format("layout '{}': {}", ToString(layout, mesh), *reason));
  }
  if (request.model.has_attention() &&
      StoredHeads(request.model, layout, mesh, request.padded_heads) == 0) {
    throw InputError(fmt::format("layout '{}': the padded heads asked for do not fit it",
                                 ToString(layout, mesh)));
  }
}

// Adds one batch's report to the whole.
void Append(VerifyReport& all, VerifyReport more, const std::string& label) {
  for (VerifyPass& pass : more.passes) {
    pass.name += label;
    all.passes.push_back(std::move(pass));
  }
  for (VerifyOp& op : more.ops) {
    op.name += label;
    all.ops.push_back(std::move(op));
  }
  all.memory.insert(all.memory.end(), more.memory.begin(), more.memory.end());
  if (all.passed() && !more.passed()) {
    all.failure = more.failure + label;
  }
}

}  // namespace

double VerifyReport::largest_difference() const {
  double largest = 0;
  for (const VerifyPass& pass : passes) {
    largest = std::max(largest, pass.difference);
  }
  return largest;
}

VerifyPrograms LowerForVerify(const ShrunkRequest& request, const Layout& prefill,
                              const Layout& decode, const Slice& slice) {
  const Mesh mesh(slice);
  VerifyPrograms programs;
  if (request.workload.context > 0) {
    Workload first = request.workload;
    first.input_length = first.context;
    first.context = 0;
    programs.push_back(LowerOne(request, first, Phase::kPrefill, prefill, mesh));
  }
  programs.push_back(LowerOne(request, request.workload, Phase::kPrefill, prefill, mesh));
  programs.push_back(LowerOne(request, request.workload, Phase::kDecode, decode, mesh));
  return programs;
}

VerifyReport VerifyExecution(const ShrunkRequest& request, const VerifyPrograms& predicted,
                             const VerifyPrograms& executed, const VerifyOptions& options,
                             const Damage& damage) {
  VerifyReport report;
  report.request = request;
  Runner runner(request, executed, options, damage);
  runner.Run(false, report);
  const bool wrong = report.largest_difference() > kVerifyTolerance ||
                     std::any_of(report.passes.begin(), report.passes.end(),
                                 [](const VerifyPass& pass) { return !pass.tokens_agree; });
  if (report.passed() && wrong) {
    VerifyReport located;
    Runner(request, executed, options, damage).Run(true, located);
    report.failure = located.passed() ? "the numbers differ from a single chip's" : located.failure;
  }
  for (std::size_t i = 0; i < executed.size(); ++i) {
    CompareTraffic(predicted[i], runner.emulator(i), report);
    CompareMemory(predicted[i], runner.emulator(i), report);
  }
  return report;
}

VerifyReport Verify(const Model& model, const Slice& slice, const Layout& layout,
                    const VerifyOptions& options) {
  Slice plain = slice;
  plain.twisted = false;
  const Mesh mesh(plain);
  const Layout decode = options.decode_layout.value_or(layout);
  ShrunkRequest request = Shrink(model, slice, options);
  CheckRunnable(request, layout, mesh);
  CheckRunnable(request, decode, mesh);
  VerifyReport report;
  report.layout = ToString(layout, mesh);
  report.request = request;
  const std::int64_t batches[] = {request.workload.prefill_batch, request.workload.decode_batch};
  for (std::size_t i = 0; i < (batches[0] == batches[1] ? 1U : 2U); ++i) {
    // A cache passes from prefill to decode whole: one batch for both, so two runs where they
    // differ.
    request.workload.prefill_batch = batches[i];
    request.workload.decode_batch = batches[i];
    const VerifyPrograms programs = LowerForVerify(request, layout, decode, plain);
    const std::string label =
        batches[0] == batches[1] ? std::string() : fmt::format(", batch {}", batches[i]);
    Append(report, VerifyExecution(request, programs, programs, options), label);
  }
  return report;
}

}  // namespace slicewise
