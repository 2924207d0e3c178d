#include "mon/osd_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/config.h"
#include "base/log.h"
#include "mon/cluster_log.h"

namespace spirula::mon {
namespace {

namespace state_bit = maps::osd_state;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// What both interval sets hold.
maps::Intervals intersect(const maps::Intervals& a, const maps::Intervals& b) {
  maps::Intervals result;
  for (auto [start, length] : a)
    for (auto [other, other_length] : b) {
      std::uint64_t from = std::max(start, other), to = std::min(start + length, other + other_length);
      if (from < to) result[from] = to - from;
    }
  return result;
}

}  // namespace

void OsdWatch::submit(const char* what, Decider::Proposal proposal) {
  decider_.submit(std::move(proposal), [what](Result<> result) {
    if (!result) log_warning("mon", "{}: {}", what, result.error().message());
  });
}

void OsdWatch::take(SessionRef session, const msg::OsdBoot& boot) {
  if (boot.cluster != map().fsid) {
    log_warning("mon", "osd.{} of another cluster ({}) wants to boot", boot.osd, boot.cluster.describe());
    session->send(msg::DaemonReply{to_wire(make_error_code(Errc::invalid)), {}, "wrong cluster"});
    return;
  }
  session->daemon_address = boot.client_address;
  auto epoch_before = map().epoch;
  decider_.submit([this, boot](Draft& draft) { return boot_osd(draft, boot, osd_policy(config_), wall()); },
                  [this, session, boot, epoch_before](Result<> result) {
                    if (!result) {
                      log_warning("mon", "osd.{} cannot boot: {}", boot.osd, result.error().message());
                      std::string text = result.error() == Errc::exists ? "this id belongs to another store" : "";
                      if (result.error() == Errc::exists || result.error() == Errc::invalid)
                        session->send(msg::DaemonReply{to_wire(result.error()), {}, text});
                      return;
                    }
                    if (!map().is_up(boot.osd) || map().osd(boot.osd)->client != boot.client_address) return;
                    beacons_[boot.osd] = now();
                    resets_.erase(boot.osd);
                    reports_.erase(boot.osd);
                    // It may have subscribed to epochs that do not come soon; the map that shows it up is what it waits
                    // for.
                    if (map().epoch != epoch_before)
                      log_.info(fmt::format("osd.{} {} boot", boot.osd, boot.client_address.describe()));
                  });
}

void OsdWatch::take(SessionRef session, const msg::OsdBeacon& beacon) {
  if (!map().is_up(beacon.osd)) return;
  if (session->daemon_address.empty()) session->daemon_address = map().osd(beacon.osd)->client;
  if (session->daemon_address != map().osd(beacon.osd)->client) return;  // an incarnation that is over
  // What its peers report stands: that we hear it does not mean that they do.
  beacons_[beacon.osd] = now();
  resets_.erase(beacon.osd);
  stats_.take(beacon, now());
}

void OsdWatch::take(SessionRef, const msg::OsdFailure& failure) {
  if (!map().is_up(failure.reporter) || !map().is_up(failure.target)) return;
  if (map().osd(failure.target)->client != failure.target_address &&
      map().osd(failure.target)->cluster != failure.target_address &&
      map().osd(failure.target)->heartbeat_back != failure.target_address)
    return;
  if (failure.alive) {
    auto found = reports_.find(failure.target);
    if (found != reports_.end() && found->second.erase(failure.reporter) && found->second.empty())
      reports_.erase(found);
    return;
  }
  auto& reporters = reports_[failure.target];
  auto since = now() - std::chrono::milliseconds(failure.failed_for_ms);
  auto [report, is_new] = reporters.try_emplace(failure.reporter, Report{since, now(), failure.refused});
  report->second.newest = now();
  report->second.since = std::min(report->second.since, since);
  report->second.refused |= failure.refused;
  if (report->second.refused)
    return declare_down(failure.target, fmt::format("osd.{} found nobody listening there", failure.reporter));
  std::size_t convincing = 0;
  for (const auto& [reporter, each] : reporters)
    convincing += map().is_up(reporter) && now() - each.since >= config_.duration("osd_heartbeat_grace") &&
                  now() - each.newest < std::chrono::minutes(1);
  auto enough = std::min<std::size_t>(static_cast<std::size_t>(config_.integer("mon_osd_min_down_reporters")),
                                      std::max<std::size_t>(1, map().count_up() - 1));
  // A connection that broke bears a reporter out.
  if (resets_.contains(failure.target)) enough = 1;
  if (convincing >= enough) declare_down(failure.target, fmt::format("{} reporters", convincing));
}

void OsdWatch::take(SessionRef session, const msg::OsdMarkMeDown& request, std::uint64_t tid) {
  decider_.submit(
      [this, request](Draft& draft) -> Result<> {
        const auto* osd = draft->osd().map().osd(request.osd);
        if (!osd || !osd->is_up() || osd->client != request.client_address) return {};
        return mark_down(draft, {request.osd}, wall(), true);
      },
      [this, session, request, tid](Result<> result) {
        msg::DaemonReply reply;
        if (!result) reply.result = to_wire(result.error());
        reply.epoch = map().epoch;
        session->send(reply, tid);
        if (result) log_.info(fmt::format("osd.{} marked itself down and dead", request.osd));
      });
}

void OsdWatch::take(const msg::OsdAlive& request) {
  submit("up_thru", [this, request](Draft& draft) { return record_alive(draft, request.osd, request.wanted, wall()); });
}

void OsdWatch::take(const msg::OsdPgTemp& request) {
  submit("pg_temp", [this, request](Draft& draft) { return set_pg_temp(draft, request, wall()); });
}

void OsdWatch::on_reset(const Session& session) {
  std::int32_t osd = -1;
  auto text = session.name().id;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), osd);
  if (error != std::errc{} || !map().is_up(osd) || map().osd(osd)->client != session.daemon_address) return;
  resets_[osd] = now();
}

