// Executes a program on a virtual slice, chip by chip and link by link (docs/emulator.md).
//
// Each chip has its own memory of shards, and an op reads only what its chip holds. Collectives
// move data message by message along emulator/schedule.h; bytes are counted where a link sends, at
// the width of the tensor's data type, while the values are doubles. Nothing here knows what cost
// or program/traffic.h predict.
//
// A program that does not work (an op reads what its chip does not have, shards that should be
// equal differ) raises a fault, which names the op and ends the run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "slicewise/emulator/schedule.h"
#include "slicewise/emulator/weights.h"
#include "slicewise/program/program.h"

namespace slicewise {

// What one op has moved, summed over its terms, of its last execution.
struct OpTraffic {
  Bytes sent;          // bytes that left the chip they come from, over all chips
  Bytes carried;       // bytes that crossed links; above `sent` where messages are forwarded
  Bytes busiest_link;  // the most that one directed link carried
  Seconds time;        // of the messages, each link carrying one at a time; one group's
};

struct Fault {
  std::size_t op = 0;  // index in Program::ops
  std::string reason;
};

namespace emulator {
struct Machine;
}

class Emulator {
 public:
  // Lays out weights and empty caches. The program must be of a model with these dimensions.
  Emulator(const Model& model, const Program& program, const Weights& weights);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  // The links that OpTraffic::time is for; 45 GB/s and no latency by default.
  void SetTiming(const LinkTiming& timing);
  // Called after every op with its index and the layer (-1 before the first, `layers` after the
  // last).
  void SetObserver(std::function<void(std::size_t op, int layer)> observer);

  // Moves the KV cache of an earlier phase in, each value to the chips that this program wants it
  // on, by true index.
  void CarryCache(Emulator& earlier);
  // One forward pass. Positions follow those already cached.
  void Pass(const PassInput& input);

  // The true tensor put together from all chips, partial sums added up, in row-major order; NaN
  // where no chip has a value. Copies that differ raise a fault.
  [[nodiscard]] Values Collect(TensorId tensor, int layer);
  // One chip's shard; tests damage programs with it.
  [[nodiscard]] Values& Shard(TensorId tensor, int layer, int chip);

  [[nodiscard]] const Program& program() const;
  [[nodiscard]] int chips() const;
  // Of the last pass: logits (batch x positions x vocabulary), empty for the layer stack alone; the
  // best token of each sequence; the residual stream (batch x length x embed).
  [[nodiscard]] const Values& logits() const;
  [[nodiscard]] const std::vector<int>& sampled() const;
  [[nodiscard]] const Values& residual() const;
  // By op of the program; empty entries for ops that move nothing.
  [[nodiscard]] const std::vector<OpTraffic>& traffic() const;
  // Bytes a link has carried in the last execution of an op.
  [[nodiscard]] Bytes LinkBytes(std::size_t op, int chip, int direction) const;
  // The most bytes that one chip has held at once, streamed tensors as two chunks.
  [[nodiscard]] Bytes peak_memory() const;
  [[nodiscard]] const std::optional<Fault>& fault() const;

 private:
  std::unique_ptr<emulator::Machine> machine_;
};

}  // namespace slicewise
