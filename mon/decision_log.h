#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "mon/log_storage.h"

namespace spirula::mon {

/// What the monitor has decided, in order, on disk: checkpoints of the whole state, and after each a file of the
/// records that followed. Calls block; one at a time, from any thread.
///
///   checkpoint.<S>   the state after record S        log.<S>   records S+1, S+2, ... until the next checkpoint
///
/// Invariants: append() returns success only when the record is on stable storage; records are numbered without gaps;
/// the two newest checkpoints and every record since the older one are kept, so that one bad checkpoint loses nothing.
class DecisionLog {
 public:
  /// What a start finds.
  struct Restored {
    Buffer checkpoint;
    std::uint64_t checkpoint_sequence = 0;
    std::vector<std::pair<std::uint64_t, Buffer>> records;  ///< those after the checkpoint
    std::string note;                                       ///< for the log: a tail that was cut, a checkpoint skipped
    std::string problem;  ///< when open() failed: what, in which file, at which offset
  };

  /// An empty directory gets `initial` as checkpoint 0. Errc::exists if it is not empty.
  static Result<> create(LogStorage& storage, const Buffer& initial);
  /// A torn or damaged tail, where no valid record follows, is cut: it was never acknowledged or is beyond repair.
  /// Errc::malformed for damage with valid records after it, Errc::not_found without any checkpoint.
  static Result<std::unique_ptr<DecisionLog>> open(std::unique_ptr<LogStorage> storage, Restored& restored);

  /// The number of the newest record.
  std::uint64_t sequence() const { return sequence_; }
  std::uint64_t bytes_since_checkpoint() const { return size_; }
  bool blocks() const { return storage_->blocks(); }
  /// Makes the next record durable. Errc::no_space and the like: refused, the log is as before. Once the disk's answer
  /// is not to be trusted (a sync failed, a partial record could not be cut) every call fails with
  /// Errc::outcome_unknown until a restart reads back what is really there.
  Result<> append(const Buffer& record);
  /// Starts over from `state`, the state after sequence(). On failure the old checkpoint and log go on.
  Result<> checkpoint(const Buffer& state);

 private:
  DecisionLog(std::unique_ptr<LogStorage> storage, std::uint64_t sequence, std::string file, std::uint64_t size)
      : storage_(std::move(storage)), sequence_(sequence), file_(std::move(file)), size_(size) {}
  void drop_old();

  std::unique_ptr<LogStorage> storage_;
  std::uint64_t sequence_;
  std::string file_;
  std::uint64_t size_;
  bool poisoned_ = false;
};

}  // namespace spirula::mon
