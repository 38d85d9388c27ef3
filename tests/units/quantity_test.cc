// Quantities: arithmetic at compile time and again at run time.
#include "slicewise/units/quantity.h"

#include <gtest/gtest.h>

#include <concepts>

#include "slicewise/units/data_type.h"

namespace slicewise {
namespace {

template <class A, class B>
concept Addable = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept Multipliable = requires(A a, B b) {
  a* b;
};
template <class A, class B>
concept Divisible = requires(A a, B b) {
  a / b;
};
template <class A, class B>
concept Comparable = requires(A a, B b) {
  a < b;
};

// Only what means something exists.
static_assert(Addable<Bytes, Bytes> && !Addable<Bytes, Seconds> && !Addable<Bytes, double>);
static_assert(Multipliable<Bytes, double> && !Multipliable<Bytes, Bytes>);
static_assert(!Divisible<Bytes, FlopsPerSecond> && !Divisible<Flops, BytesPerSecond>);
static_assert(!Comparable<Bytes, Flops> && !Comparable<Seconds, double>);
static_assert(!std::convertible_to<double, Seconds> && !std::convertible_to<Seconds, double>);

// Twins of the run-time tests below.
static_assert(Gigabytes(2) / GigabytesPerSecond(4) == SecondsOf(0.5));
static_assert(Milliseconds(500) == SecondsOf(0.5) && Microseconds(1) / SecondsOf(1) == 1e-6);
static_assert(Gibibytes(1) == BytesOf(1073741824) && Gigabytes(1) == BytesOf(1e9));
static_assert(SecondsOf(2) * 3 - SecondsOf(1) == SecondsOf(5));
static_assert(3 * SecondsOf(2) / 4 == SecondsOf(1.5));
static_assert(GigabytesPerSecond(3) * SecondsOf(2) == Gigabytes(6));
static_assert(FlopsOf(275e12) / TeraflopsPerSecond(275) == SecondsOf(1));
static_assert(BytesOf(1) < BytesOf(2) && Bytes() == BytesOf(0));
static_assert(ElementBytes(DataType::kBf16) == BytesOf(2) &&
              ElementBytes(DataType::kInt8) == BytesOf(1) &&
              ElementBytes(DataType::kFloat32) == BytesOf(4));

TEST(Quantity, SumsAndScales) {
  Seconds time = SecondsOf(2);
  time += Milliseconds(500);
  EXPECT_DOUBLE_EQ(time.base(), 2.5);
  time -= SecondsOf(1);
  EXPECT_DOUBLE_EQ(time.base(), 1.5);
  time *= 4;
  EXPECT_DOUBLE_EQ(time.base(), 6);
  EXPECT_DOUBLE_EQ((2 * time).base(), 12);
  EXPECT_DOUBLE_EQ((time / 3).base(), 2);
  EXPECT_DOUBLE_EQ(time / Milliseconds(1), 6000);
}

TEST(Quantity, RatesConnectAmountsAndTimes) {
  EXPECT_DOUBLE_EQ((Gigabytes(2) / GigabytesPerSecond(270)).base(), 2.0 / 270);
  EXPECT_DOUBLE_EQ((Gigabytes(54) / SecondsOf(0.2)).base(), 270e9);
  EXPECT_DOUBLE_EQ((GigabytesPerSecond(270) * SecondsOf(0.2)).base(), 54e9);
  EXPECT_DOUBLE_EQ((FlopsOf(550e12) / TeraflopsPerSecond(275)).base(), 2);
  EXPECT_DOUBLE_EQ((FlopsOf(550e12) / SecondsOf(2)).base(), 275e12);
  EXPECT_DOUBLE_EQ((TeraflopsPerSecond(275) * SecondsOf(2)).base(), 550e12);
}

TEST(Quantity, OrdersByValue) {
  EXPECT_LT(Gigabytes(1), Gibibytes(1));
  EXPECT_GT(Milliseconds(2), Microseconds(1999));
  EXPECT_EQ(Milliseconds(1), Microseconds(1000));
}

TEST(DataType, NamesReadBack) {
  for (DataType type : {DataType::kBf16, DataType::kInt8, DataType::kFloat32}) {
    EXPECT_EQ(ParseDataType(Name(type)), type);
  }
  EXPECT_EQ(Name(DataType::kBf16), "bf16");
  EXPECT_EQ(ParseDataType("fp8"), std::nullopt);
  EXPECT_EQ(ParseDataType("BF16"), std::nullopt);
  EXPECT_EQ(ParseDataType(""), std::nullopt);
}

}  // namespace
}  // namespace slicewise
