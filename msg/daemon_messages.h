#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "msg/mds_state.h"
#include "msg/types.h"

/// What our own daemons and our own monitor say to each other beside the stock client protocol (MonGetMap,
/// MonSubscribe, MonGetVersion, Auth, Log, MonCommand in msg/mon_messages.h, which daemons use like any client). This
/// is our design, spoken by nobody else, so types count from 0x7001. Connections to the monitor are lossy: a daemon
/// that lost its connection opens a new one and repeats what is still true (boot, beacon); every message here may be
/// repeated.
///
/// Life of an OSD
///   1. Connect as osd.N, subscribe to "config" and "osdmap" (`0+`), wait for the newest map.
///   2. Send OsdBoot until a map shows osd.N up with our own addresses; then serve. The id exists already (`ceph osd
///      new` made it), or OsdBoot makes it when the map does not know it. The monitor places a new OSD in CRUSH.
///   3. Send OsdBeacon every `osd_beacon_report_interval` (5 s), and sooner (at most once a second) when a PG's state
///      changed. No beacon for `mon_osd_report_timeout` (20 s), or a connection to the monitor that broke and did not
///      come back in `mon_osd_reset_grace` (4 s): the monitor marks the OSD down.
///   4. A map that shows osd.N down, or up with other addresses, while we run: boot again (after binding anew).
///   5. Stop with OsdMarkMeDown; wait at most a second for its DaemonReply.
/// A pool is created with the flag pg_pool_t::FLAG_CREATING: while it is set, the primary may create a missing PG
/// empty. The monitor clears it once every PG of the pool has been reported with state `pg_state::active`.
///
/// Life of an MDS
///   1. Connect as mds.NAME; the global id of that login is the gid. Subscribe to "config", "osdmap" and "fsmap" (all
///      file systems and standbys, MFSMap) or "mdsmap" (only ours). A new process is always a new gid.
///   2. Send MdsBeacon every `mds_beacon_interval` (2 s; sooner on a state change) with wanted = boot. The monitor adds
///      the gid as standby, and as soon as a file system lacks its rank 0 the map shows us there in state creating (a
///      new file system) or replay (one that had an MDS before; that one is blocklisted in the osdmap of epoch
///      MDSMap::last_failure_osd_epoch, which we must wait for before touching the journal).
///   3. Whenever we are through a state, beacon wanted = the next one (creating -> active; replay -> reconnect ->
///   rejoin
///      -> [clientreplay ->] active), and act on it once the map shows it. While nothing changes, wanted = the state
///      the map shows. The monitor grants exactly these steps and ignores others.
///   4. MdsBeaconAck repeats our sequence. No ack for `mds_beacon_grace` (15 s): we must act as if replaced (stop
///      answering clients) until an ack comes. A map without our gid: we are replaced or failed; exit and start over.
///   5. Stop with wanted = dne: the rank is free at once.
namespace spirula::msg {

/// PG_STATE_* of Ceph (src/osd/osd_types.h), so that "pg stat" and "health" can speak Ceph's language.
namespace pg_state {
inline constexpr std::uint64_t creating = 1ull << 0, active = 1ull << 1, clean = 1ull << 2, down = 1ull << 4,
                               recovery_unfound = 1ull << 5, backfill_unfound = 1ull << 6, scrubbing = 1ull << 8,
                               degraded = 1ull << 10, inconsistent = 1ull << 11, peering = 1ull << 12,
                               repair = 1ull << 13, recovering = 1ull << 14, backfill_wait = 1ull << 15,
                               incomplete = 1ull << 16, stale = 1ull << 17, remapped = 1ull << 18,
                               deep_scrub = 1ull << 19, backfilling = 1ull << 20, backfill_toofull = 1ull << 21,
                               recovery_wait = 1ull << 22, undersized = 1ull << 23, activating = 1ull << 24,
                               peered = 1ull << 25, snaptrim = 1ull << 26, snaptrim_wait = 1ull << 27,
                               recovery_toofull = 1ull << 28, snaptrim_error = 1ull << 29, failed_repair = 1ull << 32;
}  // namespace pg_state

namespace limits {
inline constexpr std::size_t daemon_metadata_max = 256;    ///< entries of a metadata map
inline constexpr std::size_t daemon_health_max = 64;       ///< health findings a beacon
inline constexpr std::size_t beacon_pgs_max = 32768;       ///< PG reports a beacon; more go into the next one
inline constexpr std::size_t purged_intervals_max = 4096;  ///< per PG report
inline constexpr std::size_t failure_reports_max = 1024;
}  // namespace limits

/// Facts about a daemon's process and host, by Ceph's own keys ("hostname", "ceph_version", "kernel_version", ...).
using Metadata = std::map<std::string, std::string>;

/// The space of one OSD in bytes. `total - available` is what it uses.
struct OsdSpace {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t total = 0, available = 0;
  std::uint64_t data_stored = 0;  ///< what clients wrote, before clones and allocation
  std::uint64_t omap_used = 0, internal_used = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.total);
    wire(self.available);
    wire(self.data_stored);
    wire(self.omap_used);
    wire(self.internal_used);
  }
  friend bool operator==(const OsdSpace&, const OsdSpace&) = default;
};

