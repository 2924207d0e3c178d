#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "msg/auth_messages.h"
#include "msg/types.h"

/// What stock clients and a monitor say to each other. Maps travel as encoded bytes; maps/ knows what is in them.
/// Sources: Ceph src/messages/MMon*.h, MOSDMap.h, MFSMap.h, MMDSMap.h, MMgrMap.h, MConfig.h, MLog.h, MPoolOp.h,
/// MStatfs.h, MGetPoolStats.h; Linux net/ceph/mon_client.c. Logins are in auth_messages.h, what only our own daemons
/// say in daemon_messages.h.
namespace spirula::msg {

namespace limits {
inline constexpr std::size_t subscriptions_max = 64;       ///< a client has about six
inline constexpr std::size_t command_words_max = 64;       ///< strings a command; clients send one, of JSON
inline constexpr std::size_t command_bytes_max = 1 << 20;  ///< of one of them
inline constexpr std::size_t maps_per_message_max = 1024;  ///< Ceph sends 40 epochs at a time
inline constexpr std::size_t map_bytes_max = 64 << 20;     ///< one encoded map
inline constexpr std::size_t config_options_max = 4096;    ///< central configuration for one client
inline constexpr std::size_t log_entries_max = 4096;       ///< a client sends at most 200 at a time
inline constexpr std::size_t pool_names_max = 16384;       ///< pools a getpoolstats asks for
inline constexpr std::size_t reply_text_bytes_max = 1 << 20;
}  // namespace limits

/// Ceph: MMonGetMap. "Which monitors are there?"
struct MonGetMap {
  static constexpr std::uint16_t message_type = 5, header_version = 1, header_compat = 1;
  static void fields(auto&, auto&) {}
};

/// Ceph: MMonMap.
struct MonMapMessage {
  static constexpr std::uint16_t message_type = 4, header_version = 1, header_compat = 1;
  Buffer monmap;
  static void fields(auto& self, auto& wire) { wire(self.monmap, limits::map_bytes_max); }
};

/// Ceph: MMonGetOSDMap. The listed ranges of old osdmaps; a first of 0 means none of that kind.
struct MonGetOsdMap {
  static constexpr std::uint16_t message_type = 6, header_version = 1, header_compat = 1;
  PaxosHeader paxos;
  Epoch full_first, full_last;
  Epoch incremental_first, incremental_last;
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.full_first);
    wire(self.full_last);
    wire(self.incremental_first);
    wire(self.incremental_last);
  }
};

/// Ceph: ceph_mon_subscribe_item.
struct SubscribeItem {
  std::uint64_t start = 0;  ///< the first version wanted; 0: whatever is current
  std::uint8_t flags = 0;
  static constexpr std::uint8_t flag_onetime = 1;  ///< CEPH_SUBSCRIBE_ONETIME: a single answer
  static void fields(auto& self, auto& wire) {
    wire(self.start);
    wire(self.flags);
  }
  friend bool operator==(const SubscribeItem&, const SubscribeItem&) = default;
};

/// Ceph: MMonSubscribe. By name: "osdmap", "monmap", "config", "mdsmap", "mdsmap.FSCID", "fsmap", "fsmap.user",
/// "mgrmap".
struct MonSubscribe {
  static constexpr std::uint16_t message_type = 15, header_version = 3, header_compat = 1;
  std::map<std::string, SubscribeItem> what;
  std::string hostname;
  static void fields(auto& self, auto& wire) {
    wire(self.what, limits::subscriptions_max);
    wire.since(3, self.hostname, 1024);
  }
};

/// Ceph: MMonSubscribeAck. Only clients older than Jewel need it.
struct MonSubscribeAck {
  static constexpr std::uint16_t message_type = 16, header_version = 1, header_compat = 1;
  std::uint32_t interval = 0;  ///< seconds until the subscription must be repeated
  Uuid fsid;
  static void fields(auto& self, auto& wire) {
    wire(self.interval);
    wire(self.fsid);
  }
};

/// Ceph: MMonGetVersion.
struct MonGetVersion {
  static constexpr std::uint16_t message_type = 19, header_version = 1, header_compat = 1;
  std::uint64_t handle = 0;  ///< comes back in the reply
  std::string what;          ///< "osdmap", "mdsmap", ...
  static void fields(auto& self, auto& wire) {
    wire(self.handle);
    wire(self.what, 64);
  }
};

/// Ceph: MMonGetVersionReply.
struct MonGetVersionReply {
  static constexpr std::uint16_t message_type = 20, header_version = 2, header_compat = 2;
  std::uint64_t handle = 0;
  std::uint64_t newest = 0;
  std::uint64_t oldest = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.handle);
    wire(self.newest);
    wire.since(2, self.oldest);
  }
};

/// Ceph: MMonCommand. The words are one string of JSON, {"prefix": "osd pool ls", ...}.
struct MonCommand {
  static constexpr std::uint16_t message_type = 50, header_version = 1, header_compat = 1;
  PaxosHeader paxos;
  Uuid fsid;
  std::vector<std::string> command;
  BufferList data;  ///< -i FILE
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.fsid);
    wire(self.command, limits::command_words_max);
  }
};

