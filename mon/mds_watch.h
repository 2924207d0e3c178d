#pragma once
#include <map>
#include <set>

#include "base/shard.h"
#include "mon/decider.h"
#include "mon/session.h"
#include "msg/daemon_messages.h"

namespace spirula {
class Config;
}

namespace spirula::mon {

class ClusterLog;

/// The life of MDSs as the monitor sees it: beacons, standbys, ranks, silence. Lives on the monitor's shard.
class MdsWatch {
 public:
  struct Seen {
    MonotonicTime when;
    std::uint64_t sequence = 0;
    msg::MdsLoad load;
    double requests_per_second = 0;
    std::vector<msg::DaemonHealth> health;
  };
  MdsWatch(Shard& shard, Decider& decider, const Config& config, ClusterLog& log)
      : shard_(shard), decider_(decider), config_(config), log_(log) {}

  /// The caller has checked that the session is that MDS's.
  void take(SessionRef session, const msg::MdsBeacon& beacon);
  /// Once a second.
  void tick();
  /// After a decision: forgets MDSs that are gone, and tells people what changed.
  void on_decided(const State& before);
  const Seen* seen(maps::MdsGid gid) const;

 private:
  msg::Time wall() const { return msg::Time::from(shard_.clock().wall()); }
  MonotonicTime now() const { return shard_.clock().now(); }
  double blocklist_seconds() const;
  void replace_silent();

  Shard& shard_;
  Decider& decider_;
  const Config& config_;
  ClusterLog& log_;
  std::map<maps::MdsGid, Seen> seen_;
  bool replacing_ = false;
};

}  // namespace spirula::mon
