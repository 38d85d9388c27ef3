// Quantities as text, both ways, and near names.
#include "slicewise/units/text.h"

#include <random>

#include "program/program_test_util.h"

namespace slicewise {
namespace {

TEST(Format, Seconds) {
  EXPECT_EQ(Format(SecondsOf(85.2)), "85.2 s");
  EXPECT_EQ(Format(SecondsOf(0.0285)), "28.5 ms");
  EXPECT_EQ(Format(SecondsOf(1.2e-6)), "1.20 us");
  EXPECT_EQ(Format(SecondsOf(3e-9)), "3.00 ns");
  EXPECT_EQ(Format(SecondsOf(1234)), "1234 s");
  EXPECT_EQ(Format(Seconds()), "0 s");
  EXPECT_EQ(Format(SecondsOf(-0.5)), "-500 ms");
  EXPECT_EQ(Format(SecondsOf(4.2e-12)), "0.00420 ns");
}

// Rounding carries into the next unit and the next digit.
TEST(Format, RoundsIntoTheNextUnit) {
  EXPECT_EQ(Format(SecondsOf(0.9994)), "999 ms");
  EXPECT_EQ(Format(SecondsOf(0.9996)), "1.00 s");
  EXPECT_EQ(Format(SecondsOf(9.994)), "9.99 s");
  EXPECT_EQ(Format(SecondsOf(9.996)), "10.0 s");
  EXPECT_EQ(Format(SecondsOf(99.94)), "99.9 s");
  EXPECT_EQ(Format(SecondsOf(99.96)), "100 s");
}

TEST(Format, BytesAreBinaryAndTrafficDecimal) {
  EXPECT_EQ(Format(Gibibytes(30.75)), "30.8 GiB");
  EXPECT_EQ(Format(Gibibytes(2048)), "2.00 TiB");
  EXPECT_EQ(Format(BytesOf(1536)), "1.50 KiB");
  EXPECT_EQ(Format(BytesOf(1048576)), "1.00 MiB");
  EXPECT_EQ(Format(BytesOf(512)), "512 B");
  EXPECT_EQ(Format(Bytes()), "0 B");
  EXPECT_EQ(FormatDecimal(BytesOf(4.294967e9)), "4.29 GB");
  EXPECT_EQ(FormatDecimal(BytesOf(2.5e12)), "2.50 TB");
  EXPECT_EQ(FormatDecimal(BytesOf(1500)), "1.50 kB");
}

TEST(Format, Rates) {
  EXPECT_EQ(Format(GigabytesPerSecond(1200)), "1.20 TB/s");
  EXPECT_EQ(Format(GigabytesPerSecond(45)), "45.0 GB/s");
  EXPECT_EQ(Format(TeraflopsPerSecond(275)), "275 TFLOP/s");
  EXPECT_EQ(Format(FlopsOf(1.08e15)), "1.08 PFLOP");
  EXPECT_EQ(Format(FlopsOf(12)), "12.0 FLOP");
}

TEST(FormatCount, GroupsThousands) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(1048576), "1,048,576");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
  EXPECT_EQ(FormatCount(-123), "-123");
}

TEST(FormatExact, ReadsBackTheSameDouble) {
  EXPECT_EQ(FormatExact(0.1), "0.1");
  constexpr unsigned kSeed = 99;
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 1000; ++i) {
    const double value =
        std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random), i % 200 - 100);
    SCOPED_TRACE(testing::Message() << "seed " << kSeed);
    EXPECT_EQ(std::stod(FormatExact(value)), value);
  }
}

TEST(Parse, UnitsAndSpaces) {
  EXPECT_DOUBLE_EQ(ParseBytesPerSecond("1.2 TB/s").base(), 1.2e12);
  EXPECT_DOUBLE_EQ(ParseBytesPerSecond("270GB/s").base(), 270e9);
  EXPECT_DOUBLE_EQ(ParseBytesPerSecond("1.1 TiB/s").base(), 1.1 * 1099511627776);
  EXPECT_DOUBLE_EQ(ParseBytes("32 GiB").base(), 32.0 * 1073741824);
  EXPECT_DOUBLE_EQ(ParseBytes(" 16 GB ").base(), 16e9);
  EXPECT_DOUBLE_EQ(ParseBytes("512 B").base(), 512);
  EXPECT_DOUBLE_EQ(ParseBytes("1 KiB").base(), 1024);
  EXPECT_DOUBLE_EQ(ParseBytes("1 kB").base(), 1000);
  EXPECT_DOUBLE_EQ(ParseFlopsPerSecond("275 TFLOP/s").base(), 275e12);
  EXPECT_DOUBLE_EQ(ParseFlopsPerSecond("1 EFLOP/s").base(), 1e18);
  EXPECT_DOUBLE_EQ(ParseSeconds("300ms").base(), 0.3);
  EXPECT_DOUBLE_EQ(ParseSeconds("1.9 s").base(), 1.9);
  EXPECT_DOUBLE_EQ(ParseSeconds("20 us").base(), 20e-6);
  EXPECT_DOUBLE_EQ(ParseSeconds("5e2 ns").base(), 5e-7);
}

