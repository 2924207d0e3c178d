#include "mon/health.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "base/config.h"
#include "mon/cluster_stats.h"
#include "mon/decider.h"
#include "mon/dump.h"
#include "mon/mds_watch.h"

namespace spirula::mon {
namespace {

using namespace msg::pg_state;

constexpr std::size_t detail_lines_max = 50;

class Assessor {
 public:
  Assessor(const State& state, const Surroundings& around)
      : state_(state), around_(around), map_(state.osd().map()), summary_(around.stats.summarize(map_)) {}

  Health run() {
    monitors();
    osds();
    fullness();
    flags();
    placement();
    pools();
    file_systems();
    daemons();
    health_.mutes = state_.health().mutes();
    for (auto& [code, check] : health_.checks) check.muted = health_.mutes.contains(code);
    return std::move(health_);
  }

 private:
  void add(const char* code, HealthStatus severity, std::uint64_t count, std::string summary,
           std::vector<std::string> detail = {}) {
    if (detail.size() > detail_lines_max) {
      detail.resize(detail_lines_max);
      detail.emplace_back("...");
    }
    health_.checks[code] = {severity, std::move(summary), count, std::move(detail)};
  }
  void warn(const char* code, std::uint64_t count, std::string summary, std::vector<std::string> detail = {}) {
    add(code, HealthStatus::warning, count, std::move(summary), std::move(detail));
  }

  void monitors() {
    if (!around_.decider.disk())
      add("MON_DISK_REFUSES", HealthStatus::error, 1, "the monitor's log cannot be written: decisions are refused",
          {fmt::format("mon.{}: {}", around_.config.id(), around_.decider.disk().error().message())});
    struct statvfs space;
    if (::statvfs(around_.config.text("mon_data").c_str(), &space) != 0 || space.f_blocks == 0) return;
    auto percent = space.f_bavail * 100 / space.f_blocks;
    if (percent < static_cast<std::uint64_t>(around_.config.integer("mon_data_avail_warn")))
      warn("MON_DISK_LOW", 1, fmt::format("mon {} is low on available space", around_.config.id()),
           {fmt::format("mon.{} has {}% avail", around_.config.id(), percent)});
  }

  void osds() {
    std::vector<std::string> down;
    for (std::size_t id = 0; id < map_.osds.size(); ++id) {
      const auto& osd = map_.osds[id];
      if (!osd.exists() || osd.is_up() || !osd.is_in()) continue;
      std::string where;
      for (const auto& [type, name] : map_.crush->location_of(static_cast<std::int32_t>(id)))
        where = fmt::format("{}={}{}{}", type, name, where.empty() ? "" : ",", where);
      down.push_back(fmt::format("osd.{} ({}) is down", id, where));
    }
    if (!down.empty()) warn("OSD_DOWN", down.size(), fmt::format("{} osds down", down.size()), down);
    std::size_t existing = map_.count_existing();
    auto wanted = static_cast<std::size_t>(around_.config.integer("osd_pool_default_size"));
    if (existing < wanted)
      warn("TOO_FEW_OSDS", wanted - existing, fmt::format("OSD count {} < osd_pool_default_size {}", existing, wanted));
  }

  void fullness() {
    struct Kind {
      std::uint32_t osd_bit;
      std::uint64_t pool_bit;
      const char *osd_code, *pool_code, *osd_text, *pool_text;
      HealthStatus severity;
    };
    const Kind kinds[] = {
        {maps::osd_state::full, maps::Pool::full, "OSD_FULL", "POOL_FULL", "full osd(s)", "pool(s) full",
         HealthStatus::error},
        {maps::osd_state::back_fill_full, maps::Pool::back_fill_full, "OSD_BACKFILLFULL", "POOL_BACKFILLFULL",
         "backfillfull osd(s)", "pool(s) backfillfull", HealthStatus::warning},
        {maps::osd_state::near_full, maps::Pool::near_full, "OSD_NEARFULL", "POOL_NEARFULL", "nearfull osd(s)",
         "pool(s) nearfull", HealthStatus::warning},
    };
    for (const auto& kind : kinds) {
      std::vector<std::string> osds, pools;
      for (std::size_t id = 0; id < map_.osds.size(); ++id)
        if (map_.osds[id].exists() && (map_.osds[id].state & kind.osd_bit))
          osds.push_back(
              fmt::format("osd.{} is {}", id,
                          std::string_view(kind.osd_text).substr(0, std::string_view(kind.osd_text).find(' '))));
      for (const auto& [id, pool] : map_.pools)
        if (pool.flags & kind.pool_bit)
          pools.push_back(fmt::format("pool '{}' is {}", map_.pool_names.at(id),
                                      pool.flags & maps::Pool::full_quota ? "full (running out of quota)"
                                                                          : std::string(kind.pool_text).substr(8)));
      if (!osds.empty())
        add(kind.osd_code, kind.severity, osds.size(), fmt::format("{} {}", osds.size(), kind.osd_text), osds);
      if (!pools.empty()) warn(kind.pool_code, pools.size(), fmt::format("{} {}", pools.size(), kind.pool_text), pools);
    }
  }

