#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <set>
#include "crush/edit.h"
#include "crush/tree.h"
#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/session.h"
#include "mon/text_table.h"

/// Placement groups and what OSDs hold; all from what OSDs reported.
namespace spirula::mon {
namespace {

using namespace msg::pg_state;

CommandResult pg_stat(const CommandCall& call) {
  auto summary = call.around.stats.summarize(call.state.osd().map());
  auto states = states_by_count(summary.all);
  std::uint64_t used = summary.space.total - summary.space.available;
  auto rates = call.around.stats.rates(call.around.monotonic);
  if (!call.is_plain()) {
    JsonArray list;
    for (const auto& [count, name] : states) list.push_back(JsonObject{{"name", name}, {"num", count}});
    JsonObject out{{"num_pg_by_state", list},
                   {"num_pgs", summary.all.pgs},
                   {"num_bytes", summary.all.sum.bytes},
                   {"total_bytes", summary.space.total},
                   {"total_avail_bytes", summary.space.available},
                   {"total_used_bytes", used},
                   {"total_used_raw_bytes", used}};
    if (rates.read_bytes >= 1) out["read_bytes_sec"] = static_cast<std::uint64_t>(rates.read_bytes);
    if (rates.written_bytes >= 1) out["write_bytes_sec"] = static_cast<std::uint64_t>(rates.written_bytes);
    if (rates.reads + rates.writes >= 1) out["io_sec"] = static_cast<std::uint64_t>(rates.reads + rates.writes);
    return call.json(JsonObject{{"pg_ready", true}, {"pg_summary", out}});
  }
  std::string text;
  for (const auto& [count, name] : states) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  return CommandResult::print(fmt::format("{} pgs: {}; {} data, {} used, {} / {} avail\n", summary.all.pgs, text,
                                          print_bytes(summary.all.sum.bytes), print_bytes(used),
                                          print_bytes(summary.space.available), print_bytes(summary.space.total)));
}

/// A PG with whatever is known of it.
struct Line {
  msg::PgId pg;
  std::uint64_t state = 0;
  msg::PgReport report;
};

Line line_of(const CommandCall& call, msg::PgId pg) {
  const auto& map = call.state.osd().map();
  Line line{pg, call.around.stats.state_of(pg, map), {}};
  if (const auto* report = call.around.stats.pg(pg)) {
    line.report = *report;
  } else {
    auto place = map.place(pg);
    line.report.up = place.up;
    line.report.acting = place.acting;
  }
  return line;
}

std::vector<Line> all_lines(const CommandCall& call, const auto& wanted) {
  std::vector<Line> lines;
  for (const auto& [id, pool] : call.state.osd().map().pools)
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed) {
      auto line = line_of(call, {id, seed});
      if (wanted(line)) lines.push_back(std::move(line));
    }
  return lines;
}

JsonObject dump_usage(const msg::PgUsage& sum, std::uint64_t copies) {
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

/// Who serves a PG, and how: what `pgs_brief` shows of it.
JsonObject dump_pg_briefly(const Line& line) {
  const auto& r = line.report;
  return {{"pgid", line.pg.describe()},
          {"state", describe_pg_state(line.state)},
          {"up", numbers(r.up)},
          {"acting", numbers(r.acting)},
          {"up_primary", r.up.empty() ? -1 : r.up.front()},
          {"acting_primary", r.acting.empty() ? -1 : r.acting.front()}};
}

JsonObject dump_pg(const Line& line, std::size_t size) {
  const auto& r = line.report;
  JsonArray purged;
  for (const auto& [first, count] : r.purged_snaps)
    purged.push_back(JsonObject{{"start", first.value}, {"length", count}});
  JsonObject out = dump_pg_briefly(line);
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
                        {"stat_sum", dump_usage(r.usage, r.usage.objects * size)},
                        {"stats_invalid", line.state == 0},
                        {"blocked_by", JsonArray{}},
                        {"purged_snaps", purged}};
  for (const auto& each : more) out[each.key()] = each.value();
  return out;
}

std::size_t size_of(const CommandCall& call, msg::PgId pg) {
  const auto* pool = call.state.osd().map().pool(pg.pool);
  return pool ? pool->size : 1;
}

std::string set_text(const std::vector<std::int32_t>& ids) {
  return fmt::format("[{}]p{}", join_numbers(ids), ids.empty() ? -1 : ids.front());
}

std::string pg_table(const std::vector<Line>& lines) {
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

/// A row of a listing that shows no more than who serves a PG.
std::vector<std::string> brief_row(const Line& line) {
  const auto& r = line.report;
  auto first = [](const std::vector<std::int32_t>& ids) { return std::to_string(ids.empty() ? -1 : ids.front()); };
  return {line.pg.describe(),
          describe_pg_state(line.state),
          fmt::format("[{}]", join_numbers(r.up)),
          first(r.up),
          fmt::format("[{}]", join_numbers(r.acting)),
          first(r.acting)};
}

CommandResult show(const CommandCall& call, const std::vector<Line>& lines) {
  if (call.is_plain()) return CommandResult::print(pg_table(lines));
  JsonArray list;
  for (const auto& line : lines) list.emplace_back(dump_pg(line, size_of(call, line.pg)));
  return call.json(JsonObject{{"pg_ready", true}, {"pg_stats", list}});
}

/// The states a listing is limited to; all of them must hold. False: one is no state.
bool parse_states(const CommandCall& call, std::uint64_t& bits, CommandResult& problem) {
  for (const auto& name : call.arguments.list("states")) {
    if (name == "all") continue;
    auto bit = pg_state_by_name(name);
    if (!bit) {
      problem = CommandResult::fail(-EINVAL, fmt::format("'{}' is not a valid pg state", name));
      return false;
    }
    bits |= *bit;
  }
  return true;
}

CommandResult pg_ls(const CommandCall& call) {
  std::uint64_t bits = 0;
  CommandResult problem;
  if (!parse_states(call, bits, problem)) return problem;
  std::optional<std::int64_t> pool = call.arguments.integer("pool");
  if (call.arguments.has("poolstr")) {
    auto found = find_pool(call.state, call.arguments.text("poolstr"));
    if (!found) return std::move(found.problem);
    pool = found.id;
  }
  std::optional<std::int32_t> osd;
  if (call.arguments.has("osd")) {
    auto parsed = parse_osd(call.arguments.text("osd"));
    if (!parsed) return CommandResult::fail(-EINVAL, "no osd id");
    if (!call.state.osd().map().is_up(*parsed))
      return CommandResult::fail(-EAGAIN, fmt::format("osd {} is not up", *parsed));
    osd = *parsed;
  }
  bool primary_only = call.typed.find("ls-by-primary") != call.typed.npos;
  return show(call, all_lines(call, [&](const Line& line) {
                if (pool && line.pg.pool != *pool) return false;
                const auto& acting = line.report.acting;
                if (osd && primary_only && (acting.empty() || acting.front() != *osd)) return false;
                if (osd && !primary_only && std::ranges::find(acting, *osd) == acting.end()) return false;
                return (line.state & bits) == bits;
              }));
}

CommandResult pg_dump_stuck(const CommandCall& call) {
  auto kinds = call.arguments.list("stuckops");
  if (kinds.empty()) kinds = {"unclean"};
  auto lines = all_lines(call, [&](const Line& line) {
    return std::ranges::any_of(kinds, [&](const std::string& kind) {
      if (kind == "inactive") return !(line.state & active);
      if (kind == "unclean") return !(line.state & clean);
      if (kind == "stale") return (line.state & stale) != 0;
      if (kind == "undersized") return (line.state & undersized) != 0;
      return (line.state & degraded) != 0;
    });
  });
  if (!call.is_plain()) {
    JsonArray list;
    for (const auto& line : lines) list.emplace_back(dump_pg(line, size_of(call, line.pg)));
    return call.json(JsonObject{{"pg_ready", true}, {"stuck_pg_stats", list}}, "ok");
  }
  if (lines.empty()) return CommandResult::say("ok");
  using enum TextTable::Align;
  TextTable table({{"PG_STAT", left, left},
                   {"STATE", left, left},
                   {"UP", left, left},
                   {"UP_PRIMARY", left, left},
                   {"ACTING", left, left},
                   {"ACTING_PRIMARY", left, left}});
  for (const auto& line : lines) table.add(brief_row(line));
  return CommandResult::print(table.print(), "ok");
}

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
  return {{"stat_sum", dump_usage(usage.sum, copies)},
          {"log_size", usage.log_entries},
          {"ondisk_log_size", usage.log_entries}};
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
  auto everything = all_lines(call, [](const Line&) { return true; });
  auto summary = call.around.stats.summarize(map);
  std::string head = fmt::format("version {}\nstamp {}\nlast_osdmap_epoch {}\nlast_pg_scan 0\n",
                                 call.around.stats.version(), call.around.now.describe(), map.epoch.value);
  if (call.is_plain()) {
    if (what.contains("all"))
      return CommandResult::print(
          head + pg_table(everything) + "\n" + pool_table(summary) + "\n" + osd_table(call.around.stats), said);
    std::string text;
    if (what.contains("summary")) text += head + pool_table(summary);
    if (what.contains("pgs")) text += pg_table(everything);
    if (what.contains("pgs_brief")) {
      using enum TextTable::Align;
      TextTable table({{"PG_STAT", left, left},
                       {"STATE", left, left},
                       {"UP", left, left},
                       {"UP_PRIMARY", left, left},
                       {"ACTING", left, left},
                       {"ACTING_PRIMARY", left, left}});
      for (const auto& line : everything) table.add(brief_row(line));
      text += table.print();
    }
    if (what.contains("pools")) text += pool_table(summary);
    if (what.contains("osds")) text += osd_table(call.around.stats);
    return CommandResult::print(text, said);
  }
  JsonArray pgs, brief, pools, osds;
  std::uint64_t copies = 0;
  for (const auto& line : everything) {
    pgs.emplace_back(dump_pg(line, size_of(call, line.pg)));
    brief.emplace_back(dump_pg_briefly(line));
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

CommandResult pg_map(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  auto raw = msg::PgId::parse(call.arguments.text("pgid"));
  const auto* pool = raw ? map.pool(raw->pool) : nullptr;
  if (!pool) return CommandResult::fail(-ENOENT, fmt::format("pg '{}' does not exist", call.arguments.text("pgid")));
  msg::PgId pg{raw->pool, pool->pg_seed(raw->seed)};
  auto place = map.place(pg);
  if (!call.is_plain())
    return call.json(JsonObject{{"epoch", map.epoch.value},
                                {"raw_pgid", raw->describe()},
                                {"pgid", pg.describe()},
                                {"up", numbers(place.up)},
                                {"acting", numbers(place.acting)}});
  return CommandResult::print(fmt::format("osdmap e{} pg {} ({}) -> up [{}] acting [{}]\n", map.epoch.value,
                                          raw->describe(), pg.describe(), join_numbers(place.up),
                                          join_numbers(place.acting)));
}

/// Sends a request to the primaries of PGs (or of whole pools); their reports show what comes of it.
CommandResult act(const CommandCall& call, msg::PgAction::Kind kind, const char* verb) {
  const auto& map = call.state.osd().map();
  std::vector<msg::PgId> pgs;
  for (const auto& text : call.arguments.list("pgid")) {
    auto pg = msg::PgId::parse(text);
    const auto* pool = pg ? map.pool(pg->pool) : nullptr;
    if (!pool || pg->seed >= pool->pg_num) return CommandResult::fail(-ENOENT, fmt::format("pg {} dne", text));
    pgs.push_back(*pg);
  }
  for (const auto& name : call.arguments.list("who")) {
    auto found = find_pool(call.state, name);
    if (!found) return std::move(found.problem);
    for (std::uint32_t seed = 0; seed < found.pool->pg_num; ++seed) pgs.push_back({found.id, seed});
  }
  std::map<std::int32_t, msg::PgAction> by_osd;
  for (auto pg : pgs) {
    auto primary = map.place(pg).acting_primary;
    if (primary < 0) return CommandResult::fail(-EAGAIN, fmt::format("pg {} has no primary osd", pg.describe()));
    by_osd[primary].kind = kind;
    by_osd[primary].pgs.push_back(pg);
  }
  std::string text;
  for (const auto& [osd, action] : by_osd) {
    msg::KeyName name{static_cast<std::uint32_t>(msg::EntityType::osd), std::to_string(osd)};
    auto session = call.around.sessions.find(name);
    if (!session) return CommandResult::fail(-EAGAIN, fmt::format("osd.{} is not connected", osd));
    session->send(action);
    for (auto pg : action.pgs)
      text += fmt::format("{}instructing pg {} on osd.{} to {}", text.empty() ? "" : "\n", pg.describe(), osd, verb);
  }
  return CommandResult::say(text);
}
CommandResult pg_scrub(const CommandCall& call) {
  return act(call, msg::PgAction::Kind::scrub, "scrub");
}
CommandResult pg_deep_scrub(const CommandCall& call) {
  return act(call, msg::PgAction::Kind::deep_scrub, "deep-scrub");
}
CommandResult pg_repair(const CommandCall& call) {
  return act(call, msg::PgAction::Kind::repair, "repair");
}
CommandResult pg_force_recovery(const CommandCall& call) {
  return act(call, msg::PgAction::Kind::force_recovery, "force-recovery");
}
CommandResult pg_force_backfill(const CommandCall& call) {
  return act(call, msg::PgAction::Kind::force_backfill, "force-backfill");
}

// --- OSDs by what they hold -----------------------------------------------------------------------------------------

CommandResult osd_perf(const CommandCall& call) {
  JsonArray list;
  using enum TextTable::Align;
  TextTable table({{"osd", left, right}, {"commit_latency(ms)", left, right}, {"apply_latency(ms)", left, right}});
  for (const auto& [id, report] : call.around.stats.osds()) {
    const auto& b = report.beacon;
    list.push_back(
        JsonObject{{"id", id},
                   {"perf_stats", JsonObject{{"commit_latency_ms", b.commit_latency_ms},
                                             {"apply_latency_ms", b.apply_latency_ms},
                                             {"commit_latency_ns", std::uint64_t{b.commit_latency_ms} * 1'000'000},
                                             {"apply_latency_ns", std::uint64_t{b.apply_latency_ms} * 1'000'000}}}});
    table.add({std::to_string(id), std::to_string(b.commit_latency_ms), std::to_string(b.apply_latency_ms)});
  }
  if (call.is_plain()) return CommandResult::print(table.print());
  return call.json(JsonObject{{"pg_ready", true}, {"osdstats", JsonObject{{"osd_perf_infos", list}}}});
}

struct Filling {
  std::uint64_t total = 0, used = 0, data = 0, omap = 0, meta = 0, available = 0, pgs = 0;
  double share() const { return total ? 100.0 * static_cast<double>(used) / static_cast<double>(total) : 0; }
  void add(const Filling& other) {
    total += other.total;
    used += other.used;
    data += other.data;
    omap += other.omap;
    meta += other.meta;
    available += other.available;
  }
};

Filling filling_of(const CommandCall& call, std::int32_t id) {
  const auto* report = call.around.stats.osd(id);
  if (!report) return {};
  const auto& b = report->beacon;
  return {b.space.total,
          b.space.total - b.space.available,
          b.space.data_stored,
          b.space.omap_used,
          b.space.internal_used,
          b.space.available,
          b.pgs_held};
}

CommandResult osd_df(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  bool tree = call.arguments.text("output_method") == "tree";
  std::string filter_by = call.arguments.text("filter_by"), filter = call.arguments.text("filter");
  std::set<crush::ItemId> below;
  if (filter_by == "name") {
    auto item = map.crush->item_by_name(filter);
    if (!item) return CommandResult::fail(-EINVAL, fmt::format("'{}' not a valid crush name", filter));
    below = map.crush->devices_under(*item);
  }
  auto wanted = [&](std::int32_t id) {
    const auto* osd = map.osd(id);
    if (!osd || !osd->exists()) return false;
    if (filter_by == "name") return below.contains(id);
    if (filter_by == "class") return map.crush->item_class(id) == filter;
    return true;
  };
  Filling sum;
  std::vector<double> shares;
  for (std::size_t i = 0; i < map.osds.size(); ++i) {
    auto id = static_cast<std::int32_t>(i);
    if (!wanted(id) || !map.is_in(id)) continue;
    auto one = filling_of(call, id);
    sum.add(one);
    if (one.total) shares.push_back(one.share());
  }
  double average = sum.share();
  auto variation = [&](double share) { return average > 0 ? share / average : 1.0; };
  double low = 1, high = 1, deviation = 0;
  if (!shares.empty()) {
    low = variation(std::ranges::min(shares));
    high = variation(std::ranges::max(shares));
    for (double share : shares) deviation += (share - average) * (share - average);
    deviation = std::sqrt(deviation / static_cast<double>(shares.size()));
  }
  using enum TextTable::Align;
  std::vector<TextTable::Column> columns{{"ID", left, right},       {"CLASS", left, right}, {"WEIGHT", left, right},
                                         {"REWEIGHT", left, right}, {"SIZE", left, right},  {"RAW USE", left, right},
                                         {"DATA", left, right},     {"OMAP", left, right},  {"META", left, right},
                                         {"AVAIL", left, right},    {"%USE", left, right},  {"VAR", left, right},
                                         {"PGS", left, right},      {"STATUS", left, right}};
  if (tree) columns.push_back({"TYPE NAME", left, left});
  TextTable table(columns);
  JsonArray nodes;
  auto kib = [](std::uint64_t bytes) { return bytes / 1024; };
  for (const auto& node : crush::walk_tree(*map.crush)) {
    bool bucket = crush::is_bucket(node.id);
    if (bucket && !tree) continue;
    if (!bucket && !wanted(node.id)) continue;
    Filling one;
    if (bucket) {
      for (auto device : map.crush->devices_under(node.id))
        if (wanted(device) && map.is_in(device)) one.add(filling_of(call, device));
    } else {
      one = filling_of(call, node.id);
    }
    const auto* osd = bucket ? nullptr : map.osd(node.id);
    std::string status = !osd                                      ? ""
                         : osd->is_up()                            ? "up"
                         : osd->state & maps::osd_state::destroyed ? "destroyed"
                                                                   : "down";
    std::vector<std::string> row{std::to_string(node.id),
                                 node.device_class,
                                 fmt::format("{:.5f}", crush::from_weight(node.weight)),
                                 osd ? fmt::format("{:.5f}", static_cast<double>(osd->weight) / maps::weight_in) : "-",
                                 print_bytes(one.total),
                                 print_bytes(one.used),
                                 print_bytes(one.data),
                                 print_bytes(one.omap),
                                 print_bytes(one.meta),
                                 print_bytes(one.available),
                                 fmt::format("{:.2f}", one.share()),
                                 fmt::format("{:.2f}", variation(one.share())),
                                 osd ? std::to_string(one.pgs) : "-",
                                 status};
    if (tree)
      row.push_back(std::string(static_cast<std::size_t>(node.depth) * 4, ' ') +
                    (bucket ? node.type + " " + node.name : node.name));
    table.add(std::move(row));
    JsonObject out{{"id", node.id}};
    if (!node.device_class.empty()) out["device_class"] = node.device_class;
    out["name"] = node.name;
    out["type"] = node.type;
    out["type_id"] = node.type_id;
    out["crush_weight"] = crush::from_weight(node.weight);
    out["depth"] = node.depth;
    out["pool_weights"] = JsonObject{};
    out["reweight"] = osd ? static_cast<double>(osd->weight) / maps::weight_in : -1.0;
    out["kb"] = kib(one.total);
    out["kb_used"] = kib(one.used);
    out["kb_used_data"] = kib(one.data);
    out["kb_used_omap"] = kib(one.omap);
    out["kb_used_meta"] = kib(one.meta);
    out["kb_avail"] = kib(one.available);
    out["utilization"] = one.share();
    out["var"] = variation(one.share());
    out["pgs"] = one.pgs;
    if (osd) out["status"] = status;
    if (bucket) {
      JsonArray children;
      for (auto child : node.children) children.emplace_back(child);
      out["children"] = children;
    }
    nodes.emplace_back(out);
  }
  if (!call.is_plain())
    return call.json(JsonObject{{"nodes", nodes},
                                {"stray", JsonArray{}},
                                {"summary", JsonObject{{"total_kb", kib(sum.total)},
                                                       {"total_kb_used", kib(sum.used)},
                                                       {"total_kb_used_data", kib(sum.data)},
                                                       {"total_kb_used_omap", kib(sum.omap)},
                                                       {"total_kb_used_meta", kib(sum.meta)},
                                                       {"total_kb_avail", kib(sum.available)},
                                                       {"average_utilization", average},
                                                       {"min_var", low},
                                                       {"max_var", high},
                                                       {"dev", deviation}}}});
  table.add({"", "", "", "TOTAL", print_bytes(sum.total), print_bytes(sum.used), print_bytes(sum.data),
             print_bytes(sum.omap), print_bytes(sum.meta), print_bytes(sum.available), fmt::format("{:.2f}", average)});
  return CommandResult::print(table.print() +
                              fmt::format("MIN/MAX VAR: {:.2f}/{:.2f}  STDDEV: {:.2g}\n", low, high, deviation));
}

CommandResult pool_stats(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  if (call.arguments.has("pool_name")) {
    auto found = find_pool(call.state, call.arguments.text("pool_name"));
    if (!found) return std::move(found.problem);
  }
  auto summary = call.around.stats.summarize(map);
  JsonArray list;
  std::string text;
  for (const auto& [id, name] : map.pool_names) {
    if (call.arguments.has("pool_name") && call.arguments.text("pool_name") != name) continue;
    const auto& sum = summary.pools[id].sum;
    JsonObject recovery;
    text += fmt::format("pool {} id {}\n", name, id);
    if (sum.degraded) {
      recovery["degraded_objects"] = sum.degraded;
      text += fmt::format("  {} objects degraded\n", sum.degraded);
    } else {
      text += "  nothing is going on\n";
    }
    text += "\n";
    list.push_back(JsonObject{{"pool_name", name},
                              {"pool_id", id},
                              {"recovery", recovery},
                              {"recovery_rate", JsonObject{}},
                              {"client_io_rate", JsonObject{}}});
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

/// Whether PGs would keep enough copies without some OSDs.
struct StopCheck {
  std::vector<std::int32_t> osds;
  std::vector<std::string> bad;
  std::size_t fine = 0;
  CommandResult problem;
};
StopCheck check_stop(const CommandCall& call) {
  StopCheck check;
  const auto& map = call.state.osd().map();
  for (const auto& text : call.arguments.list("ids")) {
    auto id = parse_osd(text);
    const auto* osd = id ? map.osd(*id) : nullptr;
    if (!osd || !osd->exists()) {
      check.problem = CommandResult::fail(-ENOENT, fmt::format("osd.{} does not exist", text));
      return check;
    }
    check.osds.push_back(*id);
  }
  for (const auto& [id, pool] : map.pools)
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed) {
      auto acting = map.place({id, seed}).acting;
      std::size_t before = acting.size();
      std::erase_if(acting, [&](auto each) { return std::ranges::count(check.osds, each) > 0; });
      if (acting.size() == before) continue;
      if (acting.size() < pool.min_size)
        check.bad.push_back(msg::PgId{id, seed}.describe());
      else
        ++check.fine;
    }
  return check;
}

CommandResult ok_to_stop(const CommandCall& call) {
  auto check = check_stop(call);
  if (check.problem.result < 0) return std::move(check.problem);
  JsonArray bad;
  for (const auto& pg : check.bad) bad.emplace_back(pg);
  JsonObject out{{"ok_to_stop", check.bad.empty()},
                 {"osds", numbers(check.osds)},
                 {"num_ok_pgs", check.fine},
                 {"num_not_ok_pgs", check.bad.size()}};
  if (!check.bad.empty()) out["bad_become_inactive"] = bad;
  auto result = call.json(out);
  if (!check.bad.empty()) {
    result.result = -EBUSY;
    result.text =
        fmt::format("unsafe to stop osd(s) at this time ({} PGs are or would become offline)", check.bad.size());
  }
  return result;
}

CommandResult safe_to_destroy(const CommandCall& call) {
  auto check = check_stop(call);
  if (check.problem.result < 0) return std::move(check.problem);
  // Safe is what holds no PG at all any more, by the map and by its own word.
  JsonArray safe, active_osds;
  std::string stuck;
  for (auto id : check.osds) {
    if (call.around.stats.needs(id, call.state.osd().map())) {
      active_osds.emplace_back(id);
      stuck += fmt::format("{}{}", stuck.empty() ? "" : ",", id);
    } else {
      safe.emplace_back(id);
    }
  }
  auto result = call.json(JsonObject{
      {"safe_to_destroy", safe}, {"active", active_osds}, {"missing_stats", JsonArray{}}, {"stored_pgs", JsonArray{}}});
  if (!stuck.empty()) {
    result.result = -EBUSY;
    result.text = fmt::format("OSD(s) {} have PGs currently mapped to them", stuck);
  }
  return result;
}

/// How evenly PGs are spread over the OSDs that are in.
CommandResult utilization(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  std::map<std::int32_t, std::uint64_t> held;
  for (std::size_t id = 0; id < map.osds.size(); ++id)
    if (map.is_in(static_cast<std::int32_t>(id))) held[static_cast<std::int32_t>(id)] = 0;
  std::uint64_t total = 0;
  for (const auto& [id, pool] : map.pools)
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed)
      for (auto osd : map.place({id, seed}).acting)
        if (held.contains(osd)) {
          ++held[osd];
          ++total;
        }
  if (held.empty()) return CommandResult::say("no OSD is in");
  double count = static_cast<double>(held.size()), average = static_cast<double>(total) / count, squares = 0;
  for (const auto& [id, pgs] : held) squares += std::pow(static_cast<double>(pgs) - average, 2);
  double deviation = std::sqrt(squares / count);
  // Of as many balls thrown into as many bins (Ceph: OSDMap::summarize_mapping_stats).
  double expected = std::sqrt(static_cast<double>(total) / count * (1.0 - 1.0 / count));
  auto [least, most] = std::ranges::minmax_element(held, {}, [](const auto& each) { return each.second; });
  if (!call.is_plain())
    return call.json(JsonObject{{"avg_pgs", average},
                                {"std_dev", deviation},
                                {"expected_baseline_std_dev", expected},
                                {"min_osd", least->first},
                                {"min_osd_pgs", least->second},
                                {"max_osd", most->first},
                                {"max_osd_pgs", most->second}});
  auto share = [&](std::uint64_t pgs) { return average > 0 ? static_cast<double>(pgs) / average : 0.0; };
  return CommandResult::print(
      fmt::format("avg {:.6g}\nstddev {:.6g} (expected baseline {:.6g})\nmin osd.{} with {} pgs ({:.6g} * mean)\nmax "
                  "osd.{} with {} "
                  "pgs ({:.6g} * mean)\n",
                  average, deviation, expected, least->first, least->second, share(least->second), most->first,
                  most->second, share(most->second)));
}

constexpr CommandRow rows[] = {
    {"pg stat", "summarize the PGs", "pg", "r", pg_stat},
    {"pg dump name=dumpcontents,type=CephChoices,strings=all|summary|sum|delta|pools|osds|pgs|pgs_brief,n=N,req=false",
     "print what is known of the PGs", "pg", "r", pg_dump},
    {"pg dump_json name=dumpcontents,type=CephChoices,strings=all|summary|sum|pools|osds|pgs,n=N,req=false",
     "print what is known of the PGs", "pg", "r", pg_dump},
    {"pg ls name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false", "list PGs", "pg", "r", pg_ls},
    {"pg ls-by-pool name=poolstr,type=CephString name=states,type=CephString,n=N,req=false", "list PGs of a pool", "pg",
     "r", pg_ls},
    {"pg ls-by-osd name=osd,type=CephOsdName name=pool,type=CephInt,req=false "
     "name=states,type=CephString,n=N,req=false",
     "list PGs on an OSD", "pg", "r", pg_ls},
    {"pg ls-by-primary name=osd,type=CephOsdName name=pool,type=CephInt,req=false "
     "name=states,type=CephString,n=N,req=false",
     "list PGs that an OSD is primary of", "pg", "r", pg_ls},
    {"pg dump_stuck name=stuckops,type=CephChoices,strings=inactive|unclean|stale|undersized|degraded,n=N,req=false "
     "name=threshold,type=CephInt,req=false",
     "list PGs that are not well", "pg", "r", pg_dump_stuck},
    {"pg map name=pgid,type=CephPgid", "show where a PG is", "pg", "r", pg_map},
    {"pg scrub name=pgid,type=CephPgid", "compare a PG's copies", "pg", "rw", pg_scrub},
    {"pg deep-scrub name=pgid,type=CephPgid", "read and compare a PG's copies", "pg", "rw", pg_deep_scrub},
    {"pg repair name=pgid,type=CephPgid", "repair what a scrub found in a PG", "pg", "rw", pg_repair},
    {"pg force-recovery name=pgid,type=CephPgid,n=N", "recover PGs first", "pg", "rw", pg_force_recovery},
    {"pg force-backfill name=pgid,type=CephPgid,n=N", "backfill PGs first", "pg", "rw", pg_force_backfill},
    {"osd pool scrub name=who,type=CephPoolname,n=N", "scrub every PG of pools", "osd", "rw", pg_scrub},
    {"osd pool deep-scrub name=who,type=CephPoolname,n=N", "deep-scrub every PG of pools", "osd", "rw", pg_deep_scrub},
    {"osd pool repair name=who,type=CephPoolname,n=N", "repair every PG of pools", "osd", "rw", pg_repair},
    {"osd pool stats name=pool_name,type=CephPoolname,req=false", "show what goes on in pools", "osd", "r", pool_stats},
    {"osd utilization", "show how evenly PGs are spread", "osd", "r", utilization},
    {"osd perf", "show how long OSDs take to commit", "osd", "r", osd_perf},
    {"osd df name=output_method,type=CephChoices,strings=plain|tree,req=false "
     "name=filter_by,type=CephChoices,strings=class|name,req=false name=filter,type=CephString,req=false",
     "show how full OSDs are", "osd", "r", osd_df},
    {"osd ok-to-stop name=ids,type=CephString,n=N name=max,type=CephInt,req=false",
     "tell whether everything stays available without some OSDs", "osd", "r", ok_to_stop},
    {"osd safe-to-destroy name=ids,type=CephString,n=N", "tell whether OSDs hold nothing any more", "osd", "r",
     safe_to_destroy},
};

}  // namespace

std::span<const CommandRow> pg_commands() {
  return rows;
}

}  // namespace spirula::mon
