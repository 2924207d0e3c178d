#pragma once
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace spirula::filestore {

/// When the next commit is due: decided from what is known at a moment. The moment is handed in; no clock is read here.
/// A commit costs what it costs whatever it contains, and may take a tenth of the time: the interval is ten times what
/// the last one took, within bounds. It is due earlier when a ring is used up or what is dirty grows too fast for that,
/// and not at all while it would change nothing.
class CommitSchedule {
 public:
  using Interval = std::chrono::microseconds;

  /// Of the journal and of the staging rings: bytes written since the store was opened, and there are in all.
  struct Rings {
    std::uint64_t journal = 0, staging = 0;
  };
  /// How things stand.
  struct Situation {
    bool requested = false;   ///< somebody waits for a commit
    bool stuck = false;       ///< the journal has no room for what waits, and nothing is left to be applied
    bool settled = false;     ///< both kept snapshots contain everything there is
    bool wants_room = false;  ///< the disk is nearly full, and a commit would give some of it back
    Rings written, size;
    std::uint64_t dirty_bytes = 0;  ///< written into data files since the last commit
    std::uint64_t dirty_bytes_max = 0;
  };

  CommitSchedule(Interval interval_min, Interval interval_max);
  /// The first interval, the shortest, begins.
  void start(MonotonicTime now);
  bool due(MonotonicTime now, const Situation& situation) const;
  /// There is nothing to commit: the interval begins with what comes next, so that a burst does not meet a commit
  /// first.
  void rest(MonotonicTime now) { last_ = now; }
  /// A commit was made from `begin` to `end`, and so much was written when it began.
  void committed(MonotonicTime begin, MonotonicTime end, const Rings& written);
  /// There was nothing to commit: what is written counts as seen.
  void found_nothing(const Rings& written) { seen_ = written; }
  Interval interval() const { return interval_; }

 private:
  Interval interval_min_, interval_max_, interval_;
  MonotonicTime last_;
  Rings seen_;
};

}  // namespace spirula::filestore
