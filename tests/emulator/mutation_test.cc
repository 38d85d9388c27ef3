// Broken programs must not pass: every op of prefill and decode is broken in every way that applies
// to its kind.
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <set>

#include "emulator/mutation_bench.h"

namespace slicewise {
namespace {

bool SameShape(const Tensor& a, const Tensor& b) {
  return a.rank == b.rank && a.dims == b.dims && a.sharding == b.sharding;
}

// One way to break an op; false where it does not apply.
struct Mutation {
  std::string name;
  std::function<bool(Program&, std::size_t)> apply;
};

bool IsWeightGather(const Program& p, const Op& op) {
  return op.kind == OpKind::kAllGather &&
         p.tensor(op.terms[0].out).role == TensorRole::kGatheredWeights;
}

bool RemoveOp(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  // An op that does nothing: the sections keep their bounds.
  op.term_count = 0;
  op.kind = OpKind::kEinsum;
  return true;
}

bool DropAnAxis(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  if (!IsCollective(op.kind) || op.axes.size() < 2) {
    return false;
  }
  op.axes = AxisOrder(op.axes.set() - AxisSet::Of(op.axes[0]));
  return true;
}

bool WrongAxis(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  const AxisSet others = p.mesh.all() - op.axes.set();
  if (!IsCollective(op.kind) || others.empty()) {
    return false;
  }
  op.axes = AxisOrder((op.axes.set() - AxisSet::Of(op.axes[0])) | AxisSet::Of(others.first()));
  return true;
}

// The result is said to be cut by another axis than the one it came over.
bool WrongDigit(Program& p, std::size_t i) {
  const Op& op = p.ops[i];
  const AxisSet others = p.mesh.all() - op.axes.set();
  if (op.kind != OpKind::kReduceScatter || others.empty()) {
    return false;
  }
  Tensor& out = p.tensors[op.terms[0].out];
  for (std::size_t d = 0; d < out.rank; ++d) {
    if (!(out.sharding[d] & op.axes.set()).empty()) {
      const AxisSet kept = out.sharding[d] - AxisSet::Of(op.axes[0]);
      out.sharding[d] = kept | AxisSet::Of(others.first());
      return true;
    }
  }
  return false;
}

bool WiderType(Program& p, std::size_t i) {
  const Op& op = p.ops[i];
  if (!IsCollective(op.kind) || p.tensor(op.terms[0].lhs).type == DataType::kFloat32) {
    return false;
  }
  p.tensors[op.terms[0].lhs].type = DataType::kFloat32;
  return true;
}

// Two results of one shape change places.
bool SwapResults(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  for (std::size_t a = 0; a + 1 < op.term_count; ++a) {
    Term& x = op.terms[a];
    Term& y = op.terms[a + 1];
    if (x.out != kNoTensor && y.out != kNoTensor && x.out != y.out &&
        SameShape(p.tensor(x.out), p.tensor(y.out))) {
      std::swap(x.out, y.out);
      return true;
    }
  }
  return false;
}

// Two weights of one shape change places, as gate and input.
bool SwapWeights(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  for (std::size_t a = 0; op.kind == OpKind::kEinsum && a + 1 < op.term_count; ++a) {
    if (op.terms[a].out != op.terms[a + 1].out &&
        SameShape(p.tensor(op.terms[a].rhs), p.tensor(op.terms[a + 1].rhs))) {
      std::swap(op.terms[a].rhs, op.terms[a + 1].rhs);
      return true;
    }
  }
  return false;
}

// An einsum's last product, an activation's gate, an addition's biases, the queries' bias.
bool DropLastTerm(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  const bool needed = op.kind == OpKind::kEinsum || op.kind == OpKind::kAttention ||
                      op.function == Elementwise::kActivate || op.function == Elementwise::kAdd ||
                      IsCollective(op.kind);
  const std::size_t least = op.kind == OpKind::kAttention ? 3 : 2;
  if (!needed || op.term_count < least) {
    return false;
  }
  --op.term_count;
  return true;
}

bool DropBias(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  if (op.function != Elementwise::kActivate || op.terms[0].rhs == kNoTensor) {
    return false;
  }
  op.terms[0].rhs = kNoTensor;
  return true;
}

bool CacheKeysAsValues(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  if (op.kind != OpKind::kAttention) {
    return false;
  }
  std::swap(op.terms[0].rhs, op.terms[1].lhs);
  return true;
}

bool SumInsteadOfProduct(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  if (op.function != Elementwise::kActivate || op.term_count < 2) {
    return false;
  }
  op.terms[1].lhs = op.terms[0].lhs;
  return true;
}

bool OtherFunction(Program& p, std::size_t i) {
  Op& op = p.ops[i];
  switch (op.function) {
    case Elementwise::kNormalize:
    case Elementwise::kActivate:
    case Elementwise::kCombine:
      op.function = Elementwise::kSlice;  // passes its operand on
      return true;
    case Elementwise::kNone:
    case Elementwise::kLookup:
    case Elementwise::kStatistics:
    case Elementwise::kSlice:
    case Elementwise::kAdd:
    case Elementwise::kLastToken:
    case Elementwise::kSample:
      return false;
  }
  return false;
}

std::vector<Mutation> Mutations() {
  return {{"remove the op", RemoveOp},
          {"move nothing", MoveNothing},
          {"drop an axis", DropAnAxis},
          {"wrong axis", WrongAxis},
          {"wrong digit", WrongDigit},
          {"move twice", MoveTwice},
          {"wider type", WiderType},
          {"swap results", SwapResults},
          {"swap weights", SwapWeights},
          {"drop the last term", DropLastTerm},
          {"drop the bias", DropBias},
          {"cache keys as values", CacheKeysAsValues},
          {"gate with itself", SumInsteadOfProduct},
          {"other function", OtherFunction}};
}

// By what a broken program was caught.
std::string Catcher(const std::string& failure) {
  if (failure.find("bytes of memory") != std::string::npos) {
    return "memory";
  }
  if (failure.find("bytes predicted") != std::string::npos) {
    return "bytes";
  }
  return failure.find("single chip") != std::string::npos ? "numbers" : "fault";
}

TEST(Mutation, EveryWayToBreakEveryOpIsCaught) {
  std::map<std::string, int> tried;
  std::map<std::string, int> caught;
  std::set<std::string> kinds;
  for (Bench& bench : Benches()) {
    ASSERT_TRUE(bench.Run().passed());
    for (std::size_t which = 0; which < bench.right.size(); ++which) {
      for (std::size_t i = 0; i < bench.right[which].ops.size(); ++i) {
        for (const Mutation& mutation : Mutations()) {
          bench.broken = bench.right;
          if (!mutation.apply(bench.broken[which], i)) {
            continue;
          }
          const Program& program = bench.right[which];
          const Op& op = program.ops[i];
          ++tried[mutation.name];
          kinds.insert(
              std::string(op.kind == OpKind::kElementwise ? Name(op.function) : Name(op.kind)));
          const VerifyReport report = bench.Run();
          ++caught[Catcher(report.failure)];
          EXPECT_FALSE(report.passed())
              << mutation.name << ": op " << i << ", " << Name(op.kind) << " " << Name(op.function)
              << ", " << Name(program.phase) << (IsWeightGather(program, op) ? ", weights" : "");
        }
      }
    }
  }
  for (const Mutation& mutation : Mutations()) {
    EXPECT_GT(tried[mutation.name], 0) << mutation.name << " was never tried";
  }
  for (const auto& [catcher, count] : caught) {
    std::cout << count << " mutants caught by " << catcher << "\n";
    EXPECT_GT(count, 0);
  }
  EXPECT_EQ(caught.size(), 3U);  // numbers, faults and bytes
  // All kinds of op and all elementwise functions.
  EXPECT_EQ(kinds, (std::set<std::string>{"einsum", "attention", "all-gather", "reduce-scatter",
                                          "all-reduce", "all-to-all", "lookup", "norm statistics",
                                          "normalize", "slice", "activate", "add", "last token",
                                          "sample"}));
}

}  // namespace
}  // namespace slicewise
