#include <fmt/format.h>

#include "slicewise/calibrate/validate.h"

namespace slicewise {
namespace {

// The plan of one phase of a setting, changed as the caller says.
class Teller {
 public:
  explicit Teller(const Setting& base) : base_(base) {
    base_.workload = {};
    base_.workload.logits = Logits::kAll;
    base_.workload.fixed_context = true;
  }

  [[nodiscard]] Setting With(const std::function<void(Setting&)>& change) const {
    Setting setting = base_;
    change(setting);
    return setting;
  }

  static Plan Of(const Setting& setting, const char* layout, Phase phase,
                 double* attention_share = nullptr) {
    Evaluator evaluator(setting);
    const Plan plan = *evaluator.Evaluate(ParseLayout(layout, evaluator.mesh()), phase);
    if (attention_share != nullptr) {
      Seconds attention;
      const PhaseCost cost = evaluator.Cost();
      for (std::size_t i = 0; i < evaluator.program().ops.size(); ++i) {
        if (evaluator.program().ops[i].kind == OpKind::kAttention) {
          attention += cost.ops[i].exposed * evaluator.program().layers;
        }
      }
      *attention_share = attention / cost.step;
    }
    return plan;
  }

  // A decode step over `context` cached tokens.
  [[nodiscard]] Setting Decode(std::int64_t batch, std::int64_t context, DataType weights,
                               std::int64_t steps = 1) const {
    return With([&](Setting& s) {
      s.workload.decode_batch = batch;
      s.workload.input_length = 0;
      s.workload.context = context;
      s.workload.output_length = steps;
      s.workload.weights = weights;
    });
  }
  [[nodiscard]] Setting Prefill(std::int64_t batch, std::int64_t tokens, std::int64_t context,
                                DataType weights) const {
    return With([&](Setting& s) {
      s.workload.prefill_batch = batch;
      s.workload.input_length = tokens;
      s.workload.context = context;
      s.workload.weights = weights;
    });
  }

