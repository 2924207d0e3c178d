#pragma once
#include <vector>

#include "msg/types.h"
#include "osd/pg_info.h"

/// What OSDs say to each other. Our own design, spoken by nobody else (types from 0x7101), over lossless sessions:
/// every message arrives once and in order for as long as both processes live. Each carries the sender's epoch; a
/// receiver that is behind waits for the map, and what was sent before its current interval began is dropped, as the
/// sender will notice the new interval too. README.md has the protocol.
namespace spirula::osd {

/// One question to another OSD's copy of a PG; PeerReply repeats the tid. `notify` has no answer.
struct PeerRequest {
  static constexpr std::uint16_t message_type = 0x7101, header_version = 1, header_compat = 1;
  enum class Kind : std::uint8_t {
    info = 1,    ///< -> CopyInfo
    notify,      ///< CopyInfo: what a copy tells the primary of a new interval
    log,         ///< -> LogPayload: all of it, and what is missing
    activate,    ///< Activation -> Activated
    pull,        ///< ObjectId: push me this head and its clones, with PullOrder
    push_begin,  ///< FamilyPayload -> FamilyPayload: those that are there already
    push_chunk,  ///< ChunkPayload, with data
    push_end,    ///< FamilyPayload
    list,        ///< RangeOrder -> RangePayload
    filled,      ///< FilledPayload: a backfill has come so far
    clean,       ///< all copies are whole: past intervals are history
    remove,      ///< the PG is whole elsewhere: this copy may go
  };
  PgId pg;
  Epoch epoch;
  std::int32_t from = -1;
  Kind kind = Kind::info;
  std::uint64_t tid = 0;
  Buffer payload;
  BufferList data;
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.epoch);
    wire(self.from);
    wire(self.kind);
    wire(self.tid);
    wire(self.payload);
  }
};

struct PeerReply {
  static constexpr std::uint16_t message_type = 0x7102, header_version = 1, header_compat = 1;
  PgId pg;
  Epoch epoch;
  std::int32_t from = -1;
  std::uint64_t tid = 0;
  std::int32_t result = 0;  ///< negative errno
  Buffer payload;
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.epoch);
    wire(self.from);
    wire(self.tid);
    wire(self.result);
    wire(self.payload);
  }
};

/// One change, from the primary to a replica that it has activated. `data`: the payload of the transaction.
struct ReplicaWrite {
  static constexpr std::uint16_t message_type = 0x7103, header_version = 1, header_compat = 1;
  PgId pg;
  Epoch epoch;
  std::int32_t from = -1;
  std::uint64_t activation = 0;  ///< under which it was sent; of another one it is dropped
  Version previous;              ///< the replica's log must end here
  Version keep_from;             ///< what PgLog::append() returned
  PgLogEntry entry;
  Buffer description;  ///< of the transaction (filestore::Record)
  BufferList data;
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.epoch);
    wire(self.from);
    wire(self.activation);
    wire(self.previous);
    wire(self.keep_from);
    wire(self.entry);
    wire(self.description);
  }
};

/// It is durable at the replica. `refused`: the replica's log ends elsewhere; peer again.
struct ReplicaAck {
  static constexpr std::uint16_t message_type = 0x7104, header_version = 1, header_compat = 1;
  PgId pg;
  Epoch epoch;
  std::int32_t from = -1;
  std::uint64_t activation = 0;
  Version at;
  bool refused = false;
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.epoch);
    wire(self.from);
    wire(self.activation);
    wire(self.at);
    wire(self.refused);
  }
};

struct PeerPing {
  static constexpr std::uint16_t message_type = 0x7105, header_version = 1, header_compat = 1;
  std::int32_t from = -1;
  std::uint64_t stamp = 0;  ///< of the sender's clock; the answer repeats it
  bool answer = false;
  static void fields(auto& self, auto& wire) {
    wire(self.from);
    wire(self.stamp);
    wire(self.answer);
  }
};

