#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/codec.h"
#include "crush/crush_map.h"
#include "maps/pool.h"
#include "msg/types.h"

namespace spirula::maps {

/// Ceph: CEPH_OSD_*. Bits of an OSD's state.
namespace osd_state {
inline constexpr std::uint32_t exists = 1 << 0, up = 1 << 1, auto_out = 1 << 2, is_new = 1 << 3, full = 1 << 4,
                               near_full = 1 << 5, back_fill_full = 1 << 6, destroyed = 1 << 7, no_up = 1 << 8,
                               no_down = 1 << 9, no_in = 1 << 10, no_out = 1 << 11, stop = 1 << 12;
}
/// Ceph: CEPH_OSDMAP_*. Flags of the whole map.
namespace map_flag {
inline constexpr std::uint32_t near_full = 1 << 0, full = 1 << 1, pause_read = 1 << 2, pause_write = 1 << 3,
                               pause_recovery = 1 << 4, no_up = 1 << 5, no_down = 1 << 6, no_out = 1 << 7,
                               no_in = 1 << 8, no_back_fill = 1 << 9, no_recover = 1 << 10, no_scrub = 1 << 11,
                               no_deep_scrub = 1 << 12, no_tier_agent = 1 << 13, no_rebalance = 1 << 14,
                               sort_bitwise = 1 << 15, require_jewel = 1 << 16, require_kraken = 1 << 17,
                               require_luminous = 1 << 18, recovery_deletes = 1 << 19, purged_snapdirs = 1 << 20,
                               no_snap_trim = 1 << 21, pglog_hardlimit = 1 << 22;
}
inline constexpr std::uint32_t weight_in = 0x10000;  ///< 16.16 fixed point
inline constexpr std::uint32_t default_primary_affinity = 0x10000;
/// Ceph: entity_addr_t::TYPE_CIDR. What a network is among addresses; its nonce is the length of the prefix.
inline constexpr auto network_address = static_cast<msg::Address::Type>(4);
bool is_in_network(const Endpoint& host, const msg::Address& network);
/// Ceph: ceph_release_t, by the number of the release.
inline constexpr std::uint8_t release_luminous = 12, release_pacific = 16;

namespace limits {
/// No cluster has more OSD ids; an increment that asks for more is refused before anything is allocated.
inline constexpr std::int32_t osds_max = 1 << 18;
}  // namespace limits

/// Ceph: osd_info_t. When an OSD was up and down.
struct OsdInfo {
  Epoch last_clean_begin, last_clean_end, up_from, up_thru, down_at, lost_at;
  static void fields(auto& self, auto& wire) {
    std::uint8_t struct_version = 1;
    wire(struct_version);
    wire(self.last_clean_begin);
    wire(self.last_clean_end);
    wire(self.up_from);
    wire(self.up_thru);
    wire(self.down_at);
    wire(self.lost_at);
  }
  friend bool operator==(const OsdInfo&, const OsdInfo&) = default;
};

/// Ceph: osd_xinfo_t.
struct OsdExtraInfo {
  static constexpr std::uint8_t version = 4, compat = 1;
  msg::Time down_stamp;
  std::uint32_t laggy_probability = 0;  ///< of 0xffffffff
  std::uint32_t laggy_interval_s = 0;
  std::uint64_t features = 0;
  std::uint32_t old_weight = 0;  ///< before it was marked out automatically
  msg::Time last_purged_snaps_scrub;
  Epoch dead_epoch;
  static void fields(auto& self, auto& wire) {
    wire(self.down_stamp);
    wire(self.laggy_probability);
    wire(self.laggy_interval_s);
    wire.since(2, self.features);
    wire.since(3, self.old_weight);
    wire.since(4, self.last_purged_snaps_scrub);
    wire.since(4, self.dead_epoch);
  }
  friend bool operator==(const OsdExtraInfo&, const OsdExtraInfo&) = default;
};

/// Everything a map says of one OSD.
struct Osd {
  std::uint32_t state = 0;  ///< osd_state bits
  std::uint32_t weight = 0;
  std::uint32_t primary_affinity = default_primary_affinity;
  msg::AddressVector client, cluster, heartbeat_back, heartbeat_front;
  OsdInfo info;
  OsdExtraInfo extra;
  msg::Uuid uuid;