TEST(Parse, ErrorsNameTheTextAndTheUnit) {
  for (const char* text : {"", "1.2", "TB/s", "1.2 TB", "1.2 XB/s", "1.2 TB/s/s", "nan GB/s",
                           "inf GB/s", "1,2 TB/s", "/s"}) {
    EXPECT_EQ(ErrorOf([&] { static_cast<void>(ParseBytesPerSecond(text)); }),
              "'" + std::string(text) + "' is not a rate in bytes per second, such as '1.2 TB/s'");
  }
  for (const char* text : {"32", "32 Gi", "GiB", "32 gib", "32 GiB/s", "1e999 GB"}) {
    EXPECT_EQ(ErrorOf([&] { static_cast<void>(ParseBytes(text)); }),
              "'" + std::string(text) + "' is not an amount of bytes, such as '32 GiB'");
  }
  EXPECT_EQ(ErrorOf([] { static_cast<void>(ParseFlopsPerSecond("275 TFLOPS")); }),
            "'275 TFLOPS' is not a rate of floating-point operations, such as '275 TFLOP/s'");
  // A bare number is refused.
  for (const char* text : {"300", "300 m", "300 min", "0x10 s"}) {
    EXPECT_EQ(ErrorOf([&] { static_cast<void>(ParseSeconds(text)); }),
              "'" + std::string(text) + "' is not a time with its unit, such as '300ms'");
  }
}

// What is printed reads back within its three digits.
TEST(Parse, ReadsWhatFormatPrints) {
  constexpr unsigned kSeed = 5;
  std::mt19937 random(kSeed);
  std::uniform_real_distribution<double> exponent(-8, 3);
  for (int i = 0; i < 500; ++i) {
    const double value = std::pow(10, exponent(random));
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", " << value);
    EXPECT_NEAR(ParseSeconds(Format(SecondsOf(value))).base() / value, 1, 0.0051);
    const double bytes = value * 1e9;
    EXPECT_NEAR(ParseBytes(Format(BytesOf(bytes))).base() / bytes, 1, 0.0051);
    EXPECT_NEAR(ParseBytes(FormatDecimal(BytesOf(bytes))).base() / bytes, 1, 0.0051);
  }
}

TEST(NearestName, PlausibleMisspellings) {
  const std::vector<std::string> names = {"palm-540b", "palm-62b", "palm-8b", "gpt-3-175b"};
  EXPECT_EQ(NearestName("palm-540", names), "palm-540b");  // one insertion
  EXPECT_EQ(NearestName("plam-62b", names), "palm-62b");   // neighbours swapped: one edit
  EXPECT_EQ(NearestName("plam-26b", names), "palm-62b");   // two swaps; four substitutions
  EXPECT_EQ(NearestName("palm_8b", names), "palm-8b");     // one substitution
  EXPECT_EQ(NearestName("gpt3-175b", names), "gpt-3-175b");
  EXPECT_EQ(NearestName("xyzzy", names), std::nullopt);
  EXPECT_EQ(NearestName("", names), std::nullopt);
  EXPECT_EQ(NearestName("llama", {}), std::nullopt);
}

// At least two edits and up to a third of the length; never a name that shares nothing.
TEST(NearestName, Limits) {
  const std::vector<std::string> names = {"ab", "calibration"};
  EXPECT_EQ(NearestName("calbraton", names), "calibration");     // 2 of 9
  EXPECT_EQ(NearestName("kalibrazzion", names), "calibration");  // 3 of 12
  EXPECT_EQ(NearestName("kolibrazzion", names), "calibration");  // 4 of 12, still a third
  EXPECT_EQ(NearestName("kolybrazzion", names), std::nullopt);   // 5 of 12
  EXPECT_EQ(NearestName("xy", names), std::nullopt);             // all of "ab" would change
}

TEST(DidYouMean, IsAClauseOrNothing) {
  const std::vector<std::string> names = {"latency", "mfu", "cost"};
  EXPECT_EQ(DidYouMean("latncy", names), "; did you mean 'latency'?");
  EXPECT_EQ(DidYouMean("zzzzzz", names), "");
}

}  // namespace
}  // namespace slicewise
