#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <vector>

#include "filestore/object_id.h"
#include "msg/hobject.h"
#include "msg/types.h"
#include "osd/interval_set.h"
#include "osd/limits.h"

/// What the OSD itself knows of an object. Kept as attributes beside the client's own, whose names carry a "_" in
/// front.
namespace spirula::osd {

using filestore::ObjectId;
using msg::Epoch;
using msg::RequestId;
using msg::SnapContext;
using msg::SnapId;
using msg::Time;
using msg::Version;

inline constexpr const char* info_attribute = "_";
inline constexpr const char* snap_set_attribute = "snapset";

/// As messages name an object.
msg::HObject place_of(const ObjectId& object);

/// Who watches an object: a client may watch one object many times, by cookie.
struct WatchKey {
  std::uint64_t cookie = 0;
  msg::EntityName client;
  static void fields(auto& self, auto& wire) {
    wire(self.cookie);
    wire(self.client);
  }
  friend auto operator<=>(const WatchKey&, const WatchKey&) = default;
};
struct WatchInfo {
  std::uint32_t timeout_seconds = 0;
  msg::AddressVector address;
  static void fields(auto& self, auto& wire) {
    wire(self.timeout_seconds);
    wire(self.address);
  }
  friend bool operator==(const WatchInfo&, const WatchInfo&) = default;
};

/// One object (head or clone). Written with every change, so it is small.
struct ObjectInfo {
  static constexpr std::uint8_t version = 1, compat = 1;
  enum Flag : std::uint32_t {
    whiteout = 1,  ///< a deleted head that is kept because its clones need its SnapSet
    omap = 2,      ///< has had omap keys or a header
  };
  Version changed;  ///< of the log entry that wrote this
  Version prior;    ///< the one before it
  std::uint64_t user_version = 0;
  std::uint64_t size = 0;
  Time modified;
  RequestId last_request;
  std::uint32_t flags = 0;
  /// The kernel's and libcephfs's truncation protocol: of writes with an older sequence, what lies beyond is dropped.
  std::uint32_t truncate_sequence = 0;
  std::uint64_t truncate_size = 0;
  std::uint64_t expected_object_size = 0, expected_write_size = 0;
  std::uint32_t allocation_hints = 0;
  std::map<WatchKey, WatchInfo> watchers;

  static void fields(auto& self, auto& wire) {
    wire(self.changed);
    wire(self.prior);
    wire(self.user_version);
    wire(self.size);
    wire(self.modified);
    wire(self.last_request);
    wire(self.flags);
    wire(self.truncate_sequence);
    wire(self.truncate_size);
    wire(self.expected_object_size);
    wire(self.expected_write_size);
    wire(self.allocation_hints);
    wire(self.watchers, limits::watchers_max);
  }
  friend bool operator==(const ObjectInfo&, const ObjectInfo&) = default;
};

/// One clone of a head: the state it had for `snaps`.
struct Clone {
  static constexpr std::uint8_t version = 1, compat = 1;
  SnapId id;                  ///< the newest snapshot it was made for; part of its object's name
  std::vector<SnapId> snaps;  ///< descending; a clone without any is removed
  std::uint64_t size = 0;
  IntervalSet overlap;  ///< bytes unchanged between this clone and the next newer one (or the head)
  static void fields(auto& self, auto& wire) {
    wire(self.id);
    wire(self.snaps, limits::clones_max);
    wire(self.size);
    wire(self.overlap);
  }
  friend bool operator==(const Clone&, const Clone&) = default;
};

/// Ceph: SnapSet. Lives on the head, which therefore outlives its own deletion (ObjectInfo::whiteout) while there are
/// clones.
struct SnapSet {
  static constexpr std::uint8_t version = 1, compat = 1;
  SnapId sequence;            ///< newest snap context a write came with
  std::vector<Clone> clones;  ///< ascending by id
  static void fields(auto& self, auto& wire) {
    wire(self.sequence);
    wire(self.clones, limits::clones_max);
  }
  Clone* find(SnapId id);
  const Clone* find(SnapId id) const { return const_cast<SnapSet*>(this)->find(id); }
  friend bool operator==(const SnapSet&, const SnapSet&) = default;
};

/// What is remembered of one object between requests.
struct ObjectState {
  bool stored = false;  ///< the store has such an object, maybe as a whiteout
  ObjectInfo info;
  /// Does it exist for clients?
  bool exists() const { return stored && !(info.flags & ObjectInfo::whiteout); }
};

/// Where a read of `snap` goes.
enum class SnapTarget { head, clone, nothing };
struct SnapChoice {
  SnapTarget target = SnapTarget::nothing;
  SnapId clone;
};
/// The head or the clone that holds the state of `snap` (snap_head for the head itself).
SnapChoice choose_snap(const SnapSet& snaps, SnapId snap);

}  // namespace spirula::osd
