#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "msg/hobject.h"
#include "msg/message.h"
#include "msg/osd_op.h"
#include "msg/types.h"

/// What clients and an OSD say to each other. Sources: Ceph src/messages/MOSDOp.h, MOSDOpReply.h, MOSDBackoff.h,
/// MWatchNotify.h; Linux net/ceph/osd_client.c.
namespace spirula::msg {

namespace limits {
inline constexpr std::size_t ops_per_request_max = 1024;    ///< Ceph's own clients stay below 20
inline constexpr std::size_t object_name_bytes_max = 4096;  ///< on the wire; what a store takes is its own affair
}  // namespace limits

/// Ceph: blkin_trace_info. Carried, never used.
struct TraceInfo {
  std::uint64_t trace = 0, span = 0, parent = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.trace);
    wire(self.span);
    wire(self.parent);
  }
};

/// Ceph: MOSDOp. Version 8 is what every supported client sends; older ones are refused.
struct OsdRequest {
  static constexpr std::uint16_t message_type = 42, header_version = 8, header_compat = 3;
  ShardedPgId pg;           ///< the actual PG: the seed is below pg_num
  std::uint32_t hash = 0;   ///< the object's raw hash
  Epoch epoch;              ///< the sender's osdmap
  std::uint32_t flags = 0;  ///< request_flag
  /// As sent: stock clients leave it empty and mean (connection's peer, message tid); see request_id().
  RequestId id{.client = {EntityType::none, 0}};
  TraceInfo trace;
  std::uint32_t client_incarnation = 0;
  Time mtime;
  ObjectLocator locator;  ///< its hash is never set by clients
  std::string object;     ///< empty for operations on a PG
  std::vector<OsdOp> ops;
  SnapId snap = snap_head;   ///< which snapshot a read wants
  SnapContext snap_context;  ///< which snapshots a write must preserve
  std::int32_t retry_attempt = -1;
  std::uint64_t client_features = 0;
  BufferList data;  ///< the payloads of `ops`, one after the other; split_payloads() hands them out

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  /// Which operation this is, for ever: resends carry the same.
  RequestId request_id(EntityName sender, std::uint64_t tid) const;
  /// Where the object sorts; for a PG operation, where the PG begins.
  HObject object_id() const;
  std::string describe() const;
};

/// The request of a received message, with OsdOp::input filled in. Errc::malformed if the data does not match the
/// operations' lengths.
Result<OsdRequest> read_osd_request(const Message& message);
/// The message of a request whose operations have their OsdOp::input; sets lengths and data.
Message make_osd_request(OsdRequest request, std::uint64_t tid);

/// Ceph: request_redirect_t. We never send one, and follow none.
struct Redirect {
  static constexpr std::uint8_t version = 1, compat = 1;
  ObjectLocator locator;
  std::string object;
  Buffer reserved;
  static void fields(auto& self, auto& wire) {
    wire(self.locator);
    wire(self.object);
    wire(self.reserved);
  }
};

/// Ceph: MOSDOpReply.
struct OsdReply {
  static constexpr std::uint16_t message_type = 43, header_version = 8, header_compat = 2;
  std::string object;
  PgId pg;
  std::uint64_t flags = 0;  ///< the request's, with request_flag::ondisk or ack set anew
  std::int32_t result = 0;  ///< 0, a positive value, or a negative errno
  Version bad_replay_version;
  Epoch epoch;                      ///< the OSD's osdmap
  std::vector<OsdOp> ops;           ///< as requested, with `output` and `result`
  std::int32_t retry_attempt = -1;  ///< the request's
  Version version;                  ///< of the object after a write
  std::uint64_t user_version = 0;
  std::optional<Redirect> redirect;
  TraceInfo trace;
  BufferList data;  ///< the outputs of `ops`, one after the other

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// The reply of a received message, with OsdOp::output filled in. Errc::malformed.
Result<OsdReply> read_osd_reply(const Message& message);
/// The message of a reply whose operations have their OsdOp::output; sets lengths and data.
Message make_osd_reply(OsdReply reply, std::uint64_t tid);

/// Ceph: MOSDBackoff. "Do not send me operations on [begin, end) of this PG until I unblock them." The object at
/// `begin` is meant in any case: with end == begin it alone. An object's clones stand where its head does.
struct OsdBackoff {
  static constexpr std::uint16_t message_type = 61, header_version = 1, header_compat = 1;
  enum class Kind : std::uint8_t { block = 1, ack_block = 2, unblock = 3 };
  ShardedPgId pg;
  Epoch epoch;
  Kind kind{};
  std::uint64_t id = 0;
  HObject begin, end;
  bool covers(const HObject& place) const { return place == begin || (place > begin && place < end); }
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.epoch);
    wire(self.kind);
    wire(self.id);
    wire(self.begin);
    wire(self.end);
  }
};

