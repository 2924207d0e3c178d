#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/blocking.h"
#include "filestore/apply_lanes.h"
#include "filestore/btrfs.h"
#include "filestore/commit_schedule.h"
#include "filestore/data_files.h"
#include "filestore/index.h"
#include "filestore/journal.h"
#include "filestore/object_store.h"
#include "filestore/pending.h"
#include "filestore/space.h"
#include "filestore/stager.h"
#include "filestore/superblock.h"

namespace spirula::filestore {

class View;

/// What the commit cycle has done, for metrics and benchmarks.
struct CommitStatistics {
  std::uint64_t commits = 0;
  std::chrono::microseconds presync_last{}, hold_last{}, snapshot_last{};
  std::chrono::microseconds hold_max{}, interval{};
};

/// ObjectStore on btrfs. A transaction's life: submit() checks it and gives it its sequence, the journal makes it
/// durable, an apply lane carries it out on current/, a commit point puts it into a snapshot, and the journal's room is
/// given back when both kept snapshots contain it.
/// Threads: callers' shards, the journal's, one per apply lane, the committer's, the read pool's.
/// Locks: mutex_ (collections, pending operations, sequences) is held for microseconds and never across I/O; taken
/// before the journal's own.
class Filestore : public ObjectStore {
 public:
  static Result<std::unique_ptr<Filestore>> open(const FilestoreOptions& options);
  /// Without stop() before: like a crash, except that transactions that wait for the journal are waited for.
  ~Filestore() override;

  Task<Result<>> submit(CollectionId collection, Transaction transaction) override;
  Task<Result<BufferList>> read(ObjectId object, std::uint64_t offset, std::uint64_t length) override;
  std::optional<Result<BufferList>> read_now(const ObjectId& object, std::uint64_t offset,
                                             std::uint64_t length) override;
  Task<Result<ObjectStat>> stat(ObjectId object) override;
  Task<Result<std::vector<Extent>>> extents(ObjectId object, std::uint64_t offset, std::uint64_t length) override;
  Task<Result<Buffer>> get_attribute(ObjectId object, std::string name) override;
  Task<Result<std::map<std::string, Buffer>>> get_attributes(ObjectId object) override;
  std::optional<Result<std::map<std::string, Buffer>>> get_attributes_now(const ObjectId& object) override;
  Task<Result<Buffer>> omap_header(ObjectId object) override;
  Task<Result<std::map<std::string, Buffer>>> omap_get(ObjectId object, std::set<std::string> keys) override;
  Task<Result<OmapPage>> omap_list(ObjectId object, std::string after, std::string from, std::size_t count_max,
                                   std::size_t bytes_max) override;
  Task<Result<std::uint32_t>> digest(ObjectId object, std::uint64_t offset, std::uint64_t length) override;
  Task<Result<std::vector<Extent>>> verify(ObjectId object, std::uint64_t offset, std::uint64_t length) override;
  Task<Result<ObjectPage>> list(CollectionId collection, std::optional<ObjectId> start, std::size_t count_max) override;
  Task<Result<std::vector<CollectionInfo>>> collections() override;
  Task<Result<std::map<std::string, Buffer>>> collection_get(CollectionId collection,
                                                             std::set<std::string> keys) override;
  Task<Result<OmapPage>> collection_list(CollectionId collection, std::string after, std::size_t count_max) override;
  StoreStatistics statistics() override;
  Result<std::shared_ptr<SpaceReservation>> reserve(std::uint64_t bytes, Space kind) override;
  std::uint64_t transaction_bytes_max() const override;
  Task<Result<>> commit() override;
  Task<> stop() override;

  CommitStatistics commit_statistics() const;
  const char* journal_engine() const { return journal_->engine(); }
  std::uint64_t staged_bytes() const { return stager_->bytes_staged(); }
  /// Acknowledged, and not yet carried out on current/.
  std::uint64_t unapplied_bytes() const { return unapplied_bytes_.load(); }
  std::uint64_t journal_bytes() const { return journal_->bytes_written(); }

 private:
  explicit Filestore(const FilestoreOptions& options);

  // opening (filestore_open.cc)
  Result<> mount();
  Result<> roll_back(std::uint64_t sequence);
  Result<> wait_for_cleaner();
  Result<JournalPosition> replay(const JournalPosition& from);
  Result<> load_collections();
  Result<> load_retired_slots();
  Result<> start(const JournalPosition& end, const JournalPosition& tail);