/// What a PG holds (Ceph: object_stat_sum_t, the part that people look at). Logical bytes, one replica's worth.
struct PgUsage {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t bytes = 0, objects = 0, clones = 0, omap_bytes = 0, omap_keys = 0;
  std::uint64_t missing_on_primary = 0, degraded = 0, misplaced = 0, unfound = 0, scrub_errors = 0;
  std::uint64_t reads = 0, read_bytes = 0, writes = 0, written_bytes = 0;  ///< since the OSD started
  std::uint64_t recovered_objects = 0, recovered_bytes = 0;                ///< since the OSD started
  static void fields(auto& self, auto& wire) {
    for (auto* each :
         {&self.bytes, &self.objects, &self.clones, &self.omap_bytes, &self.omap_keys, &self.missing_on_primary,
          &self.degraded, &self.misplaced, &self.unfound, &self.scrub_errors, &self.reads, &self.read_bytes,
          &self.writes, &self.written_bytes, &self.recovered_objects, &self.recovered_bytes})
      wire(*each);
  }
  friend bool operator==(const PgUsage&, const PgUsage&) = default;
};

/// One PG as its primary sees it (Ceph: pg_stat_t).
struct PgReport {
  static constexpr std::uint8_t version = 1, compat = 1;
  PgId pg;
  std::uint64_t state = 0;              ///< pg_state bits
  Epoch reported_epoch;                 ///< orders reports of different primaries
  std::uint64_t reported_sequence = 0;  ///< orders reports of one primary in one epoch
  Version last_update;                  ///< of the PG's log head
  Epoch last_epoch_clean;               ///< maps older than this are not needed for peering this PG
  std::uint32_t log_entries = 0;
  std::vector<std::int32_t> up, acting;
  PgUsage usage;
  Time last_scrub, last_deep_scrub;
  /// Snapshots of the pool (first id, count) that this PG has wholly trimmed; the monitor drops an interval from the
  /// map's removed snapshots when every PG of the pool has named it.
  std::vector<std::pair<SnapId, std::uint64_t>> purged_snaps;
  std::uint64_t snaps_to_trim = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.pg);
    wire(self.state);
    wire(self.reported_epoch);
    wire(self.reported_sequence);
    wire(self.last_update);
    wire(self.last_epoch_clean);
    wire(self.log_entries);
    wire(self.up, 64);
    wire(self.acting, 64);
    wire(self.usage);
    wire(self.last_scrub);
    wire(self.last_deep_scrub);
    wire(self.purged_snaps, limits::purged_intervals_max);
    wire(self.snaps_to_trim);
  }
  friend bool operator==(const PgReport&, const PgReport&) = default;
};

/// One thing a daemon wants "ceph health" to show, e.g. {"SLOW_OPS", 1, "3 slow ops, oldest 34 s"}.
struct DaemonHealth {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::string code;
  std::uint8_t severity = 1;  ///< 1 warning, 2 error
  std::string summary;
  static void fields(auto& self, auto& wire) {
    wire(self.code, 64);
    wire(self.severity);
    wire(self.summary, 1024);
  }
  friend bool operator==(const DaemonHealth&, const DaemonHealth&) = default;
};

