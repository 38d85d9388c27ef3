// Programs to break: shared by the tests of broken programs and of damaged runs.
#pragma once

#include <string>
#include <vector>

#include "emulator/emulator_test_util.h"
#include "slicewise/emulator/emulator.h"

namespace slicewise {

// A lowered request, its programs right and to be broken.
struct Bench {
  Bench(const Model& model, const Slice& slice, const std::string& text) {
    options = UnevenBatch();
    options.decode_steps = 2;
    request = Shrink(model, slice, options);
    const Layout layout = ParseLayout(text, Mesh(slice));
    right = LowerForVerify(request, layout, layout, slice);
    broken = right;
  }

  [[nodiscard]] VerifyReport Run(const Damage& damage = {}) const {
    return VerifyExecution(request, right, broken, options, damage);
  }

  VerifyOptions options;
  ShrunkRequest request;
  VerifyPrograms right;
  VerifyPrograms broken;
};

inline std::vector<Bench> Benches() {
  std::vector<Bench> benches;
  const Slice cube = MakeSlice({2, 2, 2});
  for (const char* text : {"Fxyz/ws/Hxyz", "Ex.Fyz/ws/Bxyz", "Ex.Fyz/ws/Bx.Hyz",
                           "Ex.Fyz/wg-xy/Bxy.Hz", "Exy.Fz/wg-xyz/Bxyz", "Fxyz/ws/Hxyz/Ex"}) {
    benches.emplace_back(Multihead(), cube, text);
    benches.emplace_back(Multiquery(), cube, text);
    benches.emplace_back(Grouped(), cube, text);
  }
  return benches;
}

// A collective that sends nothing.
inline bool MoveNothing(Program& p, std::size_t i) {
  if (!IsCollective(p.ops[i].kind)) {
    return false;
  }
  p.ops[i].axes = AxisOrder();
  return true;
}

// A collective that sends its first operand twice.
inline bool MoveTwice(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  if (!IsCollective(op.kind) || op.term_count >= kMaxTerms) {
    return false;
  }
  op.terms[op.term_count++] = op.terms[0];
  return true;
}

}  // namespace slicewise
