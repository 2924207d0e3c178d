// From an object's name to the OSDs that hold it. Ceph: OSDMap::_pg_to_up_acting_osds; Linux: net/ceph/osdmap.c.
#include <algorithm>

#include "crush/hash.h"
#include "crush/mapper.h"
#include "crush/object_hash.h"
#include "maps/osd_map.h"

namespace spirula::maps {

namespace {

/// A pool names a ruleset; the rule is the first of it that is made for such pools and sizes, or none (-1).
/// Ceph: CrushWrapper::find_rule; Linux: crush_find_rule.
std::int32_t find_rule(const crush::CrushMap& map, const Pool& pool) {
  for (std::size_t id = 0; id < map.rules.size(); ++id) {
    const crush::Rule* rule = map.rule(static_cast<std::int32_t>(id));
    if (rule && rule->ruleset == pool.crush_rule &&
        static_cast<std::uint8_t>(rule->type) == static_cast<std::uint8_t>(pool.type) && rule->size_min <= pool.size &&
        pool.size <= rule->size_max)
      return static_cast<std::int32_t>(id);
  }
  return -1;
}

}  // namespace

Result<std::uint32_t> OsdMap::object_hash(const msg::ObjectLocator& locator, std::string_view name) const {
  const Pool* in = pool(locator.pool);
  if (!in) return Errc::not_found;
  if (locator.hash >= 0) return static_cast<std::uint32_t>(locator.hash);
  auto kind = static_cast<crush::StringHash>(in->object_hash);
  std::string_view hashed = locator.key.empty() ? name : std::string_view(locator.key);
  if (locator.name_space.empty()) return crush::hash_string(kind, hashed);
  std::string with_space = locator.name_space;
  with_space += '\037';
  with_space += hashed;
  return crush::hash_string(kind, with_space);
}

Result<PgId> OsdMap::object_to_pg(const msg::ObjectLocator& locator, std::string_view name) const {
  TRY(std::uint32_t hash, object_hash(locator, name));
  return PgId{locator.pool, pool(locator.pool)->pg_seed(hash)};
}

std::vector<std::int32_t> OsdMap::raw_placement(PgId pg, const Pool& in) const {
  std::vector<crush::Weight> weights(osds.size());
  std::ranges::transform(osds, weights.begin(), &Osd::weight);
  auto raw = crush::do_rule(*crush, find_rule(*crush, in), in.placement_seed(pg), in.size, weights,
                            crush->choose_args_for(pg.pool));
  if (in.type == Pool::Type::erasure) {
    for (std::int32_t& id : raw)
      if (!osd(id)) id = crush::item_none;
  } else {
    std::erase_if(raw, [this](std::int32_t id) { return !osd(id); });
  }
  return raw;
}

void OsdMap::apply_upmap(PgId pg, std::vector<std::int32_t>& raw) const {
  auto is_out = [this](std::int32_t id) {
    return id != crush::item_none && id >= 0 && static_cast<std::size_t>(id) < osds.size() && osds[id].weight == 0;
  };
  if (auto whole = pg_upmap.find(pg); whole != pg_upmap.end()) {
    if (std::ranges::any_of(whole->second, is_out)) return;  // then the per-OSD exchanges are not used either
    raw = whole->second;
  }
  auto items = pg_upmap_items.find(pg);
  if (items == pg_upmap_items.end()) return;
  for (auto [from, to] : items->second) {
    if (is_out(to) || std::ranges::find(raw, to) != raw.end()) continue;
    auto at = std::ranges::find(raw, from);
    if (at != raw.end()) *at = to;
  }
}

void OsdMap::apply_affinity(std::uint32_t seed, bool keeps_positions, std::vector<std::int32_t>& up,
                            std::int32_t& primary) const {
  auto affinity = [this](std::int32_t id) {
    return id == crush::item_none ? default_primary_affinity : osds[id].primary_affinity;
  };
  if (std::ranges::all_of(up, [&](std::int32_t id) { return affinity(id) == default_primary_affinity; })) return;

  // The first OSD whose dice accept it leads; if none does, the first one must.
  std::ptrdiff_t chosen = -1;
  for (std::size_t i = 0; i < up.size(); ++i) {
    if (up[i] == crush::item_none) continue;
    std::uint32_t share = affinity(up[i]);
    bool declines =
        share < default_primary_affinity && (crush::hash32(seed, static_cast<std::uint32_t>(up[i])) >> 16) >= share;
    if (declines) {
      if (chosen < 0) chosen = static_cast<std::ptrdiff_t>(i);
      continue;
    }
    chosen = static_cast<std::ptrdiff_t>(i);
    break;
  }
  if (chosen < 0) return;
  primary = up[chosen];
  if (!keeps_positions) std::rotate(up.begin(), up.begin() + chosen, up.begin() + chosen + 1);
}

Placement OsdMap::place(PgId pg) const {
  Placement result;
  const Pool* in = pool(pg.pool);
  if (!in || pg.seed >= in->pg_num) return result;
  auto first_real = [](const std::vector<std::int32_t>& ids) {
    auto it = std::ranges::find_if(ids, [](std::int32_t id) { return id != crush::item_none; });
    return it == ids.end() ? -1 : *it;
  };
  bool keeps_positions = in->type == Pool::Type::erasure;
  auto drop_down = [&](std::vector<std::int32_t>& ids) {
    if (keeps_positions)
      std::ranges::replace_if(ids, [this](std::int32_t id) { return !is_up(id); }, crush::item_none);
    else
      std::erase_if(ids, [this](std::int32_t id) { return !is_up(id); });
  };

  result.up = raw_placement(pg, *in);
  apply_upmap(pg, result.up);
  drop_down(result.up);
  result.up_primary = first_real(result.up);
  apply_affinity(in->placement_seed(pg), keeps_positions, result.up, result.up_primary);

  if (auto temp = pg_temp.find(pg); temp != pg_temp.end()) {
    result.acting = temp->second;
    drop_down(result.acting);
    result.acting_primary = first_real(result.acting);
  }
  if (auto temp = primary_temp.find(pg); temp != primary_temp.end()) result.acting_primary = temp->second;
  if (result.acting.empty()) {
    result.acting = result.up;
    if (result.acting_primary == -1) result.acting_primary = result.up_primary;
  }
  return result;
}

}  // namespace spirula::maps