/// The answer to every request below that has one; `tid` of the message repeats the request's.
struct DaemonReply {
  static constexpr std::uint16_t message_type = 0x7001, header_version = 1, header_compat = 1;
  std::int32_t result = 0;  ///< 0 or a negative errno
  Epoch epoch;              ///< the osdmap that shows the effect; wait for it before relying on it
  std::string text;
  static void fields(auto& self, auto& wire) {
    wire(self.result);
    wire(self.epoch);
    wire(self.text, 4096);
  }
};

/// "Show me up with these addresses." No reply but the map.
/// A store whose uuid is not the one the map knows for this id is refused: DaemonReply with -EEXIST.
struct OsdBoot {
  static constexpr std::uint16_t message_type = 0x7010, header_version = 1, header_compat = 1;
  Uuid cluster;  ///< the fsid the store was made for
  std::int32_t osd = -1;
  Uuid store;        ///< made at mkfs of the store; stays with the data
  Epoch newest_map;  ///< newest osdmap the OSD has: the monitor knows from it when the store was last mounted
  AddressVector client_address, cluster_address, heartbeat_back_address, heartbeat_front_address;
  OsdSpace space;                               ///< weight in CRUSH of an OSD that is new there: total in TiB
  std::string device_class;                     ///< "ssd", "hdd", or empty
  std::map<std::string, std::string> location;  ///< CRUSH: type -> bucket; empty: {root: default, host: HOSTNAME}
  Metadata metadata;
  static void fields(auto& self, auto& wire) {
    wire(self.cluster);
    wire(self.osd);
    wire(self.store);
    wire(self.newest_map);
    wire(self.client_address);
    wire(self.cluster_address);
    wire(self.heartbeat_back_address);
    wire(self.heartbeat_front_address);
    wire(self.space);
    wire(self.device_class, 64);
    wire(self.location, 32);
    wire(self.metadata, limits::daemon_metadata_max);
  }
};

/// "I live", and what I hold. No reply.
struct OsdBeacon {
  static constexpr std::uint16_t message_type = 0x7011, header_version = 1, header_compat = 1;
  std::int32_t osd = -1;
  Epoch map;            ///< the osdmap the OSD works with
  Epoch oldest_needed;  ///< the oldest osdmap its PGs may still ask for; 0: none
  OsdSpace space;
  std::uint32_t commit_latency_ms = 0, apply_latency_ms = 0;
  /// PGs this OSD is primary of: all of them when `complete` (send so after boot, after a new connection, and once a
  /// minute), else those whose report changed. What a complete beacon leaves out is forgotten of this OSD.
  bool complete = false;
  std::vector<PgReport> pgs;
  std::uint32_t pgs_held = 0;  ///< PGs of any role on this OSD
  std::vector<DaemonHealth> health;
  static void fields(auto& self, auto& wire) {
    wire(self.osd);
    wire(self.map);
    wire(self.oldest_needed);
    wire(self.space);
    wire(self.commit_latency_ms);
    wire(self.apply_latency_ms);
    wire(self.complete);
    wire(self.pgs, limits::beacon_pgs_max);
    wire(self.pgs_held);
    wire(self.health, limits::daemon_health_max);
  }
};

/// A peer did not answer heartbeats (or, `alive`, does again). Repeated every few seconds while it is true. No reply.
struct OsdFailure {
  static constexpr std::uint16_t message_type = 0x7012, header_version = 1, header_compat = 1;
  std::int32_t reporter = -1, target = -1;
  AddressVector target_address;  ///< a report about an earlier incarnation is ignored
  Epoch map;
  std::uint32_t failed_for_ms = 0;
  bool alive = false;    ///< takes the report back
  bool refused = false;  ///< connection refused: nobody listens there; one reporter is enough
  static void fields(auto& self, auto& wire) {
    wire(self.reporter);
    wire(self.target);
    wire(self.target_address);
    wire(self.map);
    wire(self.failed_for_ms);
    wire(self.alive);
    wire(self.refused);
  }
};

/// "I am about to stop." Answered with DaemonReply once a map shows the OSD down.
struct OsdMarkMeDown {
  static constexpr std::uint16_t message_type = 0x7013, header_version = 1, header_compat = 1;
  std::int32_t osd = -1;
  AddressVector client_address;
  Epoch map;
  static void fields(auto& self, auto& wire) {
    wire(self.osd);
    wire(self.client_address);
    wire(self.map);
  }
};

