#include <pthread.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/coroutine.h"
#include "base/log.h"
#include "filestore/error.h"
#include "filestore/faults.h"
#include "filestore/filestore.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

/// A sync this short leaves the hold little more than what a commit costs anyway.
constexpr auto presync_short = std::chrono::milliseconds(30);
constexpr int presync_rounds_max = 8;
/// Of what the disk takes, and of what has come since the last commit, lanes apply so much during these syncs: each has
/// a part of the one before to write, and the hold little. What more comes waits where it is acknowledged already.
constexpr std::uint64_t presync_pace_part = 4;
/// Of the ring: when so much is in use the next commit does not wait for the cleaner any longer.
constexpr double ring_fill_urgent = 0.6;
/// Of the journal: the commit has no more time, or what is submitted waits for it.
constexpr double ring_fill_full = 0.9;
constexpr auto tick = std::chrono::milliseconds(100);

}  // namespace

CommitStatistics Filestore::commit_statistics() const {
  std::lock_guard lock(commit_mutex_);
  return commit_statistics_;
}

StoreStatistics Filestore::statistics() {
  btrfs::Space now = space_.last();
  return {now.total, now.used, space_.available(),
          static_cast<std::uint64_t>(std::max<std::int64_t>(counters_.object_count.load(), 0))};
}

Result<std::shared_ptr<SpaceReservation>> Filestore::reserve(std::uint64_t bytes, Space kind) {
  return space_.reserve(bytes, kind);
}

/// `mark`: of before a sync that has just ended.
void Filestore::observe_space(std::optional<std::uint64_t> mark) {
  Result<btrfs::Space> now = btrfs::space(root_.get());
  if (!now) return;
  if (mark) {
    space_.observe(*now, *mark);
  } else {
    space_.observe(*now);
  }
}

CommitSchedule::Rings Filestore::rings_written() const {
  return {.journal = journal_->bytes_written(), .staging = stager_->bytes_reserved()};
}

bool Filestore::commit_due_locked() {
  if (failed_.load()) return false;
  auto now = Clock::now();
  bool settled = settled_ && lanes_->reached().sequence == kept_.front().sequence;
  if (settled) {
    schedule_.rest(now);
    busy_since_ = now;
  }
  return schedule_.due(now, {.requested = commit_requests_ > commits_served_,
                             .stuck = journal_->starved() && unapplied_bytes_.load() == 0,
                             .settled = settled,
                             .wants_room = space_.wants_commit(),
                             .written = rings_written(),
                             .size = {.journal = journal_->ring_size(), .staging = stager_->size()},
                             .dirty_bytes = counters_.bytes_written.load(),
                             .dirty_bytes_max = space_.dirty_bytes_max()});
}

void Filestore::run_committer() {
  pthread_setname_np(pthread_self(), "commit");
  auto space_last = Clock::now();
  std::unique_lock lock(commit_mutex_);
  while (!stop_committer_) {
    if (!commit_due_locked()) {
      commit_wanted_.wait_for(lock, tick);
      if (Clock::now() - space_last > std::chrono::seconds(1)) {
        lock.unlock();
        observe_space(std::nullopt);
        space_last = Clock::now();
        lock.lock();
      }
      continue;
    }
    std::uint64_t serving = commit_requests_;
    lock.unlock();
    Result<> committed = commit_now();
    if (!committed) fail(committed.error(), "the commit");
    observe_space(std::nullopt);
    lock.lock();
    commits_served_ = serving;
    commit_result_ = committed;
    commit_done_.notify_all();
  }
}