  void flags() {
    constexpr std::uint32_t watched =
        maps::map_flag::full | maps::map_flag::pause_read | maps::map_flag::pause_write | maps::map_flag::no_up |
        maps::map_flag::no_down | maps::map_flag::no_in | maps::map_flag::no_out | maps::map_flag::no_back_fill |
        maps::map_flag::no_recover | maps::map_flag::no_scrub | maps::map_flag::no_deep_scrub |
        maps::map_flag::no_rebalance | maps::map_flag::no_snap_trim;
    auto names = map_flag_names(map_.flags & watched);
    if (!names.empty()) warn("OSDMAP_FLAGS", names.size(), fmt::format("{} flag(s) set", join(names, ",")));
  }

  void placement() {
    std::map<std::string, std::vector<std::string>> inactive, damaged;
    std::vector<std::string> degraded_pgs, recovery_full, backfill_full;
    for (const auto& [id, pool] : map_.pools)
      for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed) {
        msg::PgId pg{id, seed};
        std::uint64_t bits = around_.stats.state_of(pg, map_);
        std::string line = fmt::format("pg {} is {}", pg.describe(), describe_pg_state(bits));
        if (!(bits & active) || (bits & stale))
          inactive[bits == 0        ? "unknown"
                   : bits & stale   ? "stale"
                   : bits & down    ? "down"
                   : bits & peering ? "peering"
                                    : "inactive"]
              .push_back(line);
        if (bits & (inconsistent | failed_repair | snaptrim_error)) damaged["inconsistent"].push_back(line);
        if (bits & (degraded | undersized)) degraded_pgs.push_back(line);
        if (bits & recovery_toofull) recovery_full.push_back(line);
        if (bits & backfill_toofull) backfill_full.push_back(line);
      }
    std::uint64_t count = 0;
    std::string kinds;
    std::vector<std::string> lines;
    for (const auto& [kind, pgs] : inactive) {
      count += pgs.size();
      kinds += fmt::format("{}{} pg{} {}", kinds.empty() ? "" : ", ", pgs.size(), pgs.size() == 1 ? "" : "s", kind);
      lines.insert(lines.end(), pgs.begin(), pgs.end());
    }
    if (count) warn("PG_AVAILABILITY", count, "Reduced data availability: " + kinds, lines);
    if (!damaged.empty())
      add("PG_DAMAGED", HealthStatus::error, damaged["inconsistent"].size(),
          fmt::format("Possible data damage: {} pgs inconsistent", damaged["inconsistent"].size()),
          damaged["inconsistent"]);
    const auto& sum = summary_.all.sum;
    if (!degraded_pgs.empty() || sum.degraded) {
      std::string text = "Degraded data redundancy: ";
      if (sum.degraded) text += fmt::format("{} objects degraded, ", sum.degraded);
      warn("PG_DEGRADED", degraded_pgs.size(),
           text +
               fmt::format("{} pg{} degraded or undersized", degraded_pgs.size(), degraded_pgs.size() == 1 ? "" : "s"),
           degraded_pgs);
    }
    auto pgs = [](const std::vector<std::string>& those) {
      return fmt::format("{} pg{}", those.size(), those.size() == 1 ? "" : "s");
    };
    if (!recovery_full.empty())
      add("PG_RECOVERY_FULL", HealthStatus::error, recovery_full.size(),
          fmt::format("Full OSDs blocking recovery: {} recovery_toofull", pgs(recovery_full)), recovery_full);
    if (!backfill_full.empty())
      warn("PG_BACKFILL_FULL", backfill_full.size(),
           fmt::format("Low space hindering backfill (add storage if this doesn't resolve itself): {} backfill_toofull",
                       pgs(backfill_full)),
           backfill_full);
    if (sum.unfound) warn("OBJECT_UNFOUND", sum.unfound, fmt::format("{} objects unfound", sum.unfound));
    if (sum.scrub_errors)
      add("OSD_SCRUB_ERRORS", HealthStatus::error, sum.scrub_errors, fmt::format("{} scrub errors", sum.scrub_errors));
  }

