#pragma once
#include <map>
#include <set>

#include "base/shard.h"
#include "mon/cluster_stats.h"
#include "mon/decider.h"
#include "mon/osd_edit.h"
#include "mon/session.h"
#include "msg/daemon_messages.h"

namespace spirula {
class Config;
}

namespace spirula::mon {

class ClusterLog;

/// The life of OSDs as the monitor sees it: they boot, send beacons, fall silent, are reported by their peers, are put
/// out after a while. What it concludes goes through the decider. Lives on the monitor's shard.
class OsdWatch {
 public:
  OsdWatch(Shard& shard, Decider& decider, const Config& config, ClusterLog& log, ClusterStats& stats)
      : shard_(shard), decider_(decider), config_(config), log_(log), stats_(stats), started_(shard.clock().now()) {}

  // Messages. The caller has checked that the session is that OSD's.
  void take(SessionRef session, const msg::OsdBoot& boot);
  void take(SessionRef session, const msg::OsdBeacon& beacon);
  void take(SessionRef session, const msg::OsdFailure& failure);
  void take(SessionRef session, const msg::OsdMarkMeDown& request, std::uint64_t tid);
  void take(const msg::OsdAlive& request);
  void take(const msg::OsdPgTemp& request);
  /// An OSD's connection is gone.
  void on_reset(const Session& session);
  /// Once a second.
  void tick();
  /// After a decision: forgets what no longer matters.
  void on_decided(const State& before);

 private:
  struct Report {
    MonotonicTime since;  // when the reporter lost contact
    MonotonicTime newest;
    bool refused = false;
  };
  msg::Time wall() const { return msg::Time::from(shard_.clock().wall()); }
  MonotonicTime now() const { return shard_.clock().now(); }
  const maps::OsdMap& map() const { return decider_.state().osd().map(); }
  void submit(const char* what, Decider::Proposal proposal);
  void declare_down(std::int32_t osd, std::string why);
  void mark_silent_down();
  void put_out_long_down();
  void expire_blocklist();
  void update_fullness();
  void finish_pools();
  void trim_maps();

  Shard& shard_;
  Decider& decider_;
  const Config& config_;
  ClusterLog& log_;
  ClusterStats& stats_;
  MonotonicTime started_;
  std::map<std::int32_t, MonotonicTime> beacons_;                   // last sign of life of OSDs that are up
  std::map<std::int32_t, MonotonicTime> resets_;                    // connections that broke and have not come back
  std::map<std::int32_t, std::map<std::int32_t, Report>> reports_;  // target -> reporter
  std::set<std::int32_t> declaring_;                                // a proposal to mark it down is on its way
  std::uint64_t stats_seen_ = 0;
};

}  // namespace spirula::mon
