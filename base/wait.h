#pragma once
#include <list>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"

/// What coroutines of one shard wait on. None of these is thread-safe: another shard posts.
namespace spirula {

/// Coroutines waiting, first come first served. Destroying it wakes them with Errc::cancelled.
class WaitList {
 public:
  struct Waiter;
  WaitList();
  ~WaitList();
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  /// Until woken. Errc::cancelled if the task is cancelled.
  Task<Result<>> wait();
  /// Until woken or `deadline`: Errc::timed_out.
  Task<Result<>> wait_until(Clock& clock, MonotonicTime deadline);
  /// The first (or every) waiter goes on, soon; returns how many.
  std::size_t wake_one();
  std::size_t wake_all();
  bool empty() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// A latch: once set, everybody passes until reset().
class Event {
 public:
  void set();
  void reset() { set_ = false; }
  bool is_set() const { return set_; }
  Task<Result<>> wait();
  Task<Result<>> wait_until(Clock& clock, MonotonicTime deadline);

 private:
  bool set_ = false;
  WaitList waiters_;
};

/// A budget (bytes in flight, slots). First come first served, so that a large request is not starved.
class Budget {
 public:
  explicit Budget(std::uint64_t total) : total_(total), available_(total) {}
  /// A request above the total waits for all of it. Errc::cancelled.
  Task<Result<>> acquire(std::uint64_t amount);
  bool try_acquire(std::uint64_t amount);
  void release(std::uint64_t amount);
  std::uint64_t available() const { return available_; }
  std::uint64_t total() const { return total_; }

 private:
  std::uint64_t clamp(std::uint64_t amount) const { return amount < total_ ? amount : total_; }
  std::uint64_t total_;
  std::uint64_t available_;
  std::uint64_t queued_ = 0;
  WaitList waiters_;
};

}  // namespace spirula
