#include "maps/osd_map.h"

#include <algorithm>

namespace spirula::maps {
namespace {

void add(Intervals& to, const Intervals& what) {
  for (const auto& [first, length] : what) {
    std::uint64_t start = first, end = first + length;
    auto it = to.upper_bound(start);
    if (it != to.begin() && std::prev(it)->first + std::prev(it)->second >= start) --it;
    while (it != to.end() && it->first <= end) {
      start = std::min(start, it->first);
      end = std::max(end, it->first + it->second);
      it = to.erase(it);
    }
    to.emplace(start, end - start);
  }
}

void subtract(Intervals& from, const Intervals& what) {
  for (auto [start, length] : what) {
    std::uint64_t end = start + length;
    auto it = from.upper_bound(start);
    if (it != from.begin()) --it;
    while (it != from.end() && it->first < end) {
      auto [s, l] = *it;
      if (s + l <= start) {
        ++it;
        continue;
      }
      it = from.erase(it);
      if (s < start) from.emplace(s, start - s);
      if (s + l > end) from.emplace(end, s + l - end);
    }
  }
}

template <class Key, class Value>
void replace_or_erase(std::map<Key, Value>& map, const Key& key, const Value& value, const Value& erases) {
  if (value == erases)
    map.erase(key);
  else
    map[key] = value;
}

void apply_state(Osd& osd, std::uint32_t flipped, const OsdMapIncremental& change) {
  if (flipped == 0) flipped = osd_state::up;
  if ((osd.state & osd_state::up) && (flipped & osd_state::up)) {
    osd.info.down_at = change.epoch;
    osd.extra.down_stamp = change.modified;
  }
  if ((osd.state & osd_state::exists) && (flipped & osd_state::exists)) {
    std::uint32_t weight = osd.weight;
    osd = {};  // destroyed: nothing of it stays
    osd.weight = weight;
  } else {
    osd.state ^= flipped;
  }
}

template <class T>
const T& value_or_blank(const std::map<std::int32_t, T>& map, std::int32_t key) {
  static const T blank{};
  auto it = map.find(key);
  return it == map.end() ? blank : it->second;
}

}  // namespace

// The order of the steps is Ceph's (OSDMap::apply_incremental): later ones see what earlier ones did.
Result<> OsdMap::apply(const OsdMapIncremental& change) {
  if (change.epoch != epoch.next()) return Errc::invalid;
  if (epoch.value > 0 && !change.fsid.is_zero() && change.fsid != fsid) return Errc::invalid;
  if (!change.full_map.empty()) {
    TRY(*this, decode_map(change.full_map));
    return {};
  }
  if (change.new_max_osd > limits::osds_max) return Errc::invalid;
  auto known = [&](const auto& map) {
    return map.empty() ||
           (map.begin()->first >= 0 && map.rbegin()->first < std::max<std::int64_t>(osds.size(), change.new_max_osd));
  };
  if (!known(change.new_weight) || !known(change.new_state) || !known(change.new_up_client) ||
      !known(change.new_primary_affinity) || !known(change.new_up_thru) || !known(change.new_uuid) ||
      !known(change.new_extra) || !known(change.new_lost) || !known(change.new_last_clean_interval) ||
      !known(change.new_up_cluster))
    return Errc::invalid;

  if (epoch.value == 0) {
    fsid = change.fsid;
    created = change.modified;
  }
  ++epoch;
  modified = change.modified;
  if (change.new_flags >= 0) flags = static_cast<std::uint32_t>(change.new_flags);
  if (change.new_max_osd >= 0) osds.resize(static_cast<std::size_t>(change.new_max_osd));
  if (change.new_pool_max != -1) pool_max = static_cast<std::int32_t>(change.new_pool_max);

  for (const auto& [id, pool] : change.new_pools) {
    pools[id] = pool;
    pools[id].last_change = epoch;
  }
  new_removed_snaps = change.new_removed_snaps;
  new_purged_snaps = change.new_purged_snaps;
  for (const auto& [pool, snaps] : new_removed_snaps) add(removed_snaps_queue[pool], snaps);
  for (const auto& [pool, snaps] : new_purged_snaps) {
    subtract(removed_snaps_queue[pool], snaps);
    if (removed_snaps_queue[pool].empty()) removed_snaps_queue.erase(pool);
  }
  for (const auto& [id, name] : change.new_pool_names) pool_names[id] = name;
  for (std::int64_t id : change.old_pools) {
    pools.erase(id);
    pool_names.erase(id);
    removed_snaps_queue.erase(id);
  }

  for (const auto& [id, weight] : change.new_weight) {
    osds[id].weight = weight;
    if (weight > 0) {
      osds[id].state |= osd_state::exists;
      osds[id].state &= ~(osd_state::auto_out | osd_state::is_new);
      osds[id].extra.old_weight = 0;
    }
  }
  for (const auto& [id, affinity] : change.new_primary_affinity) osds[id].primary_affinity = affinity;
  for (const std::string& name : change.old_erasure_code_profiles) erasure_code_profiles.erase(name);
  for (const auto& [name, profile] : change.new_erasure_code_profiles) erasure_code_profiles[name] = profile;

  for (const auto& [id, flipped] : change.new_state) apply_state(osds[id], flipped, change);
  for (const auto& [id, address] : change.new_up_client) {
    Osd& osd = osds[id];
    osd.state |= osd_state::exists | osd_state::up;
    osd.state &= ~osd_state::stop;
    osd.client = address;
    osd.heartbeat_back = value_or_blank(change.new_heartbeat_back_up, id);
    osd.heartbeat_front = value_or_blank(change.new_heartbeat_front_up, id);
    osd.info.up_from = epoch;
  }
  for (const auto& [id, address] : change.new_up_cluster) osds[id].cluster = address;
  for (const auto& [id, at] : change.new_up_thru) osds[id].info.up_thru = at;
  for (const auto& [id, interval] : change.new_last_clean_interval) {
    osds[id].info.last_clean_begin = interval.first;
    osds[id].info.last_clean_end = interval.second;
  }
  for (const auto& [id, at] : change.new_lost) osds[id].info.lost_at = at;
  for (const auto& [id, extra] : change.new_extra) osds[id].extra = extra;
  for (const auto& [id, uuid] : change.new_uuid) osds[id].uuid = uuid;

  for (const auto& [pg, temp] : change.new_pg_temp) replace_or_erase(pg_temp, pg, temp, {});
  for (const auto& [pg, temp] : change.new_primary_temp) replace_or_erase(primary_temp, pg, temp, -1);
  for (const auto& [pg, mapping] : change.new_pg_upmap) pg_upmap[pg] = mapping;
  for (PgId pg : change.old_pg_upmap) pg_upmap.erase(pg);
  for (const auto& [pg, mapping] : change.new_pg_upmap_items) pg_upmap_items[pg] = mapping;
  for (PgId pg : change.old_pg_upmap_items) pg_upmap_items.erase(pg);

  for (const auto& [address, until] : change.new_blocklist) blocklist[address] = until;
  for (const msg::Address& address : change.old_blocklist) blocklist.erase(address);
  for (const auto& [network, until] : change.new_blocklist_ranges) blocklist_ranges[network] = until;
  for (const msg::Address& network : change.old_blocklist_ranges) blocklist_ranges.erase(network);
  cluster_snapshot = change.cluster_snapshot;
  cluster_snapshot_epoch = cluster_snapshot.empty() ? Epoch{} : epoch;
  if (change.new_near_full_ratio >= 0) near_full_ratio = change.new_near_full_ratio;
  if (change.new_back_fill_full_ratio >= 0) back_fill_full_ratio = change.new_back_fill_full_ratio;
  if (change.new_full_ratio >= 0) full_ratio = change.new_full_ratio;
  if (change.new_require_min_compat_client != 0xff) require_min_compat_client = change.new_require_min_compat_client;
  if (change.new_require_osd_release != 0xff) require_osd_release = change.new_require_osd_release;
  for (const auto& [id, bits] : change.new_crush_node_flags) replace_or_erase(crush_node_flags, id, bits, 0u);
  for (const auto& [id, bits] : change.new_device_class_flags) replace_or_erase(device_class_flags, id, bits, 0u);
  if (change.new_last_up_change != msg::Time{}) last_up_change = change.new_last_up_change;
  if (change.new_last_in_change != msg::Time{}) last_in_change = change.new_last_in_change;

  if (!change.crush.empty()) {
    TRY(auto fresh, crush::CrushMap::decode_map(change.crush));
    crush = std::make_shared<const crush::CrushMap>(std::move(fresh));
    ++crush_version;
    std::erase_if(device_class_flags, [this](const auto& row) { return !crush->class_names.contains(row.first); });
  }
  return {};
}

const Pool* OsdMap::pool(std::int64_t id) const {
  auto it = pools.find(id);
  return it == pools.end() ? nullptr : &it->second;
}

std::optional<std::int64_t> OsdMap::pool_by_name(std::string_view name) const {
  for (const auto& [id, each] : pool_names)
    if (each == name) return id;
  return std::nullopt;
}

const Osd* OsdMap::osd(std::int32_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= osds.size() || !osds[id].exists()) return nullptr;
  return &osds[id];
}

