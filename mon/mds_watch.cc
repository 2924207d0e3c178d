#include "mon/mds_watch.h"

#include <fmt/format.h>

#include "base/config.h"
#include "base/log.h"
#include "mon/cluster_log.h"
#include "mon/fs_edit.h"

namespace spirula::mon {

double MdsWatch::blocklist_seconds() const {
  return std::chrono::duration<double>(config_.duration("mds_blocklist_interval")).count();
}

const MdsWatch::Seen* MdsWatch::seen(maps::MdsGid gid) const {
  auto found = seen_.find(gid);
  return found == seen_.end() ? nullptr : &found->second;
}

void MdsWatch::take(SessionRef session, const msg::MdsBeacon& beacon) {
  maps::MdsGid gid(beacon.gid);
  session->daemon_address = beacon.address;
  auto known = seen_.find(gid);
  if (known != seen_.end() && beacon.sequence < known->second.sequence) return;  // overtaken by a newer one
  if (known != seen_.end() || beacon.wanted == msg::MdsState::boot) {
    auto& seen = seen_[gid];
    double elapsed = std::chrono::duration<double>(now() - seen.when).count();
    if (seen.sequence && elapsed > 0.5)
      seen.requests_per_second =
          static_cast<double>(beacon.load.requests - std::min(beacon.load.requests, seen.load.requests)) / elapsed;
    seen.when = now();
    seen.sequence = beacon.sequence;
    seen.load = beacon.load;
    seen.health = beacon.health;
  }
  decider_.submit(
      [this, beacon](Draft& draft) -> Result<> {
        TRY(take_mds_beacon(draft, beacon, blocklist_seconds(), wall()));
        return promote_standbys(draft, wall());
      },
      [this, session, beacon, gid](Result<> result) {
        // No acknowledgement of what could not be decided: the MDS must not go on as if it had been.
        if (!result) return;
        auto found = decider_.state().fs().find(gid);
        msg::MdsBeaconAck ack;
        ack.gid = beacon.gid;
        ack.sequence = beacon.sequence;
        ack.state = found ? static_cast<msg::MdsState>(found.info->state) : msg::MdsState::dne;
        ack.map = decider_.state().fs().map().epoch;
        session->send(ack);
      });
}

void MdsWatch::tick() {
  replace_silent();
}

void MdsWatch::replace_silent() {
  if (replacing_) return;
  auto grace = config_.duration("mds_beacon_grace");
  const auto& fs = decider_.state().fs();
  auto silent = [&](const maps::MdsInfo& info) {
    // After a start of ours everybody has the whole time again.
    auto& seen = seen_[info.gid];
    if (seen.when == MonotonicTime{}) seen.when = now();
    return now() - seen.when > grace;
  };
  bool spare = false;
  std::vector<maps::MdsGid> fail, laggy;
  for (const auto& [gid, info] : fs.map().standbys) {
    if (silent(info))
      fail.push_back(gid);
    else
      spare = true;
  }
  for (const auto& each : fs.map().file_systems)
    for (const auto& [gid, info] : each.mds_map.daemons) {
      if (!silent(info)) continue;
      // Without anybody to take over, failing it would only take away a server that may come back.
      if (spare)
        fail.push_back(gid);
      else if (info.laggy_since == msg::Time{})
        laggy.push_back(gid);
    }
  if (fail.empty() && laggy.empty()) return;
  for (auto gid : fail)
    if (auto found = fs.find(gid))
      log_.warn(fmt::format("MDS daemon {} is laggy and is replaced: no beacon for {:.0f} s", found.info->name,
                            std::chrono::duration<double>(now() - seen_[gid].when).count()));
  replacing_ = true;
  decider_.submit(
      [this, fail, laggy](Draft& draft) -> Result<> {
        for (auto gid : fail) {
          auto failed = fail_mds(draft, gid, blocklist_seconds(), wall());
          if (!failed && failed.error() != Errc::not_found) return failed;
        }
        for (auto gid : laggy) {
          auto marked = set_laggy(draft, gid, wall(), wall());
          if (!marked && marked.error() != Errc::not_found) return marked;
        }
        return promote_standbys(draft, wall());
      },
      [this](Result<> result) {
        replacing_ = false;
        if (!result) log_warning("mon", "replacing an MDS: {}", result.error().message());
      });
}

void MdsWatch::on_decided(const State& before) {
  const auto& now_state = decider_.state().fs();
  if (before.fs().map().epoch == now_state.map().epoch) return;
  std::erase_if(seen_,
                [&](const auto& entry) { return !now_state.find(entry.first) && before.fs().find(entry.first); });
  for (const auto& fs : now_state.map().file_systems)
    for (const auto& [gid, info] : fs.mds_map.daemons) {
      auto past = before.fs().find(gid);
      if (past && past.info->state == info.state) continue;
      if (info.state == maps::MdsState::active)
        log_.info(fmt::format("daemon mds.{} is now active in filesystem {} as rank {}", info.name, fs.mds_map.name,
                              info.rank));
      else if (!past || !past.file_system)
        log_.info(
            fmt::format("daemon mds.{} assigned to filesystem {} as rank {}", info.name, fs.mds_map.name, info.rank));
    }
}

}  // namespace spirula::mon
