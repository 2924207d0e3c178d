#include "mon/pg_listing.h"

#include <fmt/format.h>

#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/dump.h"
#include "mon/text_table.h"

namespace spirula::mon {
namespace {

PgLine line_of(const CommandCall& call, msg::PgId pg) {
  const auto& map = call.state.osd().map();
  PgLine line{pg, call.around.stats.state_of(pg, map), {}, 1};
  if (const auto* pool = map.pool(pg.pool)) line.size = pool->size;
  if (const auto* report = call.around.stats.pg(pg)) {
    line.report = *report;
  } else {
    auto place = map.place(pg);
    line.report.up = place.up;
    line.report.acting = place.acting;
  }
  return line;
}

std::string set_text(const std::vector<std::int32_t>& ids) {
  return fmt::format("[{}]p{}", join_numbers(ids), ids.empty() ? -1 : ids.front());
}

/// A row of a listing that shows no more than who serves a PG.
std::vector<std::string> brief_row(const PgLine& line) {
  const auto& r = line.report;
  auto first = [](const std::vector<std::int32_t>& ids) { return std::to_string(ids.empty() ? -1 : ids.front()); };
  return {line.pg.describe(),
          describe_pg_state(line.state),
          fmt::format("[{}]", join_numbers(r.up)),
          first(r.up),
          fmt::format("[{}]", join_numbers(r.acting)),
          first(r.acting)};
}

}  // namespace

std::vector<PgLine> list_pgs(const CommandCall& call, const std::function<bool(const PgLine&)>& wanted) {
  std::vector<PgLine> lines;
  for (const auto& [id, pool] : call.state.osd().map().pools)
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed) {
      auto line = line_of(call, {id, seed});
      if (wanted(line)) lines.push_back(std::move(line));
    }
  return lines;
}

JsonObject dump(const msg::PgUsage& sum, std::uint64_t copies) {
  JsonObject out{{"num_bytes", sum.bytes},
                 {"num_objects", sum.objects},
                 {"num_object_clones", sum.clones},
                 {"num_object_copies", copies},
                 {"num_objects_missing_on_primary", sum.missing_on_primary},
                 {"num_objects_missing", sum.missing_on_primary},
                 {"num_objects_degraded", sum.degraded},
                 {"num_objects_misplaced", sum.misplaced},
                 {"num_objects_unfound", sum.unfound},
                 {"num_objects_dirty", sum.objects},
                 {"num_read", sum.reads},
                 {"num_read_kb", sum.read_bytes / 1024},
                 {"num_write", sum.writes},
                 {"num_write_kb", sum.written_bytes / 1024},
                 {"num_scrub_errors", sum.scrub_errors},
                 {"num_objects_recovered", sum.recovered_objects},
                 {"num_bytes_recovered", sum.recovered_bytes},
                 {"num_omap_bytes", sum.omap_bytes},
                 {"num_omap_keys", sum.omap_keys}};
  // What belongs to cache tiers and other things that are not here; programs read them all the same.
  for (auto never :
       {"num_whiteouts", "num_objects_hit_set_archive", "num_bytes_hit_set_archive", "num_flush", "num_flush_kb",
        "num_evict", "num_evict_kb", "num_promote", "num_flush_mode_high", "num_flush_mode_low", "num_evict_mode_some",
        "num_evict_mode_full", "num_objects_pinned", "num_legacy_snapsets", "num_objects_manifest"})
    out[never] = 0;
  return out;
}

JsonObject dump_briefly(const PgLine& line) {
  const auto& r = line.report;
  return {{"pgid", line.pg.describe()},
          {"state", describe_pg_state(line.state)},
          {"up", numbers(r.up)},
          {"acting", numbers(r.acting)},
          {"up_primary", r.up.empty() ? -1 : r.up.front()},
          {"acting_primary", r.acting.empty() ? -1 : r.acting.front()}};
}

JsonObject dump(const PgLine& line) {
  const auto& r = line.report;
  JsonArray purged;
  for (const auto& [first, count] : r.purged_snaps)
    purged.push_back(JsonObject{{"start", first.value}, {"length", count}});
  JsonObject out = dump_briefly(line);
  const JsonObject more{{"version", r.last_update.describe()},
                        {"reported_seq", r.reported_sequence},
                        {"reported_epoch", r.reported_epoch.value},
                        {"log_size", r.log_entries},
                        {"ondisk_log_size", r.log_entries},
                        {"last_epoch_clean", r.last_epoch_clean.value},
                        {"parent", "0.0"},
                        {"parent_split_bits", 0},
                        {"last_scrub_stamp", r.last_scrub.describe()},
                        {"last_deep_scrub_stamp", r.last_deep_scrub.describe()},
                        {"snaptrimq_len", r.snaps_to_trim},
                        {"stat_sum", dump(r.usage, r.usage.objects * line.size)},
                        {"stats_invalid", line.state == 0},
                        {"blocked_by", JsonArray{}},
                        {"purged_snaps", purged}};
  for (const auto& each : more) out[each.key()] = each.value();
  return out;
}

std::string print(const std::vector<PgLine>& lines) {
  using enum TextTable::Align;
  TextTable table({{"PG", left, left},
                   {"OBJECTS", left, right},
                   {"DEGRADED", left, right},
                   {"MISPLACED", left, right},
                   {"UNFOUND", left, right},
                   {"BYTES", left, right},
                   {"OMAP_BYTES*", left, right},
                   {"OMAP_KEYS*", left, right},
                   {"LOG", left, right},
                   {"STATE", left, left},
                   {"VERSION", left, right},
                   {"REPORTED", left, right},
                   {"UP", left, left},
                   {"ACTING", left, left},
                   {"SCRUB_STAMP", left, left},
                   {"DEEP_SCRUB_STAMP", left, left}});
  for (const auto& line : lines) {
    const auto& r = line.report;
    const auto& u = r.usage;
    table.add({line.pg.describe(), std::to_string(u.objects), std::to_string(u.degraded), std::to_string(u.misplaced),
               std::to_string(u.unfound), std::to_string(u.bytes), std::to_string(u.omap_bytes),
               std::to_string(u.omap_keys), std::to_string(r.log_entries), describe_pg_state(line.state),
               r.last_update.describe(), fmt::format("{}:{}", r.reported_epoch.value, r.reported_sequence),
               set_text(r.up), set_text(r.acting), r.last_scrub.describe(), r.last_deep_scrub.describe()});
  }
  return table.print();
}

std::string print_briefly(const std::vector<PgLine>& lines) {
  using enum TextTable::Align;
  TextTable table({{"PG_STAT", left, left},
                   {"STATE", left, left},
                   {"UP", left, left},
                   {"UP_PRIMARY", left, left},
                   {"ACTING", left, left},
                   {"ACTING_PRIMARY", left, left}});
  for (const auto& line : lines) table.add(brief_row(line));
  return table.print();
}

}  // namespace spirula::mon
