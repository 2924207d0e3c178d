#include <fmt/format.h>

#include <algorithm>

#include "crush/dump.h"
#include "mon/dump.h"

namespace spirula::mon {
namespace {

struct BitName {
  std::uint64_t bit;
  const char* name;
};

constexpr BitName map_flags[] = {
    {maps::map_flag::near_full, "nearfull"},
    {maps::map_flag::full, "full"},
    {maps::map_flag::pause_read, "pauserd"},
    {maps::map_flag::pause_write, "pausewr"},
    {maps::map_flag::pause_recovery, "pauserec"},
    {maps::map_flag::no_up, "noup"},
    {maps::map_flag::no_down, "nodown"},
    {maps::map_flag::no_out, "noout"},
    {maps::map_flag::no_in, "noin"},
    {maps::map_flag::no_back_fill, "nobackfill"},
    {maps::map_flag::no_recover, "norecover"},
    {maps::map_flag::no_scrub, "noscrub"},
    {maps::map_flag::no_deep_scrub, "nodeep-scrub"},
    {maps::map_flag::no_tier_agent, "notieragent"},
    {maps::map_flag::no_rebalance, "norebalance"},
    {maps::map_flag::sort_bitwise, "sortbitwise"},
    {maps::map_flag::require_jewel, "require_jewel_osds"},
    {maps::map_flag::require_kraken, "require_kraken_osds"},
    {maps::map_flag::require_luminous, "require_luminous_osds"},
    {maps::map_flag::recovery_deletes, "recovery_deletes"},
    {maps::map_flag::purged_snapdirs, "purged_snapdirs"},
    {maps::map_flag::no_snap_trim, "nosnaptrim"},
    {maps::map_flag::pglog_hardlimit, "pglog_hardlimit"},
};

constexpr BitName osd_states[] = {
    {maps::osd_state::exists, "exists"},
    {maps::osd_state::up, "up"},
    {maps::osd_state::auto_out, "autoout"},
    {maps::osd_state::is_new, "new"},
    {maps::osd_state::full, "full"},
    {maps::osd_state::near_full, "nearfull"},
    {maps::osd_state::back_fill_full, "backfillfull"},
    {maps::osd_state::destroyed, "destroyed"},
    {maps::osd_state::no_up, "noup"},
    {maps::osd_state::no_down, "nodown"},
    {maps::osd_state::no_in, "noin"},
    {maps::osd_state::no_out, "noout"},
    {maps::osd_state::stop, "stop"},
};

constexpr BitName pool_flags[] = {
    {maps::Pool::hash_ps_pool, "hashpspool"},
    {maps::Pool::full, "full"},
    {maps::Pool::ec_overwrites, "ec_overwrites"},
    {maps::Pool::incomplete_clones, "incomplete_clones"},
    {maps::Pool::no_delete, "nodelete"},
    {maps::Pool::no_pg_change, "nopgchange"},
    {maps::Pool::no_size_change, "nosizechange"},
    {1 << 7, "write_fadvise_dontneed"},
    {1 << 8, "noscrub"},
    {1 << 9, "nodeep-scrub"},
    {maps::Pool::full_quota, "full_quota"},
    {maps::Pool::near_full, "nearfull"},
    {maps::Pool::back_fill_full, "backfillfull"},
    {maps::Pool::self_managed_snaps, "selfmanaged_snaps"},
    {maps::Pool::pool_snaps, "pool_snaps"},
    {maps::Pool::creating, "creating"},
    {maps::Pool::eio, "eio"},
    {maps::Pool::bulk, "bulk"},
};

template <std::size_t N>
std::vector<std::string> names_of(const BitName (&table)[N], std::uint64_t bits) {
  std::vector<std::string> names;
  for (const auto& each : table)
    if (bits & each.bit) names.emplace_back(each.name);
  return names;
}

JsonArray to_json(const std::vector<std::string>& words) {
  JsonArray array;
  for (const auto& word : words) array.emplace_back(word);
  return array;
}

const char* autoscale_name(std::uint8_t mode) {
  static constexpr const char* names[] = {"off", "warn", "on"};
  return names[mode < 3 ? mode : 0];
}

/// Ceph: interval_set's operator<<, "[2~1,5~3]" in hexadecimal.
std::string print_intervals(const maps::Intervals& intervals) {
  std::string text;
  for (const auto& [start, length] : intervals)
    text += fmt::format("{}{:x}~{:x}", text.empty() ? "" : ",", start, length);
  return "[" + text + "]";
}

JsonArray dump_snap_intervals(const maps::SnapIntervals& pools) {
  JsonArray array;
  for (const auto& [pool, intervals] : pools) {
    JsonArray runs;
    for (const auto& [start, length] : intervals) runs.push_back(JsonObject{{"begin", start}, {"length", length}});
    array.push_back(JsonObject{{"pool", pool}, {"snaps", runs}});
  }
  return array;
}

JsonArray numbers(const std::vector<std::int32_t>& values) {
  JsonArray array;
  for (auto value : values) array.emplace_back(value);
  return array;
}

std::string weight_text(std::uint32_t weight) {
  return fmt::format("{:.6g}", static_cast<double>(weight) / maps::weight_in);
}

JsonObject dump(const std::map<msg::Address, msg::Time>& until) {
  JsonObject object;
  for (const auto& [address, time] : until) object[print_address(address)] = time.describe();
  return object;
}

}  // namespace

std::vector<std::string> map_flag_names(std::uint32_t flags) {
  return names_of(map_flags, flags);
}

std::string print_notable_flags(const maps::OsdMap& map) {
  constexpr std::uint32_t usual = maps::map_flag::sort_bitwise | maps::map_flag::recovery_deletes |
                                  maps::map_flag::purged_snapdirs | maps::map_flag::pglog_hardlimit;
  return join(map_flag_names(map.flags & ~usual), ",");
}

std::optional<std::uint32_t> map_flag_by_name(std::string_view name) {
  if (name == "pause") return maps::map_flag::pause_read | maps::map_flag::pause_write;
  for (const auto& each : map_flags)
    if (name == each.name) return static_cast<std::uint32_t>(each.bit);
  return std::nullopt;
}

std::vector<std::string> osd_state_names(std::uint32_t state) {
  return names_of(osd_states, state);
}

std::vector<std::string> pool_flag_names(std::uint64_t flags) {
  return names_of(pool_flags, flags);
}

JsonObject dump_pool(std::int64_t id, const std::string& name, const maps::Pool& pool, bool as_listed) {
  JsonObject out;
  out[as_listed ? "pool_id" : "pool"] = id;
  out["pool_name"] = name;
  out["create_time"] = pool.create_time.describe();
  out["flags"] = pool.flags;
  out["flags_names"] = join(pool_flag_names(pool.flags), ",");
  out["type"] = static_cast<int>(pool.type);
  out["size"] = pool.size;
  out["min_size"] = pool.min_size;
  out["crush_rule"] = pool.crush_rule;
  out["peering_crush_bucket_count"] = 0;
  out["peering_crush_bucket_target"] = 0;
  out["peering_crush_bucket_barrier"] = 0;
  out["peering_crush_bucket_mandatory_member"] = crush::item_none;
  out["object_hash"] = pool.object_hash;
  out["pg_autoscale_mode"] = autoscale_name(pool.autoscale_mode);
  out["pg_num"] = pool.pg_num;
  out["pg_placement_num"] = pool.pgp_num;
  out["pg_placement_num_target"] = pool.pgp_num_target;
  out["pg_num_target"] = pool.pg_num_target;
  out["pg_num_pending"] = pool.pg_num_pending;
  out["last_pg_merge_meta"] = JsonObject{
      {"source_pgid", pool.last_merge.source.pool < 0 ? std::string("0.0") : pool.last_merge.source.describe()},
      {"ready_epoch", pool.last_merge.ready.value},
      {"last_epoch_started", pool.last_merge.last_started.value},
      {"last_epoch_clean", pool.last_merge.last_clean.value},
      {"source_version", pool.last_merge.source_version.describe()},
      {"target_version", pool.last_merge.target_version.describe()}};
  out["last_change"] = std::to_string(pool.last_change.value);
  out["last_force_op_resend"] = std::to_string(pool.last_force_resend.value);
  out["last_force_op_resend_prenautilus"] = std::to_string(pool.last_force_resend_prenautilus.value);
  out["last_force_op_resend_preluminous"] = std::to_string(pool.last_force_resend_preluminous.value);
  out["auid"] = 0;
  out["snap_mode"] = pool.has(maps::Pool::pool_snaps) ? "pool" : "selfmanaged";
  out["snap_seq"] = pool.snap_sequence.value;
  out["snap_epoch"] = pool.snap_epoch.value;
  JsonArray snaps;
  for (const auto& [snap, info] : pool.snaps)
    snaps.push_back(JsonObject{{"snapid", snap.value}, {"stamp", info.stamp.describe()}, {"name", info.name}});
  out["pool_snaps"] = snaps;
  out["removed_snaps"] = print_intervals(pool.removed_snaps);
  out["quota_max_bytes"] = pool.quota_bytes;
  out["quota_max_objects"] = pool.quota_objects;
  out["tiers"] = JsonArray{};
  out["tier_of"] = pool.tier_of;
  out["read_tier"] = pool.read_tier;
  out["write_tier"] = pool.write_tier;
  out["cache_mode"] = "none";
  out["target_max_bytes"] = pool.cache_bytes_max;
  out["target_max_objects"] = pool.cache_objects_max;
  out["cache_target_dirty_ratio_micro"] = pool.cache_dirty_ratio;
  out["cache_target_dirty_high_ratio_micro"] = pool.cache_dirty_high_ratio;
  out["cache_target_full_ratio_micro"] = pool.cache_full_ratio;
  out["cache_min_flush_age"] = pool.cache_flush_age_min;
  out["cache_min_evict_age"] = pool.cache_evict_age_min;
  out["erasure_code_profile"] = pool.erasure_code_profile;
  out["hit_set_params"] = JsonObject{{"type", "none"}};
  out["hit_set_period"] = pool.hit_set_period;
  out["hit_set_count"] = pool.hit_set_count;
  out["use_gmt_hitset"] = pool.use_gmt_hit_set;
  out["min_read_recency_for_promote"] = pool.read_recency_min;
  out["min_write_recency_for_promote"] = pool.write_recency_min;
  out["hit_set_grade_decay_rate"] = pool.hit_set_grade_decay;
  out["hit_set_search_last_n"] = pool.hit_set_search_last;
  out["grade_table"] = JsonArray{};
  out["stripe_width"] = pool.stripe_width;
  out["expected_num_objects"] = pool.expected_objects;
  out["fast_read"] = pool.fast_read;
  out["options"] = JsonObject{};
  JsonObject applications;
  for (const auto& [application, keys] : pool.applications) {
    JsonObject values;
    for (const auto& [key, value] : keys) values[key] = value;
    applications[application] = values;
  }
  out["application_metadata"] = applications;
  return out;
}

std::string print_pool(std::int64_t id, const std::string& name, const maps::Pool& pool) {
  std::string text =
      fmt::format("pool {} '{}' replicated size {} min_size {} crush_rule {} object_hash rjenkins pg_num {} pgp_num {}",
                  id, name, pool.size, pool.min_size, pool.crush_rule, pool.pg_num, pool.pgp_num);
  if (pool.pg_num_target != pool.pg_num) text += fmt::format(" pg_num_target {}", pool.pg_num_target);
  if (pool.pgp_num_target != pool.pgp_num) text += fmt::format(" pgp_num_target {}", pool.pgp_num_target);
  text += fmt::format(" autoscale_mode {}", autoscale_name(pool.autoscale_mode));
  text += fmt::format(" last_change {}", pool.last_change.value);
  if (pool.flags) text += " flags " + join(pool_flag_names(pool.flags), ",");
  if (pool.quota_bytes) text += fmt::format(" max_bytes {}", pool.quota_bytes);
  if (pool.quota_objects) text += fmt::format(" max_objects {}", pool.quota_objects);
  text += fmt::format(" stripe_width {}", pool.stripe_width);
  if (!pool.applications.empty()) {
    std::vector<std::string> names;
    for (const auto& [application, keys] : pool.applications) names.push_back(application);
    text += " application " + join(names, ",");
  }
  text += "\n";
  for (const auto& [snap, info] : pool.snaps)
    text += fmt::format("\tsnap {} '{}' {}\n", snap.value, info.name, info.stamp.describe());
  if (!pool.removed_snaps.empty()) text += fmt::format("\tremoved_snaps {}\n", print_intervals(pool.removed_snaps));
  return text;
}

JsonObject dump(const maps::OsdMap& map) {
  JsonArray pools, osds, extras;
  for (const auto& [id, pool] : map.pools) pools.push_back(dump_pool(id, map.pool_names.at(id), pool, false));
  for (std::size_t id = 0; id < map.osds.size(); ++id) {
    const auto& osd = map.osds[id];
    if (!osd.exists()) continue;
    JsonArray state;
    for (const auto& name : osd_state_names(osd.state)) state.emplace_back(name);
    osds.push_back(JsonObject{{"osd", id},
                              {"uuid", osd.uuid.describe()},
                              {"up", osd.is_up() ? 1 : 0},
                              {"in", osd.is_in() ? 1 : 0},
                              {"weight", static_cast<double>(osd.weight) / maps::weight_in},
                              {"primary_affinity", static_cast<double>(osd.primary_affinity) / maps::weight_in},
                              {"last_clean_begin", osd.info.last_clean_begin.value},
                              {"last_clean_end", osd.info.last_clean_end.value},
                              {"up_from", osd.info.up_from.value},
                              {"up_thru", osd.info.up_thru.value},
                              {"down_at", osd.info.down_at.value},
                              {"lost_at", osd.info.lost_at.value},
                              {"public_addrs", dump(osd.client)},
                              {"cluster_addrs", dump(osd.cluster)},
                              {"heartbeat_back_addrs", dump(osd.heartbeat_back)},
                              {"heartbeat_front_addrs", dump(osd.heartbeat_front)},
                              {"public_addr", print_address(osd.client.msgr2())},
                              {"cluster_addr", print_address(osd.cluster.msgr2())},
                              {"heartbeat_back_addr", print_address(osd.heartbeat_back.msgr2())},
                              {"heartbeat_front_addr", print_address(osd.heartbeat_front.msgr2())},
                              {"state", state}});
    const auto& extra = osd.extra;
    extras.push_back(JsonObject{
        {"osd", id},
        {"down_stamp", extra.down_stamp == msg::Time{} ? std::string("0.000000") : extra.down_stamp.describe()},
        {"laggy_probability", static_cast<double>(extra.laggy_probability) / 0xffffffffu},
        {"laggy_interval", extra.laggy_interval_s},
        {"features", extra.features},
        {"old_weight", static_cast<double>(extra.old_weight) / maps::weight_in},
        {"last_purged_snaps_scrub", extra.last_purged_snaps_scrub == msg::Time{}
                                        ? std::string("0.000000")
                                        : extra.last_purged_snaps_scrub.describe()},
        {"dead_epoch", extra.dead_epoch.value}});
  }
  JsonArray upmaps, upmap_items, temps, primary_temps;
  for (const auto& [pg, mapping] : map.pg_upmap)
    upmaps.push_back(JsonObject{{"pgid", pg.describe()}, {"osds", numbers(mapping)}});
  for (const auto& [pg, mapping] : map.pg_upmap_items) {
    JsonArray pairs;
    for (const auto& [from, to] : mapping) pairs.push_back(JsonObject{{"from", from}, {"to", to}});
    upmap_items.push_back(JsonObject{{"pgid", pg.describe()}, {"mappings", pairs}});
  }
  for (const auto& [pg, mapping] : map.pg_temp)
    temps.push_back(JsonObject{{"pgid", pg.describe()}, {"osds", numbers(mapping)}});
  for (const auto& [pg, primary] : map.primary_temp)
    primary_temps.push_back(JsonObject{{"pgid", pg.describe()}, {"osd", primary}});
  auto flags = map_flag_names(map.flags);
  auto sorted = flags;
  std::ranges::sort(sorted);
  return {{"epoch", map.epoch.value},
          {"fsid", map.fsid.describe()},
          {"created", map.created.describe()},
          {"modified", map.modified.describe()},
          {"last_up_change", map.last_up_change.describe()},
          {"last_in_change", map.last_in_change.describe()},
          {"flags", join(flags, ",")},
          {"flags_num", map.flags},
          {"flags_set", to_json(sorted)},
          {"crush_version", map.crush_version},
          {"full_ratio", static_cast<double>(map.full_ratio)},
          {"backfillfull_ratio", static_cast<double>(map.back_fill_full_ratio)},
          {"nearfull_ratio", static_cast<double>(map.near_full_ratio)},
          {"cluster_snapshot", map.cluster_snapshot},
          {"pool_max", map.pool_max},
          {"max_osd", map.osds.size()},
          {"require_min_compat_client", release_name(map.require_min_compat_client)},
          {"min_compat_client", std::string(crush::release_min(*map.crush))},
          {"require_osd_release", release_name(map.require_osd_release)},
          {"pools", pools},
          {"osds", osds},
          {"osd_xinfo", extras},
          {"pg_upmap", upmaps},
          {"pg_upmap_items", upmap_items},
          {"pg_temp", temps},
          {"primary_temp", primary_temps},
          {"blocklist", dump(map.blocklist)},
          {"range_blocklist", dump(map.blocklist_ranges)},
          {"erasure_code_profiles", JsonObject{}},
          {"removed_snaps_queue", dump_snap_intervals(map.removed_snaps_queue)},
          {"new_removed_snaps", dump_snap_intervals(map.new_removed_snaps)},
          {"new_purged_snaps", dump_snap_intervals(map.new_purged_snaps)},
          {"crush_node_flags", JsonObject{}},
          {"device_class_flags", JsonObject{}},
          {"stretch_mode", JsonObject{{"stretch_mode_enabled", false},
                                      {"stretch_bucket_count", 0},
                                      {"degraded_stretch_mode", 0},
                                      {"recovering_stretch_mode", 0},
                                      {"stretch_mode_bucket", 0}}}};
}

std::string print(const maps::OsdMap& map) {
  std::string text = fmt::format(
      "epoch {}\nfsid {}\ncreated {}\nmodified {}\nflags {}\ncrush_version {}\nfull_ratio {:.6g}\nbackfillfull_ratio "
      "{:.6g}\nnearfull_ratio {:.6g}\nrequire_min_compat_client {}\nmin_compat_client {}\nrequire_osd_release {}\n"
      "stretch_mode_enabled false\n",
      map.epoch.value, map.fsid.describe(), map.created.describe(), map.modified.describe(),
      join(map_flag_names(map.flags), ","), map.crush_version, map.full_ratio, map.back_fill_full_ratio,
      map.near_full_ratio, release_name(map.require_min_compat_client), crush::release_min(*map.crush),
      release_name(map.require_osd_release));
  for (const auto& [id, pool] : map.pools) text += print_pool(id, map.pool_names.at(id), pool);
  text += fmt::format("max_osd {}\n", map.osds.size());
  for (std::size_t id = 0; id < map.osds.size(); ++id) {
    const auto& osd = map.osds[id];
    if (!osd.exists()) continue;
    text += fmt::format("osd.{} {} {} weight {}", id, osd.is_up() ? "up  " : "down", osd.is_in() ? "in " : "out",
                        weight_text(osd.weight));
    if (osd.primary_affinity != maps::default_primary_affinity)
      text += fmt::format(" primary_affinity {}", weight_text(osd.primary_affinity));
    text += fmt::format(" up_from {} up_thru {} down_at {} last_clean_interval [{},{})", osd.info.up_from.value,
                        osd.info.up_thru.value, osd.info.down_at.value, osd.info.last_clean_begin.value,
                        osd.info.last_clean_end.value);
    auto where = [](const msg::AddressVector& address) { return address.empty() ? std::string() : address.describe(); };
    text += fmt::format(" {} {}", where(osd.client), where(osd.cluster));
    text += " " + join(osd_state_names(osd.state), ",");
    if (!osd.uuid.is_zero()) text += " " + osd.uuid.describe();
    text += "\n";
  }
  for (const auto& [pg, mapping] : map.pg_upmap)
    text += fmt::format("pg_upmap {} [{}]\n", pg.describe(), join_numbers(mapping));
  for (const auto& [pg, mapping] : map.pg_temp)
    text += fmt::format("pg_temp {} [{}]\n", pg.describe(), join_numbers(mapping));
  for (const auto& [pg, primary] : map.primary_temp)
    text += fmt::format("primary_temp {} {}\n", pg.describe(), primary);
  for (const auto& [address, until] : map.blocklist)
    text += fmt::format("blocklist {} expires {}\n", print_address(address), until.describe());
  for (const auto& [network, until] : map.blocklist_ranges)
    text += fmt::format("range blocklist {} expires {}\n", print_address(network), until.describe());
  return text;
}

}  // namespace spirula::mon
