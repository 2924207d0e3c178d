#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "msg/types.h"
#include "osd/pg_log.h"

namespace spirula::osd {

using msg::PgId;

/// Who is responsible for a PG by one map. While nothing of this changes it is one interval.
struct Membership {
  std::vector<std::int32_t> up, acting;
  std::int32_t primary = -1;
  std::vector<Epoch> born;  ///< when each of `acting`, then of `up`, came up: an OSD that restarts is another one
  std::uint32_t size = 0, min_size = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.up, 64);
    wire(self.acting, 64);
    wire(self.primary);
    wire(self.born, 128);
    wire(self.size);
    wire(self.min_size);
  }
  friend bool operator==(const Membership&, const Membership&) = default;
};

/// A past interval (Ceph: PastIntervals::pg_interval_t).
struct Interval {
  static constexpr std::uint8_t version = 1, compat = 1;
  Epoch first, last;
  std::vector<std::int32_t> acting;
  bool maybe_wrote = false;  ///< its primary may have acknowledged writes
  bool unknown = false;      ///< maps of it were missed: anybody may have written
  static void fields(auto& self, auto& wire) {
    wire(self.first);
    wire(self.last);
    wire(self.acting, 64);
    wire(self.maybe_wrote);
    wire(self.unknown);
  }
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// What a copy of a PG remembers of itself besides its log; kept under "info" in the collection's metadata.
struct PgInfo {
  static constexpr std::uint8_t version = 2, compat = 1;
  Epoch created;                   ///< the map that created it here
  Epoch interval_since;            ///< first epoch of the current interval
  Epoch last_started, last_clean;  ///< newest interval this copy was activated in; epoch it was last clean in
  std::vector<std::int32_t> up, acting;
  Version log_tail;
  bool removing = false;       ///< its pool is gone, or it is needed no more; what is left is being removed
  Membership members;          ///< of the current interval
  std::vector<Interval> past;  ///< ascending, since the PG was last clean
  /// False: a backfill is under way, and only heads up to `cursor` (and their clones) are here as the log says.
  bool complete = true;
  ObjectId cursor;

  static void fields(auto& self, auto& wire) {
    wire(self.created);
    wire(self.interval_since);
    wire(self.last_started);
    wire(self.last_clean);
    wire(self.up, 64);
    wire(self.acting, 64);
    wire(self.log_tail);
    wire(self.removing);
    wire.since(2, self.members);
    wire.since(2, self.past);
    wire.since(2, self.complete);
    wire.since(2, self.cursor);
  }
  /// Whether objects of this head are kept up to date here.
  bool covers(const ObjectId& head) const { return complete || head <= cursor; }
  friend bool operator==(const PgInfo&, const PgInfo&) = default;
};

/// What an object should be: the log names it, the store does not have it yet.
struct Need {
  Version at;           ///< of the log entry that made it so
  bool absent = false;  ///< it is known not to exist
  static void fields(auto& self, auto& wire) {
    wire(self.at);
    wire(self.absent);
  }
  friend bool operator==(const Need&, const Need&) = default;
};
/// By head: an object and its clones are recovered together.
using Missing = std::map<ObjectId, Need>;

/// One OSD's copy, as it tells others.
struct CopyInfo {
  static constexpr std::uint8_t version = 1, compat = 1;
  bool exists = false;
  PgInfo info;
  Version last_update, log_tail;
  std::uint64_t missing = 0;
  std::uint64_t followed = 0;  ///< the activation it followed last, and follows no more
  static void fields(auto& self, auto& wire) {
    wire(self.exists);
    wire(self.info);
    wire(self.last_update);
    wire(self.log_tail);
    wire(self.missing);
    wire(self.followed);
  }
  friend bool operator==(const CopyInfo&, const CopyInfo&) = default;
};

}  // namespace spirula::osd