  // submitting (filestore_submit.cc)
  Result<> admit(const SubmissionPointer& submission);
  Result<> admit_here(const SubmissionPointer& submission);
  static void describe_operations(Submission& submission);
  Result<> check_sources(const Submission& submission);
  void line_up_locked(const SubmissionPointer& submission);
  void advance_locked(const CollectionId& first);
  void send_locked(const SubmissionPointer& submission);
  void on_staged(std::vector<SubmissionPointer>& submissions, Result<> result);
  void on_durable(Journal::EntryList& entries, Result<> result);
  void on_applied(std::span<const SubmissionPointer> submissions);
  void fail(std::error_code why, const char* where);

  // reading (filestore_read.cc)
  template <class T, class F>
  Result<T> attempt(Access access, const F& evaluate, bool& again, std::string& damage);
  template <class T, class F>
  Result<T> insist(const F& evaluate);
  template <class T, class F>
  Task<Result<T>> observe(bool try_here, F evaluate);
  /// From memory, or nothing.
  template <class T, class F>
  std::optional<Result<T>> observe_now(const F& evaluate);
  template <class T, class F>
  static auto of_object(ObjectId object, F evaluate);
  std::optional<unsigned> bits_of(const CollectionId& collection) const;
  Result<bool> object_exists(const std::string& key);
  Result<bool> collection_empty(const CollectionId& collection, const std::set<std::string>& except);

  // committing (filestore_commit.cc)
  void run_committer();
  CommitSchedule::Rings rings_written() const;
  bool commit_due_locked();
  bool commit_requested() const;
  void pace_lanes(MonotonicTime begin);
  Result<std::size_t> free_slots();
  Result<> commit_now();
  Result<std::optional<std::uint64_t>> append_nothing();
  Result<> drop_old_snapshots();
  Result<> await_cleaner();
  Result<> check_write_back();
  void observe_space(std::optional<std::uint64_t> mark);
  void shut_down();

  FilestoreOptions options_;
  StoreSuperblock superblock_;
  FileDescriptor root_, current_;
  std::uint64_t write_errors_at_open_ = 0;
  std::unique_ptr<Index> index_;
  std::unique_ptr<DataFiles> files_;
  std::shared_ptr<Journal> journal_;
  ApplyCounters counters_;

  mutable std::mutex mutex_;
  std::map<CollectionId, unsigned> collections_;
  PendingTable pending_;
  std::uint64_t last_sequence_ = 0, last_ticket_ = 0;
  /// Transactions that wait for a payload to be staged, or behind one that does. One that orders several collections (a
  /// split) stands in each of their lines and goes when it is the first of all.
  std::map<CollectionId, std::deque<SubmissionPointer>> lines_;
  std::uint64_t opened_at_ = 0;  ///< the last sequence of recovery; staging rings of before are needed up to here

  std::atomic<std::uint64_t> submitted_bytes_{0};  ///< not applied
  std::atomic<std::uint64_t> unapplied_bytes_{0};  ///< of them, durable
  std::atomic<bool> failed_{false}, closing_{false};
  std::atomic<bool> committing_{false};  ///< large payloads go into the journal meanwhile
  SpaceLedger space_;
  std::uint64_t pending_bytes_max_ = 0;

  mutable std::mutex commit_mutex_;
  std::condition_variable commit_wanted_, commit_done_;
  std::vector<JournalPosition> kept_;  ///< the commit points of the kept snapshots, newest first
  bool settled_ = false;               ///< both contain the same, so that nothing is kept only for the older one
  std::uint64_t commit_requests_ = 0, commits_served_ = 0;
  Result<> commit_result_;
  bool stop_committer_ = false;
  CommitStatistics commit_statistics_;
  CommitSchedule schedule_;
  // The committer's own.
  MonotonicTime busy_since_;            ///< the last commit, or the rest after it
  std::uint64_t begun_at_release_ = 0;  ///< ApplyLanes::bytes_begun() when lanes went on after the last commit
  double write_back_rate_ = 0;          ///< of transactions that commits' first syncs had to write, bytes/s

  std::unique_ptr<BlockingPool> read_pool_;
  std::unique_ptr<StagingFiles> staging_;
  std::unique_ptr<ApplyLanes> lanes_;
  std::unique_ptr<Stager> stager_;
  std::thread committer_;
};

}  // namespace spirula::filestore
