#include "mon/osd_edit.h"

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "crush/device_classes.h"

namespace spirula::mon {
namespace {

namespace state_bit = maps::osd_state;

const maps::Osd* existing(const maps::OsdMap& map, std::int32_t id) {
  const auto* osd = map.osd(id);
  return osd && osd->exists() ? osd : nullptr;
}

/// The CRUSH weight of an OSD that is new there: its size in TiB, never nothing.
double weight_of(const msg::OsdSpace& space) {
  double tebibytes = static_cast<double>(space.total) / static_cast<double>(1ull << 40);
  return std::max(0.00001, std::round(tebibytes * 1e5) / 1e5);
}

crush::Location location_of(const msg::OsdBoot& boot) {
  if (!boot.location.empty()) return boot.location;
  auto host = boot.metadata.find("hostname");
  std::string name = host == boot.metadata.end() ? "unknown" : host->second;
  name = name.substr(0, name.find('.'));
  std::erase_if(name, [](char c) { return !crush::is_valid_name(std::string_view(&c, 1)); });
  return {{"root", "default"}, {"host", name.empty() ? "unknown" : name}};
}

}  // namespace

msg::Time later(msg::Time time, double seconds) {
  return msg::Time::from(time.wall() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)));
}

msg::Address blocklist_address(msg::Address address) {
  if (address.type != maps::network_address) address.type = msg::Address::Type::any;
  return address;
}

OsdPolicy osd_policy(const Config& config) {
  OsdPolicy policy;
  policy.pool_size = static_cast<std::uint32_t>(config.integer("osd_pool_default_size"));
  policy.pool_min_size = static_cast<std::uint32_t>(config.integer("osd_pool_default_min_size"));
  policy.pool_pg_num = static_cast<std::uint32_t>(config.integer("osd_pool_default_pg_num"));
  policy.pgs_per_osd_max = static_cast<std::uint32_t>(config.integer("mon_max_pg_per_osd"));
  policy.mark_new_in = config.flag("mon_osd_auto_mark_new_in");
  policy.mark_auto_out_in = config.flag("mon_osd_auto_mark_auto_out_in");
  policy.location_update = config.flag("osd_crush_update_on_start");
  return policy;
}

maps::OsdMap initial_osd_map(const msg::Uuid& fsid, msg::Time now) {
  maps::OsdMap map;
  map.fsid = fsid;
  map.epoch = msg::Epoch(1);
  map.created = map.modified = map.last_up_change = map.last_in_change = now;
  map.flags = maps::map_flag::sort_bitwise | maps::map_flag::recovery_deletes | maps::map_flag::purged_snapdirs |
              maps::map_flag::pglog_hardlimit;
  map.crush = std::make_shared<crush::CrushMap>(crush::CrushMap::make_default());
  return map;
}

crush::CrushMap crush_copy(const Draft& draft) {
  return *draft->osd().map().crush;
}

Result<> draft_crush(Draft& draft, const crush::CrushMap& map, msg::Time now) {
  auto change = next_incremental(draft->osd().map(), now);
  change.crush = encode(map);
  return draft_osd_change(draft, std::move(change));
}

