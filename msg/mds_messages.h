#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/codec.h"
#include "msg/message.h"
#include "msg/types.h"

/// What file-system clients and the MDS say to each other. Sources: Ceph src/messages/MClient*.h,
/// src/include/ceph_fs.h, src/mds/mdstypes.h; Linux include/linux/ceph/ceph_fs.h, fs/ceph/mds_client.c.
namespace spirula::msg {

/// An inode's number. 1 is the root.
struct InoTag {};
using Ino = Strong<InoTag, std::uint64_t>;
inline constexpr Ino root_ino{1};

/// Feature bits of a file-system session (Ceph: src/mds/cephfs_features.h).
namespace fs_features {
inline constexpr unsigned mimic = 8, reply_encoding = 9, reclaim_client = 10, lazy_caps_wanted = 11,
                          multi_reconnect = 12, delegated_inodes = 13, metric_collect = 14, alternate_name = 15,
                          notify_session_state = 16, op_getvxattr = 17;
}

/// Ceph: feature_bitset_t. Bits above 63 are not known to anybody yet and are dropped.
struct FeatureBits {
  std::uint64_t bits = 0;
  bool has(unsigned bit) const { return bits >> bit & 1; }
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  friend bool operator==(const FeatureBits&, const FeatureBits&) = default;
};

/// Ceph: MClientSession.
struct ClientSession {
  static constexpr std::uint16_t message_type = 22, header_version = 5, header_compat = 1;
  enum class Op : std::uint32_t {
    request_open = 0,
    open,
    request_close,
    close,
    request_renew_caps,
    renew_caps,
    stale,
    recall_state,
    flush_message,
    flush_message_ack,
    force_read_only,
    reject,
    request_flush_journal,
  };
  static constexpr std::uint32_t flag_blocklisted = 1;
  Op op = Op::request_open;
  std::uint64_t sequence = 0;
  Time stamp;
  std::uint32_t caps_max = 0, leases_max = 0;
  std::map<std::string, std::string> metadata;
  FeatureBits features;
  FeatureBits metric_spec;
  std::uint32_t flags = 0;

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// CEPH_MDS_OP_*; writes have bit 0x1000.
enum class MdsOp : std::uint32_t {
  lookup = 0x100,
  getattr = 0x101,
  lookup_hash = 0x102,
  lookup_parent = 0x103,
  lookup_ino = 0x104,
  lookup_name = 0x105,
  get_vxattr = 0x106,
  get_file_lock = 0x110,
  open = 0x302,
  readdir = 0x305,
  lookup_snap = 0x400,
  list_snaps = 0x402,
  set_xattr = 0x1105,
  remove_xattr = 0x1106,
  set_layout = 0x1107,
  setattr = 0x1108,
  set_file_lock = 0x1109,
  set_dir_layout = 0x110a,
  mknod = 0x1201,
  link = 0x1202,
  unlink = 0x1203,
  rename = 0x1204,
  mkdir = 0x1220,
  rmdir = 0x1221,
  symlink = 0x1222,
  create = 0x1301,
  make_snap = 0x1400,
  remove_snap = 0x1401,
  rename_snap = 0x1403,
};
std::string describe(MdsOp op);

/// Ceph: filepath. An inode, and names from there; the root path of an empty ino is absolute.
struct FilePath {
  std::uint64_t ino = 0;
  std::string path;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  std::string describe() const;  ///< "#0x1/a/b"
  friend bool operator==(const FilePath&, const FilePath&) = default;
};

/// Ceph: ceph_mds_request_release and the name of the lease it gives up. A client drops caps with the request that
/// would have made the MDS revoke them.
struct CapRelease {
  std::uint64_t ino = 0, cap_id = 0;
  std::uint32_t caps = 0, wanted = 0;
  std::uint32_t sequence = 0, issue_sequence = 0, migrate_sequence = 0;
  std::uint32_t name_sequence = 0;
  std::string name;
  static void fields(auto& self, auto& wire) {
    wire(self.ino);
    wire(self.cap_id);
    wire(self.caps);
    wire(self.wanted);
    wire(self.sequence);
    wire(self.issue_sequence);
    wire(self.migrate_sequence);
    wire(self.name_sequence);
    wire(self.name, 4096);
  }
};

/// Ceph: MClientRequest. The head's arguments are a union; the accessor of the operation reads its view of them.
struct ClientRequest {
  static constexpr std::uint16_t message_type = 24, header_version = 6, header_compat = 1;
  static constexpr std::uint32_t flag_replay = 1, flag_want_dentry = 2, flag_async = 4;
  static constexpr std::size_t args_size = 56;  ///< ceph_mds_request_args_ext

