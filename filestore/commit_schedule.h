#pragma once
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace spirula::filestore {

/// When the next commit is due: decided from what is known at a moment. The moment is handed in; no clock is read here.
/// A commit costs what it costs whatever it contains, and may take a tenth of the time: the interval is ten times what
/// the last one took, within bounds. It is due earlier when the journal or what is dirty grows too fast for that, and
/// not at all while it would change nothing.
class CommitSchedule {
 public:
  using Interval = std::chrono::microseconds;

  /// How things stand.
  struct Situation {
    bool requested = false;           ///< somebody waits for a commit
    bool stuck = false;               ///< the journal has no room for what waits, and nothing is left to be applied
    bool settled = false;             ///< both kept snapshots contain everything there is
    bool wants_room = false;          ///< the disk is nearly full, and a commit would give some of it back
    std::uint64_t journal_bytes = 0;  ///< written since the store was opened
    std::uint64_t journal_size = 0;
    std::uint64_t dirty_bytes = 0;  ///< written into data files since the last commit
    std::uint64_t dirty_bytes_max = 0;
  };

  CommitSchedule(Interval interval_min, Interval interval_max);
  /// The first interval, the shortest, begins.
  void start(MonotonicTime now);
  bool due(MonotonicTime now, const Situation& situation) const;
  /// A commit was made from `begin` to `end`, and the journal had written so much when it began.
  void committed(MonotonicTime begin, MonotonicTime end, std::uint64_t journal_bytes);
  /// There was nothing to commit: what the journal has written counts as seen.
  void found_nothing(std::uint64_t journal_bytes) { journal_bytes_seen_ = journal_bytes; }
  Interval interval() const { return interval_; }

 private:
  Interval interval_min_, interval_max_, interval_;
  MonotonicTime last_;
  std::uint64_t journal_bytes_seen_ = 0;
};

}  // namespace spirula::filestore
