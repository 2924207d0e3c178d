#include "filestore/apply_lanes.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/check.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

/// Some processors are left to the journal and to whoever submits: nobody waits for an apply, and everybody for them.
unsigned lane_count(unsigned wanted) {
  if (wanted == 0) wanted = std::min(std::thread::hardware_concurrency() / 2, limits::lanes_max);
  return std::bit_floor(std::max(wanted, 1u));
}

/// struct sched_attr of sched_setattr(2), which no header of the C library has yet.
struct SchedulingAttributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;  ///< nanoseconds
};

/// Whoever wakes up beside this thread runs at once and not at the end of its slice, at no cost to its share of the
/// processor: it asks for the longest slice, 100 ms (since Linux 6.12; earlier ones take no notice).
void make_way_for_the_woken() {
  SchedulingAttributes attributes{};
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return;
  attributes.runtime = 100'000'000;
  (void)::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

ApplyLanes::ApplyLanes(const JournalPosition& from, Index& index, DataFiles& files, StagingFiles& staging,
                       ApplyCounters& counters, const FilestoreOptions& options, OnApplied on_applied,
                       OnFailed on_failed)
    : reached_(from), begun_(from), on_applied_(std::move(on_applied)), on_failed_(std::move(on_failed)) {
  for (unsigned i = lane_count(options.apply_threads); i > 0; --i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->applier = std::make_unique<Applier>(index, files, staging, counters, options);
  }
  for (auto& lane : lanes_)
    lane->thread = std::thread([this, &lane = *lane] {
      pthread_setname_np(pthread_self(), "apply");
      make_way_for_the_woken();
      run(lane);
    });
}

ApplyLanes::~ApplyLanes() {
  abandon();
}

unsigned ApplyLanes::lane_of(const CollectionId& collection) const {
  return (collection.seed + static_cast<std::uint32_t>(collection.pool)) & static_cast<unsigned>(lanes_.size() - 1);
}

void ApplyLanes::enqueue(std::span<const SubmissionPointer> submissions) {
  std::lock_guard lock(mutex_);
  for (const SubmissionPointer& each : submissions) {
    if (each->barrier) barriers_.insert(each->sequence);
    lanes_[each->lane]->queue.push_back(each);
    lanes_[each->lane]->queued_bytes += each->bytes;
  }
  if (!submissions.empty()) reached_ = submissions.back()->end;
  for (auto& lane : lanes_) {
    if (lane->busy_from != 0 || !may_take_locked(*lane)) continue;
    if (!lane->lingering || worth_a_batch(*lane)) lane->work.notify_one();
  }
}

bool ApplyLanes::worth_a_batch(const Lane& lane) {
  return lane.queue.size() >= limits::lane_batch_transactions_wanted ||
         lane.queued_bytes >= limits::lane_batch_bytes_wanted;
}

/// Nothing up to `sequence` is queued or in hand.
bool ApplyLanes::quiet_until_locked(const Lane& lane, std::uint64_t sequence) const {
  if (lane.busy_from && lane.busy_from <= sequence) return false;
  return lane.queue.empty() || lane.queue.front()->sequence > sequence;
}

bool ApplyLanes::may_take_locked(const Lane& lane) const {
  if (lane.queue.empty() || failed_) return false;
  std::uint64_t next = lane.queue.front()->sequence;
  if (next > hold_at_) return false;
  if (barriers_.empty() || next < *barriers_.begin()) return true;
  if (next != *barriers_.begin()) return false;
  return std::ranges::all_of(
      lanes_, [&](const auto& other) { return other.get() == &lane || quiet_until_locked(*other, next); });
}

void ApplyLanes::run(Lane& lane) {
  std::vector<SubmissionPointer> batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    lane.work.wait(lock, [&] { return stopping_ || may_take_locked(lane); });
    // Nobody waits for an apply, and a batch costs little more than one transaction: let a few come together.
    if (!stopping_ && !held_ && !worth_a_batch(lane)) {
      lane.lingering = true;
      lane.work.wait_for(lock, limits::lane_linger,
                         [&] { return stopping_ || held_ || failed_ || worth_a_batch(lane); });
      lane.lingering = false;
    }
    if (abandoned_ || failed_ || (stopping_ && lane.queue.empty())) return;
    if (!may_take_locked(lane)) {  // stopping, but behind a barrier of another lane
      lane.work.wait(lock, [&] { return abandoned_ || failed_ || may_take_locked(lane); });
      continue;
    }
    if (keeps_pace_locked() && Clock::now() < paced_until_) {
      lane.work.wait_until(lock, paced_until_, [&] { return !keeps_pace_locked(); });
      continue;
    }
    std::uint64_t bytes = 0;  // they stay in memory until the last of them is applied
    while (batch.size() < limits::lane_batch_transactions_max && may_take_locked(lane)) {
      bool barrier = lane.queue.front()->barrier;
      if (!batch.empty() && (barrier || bytes + lane.queue.front()->bytes > limits::index_batch_bytes_max)) break;
      bytes += lane.queue.front()->bytes;
      lane.queued_bytes -= lane.queue.front()->bytes;
      if (batch.empty()) lane.busy_from = lane.queue.front()->sequence;
      batch.push_back(std::move(lane.queue.front()));
      lane.queue.pop_front();
      if (barrier) break;
    }
    bytes_begun_ += bytes;
    if (begun_.sequence < batch.back()->end.sequence) begun_ = batch.back()->end;
    if (keeps_pace_locked())
      paced_until_ = std::max(paced_until_, Clock::now()) + std::chrono::microseconds(bytes * 1'000'000 / pace_);
    lock.unlock();
    bool barrier = batch.front()->barrier;
    std::uint64_t first = batch.front()->sequence;
    Result<> applied = apply(lane, batch);
    batch.clear();
    lock.lock();
    lane.busy_from = 0;
    if (barrier) {
      barriers_.erase(first);
      // The others remember objects that may be this lane's from now on, and the other way round.
      for (auto& each : lanes_) each->applier->forget();
    }
    if (!applied && !failed_) {
      failed_ = true;
      lock.unlock();
      on_failed_(applied.error());
      lock.lock();
    }
    quiet_.notify_all();
    if (barrier || failed_ || !barriers_.empty())
      for (auto& each : lanes_) each->work.notify_one();
  }
}