  bool exists() const { return state & osd_state::exists; }
  bool is_up() const { return exists() && (state & osd_state::up); }
  bool is_in() const { return exists() && weight > 0; }
  friend bool operator==(const Osd&, const Osd&) = default;
};

/// Where a PG lives. A missing OSD is left out (replicated pools).
struct Placement {
  std::vector<std::int32_t> up, acting;
  std::int32_t up_primary = -1, acting_primary = -1;
  friend bool operator==(const Placement&, const Placement&) = default;
};

using ErasureCodeProfiles = std::map<std::string, std::map<std::string, std::string>>;
using SnapIntervals = std::map<std::int64_t, Intervals>;

struct OsdMapIncremental;

/// Ceph: OSDMap, as Pacific encodes it: client part version 9, OSD part version 9 to 11. A value; once published it is
/// shared as `shared_ptr<const OsdMap>`.
struct OsdMap {
  msg::Uuid fsid;
  Epoch epoch;
  msg::Time created, modified;
  std::map<std::int64_t, Pool> pools;
  std::map<std::int64_t, std::string> pool_names;
  std::int32_t pool_max = 0;  ///< the highest pool id ever used
  std::uint32_t flags = 0;    ///< map_flag bits
  std::vector<Osd> osds;      ///< by id; their count is max_osd
  std::map<PgId, std::vector<std::int32_t>> pg_temp;
  std::map<PgId, std::int32_t> primary_temp;
  std::shared_ptr<const crush::CrushMap> crush = std::make_shared<crush::CrushMap>();
  std::int32_t crush_version = 1;
  ErasureCodeProfiles erasure_code_profiles;
  std::map<PgId, std::vector<std::int32_t>> pg_upmap;
  std::map<PgId, std::vector<std::pair<std::int32_t, std::int32_t>>> pg_upmap_items;
  SnapIntervals new_removed_snaps, new_purged_snaps;  ///< of this epoch alone
  msg::Time last_up_change, last_in_change;

  // The part clients skip.
  std::map<msg::Address, msg::Time> blocklist;  ///< until when
  Epoch cluster_snapshot_epoch;
  std::string cluster_snapshot;
  float near_full_ratio = 0.85f, full_ratio = 0.95f, back_fill_full_ratio = 0.90f;
  std::uint8_t require_min_compat_client = release_luminous;
  std::uint8_t require_osd_release = release_pacific;
  SnapIntervals removed_snaps_queue;
  std::map<std::int32_t, std::uint32_t> crush_node_flags, device_class_flags;
  std::array<std::uint8_t, 17> stretch_mode{};         ///< a stock monitor's, kept as it came
  std::map<msg::Address, msg::Time> blocklist_ranges;  ///< networks, each a network_address

  /// Errc::malformed (also for a wrong checksum).
  static Result<OsdMap> decode_map(Buffer bytes);
  Buffer encode_map() const;

  /// Advances to the next epoch. Errc::invalid if it does not follow this one or names another cluster.
  Result<> apply(const OsdMapIncremental& change);

  // --- looking things up
  // ----------------------------------------------------------------------------------------------
  const Pool* pool(std::int64_t id) const;
  std::optional<std::int64_t> pool_by_name(std::string_view name) const;
  const Osd* osd(std::int32_t id) const;
  bool has(std::uint32_t map_flags) const { return flags & map_flags; }
  bool is_up(std::int32_t id) const;
  bool is_in(std::int32_t id) const;
  std::size_t count_existing() const;
  std::size_t count_up() const;
  std::size_t count_in() const;
  /// True if the address, its whole host (an entry with port and nonce 0) or a network it is in is listed and has not
  /// lapsed.
  bool is_blocklisted(const msg::AddressVector& address, msg::Time now) const;