  void pools() {
    std::vector<std::string> alone, unused;
    for (const auto& [id, pool] : map_.pools) {
      const auto& name = map_.pool_names.at(id);
      if (pool.size == 1) alone.push_back(fmt::format("pool '{}' has no replicas configured", name));
      auto usage = summary_.pools.find(id);
      if (pool.applications.empty() && usage != summary_.pools.end() && usage->second.sum.objects)
        unused.push_back(fmt::format("application not enabled on pool '{}'", name));
    }
    if (!alone.empty() && around_.config.flag("mon_warn_on_pool_no_redundancy"))
      warn("POOL_NO_REDUNDANCY", alone.size(), fmt::format("{} pool(s) have no replicas configured", alone.size()),
           alone);
    if (!unused.empty() && around_.config.flag("mon_warn_on_pool_no_app")) {
      unused.emplace_back(
          "use 'ceph osd pool application enable <pool-name> <app-name>', where <app-name> is 'cephfs', 'rbd', 'rgw', "
          "or freeform for custom applications.");
      warn("POOL_APP_NOT_ENABLED", unused.size() - 1,
           fmt::format("{} pool(s) do not have an application enabled", unused.size() - 1), unused);
    }
  }

  void file_systems() {
    const auto& all = state_.fs().map();
    std::vector<std::string> degraded_list, down_list, failed, few, laggy;
    for (const auto& fs : all.file_systems) {
      const auto& mds = fs.mds_map;
      if (mds.up.empty())
        down_list.push_back(fmt::format("fs {} is offline because no MDS is active for it.", mds.name));
      for (auto rank : mds.failed) failed.push_back(fmt::format("fs {} mds.{} has failed", mds.name, rank));
      bool whole = mds.failed.empty() && mds.damaged.empty();
      for (const auto& [gid, info] : mds.daemons) {
        whole &= info.state == maps::MdsState::active || info.state == maps::MdsState::creating;
        if (info.laggy_since != msg::Time{}) laggy.push_back(fmt::format("mds.{} is laggy or crashed", info.name));
      }
      if (!whole) degraded_list.push_back(fmt::format("fs {} is degraded", mds.name));
      if (static_cast<std::int32_t>(mds.in.size()) < mds.max_mds)
        few.push_back(fmt::format("fs {} has {} MDS online, but wants {}", mds.name, mds.in.size(), mds.max_mds));
    }
    auto plural = [](const auto& list, const char* one, const char* many) {
      return fmt::format("{} filesystem{}", list.size(), list.size() == 1 ? one : many);
    };
    if (!degraded_list.empty())
      warn("FS_DEGRADED", degraded_list.size(), plural(degraded_list, " is degraded", "s are degraded"), degraded_list);
    if (!failed.empty())
      warn("FS_WITH_FAILED_MDS", failed.size(),
           plural(failed, " has a failed mds daemon", "s have a failed mds daemon"), failed);
    if (!down_list.empty())
      add("MDS_ALL_DOWN", HealthStatus::error, down_list.size(), plural(down_list, " is offline", "s are offline"),
          down_list);
    if (!few.empty())
      warn("MDS_UP_LESS_THAN_MAX", few.size(),
           plural(few, " is online with fewer MDS than max_mds", "s are online with fewer MDS than max_mds"), few);
    if (!laggy.empty()) warn("MDS_LAGGY", laggy.size(), fmt::format("{} MDSs laggy or crashed", laggy.size()), laggy);
  }

