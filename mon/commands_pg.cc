#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/pg_listing.h"
#include "mon/text_table.h"

/// Placement groups: how many are how, which are where.
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

JsonObject dump_as(const char* name, const std::vector<PgLine>& lines) {
  JsonArray list;
  for (const auto& line : lines) list.emplace_back(dump(line));
  return {{"pg_ready", true}, {name, list}};
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
  auto lines = list_pgs(call, [&](const PgLine& line) {
    if (pool && line.pg.pool != *pool) return false;
    const auto& acting = line.report.acting;
    if (osd && primary_only && (acting.empty() || acting.front() != *osd)) return false;
    if (osd && !primary_only && std::ranges::find(acting, *osd) == acting.end()) return false;
    return (line.state & bits) == bits;
  });
  return call.is_plain() ? CommandResult::print(print(lines)) : call.json(dump_as("pg_stats", lines));
}

CommandResult pg_dump_stuck(const CommandCall& call) {
  auto kinds = call.arguments.list("stuckops");
  if (kinds.empty()) kinds = {"unclean"};
  auto lines = list_pgs(call, [&](const PgLine& line) {
    return std::ranges::any_of(kinds, [&](const std::string& kind) {
      if (kind == "inactive") return !(line.state & active);
      if (kind == "unclean") return !(line.state & clean);
      if (kind == "stale") return (line.state & stale) != 0;
      if (kind == "undersized") return (line.state & undersized) != 0;
      return (line.state & degraded) != 0;
    });
  });
  if (!call.is_plain()) return call.json(dump_as("stuck_pg_stats", lines), "ok");
  if (lines.empty()) return CommandResult::say("ok");
  return CommandResult::print(print_briefly(lines), "ok");
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

constexpr CommandRow rows[] = {
    {"pg stat", "summarize the PGs", "pg", "r", pg_stat},
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
};

}  // namespace

std::span<const CommandRow> pg_commands() {
  return rows;
}

}  // namespace spirula::mon
