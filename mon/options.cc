#include "mon/options.h"

namespace spirula::mon {
namespace {

constexpr Option rows[] = {
    {"mkfs", OptionType::boolean, "false", "make the store of a new monitor and exit"},
    {"mon_data", OptionType::text, "/var/lib/ceph/mon/$cluster-$id", "directory of the decision log"},
    {"public_addrv", OptionType::text, "", "address to serve at, with protocol: [v2:10.0.0.1:3300/0]"},
    {"mon_legacy_port", OptionType::integer, "-1",
     "port where clients of the old protocol are told so; -1: 6789 if we serve at 3300, 0: none", -1, 65535},
    {"mon_allow_pool_delete", OptionType::boolean, "false", "let pools be deleted"},
    {"mon_max_pg_per_osd", OptionType::integer, "250", "most PGs (with replicas) for each OSD that is in", 1, 100000},
    {"osd_pool_default_size", OptionType::integer, "3", "replicas of new pools", 1, 10},
    {"osd_pool_default_min_size", OptionType::integer, "0",
     "replicas without which nothing is served; 0: size - size/2", 0, 10},
    {"osd_pool_default_pg_num", OptionType::integer, "32", "PGs of new pools", 1, 65536},
    {"osd_crush_update_on_start", OptionType::boolean, "true", "an OSD that boots moves to its host in the CRUSH map"},
    {"mon_osd_auto_mark_new_in", OptionType::boolean, "true", "OSDs that boot for the first time are in"},
    {"mon_osd_auto_mark_auto_out_in", OptionType::boolean, "true", "OSDs put out automatically come back in"},
    {"mon_osd_report_timeout", OptionType::duration, "20", "an OSD without a beacon for so long is down", 1, 86400},
    {"mon_osd_reset_grace", OptionType::duration, "4", "an OSD whose connection broke must come back within this", 0.1,
     3600},
    {"mon_osd_min_down_reporters", OptionType::integer, "2", "OSDs that must report another one dead", 1, 100},
    {"osd_heartbeat_grace", OptionType::duration, "20", "silence after which OSDs report a peer", 1, 3600},
    {"mon_osd_down_out_interval", OptionType::duration, "600", "an OSD that is down so long is put out; 0: never", 0,
     31536000},
    {"mon_osd_min_in_ratio", OptionType::real, "0.75", "no OSD is put out by itself below this share of OSDs in", 0, 1},
    {"mon_osd_blocklist_default_expire", OptionType::duration, "3600", "how long a blocklist entry lasts", 1, 31536000},
    {"mon_min_osdmap_epochs", OptionType::integer, "500", "osdmaps that are kept at least", 1, 100000},
    {"mon_osdmap_keep", OptionType::duration, "3600", "osdmaps are kept at least so long", 0, 31536000},
    {"mds_beacon_grace", OptionType::duration, "15", "an MDS without a beacon for so long is replaced", 1, 3600},
    {"mds_blocklist_interval", OptionType::duration, "86400", "how long a failed MDS stays blocklisted", 1, 31536000},
    {"mon_warn_on_pool_no_redundancy", OptionType::boolean, "true", "health warns of pools of size 1"},
    {"mon_warn_on_pool_no_app", OptionType::boolean, "true", "health warns of used pools without an application"},
    {"mon_data_avail_warn", OptionType::integer, "30", "health warns below this share of space for mon_data", 0, 100},
    {"auth_service_ticket_ttl", OptionType::duration, "3600", "how long tickets for OSDs and MDSs live", 10, 604800},
    {"auth_mon_ticket_ttl", OptionType::duration, "259200", "how long a login lives", 10, 6048000},
};

}  // namespace

std::span<const Option> options() {
  return rows;
}

}  // namespace spirula::mon