void OsdWatch::declare_down(std::int32_t osd, std::string why) {
  if (map().has(maps::map_flag::no_down) || !declaring_.insert(osd).second) return;
  const auto* known = map().osd(osd);
  if (!known || (known->state & state_bit::no_down)) {
    declaring_.erase(osd);
    return;
  }
  auto address = known->client;
  decider_.submit(
      [this, osd, address](Draft& draft) -> Result<> {
        const auto* found = draft->osd().map().osd(osd);
        if (!found || found->client != address) return {};
        return mark_down(draft, {osd}, wall());
      },
      [this, osd, why](Result<> result) {
        declaring_.erase(osd);
        if (result && !map().is_up(osd)) log_.info(fmt::format("osd.{} failed ({})", osd, why));
      });
}

void OsdWatch::mark_silent_down() {
  for (std::size_t i = 0; i < map().osds.size(); ++i) {
    auto id = static_cast<std::int32_t>(i);
    if (!map().is_up(id)) {
      beacons_.erase(id);
      resets_.erase(id);
      continue;
    }
    // After a start of ours everybody has the whole time again.
    auto seen = beacons_.try_emplace(id, now()).first->second;
    if (now() - seen > config_.duration("mon_osd_report_timeout")) {
      declare_down(id, fmt::format("no beacon for {:.0f} s", seconds(now() - seen)));
    } else if (auto reset = resets_.find(id);
               reset != resets_.end() && now() - reset->second > config_.duration("mon_osd_reset_grace")) {
      declare_down(id, "its connection broke and did not come back");
    }
  }
}

void OsdWatch::put_out_long_down() {
  auto after = config_.duration("mon_osd_down_out_interval");
  if (after == Duration::zero() || map().has(maps::map_flag::no_out) || now() - started_ < after) return;
  std::size_t in = map().count_in(), existing = map().count_existing();
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < map().osds.size(); ++i) {
    const auto& osd = map().osds[i];
    if (!osd.exists() || osd.is_up() || osd.weight == 0 || (osd.state & state_bit::no_out)) continue;
    if (wall().wall() - osd.extra.down_stamp.wall() < after) continue;
    if (static_cast<double>(in - out.size()) <= config_.real("mon_osd_min_in_ratio") * static_cast<double>(existing))
      break;
    out.push_back(static_cast<std::int32_t>(i));
  }
  if (out.empty()) return;
  submit("putting OSDs out", [this, out](Draft& draft) { return set_osd_weight(draft, out, 0, wall(), true); });
  for (auto id : out) log_.info(fmt::format("Marking osd.{} out (has been down for long)", id));
}

void OsdWatch::expire_blocklist() {
  std::vector<msg::Address> over;
  for (const auto* list : {&map().blocklist, &map().blocklist_ranges})
    for (const auto& [address, until] : *list)
      if (until < wall()) over.push_back(address);
  if (!over.empty())
    submit("blocklist", [this, over](Draft& draft) -> Result<> {
      auto removed = remove_from_blocklist(draft, over, wall());
      return removed || removed.error() == Errc::not_found ? Result<>() : removed;
    });
}