  std::uint64_t oldest_tid = 0;
  Epoch mdsmap_epoch;
  std::uint32_t flags = 0;
  std::uint8_t retries = 0, forwards = 0;
  MdsOp op{};
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t ino = 0;  ///< of what a replayed create, mkdir or mknod had made
  std::array<std::uint8_t, args_size> args{};
  FilePath path, path2;
  std::vector<CapRelease> releases;
  Time stamp;
  std::vector<std::uint64_t> gids;
  std::string alternate_name;
  BufferList data;

  bool is_replay() const { return flags & flag_replay; }
  bool is_write() const { return static_cast<std::uint32_t>(op) & 0x1000; }

  struct Getattr {
    std::uint32_t mask = 0;
  };
  struct Setattr {
    static constexpr std::uint32_t mode_bit = 1, uid_bit = 2, gid_bit = 4, mtime_bit = 8, atime_bit = 16, size_bit = 32,
                                   ctime_bit = 64, mtime_now_bit = 128, atime_now_bit = 256, btime_bit = 512,
                                   kill_sguid_bit = 1024;
    std::uint32_t mode = 0, uid = 0, gid = 0;
    Time mtime, atime;
    std::uint64_t size = 0, old_size = 0;
    std::uint32_t mask = 0;
    Time btime;
  };
  struct Readdir {
    static constexpr std::uint16_t flag_bit_flags = 1;
    std::uint32_t frag = 0, entries_max = 0, bytes_max = 0;
    std::uint16_t flags = 0;
    std::uint32_t offset_hash = 0;
  };
  struct Mknod {
    std::uint32_t mode = 0, rdev = 0;
  };
  struct Open {
    static constexpr std::uint32_t write_only = 1, read_write = 2, access_mask = 3, create = 0100, exclusive = 0200,
                                   truncate = 01000, directory = 0200000, no_follow = 0400000, lazy = 020000000;
    std::uint32_t flags = 0, mode = 0, stripe_unit = 0, stripe_count = 0, object_size = 0;
    std::int32_t pool = -1;
    std::uint32_t mask = 0;
    std::uint64_t old_size = 0;
  };
  struct Setxattr {
    static constexpr std::uint32_t create = 1, replace = 2, remove = 1u << 31;
    std::uint32_t flags = 0, osdmap_epoch = 0;
  };
  struct FileLock {
    std::uint8_t rule = 0, type = 0;
    std::uint64_t owner = 0, pid = 0, start = 0, length = 0;
    std::uint8_t wait = 0;
  };
  struct LookupIno {
    std::uint32_t mask = 0;
    std::uint64_t snap = 0, parent = 0;
    std::uint32_t hash = 0;
  };
  /// ceph_file_layout as SETLAYOUT carries it.
  struct Setlayout {
    std::uint32_t stripe_unit = 0, stripe_count = 0, object_size = 0, pool = 0;
  };
  Getattr getattr() const;
  Setattr setattr() const;
  Readdir readdir() const;
  Mknod mknod() const;
  Open open() const;
  Setxattr setxattr() const;
  FileLock file_lock() const;
  LookupIno lookup_ino() const;
  Setlayout setlayout() const;
  void set(const Getattr&);
  void set(const Setattr&);
  void set(const Readdir&);
  void set(const Mknod&);
  void set(const Open&);
  void set(const Setxattr&);
  void set(const FileLock&);
  void set(const LookupIno&);

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  std::string describe() const;
};

/// Ceph: file_layout_t, in its legacy form on this wire: stripe unit, count, object size in bytes, and the pool.
struct FileLayout {
  std::uint32_t stripe_unit = 0, stripe_count = 0, object_size = 0;
  std::int64_t pool = -1;
  std::string name_space;
  static constexpr std::uint8_t version = 1, compat = 1;
  static void fields(auto& self, auto& wire) {
    wire(self.stripe_unit);
    wire(self.stripe_count);
    wire(self.object_size);
    wire(self.pool);
    wire(self.name_space, 256);
  }
  /// Sizes are multiples of 64 KiB and nest (Ceph: file_layout_t::is_valid).
  bool is_valid() const;
  void encode_legacy(Encoder& encoder) const;
  void decode_legacy(Decoder& decoder);
  friend bool operator==(const FileLayout&, const FileLayout&) = default;
};

/// Ceph: ceph_mds_reply_cap. Caps that come with a reply.
struct ReplyCap {
  static constexpr std::uint8_t flag_auth = 1;
  std::uint32_t caps = 0, wanted = 0;
  std::uint64_t cap_id = 0;
  std::uint32_t sequence = 0, migrate_sequence = 0;
  std::uint64_t realm = 0;
  std::uint8_t flags = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.caps);
    wire(self.wanted);
    wire(self.cap_id);
    wire(self.sequence);
    wire(self.migrate_sequence);
    wire(self.realm);
    wire(self.flags);
  }
};

