#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "appliance/box.h"
#include "appliance/smart.h"
#include "base/metrics.h"
#include "base/task_group.h"

namespace spirula::appliance {

/// One point of the graphs.
struct Sample {
  std::int64_t when = 0;                                   ///< seconds since 1970
  double read_bytes = 0, write_bytes = 0, operations = 0;  ///< a second
  double read_ms = 0, write_ms = 0;                        ///< average latency
};

/// What the OSDs' counters said at one moment, summed.
struct Totals {
  double read_bytes = 0, write_bytes = 0, reads = 0, writes = 0, read_seconds = 0, write_seconds = 0;
};
/// Between two moments; counters that went back (a daemon was restarted) give zero.
Sample rate_between(const Totals& before, const Totals& after, double seconds, std::int64_t when);

/// How the box is, in one sentence and what to do next.
struct HealthWords {
  std::string level;  ///< "good", "warning", "bad"
  std::string sentence, advice;
  bool retry = false;  ///< starting again what does not run may help
};
struct HealthFacts {
  boost::json::value status;                    ///< the monitor's; null when it does not answer
  std::map<std::string, std::string> troubles;  ///< see Box::troubles()
  double used_share = 0;                        ///< of the space, 0 to 1
  std::vector<std::string> failing;             ///< disks that say of themselves that they are about to fail
  unsigned copies = 1;
};
HealthWords health_words(const HealthFacts& facts);

/// The machine's memory in bytes. `used` is what could not be had for something else: caches do not count.
struct Memory {
  std::int64_t total = 0, used = 0;
};
/// From the text of /proc/meminfo; zeros where it does not say.
Memory memory_of(std::string_view meminfo);

/// Looks at the box every few seconds. Lives on one shard; stop() before destruction.
class Watcher {
 public:
  Watcher(Shard& shard, Box& box, DocumentStore& documents, BlockingPool& workers, Metrics& metrics);
  void start();
  Task<> stop();

  const boost::json::object& status() const { return status_; }
  std::uint64_t version() const { return version_; }
  /// The last hour.
  boost::json::object history() const;

 private:
  Task<> watch();
  Task<> look();
  Task<> ask_disks(std::vector<DiskRecord> disks);

  Shard& shard_;
  Box& box_;
  DocumentStore& documents_;
  BlockingPool& workers_;
  boost::json::object status_;
  std::uint64_t version_ = 0;
  std::deque<Sample> samples_;
  std::map<std::string, DiskHealth> disk_health_;  ///< by the UUID of its btrfs
  MonotonicTime disks_asked_{};
  Totals last_;
  MonotonicTime last_at_{};
  Gauge &bytes_used_, &bytes_total_, &clients_, &healthy_, &memory_total_, &memory_used_;
  Counter& looks_;
  TaskGroup tasks_;
};

}  // namespace spirula::appliance
