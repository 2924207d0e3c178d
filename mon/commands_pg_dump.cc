#include <fmt/format.h>

#include <set>

#include "mon/cluster_stats.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/pg_listing.h"
#include "mon/text_table.h"

/// `pg dump`: PGs, pools and OSDs with all that is known of them.
namespace spirula::mon {
namespace {

JsonObject dump_osd_space(const ClusterStats::OsdReport& report) {
  const auto& b = report.beacon;
  std::uint64_t used = b.space.total - b.space.available;
  return {{"num_pgs", b.pgs_held},
          {"num_osds", 1},
          {"num_per_pool_osds", 1},
          {"num_per_pool_omap_osds", 1},
          {"kb", b.space.total / 1024},
          {"kb_used", used / 1024},
          {"kb_used_data", b.space.data_stored / 1024},
          {"kb_used_omap", b.space.omap_used / 1024},
          {"kb_used_meta", b.space.internal_used / 1024},
          {"kb_avail", b.space.available / 1024},
          {"statfs", JsonObject{{"total", b.space.total},
                                {"available", b.space.available},
                                {"internally_reserved", 0},
                                {"allocated", used},
                                {"data_stored", b.space.data_stored},
                                {"data_compressed", 0},
                                {"data_compressed_allocated", 0},
                                {"data_compressed_original", 0},
                                {"omap_allocated", b.space.omap_used},
                                {"internal_metadata", b.space.internal_used}}},
          {"perf_stat", JsonObject{{"commit_latency_ms", b.commit_latency_ms},
                                   {"apply_latency_ms", b.apply_latency_ms},
                                   {"commit_latency_ns", std::uint64_t{b.commit_latency_ms} * 1'000'000},
                                   {"apply_latency_ns", std::uint64_t{b.apply_latency_ms} * 1'000'000}}},
          {"alerts", JsonArray{}}};
}

JsonObject dump_total(const ClusterStats::Usage& usage, std::uint64_t copies) {
  return {
      {"stat_sum", dump(usage.sum, copies)}, {"log_size", usage.log_entries}, {"ondisk_log_size", usage.log_entries}};
}

/// Tables of pools and OSDs under that of the PGs, as the stock command has them.
std::string pool_table(const ClusterStats::Summary& summary) {
  using enum TextTable::Align;
  TextTable table({{"POOLID", left, left},
                   {"OBJECTS", left, right},
                   {"MISSING_ON_PRIMARY", left, right},
                   {"DEGRADED", left, right},
                   {"MISPLACED", left, right},
                   {"UNFOUND", left, right},
                   {"BYTES", left, right},
                   {"OMAP_BYTES*", left, right},
                   {"OMAP_KEYS*", left, right},
                   {"LOG", left, right},
                   {"DISK_LOG", left, right}});
  for (const auto& [id, usage] : summary.pools) {
    const auto& u = usage.sum;
    table.add({std::to_string(id), std::to_string(u.objects), std::to_string(u.missing_on_primary),
               std::to_string(u.degraded), std::to_string(u.misplaced), std::to_string(u.unfound),
               std::to_string(u.bytes), std::to_string(u.omap_bytes), std::to_string(u.omap_keys),
               std::to_string(usage.log_entries), std::to_string(usage.log_entries)});
  }
  return table.print();
}

std::string osd_table(const ClusterStats& stats) {
  using enum TextTable::Align;
  TextTable table({{"OSD_STAT", left, left},
                   {"USED", left, right},
                   {"AVAIL", left, right},
                   {"TOTAL", left, right},
                   {"PG_SUM", left, right}});
  for (const auto& [id, report] : stats.osds()) {
    const auto& space = report.beacon.space;
    table.add({std::to_string(id), print_bytes(space.total - space.available), print_bytes(space.available),
               print_bytes(space.total), std::to_string(report.beacon.pgs_held)});
  }
  return table.print();
}

CommandResult pg_dump(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  auto contents = call.arguments.list("dumpcontents");
  std::set<std::string> what(contents.begin(), contents.end());
  if (what.empty()) what = {"all"};
  if (what.erase("sum")) what.insert("summary");
  if (what.erase("delta")) what.insert("summary");
  std::string said = "dumped " + (contents.empty() ? std::string("all") : join(contents, ","));
  auto everything = list_pgs(call, [](const PgLine&) { return true; });
  auto summary = call.around.stats.summarize(map);
  std::string head = fmt::format("version {}\nstamp {}\nlast_osdmap_epoch {}\nlast_pg_scan 0\n",
                                 call.around.stats.version(), call.around.now.describe(), map.epoch.value);
  if (call.is_plain()) {
    if (what.contains("all"))
      return CommandResult::print(
          head + print(everything) + "\n" + pool_table(summary) + "\n" + osd_table(call.around.stats), said);
    std::string text;
    if (what.contains("summary")) text += head + pool_table(summary);
    if (what.contains("pgs")) text += print(everything);
    if (what.contains("pgs_brief")) text += print_briefly(everything);
    if (what.contains("pools")) text += pool_table(summary);
    if (what.contains("osds")) text += osd_table(call.around.stats);
    return CommandResult::print(text, said);
  }
  JsonArray pgs, brief, pools, osds;
  std::uint64_t copies = 0;
  for (const auto& line : everything) {
    pgs.emplace_back(dump(line));
    brief.emplace_back(dump_briefly(line));
  }
  for (const auto& [id, usage] : summary.pools) {
    std::uint64_t of_pool = usage.sum.objects * map.pools.at(id).size;
    copies += of_pool;
    JsonObject one{{"poolid", id}, {"num_pg", usage.pgs}};
    for (const auto& each : dump_total(usage, of_pool)) one[each.key()] = each.value();
    pools.push_back(std::move(one));
  }
  ClusterStats::OsdReport sum;
  for (const auto& [id, report] : call.around.stats.osds()) {
    JsonObject one{{"osd", id}};
    for (const auto& each : dump_osd_space(report)) one[each.key()] = each.value();
    osds.push_back(std::move(one));
    sum.beacon.pgs_held += report.beacon.pgs_held;
    sum.beacon.space.data_stored += report.beacon.space.data_stored;
    sum.beacon.space.omap_used += report.beacon.space.omap_used;
    sum.beacon.space.internal_used += report.beacon.space.internal_used;
    sum.beacon.space.total += report.beacon.space.total;
    sum.beacon.space.available += report.beacon.space.available;
  }
  JsonObject out{{"pg_ready", true}};
  if (what.contains("all") || what.contains("summary")) {
    JsonObject pg_map{{"version", call.around.stats.version()},
                      {"stamp", call.around.now.describe()},
                      {"last_osdmap_epoch", map.epoch.value},
                      {"last_pg_scan", 0},
                      {"pg_stats_sum", dump_total(summary.all, copies)},
                      {"osd_stats_sum", dump_osd_space(sum)}};
    if (what.contains("all")) {
      pg_map["pg_stats"] = pgs;
      pg_map["pool_stats"] = pools;
      pg_map["osd_stats"] = osds;
    }
    out["pg_map"] = std::move(pg_map);
    return call.json(out, said);
  }
  if (what.contains("pgs")) out["pg_stats"] = pgs;
  if (what.contains("pgs_brief")) out["pg_stats"] = brief;
  if (what.contains("pools")) out["pool_stats"] = pools;
  if (what.contains("osds")) out["osd_stats"] = osds;
  return call.json(out, said);
}

constexpr CommandRow rows[] = {
    {"pg dump name=dumpcontents,type=CephChoices,strings=all|summary|sum|delta|pools|osds|pgs|pgs_brief,n=N,req=false",
     "print what is known of the PGs", "pg", "r", pg_dump},
    {"pg dump_json name=dumpcontents,type=CephChoices,strings=all|summary|sum|pools|osds|pgs,n=N,req=false",
     "print what is known of the PGs", "pg", "r", pg_dump},
};

}  // namespace

std::span<const CommandRow> pg_dump_commands() {
  return rows;
}

}  // namespace spirula::mon