/// Features value that says "every structure of the reply is in a versioned envelope" (session feature
/// reply_encoding); any other value selects the layout that connection's feature bits imply. As in Ceph's decoders.
inline constexpr std::uint64_t reply_envelopes = ~std::uint64_t{0};

inline constexpr std::uint64_t inline_none = ~std::uint64_t{0};  ///< CEPH_INLINE_NONE

/// Ceph: InodeStat in MClientReply.h. What a reply says about one inode.
struct InodeStat {
  std::uint64_t ino = 0;
  SnapId snap = snap_head;
  std::uint32_t rdev = 0;
  std::uint64_t version = 0, xattr_version = 0;
  ReplyCap cap;
  FileLayout layout;
  Time ctime, mtime, atime;
  std::uint32_t time_warp_sequence = 0;
  std::uint64_t size = 0, size_max = 0, truncate_size = 0;
  std::uint32_t truncate_sequence = 0;
  std::uint32_t mode = 0, uid = 0, gid = 0, links = 0;
  std::uint64_t files = 0, subdirs = 0, rbytes = 0, rfiles = 0, rsubdirs = 0;
  Time rctime;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> fragments;  ///< fragment, bits it is split by
  std::string symlink;
  std::uint8_t dir_hash = 0;  ///< CEPH_STR_HASH_RJENKINS is 2
  Buffer xattrs;              ///< map<string, bytes>; empty when the client has them already
  std::uint64_t inline_version = inline_none;
  Buffer inline_data;
  std::uint64_t quota_bytes = 0, quota_files = 0;
  Time btime;
  std::uint64_t change_attribute = 0;
  std::int32_t export_pin = -61;  ///< -ENODATA: none
  Time snap_btime;
  std::uint64_t rsnaps = 0;