Result<std::int32_t> new_osd(Draft& draft, msg::Uuid store, std::optional<std::int32_t> wanted, msg::Time now) {
  const auto& map = draft->osd().map();
  for (std::size_t id = 0; id < map.osds.size(); ++id) {
    if (!map.osds[id].exists() || map.osds[id].uuid != store || store.is_zero()) continue;
    if (wanted && *wanted != static_cast<std::int32_t>(id)) return Errc::exists;
    return static_cast<std::int32_t>(id);
  }
  std::int32_t id = 0;
  bool replaces = false;
  if (wanted) {
    id = *wanted;
    if (id < 0 || id >= 10'000) return Errc::invalid;
    if (const auto* osd = existing(map, id)) {
      replaces = (osd->state & state_bit::destroyed) || osd->uuid.is_zero();
      if (!replaces) return Errc::exists;
    }
  } else {
    while (existing(map, id)) ++id;
  }
  auto change = next_incremental(map, now);
  if (static_cast<std::size_t>(id) >= map.osds.size()) change.new_max_osd = id + 1;
  if (replaces) {
    if (map.osds[id].state & state_bit::destroyed) change.new_state[id] = state_bit::destroyed | state_bit::is_new;
  } else {
    change.new_state[id] = state_bit::exists | state_bit::is_new;
    change.new_weight[id] = 0;
  }
  change.new_uuid[id] = store;
  TRY(draft_osd_change(draft, std::move(change)));
  return id;
}

Result<> boot_osd(Draft& draft, const msg::OsdBoot& boot, const OsdPolicy& policy, msg::Time now) {
  if (draft->osd().map().has(maps::map_flag::no_up)) return Errc::busy;
  if (!existing(draft->osd().map(), boot.osd)) {
    auto made = new_osd(draft, boot.store, boot.osd, now);
    if (!made) return made.error();
  }
  auto known = [&]() -> const maps::Osd& { return *draft->osd().map().osd(boot.osd); };
  if (known().state & (state_bit::no_up)) return Errc::busy;
  if (!known().uuid.is_zero() && known().uuid != boot.store) return Errc::exists;
  if (known().is_up() && known().client == boot.client_address && known().cluster == boot.cluster_address) return {};
  if (known().is_up()) TRY(mark_down(draft, {boot.osd}, now));

  const auto& map = draft->osd().map();
  const auto& osd = known();
  auto change = next_incremental(map, now);
  change.new_up_client[boot.osd] = boot.client_address;
  change.new_up_cluster[boot.osd] = boot.cluster_address.empty() ? boot.client_address : boot.cluster_address;
  change.new_heartbeat_back_up[boot.osd] = boot.heartbeat_back_address;
  change.new_heartbeat_front_up[boot.osd] = boot.heartbeat_front_address;
  if (osd.uuid != boot.store) change.new_uuid[boot.osd] = boot.store;
  // The store was last clean until the newest map it has, if it was up at all (Ceph: prepare_boot).
  if (osd.info.up_from.value > 0) {
    msg::Epoch end = std::max(osd.info.up_from, std::min(boot.newest_map, osd.info.down_at));
    change.new_last_clean_interval[boot.osd] = {osd.info.up_from, end};
  }
  auto extra = osd.extra;
  extra.features = msg::features::all;
  extra.dead_epoch = {};
  bool first_time = osd.state & state_bit::is_new;
  bool comes_back = (osd.state & state_bit::auto_out) && policy.mark_auto_out_in;
  if (osd.weight == 0 && ((first_time && policy.mark_new_in) || comes_back) && !(osd.state & state_bit::no_in) &&
      !map.has(maps::map_flag::no_in)) {
    change.new_weight[boot.osd] = comes_back && osd.extra.old_weight ? osd.extra.old_weight : maps::weight_in;
    extra.old_weight = 0;
  }
  change.new_extra[boot.osd] = extra;

  crush::CrushMap crush = *map.crush;
  std::string name = "osd." + std::to_string(boot.osd);
  bool edited = false;
  TRY(crush::Weight weight, crush::to_weight(weight_of(boot.space)));
  if (!crush.weight_of(boot.osd) || policy.location_update) {
    auto moved = crush::create_or_move_item(crush, boot.osd, weight, name, location_of(boot));
    if (!moved) return moved.error();
    edited |= *moved;
  }
  if (!boot.device_class.empty() && crush.item_class(boot.osd).empty()) {
    auto classed = crush::set_device_class(crush, boot.osd, boot.device_class);
    edited |= classed && *classed;
  }
  if (edited) change.crush = encode(crush);

  OsdService::Change with;
  with.metadata[boot.osd] = boot.metadata;
  return draft_osd_change(draft, std::move(change), std::move(with));
}

Result<> mark_down(Draft& draft, const std::vector<std::int32_t>& osds, msg::Time now, bool dead) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (auto id : osds) {
    if (!map.is_up(id)) continue;
    change.new_state[id] = state_bit::up;
    if (dead) {
      auto extra = map.osd(id)->extra;
      extra.dead_epoch = change.epoch;
      change.new_extra[id] = extra;
    }
  }
  if (change.new_state.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

Result<> set_osd_weight(Draft& draft, const std::vector<std::int32_t>& osds, std::uint32_t weight, msg::Time now,
                        bool automatic) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (auto id : osds) {
    const auto* osd = existing(map, id);
    if (!osd || (osd->weight == weight && !(osd->state & state_bit::auto_out))) continue;
    change.new_weight[id] = weight;
    if (automatic) {
      change.new_state[id] = state_bit::auto_out;
      auto extra = osd->extra;
      extra.old_weight = osd->weight;
      change.new_extra[id] = extra;
    } else if (weight == 0 && (osd->state & state_bit::auto_out)) {
      change.new_state[id] = state_bit::auto_out;  // put out by hand: stays out when it boots
    }
  }
  if (change.new_weight.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

Result<> remove_osd(Draft& draft, std::int32_t id, bool and_from_crush, msg::Time now) {
  const auto& map = draft->osd().map();
  const auto* osd = existing(map, id);
  if (!osd) return Errc::not_found;
  if (osd->is_up()) return Errc::busy;
  auto change = next_incremental(map, now);
  // Whatever other bits it has go with `exists`: the map forgets all of a destroyed entry.
  change.new_state[id] = state_bit::exists;
  change.new_weight[id] = 0;
  if (and_from_crush) {
    crush::CrushMap crush = *map.crush;
    auto removed = crush::remove_item(crush, id);
    if (removed)
      change.crush = encode(crush);
    else if (removed.error() != Errc::not_found)
      return removed;
  }
  OsdService::Change with;
  with.metadata_removed.insert(id);
  return draft_osd_change(draft, std::move(change), std::move(with));
}

Result<> destroy_osd(Draft& draft, std::int32_t id, msg::Time now) {
  const auto& map = draft->osd().map();
  const auto* osd = existing(map, id);
  if (!osd) return Errc::not_found;
  if (osd->is_up()) return Errc::busy;
  if (osd->state & state_bit::destroyed) return {};
  auto change = next_incremental(map, now);
  change.new_state[id] = state_bit::destroyed;
  change.new_uuid[id] = {};
  return draft_osd_change(draft, std::move(change));
}

Result<> record_alive(Draft& draft, std::int32_t id, msg::Epoch wanted, msg::Time now) {
  const auto& map = draft->osd().map();
  if (!map.is_up(id) || map.osd(id)->info.up_thru >= wanted) return {};
  auto change = next_incremental(map, now);
  change.new_up_thru[id] = map.epoch;
  return draft_osd_change(draft, std::move(change));
}

Result<> set_pg_temp(Draft& draft, const msg::OsdPgTemp& request, msg::Time now) {
  const auto& map = draft->osd().map();
  if (!map.is_up(request.osd)) return {};
  auto change = next_incremental(map, now);
  for (const auto& [pg, acting] : request.acting) {
    const auto* pool = map.pool(pg.pool);
    if (!pool || pg.seed >= pool->pg_num) continue;
    if (std::ranges::any_of(acting, [&](auto id) { return !map.is_up(id); })) continue;
    auto known = map.pg_temp.find(pg);
    if (known == map.pg_temp.end() ? acting.empty() : known->second == acting) continue;
    change.new_pg_temp[pg] = acting;
  }
  if (change.new_pg_temp.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

Result<> set_map_flags(Draft& draft, std::uint32_t set, std::uint32_t clear, msg::Time now) {
  const auto& map = draft->osd().map();
  std::uint32_t flags = (map.flags | set) & ~clear;
  if (flags == map.flags) return {};
  auto change = next_incremental(map, now);
  change.new_flags = static_cast<std::int32_t>(flags);
  return draft_osd_change(draft, std::move(change));
}

Result<> set_osd_state_bits(Draft& draft,
                            const std::map<std::int32_t, std::pair<std::uint32_t, std::uint32_t>>& set_clear,
                            msg::Time now) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (const auto& [id, bits] : set_clear) {
    const auto* osd = existing(map, id);
    if (!osd) continue;
    std::uint32_t flipped = osd->state ^ ((osd->state | bits.first) & ~bits.second);
    if (flipped) change.new_state[id] = flipped;
  }
  if (change.new_state.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

Result<> add_to_blocklist(Draft& draft, const std::vector<msg::Address>& addresses, msg::Time until, msg::Time now) {
  if (addresses.empty()) return {};
  auto change = next_incremental(draft->osd().map(), now);
  for (const auto& address : addresses) {
    auto listed = blocklist_address(address);
    (listed.type == maps::network_address ? change.new_blocklist_ranges : change.new_blocklist)[listed] = until;
  }
  return draft_osd_change(draft, std::move(change));
}

Result<> remove_from_blocklist(Draft& draft, const std::vector<msg::Address>& addresses, msg::Time now) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (const auto& address : addresses) {
    auto listed = blocklist_address(address);
    if (map.blocklist.contains(listed)) change.old_blocklist.push_back(listed);
    if (map.blocklist_ranges.contains(listed)) change.old_blocklist_ranges.push_back(listed);
  }
  if (change.old_blocklist.empty() && change.old_blocklist_ranges.empty()) return Errc::not_found;
  return draft_osd_change(draft, std::move(change));
}

}  // namespace spirula::mon
