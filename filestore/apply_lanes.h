#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/result.h"
#include "filestore/applier.h"
#include "filestore/pending.h"

namespace spirula::filestore {

/// The threads that apply durable transactions: in order within a lane, and a collection stays in one lane. A barrier
/// (split, merge) is applied alone. hold() makes current/ stand still at one sequence number, for the snapshot.
/// Invariant: a transaction is applied only after it is durable.
class ApplyLanes {
 public:
  /// Called by the lane's thread when transactions have reached the index; the lane is excluded (see exclude()) still.
  using OnApplied = std::function<void(std::span<const SubmissionPointer>)>;
  /// Called once; the lane has stopped and what it had is not applied.
  using OnFailed = std::function<void(std::error_code)>;

  /// `from`: where recovery has ended.
  ApplyLanes(const JournalPosition& from, Index& index, DataFiles& files, StagingFiles& staging,
             ApplyCounters& counters, const FilestoreOptions& options, OnApplied on_applied, OnFailed on_failed);
  ~ApplyLanes();

  unsigned lane_of(const CollectionId& collection) const;
  /// The place after the last transaction that was enqueued.
  JournalPosition reached() const;
  /// Durable transactions, in the order of their sequences.
  void enqueue(std::span<const SubmissionPointer> submissions);

  /// Stands still until release(), behind everything that has been enqueued. With `beyond`, behind what has begun,
  /// which is sooner, if that is beyond it. The place in the journal after the last of what is applied; nothing if a
  /// lane has failed.
  std::optional<JournalPosition> hold(std::optional<std::uint64_t> beyond = {});
  void release();
  /// Takes on at most so many bytes of transactions a second until release(), while not held; 0: as many as it can.
  void pace(std::uint64_t bytes_per_second);
  /// Of all transactions that it has taken on.
  std::uint64_t bytes_begun() const;
  /// Finishes what is queued (unless a lane has failed), then ends the threads. abandon(): only what has begun.
  void stop();
  void abandon();

  /// While the locks are held nothing is being applied.
  std::vector<std::unique_lock<std::mutex>> exclude();

 private:
  struct Lane {
    std::unique_ptr<Applier> applier;
    std::deque<SubmissionPointer> queue;
    std::uint64_t queued_bytes = 0;
    std::uint64_t busy_from = 0;  ///< first sequence in hand; 0: none
    bool lingering = false;       ///< waits for more to come
    std::mutex applying;
    std::condition_variable work;
    std::thread thread;
  };
  using Clock = std::chrono::steady_clock;
  bool may_take_locked(const Lane& lane) const;
  bool keeps_pace_locked() const { return pace_ != 0 && !held_ && !stopping_ && !failed_; }
  static bool worth_a_batch(const Lane& lane);
  bool quiet_until_locked(const Lane& lane, std::uint64_t sequence) const;
  void run(Lane& lane);
  Result<> apply(Lane& lane, std::vector<SubmissionPointer>& batch);
  void join();

  mutable std::mutex mutex_;
  std::condition_variable quiet_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  JournalPosition reached_, begun_;  ///< behind the last that was enqueued, and behind the last in any lane's hands
  std::uint64_t bytes_begun_ = 0, pace_ = 0;
  Clock::time_point paced_until_;
  OnApplied on_applied_;
  OnFailed on_failed_;
  std::set<std::uint64_t> barriers_;
  std::uint64_t hold_at_ = ~std::uint64_t{0};
  bool held_ = false;
  bool stopping_ = false, abandoned_ = false, failed_ = false;
};

}  // namespace spirula::filestore