  /// By encoder.features(): see reply_envelopes.
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: DirStat. Which fragment of a directory a reply is about.
struct DirStat {
  std::uint32_t fragment = 0;
  std::int32_t auth = -1;  ///< CDIR_AUTH_PARENT: whoever has the inode
  std::vector<std::int32_t> replicas;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: LeaseStat.
struct LeaseStat {
  static constexpr std::uint16_t valid = 1 | 2, primary_link = 4;
  std::uint16_t mask = 0;
  std::uint32_t duration_ms = 0;
  std::uint32_t sequence = 0;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: MClientReply. `trace` holds what the caller encoded with the session's features: an InodeStat of the
/// directory, a DirStat, the name and a LeaseStat if has_dentry, then an InodeStat of the target if has_target.
struct ClientReply {
  static constexpr std::uint16_t message_type = 26, header_version = 1, header_compat = 1;
  MdsOp op{};
  std::int32_t result = 0;  ///< 0 or a negative errno
  Epoch mdsmap_epoch;
  bool safe = false, has_dentry = false, has_target = false;
  Buffer trace, extra, snap_trace;
  static void fields(auto& self, auto& wire) {
    wire(self.op);
    wire(self.result);
    wire(self.mdsmap_epoch);
    wire(self.safe);
    wire(self.has_dentry);
    wire(self.has_target);
    wire(self.trace);
    wire(self.extra);
    wire(self.snap_trace);
  }
};

/// Ceph: SnapRealmInfo. What a client must know about the snapshots above an inode.
struct SnapRealm {
  std::uint64_t ino = 1, created = 0, parent = 0, parent_since = 0, sequence = 1;
  std::vector<std::uint64_t> snaps, prior_parent_snaps;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: MClientCaps, without the bodies that only migration between ranks uses.
struct ClientCaps {
  static constexpr std::uint16_t message_type = 0x310, header_version = 11, header_compat = 1;
  enum class Op : std::uint32_t {
    grant = 0,
    revoke,
    trunc,
    export_,
    import,
    update,
    drop,
    flush,
    flush_ack,
    flush_snap,
    flush_snap_ack,
    release,
    renew,
  };
  static constexpr std::uint32_t flag_sync = 1, flag_no_capsnap = 2, flag_pending_capsnap = 4;
  Op op = Op::grant;
  std::uint64_t ino = 0, realm = 0, cap_id = 0;
  std::uint32_t sequence = 0, issue_sequence = 0;
  std::uint32_t caps = 0, wanted = 0, dirty = 0;
  std::uint32_t migrate_sequence = 0;
  std::uint64_t snap_follows = 0;
  std::uint32_t uid = 0, gid = 0, mode = 0, links = 0;
  std::uint64_t xattr_version = 0;
  std::uint64_t size = 0, size_max = 0, truncate_size = 0;
  std::uint32_t truncate_sequence = 0;
  Time mtime, atime, ctime;
  FileLayout layout;
  std::uint32_t time_warp_sequence = 0;
  Buffer snap_trace;
  Buffer locks;
  std::uint64_t inline_version = inline_none;
  Buffer inline_data;
  Epoch osd_epoch_barrier;
  std::uint64_t oldest_flush_tid = 0;
  std::uint32_t caller_uid = 0, caller_gid = 0;
  Time btime;
  std::uint64_t change_attribute = 0;
  std::uint32_t flags = 0;
  std::uint64_t files = 0, subdirs = 0;
  Buffer middle;  ///< the xattrs, as in InodeStat

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: MClientCapRelease.
struct ClientCapRelease {
  static constexpr std::uint16_t message_type = 0x313, header_version = 2, header_compat = 1;
  struct Item {
    std::uint64_t ino = 0, cap_id = 0;
    std::uint32_t migrate_sequence = 0, sequence = 0;
    static void fields(auto& self, auto& wire) {
      wire(self.ino);
      wire(self.cap_id);
      wire(self.migrate_sequence);
      wire(self.sequence);
    }
  };
  std::vector<Item> items;
  Epoch osd_epoch_barrier;
  static void fields(auto& self, auto& wire) {
    wire(self.items, 1 << 20);
    wire.since(2, self.osd_epoch_barrier);
  }
};

/// Ceph: MClientLease.
struct ClientLease {
  static constexpr std::uint16_t message_type = 0x311, header_version = 1, header_compat = 1;
  enum class Action : std::uint8_t { revoke = 1, release = 2, renew = 3, revoke_ack = 4 };
  Action action = Action::revoke;
  std::uint16_t mask = 0;
  std::uint64_t ino = 0;
  SnapId first, last;
  std::uint32_t sequence = 0, duration_ms = 0;
  std::string name;
  static void fields(auto& self, auto& wire) {
    wire(self.action);
    wire(self.mask);
    wire(self.ino);
    wire(self.first);
    wire(self.last);
    wire(self.sequence);
    wire(self.duration_ms);
    wire(self.name, 4096);
  }
};

/// Ceph: MClientSnap.
struct ClientSnap {
  static constexpr std::uint16_t message_type = 0x312, header_version = 1, header_compat = 1;
  enum class Op : std::uint32_t { update = 0, create, destroy, split };
  Op op = Op::update;
  std::uint64_t split = 0;
  std::vector<std::uint64_t> split_inos, split_realms;
  Buffer trace;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: ceph_filelock. One advisory lock; length 0 reaches to the end.
struct FileLockRecord {
  static constexpr std::uint8_t shared = 1, exclusive = 2, unlock = 4;
  std::uint64_t start = 0, length = 0, client = 0, owner = 0, pid = 0;
  std::uint8_t type = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.start);
    wire(self.length);
    wire(self.client);
    wire(self.owner);
    wire(self.pid);
    wire(self.type);
  }
  friend bool operator==(const FileLockRecord&, const FileLockRecord&) = default;
};

/// Ceph: cap_reconnect_t. A cap the client held when the MDS went away.
struct CapReconnect {
  std::uint64_t ino = 0;
  std::string path;  ///< relative to path_base
  std::uint64_t cap_id = 0;
  std::uint32_t wanted = 0, issued = 0;
  std::uint64_t snap_realm = 0, path_base = 0;
  std::vector<FileLockRecord> fcntl_locks, flock_locks;
  std::uint64_t snap_follows = 0;
};

/// Ceph: MClientReconnect, versions 3 to 5 (all its fields are in the data part).
struct ClientReconnect {
  static constexpr std::uint16_t message_type = 23, header_version = 5, header_compat = 4;
  struct Realm {
    std::uint64_t ino = 0, sequence = 0, parent = 0;
  };
  std::vector<CapReconnect> caps;
  std::vector<Realm> realms;
  bool more = false;  ///< another of these messages follows
};
/// Errc::malformed; Errc::unsupported for versions below 3.
Result<ClientReconnect> read_reconnect(const Message& message);
Message make_reconnect(const ClientReconnect& reconnect);

/// Ceph: MClientQuota.
struct ClientQuota {
  static constexpr std::uint16_t message_type = 0x314, header_version = 1, header_compat = 1;
  std::uint64_t ino = 0;
  Time rctime;
  std::uint64_t rbytes = 0, rfiles = 0, rsubdirs = 0;
  std::uint64_t quota_bytes = 0, quota_files = 0;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: MClientRequestForward.
struct ClientRequestForward {
  static constexpr std::uint16_t message_type = 25, header_version = 1, header_compat = 1;
  std::int32_t rank = 0, forwards = 0;
  bool client_must_resend = true;
  static void fields(auto& self, auto& wire) {
    wire(self.rank);
    wire(self.forwards);
    wire(self.client_must_resend);
  }
};

/// Ceph: MClientMetrics. Only counted; each payload is a type and its own envelope, which we keep unread.
struct ClientMetrics {
  static constexpr std::uint16_t message_type = 29, header_version = 1, header_compat = 1;
  std::uint32_t count = 0;
  static void fields(auto& self, auto& wire) { wire(self.count); }
};

}  // namespace spirula::msg
