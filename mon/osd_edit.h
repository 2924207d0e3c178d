#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crush/edit.h"
#include "maps/osd_map.h"
#include "mon/state.h"
#include "msg/daemon_messages.h"

/// Changes to the OSD map, each drafted as one new epoch. All decide in plain code from the draft; none waits.
namespace spirula {
class Config;
}

namespace spirula::mon {

/// What the configuration has to say about them.
struct OsdPolicy {
  std::uint32_t pool_size = 3, pool_min_size = 0, pool_pg_num = 32;  ///< min size 0: size - size / 2
  std::uint32_t pgs_per_osd_max = 250;
  bool mark_new_in = true;       ///< an OSD that boots for the first time is in
  bool mark_auto_out_in = true;  ///< one that was put out automatically comes back in
  bool location_update = true;   ///< an OSD moves to its host when it boots
};
OsdPolicy osd_policy(const Config& config);

/// The first map of a cluster: the default CRUSH map and no OSD.
maps::OsdMap initial_osd_map(const msg::Uuid& fsid, msg::Time now);

/// A copy of the draft's CRUSH map, to be edited; draft_crush() takes it back. Errc::too_large for an unusable map.
crush::CrushMap crush_copy(const Draft& draft);
Result<> draft_crush(Draft& draft, const crush::CrushMap& map, msg::Time now);

// --- OSDs
// -------------------------------------------------------------------------------------------------------------
/// A new OSD id for a store: the lowest free one, or `wanted`. The same store asking again gets its id again.
/// Errc::exists: the id belongs to another store.
Result<std::int32_t> new_osd(Draft& draft, msg::Uuid store, std::optional<std::int32_t> wanted, msg::Time now);
/// Shows an OSD up. Nothing is drafted if the map shows it just so. A running incarnation elsewhere is marked down
/// first, in an epoch of its own. Errc::exists: another store has that id; Errc::busy: flags forbid it (noup).
Result<> boot_osd(Draft& draft, const msg::OsdBoot& boot, const OsdPolicy& policy, msg::Time now);
/// Marks OSDs down; those that are not up are left alone.
Result<> mark_down(Draft& draft, const std::vector<std::int32_t>& osds, msg::Time now, bool dead = false);
/// `automatic`: because it was down for long; remembered, so that it comes back in by itself.
Result<> set_osd_weight(Draft& draft, const std::vector<std::int32_t>& osds, std::uint32_t weight, msg::Time now,
                        bool automatic = false);
/// Errc::not_found, Errc::busy (it is up).
Result<> remove_osd(Draft& draft, std::int32_t osd, bool and_from_crush, msg::Time now);
/// Keeps the id for a replacement: the store's uuid is forgotten. Errc::busy: it is up.
Result<> destroy_osd(Draft& draft, std::int32_t osd, msg::Time now);
Result<> record_alive(Draft& draft, std::int32_t osd, msg::Epoch wanted, msg::Time now);
Result<> set_pg_temp(Draft& draft, const msg::OsdPgTemp& request, msg::Time now);

// --- pools
// ------------------------------------------------------------------------------------------------------------
struct PoolSpec {
  std::string name;
  std::optional<std::uint32_t> pg_num, pgp_num, size, min_size;
  std::string rule;  ///< empty: the first replicated one
  std::string application;
  bool bulk = false;
};
/// `problem` explains an error in words.
Result<std::int64_t> create_pool(Draft& draft, const PoolSpec& spec, const OsdPolicy& policy, msg::Time now,
                                 std::string& problem);
/// Errc::not_found. Its CRUSH rule and the OSDs' data are not touched here.
Result<> delete_pool(Draft& draft, std::int64_t pool, msg::Time now);
Result<> rename_pool(Draft& draft, std::int64_t pool, std::string name, msg::Time now);
/// Replaces a pool's settings.
Result<> change_pool(Draft& draft, std::int64_t id, maps::Pool pool, msg::Time now);
/// Clears pg_pool_t's CREATING of these pools.
Result<> pools_created(Draft& draft, const std::vector<std::int64_t>& pools, msg::Time now);

/// Snapshots that the monitor names (pool snapshots). Errc::exists, Errc::not_found, Errc::invalid when the pool's
/// snapshots are self-managed. An operation that was done already drafts nothing.
Result<> create_pool_snapshot(Draft& draft, std::int64_t pool, const std::string& name, msg::Time now);
Result<> remove_pool_snapshot(Draft& draft, std::int64_t pool, const std::string& name, msg::Time now);
/// Snapshots that clients name. Errc::invalid when the pool has snapshots of its own.
Result<msg::SnapId> create_self_managed_snapshot(Draft& draft, std::int64_t pool, msg::Time now);
Result<> remove_self_managed_snapshots(Draft& draft, const std::map<std::int64_t, std::vector<msg::SnapId>>& snaps,
                                       msg::Time now);
/// Removed snapshots that every PG has trimmed leave the queue.
Result<> snaps_purged(Draft& draft, const maps::SnapIntervals& purged, msg::Time now);

// --- flags and the blocklist
// -------------------------------------------------------------------------------------------
Result<> set_map_flags(Draft& draft, std::uint32_t set, std::uint32_t clear, msg::Time now);
Result<> set_osd_state_bits(Draft& draft,
                            const std::map<std::int32_t, std::pair<std::uint32_t, std::uint32_t>>& set_clear,
                            msg::Time now);
Result<> add_to_blocklist(Draft& draft, const std::vector<msg::Address>& addresses, msg::Time until, msg::Time now);
/// Errc::not_found if none of them is listed.
Result<> remove_from_blocklist(Draft& draft, const std::vector<msg::Address>& addresses, msg::Time now);

/// An address as the blocklist holds it: of no type (Ceph: OSDMap::Incremental::get_effective… TYPE_ANY).
msg::Address blocklist_address(msg::Address address);
msg::Time later(msg::Time time, double seconds);

}  // namespace spirula::mon