/// Ceph: MWatchNotify. To a watcher: somebody notifies, or the watch is gone; to a notifier: everybody has answered
/// (then `data` is the NotifyResponse).
struct WatchNotify {
  static constexpr std::uint16_t message_type = 44, header_version = 3, header_compat = 1;
  enum class Kind : std::uint8_t { notify = 1, notify_complete = 2, disconnect = 3 };
  std::uint8_t body_version = 1;
  Kind kind{};
  std::uint64_t cookie = 0;  ///< of the watch, or of the notify operation
  std::uint64_t version = 0;
  std::uint64_t notify_id = 0;
  Buffer payload;
  std::int32_t return_code = 0;
  std::uint64_t notifier = 0;  ///< a client's global id
  BufferList data;
  static void fields(auto& self, auto& wire) {
    wire(self.body_version);
    wire(self.kind);
    wire(self.cookie);
    wire(self.version);
    wire(self.notify_id);
    wire(self.payload);
    wire.since(2, self.return_code);
    wire.since(3, self.notifier);
  }
};

// --- payloads of single operations
// ------------------------------------------------------------------------------------

/// Output of stat.
struct StatOutput {
  std::uint64_t size = 0;
  Time mtime;
  static void fields(auto& self, auto& wire) {
    wire(self.size);
    wire(self.mtime);
  }
};

/// One object in a listing.
struct ListedObject {
  std::string name_space, name, key;
  static void fields(auto& self, auto& wire) {
    wire(self.name_space);
    wire(self.name);
    wire(self.key);
  }
  friend auto operator<=>(const ListedObject&, const ListedObject&) = default;
};
/// Ceph: pg_nls_response_t. Output of pgnls; its input is the HObject to start from. The operation's result is 1 when
/// `handle` is the end of the PG.
struct ListingOutput {
  static constexpr std::uint8_t version = 1, compat = 1;
  HObject handle;  ///< where to go on
  std::vector<ListedObject> entries;
  static void fields(auto& self, auto& wire) {
    wire(self.handle);
    wire(self.entries);
  }
};

/// Ceph: watch_item_t, obj_list_watch_response_t. Output of list-watchers.
struct WatchItem {
  static constexpr std::uint8_t version = 2, compat = 1;
  EntityName name;
  std::uint64_t cookie = 0;
  std::uint32_t timeout_s = 0;
  Address address;
  static void fields(auto& self, auto& wire) {
    wire(self.name);
    wire(self.cookie);
    wire(self.timeout_s);
    wire.since(2, self.address);
  }
};
struct WatchersOutput {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::vector<WatchItem> watchers;
  static void fields(auto& self, auto& wire) { wire(self.watchers); }
};

/// Ceph: clone_info, obj_list_snap_response_t. Output of list-snaps.
struct CloneInfo {
  static constexpr std::uint8_t version = 1, compat = 1;
  SnapId clone;                                                  ///< snap_head for the head
  std::vector<SnapId> snaps;                                     ///< that see this clone, ascending
  std::vector<std::pair<std::uint64_t, std::uint64_t>> overlap;  ///< (offset, length) shared with the next newer one
  std::uint64_t size = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.clone);
    wire(self.snaps);
    wire(self.overlap);
    wire(self.size);
  }
};
struct SnapsOutput {
  static constexpr std::uint8_t version = 2, compat = 1;
  std::vector<CloneInfo> clones;
  SnapId sequence;
  static void fields(auto& self, auto& wire) {
    wire(self.clones);
    wire.since(2, self.sequence);
  }
};

/// Input of omap-get-vals (its output: map<string, Buffer>, then a bool "there is more"); omap-get-keys has the same
/// without the prefix (output: set<string>, bool).
struct OmapRangeInput {
  std::string after;
  std::uint64_t count_max = 0;
  std::string prefix;
  static void fields(auto& self, auto& wire) {
    wire(self.after);
    wire(self.count_max);
    wire(self.prefix);
  }
};

/// Input of notify. The notify's timeout is in seconds.
struct NotifyInput {
  std::uint32_t protocol = 1, timeout_s = 0;
  Buffer payload;
  static void fields(auto& self, auto& wire) {
    wire(self.protocol);
    wire(self.timeout_s);
    wire(self.payload);
  }
};
/// Input of notify-ack.
struct NotifyAckInput {
  std::uint64_t notify_id = 0, cookie = 0;
  Buffer payload;
  void encode(Encoder& encoder) const {
    encoder(notify_id);
    encoder(cookie);
    encoder(payload);
  }
  void decode(Decoder& decoder) {
    decoder(notify_id);
    decoder(cookie);
    if (decoder.remaining()) decoder(payload);
  }
};
/// What a notifier gets in the end: answers by (client id, cookie), and who did not answer in time.
struct NotifyResponse {
  std::multimap<std::pair<std::uint64_t, std::uint64_t>, Buffer> replies;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> missed;
  static void fields(auto& self, auto& wire) {
    wire(self.replies);
    wire(self.missed);
  }
};

}  // namespace spirula::msg
