#include <fmt/format.h>

#include <algorithm>

#include "mon/osd_edit.h"

namespace spirula::mon {
namespace {

constexpr std::uint32_t pg_num_max = 65'536;  // Ceph: mon_max_pool_pg_num

std::uint64_t pgs_in_use(const maps::OsdMap& map) {
  std::uint64_t sum = 0;
  for (const auto& [id, pool] : map.pools) sum += std::uint64_t{pool.pg_num} * pool.size;
  return sum;
}

std::optional<std::int32_t> first_replicated_rule(const crush::CrushMap& crush) {
  for (std::size_t id = 0; id < crush.rules.size(); ++id)
    if (crush.rules[id] && crush.rules[id]->type == crush::RuleType::replicated) return static_cast<std::int32_t>(id);
  return std::nullopt;
}

}  // namespace

Result<std::int64_t> create_pool(Draft& draft, const PoolSpec& spec, const OsdPolicy& policy, msg::Time now,
                                 std::string& problem) {
  auto refuse = [&](Errc code, std::string text) {
    problem = std::move(text);
    return Result<std::int64_t>(code);
  };
  const auto& map = draft->osd().map();
  if (spec.name.empty()) return refuse(Errc::invalid, "pool name must not be empty");
  if (auto id = map.pool_by_name(spec.name)) return *id;
  maps::Pool pool;
  pool.pg_num = spec.pg_num.value_or(0) ? *spec.pg_num : policy.pool_pg_num;
  if (pool.pg_num == 0 || pool.pg_num > pg_num_max)
    return refuse(Errc::range, fmt::format("'pg_num' must be greater than 0 and less than or equal to {}", pg_num_max));
  pool.pgp_num = spec.pgp_num.value_or(0) ? *spec.pgp_num : pool.pg_num;
  if (pool.pgp_num > pool.pg_num)
    return refuse(Errc::range, fmt::format("'pgp_num' must be greater than 0 and lower or equal than 'pg_num', which "
                                           "in this case is {}",
                                           pool.pg_num));
  pool.pg_num_target = pool.pg_num_pending = pool.pg_num;
  pool.pgp_num_target = pool.pgp_num;
  std::uint32_t size = spec.size.value_or(0) ? *spec.size : policy.pool_size;
  std::uint32_t min_size = spec.min_size.value_or(policy.pool_min_size);
  if (min_size == 0) min_size = size - size / 2;
  if (size == 0 || size > 10) return refuse(Errc::invalid, "pool size must be between 1 and 10");
  if (min_size > size) return refuse(Errc::invalid, "pool min_size must be between 1 and size");
  pool.size = static_cast<std::uint8_t>(size);
  pool.min_size = static_cast<std::uint8_t>(min_size);
  auto rule = spec.rule.empty() ? first_replicated_rule(*map.crush) : map.crush->rule_by_name(spec.rule);
  if (!rule) return refuse(Errc::not_found, fmt::format("specified rule {} doesn't exist", spec.rule));
  if (map.crush->rule(*rule)->type != crush::RuleType::replicated)
    return refuse(Errc::invalid, fmt::format("rule {} is not for replicated pools", spec.rule));
  pool.crush_rule = static_cast<std::uint8_t>(*rule);
  if (std::size_t in = map.count_in(); in > 0) {
    std::uint64_t wanted = pgs_in_use(map) + std::uint64_t{pool.pg_num} * size;
    std::uint64_t most = std::uint64_t{policy.pgs_per_osd_max} * in;
    if (wanted > most)
      return refuse(Errc::range, fmt::format("pg_num {} size {} would mean {} total pgs, which exceeds max {} "
                                             "(mon_max_pg_per_osd {} * num_in_osds {})",
                                             pool.pg_num, size, wanted, most, policy.pgs_per_osd_max, in));
  }
  pool.flags |= maps::Pool::creating | (spec.bulk ? maps::Pool::bulk : 0);
  pool.create_time = now;
  if (!spec.application.empty()) pool.applications[spec.application] = {};
  auto change = next_incremental(map, now);
  pool.last_change = change.epoch;
  std::int64_t id = map.pool_max + 1;
  change.new_pool_max = id;
  change.new_pools[id] = std::move(pool);
  change.new_pool_names[id] = spec.name;
  TRY(draft_osd_change(draft, std::move(change)));
  return id;
}

Result<> delete_pool(Draft& draft, std::int64_t pool, msg::Time now) {
  const auto& map = draft->osd().map();
  if (!map.pool(pool)) return Errc::not_found;
  auto change = next_incremental(map, now);
  change.old_pools.insert(pool);
  for (const auto& [pg, acting] : map.pg_temp)
    if (pg.pool == pool) change.new_pg_temp[pg] = {};
  for (const auto& [pg, primary] : map.primary_temp)
    if (pg.pool == pool) change.new_primary_temp[pg] = -1;
  for (const auto& [pg, mapping] : map.pg_upmap)
    if (pg.pool == pool) change.old_pg_upmap.insert(pg);
  for (const auto& [pg, mapping] : map.pg_upmap_items)
    if (pg.pool == pool) change.old_pg_upmap_items.insert(pg);
  return draft_osd_change(draft, std::move(change));
}

Result<> rename_pool(Draft& draft, std::int64_t pool, std::string name, msg::Time now) {
  const auto& map = draft->osd().map();
  if (!map.pool(pool)) return Errc::not_found;
  auto change = next_incremental(map, now);
  change.new_pool_names[pool] = std::move(name);
  return draft_osd_change(draft, std::move(change));
}

Result<> change_pool(Draft& draft, std::int64_t id, maps::Pool pool, msg::Time now) {
  const auto& map = draft->osd().map();
  const auto* before = map.pool(id);
  if (!before) return Errc::not_found;
  if (*before == pool) return {};
  auto change = next_incremental(map, now);
  pool.last_change = change.epoch;
  change.new_pools[id] = std::move(pool);
  return draft_osd_change(draft, std::move(change));
}

Result<> pools_created(Draft& draft, const std::vector<std::int64_t>& pools, msg::Time now) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (auto id : pools) {
    const auto* pool = map.pool(id);
    if (!pool || !pool->has(maps::Pool::creating)) continue;
    change.new_pools[id] = *pool;
    change.new_pools[id].flags &= ~std::uint64_t{maps::Pool::creating};
  }
  if (change.new_pools.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

Result<> create_pool_snapshot(Draft& draft, std::int64_t id, const std::string& name, msg::Time now) {
  const auto& map = draft->osd().map();
  const auto* found = map.pool(id);
  if (!found) return Errc::not_found;
  if (found->has(maps::Pool::self_managed_snaps)) return Errc::invalid;
  for (const auto& [snap, info] : found->snaps)
    if (info.name == name) return Errc::exists;
  maps::Pool pool = *found;
  auto change = next_incremental(map, now);
  pool.flags |= maps::Pool::pool_snaps;
  ++pool.snap_sequence;
  pool.snap_epoch = change.epoch;
  pool.snaps[pool.snap_sequence] = {pool.snap_sequence, now, name};
  change.new_pools[id] = std::move(pool);
  return draft_osd_change(draft, std::move(change));
}

Result<> remove_pool_snapshot(Draft& draft, std::int64_t id, const std::string& name, msg::Time now) {
  const auto& map = draft->osd().map();
  const auto* found = map.pool(id);
  if (!found) return Errc::not_found;
  if (found->has(maps::Pool::self_managed_snaps)) return Errc::invalid;
  auto snap = std::ranges::find_if(found->snaps, [&](const auto& each) { return each.second.name == name; });
  if (snap == found->snaps.end()) return Errc::not_found;
  maps::Pool pool = *found;
  auto change = next_incremental(map, now);
  change.new_removed_snaps[id][snap->first.value] = 1;
  pool.snaps.erase(snap->first);
  ++pool.snap_sequence;
  pool.snap_epoch = change.epoch;
  change.new_pools[id] = std::move(pool);
  return draft_osd_change(draft, std::move(change));
}

Result<msg::SnapId> create_self_managed_snapshot(Draft& draft, std::int64_t id, msg::Time now) {
  const auto& map = draft->osd().map();
  const auto* found = map.pool(id);
  if (!found) return Errc::not_found;
  if (found->has(maps::Pool::pool_snaps)) return Errc::invalid;
  maps::Pool pool = *found;
  auto change = next_incremental(map, now);
  pool.flags |= maps::Pool::self_managed_snaps;
  if (pool.snap_sequence.value == 0) ++pool.snap_sequence;  // 1 is never given out (Ceph: add_unmanaged_snap)
  ++pool.snap_sequence;
  pool.snap_epoch = change.epoch;
  msg::SnapId snap = pool.snap_sequence;
  change.new_pools[id] = std::move(pool);
  TRY(draft_osd_change(draft, std::move(change)));
  return snap;
}

Result<> remove_self_managed_snapshots(Draft& draft, const std::map<std::int64_t, std::vector<msg::SnapId>>& snaps,
                                       msg::Time now) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (const auto& [id, ids] : snaps) {
    const auto* found = map.pool(id);
    if (!found) continue;  // the pool went before its snapshots
    if (found->has(maps::Pool::pool_snaps)) return Errc::invalid;
    maps::Pool pool = *found;
    auto queued = map.removed_snaps_queue.find(id);
    auto& removed = change.new_removed_snaps[id];
    for (auto snap : ids) {
      if (snap.value == 0 || snap >= msg::snap_head) return Errc::invalid;
      bool waiting = false;
      if (queued != map.removed_snaps_queue.end())
        for (const auto& [start, length] : queued->second)
          waiting |= snap.value >= start && snap.value - start < length;
      if (waiting) continue;
      removed[snap.value] = 1;
      pool.snap_sequence = std::max(pool.snap_sequence, snap);
    }
    // Runs that touch become one, as an interval set has it.
    for (auto run = removed.begin(); run != removed.end();) {
      auto next = std::next(run);
      if (next != removed.end() && run->first + run->second == next->first) {
        run->second += next->second;
        removed.erase(next);
      } else {
        run = next;
      }
    }
    if (removed.empty()) {
      change.new_removed_snaps.erase(id);
      continue;
    }
    pool.flags |= maps::Pool::self_managed_snaps;
    ++pool.snap_sequence;
    pool.snap_epoch = change.epoch;
    change.new_pools[id] = std::move(pool);
  }
  if (change.new_pools.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

Result<> snaps_purged(Draft& draft, const maps::SnapIntervals& purged, msg::Time now) {
  const auto& map = draft->osd().map();
  auto change = next_incremental(map, now);
  for (const auto& [pool, intervals] : purged)
    if (map.removed_snaps_queue.contains(pool) && !intervals.empty()) change.new_purged_snaps[pool] = intervals;
  if (change.new_purged_snaps.empty()) return {};
  return draft_osd_change(draft, std::move(change));
}

}  // namespace spirula::mon
