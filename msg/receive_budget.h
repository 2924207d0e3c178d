#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace spirula::msg {

/// Bytes of received messages that are still being worked on, over all shards. Whoever receives waits for room on its
/// own shard; whoever lets a message go, on whichever shard, wakes them.
class ReceiveBudget {
 public:
  explicit ReceiveBudget(std::uint64_t bytes_max) : bytes_max_(static_cast<std::int64_t>(bytes_max)) {}
  /// One message may always be in flight, however large.
  bool try_take(std::size_t bytes);
  void give(std::size_t bytes);
  /// Counts more for a message that is in flight, whether there is room or not.
  void add(std::size_t bytes) { used_ += static_cast<std::int64_t>(bytes); }
  /// What cannot be worked on soon should go.
  bool is_half_used() const { return used_ > bytes_max_ / 2; }
  /// Set by who could not take: the next give() calls `wake` once.
  std::atomic<bool> wanted{false};
  std::function<void()> wake;

 private:
  const std::int64_t bytes_max_;
  std::atomic<std::int64_t> used_{0};
};

/// Held by a received message (Message::budget_hold) for as long as it lives.
struct BudgetHold {
  std::shared_ptr<ReceiveBudget> budget;
  std::size_t bytes;
  BudgetHold(std::shared_ptr<ReceiveBudget> b, std::size_t n) : budget(std::move(b)), bytes(n) {}
  BudgetHold(const BudgetHold&) = delete;
  ~BudgetHold() { budget->give(bytes); }
  /// What answering it will take counts too.
  void add(std::size_t more) {
    bytes += more;
    budget->add(more);
  }
  /// It will have to be begun anew.
  void take_back(std::size_t less) {
    bytes -= less;
    budget->give(less);
  }
};

}  // namespace spirula::msg
