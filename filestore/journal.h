#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/journal_device.h"
#include "filestore/record.h"

namespace spirula::filestore {

using StoreUuid = std::array<std::uint8_t, 16>;

/// The place after the record of `sequence`: where the next one is looked for. Kept with each commit point.
struct JournalPosition {
  std::uint64_t sequence = 0;
  std::uint64_t lap = 0;
  std::uint64_t offset = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.sequence);
    wire(self.lap);
    wire(self.offset);
  }
};

/// A ring of records on a raw device. One thread of its own reaps writes; whoever appends while the device is idle
/// starts the write itself, so that a lone transaction wakes nobody on its way to the device. What arrives during a
/// write goes together with the next one (group commit).
///
/// Layout: two superblocks of one block (the valid one with the higher incarnation counts, so a torn update loses
/// nothing), then the ring. A write starts at a block boundary, holds whole records side by side and is padded with
/// zeros. A record's header says store, incarnation, lap and sequence and carries checksums of itself and of the body.
/// Invariants: sequences have no gaps. The reader stops at the first record that is not the expected next one, so what
/// a torn write or an earlier lap left behind is never taken for the log; the incarnation, higher at each opening,
/// keeps records apart that an opening after a crash wrote over only in part.
class Journal {
 public:
  /// The device gets an empty journal of this store. Errc::no_space: smaller than limits::journal_bytes_min.
  static Result<> format(JournalDevice& device, const StoreUuid& store);
  /// Errc::not_found: no journal there; Errc::stale: that of another store; Errc::unsupported: a newer format.
  static Result<std::unique_ptr<Journal>> open(std::unique_ptr<JournalDevice> device, const StoreUuid& store);
  ~Journal();

  /// Before start(): hands each intact record after `from` to `visit`, in order; an error of visit ends it.
  /// Returns the place after the last.
  Result<JournalPosition> replay(const JournalPosition& from,
                                 const std::function<Result<>(JournalPosition at, const Buffer& body)>& visit);

  /// One thing to be written, owned by its submitter.
  struct Entry {
    Record record;
    std::atomic<std::uint64_t> sequence{0};  ///< set before append()
    JournalPosition end;                     ///< set before on_durable
    virtual ~Entry() = default;
  };
  using EntryList = std::vector<std::shared_ptr<Entry>>;
  /// Called on the journal's thread, in order; an error is final, and every later entry gets it too.
  using OnDurable = std::function<void(EntryList& entries, Result<> result)>;
  /// True if `bytes` more may be written now; if false, kick() must follow when they may.
  using MayWrite = std::function<bool(std::uint64_t bytes)>;

  /// Writing begins at `at`; records from `tail` on must not be overwritten. A new incarnation is made durable first.
  Result<> start(const JournalPosition& at, const JournalPosition& tail, OnDurable on_durable, MayWrite may_write);
  /// Finishes what was appended (or fails it, if it cannot be written), then ends the thread.
  void stop();

  /// Takes its place now; entries must come with the next sequence. Nothing is written before kick().
  void append(std::shared_ptr<Entry> entry);
  /// Starts a write if the device is idle and something waits.
  void kick();
  /// True for the first who asks since the last kick() while the device is idle: a kick is due, and the others may rely
  /// on it. During a write none is: what waits goes with the next one.
  bool wants_kick();
  /// Nothing is written any more: what waits, for room that nobody will make, gets the error, and what comes later too.
  void fail(std::error_code why);
  /// Records before `tail` are no longer needed.
  void trim(const JournalPosition& tail);

  std::uint64_t record_bytes_max() const { return ring_bytes() / 4; }
  /// Part of the ring in use, 0 to 1, and whether a write waits for room.
  double fill() const;
  std::uint64_t ring_size() const { return ring_bytes(); }
  bool starved() const;
  std::uint64_t bytes_written() const;
  /// Counts the openings of this journal.
  std::uint64_t incarnation() const { return incarnation_; }
  const char* engine() const { return device_->engine(); }

 private:
  Journal(std::unique_ptr<JournalDevice> device, const StoreUuid& store, std::uint64_t incarnation);
  struct Batch {
    EntryList entries;
    std::uint64_t bytes = 0;
    std::uint64_t offset = 0, lap = 0;
  };

  std::uint64_t ring_bytes() const;
  std::uint64_t used_locked() const;
  bool take_batch_locked(Batch& batch);
  void start_batch(Batch& batch);
  void run();
  Result<> write_superblock();

  std::unique_ptr<JournalDevice> device_;
  StoreUuid store_;
  std::uint32_t seed_;
  std::uint64_t incarnation_;
  OnDurable on_durable_;
  MayWrite may_write_;

  mutable std::mutex mutex_;
  std::condition_variable drained_;
  std::deque<std::shared_ptr<Entry>> queue_;
  std::uint64_t head_offset_ = 0, head_lap_ = 0;  ///< where the next write goes
  std::uint64_t tail_offset_ = 0, tail_lap_ = 0;
  std::uint64_t bytes_written_ = 0;
  bool kick_due_ = false;
  bool in_flight_ = false, starved_ = false, stopping_ = false, delivering_ = false;
  Result<> failure_;

  Batch flight_;  ///< belongs to whoever set in_flight_
  Buffer memory_;
  std::thread thread_;
};

}  // namespace spirula::filestore
