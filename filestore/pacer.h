#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>

namespace spirula::filestore {

/// Spaces acknowledgements when transactions arrive faster than they can be applied. Without it a writer at full rate
/// fills the memory for pending transactions and then stands still for each hold of application, however long; with it
/// he is slowed to what is applied on average, holds included, from a quarter of that memory on, and the rest of it
/// carries him through the next hold. Thread-safe.
class Pacer {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Pacer(std::uint64_t backlog_max) : backlog_max_(backlog_max) {}

  /// So many bytes have been applied; so many wait still.
  void applied(std::uint64_t bytes, std::uint64_t backlog, Clock::time_point now);
  /// How long the answers to so many bytes should wait when so many are waiting to be applied.
  std::chrono::microseconds delay(std::uint64_t bytes, std::uint64_t backlog) const;

 private:
  std::uint64_t soft() const { return backlog_max_ / 4; }
  std::uint64_t backlog_max_;
  mutable std::mutex mutex_;
  double rate_ = 400e6;  ///< bytes applied each second while there was a backlog; high until measured
  std::uint64_t measured_bytes_ = 0;
  Clock::time_point measured_from_{};
};

}  // namespace spirula::filestore