  // --- placement (osd_map_placement.cc)
  // -------------------------------------------------------------------------------
  /// The hash of an object: of its locator key or else its name, with the namespace. Errc::not_found: no such pool.
  Result<std::uint32_t> object_hash(const msg::ObjectLocator& locator, std::string_view name) const;
  /// Errc::not_found: no such pool.
  Result<PgId> object_to_pg(const msg::ObjectLocator& locator, std::string_view name) const;
  /// Where CRUSH, upmap, affinity and temporary mappings put a PG. Empty if the pool or PG does not exist.
  Placement place(PgId pg) const;

 private:
  std::vector<std::int32_t> raw_placement(PgId pg, const Pool& pool) const;
  void apply_upmap(PgId pg, std::vector<std::int32_t>& raw) const;
  void apply_affinity(std::uint32_t seed, bool keeps_positions, std::vector<std::int32_t>& osds,
                      std::int32_t& primary) const;
};

/// Ceph: OSDMap::Incremental (client part version 8, OSD part version 9 to 11). What one epoch changes.
struct OsdMapIncremental {
  msg::Uuid fsid;
  Epoch epoch;  ///< the epoch it leads to
  msg::Time modified;
  std::int64_t new_pool_max = -1;
  std::int32_t new_flags = -1;
  Buffer full_map;  ///< replaces everything, if not empty
  Buffer crush;     ///< replaces the CRUSH map, if not empty
  std::int32_t new_max_osd = -1;
  std::map<std::int64_t, Pool> new_pools;
  std::map<std::int64_t, std::string> new_pool_names;
  std::set<std::int64_t> old_pools;
  std::map<std::int32_t, msg::AddressVector> new_up_client;
  std::map<std::int32_t, std::uint32_t> new_state;  ///< bits to flip; 0 stands for `up`
  std::map<std::int32_t, std::uint32_t> new_weight;
  std::map<PgId, std::vector<std::int32_t>> new_pg_temp;  ///< an empty set removes
  std::map<PgId, std::int32_t> new_primary_temp;          ///< -1 removes
  std::map<std::int32_t, std::uint32_t> new_primary_affinity;
  ErasureCodeProfiles new_erasure_code_profiles;
  std::vector<std::string> old_erasure_code_profiles;
  std::map<PgId, std::vector<std::int32_t>> new_pg_upmap;
  std::set<PgId> old_pg_upmap;
  std::map<PgId, std::vector<std::pair<std::int32_t, std::int32_t>>> new_pg_upmap_items;
  std::set<PgId> old_pg_upmap_items;
  SnapIntervals new_removed_snaps, new_purged_snaps;
  msg::Time new_last_up_change, new_last_in_change;

  std::map<std::int32_t, msg::AddressVector> new_heartbeat_back_up, new_up_cluster, new_heartbeat_front_up;
  std::map<std::int32_t, Epoch> new_up_thru;
  std::map<std::int32_t, std::pair<Epoch, Epoch>> new_last_clean_interval;
  std::map<std::int32_t, Epoch> new_lost;
  std::map<msg::Address, msg::Time> new_blocklist;
  std::vector<msg::Address> old_blocklist;
  std::string cluster_snapshot;
  std::map<std::int32_t, msg::Uuid> new_uuid;
  std::map<std::int32_t, OsdExtraInfo> new_extra;
  std::uint64_t encode_features = msg::features::all;
  float new_near_full_ratio = -1, new_full_ratio = -1, new_back_fill_full_ratio = -1;
  std::uint8_t new_require_min_compat_client = 0xff;  ///< 0xff: unchanged
  std::uint8_t new_require_osd_release = 0xff;
  std::map<std::int32_t, std::uint32_t> new_crush_node_flags, new_device_class_flags;
  std::array<std::uint8_t, 18> new_stretch_mode{};  ///< a stock monitor's, kept as it came
  std::map<msg::Address, msg::Time> new_blocklist_ranges;
  std::vector<msg::Address> old_blocklist_ranges;

  std::uint32_t full_crc = 0;  ///< checksum of the map it leads to, as that map's encoding carries it

  static Result<OsdMapIncremental> decode_map(Buffer bytes);
  Buffer encode_map() const;
};

/// The checksum at the end of an encoded full map, for OsdMapIncremental::full_crc. Errc::malformed.
Result<std::uint32_t> checksum_of_encoded_map(const Buffer& bytes);

}  // namespace spirula::maps
