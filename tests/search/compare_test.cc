#include "slicewise/search/compare.h"

#include <gtest/gtest.h>

namespace slicewise {
namespace {

TargetPrediction Fitting(Target target, double latency_seconds) {
  return {.target = target,
          .fits = true,
          .layout = "Fxyz/ws/Hxyz",
          .latency = SecondsOf(latency_seconds),
          .mfu = 0.4,
          .chip_seconds_per_token = SecondsOf(0.01),
          .memory = Gibibytes(8),
          .terms = {{"ffn einsum", SecondsOf(0.75 * latency_seconds)},
                    {"head einsum", SecondsOf(0.25 * latency_seconds)}}};
}

Verdict VerdictOn(const TargetPrediction& accepted, const TargetPrediction& found,
                  const Tolerances& tolerances = {}) {
  const std::vector<TargetComparison> all = Compare({accepted}, {found}, tolerances);
  EXPECT_EQ(all.size(), 1U);
  return all.front().verdict;
}

TEST(Tolerance, AllowsItsEdge) {
  const Tolerance tenth = {Tolerance::Kind::kRelative, 0.1};
  EXPECT_TRUE(tenth.Allows(2.0, 2.2));  // 2 x 0.1 = 0.2
  EXPECT_TRUE(tenth.Allows(2.0, 1.8));
  EXPECT_FALSE(tenth.Allows(2.0, 2.20001));
  EXPECT_FALSE(tenth.Allows(2.0, 1.79999));
  const Tolerance two = {Tolerance::Kind::kAbsolute, 2};
  EXPECT_TRUE(two.Allows(5, 7));
  EXPECT_FALSE(two.Allows(5, 7.00001));
}

TEST(Tolerance, NoneAllowsWhatIsEqualInNineDigits) {
  const Tolerance none = {Tolerance::Kind::kRelative, 0};
  EXPECT_TRUE(none.Allows(0.123456789, 0.123456789));
  EXPECT_FALSE(none.Allows(0.123456789, 0.12345679));  // one in the ninth digit: 8e-9 of it
}

TEST(Compare, EveryMetricHasItsDirection) {
  const TargetPrediction accepted = Fitting(Target::kDecode, 1);
  for (Metric metric : kMetrics) {
    SCOPED_TRACE(Name(metric));
    TargetPrediction found = accepted;
    SetValue(found, metric, ValueOf(accepted, metric) * 1.01);
    EXPECT_EQ(VerdictOn(accepted, found),
              metric == Metric::kMfu ? Verdict::kStale : Verdict::kRegression);
    SetValue(found, metric, ValueOf(accepted, metric) * 0.99);
    EXPECT_EQ(VerdictOn(accepted, found),
              metric == Metric::kMfu ? Verdict::kRegression : Verdict::kStale);
    SetValue(found, metric, ValueOf(accepted, metric) * 1.0009);  // within 0.1 %
    EXPECT_EQ(VerdictOn(accepted, found), Verdict::kOk);
    Tolerances wide;
    wide.metrics[static_cast<std::size_t>(metric)].amount = 0.02;
    SetValue(found, metric, ValueOf(accepted, metric) * 1.01);
    EXPECT_EQ(VerdictOn(accepted, found, wide), Verdict::kOk);
  }
}

TEST(Compare, TheWorstOfATargetStandsForIt) {
  const TargetPrediction accepted = Fitting(Target::kDecode, 1);
  TargetPrediction found = accepted;
  found.latency = SecondsOf(0.5);  // stale
  EXPECT_EQ(VerdictOn(accepted, found), Verdict::kStale);
  found.layout = "Exyz/ws/Hxyz";
  EXPECT_EQ(VerdictOn(accepted, found), Verdict::kLayoutChanged);
  found.mfu = 0.1;
  EXPECT_EQ(VerdictOn(accepted, found), Verdict::kRegression);
  EXPECT_EQ(VerdictOn(accepted, {.target = Target::kDecode}), Verdict::kInfeasible);
  EXPECT_EQ(VerdictOn({.target = Target::kDecode}, accepted), Verdict::kFeasible);
  EXPECT_EQ(VerdictOn({.target = Target::kDecode}, {.target = Target::kDecode}), Verdict::kOk);
}

TEST(Compare, TargetsOfOneSideAreMissingAndTheOrderIsFixed) {
  const std::vector<TargetComparison> all =
      Compare({Fitting(Target::kDeployment, 3), Fitting(Target::kPrefill, 1)},
              {Fitting(Target::kDecode, 2), Fitting(Target::kPrefill, 1)}, {});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].target, Target::kPrefill);
  EXPECT_EQ(all[0].verdict, Verdict::kOk);
  EXPECT_EQ(all[1].target, Target::kDecode);
  EXPECT_EQ(all[1].verdict, Verdict::kMissing);
  EXPECT_EQ(all[2].target, Target::kDeployment);
  EXPECT_EQ(all[2].verdict, Verdict::kMissing);
}

TEST(TermChanges, AreThoseThatDifferLargestFirst) {
  const std::vector<TermChange> changes =
      TermChanges({{"same", SecondsOf(1)}, {"less", SecondsOf(3)}, {"gone", SecondsOf(0.5)}},
                  {{"new", SecondsOf(4)}, {"less", SecondsOf(1)}, {"same", SecondsOf(1)}});
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].name, "new");
  EXPECT_EQ(changes[0].change(), SecondsOf(4));  // 4 - 0
  EXPECT_EQ(changes[1].name, "less");
  EXPECT_EQ(changes[1].change(), SecondsOf(-2));  // 1 - 3
  EXPECT_EQ(changes[2].name, "gone");
  EXPECT_EQ(changes[2].change(), SecondsOf(-0.5));
}

}  // namespace
}  // namespace slicewise