/// OSDs by their ratios, and from them the pools that live there (Ceph: OSDMonitor::update_pools_status and
/// OSDMap::propagate…); clients stop writing to a pool that is full.
void OsdWatch::update_fullness() {
  constexpr std::uint32_t all_bits = state_bit::full | state_bit::near_full | state_bit::back_fill_full;
  std::map<std::int32_t, std::pair<std::uint32_t, std::uint32_t>> osd_bits;
  std::map<std::int32_t, std::uint32_t> level;
  for (const auto& [id, report] : stats_.osds()) {
    const auto& space = report.beacon.space;
    const auto* osd = map().osd(id);
    if (!osd || !osd->exists() || space.total == 0) continue;
    double used = 1.0 - static_cast<double>(space.available) / static_cast<double>(space.total);
    std::uint32_t bits = used >= static_cast<double>(map().full_ratio)             ? state_bit::full
                         : used >= static_cast<double>(map().back_fill_full_ratio) ? state_bit::back_fill_full
                         : used >= static_cast<double>(map().near_full_ratio)      ? state_bit::near_full
                                                                                   : 0u;
    level[id] = bits;
    if ((osd->state & all_bits) != bits) osd_bits[id] = {bits, all_bits & ~bits};
  }
  std::map<std::int64_t, std::uint64_t> pool_flags;
  constexpr std::uint64_t watched =
      maps::Pool::full | maps::Pool::near_full | maps::Pool::back_fill_full | maps::Pool::full_quota;
  auto summary = stats_.summarize(map());
  for (const auto& [id, pool] : map().pools) {
    std::uint64_t flags = 0;
    std::uint32_t worst = 0;
    bool unknown = false;
    if (auto shares = map().crush->device_shares(pool.crush_rule))
      for (const auto& [device, share] : *shares) {
        if (level.contains(device))
          worst |= level[device];
        else
          unknown |= map().is_in(device);
      }
    if (worst & state_bit::full)
      flags |= maps::Pool::full;
    else if (worst & state_bit::back_fill_full)
      flags |= maps::Pool::back_fill_full;
    else if (worst & state_bit::near_full)
      flags |= maps::Pool::near_full;
    const auto& usage = summary.pools[id].sum;
    if ((pool.quota_bytes && usage.bytes >= pool.quota_bytes) ||
        (pool.quota_objects && usage.objects >= pool.quota_objects))
      flags |= maps::Pool::full_quota | maps::Pool::full;
    // Until everybody has reported (after a start of ours) nothing is taken back.
    if (unknown || summary.pools[id].states.contains(0)) flags |= pool.flags & watched;
    if ((pool.flags & watched) != flags) pool_flags[id] = flags;
  }
  if (osd_bits.empty() && pool_flags.empty()) return;
  submit("fullness", [this, osd_bits, pool_flags](Draft& draft) -> Result<> {
    TRY(set_osd_state_bits(draft, osd_bits, wall()));
    for (const auto& [id, flags] : pool_flags) {
      const auto* found = draft->osd().map().pool(id);
      if (!found) continue;
      maps::Pool pool = *found;
      pool.flags = (pool.flags & ~watched) | flags;
      TRY(change_pool(draft, id, std::move(pool), wall()));
    }
    return {};
  });
}

void OsdWatch::finish_pools() {
  std::vector<std::int64_t> created;
  for (const auto& [id, pool] : map().pools)
    if (pool.has(maps::Pool::creating) && stats_.all_active(id, map())) created.push_back(id);
  if (!created.empty())
    submit("pools created", [this, created](Draft& draft) { return pools_created(draft, created, wall()); });

  maps::SnapIntervals purged;
  for (const auto& [id, queue] : map().removed_snaps_queue) {
    const auto* pool = map().pool(id);
    if (!pool) continue;
    maps::Intervals common = queue;
    for (std::uint32_t seed = 0; seed < pool->pg_num && !common.empty(); ++seed) {
      const auto* report = stats_.pg({id, seed});
      maps::Intervals done;
      if (report)
        for (const auto& [first, count] : report->purged_snaps) done[first.value] = count;
      common = intersect(common, done);
    }
    if (!common.empty()) purged[id] = std::move(common);
  }
  if (!purged.empty())
    submit("purged snaps", [this, purged](Draft& draft) { return snaps_purged(draft, purged, wall()); });
}

/// Ceph: OSDMonitor::get_trim_to. Kept are the newest epochs by number and by age, and whatever an OSD still needs.
void OsdWatch::trim_maps() {
  const auto& osd = decider_.state().osd();
  auto keep = static_cast<std::uint32_t>(config_.integer("mon_min_osdmap_epochs"));
  if (osd.epoch().value <= osd.first().value + keep + keep / 10) return;
  msg::Epoch to(osd.epoch().value - keep);
  for (const auto& [id, report] : stats_.osds()) {
    if (!map().is_up(id)) continue;
    if (report.beacon.oldest_needed.value) to = std::min(to, report.beacon.oldest_needed);
    to = std::min(to, report.beacon.map);
  }
  // An OSD that is up but has not reported may need anything.
  for (std::size_t i = 0; i < map().osds.size(); ++i)
    if (map().osds[i].is_up() && !stats_.osd(static_cast<std::int32_t>(i))) return;
  auto age = config_.duration("mon_osdmap_keep");
  for (const auto& [epoch, past] : osd.incrementals()) {
    if (epoch >= to) break;
    if (wall().wall() - past.when.wall() < age) {
      to = std::max(osd.first(), epoch.previous());
      break;
    }
  }
  if (to <= osd.first()) return;
  submit("trimming osdmaps", [to](Draft& draft) {
    OsdService::Change change;
    change.trim_to = to;
    return draft.change<OsdService>(change);
  });
}

void OsdWatch::tick() {
  mark_silent_down();
  put_out_long_down();
  expire_blocklist();
  trim_maps();
  if (stats_seen_ == stats_.version()) return;
  stats_seen_ = stats_.version();
  update_fullness();
  finish_pools();
}

void OsdWatch::on_decided(const State& before) {
  if (before.osd().epoch() == map().epoch) return;
  stats_.forget_missing(map());
  std::erase_if(reports_, [&](const auto& entry) { return !map().is_up(entry.first); });
  stats_seen_ = 0;  // the same reports may mean something else now
}

}  // namespace spirula::mon
