#pragma once
#include <chrono>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "base/task.h"

namespace spirula {

using Duration = std::chrono::nanoseconds;
/// Time that only moves forward; for intervals and deadlines.
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
/// Time of day (UTC); for stamps that leave the process. It may jump.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// The only source of time. Belongs to one shard and calls back on it.
class Clock {
 public:
  using TimerId = std::uint64_t;
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall() const = 0;
  /// Runs `action` once at or after `when`. The id is for cancel(), which is harmless after the action ran.
  virtual TimerId call_at(MonotonicTime when, std::move_only_function<void()> action) = 0;
  virtual void cancel(TimerId id) = 0;

  TimerId call_after(Duration delay, std::move_only_function<void()> action) {
    return call_at(now() + delay, std::move(action));
  }
  /// Errc::cancelled if the task was cancelled first.
  Task<Result<>> sleep(Duration delay);
};

}  // namespace spirula
