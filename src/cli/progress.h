// A progress bar on standard error, for people, once something takes over a second.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "commands.h"

namespace slicewise::cli {

class ProgressBar {
 public:
  explicit ProgressBar(Streams streams)
      : err_(streams.err), shown_(streams.terminal.interactive), start_(Clock::now()) {}

  [[nodiscard]] std::function<void(std::size_t done, std::size_t total)> callback() const {
    return [this](std::size_t done, std::size_t total) {
      if (shown_ && Clock::now() - start_ > std::chrono::seconds(1)) {
        const std::size_t filled = done * kWidth / total;
        err_ << "\r[" << std::string(filled, '#') << std::string(kWidth - filled, ' ') << "] "
             << done << "/" << total << std::flush;
      }
    };
  }
  void Clear() const {
    if (shown_) {
      err_ << "\r" << std::string(kWidth + 20, ' ') << "\r" << std::flush;
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kWidth = 40;
  std::ostream& err_;
  bool shown_;
  Clock::time_point start_;
};

}  // namespace slicewise::cli