// --- payloads

struct LogPayload {
  static constexpr std::uint8_t version = 1, compat = 1;
  Version tail;
  std::vector<PgLogEntry> entries;
  Missing missing;
  static void fields(auto& self, auto& wire) {
    wire(self.tail);
    wire(self.entries);
    wire(self.missing);
  }
};

struct Activation {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t number = 0;
  PgInfo info;    ///< the primary's: history, and the interval that starts
  Version since;  ///< the entries are all after this
  Version tail;   ///< of the log as a whole
  std::vector<PgLogEntry> entries;
  std::uint32_t bits = 0;  ///< of the collection, if it has to be made
  static void fields(auto& self, auto& wire) {
    wire(self.number);
    wire(self.info);
    wire(self.since);
    wire(self.tail);
    wire(self.entries);
    wire(self.bits);
  }
};
struct Activated {
  static constexpr std::uint8_t version = 1, compat = 1;
  bool log_needed = false;  ///< the entries do not reach back to what we have: send all of the log
  bool complete = true;
  ObjectId cursor;
  Missing missing;
  static void fields(auto& self, auto& wire) {
    wire(self.log_needed);
    wire(self.complete);
    wire(self.cursor);
    wire(self.missing);
  }
};

struct PullOrder {
  static constexpr std::uint8_t version = 2, compat = 1;
  ObjectId head;
  bool exact = false;  ///< only if the head is of version `at`: the puller does not know whether ours is current
  Version at;
  bool older = false;  ///< although the log names a newer version, which is lost
  static void fields(auto& self, auto& wire) {
    wire(self.head);
    wire(self.exact);
    wire(self.at);
    wire.since(2, self.older);
  }
};

/// A head, its clones, and their versions; nothing if there is no such object.
struct FamilyPayload {
  static constexpr std::uint8_t version = 2, compat = 1;
  ObjectId head;
  std::map<ObjectId, Version> members;
  std::vector<std::string> snap_keys;  ///< collection keys that belong to it
  bool older = false;                  ///< not what the log names: the object goes on missing
  static void fields(auto& self, auto& wire) {
    wire(self.head);
    wire(self.members);
    wire(self.snap_keys);
    wire.since(2, self.older);
  }
};

struct ChunkPayload {
  static constexpr std::uint8_t version = 2, compat = 1;
  ObjectId object;
  bool first = false;  ///< what is there goes
  std::uint64_t offset = 0, size = 0;
  std::map<std::string, Buffer> attributes, omap;
  Buffer omap_header;
  /// With the first piece: (offset, length) of what the object has in common with `newer`, which is there already; it
  /// is not sent and stays the same blocks.
  ObjectId newer;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> shared;
  static void fields(auto& self, auto& wire) {
    wire(self.object);
    wire(self.first);
    wire(self.offset);
    wire(self.size);
    wire(self.attributes);
    wire(self.omap);
    wire(self.omap_header);
    wire.since(2, self.newer);
    wire.since(2, self.shared, limits::shared_ranges_max);
  }
};

struct RangeOrder {
  static constexpr std::uint8_t version = 1, compat = 1;
  ObjectId after;  ///< heads greater than this ...
  bool to_end = false;
  ObjectId last;  ///< ... up to this
  static void fields(auto& self, auto& wire) {
    wire(self.after);
    wire(self.to_end);
    wire(self.last);
  }
};
/// The objects in a range: every one with its version.
struct RangePayload {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::map<ObjectId, std::map<ObjectId, Version>> families;  ///< by head
  static void fields(auto& self, auto& wire) { wire(self.families); }
};
struct FilledPayload {
  static constexpr std::uint8_t version = 1, compat = 1;
  bool complete = false;
  ObjectId cursor;
  static void fields(auto& self, auto& wire) {
    wire(self.complete);
    wire(self.cursor);
  }
};

}  // namespace spirula::osd
