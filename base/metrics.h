#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace spirula {

/// Something that only grows: requests served, bytes written. From any thread.
class Counter {
 public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Something that goes up and down: requests in flight. From any thread.
class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// How long something took: count, sum, and a histogram by powers of two from 1 microsecond. From any thread.
class Timing {
 public:
  static constexpr std::size_t buckets = 26;  ///< the last one holds everything above 16 s

  void record(Duration took);
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  Duration sum() const { return Duration(sum_ns_.load(std::memory_order_relaxed)); }
  std::uint64_t in_bucket(std::size_t bucket) const { return histogram_[bucket].load(std::memory_order_relaxed); }
  static Duration upper_bound(std::size_t bucket) { return std::chrono::microseconds(std::int64_t{1} << bucket); }
  /// The upper bound of the bucket that holds this share (0 to 1) of all; zero if there is nothing yet.
  Duration percentile(double share) const;

 private:
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::int64_t> sum_ns_{0};
  std::array<std::atomic<std::uint64_t>, buckets> histogram_{};
};

/// All figures of one daemon. Registering takes a lock, counting does not: keep the reference.
class Metrics {
 public:
  /// `section` groups figures ("osd", "journal"), `name` is unique within it, `help` is one line for people.
  Counter& counter(std::string_view section, std::string_view name, std::string_view help);
  Gauge& gauge(std::string_view section, std::string_view name, std::string_view help);
  Timing& timing(std::string_view section, std::string_view name, std::string_view help);

  /// What `ceph daemon X perf dump` shows: {"osd": {"op": 5, "op_latency": {"avgcount", "sum", "avgtime"}}}.
  std::string to_json() const;
  /// Prometheus text format 0.0.4; names are spirula_<section>_<name>.
  std::string to_prometheus() const;

 private:
  template <class T>
  struct Row {
    std::string section, name, help;
    T figure;
    Row(std::string_view s, std::string_view n, std::string_view h) : section(s), name(n), help(h) {}
  };
  template <class T>
  T& find_or_add(std::deque<Row<T>>& rows, std::string_view section, std::string_view name, std::string_view help);

  mutable std::mutex mutex_;
  std::deque<Row<Counter>> counters_;
  std::deque<Row<Gauge>> gauges_;
  std::deque<Row<Timing>> timings_;
};

}  // namespace spirula