bool OsdMap::is_up(std::int32_t id) const {
  const Osd* found = osd(id);
  return found && found->is_up();
}

bool OsdMap::is_in(std::int32_t id) const {
  const Osd* found = osd(id);
  return found && found->is_in();
}

std::size_t OsdMap::count_existing() const {
  return std::ranges::count_if(osds, &Osd::exists);
}
std::size_t OsdMap::count_up() const {
  return std::ranges::count_if(osds, &Osd::is_up);
}
std::size_t OsdMap::count_in() const {
  return std::ranges::count_if(osds, &Osd::is_in);
}

bool is_in_network(const Endpoint& host, const msg::Address& network) {
  if (host.ipv6 != network.endpoint.ipv6 || network.nonce > (host.ipv6 ? 128u : 32u)) return false;
  for (std::uint32_t bit = 0; bit < network.nonce; ++bit)
    if ((host.address[bit / 8] ^ network.endpoint.address[bit / 8]) & (0x80 >> bit % 8)) return false;
  return true;
}

bool OsdMap::is_blocklisted(const msg::AddressVector& address, msg::Time now) const {
  if (blocklist.empty() && blocklist_ranges.empty()) return false;
  auto listed = [&](msg::Address each) {
    each.type = msg::Address::Type::any;  // entries are kept without the protocol (Ceph: as_any)
    auto it = blocklist.find(each);
    if (it != blocklist.end() && it->second > now) return true;
    each.nonce = 0;
    each.endpoint.port = 0;
    it = blocklist.find(each);
    if (it != blocklist.end() && it->second > now) return true;
    return std::ranges::any_of(blocklist_ranges, [&](const auto& entry) {
      return entry.second > now && is_in_network(each.endpoint, entry.first);
    });
  };
  return std::ranges::any_of(address.addresses, listed);
}

}  // namespace spirula::maps
