// Physical quantities as types.
//
// A `double` with a dimension does not cross a function boundary in this project: it travels as one
// of the types below. Build one with its named factory, leave by dividing by a unit:
//
//   Seconds t = Gigabytes(2) / GigabytesPerSecond(270);
//   double milliseconds = t / Milliseconds(1);
//
// Only the products and quotients that mean something exist: Bytes / BytesPerSecond is Seconds,
// Flops / FlopsPerSecond is Seconds, and so on. GB is 1e9 bytes, GiB is 2^30.
#pragma once

#include <compare>

namespace slicewise {

template <class Dimension>
class Quantity {
 public:
  constexpr Quantity() = default;
  // The value in the dimension's SI base unit (bytes, FLOPs, seconds, per second).
  static constexpr Quantity FromBase(double value) { return Quantity(value); }
  [[nodiscard]] constexpr double base() const { return value_; }

  constexpr auto operator<=>(const Quantity&) const = default;

  constexpr Quantity& operator+=(Quantity other) { return *this = *this + other; }
  constexpr Quantity& operator-=(Quantity other) { return *this = *this - other; }
  constexpr Quantity& operator*=(double factor) { return *this = *this * factor; }

  friend constexpr Quantity operator+(Quantity a, Quantity b) {
    return Quantity(a.value_ + b.value_);
  }
  friend constexpr Quantity operator-(Quantity a, Quantity b) {
    return Quantity(a.value_ - b.value_);
  }
  friend constexpr Quantity operator*(Quantity a, double f) { return Quantity(a.value_ * f); }
  friend constexpr Quantity operator*(double f, Quantity a) { return Quantity(a.value_ * f); }
  friend constexpr Quantity operator/(Quantity a, double f) { return Quantity(a.value_ / f); }
  friend constexpr double operator/(Quantity a, Quantity b) { return a.value_ / b.value_; }

 private:
  explicit constexpr Quantity(double value) : value_(value) {}
  double value_ = 0;
};

using Bytes = Quantity<struct BytesDimension>;
using Flops = Quantity<struct FlopsDimension>;  // floating-point operations, not a rate
using Seconds = Quantity<struct SecondsDimension>;
using BytesPerSecond = Quantity<struct BytesPerSecondDimension>;
using FlopsPerSecond = Quantity<struct FlopsPerSecondDimension>;
using Dollars = Quantity<struct DollarsDimension>;

constexpr Seconds operator/(Bytes amount, BytesPerSecond rate) {
  return Seconds::FromBase(amount.base() / rate.base());
}
constexpr Seconds operator/(Flops amount, FlopsPerSecond rate) {
  return Seconds::FromBase(amount.base() / rate.base());
}
constexpr BytesPerSecond operator/(Bytes amount, Seconds time) {
  return BytesPerSecond::FromBase(amount.base() / time.base());
}
constexpr FlopsPerSecond operator/(Flops amount, Seconds time) {
  return FlopsPerSecond::FromBase(amount.base() / time.base());
}
constexpr Bytes operator*(BytesPerSecond rate, Seconds time) {
  return Bytes::FromBase(rate.base() * time.base());
}
constexpr Flops operator*(FlopsPerSecond rate, Seconds time) {
  return Flops::FromBase(rate.base() * time.base());
}

constexpr Bytes BytesOf(double bytes) { return Bytes::FromBase(bytes); }
constexpr Bytes Gigabytes(double gigabytes) { return Bytes::FromBase(gigabytes * 1e9); }
constexpr Bytes Gibibytes(double gibibytes) { return Bytes::FromBase(gibibytes * 1073741824.0); }
constexpr Flops FlopsOf(double flops) { return Flops::FromBase(flops); }
constexpr Seconds SecondsOf(double seconds) { return Seconds::FromBase(seconds); }
constexpr Seconds Milliseconds(double milliseconds) {
  return Seconds::FromBase(milliseconds * 1e-3);
}
constexpr Seconds Microseconds(double microseconds) {
  return Seconds::FromBase(microseconds * 1e-6);
}
constexpr BytesPerSecond GigabytesPerSecond(double rate) {
  return BytesPerSecond::FromBase(rate * 1e9);
}
constexpr FlopsPerSecond TeraflopsPerSecond(double rate) {
  return FlopsPerSecond::FromBase(rate * 1e12);
}

}  // namespace slicewise