Result<> ApplyLanes::apply(Lane& lane, std::vector<SubmissionPointer>& batch) {
  std::lock_guard applying(lane.applying);
  std::size_t done = 0;
  auto finish = [&](std::size_t end) -> Result<> {
    TRY(lane.applier->flush());
    on_applied_(std::span(batch).subspan(done, end - done));
    done = end;
    return {};
  };
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Submission& each = *batch[i];
    // Readers take a copy's source as of the copy's place: nothing behind it may begin before it is applied whole.
    if (each.copies) {
      TRY(finish(i));
      each.started.store(true);
    }
    TRY(lane.applier->apply(each.collection, each.transaction));
    if (each.copies) TRY(finish(i + 1));
  }
  return finish(batch.size());
}

JournalPosition ApplyLanes::reached() const {
  std::lock_guard lock(mutex_);
  return reached_;
}

void ApplyLanes::pace(std::uint64_t bytes_per_second) {
  std::lock_guard lock(mutex_);
  pace_ = bytes_per_second;
  for (auto& lane : lanes_) lane->work.notify_one();
}

std::uint64_t ApplyLanes::bytes_begun() const {
  std::lock_guard lock(mutex_);
  return bytes_begun_;
}

std::optional<JournalPosition> ApplyLanes::hold(std::optional<std::uint64_t> beyond) {
  std::unique_lock lock(mutex_);
  // Chosen under the same lock that lanes take work under: none has begun anything behind it.
  JournalPosition place = beyond && begun_.sequence > *beyond ? begun_ : reached_;
  std::uint64_t sequence = place.sequence;
  hold_at_ = sequence;
  held_ = true;
  for (auto& lane : lanes_) lane->work.notify_one();
  quiet_.wait(lock, [&] {
    return failed_ || abandoned_ ||
           std::ranges::all_of(lanes_, [&](const auto& lane) { return quiet_until_locked(*lane, sequence); });
  });
  if (failed_ || abandoned_) return std::nullopt;
  return place;
}

void ApplyLanes::release() {
  std::lock_guard lock(mutex_);
  hold_at_ = ~std::uint64_t{0};
  held_ = false;
  pace_ = 0;
  for (auto& lane : lanes_) lane->work.notify_one();
}

void ApplyLanes::join() {
  for (auto& lane : lanes_) {
    lane->work.notify_all();
    if (lane->thread.joinable()) lane->thread.join();
  }
}

void ApplyLanes::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& lane : lanes_) lane->work.notify_all();
  }
  join();
}

void ApplyLanes::abandon() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = abandoned_ = true;
    quiet_.notify_all();
    for (auto& lane : lanes_) lane->work.notify_all();
  }
  join();
}

std::vector<std::unique_lock<std::mutex>> ApplyLanes::exclude() {
  std::vector<std::unique_lock<std::mutex>> locks;
  for (auto& lane : lanes_) locks.emplace_back(lane->applying);
  return locks;
}

}  // namespace spirula::filestore
