#include "list_order.h"

#include <functional>
#include <queue>
#include <set>
#include <utility>

namespace slicewise::emulator {
namespace {

constexpr double kSameTime = 1e-9;

// Greedy list scheduling, event by event.
class Simulation {
 public:
  explicit Simulation(MessageList& list)
      : list_(list),
        givers_(static_cast<std::size_t>(list.tokens)),
        waiting_(static_cast<std::size_t>(list.tokens)),
        ready_(static_cast<std::size_t>(list.chips * kDirections)),
        busy_(ready_.size()) {
    for (std::size_t i = 0; i < list.messages.size(); ++i) {
      const Message& message = list.messages[i];
      ++givers_[static_cast<std::size_t>(message.gives)];
      waiting_[static_cast<std::size_t>(message.needs)].push_back(i);
    }
  }

  void Run() {
    for (std::size_t token = 0; token < givers_.size(); ++token) {
      if (givers_[token] == 0) {
        Release(token);
      }
    }
    StartFreeLinks(0);
    while (!done_.empty()) {
      const double now = done_.top().first;
      while (!done_.empty() && done_.top().first < now + kSameTime) {
        const Message& message = list_.messages[done_.top().second];
        done_.pop();
        busy_[LinkOf(message)] = false;
        touched_.insert(LinkOf(message));
        const auto token = static_cast<std::size_t>(message.gives);
        if (--givers_[token] == 0) {
          Release(token);
        }
      }
      StartFreeLinks(now);
    }
    list_.messages = std::move(ordered_);
  }

 private:
  static std::size_t LinkOf(const Message& message) {
    return LinkIndex(message.from, message.direction);
  }

  void Release(std::size_t token) {
    for (std::size_t i : waiting_[token]) {
      const std::size_t link = LinkOf(list_.messages[i]);
      ready_[link].insert(i);
      touched_.insert(link);
    }
  }

  void StartFreeLinks(double now) {
    for (std::size_t link : touched_) {
      if (!busy_[link] && !ready_[link].empty()) {
        const std::size_t next = *ready_[link].begin();
        ready_[link].erase(ready_[link].begin());
        const Message& message = list_.messages[next];
        busy_[link] = true;
        done_.emplace(now + message.end - message.begin, next);
        ordered_.push_back(message);
      }
    }
    touched_.clear();
  }

  using Event = std::pair<double, std::size_t>;  // time, message

  MessageList& list_;
  std::vector<int> givers_;                        // by token: messages still to come
  std::vector<std::vector<std::size_t>> waiting_;  // by token: messages that need it
  std::vector<std::set<std::size_t>> ready_;       // by link: messages that can go
  std::vector<bool> busy_;                         // by link
  std::set<std::size_t> touched_;                  // links that may start something
  std::priority_queue<Event, std::vector<Event>, std::greater<>> done_;
  std::vector<Message> ordered_;
};

}  // namespace

void OrderByStart(MessageList& list) { Simulation(list).Run(); }

}  // namespace slicewise::emulator