/// Puts an empty transaction behind the last one, so that what is there already can have a second snapshot: then the
/// older one, with the space and the part of the journal that only it needs, can go, and there still is one to fall
/// back to. Its sequence; nothing if the journal has no room for it.
Result<std::optional<std::uint64_t>> Filestore::append_nothing() {
  auto submission = std::make_shared<Submission>();
  submission->collection = {std::numeric_limits<std::int64_t>::min(), 0};  // nobody's, so it waits for nobody
  submission->record = encode_record(submission->collection, submission->transaction);
  submission->bytes = submission->record.size() + 256;
  submission->lane = lanes_->lane_of(submission->collection);
  {
    std::lock_guard lock(mutex_);
    submitted_bytes_.fetch_add(submission->bytes);
    submission->ticket = ++last_ticket_;
    pending_.add(submission);
    line_up_locked(submission);
  }
  journal_->kick();
  std::uint64_t sequence = submission->sequence.load();
  while (lanes_->reached().sequence < sequence) {
    if (submission->settled() && !submission->outcome) {
      if (!closing_.load()) return submission->outcome.error();
      return std::optional<std::uint64_t>{};
    }
    if (journal_->starved()) return std::optional<std::uint64_t>{};
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::optional(sequence);
}

/// Errc::io if the disk has failed a write since we opened the store. Then what is applied may not be what is on the
/// disk, so it must not become a commit point: the journal still has it.
Result<> Filestore::check_write_back() {
  TRY(fault_at(FaultPoint::write_back));
  TRY(std::uint64_t errors, btrfs::write_errors(root_.get()));
  if (errors == write_errors_at_open_) return {};
  log_error("filestore", "{}: the disk has failed {} writes", options_.path, errors - write_errors_at_open_);
  return Errc::io;
}

bool Filestore::commit_requested() const {
  std::lock_guard lock(commit_mutex_);
  return commit_requests_ > commits_served_;
}

/// Of objects that are gone, in what the next snapshot holds: after a sync, or it would wait for what is written there
/// for nothing. Answers how many.
Result<std::size_t> Filestore::free_slots() {
  TRY(auto freed, files_->slabs().free_slots());
  IndexBatch batch;
  for (std::uint64_t id : freed) {
    batch.remove(key::retired_slot(id));
    if (batch.bytes() < limits::index_batch_bytes_max) continue;
    TRY(index_->write(batch));
    batch.clear();
  }
  if (!batch.empty()) TRY(index_->write(batch));
  return freed.size();
}

/// For the syncs of the commit that begins.
void Filestore::pace_lanes(MonotonicTime begin) {
  double since = std::chrono::duration<double>(begin - busy_since_).count();
  double rate = static_cast<double>(lanes_->bytes_begun() - begun_at_release_) / std::max(since, 1e-3);
  lanes_->pace(static_cast<std::uint64_t>(std::max(rate, write_back_rate_)) / presync_pace_part);
}

/// Makes what is durable a commit point. Nobody waits for this but the lanes, from hold() to release().
Result<> Filestore::commit_now() {
  auto begin = Clock::now();
  committing_.store(true);
  struct Done {
    std::atomic<bool>& flag;
    ~Done() { flag.store(false); }
  } done_committing{committing_};
  CommitSchedule::Rings written = rings_written();
  std::uint64_t mark = space_.mark();
  // Most of the data goes to disk here, with nobody held. What is written meanwhile is the hold's to flush and to
  // commit: after a long sync another one makes that less, until they do not get shorter.
  std::uint64_t dirty = lanes_->bytes_begun() - begun_at_release_;
  pace_lanes(begin);
  auto synced = begin;
  auto took = Clock::duration::max();
  bool freed_slots = false;
  for (int round = 0; round < presync_rounds_max; ++round) {
    auto last = synced;
    TRY(btrfs::insist(root_.get(), [&] { return btrfs::sync(root_.get()); }));
    synced = Clock::now();
    auto before = std::exchange(took, synced - last);
    std::size_t freed = 0;
    if (round == 0) {
      observe_space(mark);
      TRY(freed, free_slots());
      // A sync of little says little of what the disk takes.
      double rate = static_cast<double>(dirty) / std::max(std::chrono::duration<double>(took).count(), 1e-3);
      write_back_rate_ = std::max(rate, write_back_rate_ * 0.75);
    }
    if (freed) {
      freed_slots = true;
      continue;
    }
    if (took < presync_short || took > before / 4 * 3 || journal_->fill() > ring_fill_full) break;
  }
  TRY(check_write_back());

  JournalPosition position = lanes_->reached();
  bool nothing_new;
  {
    std::lock_guard lock(commit_mutex_);
    nothing_new = position.sequence == kept_.front().sequence;
    if (nothing_new && (settled_ || closing_.load())) {
      schedule_.found_nothing(written);
      lanes_->release();
      return {};
    }
  }
  std::optional<std::uint64_t> repeated;  // a commit point here adds nothing to the newest
  if (nothing_new && !journal_->starved()) {
    TRY(std::optional<std::uint64_t> sequence, append_nothing());
    if (sequence == position.sequence + 1) repeated = sequence;
    nothing_new = !sequence;
  }
  auto held = synced, released = synced;
  if (!nothing_new) {
    // Somebody may wait for all there is to be in the snapshot. Nobody else needs more of it than what is newer.
    bool all = repeated || closing_.load() || commit_requested();
    std::optional<JournalPosition> place = lanes_->hold(all ? std::nullopt : std::optional(kept_.front().sequence));
    if (!place) {
      lanes_->release();
      return Errc::io;
    }
    position = *place;
    held = Clock::now();
    CommitPoint point{superblock_.store, position, counters_.next_id.load(),
                      static_cast<std::uint64_t>(std::max<std::int64_t>(counters_.object_count.load(), 0))};
    std::string name = snapshot_name(position.sequence);
    Result<> done = btrfs::insist(root_.get(), [&] { return write_commit_point(current_.get(), point); });
    auto snapshot = [&] { return btrfs::create_snapshot(root_.get(), current_name, name, true); };
    if (done) done = btrfs::insist(root_.get(), snapshot);
    if (!done && is(done.error(), Errc::exists)) {  // an unusable one that recovery passed over
      done = btrfs::destroy_subvolume(root_.get(), name);
      if (done) done = btrfs::insist(root_.get(), snapshot);
    }
    if (done) {
      done = check_write_back();
      if (!done) (void)btrfs::destroy_subvolume(root_.get(), name);  // or the next opening would take it
    }
    released = busy_since_ = Clock::now();
    begun_at_release_ = lanes_->bytes_begun();
    counters_.bytes_written.store(0);
    lanes_->release();
    TRY(done);
  }
  {
    std::lock_guard lock(commit_mutex_);
    if (nothing_new) {
      kept_.resize(1);  // the journal is full of what the newest contains: the older one goes
    } else {
      kept_.insert(kept_.begin(), position);
      if (kept_.size() > 2) kept_.resize(2);
    }
    settled_ = position.sequence == repeated && !freed_slots;
    schedule_.committed(begin, Clock::now(), written);
    auto& s = commit_statistics_;
    ++s.commits;
    s.presync_last = duration_cast<microseconds>(synced - begin);
    s.hold_last = duration_cast<microseconds>(released - held);
    s.snapshot_last = s.hold_last;
    s.hold_max = std::max(s.hold_max, s.hold_last);
    s.interval = schedule_.interval();
    log_debug("filestore", "commit {}: pre-sync {} us, hold {} us, next in {} us", position.sequence,
              s.presync_last.count(), s.hold_last.count(), s.interval.count());
  }
  TRY(drop_old_snapshots());
  journal_->trim(kept_.back());
  stager_->trim(kept_.back().sequence);
  if (space_.low() || settled_) stager_->release();
  if (kept_.back().sequence >= opened_at_ && opened_at_ != 0) {
    TRY(staging_->remove_before(journal_->incarnation()));
    opened_at_ = 0;
  }
  // What the rings have let go comes back with btrfs's next transaction, and an idle store would make none.
  if (settled_) TRY(btrfs::insist(root_.get(), [&] { return btrfs::sync(root_.get()); }));
  committing_.store(false);
  return await_cleaner();
}

Result<> Filestore::drop_old_snapshots() {
  TRY(auto snapshots, list_snapshots(options_.path));
  for (std::uint64_t sequence : snapshots) {
    if (std::ranges::any_of(kept_, [&](const JournalPosition& each) { return each.sequence == sequence; })) continue;
    TRY(btrfs::insist(root_.get(), [&] { return btrfs::destroy_subvolume(root_.get(), snapshot_name(sequence)); }));
  }
  return {};
}

/// Has the cleaner take dropped snapshots apart now. Beside a commit it would make work for the hold, which has to
/// write what the cleaner has changed until then. A commit that cannot wait finds at most one uncleaned, or space would
/// come back later than it is promised; when the store falls idle none is left, for nobody would poke the cleaner
/// later.
Result<> Filestore::await_cleaner() {
  for (int i = 0; i < 600; ++i) {
    Result<std::size_t> left = btrfs::deleted_subvolumes(root_.get());
    if (!left || *left == 0 || journal_->starved()) break;
    if (i % 50 == 0) TRY(btrfs::insist(root_.get(), [&] { return btrfs::sync(root_.get()); }));  // pokes the cleaner
    std::unique_lock lock(commit_mutex_);
    bool urgent = commit_requests_ > commits_served_ || space_.wants_commit() || journal_->fill() > ring_fill_urgent;
    if (*left == 1 && !settled_ && urgent) break;
    if (commit_wanted_.wait_for(lock, std::chrono::milliseconds(20), [this] { return stop_committer_; })) break;
  }
  return {};
}

Task<Result<>> Filestore::commit() {
  Result<> result;
  co_await read_pool_->run([&] {
    std::unique_lock lock(commit_mutex_);
    std::uint64_t mine = ++commit_requests_;
    commit_wanted_.notify_all();
    commit_done_.wait(lock, [&] { return commits_served_ >= mine || stop_committer_ || failed_.load(); });
    result = commits_served_ >= mine ? commit_result_ : Result<>(Errc::io);
  });
  co_return result;
}

void Filestore::shut_down() {
  closing_.store(true);
  stager_->stop();
  journal_->stop();
  if (!failed_.load()) (void)lanes_->hold();  // until all is applied
  {
    std::lock_guard lock(commit_mutex_);
    stop_committer_ = true;
    commit_wanted_.notify_all();
    commit_done_.notify_all();
  }
  committer_.join();
  if (!failed_.load()) {
    Result<> committed = commit_now();
    if (!committed) fail(committed.error(), "the last commit");
  }
  lanes_->stop();
}

Task<> Filestore::stop() {
  co_await read_pool_->run([this] { shut_down(); });
  stager_.reset();
  lanes_.reset();
  staging_.reset();
  files_.reset();
  index_.reset();
  journal_.reset();
  current_ = {};
  root_ = {};
}

Filestore::~Filestore() {
  if (!journal_ || !committer_.joinable()) return;
  closing_.store(true);
  if (stager_) stager_->stop();
  journal_->stop();
  {
    std::lock_guard lock(commit_mutex_);
    stop_committer_ = true;
    commit_wanted_.notify_all();
  }
  lanes_->abandon();
  committer_.join();
  read_pool_.reset();
}

}  // namespace spirula::filestore
