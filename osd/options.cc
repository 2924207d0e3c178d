#include "osd/options.h"

namespace spirula::osd {
namespace {

constexpr Option rows[] = {
    {"mkfs", OptionType::boolean, "false", "make the store of a new OSD and exit"},
    {"osd_data", OptionType::text, "/var/lib/ceph/osd/$cluster-$id", "where the OSD's btrfs is mounted"},
    {"osd_journal", OptionType::text, "$osd_data/journal", "the journal: a raw partition, or a file"},
    {"osd_journal_size", OptionType::integer, "1024", "MiB of a journal file that mkfs makes", 64, 1 << 20},
    {"osd_mkfs_force", OptionType::boolean, "false", "mkfs overwrites a journal that carries a foreign signature"},
    {"osd_shards", OptionType::integer, "1", "threads for clients and placement groups", 1, 64},
    {"osd_memory_target", OptionType::size, "64M", "memory of the store's caches and pending data", 16 << 20},
    {"osd_client_message_size_cap", OptionType::size, "32M",
     "bytes that clients' requests being worked on bring and ask for", 8 << 20},
    {"osd_backoff_on_peering", OptionType::boolean, "false",
     "clients keep requests to a PG that is not active, or for an object that nobody has, even if there is room here"},
    {"osd_beacon_report_interval", OptionType::duration, "5", "how often the monitor hears from us", 0.5, 300},
    {"osd_op_complaint_time", OptionType::duration, "30", "a request that takes longer is called slow", 0.1, 3600},
    {"osd_max_pg_log_entries", OptionType::integer, "3000",
     "changes a PG remembers: an OSD that missed more is filled anew", 16, 1 << 20},
    {"osd_integrity", OptionType::text, "index",
     "how a store that mkfs makes knows good data from bad: by checksums in its index, or btrfs's own (index, btrfs)"},
    {"osd_verify_interval", OptionType::duration, "7d",
     "between passes that read every object from the disk and verify it; 0: only when asked", 0, 365 * 86'400.0},
    {"osd_verify_bytes_per_second", OptionType::size, "32M", "how fast such a pass reads, on average", 64 << 10},
    {"osd_class", OptionType::text, "", "device class in the CRUSH map: ssd, hdd; empty: by the disk"},
    {"crush_location", OptionType::text, "", "place in the CRUSH map: root=default host=a; empty: by the host's name"},
};

}  // namespace

std::span<const Option> options() {
  return rows;
}

}  // namespace spirula::osd