/// "Record that I was alive in epoch `wanted`" before a PG goes active in a new interval (Ceph: MOSDAlive, up_thru).
/// The map with up_thru >= wanted is the answer.
struct OsdAlive {
  static constexpr std::uint16_t message_type = 0x7014, header_version = 1, header_compat = 1;
  std::int32_t osd = -1;
  Epoch map, wanted;
  static void fields(auto& self, auto& wire) {
    wire(self.osd);
    wire(self.map);
    wire(self.wanted);
  }
};

/// Temporary acting sets while an up set backfills (Ceph: MOSDPGTemp); an empty one takes it back. The map answers.
struct OsdPgTemp {
  static constexpr std::uint16_t message_type = 0x7015, header_version = 1, header_compat = 1;
  std::int32_t osd = -1;
  Epoch map;
  std::map<PgId, std::vector<std::int32_t>> acting;
  static void fields(auto& self, auto& wire) {
    wire(self.osd);
    wire(self.map);
    wire(self.acting, limits::beacon_pgs_max);
  }
};

/// What "ceph fs status" shows of an active MDS.
struct MdsLoad {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t requests = 0;  ///< since it started
  std::uint64_t dentries = 0, inodes = 0, directories = 0, caps = 0, sessions = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.requests);
    wire(self.dentries);
    wire(self.inodes);
    wire(self.directories);
    wire(self.caps);
    wire(self.sessions);
  }
};

struct MdsBeacon {
  static constexpr std::uint16_t message_type = 0x7020, header_version = 1, header_compat = 1;
  Uuid cluster;
  std::uint64_t gid = 0;  ///< must be the global id this connection authenticated with
  std::string name;
  AddressVector address;
  MdsState wanted = MdsState::boot;
  std::uint64_t sequence = 0;    ///< counts the beacons of this gid from 1
  Epoch map;                     ///< newest fsmap (or mdsmap) the MDS has
  std::string join_file_system;  ///< mds_join_fs: the file system it prefers; empty: any
  MdsLoad load;
  std::vector<DaemonHealth> health;
  Metadata metadata;  ///< may be left out (empty) after the first beacon of a connection
  static void fields(auto& self, auto& wire) {
    wire(self.cluster);
    wire(self.gid);
    wire(self.name, 256);
    wire(self.address);
    wire(self.wanted);
    wire(self.sequence);
    wire(self.map);
    wire(self.join_file_system, 256);
    wire(self.load);
    wire(self.health, limits::daemon_health_max);
    wire(self.metadata, limits::daemon_metadata_max);
  }
};

struct MdsBeaconAck {
  static constexpr std::uint16_t message_type = 0x7021, header_version = 1, header_compat = 1;
  std::uint64_t gid = 0, sequence = 0;  ///< of the beacon answered
  MdsState state = MdsState::dne;       ///< what the monitor's newest map says of the gid; dne: not in it
  Epoch map;                            ///< the fsmap's epoch
  static void fields(auto& self, auto& wire) {
    wire(self.gid);
    wire(self.sequence);
    wire(self.state);
    wire(self.map);
  }
};

/// Blocklists client addresses (an MDS evicting a client), or takes that back. Answered with DaemonReply; when it is 0
/// the osdmap of `epoch` carries it: hand that epoch to everybody who must not talk to the evicted client any more.
struct BlocklistRequest {
  static constexpr std::uint16_t message_type = 0x7030, header_version = 1, header_compat = 1;
  AddressVector addresses;    ///< entity addresses with their nonces, as the sessions know them
  std::uint32_t seconds = 0;  ///< 0: mon_osd_blocklist_default_expire (an hour)
  bool remove = false;
  static void fields(auto& self, auto& wire) {
    wire(self.addresses);
    wire(self.seconds);
    wire(self.remove);
  }
};

/// Snapshots of these pools may be trimmed from now on (Ceph: MRemoveSnaps). An MDS that deleted a snapshot names every
/// data pool and the metadata pool. The pools become pools of self-managed snapshots. Answered with DaemonReply.
/// Ids are given out by the MDS itself, above every pool's snap_seq, as Ceph's SnapServer does.
struct RemoveSnaps {
  static constexpr std::uint16_t message_type = 0x7031, header_version = 1, header_compat = 1;
  std::map<std::int64_t, std::vector<SnapId>> snaps;
  static void fields(auto& self, auto& wire) { wire(self.snaps, 1024); }
};

}  // namespace spirula::msg
