#include "mon/cluster_stats.h"

#include <algorithm>
#include <set>

namespace spirula::mon {
namespace {

using namespace msg::pg_state;

constexpr Duration rate_window = std::chrono::seconds(10);

void add(msg::PgUsage& sum, const msg::PgUsage& one) {
  sum.bytes += one.bytes;
  sum.objects += one.objects;
  sum.clones += one.clones;
  sum.omap_bytes += one.omap_bytes;
  sum.omap_keys += one.omap_keys;
  sum.missing_on_primary += one.missing_on_primary;
  sum.degraded += one.degraded;
  sum.misplaced += one.misplaced;
  sum.unfound += one.unfound;
  sum.scrub_errors += one.scrub_errors;
  sum.reads += one.reads;
  sum.read_bytes += one.read_bytes;
  sum.writes += one.writes;
  sum.written_bytes += one.written_bytes;
  sum.recovered_objects += one.recovered_objects;
  sum.recovered_bytes += one.recovered_bytes;
}

double grown(std::uint64_t before, std::uint64_t after) {
  return after > before ? static_cast<double>(after - before) : 0;
}

}  // namespace

void ClusterStats::take(const msg::OsdBeacon& beacon, MonotonicTime now) {
  auto& osd = osds_[beacon.osd];
  osd.beacon = beacon;
  osd.beacon.pgs.clear();
  osd.when = now;
  std::set<msg::PgId> named;
  for (const auto& report : beacon.pgs) {
    named.insert(report.pg);
    auto [entry, is_new] = pgs_.try_emplace(report.pg, report);
    if (is_new) continue;
    auto& known = entry->second;
    auto order = [](const msg::PgReport& r) { return std::pair(r.reported_epoch, r.reported_sequence); };
    if (order(report) < order(known)) continue;
    total_.reads += grown(known.usage.reads, report.usage.reads);
    total_.writes += grown(known.usage.writes, report.usage.writes);
    total_.read_bytes += grown(known.usage.read_bytes, report.usage.read_bytes);
    total_.written_bytes += grown(known.usage.written_bytes, report.usage.written_bytes);
    total_.recovered_bytes += grown(known.usage.recovered_bytes, report.usage.recovered_bytes);
    total_.recovered_objects += grown(known.usage.recovered_objects, report.usage.recovered_objects);
    known = report;
  }
  if (beacon.complete)
    std::erase_if(pgs_, [&](const auto& entry) {
      const auto& acting = entry.second.acting;
      return !acting.empty() && acting.front() == beacon.osd && !named.contains(entry.first);
    });
  samples_.push_back({now, total_});
  while (samples_.size() > 2 && samples_.front().when + rate_window < now) samples_.pop_front();
  ++version_;
}

void ClusterStats::forget_missing(const maps::OsdMap& map) {
  auto gone = std::erase_if(pgs_, [&](const auto& entry) {
    const auto* pool = map.pool(entry.first.pool);
    return !pool || entry.first.seed >= pool->pg_num;
  });
  gone += std::erase_if(osds_, [&](const auto& entry) {
    const auto* osd = map.osd(entry.first);
    return !osd || !osd->exists();
  });
  if (gone) ++version_;
}

const ClusterStats::OsdReport* ClusterStats::osd(std::int32_t id) const {
  auto found = osds_.find(id);
  return found == osds_.end() ? nullptr : &found->second;
}

const msg::PgReport* ClusterStats::pg(msg::PgId pg) const {
  auto found = pgs_.find(pg);
  return found == pgs_.end() ? nullptr : &found->second;
}

std::uint64_t ClusterStats::state_of(msg::PgId id, const maps::OsdMap& map) const {
  const auto* report = pg(id);
  if (!report) return 0;
  if (report->acting.empty() || !map.is_up(report->acting.front())) return report->state | stale;
  return report->state;
}

ClusterStats::Summary ClusterStats::summarize(const maps::OsdMap& map) const {
  Summary summary;
  for (const auto& [id, pool] : map.pools) {
    auto& usage = summary.pools[id];
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed) {
      msg::PgId pg_id{id, seed};
      std::uint64_t state = state_of(pg_id, map);
      for (auto* each : {&usage, &summary.all}) {
        ++each->pgs;
        ++each->states[state];
      }
      summary.pgs_unknown += state == 0;
      summary.pgs_inactive += !(state & active) || (state & stale);
      summary.pgs_remapped += (state & remapped) != 0;
      const auto* report = pg(pg_id);
      if (!report) continue;
      for (auto* each : {&usage, &summary.all}) {
        add(each->sum, report->usage);
        each->log_entries += report->log_entries;
        each->snaps_to_trim += report->snaps_to_trim;
      }
    }
  }
  for (const auto& [id, report] : osds_) {
    if (!map.is_in(id)) continue;
    const auto& space = report.beacon.space;
    summary.space.total += space.total;
    summary.space.available += space.available;
    summary.space.data_stored += space.data_stored;
    summary.space.omap_used += space.omap_used;
    summary.space.internal_used += space.internal_used;
  }
  return summary;
}