 private:
  Setting base_;
};

constexpr const char* kStationary = "Ex.Fyz/ws/Bxyz";
constexpr const char* kStationaryHeads = "Ex.Fyz/ws/Hxyz";
constexpr const char* kGathered = "Ex.Fyz/wg-xyz/Bxyz";

Check SerialBlock(const Teller& teller) {
  const Setting parallel = teller.Decode(512, 2048, DataType::kBf16);
  Setting serial = parallel;
  serial.model.block = BlockKind::kSerial;
  serial.model.norms_per_layer = 2;
  const double ratio = Teller::Of(serial, kStationary, Phase::kDecode).step /
                       Teller::Of(parallel, kStationary, Phase::kDecode).step;
  return {
      "Section 4.3: decode step of a serial block over a parallel one, batch 512",
      "plan --phase decode --batch 512 --context 2048 --layout Ex.Fyz/ws/Bxyz, and the same with a "
      "copy of the model whose block is serial and has two norms",
      1.14,
      ratio,
      0.05 / 1.14,
      "ratio"};
}

void AddLatencies(const Teller& teller, std::vector<Check>& checks) {
  const Seconds int8 =
      Teller::Of(teller.Decode(64, 2048, DataType::kInt8), kStationary, Phase::kDecode).step;
  const Seconds bf16 =
      Teller::Of(teller.Decode(64, 2048, DataType::kBf16), kStationary, Phase::kDecode).step;
  const Seconds large =
      Teller::Of(teller.Decode(512, 2048, DataType::kBf16), kStationary, Phase::kDecode).step;
  checks.push_back({"Section 4.4: int8 over bf16 weights, step at batch 64",
                    "plan --phase decode --batch 64 --context 2048 --weights int8, and bf16",
                    28.5 / 36.9, int8 / bf16, 0.15, "ratio"});
  checks.push_back({"Section 4.4: batch-512 step over the lowest-latency step (int8, batch 64)",
                    "plan --phase decode --batch 512 --weights bf16, and --batch 64 --weights int8",
                    3, large / int8, 0.15, "ratio"});
  const Seconds turn =
      Teller::Of(teller.Prefill(1, 64, 1920, DataType::kInt8), kStationaryHeads, Phase::kPrefill)
          .latency +
      Teller::Of(teller.Decode(64, 1984, DataType::kInt8, 64), kStationary, Phase::kDecode).latency;
  checks.push_back({"Section 1: chatbot turn, 64 new tokens after 1920 cached, 64 generated",
                    "plan --weights int8 --context 1920 --input-len 64 --output-len 64 "
                    "--prefill-batch 1 --decode-batch 64",
                    1.9, turn / SecondsOf(1), 0.15, "s"});
}

void AddThroughput(const Teller& teller, std::vector<Check>& checks) {
  const Setting prefill = teller.Prefill(512, 1984, 0, DataType::kBf16);
  const Plan in = Teller::Of(prefill, kGathered, Phase::kPrefill);
  const Plan out =
      Teller::Of(teller.Decode(512, 1984, DataType::kBf16, 64), kStationary, Phase::kDecode);
  const double tokens = 512.0 * (1984 + 64);
  const double mfu =
      Mfu(MfuParameters(prefill.model), tokens, prefill.chip, (in.latency + out.latency) * 64.0);
  checks.push_back({"Section 1: offline efficiency, 1984 in and 64 out at batch 512",
                    "plan --batch 512 --input-len 1984 --output-len 64: prefill under "
                    "Ex.Fyz/wg-xyz/Bxyz, decode "
                    "under Ex.Fyz/ws/Bxyz",
                    0.73, mfu, 0.15, "MFU"});
  checks.push_back({"Section 4.4: cost per token, batch-512 decode over batch-512 prefill",
                    "plan --batch 512, column chip-s/tok of the two phases", 2,
                    out.chip_seconds_per_token / in.chip_seconds_per_token, 0.15, "ratio"});
}

// Figure 7: which layout is faster for prefill of 2048 tokens. Published as the time of the
// weight-gathered layout over the weight-stationary one.
void AddSwitch(const Teller& teller, std::vector<Check>& checks) {
  struct Point {
    std::int64_t batch;
    double published;
  };
  for (const Point& point : {Point{64, 40.244 / 28.446}, Point{128, 40.099 / 54.561}}) {
    const Setting setting = teller.With([&](Setting& s) {
      s.workload.prefill_batch = point.batch;
      s.workload.scope = Scope::kLayers;
    });
    checks.push_back(
        {fmt::format("Figure 7: weight-gathered over weight-stationary, batch {} ({})", point.batch,
                     point.published > 1 ? "stationary wins" : "gathered wins"),
         fmt::format("plan --phase prefill --batch {} --scope layers", point.batch),
         point.published,
         Teller::Of(setting, kGathered, Phase::kPrefill).latency /
             Teller::Of(setting, kStationaryHeads, Phase::kPrefill).latency,
         0.15, "ratio"});
  }
}

// Figure 6: decode step of 2D over 1D weight-stationary.
void AddDimensions(const Teller& teller, std::vector<Check>& checks) {
  struct Point {
    std::array<int, 3> dims;
    std::int64_t heads_2d, heads_1d;
    double published;
  };
  for (const Point& point :
       {Point{{4, 4, 4}, 64, 64, 92.04 / 96.052}, Point{{8, 4, 4}, 128, 128, 73.042 / 93.928},
        Point{{4, 8, 8}, 128, 256, 67.378 / 88.854}}) {
    Setting setting = teller.Decode(512, 2048, DataType::kBf16);
    setting.workload.scope = Scope::kLayers;
    setting.slice.dims = point.dims;
    setting.padded_heads = point.heads_2d;
    const Seconds two = Teller::Of(setting, kStationary, Phase::kDecode).step;
    setting.padded_heads = point.heads_1d;
    const Seconds one = Teller::Of(setting, "Fxyz/ws/Bxyz/Ex", Phase::kDecode).step;
    checks.push_back(
        {fmt::format("Figure 6: 2D over 1D weight-stationary on {} chips", setting.slice.chips()),
         fmt::format("plan --slice {} --phase decode --batch 512 --context 2048 "
                     "--layout Ex.Fyz/ws/Bxyz, and Fxyz/ws/Bxyz/Ex",
                     ToString(setting.slice)),
         point.published, two / one, 0.15, "ratio"});
  }
}

// Section 4.2: attention's share of a decode step at long context.
void AddAttentionShare(const Teller& teller, std::vector<Check>& checks) {
  struct Point {
    std::int64_t batch, context;
    double published;
  };
  for (const Point& point : {Point{512, 8192, 0.08}, Point{128, 32768, 0.31}}) {
    double share = 0;
    static_cast<void>(Teller::Of(teller.Decode(point.batch, point.context, DataType::kBf16),
                                 kStationary, Phase::kDecode, &share));
    checks.push_back(
        {fmt::format("Section 4.2: attention's share of a step, batch {}, context {}", point.batch,
                     point.context),
         fmt::format("explain --phase decode --batch {} --context {}", point.batch, point.context),
         point.published, share, 0.15, "fraction"});
  }
}

}  // namespace

std::vector<Check> TextClaims(const Setting& base) {
  const Teller teller(base);
  std::vector<Check> checks = {SerialBlock(teller)};
  AddLatencies(teller, checks);
  AddThroughput(teller, checks);
  AddSwitch(teller, checks);
  AddDimensions(teller, checks);
  AddAttentionShare(teller, checks);
  return checks;
}

}  // namespace slicewise
