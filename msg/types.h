#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/codec.h"
#include "base/net.h"
#include "base/random.h"
#include "base/strong.h"

/// The plain types of Ceph's wire that every message uses. Sources: Ceph src/msg/msg_types.h, src/osd/osd_types.h,
/// src/include/{object.h,utime.h,fs_types.h}; Linux include/linux/ceph/{msgr.h,rados.h}.
namespace spirula::msg {

/// The version of a map.
struct EpochTag {};
using Epoch = Strong<EpochTag, std::uint32_t>;
/// A snapshot of a pool or of a self-managed object; head and snapdir are the two reserved ones.
struct SnapTag {};
using SnapId = Strong<SnapTag, std::uint64_t>;
inline constexpr SnapId snap_head{~std::uint64_t{1}};  ///< CEPH_NOSNAP
inline constexpr SnapId snap_dir{~std::uint64_t{0}};   ///< CEPH_SNAPDIR

/// CEPH_ENTITY_TYPE_*; also a bit mask in ticket requests.
enum class EntityType : std::uint8_t {
  none = 0,
  mon = 1,
  mds = 2,
  osd = 4,
  client = 8,
  mgr = 16,
  auth = 32,
  any = 255
};
const char* describe(EntityType type);

/// Ceph: entity_name_t. Who a connection's peer is: osd.3, client.4123 (the number is its global id).
struct EntityName {
  EntityType type = EntityType::none;
  std::int64_t number = -1;
  static void fields(auto& self, auto& wire) {
    wire(self.type);
    wire(self.number);
  }
  std::string describe() const;
  friend auto operator<=>(const EntityName&, const EntityName&) = default;
};

/// Ceph: EntityName in src/common/entity_name.h. Who a key belongs to: "client.admin", "osd.0".
struct KeyName {
  std::uint32_t type = 0;  ///< an EntityType
  std::string id;
  static void fields(auto& self, auto& wire) {
    wire(self.type);
    wire(self.id, 1024);
  }
  /// "client.admin". Errc::invalid.
  static Result<KeyName> parse(std::string_view text);
  std::string describe() const;
  friend auto operator<=>(const KeyName&, const KeyName&) = default;
};

/// Ceph: entity_addr_t.
struct Address {
  enum class Type : std::uint32_t { none = 0, legacy = 1, msgr2 = 2, any = 3 };
  Type type = Type::none;
  std::uint32_t nonce = 0;
  Endpoint endpoint;
  bool has_endpoint = false;  ///< an address without a socket address is a blank one

  static Address msgr2(Endpoint endpoint, std::uint32_t nonce) { return {Type::msgr2, nonce, endpoint, true}; }
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  std::string describe() const;  ///< "v2:1.2.3.4:3300/123"
  friend auto operator<=>(const Address&, const Address&) = default;
};

/// Ceph: entity_addrvec_t. All addresses of one entity; decodes a lone entity_addr_t too.
struct AddressVector {
  std::vector<Address> addresses;

  AddressVector() = default;
  AddressVector(Address one) : addresses{one} {}
  bool empty() const { return addresses.empty(); }
  /// The first msgr2 address, or a blank one.
  Address msgr2() const;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  std::string describe() const;
  friend auto operator<=>(const AddressVector&, const AddressVector&) = default;
};

/// Ceph: utime_t / struct ceph_timespec. Seconds and nanoseconds since 1970.
struct Time {
  std::uint32_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  static Time from(WallTime wall);
  WallTime wall() const;
  static void fields(auto& self, auto& wire) {
    wire(self.seconds);
    wire(self.nanoseconds);
  }
  std::string describe() const;  ///< "2026-01-31T12:00:00.000000+0000", as stock tools print it
  friend auto operator<=>(const Time&, const Time&) = default;
};

/// A UUID.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  static void fields(auto& self, auto& wire) { wire(self.bytes); }
  static Uuid generate(Random& random);
  static Result<Uuid> parse(std::string_view text);
  std::string describe() const;
  bool is_zero() const;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

/// Ceph: eversion_t. Version of an object or of a PG log entry; epochs order first.
struct Version {
  Epoch epoch;
  std::uint64_t version = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.version);
    wire(self.epoch);
  }
  std::string describe() const;  ///< "12'345"
  friend auto operator<=>(const Version&, const Version&) = default;
};

/// Ceph: pg_t. A placement group: pool and hash bucket.
struct PgId {
  std::int64_t pool = -1;
  std::uint32_t seed = 0;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  std::string describe() const;  ///< "3.1f"
  static Result<PgId> parse(std::string_view text);
  friend auto operator<=>(const PgId&, const PgId&) = default;
};

/// Ceph: spg_t with shard -1, all that replicated pools use.
struct ShardedPgId {
  static constexpr std::uint8_t version = 1, compat = 1;
  PgId pg;
  std::int8_t shard = -1;
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.shard);
  }
};

/// Ceph: object_locator_t. Pool, and what is hashed instead of the object's name.
struct ObjectLocator {
  std::int64_t pool = -1;
  std::string key;
  std::string name_space;
  std::int64_t hash = -1;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  friend auto operator<=>(const ObjectLocator&, const ObjectLocator&) = default;
};

/// Ceph: SnapContext. Snapshots a write must preserve, newest first.
struct SnapContext {
  SnapId sequence;
  std::vector<SnapId> snaps;
  static void fields(auto& self, auto& wire) {
    wire(self.sequence);
    wire(self.snaps, 16384);
  }
  /// Strictly descending, none above the sequence.
  bool is_valid() const;
  friend bool operator==(const SnapContext&, const SnapContext&) = default;
};

/// Ceph: osd_reqid_t. Names one client operation for ever.
struct RequestId {
  static constexpr std::uint8_t version = 2, compat = 2;
  EntityName client;
  std::uint64_t tid = 0;
  std::int32_t incarnation = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.client);
    wire(self.tid);
    wire(self.incarnation);
  }
  friend auto operator<=>(const RequestId&, const RequestId&) = default;
};

/// Feature bits of the wire (Ceph src/include/ceph_features.h). What the daemons advertise and the few they test.
namespace features {
inline constexpr std::uint64_t all = 0x3f01cfbdfffdffff;  ///< what a Pacific daemon advertises
}

}  // namespace spirula::msg
