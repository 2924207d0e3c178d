#include "filestore/commit_schedule.h"

#include <algorithm>

namespace spirula::filestore {
namespace {

/// The part of the time that a commit may take.
constexpr int interval_per_cost = 10;
/// Of a ring, written since the last commit: two intervals and what arrives during a commit must fit.
constexpr std::uint64_t ring_part = 4;
/// Between commits that only find out what is left on a disk that is nearly full.
constexpr auto wants_room_pause = std::chrono::milliseconds(200);

}  // namespace

CommitSchedule::CommitSchedule(Interval interval_min, Interval interval_max)
    : interval_min_(interval_min), interval_max_(std::max(interval_min, interval_max)), interval_(interval_min) {}

void CommitSchedule::start(MonotonicTime now) {
  last_ = now;
  interval_ = interval_min_;
}

bool CommitSchedule::due(MonotonicTime now, const Situation& s) const {
  if (s.requested || s.stuck) return true;
  if (s.settled) return false;
  if (s.written.journal - seen_.journal > s.size.journal / ring_part) return true;
  if (s.written.staging - seen_.staging > s.size.staging / ring_part) return true;
  if (s.dirty_bytes > s.dirty_bytes_max) return true;
  return now - last_ >= (s.wants_room ? std::min<Interval>(interval_, wants_room_pause) : interval_);
}

void CommitSchedule::committed(MonotonicTime begin, MonotonicTime end, const Rings& written) {
  auto cost = std::chrono::duration_cast<Interval>(end - begin);
  interval_ = std::clamp(cost * interval_per_cost, interval_min_, interval_max_);
  last_ = end;
  seen_ = written;
}

}  // namespace spirula::filestore