ClusterStats::Rates ClusterStats::rates(MonotonicTime now) const {
  if (samples_.size() < 2 || samples_.back().when + 2 * rate_window < now) return {};
  const auto &first = samples_.front(), &last = samples_.back();
  double seconds = std::chrono::duration<double>(last.when - first.when).count();
  if (seconds < 0.5) return {};
  auto rate = [&](double Rates::* field) { return (last.total.*field - first.total.*field) / seconds; };
  return {rate(&Rates::read_bytes), rate(&Rates::written_bytes),   rate(&Rates::reads),
          rate(&Rates::writes),     rate(&Rates::recovered_bytes), rate(&Rates::recovered_objects)};
}

bool ClusterStats::all_active(std::int64_t pool, const maps::OsdMap& map) const {
  const auto* found = map.pool(pool);
  if (!found) return false;
  for (std::uint32_t seed = 0; seed < found->pg_num; ++seed)
    if (!(state_of({pool, seed}, map) & active)) return false;
  return true;
}

bool ClusterStats::needs(std::int32_t id, const maps::OsdMap& map) const {
  const auto* report = osd(id);
  if (report ? report->beacon.pgs_held > 0 : map.is_in(id)) return true;
  for (const auto& [pool_id, pool] : map.pools)
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed)
      if (std::ranges::count(map.place({pool_id, seed}).acting, id) > 0) return true;
  return false;
}

std::uint64_t ClusterStats::available_to(const maps::Pool& pool, const maps::OsdMap& map) const {
  auto shares = map.crush->device_shares(pool.crush_rule);
  if (!shares || shares->empty()) return 0;
  double least = -1, reachable = 0;
  // A device that is out takes no share: the others carry it.
  for (const auto& [device, share] : *shares)
    if (map.is_in(device)) reachable += share;
  for (const auto& [device, share] : *shares) {
    if (share <= 0 || !map.is_in(device)) continue;
    const auto* report = osd(device);
    if (!report) continue;
    const auto& space = report->beacon.space;
    double unusable = static_cast<double>(space.total) * (1.0 - static_cast<double>(map.full_ratio));
    double available = std::max(0.0, static_cast<double>(space.available) - unusable) / (share / reachable);
    if (least < 0 || available < least) least = available;
  }
  return least < 0 ? 0 : static_cast<std::uint64_t>(least / std::max<unsigned>(1, pool.size));
}

std::vector<std::pair<std::uint64_t, std::string>> states_by_count(const ClusterStats::Usage& usage) {
  std::map<std::string, std::uint64_t> named;
  for (const auto& [state, count] : usage.states) named[describe_pg_state(state)] += count;
  std::vector<std::pair<std::uint64_t, std::string>> sorted;
  for (const auto& [name, count] : named) sorted.emplace_back(count, name);
  std::ranges::sort(sorted, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  return sorted;
}

}  // namespace spirula::mon
