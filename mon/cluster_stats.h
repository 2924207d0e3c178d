#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "maps/osd_map.h"
#include "msg/daemon_messages.h"
#include "msg/pg_state.h"

namespace spirula::mon {

using msg::describe_pg_state;
using msg::pg_state_by_name;

/// What OSDs reported: PGs, space, latencies. Not replicated: after a start it fills again within a beacon or two.
/// Lives on the monitor's shard.
class ClusterStats {
 public:
  struct OsdReport {
    msg::OsdBeacon beacon;  ///< without its PGs
    MonotonicTime when;
  };
  struct Usage {
    msg::PgUsage sum;
    std::uint64_t pgs = 0, log_entries = 0, snaps_to_trim = 0;
    std::map<std::uint64_t, std::uint64_t> states;  ///< PGs by state
  };
  struct Summary {
    Usage all;
    std::map<std::int64_t, Usage> pools;
    msg::OsdSpace space;  ///< of all OSDs that are in
    std::uint64_t pgs_unknown = 0, pgs_inactive = 0, pgs_remapped = 0;
  };
  /// Bytes and operations a second over the last reports.
  struct Rates {
    double read_bytes = 0, written_bytes = 0, reads = 0, writes = 0, recovered_bytes = 0, recovered_objects = 0;
  };

  void take(const msg::OsdBeacon& beacon, MonotonicTime now);
  /// Forgets PGs of pools that are gone and OSDs that do not exist.
  void forget_missing(const maps::OsdMap& map);

  const std::map<std::int32_t, OsdReport>& osds() const { return osds_; }
  const OsdReport* osd(std::int32_t id) const;
  const msg::PgReport* pg(msg::PgId pg) const;
  const std::map<msg::PgId, msg::PgReport>& pgs() const { return pgs_; }
  /// The state to show: stale when the primary that reported it is down, unknown (0) without a report.
  std::uint64_t state_of(msg::PgId pg, const maps::OsdMap& map) const;
  Summary summarize(const maps::OsdMap& map) const;
  Rates rates(MonotonicTime now) const;
  /// Whether every PG of a pool was reported active since it was created.
  bool all_active(std::int64_t pool, const maps::OsdMap& map) const;
  /// Whether an OSD holds or should hold anything, by the map and by its own word; an OSD that is in and has not
  /// reported is taken to.
  bool needs(std::int32_t osd, const maps::OsdMap& map) const;
  /// How many bytes clients can still write to a pool (Ceph: get_rule_avail, divided by the replicas).
  std::uint64_t available_to(const maps::Pool& pool, const maps::OsdMap& map) const;
  /// Counts what take() has accepted; changes when anything may have changed.
  std::uint64_t version() const { return version_; }

 private:
  struct Sample {
    MonotonicTime when;
    Rates total;  // since the monitor started
  };
  std::map<std::int32_t, OsdReport> osds_;
  std::map<msg::PgId, msg::PgReport> pgs_;
  Rates total_;
  std::deque<Sample> samples_;
  std::uint64_t version_ = 0;
};

/// How many PGs are in which state, most frequent first, as Ceph prints them.
std::vector<std::pair<std::uint64_t, std::string>> states_by_count(const ClusterStats::Usage& usage);

}  // namespace spirula::mon