  /// What daemons say of themselves.
  void daemons() {
    auto take = [&](const std::string& who, const std::vector<msg::DaemonHealth>& findings) {
      for (const auto& finding : findings) {
        auto& check = health_.checks[finding.code];
        if (check.detail.empty()) {
          check.count = 0;
          check.severity = HealthStatus::warning;
          check.summary = finding.summary;
        } else {
          check.summary = fmt::format("{} daemons report {}", check.detail.size() + 1, finding.code);
        }
        if (finding.severity >= 2) check.severity = HealthStatus::error;
        ++check.count;
        if (check.detail.size() < detail_lines_max) check.detail.push_back(fmt::format("{}: {}", who, finding.summary));
      }
    };
    for (const auto& [id, report] : around_.stats.osds())
      if (map_.is_up(id)) take(fmt::format("osd.{}", id), report.beacon.health);
    for (const auto& fs : state_.fs().map().file_systems)
      for (const auto& [gid, info] : fs.mds_map.daemons)
        if (const auto* seen = around_.mds.seen(gid)) take("mds." + info.name, seen->health);
  }

  const State& state_;
  const Surroundings& around_;
  const maps::OsdMap& map_;
  ClusterStats::Summary summary_;
  Health health_;
};

}  // namespace

const char* name_of(HealthStatus status) {
  static constexpr const char* names[] = {"HEALTH_OK", "HEALTH_WARN", "HEALTH_ERR"};
  return names[static_cast<int>(status)];
}

HealthStatus Health::status() const {
  HealthStatus worst = HealthStatus::ok;
  for (const auto& [code, check] : checks)
    if (!check.muted) worst = std::max(worst, check.severity);
  return worst;
}

Health assess(const State& state, const Surroundings& around) {
  return Assessor(state, around).run();
}

JsonObject dump(const Health& health, bool with_detail) {
  JsonObject checks;
  for (const auto& [code, check] : health.checks) {
    JsonObject one{{"severity", name_of(check.severity)},
                   {"summary", JsonObject{{"message", check.summary}, {"count", check.count}}}};
    if (with_detail) {
      JsonArray detail;
      for (const auto& line : check.detail) detail.push_back(JsonObject{{"message", line}});
      one["detail"] = detail;
    }
    one["muted"] = check.muted;
    checks[code] = one;
  }
  JsonArray mutes;
  for (const auto& [code, mute] : health.mutes) {
    JsonObject one{{"code", code}};
    if (mute.until != msg::Time{}) one["ttl"] = mute.until.describe();
    one["sticky"] = mute.sticky;
    one["summary"] = mute.summary;
    one["count"] = mute.count;
    mutes.push_back(std::move(one));
  }
  return {{"status", name_of(health.status())}, {"checks", checks}, {"mutes", mutes}};
}

std::vector<std::string> Health::muted_codes() const {
  std::vector<std::string> codes;
  for (const auto& [code, check] : checks)
    if (check.muted) codes.push_back(code);
  return codes;
}

std::map<std::string, std::string> mutes_over(const Health& health, msg::Time now) {
  std::map<std::string, std::string> over;
  for (const auto& [code, mute] : health.mutes) {
    auto check = health.checks.find(code);
    if (mute.until != msg::Time{} && mute.until < now)
      over[code] = "ttl has passed";
    else if (!mute.sticky && check == health.checks.end())
      over[code] = "health alert cleared";
    else if (!mute.sticky && check->second.count > mute.count)
      over[code] = fmt::format("count increased from {} to {}", mute.count, check->second.count);
  }
  return over;
}

std::string print(const Health& health, bool with_detail, msg::Time now) {
  std::string text = name_of(health.status()), summaries, paragraphs;
  if (auto muted = health.muted_codes(); !muted.empty()) text += fmt::format(" (muted: {})", join(muted, " "));
  // Errors first, as the stock command has them.
  for (auto severity : {HealthStatus::error, HealthStatus::warning})
    for (const auto& [code, check] : health.checks) {
      if (check.severity != severity) continue;
      if (!check.muted) summaries += (summaries.empty() ? " " : "; ") + check.summary;
      if (check.muted) {
        const auto& mute = health.mutes.at(code);
        paragraphs += mute.sticky ? "(MUTED, STICKY" : "(MUTED";
        if (mute.until != msg::Time{})
          paragraphs +=
              fmt::format(" ttl {:.0f}s", std::chrono::duration<double>(mute.until.wall() - now.wall()).count());
        paragraphs += ") ";
      }
      paragraphs += fmt::format("[{}] {}: {}\n", severity == HealthStatus::error ? "ERR" : "WRN", code, check.summary);
      for (const auto& line : check.detail) paragraphs += "    " + line + "\n";
    }
  return text + summaries + (with_detail ? "\n" + paragraphs : "");
}

}  // namespace spirula::mon
