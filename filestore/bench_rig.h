#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/coroutine.h"
#include "base/random.h"
#include "base/shard.h"
#include "filestore/filestore.h"
#include "filestore/test_disk.h"

/// What the cases of filestore_bench share: a disk with a store on it, loads, fio beside it, the table.
namespace spirula::filestore::bench {

using Time = std::chrono::steady_clock;
double seconds_since(Time::time_point begin);
/// User and system time of this process: the store and the load generator, without kernel threads.
double cpu_seconds();
/// The part of all processors' time that nobody has used since the last call, 0 to 1.
double idle_since();
/// What each kind of thread of this process has used, by its name.
struct ThreadUse {
  double cpu_us = 0;
  double switches = 0;  ///< it gave up the processor, or lost it
};
std::map<std::string, ThreadUse> thread_use();
/// Resident memory, and the most of it since reset_memory_peak().
double resident_mib();
double peak_mib();
void reset_memory_peak();

struct Settings {
  bool full = false;
  double seconds = 2;  ///< of each measurement that has a free length
  int rounds = 1;      ///< of those that alternate with fio
};

/// One line of the result: what was measured, beside what, and what the goal is.
class Table {
 public:
  void row(const std::string& what, const std::string& ours, const std::string& beside, const std::string& ratio,
           const std::string& goal, std::optional<bool> met);
  void print() const;

 private:
  std::vector<std::string> lines_;
};

ObjectId object_name(std::uint32_t number);
inline constexpr unsigned pg_bits = 4;
CollectionId pg_of(const ObjectId& id);
Buffer random_buffer(std::size_t size, std::uint64_t seed = 1);

/// What a load has done; latencies in microseconds.
struct Outcome {
  std::uint64_t count = 0;
  double seconds = 0, cpu_us = 0;            ///< of CPU for each operation, until it is applied
  std::deque<float> latency;                 ///< sorted
  std::map<std::string, ThreadUse> threads;  ///< of the same, by the names of threads
  double rate() const { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }
  double at(double part) const {
    return latency.empty() ? 0 : latency[static_cast<std::size_t>(part * static_cast<double>(latency.size() - 1))];
  }
};

/// A disk and a store of its own.
class Rig {
 public:
  explicit Rig(const testing::TestDisk::Size& size, const std::function<void(FilestoreOptions&)>& change = {},
               Integrity integrity = Integrity::index_checksums);
  ~Rig();
  void open();
  /// As a crash would: nothing is committed.
  void drop() { store_.reset(); }
  void close();
  Filestore& store() { return *store_; }
  const testing::TestDisk& disk() const { return disk_; }
  ShardThread& thread() { return thread_; }
  std::uint64_t journal_bytes() const { return journal_bytes_; }

  /// On the rig's shard, to its end.
  template <class T>
  T run(Task<T> task);
  void submit(CollectionId pg, Transaction transaction);
  void commit();

  using Operation = std::function<Task<Result<>>(SeededRandom&)>;
  /// `depth` loops of `operation` while `more(seconds)` says so.
  Outcome drive(unsigned depth, const std::function<bool(double seconds)>& more, const Operation& operation);
  Outcome drive(unsigned depth, double seconds, const Operation& operation);
  /// The same with a reader beside it, who reads every millisecond. Both end when `more` says so.
  std::pair<Outcome, Outcome> drive_with_reader(unsigned depth, const std::function<bool(double seconds)>& more,
                                                const Operation& operation, const Operation& read);

  /// btrfs lets dirty data grow with the disk: it sets metadata aside for each dirty block, writers wait for that on a
  /// disk of a few GiB, and on one of 200 GiB it began to write back at 24,000 blocks, in the middle of a burst.
  static constexpr std::uint64_t data_bytes = std::uint64_t{4} << 40;
  static constexpr testing::TestDisk::Size disk_size{.data_bytes = data_bytes, .journal_bytes = 1 << 30};
  /// For what is compared with a device: all that a load reaches is written before.
  static constexpr testing::TestDisk::Size written_disk_size(std::uint64_t journal_bytes = 1 << 30) {
    return {.data_bytes = data_bytes, .journal_bytes = journal_bytes, .written_bytes = std::uint64_t{6} << 30};
  }

  static constexpr std::uint32_t large_count = 256;
  static constexpr std::uint64_t large_bytes = 4 << 20;
  /// 1 GiB in objects of 4 MiB, committed.
  void fill();
  /// Sectors written since boot, in bytes, of both devices.
  std::uint64_t device_bytes() const;

 private:
  testing::TestDisk disk_;
  std::uint64_t journal_bytes_;
  FilestoreOptions options_;
  ShardThread thread_{"bench"};
  std::unique_ptr<Filestore> store_;
};

/// The case "integrity": btrfs's checksums or the index's (integrity_bench.cc).
void measure_integrity(const Settings& settings, Table& table);

/// A loop device like the store's with nothing on it, for fio.
class RawDevice {
 public:
  RawDevice();
  ~RawDevice();
  const std::string& path() const { return device_; }

 private:
  std::string image_, device_;
};

/// What device and scheduler give beside a load: a thread that now and then writes one block durably to a raw device,
/// and how late its sleep of 2 ms ends. Latencies in microseconds.
class Probe {
 public:
  explicit Probe(const RawDevice& device);
  ~Probe();
  struct Found {
    Outcome writes, lateness;
  };
  Found stop();

 private:
  Found found_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// What the system calls and hand-offs of overwrites reach alone, for so long: of each a block to one of as many NOCOW
/// files of the same size, which a snapshot shares, and its part, one of `depth`, of a durable O_DIRECT write that one
/// thread starts, another reaps
/// with libaio and tells the first by eventfd, and of a write to a log. A third thread writes to files and log.
struct BareStore {
  double rate = 0;    ///< per second
  double cpu_us = 0;  ///< for each
};
BareStore bare_store(const Rig& rig, const RawDevice& raw, unsigned depth, double seconds);

/// The CPU of what btrfs does for a clone of 4 MiB alone, microseconds: a file made, its name in an xattr, a reflink.
double clone_floor(const Rig& rig);

/// Runs a fio job for so long; its write operations per second.
double fio_writes(double seconds, const std::string& arguments);
/// 4 KiB random writes, each with fdatasync, by `depth` writers on the raw device.
double fio_fdatasync(const RawDevice& device, unsigned depth, double seconds);
/// Transactions that a journal could take at most: one writer, who appends `bytes` with RWF_DSYNC, for `depth` of them
/// at once, and does nothing else.
double fio_journal(const RawDevice& device, unsigned depth, std::uint64_t bytes, double seconds);
/// 4 MiB writes at that depth with an fdatasync every four, to NOCOW files on the rig's btrfs.
double fio_large(const Rig& rig, unsigned depth, double seconds);

}  // namespace spirula::filestore::bench
