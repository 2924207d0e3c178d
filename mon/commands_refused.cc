#include <deque>
#include <sstream>

#include "mon/command_tables.h"

/// Commands of a stock monitor (Ceph 16.2) that this one does not carry out. They answer EOPNOTSUPP with the reason
/// instead of "command not known"; `tests/interop/command_shapes.py` sees to it that no stock command is in no table.
namespace spirula::mon {
namespace {

struct Refusal {
  const char* reason;
  const char* prefixes;  ///< separated by line ends
};

constexpr Refusal refusals[] = {
    {"there is one monitor",
     "mon add\nmon rm\nmon remove\nmon ok-to-add-offline\nmon ok-to-rm\nmon enable_stretch_mode\nmon feature set\n"
     "mon set election_strategy\nmon set-addrs\nmon set-rank\nmon set-weight\nmon set_location\n"
     "mon set_new_tiebreaker\nmon add disallowed_leader\nmon rm disallowed_leader\nquorum enter\nquorum exit\n"
     "connection scores dump\nconnection scores reset\nadd_bootstrap_peer_hint\nadd_bootstrap_peer_hintv\nsync_force\n"
     "osd force_healthy_stretch_mode\nosd force_recovery_stretch_mode"},
    {"there is nothing to compare with: one monitor, whose log is verified at every start", "scrub\nmon scrub"},
    {"it is for one daemon: 'ceph tell NAME ...', as far as that daemon knows it",
     "mon_status\nsessions\nops\ndump_historic_ops\ndump_historic_slow_ops\nheap\ninjectargs\nsmart\ncompact\ntell"},
    {"there is no manager",
     "mgr count-metadata\nmgr fail\ndevice info\ndevice ls\ndevice ls-by-daemon\ndevice ls-by-host\n"
     "device rm-life-expectancy\ndevice set-life-expectancy\nosd blocked-by\nosd last-stat-seq\nosd numa-status\n"
     "pg debug\npg dump_pools_json\npg getmap"},
    {"ask the daemon: 'ceph tell NAME config show'", "config show-with-defaults"},
    {"OSDs are weighed by hand, one by one: 'osd reweight'",
     "osd reweightn\nosd reweight-by-pg\nosd reweight-by-utilization\nosd test-reweight-by-pg\nosd "
     "test-reweight-by-utilization"},
    {"placement groups are not scrubbed: every read is verified, and 'ceph tell osd.ID verify start' reads all that an "
     "OSD holds",
     "pg scrub\npg deep-scrub\nosd scrub\nosd deep-scrub\nosd pool scrub\nosd pool deep-scrub"},
    {"placement groups are not repaired by command: what does not verify is well again once it is written or recovered "
     "from another copy",
     "pg repair\nosd repair\nosd pool repair"},
    {"the order in which placement groups recover cannot be changed",
     "pg force-recovery\npg force-backfill\npg cancel-force-recovery\npg cancel-force-backfill\n"
     "osd pool force-recovery\nosd pool force-backfill\nosd pool cancel-force-recovery\n"
     "osd pool cancel-force-backfill"},
    {"mark an OSD of the placement group down ('osd down'): its placement groups peer anew", "pg repeer"},
    {"a placement group is made with its pool only", "osd force-create-pg"},
    {"a daemon is stopped where it runs", "osd stop"},
    {"erasure-coded pools are not supported",
     "osd crush rule create-erasure\nosd erasure-code-profile get\nosd erasure-code-profile ls\n"
     "osd erasure-code-profile rm\nosd erasure-code-profile set"},
    {"pools have no tiers",
     "osd tier add\nosd tier add-cache\nosd tier cache-mode\nosd tier remove\nosd tier remove-overlay\nosd tier rm\n"
     "osd tier rm-overlay\nosd tier set-overlay"},
    {"edit the map by hand: 'osd getcrushmap', crushtool, 'osd setcrushmap'",
     "osd crush class create\nosd crush class rm\nosd crush set-all-straw-buckets-to-straw2\nosd crush swap-bucket\n"
     "osd crush weight-set create\nosd crush weight-set create-compat\nosd crush weight-set reweight\n"
     "osd crush weight-set reweight-compat\nosd crush weight-set rm\nosd crush weight-set rm-compat"},
    {"a file system has one active MDS, and all MDSs are of one release",
     "fs compat\nfs compat show\nfs required_client_features\nmds compat rm_compat\nmds compat rm_incompat\n"
     "mds freeze\nmds set_state"},
    {"file systems are not mirrored", "fs mirror disable\nfs mirror enable\nfs mirror peer_add\nfs mirror peer_remove"},
    {"a failed rank is taken by a standby; a file system is removed with 'fs rm' and made anew with 'fs new'",
     "fs reset\nmds rm\nmds rmfailed"},
    {"obsolete in Ceph 16.2 as well: see 'fs set', 'fs dump', 'fs new', 'fs add_data_pool', 'mds fail'",
     "mds add_data_pool\nmds cluster_down\nmds cluster_up\nmds deactivate\nmds dump\nmds getmap\nmds newfs\n"
     "mds remove_data_pool\nmds rm_data_pool\nmds set\nmds set_max_mds\nmds stop\nmds tell"},
    {"obsolete in Ceph 16.2 as well: see 'osd set-group', 'osd unset-group'",
     "osd add-nodown\nosd add-noin\nosd add-noout\nosd add-noup\nosd rm-nodown\nosd rm-noin\nosd rm-noout\n"
     "osd rm-noup"},
    {"for a monitor's own use: see 'osd destroy', 'osd purge'", "osd destroy-actual\nosd purge-actual"},
};

}  // namespace

std::span<const CommandRow> refused_commands() {
  static const auto made = [] {
    static std::deque<std::string> signatures;  // rows point into them
    std::vector<CommandRow> rows;
    for (const auto& [reason, prefixes] : refusals) {
      std::istringstream lines(prefixes);
      for (std::string prefix; std::getline(lines, prefix);) {
        signatures.push_back(prefix + " name=any,type=CephString,n=N,req=false");
        rows.push_back({signatures.back().c_str(), reason, "mon", "r"});
      }
    }
    return rows;
  }();
  return made;
}

}  // namespace spirula::mon
