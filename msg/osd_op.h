#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "msg/types.h"

/// One operation on an object, as an OSD request carries it. Sources: Ceph src/include/rados.h (op codes, flags,
/// ceph_osd_op), src/osd/osd_types.h (OSDOp); Linux include/linux/ceph/rados.h.
namespace spirula::msg {

/// CEPH_OSD_OP_*: mode in the top four bits, kind of operand in the next four.
enum class OpCode : std::uint16_t {
  none = 0,
  read = 0x1201,
  stat = 0x1202,
  mapext = 0x1203,
  masktrunc = 0x1204,
  sparse_read = 0x1205,
  notify = 0x1206,
  notify_ack = 0x1207,
  assert_version = 0x1208,
  list_watchers = 0x1209,
  list_snaps = 0x120a,
  sync_read = 0x120b,
  tmapget = 0x120c,
  omap_get_keys = 0x1211,
  omap_get_vals = 0x1212,
  omap_get_header = 0x1213,
  omap_get_vals_by_keys = 0x1214,
  omap_cmp = 0x1219,
  isdirty = 0x121d,
  copy_get = 0x121e,
  checksum = 0x121f,
  cmpext = 0x1220,
  write = 0x2201,
  writefull = 0x2202,
  truncate = 0x2203,
  zero = 0x2204,
  remove = 0x2205,
  append = 0x2206,
  startsync = 0x2207,
  settrunc = 0x2208,
  trimtrunc = 0x2209,
  tmapput = 0x220b,
  create = 0x220d,
  rollback = 0x220e,
  watch = 0x220f,
  omap_set_vals = 0x2215,
  omap_set_header = 0x2216,
  omap_clear = 0x2217,
  omap_rm_keys = 0x2218,
  copy_from = 0x221a,
  undirty = 0x221c,
  set_alloc_hint = 0x2223,
  cache_pin = 0x2224,
  cache_unpin = 0x2225,
  write_same = 0x2226,
  set_redirect = 0x2227,
  set_chunk = 0x2228,
  tier_promote = 0x2229,
  unset_manifest = 0x222a,
  omap_rm_key_range = 0x222c,
  copy_from2 = 0x222d,
  tmapup = 0x320a,
  tmap2omap = 0x3222,
  cache_flush = 0x821f,
  cache_evict = 0x8220,
  cache_try_flush = 0x8221,
  getxattr = 0x1301,
  getxattrs = 0x1302,
  cmpxattr = 0x1303,
  setxattr = 0x2301,
  setxattrs = 0x2302,
  resetxattrs = 0x2303,
  rmxattr = 0x2304,
  call = 0x1401,
  pgls = 0x1501,
  pgls_filter = 0x1502,
  pg_hitset_ls = 0x1503,
  pg_hitset_get = 0x1504,
  pgnls = 0x1505,
  pgnls_filter = 0x1506,
  scrubls = 0x1507,
};
/// As Ceph prints it: "writefull", "omap-get-vals"; "???" for a code we do not know.
const char* describe(OpCode code);
bool is_known(OpCode code);
/// Whether it changes the object. `call` does or does not; its method decides.
constexpr bool is_write(OpCode code) {
  return static_cast<std::uint16_t>(code) & 0x2000;
}
constexpr bool is_read(OpCode code) {
  return (static_cast<std::uint16_t>(code) & 0x1000) && code != OpCode::call;
}
/// Works on a placement group, not on an object.
constexpr bool is_pg_op(OpCode code) {
  return (static_cast<std::uint16_t>(code) & 0x0f00) == 0x0500;
}

/// CEPH_OSD_FLAG_*: of a whole request.
namespace request_flag {
inline constexpr std::uint32_t ack = 0x1, onnvram = 0x2, ondisk = 0x4, retry = 0x8, read = 0x10, write = 0x20,
                               order_snap = 0x40, peerstat_old = 0x80, balance_reads = 0x100, parallel_exec = 0x200,
                               pg_op = 0x400, exec = 0x800, localize_reads = 0x2000, rw_ordered = 0x4000,
                               ignore_cache = 0x8000, skip_rw_locks = 0x10000, ignore_overlay = 0x20000,
                               flush = 0x40000, map_snap_clone = 0x80000, enforce_snap_context = 0x100000,
                               redirected = 0x200000, known_redirect = 0x400000, full_try = 0x800000,
                               full_force = 0x1000000, ignore_redirect = 0x2000000, return_vector = 0x4000000;
}

/// CEPH_OSD_OP_FLAG_*: of one operation.
namespace op_flag {
inline constexpr std::uint32_t exclusive = 0x1, fail_ok = 0x2, fadvise_random = 0x4, fadvise_sequential = 0x8,
                               fadvise_will_need = 0x10, fadvise_dont_need = 0x20, fadvise_no_cache = 0x40,
                               with_reference = 0x80, bypass_clean_cache = 0x100;
}

/// CEPH_OSD_CMPXATTR_OP_* and _MODE_*. The comparison reads: (value given) OP (value stored).
enum class Comparison : std::uint8_t { none = 0, eq = 1, ne = 2, gt = 3, gte = 4, lt = 5, lte = 6 };
enum class ComparisonMode : std::uint8_t { none = 0, string = 1, u64 = 2 };

/// CEPH_OSD_WATCH_OP_*.
enum class WatchOp : std::uint8_t { unwatch = 0, legacy_watch = 1, watch = 3, reconnect = 5, ping = 7 };

/// CEPH_OSD_COPY_FROM_FLAG_*.
namespace copy_from_flag {
inline constexpr std::uint8_t flush = 1, ignore_overlay = 2, ignore_cache = 4, map_snap_clone = 8, rw_ordered = 16,
                              truncate_sequence = 32;
}

// The operands of an operation: the union of ceph_osd_op, 28 bytes.
/// Also of every operation without an operand of its own: librados leaves the length of the payload in such ones.
struct ExtentOperand {
  std::uint64_t offset = 0, length = 0, truncate_size = 0;
  std::uint32_t truncate_sequence = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.offset);
    wire(self.length);
    wire(self.truncate_size);
    wire(self.truncate_sequence);
  }
};
struct XattrOperand {
  std::uint32_t name_length = 0, value_length = 0;
  Comparison comparison{};
  ComparisonMode mode{};
  static void fields(auto& self, auto& wire) {
    wire(self.name_length);
    wire(self.value_length);
    wire(self.comparison);
    wire(self.mode);
  }
};
struct CallOperand {
  std::uint8_t class_length = 0, method_length = 0, arguments = 0;
  std::uint32_t input_length = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.class_length);
    wire(self.method_length);
    wire(self.arguments);
    wire(self.input_length);
  }
};
struct ListingOperand {  // pgls, pgnls
  std::uint64_t count = 0;
  Epoch start_epoch;
  static void fields(auto& self, auto& wire) {
    wire(self.count);
    wire(self.start_epoch);
  }
};
struct SnapOperand {  // rollback
  SnapId snap;
  static void fields(auto& self, auto& wire) { wire(self.snap); }
};
struct WatchOperand {
  std::uint64_t cookie = 0, unused = 0;
  WatchOp op{};
  std::uint32_t generation = 0, timeout_s = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.cookie);
    wire(self.unused);
    wire(self.op);
    wire(self.generation);
    wire(self.timeout_s);
  }
};
struct NotifyOperand {
  std::uint64_t cookie = 0;
  static void fields(auto& self, auto& wire) { wire(self.cookie); }
};
struct AssertVersionOperand {
  std::uint64_t unused = 0, version = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.unused);
    wire(self.version);
  }
};
struct AllocHintOperand {
  std::uint64_t expected_object_size = 0, expected_write_size = 0;
  std::uint32_t flags = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.expected_object_size);
    wire(self.expected_write_size);
    wire(self.flags);
  }
};
struct CopyFromOperand {
  SnapId snap;
  std::uint64_t source_version = 0;
  std::uint8_t flags = 0;
  std::uint32_t source_fadvise_flags = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.snap);
    wire(self.source_version);
    wire(self.flags);
    wire(self.source_fadvise_flags);
  }
};
struct WriteSameOperand {
  std::uint64_t offset = 0, length = 0, data_length = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.offset);
    wire(self.length);
    wire(self.data_length);
  }
};
struct ChecksumOperand {
  std::uint64_t offset = 0, length = 0;
  std::uint32_t chunk_size = 0;
  std::uint8_t type = 0;  ///< CEPH_OSD_CHECKSUM_OP_TYPE_*: 0 xxhash32, 1 xxhash64, 2 crc32c
  static void fields(auto& self, auto& wire) {
    wire(self.offset);
    wire(self.length);
    wire(self.chunk_size);
    wire(self.type);
  }
};