/// Ceph: MMonCommandAck.
struct MonCommandAck {
  static constexpr std::uint16_t message_type = 51, header_version = 1, header_compat = 1;
  PaxosHeader paxos;  ///< version: of the map that shows the effect
  std::int32_t result = 0;
  std::string text;
  std::vector<std::string> command;  ///< repeats the request's
  BufferList data;                   ///< what the command prints
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.result);
    wire(self.text, limits::reply_text_bytes_max);
    wire(self.command, limits::command_words_max);
  }
};

/// Ceph: MCommand. `ceph tell`: a command to one daemon itself.
struct Command {
  static constexpr std::uint16_t message_type = 97, header_version = 1, header_compat = 1;
  Uuid fsid;
  std::vector<std::string> command;
  BufferList data;
  static void fields(auto& self, auto& wire) {
    wire(self.fsid);
    wire(self.command, limits::command_words_max);
  }
};

/// Ceph: MCommandReply.
struct CommandReply {
  static constexpr std::uint16_t message_type = 98, header_version = 1, header_compat = 1;
  std::int32_t result = 0;
  std::string text;
  BufferList data;
  static void fields(auto& self, auto& wire) {
    wire(self.result);
    wire(self.text, limits::reply_text_bytes_max);
  }
};

/// Ceph: MOSDMap. Full maps and differences by the epoch they lead to.
struct OsdMapMessage {
  static constexpr std::uint16_t message_type = 41, header_version = 4, header_compat = 3;
  Uuid fsid;
  std::map<Epoch, Buffer> incrementals, full;
  Epoch oldest, newest;  ///< what the sender has
  /// Snapshots removed in epochs that this message jumps over, by pool: (first id, count).
  std::map<std::int64_t, std::map<SnapId, std::uint64_t>> gap_removed_snaps;
  static void fields(auto& self, auto& wire) {
    wire(self.fsid);
    wire(self.incrementals, limits::maps_per_message_max);
    wire(self.full, limits::maps_per_message_max);
    wire.since(2, self.oldest);
    wire.since(2, self.newest);
    wire.since(4, self.gap_removed_snaps, 65536);
  }
};

/// Ceph: MMDSMap. The map of one file system.
struct MdsMapMessage {
  static constexpr std::uint16_t message_type = 21, header_version = 2, header_compat = 1;
  Uuid fsid;
  Epoch epoch;
  Buffer mdsmap;
  std::string file_system;
  static void fields(auto& self, auto& wire) {
    wire(self.fsid);
    wire(self.epoch);
    wire(self.mdsmap, limits::map_bytes_max);
    wire.since(2, self.file_system, 4096);
  }
};

/// A message whose front is one encoded map after its epoch.
template <std::uint16_t type>
struct EpochAndMap {
  static constexpr std::uint16_t message_type = type, header_version = 1, header_compat = 1;
  Epoch epoch;
  Buffer map;  ///< all the rest of the front
  void encode(Encoder& encoder) const {
    encoder(epoch);
    encoder.raw(map.view());
  }
  void decode(Decoder& decoder) {
    decoder(epoch);
    map = decoder.raw(decoder.remaining());
  }
};
/// Ceph: MFSMap. Every file system with its MDSMap, and the standbys.
using FsMapMessage = EpochAndMap<45>;
/// Ceph: MFSMapUser. Names and ids of file systems, for `mount -o fs=`.
using FsMapUserMessage = EpochAndMap<103>;

/// Ceph: MMgrMap.
struct MgrMapMessage {
  static constexpr std::uint16_t message_type = 0x704, header_version = 1, header_compat = 1;
  Buffer map;  ///< the whole front
  void encode(Encoder& encoder) const { encoder.raw(map.view()); }
  void decode(Decoder& decoder) { map = decoder.raw(decoder.remaining()); }
};

/// Ceph: MConfig. Central configuration for this client; sent even when empty, for clients wait for it.
struct ConfigMessage {
  static constexpr std::uint16_t message_type = 62, header_version = 1, header_compat = 1;
  std::map<std::string, std::string> options;
  static void fields(auto& self, auto& wire) { wire(self.options, limits::config_options_max); }
};

/// Ceph: MGetConfig. Asks once for the configuration of a named entity; answered with ConfigMessage.
struct GetConfig {
  static constexpr std::uint16_t message_type = 63, header_version = 1, header_compat = 1;
  KeyName name;
  std::string host, device_class;
  static void fields(auto& self, auto& wire) {
    wire(self.name);
    wire(self.host, 1024);
    wire(self.device_class, 1024);
  }
};

/// clog_type.
enum class LogPriority : std::uint16_t { debug = 0, info = 1, security = 2, warning = 3, error = 4 };

