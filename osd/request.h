#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "filestore/transaction.h"
#include "msg/caps_osd.h"
#include "msg/osd_op.h"
#include "osd/object_class.h"
#include "osd/object_info.h"
#include "osd/pg_log.h"

/// What goes into the interpreter and what comes out.
namespace spirula::osd {

using filestore::Transaction;
using msg::OpCode;
using msg::OsdOp;

/// What copy-from2 copies: an object of any pool, read before the request gets its turn at its own object.
struct CopySource {
  std::int32_t result = 0;  ///< a negative errno: there is nothing to copy
  std::uint64_t user_version = 0;
  Time modified;
  BufferList data;
  std::map<std::string, Buffer> attributes;  ///< clients' names
  Buffer omap_header;
  std::map<std::string, Buffer> omap;
};
/// The operand and input of copy-from2.
struct CopyOrder {
  std::string name;
  msg::ObjectLocator locator;
  bool has_truncation = false;
  std::uint32_t truncate_sequence = 0;
  std::uint64_t truncate_size = 0;
};
Result<CopyOrder> read_copy_order(const OsdOp& op);

/// One client request on one object (or on a PG: then only the head's pool, hash and namespace mean something).
struct ObjectRequest {
  ObjectId head;                 ///< the object, with snap = snap_head
  SnapId snap = msg::snap_head;  ///< what a read wants
  std::vector<OsdOp> ops;        ///< with their inputs
  SnapContext snap_context;      ///< for writes; already the pool's own, if that counts
  Time modified;                 ///< the client's time
  Time now;                      ///< ours
  RequestId id;
  msg::EntityName client;  ///< who watches, locks; usually id.client
  msg::AddressVector origin;
  std::uint32_t flags = 0;  ///< msg::request_flag
  std::shared_ptr<const CopySource> copy_source;
};

/// What the operations of a request ask for beyond the object: rights, locks, room.
struct RequestNature {
  bool reads = false, writes = false;  ///< needs the right to
  bool changes = false;                ///< may change the object: takes a place in its order of writes
  bool depends_on_content = false;     ///< a change that reads: must not overlap earlier changes
  bool copies = false;                 ///< needs ObjectRequest::copy_source
  bool is_listing = false;             ///< works on the PG
  bool shrinks_only = false;           ///< takes no room for long: goes through although the disk is full
  std::uint64_t input_bytes = 0;
  std::vector<msg::OsdCaps::ClassCall> calls;
};
/// Negative errno if the request makes no sense whatever the object is, else 0.
std::int32_t classify(const std::vector<OsdOp>& ops, const ObjectClasses& classes, RequestNature& nature);

/// A watch that a request made, found again, kept alive or dropped; to be acted upon once the request is durable.
struct WatchEffect {
  enum class Kind : std::uint8_t { connect, ping, disconnect, removed_with_object };
  Kind kind;
  WatchKey key;
  WatchInfo info;
  bool pings = true;  ///< the client promised to ping within the timeout
};
struct NotifyEffect {
  std::uint64_t cookie = 0;
  std::uint32_t timeout_seconds = 0;
  Buffer payload;
  std::size_t op = 0;    ///< which operation's output carries the notify id
  std::uint64_t id = 0;  ///< given when it is acted upon
};
struct NotifyAckEffect {
  std::uint64_t notify_id = 0, cookie = 0;
  Buffer payload;
  bool has_cookie = false;
};

/// What one operation is told.
struct OpResult {
  std::int32_t result = 0;
  BufferList output;
  std::int64_t length = -1;  ///< of a read: replaces the extent's length in the reply
};

/// The decision on a request.
struct Outcome {
  std::int32_t result = 0;
  std::vector<OpResult> ops;
  bool changes = false;       ///< there is something to write
  bool user_changes = false;  ///< ... that counts as a new user version
  ObjectState after;
  SnapSet snaps;
  bool snaps_changed = false;
  bool read_clone = false;                               ///< the versions told are the clone's, in `after`
  std::vector<Transaction::ObjectOperation> operations;  ///< on the head, in order
  std::optional<Clone> new_clone;                        ///< the head as it was becomes this clone first
  ObjectInfo clone_info;
  PgTotals delta;
  std::vector<WatchEffect> watches;
  std::vector<NotifyEffect> notifies;
  std::vector<NotifyAckEffect> acknowledgements;
};

}  // namespace spirula::osd
