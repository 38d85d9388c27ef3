// A vector of at most N trivially copyable items that never allocates and never touches unused
// slots.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

namespace slicewise {

template <class T, std::size_t N>
class FixedVector {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  FixedVector() : size_(0) {}
  FixedVector(const FixedVector& other) : size_(other.size_) {
    std::memcpy(storage_, other.storage_, size_ * sizeof(T));
  }
  FixedVector& operator=(const FixedVector& other) {
    if (this == &other) {
      return *this;
    }
    size_ = other.size_;
    std::memcpy(storage_, other.storage_, size_ * sizeof(T));
    return *this;
  }
  ~FixedVector() = default;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ == N; }
  static constexpr std::size_t capacity() { return N; }
  void clear() { size_ = 0; }
  // The caller keeps size() below N; lowering's capacities are sized for the largest program, and
  // a test lowers it.
  T& push_back(const T& item) { return *new (storage_ + sizeof(T) * size_++) T(item); }
  // A new last item whose value the caller sets, member by member.
  T& append() { return *new (storage_ + sizeof(T) * size_++) T; }
  // Drops all items from `size` on.
  void truncate(std::size_t size) { size_ = size; }

  T* data() { return std::launder(reinterpret_cast<T*>(storage_)); }
  const T* data() const { return std::launder(reinterpret_cast<const T*>(storage_)); }
  T& operator[](std::size_t index) { return data()[index]; }
  const T& operator[](std::size_t index) const { return data()[index]; }
  T& back() { return data()[size_ - 1]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

 private:
  alignas(T) std::byte storage_[sizeof(T) * N];
  std::size_t size_;
};

}  // namespace slicewise