/// One operation of a request, and in a reply its result. On the wire it is 38 bytes; the payloads of all operations
/// follow each other in the message's data (OsdRequest::data, OsdReply::data).
struct OsdOp {
  using Operand =
      std::variant<ExtentOperand, XattrOperand, CallOperand, ListingOperand, SnapOperand, WatchOperand, NotifyOperand,
                   AssertVersionOperand, AllocHintOperand, CopyFromOperand, WriteSameOperand, ChecksumOperand>;

  OpCode code = OpCode::none;
  std::uint32_t flags = 0;  ///< op_flag
  /// Always of the kind that `code` has: decode() and the constructor see to it.
  Operand operand;
  std::uint32_t payload_length = 0;  ///< bytes of this operation in the message's data
  BufferList input;                  ///< a request's payload
  BufferList output;                 ///< a reply's
  std::int32_t result = 0;           ///< a reply's: 0, a positive value of the operation, or a negative errno

  OsdOp() = default;
  explicit OsdOp(OpCode op_code);

  template <class T>
  T& as() {
    return std::get<T>(operand);
  }
  template <class T>
  const T& as() const {
    return std::get<T>(operand);
  }
  ExtentOperand& extent() { return as<ExtentOperand>(); }
  const ExtentOperand& extent() const { return as<ExtentOperand>(); }

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  std::string describe() const;  ///< "write 0~4096", "call rbd.get_id"
};
inline constexpr std::size_t osd_op_bytes = 38;

/// The operand kind that belongs to a code.
OsdOp::Operand operand_for(OpCode code);

}  // namespace spirula::msg