/// Ceph: LogEntry. One line of the cluster log.
struct LogEntry {
  static constexpr std::uint8_t version = 5, compat = 5;
  KeyName name;
  EntityName rank;
  AddressVector address;
  Time stamp;
  std::uint64_t sequence = 0;
  LogPriority priority = LogPriority::info;
  std::string text;
  std::string channel = "cluster";  ///< or "audit"
  static void fields(auto& self, auto& wire) {
    wire(self.name);
    wire(self.rank);
    wire(self.address);
    wire(self.stamp);
    wire(self.sequence);
    wire(self.priority);
    wire(self.text, limits::reply_text_bytes_max);
    wire(self.channel, 64);
  }
  friend bool operator==(const LogEntry&, const LogEntry&) = default;
};

/// Ceph: MLog.
struct Log {
  static constexpr std::uint16_t message_type = 52, header_version = 1, header_compat = 1;
  PaxosHeader paxos;
  Uuid fsid;
  std::vector<LogEntry> entries;
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.fsid);
    wire(self.entries, limits::log_entries_max);
  }
};

/// Ceph: MLogAck.
struct LogAck {
  static constexpr std::uint16_t message_type = 53, header_version = 1, header_compat = 1;
  Uuid fsid;
  std::uint64_t last = 0;  ///< entries up to this sequence are safe
  std::string channel;
  void encode(Encoder& encoder) const {
    encoder(fsid);
    encoder(last);
    encoder(channel);
  }
  void decode(Decoder& decoder) {
    decoder(fsid);
    decoder(last);
    if (decoder.remaining()) decoder(channel, 64);
  }
};

/// Ceph: MStatfs. "How full is the cluster", or one data pool.
struct Statfs {
  static constexpr std::uint16_t message_type = 13, header_version = 2, header_compat = 1;
  PaxosHeader paxos;
  Uuid fsid;
  std::optional<std::int64_t> data_pool;
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.fsid);
    wire.since(2, self.data_pool);
  }
};

/// Ceph: MStatfsReply, ceph_mon_statfs_reply.
struct StatfsReply {
  static constexpr std::uint16_t message_type = 14, header_version = 1, header_compat = 1;
  Uuid fsid;
  std::uint64_t map_version = 0;
  std::uint64_t total_kib = 0, used_kib = 0, available_kib = 0, objects = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.fsid);
    wire(self.map_version);
    wire(self.total_kib);
    wire(self.used_kib);
    wire(self.available_kib);
    wire(self.objects);
  }
};

/// Ceph: MPoolOp, ceph_fs.h POOL_OP_*. Librados' pool snapshots and self-managed snapshot ids.
enum class PoolOpKind : std::uint32_t {
  create = 0x01,
  remove = 0x02,
  auid_change = 0x03,
  create_snap = 0x11,
  delete_snap = 0x12,
  create_unmanaged_snap = 0x21,
  delete_unmanaged_snap = 0x22,
};

struct PoolOp {
  static constexpr std::uint16_t message_type = 49, header_version = 4, header_compat = 2;
  PaxosHeader paxos;
  Uuid fsid;
  std::uint32_t pool = 0;
  PoolOpKind kind{};
  SnapId snap;
  std::string name;  ///< of the snapshot or pool
  std::int16_t crush_rule = -1;
  void encode(Encoder& encoder) const {
    encoder(paxos);
    encoder(fsid);
    encoder(pool);
    encoder(kind);
    encoder(std::uint64_t{0});  // an owner, gone from Ceph but not from its encoding
    encoder(snap);
    encoder(name);
    encoder(std::uint8_t{0});  // a byte that version 3 had for the rule
    encoder(crush_rule);
  }
  void decode(Decoder& decoder) {
    decoder(paxos);
    decoder(fsid);
    decoder(pool);
    decoder(kind);
    decoder.skip(8);
    decoder(snap);
    decoder(name, 4096);
    if (decoder.version() >= 3) decoder.skip(1);
    decoder.since(4, crush_rule);
  }
};

/// Ceph: MPoolOpReply.
struct PoolOpReply {
  static constexpr std::uint16_t message_type = 48, header_version = 1, header_compat = 1;
  PaxosHeader paxos;
  Uuid fsid;
  std::int32_t result = 0;
  Epoch epoch;                     ///< the osdmap with the effect
  std::optional<Buffer> response;  ///< of create_unmanaged_snap: the SnapId
  static void fields(auto& self, auto& wire) {
    wire(self.paxos);
    wire(self.fsid);
    wire(self.result);
    wire(self.epoch);
    wire(self.response);
  }
};

/// Ceph: MPing. `ceph ping mon.a`, before any login; the answer is a Ping with JSON text.
struct Ping {
  static constexpr std::uint16_t message_type = 2, header_version = 1, header_compat = 1;
  Buffer text;  ///< the whole front
  void encode(Encoder& encoder) const { encoder.raw(text.view()); }
  void decode(Decoder& decoder) { text = decoder.raw(decoder.remaining()); }
};

}  // namespace spirula::msg
