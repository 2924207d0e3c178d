#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/config.h"
#include "crush/dump.h"
#include "maps/daemon_link.h"
#include "mon/cluster_stats.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/health.h"
#include "mon/session.h"
#include "mon/text_table.h"

/// The cluster as a whole: status, health, space, versions, the log, the monitors.
namespace spirula::mon {
namespace {

constexpr const char* unknown_version = "unknown";

double seconds_between(msg::Time from, msg::Time to) {
  return std::chrono::duration<double>(to.wall() - from.wall()).count();
}

std::string since(msg::Time when, msg::Time now) {
  return when.seconds == 0 ? std::string() : fmt::format(" (since {})", print_age(seconds_between(when, now)));
}

JsonObject osd_summary(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  return {{"epoch", map.epoch.value},
          {"num_osds", map.count_existing()},
          {"num_up_osds", map.count_up()},
          {"osd_up_since", map.last_up_change.seconds},
          {"num_in_osds", map.count_in()},
          {"osd_in_since", map.last_in_change.seconds},
          {"num_remapped_pgs", call.around.stats.summarize(map).pgs_remapped}};
}

JsonObject mds_summary(const maps::FsMap& map) {
  JsonArray by_rank;
  std::size_t up = 0, in = 0, most = 0;
  JsonObject out{{"epoch", map.epoch.value}};
  if (map.file_systems.size() == 1) out["id"] = map.file_systems.front().fscid;
  for (const auto& fs : map.file_systems) {
    up += fs.mds_map.up.size();
    in += fs.mds_map.in.size();
    most += static_cast<std::size_t>(fs.mds_map.max_mds);
    for (const auto& [rank, gid] : fs.mds_map.up)
      if (const auto* info = fs.mds_map.holder(rank))
        by_rank.push_back(JsonObject{{"filesystem_id", fs.fscid},
                                     {"rank", rank},
                                     {"name", info->name},
                                     {"status", msg::describe(info->state)},
                                     {"gid", gid.value}});
  }
  out["up"] = up;
  out["in"] = in;
  out["max"] = most;
  out["by_rank"] = by_rank;
  out["up:standby"] = map.standbys.size();
  return out;
}

CommandResult status_json(const CommandCall& call, const Health& health) {
  const auto& map = call.state.osd().map();
  const auto& mons = call.state.mon().map();
  auto summary = call.around.stats.summarize(map);
  JsonArray by_state;
  for (const auto& [count, name] : states_by_count(summary.all))
    by_state.push_back(JsonObject{{"state_name", name}, {"count", count}});
  const auto& sum = summary.all.sum;
  JsonObject pgs{{"pgs_by_state", by_state},
                 {"num_pgs", summary.all.pgs},
                 {"num_pools", map.pools.size()},
                 {"num_objects", sum.objects},
                 {"data_bytes", sum.bytes},
                 {"bytes_used", summary.space.total - summary.space.available},
                 {"bytes_avail", summary.space.available},
                 {"bytes_total", summary.space.total}};
  if (sum.degraded) pgs["degraded_objects"] = sum.degraded;
  if (sum.misplaced) pgs["misplaced_objects"] = sum.misplaced;
  auto rates = call.around.stats.rates(call.around.monotonic);
  auto rate = [&](const char* name, double value) {
    if (value >= 1) pgs[name] = static_cast<std::uint64_t>(value);
  };
  rate("recovering_bytes_per_sec", rates.recovered_bytes);
  rate("recovering_objects_per_sec", rates.recovered_objects);
  rate("read_bytes_sec", rates.read_bytes);
  rate("write_bytes_sec", rates.written_bytes);
  rate("read_op_per_sec", rates.reads);
  rate("write_op_per_sec", rates.writes);
  return call.json(JsonObject{
      {"fsid", map.fsid.describe()},
      {"health", dump(health, false)},
      {"election_epoch", 1},
      {"quorum", JsonArray{0}},
      {"quorum_names", JsonArray{call.around.config.id()}},
      {"quorum_age", static_cast<std::uint64_t>(call.around.uptime_seconds)},
      {"monmap", JsonObject{{"epoch", mons.epoch.value},
                            {"min_mon_release_name", release_name(mons.min_release)},
                            {"num_mons", mons.monitors.size()}}},
      {"osdmap", osd_summary(call)},
      {"pgmap", pgs},
      {"fsmap", mds_summary(call.state.fs().map())},
      {"mgrmap",
       JsonObject{{"available", false}, {"num_standbys", 0}, {"modules", JsonArray{}}, {"services", JsonObject{}}}},
      {"servicemap", JsonObject{{"epoch", 1}, {"modified", mons.created.describe()}, {"services", JsonObject{}}}},
      {"progress_events", JsonObject{}}});
}

std::string status_text(const CommandCall& call, const Health& health) {
  const auto& map = call.state.osd().map();
  const auto& fs = call.state.fs().map();
  auto summary = call.around.stats.summarize(map);
  std::string text = "  cluster:\n";
  text += fmt::format("    id:     {}\n    health: {}\n", map.fsid.describe(), name_of(health.status()));
  for (auto severity : {HealthStatus::error, HealthStatus::warning})
    for (const auto& [code, check] : health.checks)
      if (check.severity == severity && !check.muted) text += "            " + check.summary + "\n";
  if (auto muted = health.muted_codes(); !muted.empty())
    text += fmt::format("            (muted: {})\n", join(muted, " "));
  text += " \n  services:\n";
  text += fmt::format("    mon: {} daemons, quorum {} (age {})\n", call.state.mon().map().monitors.size(),
                      call.around.config.id(), print_age(call.around.uptime_seconds));
  if (!fs.file_systems.empty() || !fs.standbys.empty()) {
    std::size_t up = 0, most = 0;
    for (const auto& each : fs.file_systems) {
      up += each.mds_map.up.size();
      most += static_cast<std::size_t>(each.mds_map.max_mds);
    }
    text += fs.file_systems.empty() ? "    mds:" : fmt::format("    mds: {}/{} daemons up", up, most);
    if (!fs.standbys.empty())
      text += fmt::format("{} {} standby", fs.file_systems.empty() ? "" : ",", fs.standbys.size());
    text += "\n";
  }
  text += fmt::format("    osd: {} osds: {} up{}, {} in{}", map.count_existing(), map.count_up(),
                      map.count_existing() ? since(map.last_up_change, call.around.now) : "", map.count_in(),
                      map.count_existing() ? since(map.last_in_change, call.around.now) : "");
  if (summary.pgs_remapped) text += fmt::format("; {} remapped pgs", summary.pgs_remapped);
  text += "\n";
  if (std::string flags = print_notable_flags(map); !flags.empty()) text += "         flags " + flags + "\n";
  text += " \n  data:\n";
  if (!fs.file_systems.empty()) {
    std::size_t healthy = 0;
    for (const auto& each : fs.file_systems) {
      const auto* holder = each.mds_map.holder(0);
      healthy += holder && holder->state == maps::MdsState::active && each.mds_map.failed.empty();
    }
    text += fmt::format("    volumes: {}/{} healthy\n", healthy, fs.file_systems.size());
  }
  const auto& sum = summary.all.sum;
  text += fmt::format("    pools:   {} pools, {} pgs\n    objects: {} objects, {}\n", map.pools.size(), summary.all.pgs,
                      print_count(sum.objects), print_bytes(sum.bytes));
  text +=
      fmt::format("    usage:   {} used, {} / {} avail\n", print_bytes(summary.space.total - summary.space.available),
                  print_bytes(summary.space.available), print_bytes(summary.space.total));
  text += "    pgs:     ";
  std::string lines;
  auto percent = [&](std::uint64_t part, std::uint64_t whole) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(1, whole));
  };
  auto line = [&](const std::string& what) { lines += (lines.empty() ? "" : "             ") + what + "\n"; };
  if (summary.pgs_unknown) line(fmt::format("{:.3f}% pgs unknown", percent(summary.pgs_unknown, summary.all.pgs)));
  if (summary.pgs_inactive > summary.pgs_unknown)
    line(fmt::format("{:.3f}% pgs not active", percent(summary.pgs_inactive - summary.pgs_unknown, summary.all.pgs)));
  std::uint64_t copies = 0;
  for (const auto& [id, usage] : summary.pools) copies += usage.sum.objects * map.pools.at(id).size;
  if (sum.degraded)
    line(fmt::format("{}/{} objects degraded ({:.3f}%)", sum.degraded, copies, percent(sum.degraded, copies)));
  if (sum.misplaced)
    line(fmt::format("{}/{} objects misplaced ({:.3f}%)", sum.misplaced, copies, percent(sum.misplaced, copies)));
  auto states = states_by_count(summary.all);
  std::size_t width = 0;
  for (const auto& [count, name] : states) width = std::max(width, std::to_string(count).size());
  for (const auto& [count, name] : states) line(fmt::format("{:<{}} {}", count, width, name));
  text += lines.empty() ? "\n" : lines;
  auto rates = call.around.stats.rates(call.around.monotonic);
  auto bytes = [](double value) { return print_bytes(static_cast<std::uint64_t>(value)); };
  auto count = [](double value) { return print_count(static_cast<std::uint64_t>(value)); };
  std::vector<std::string> io;
  if (rates.read_bytes >= 1) io.push_back(bytes(rates.read_bytes) + "/s rd");
  if (rates.written_bytes >= 1) io.push_back(bytes(rates.written_bytes) + "/s wr");
  if (rates.reads >= 1 || rates.writes >= 1) {
    io.push_back(count(rates.reads) + " op/s rd");
    io.push_back(count(rates.writes) + " op/s wr");
  }
  if (!io.empty() || rates.recovered_bytes >= 1) {
    text += " \n  io:\n";
    if (!io.empty()) text += "    client:   " + join(io, ", ") + "\n";
    if (rates.recovered_bytes >= 1)
      text += fmt::format("    recovery: {}/s, {} objects/s\n", bytes(rates.recovered_bytes),
                          count(rates.recovered_objects));
  }
  return text + " \n";
}

CommandResult status(const CommandCall& call) {
  auto health = assess(call.state, call.around);
  if (!call.is_plain()) return status_json(call, health);
  return CommandResult::print(status_text(call, health));
}

JsonObject space_json(const msg::OsdSpace& space) {
  std::uint64_t used = space.total - space.available;
  return {{"total_bytes", space.total},
          {"total_avail_bytes", space.available},
          {"total_used_bytes", used},
          {"total_used_raw_bytes", used},
          {"total_used_raw_ratio", space.total ? static_cast<double>(used) / static_cast<double>(space.total) : 0.0}};
}

std::string percent_text(double ratio) {
  double percent = ratio * 100;
  return percent == 0 || percent < 0.005 ? "0" : fmt::format("{:.2f}", percent);
}

CommandResult df(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  auto summary = call.around.stats.summarize(map);
  std::map<std::string, msg::OsdSpace> classes;
  for (const auto& [id, report] : call.around.stats.osds()) {
    if (!map.is_in(id)) continue;
    auto& space = classes[std::string(map.crush->item_class(id))];
    space.total += report.beacon.space.total;
    space.available += report.beacon.space.available;
  }
  bool detail = call.arguments.has("detail");
  JsonArray pools;
  using enum TextTable::Align;
  std::vector<TextTable::Column> columns{
      {"POOL", left, left}, {"ID", right, right}, {"PGS", right, right}, {"STORED", right, right}};
  if (detail) columns.insert(columns.end(), {{"(DATA)", right, right}, {"(OMAP)", right, right}});
  columns.push_back({"OBJECTS", right, right});
  columns.push_back({"USED", right, right});
  if (detail) columns.insert(columns.end(), {{"(DATA)", right, right}, {"(OMAP)", right, right}});
  columns.insert(columns.end(), {{"%USED", right, right}, {"MAX AVAIL", right, right}});
  if (detail)
    columns.insert(columns.end(), {{"QUOTA OBJECTS", right, right},
                                   {"QUOTA BYTES", right, right},
                                   {"DIRTY", right, right},
                                   {"USED COMPR", right, right},
                                   {"UNDER COMPR", right, right}});
  TextTable pool_table(columns);
  for (const auto& [id, pool] : map.pools) {
    const auto& sum = summary.pools[id].sum;
    std::uint64_t stored = sum.bytes + sum.omap_bytes, used = stored * pool.size;
    std::uint64_t available = call.around.stats.available_to(pool, map);
    double ratio = used ? static_cast<double>(used) / static_cast<double>(used + available * pool.size) : 0.0;
    JsonObject stats{{"stored", stored}};
    if (detail) {
      stats["stored_data"] = sum.bytes;
      stats["stored_omap"] = sum.omap_bytes;
    }
    stats["objects"] = sum.objects;
    stats["kb_used"] = (used + 1023) / 1024;
    stats["bytes_used"] = used;
    if (detail) {
      stats["data_bytes_used"] = sum.bytes * pool.size;
      stats["omap_bytes_used"] = sum.omap_bytes * pool.size;
    }
    stats["percent_used"] = ratio;
    stats["max_avail"] = available;
    if (detail) {
      stats["quota_objects"] = pool.quota_objects;
      stats["quota_bytes"] = pool.quota_bytes;
      stats["dirty"] = 0;
      stats["rd"] = sum.reads;
      stats["rd_bytes"] = sum.read_bytes;
      stats["wr"] = sum.writes;
      stats["wr_bytes"] = sum.written_bytes;
      stats["compress_bytes_used"] = 0;
      stats["compress_under_bytes"] = 0;
      stats["stored_raw"] = used;
      stats["avail_raw"] = available * pool.size;
    }
    pools.push_back(JsonObject{{"name", map.pool_names.at(id)}, {"id", id}, {"stats", stats}});
    std::vector<std::string> row{map.pool_names.at(id), std::to_string(id), std::to_string(pool.pg_num),
                                 print_bytes(stored)};
    if (detail) row.insert(row.end(), {print_bytes(sum.bytes), print_bytes(sum.omap_bytes)});
    row.push_back(print_count(sum.objects));
    row.push_back(print_bytes(used));
    if (detail) row.insert(row.end(), {print_bytes(sum.bytes * pool.size), print_bytes(sum.omap_bytes * pool.size)});
    row.insert(row.end(), {percent_text(ratio), print_bytes(available)});
    if (detail)
      row.insert(row.end(), {pool.quota_objects ? print_count(pool.quota_objects) : "N/A",
                             pool.quota_bytes ? print_bytes(pool.quota_bytes) : "N/A", "N/A", "0 B", "0 B"});
    pool_table.add(std::move(row));
  }
  if (!call.is_plain()) {
    JsonObject totals = space_json(summary.space), by_class;
    totals["num_osds"] = map.count_existing();
    totals["num_per_pool_osds"] = map.count_existing();
    totals["num_per_pool_omap_osds"] = map.count_existing();
    for (const auto& [name, space] : classes)
      if (!name.empty()) by_class[name] = space_json(space);
    return call.json(JsonObject{{"stats", totals}, {"stats_by_class", by_class}, {"pools", pools}});
  }
  TextTable raw({{"CLASS", left, left},
                 {"SIZE", right, right},
                 {"AVAIL", right, right},
                 {"USED", right, right},
                 {"RAW USED", right, right},
                 {"%RAW USED", right, right}});
  auto add = [&](std::string name, const msg::OsdSpace& space) {
    std::uint64_t used = space.total - space.available;
    double ratio = space.total ? static_cast<double>(used) / static_cast<double>(space.total) : 0;
    raw.add({std::move(name), print_bytes(space.total), print_bytes(space.available), print_bytes(used),
             print_bytes(used), percent_text(ratio)});
  };
  for (const auto& [name, space] : classes)
    if (!name.empty()) add(name, space);
  add("TOTAL", summary.space);
  return CommandResult::print("--- RAW STORAGE ---\n" + raw.print() + " \n--- POOLS ---\n" + pool_table.print());
}

using Counts = std::map<std::string, std::uint64_t>;

Counts count_versions(const auto& metadata, const auto& counts) {
  Counts result;
  for (const auto& [id, facts] : metadata) {
    if (!counts(id)) continue;
    auto version = facts.find("ceph_version");
    ++result[version == facts.end() ? unknown_version : version->second];
  }
  return result;
}

Counts osd_versions(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  return count_versions(call.state.osd().metadata(), [&](std::int32_t id) { return map.is_up(id); });
}

Counts mds_versions(const CommandCall& call) {
  return count_versions(call.state.fs().metadata(), [](auto) { return true; });
}

JsonObject dump_counts(const Counts& counts) {
  JsonObject out;
  for (const auto& [name, count] : counts) out[name] = count;
  return out;
}

CommandResult versions(const CommandCall& call) {
  Counts mon{{own_version(), call.state.mon().map().monitors.size()}}, osd = osd_versions(call),
                                                                       mds = mds_versions(call), overall;
  for (const auto* each : {&mon, &osd, &mds})
    for (const auto& [name, count] : *each) overall[name] += count;
  return call.json(JsonObject{{"mon", dump_counts(mon)},
                              {"mgr", JsonObject{}},
                              {"osd", dump_counts(osd)},
                              {"mds", dump_counts(mds)},
                              {"overall", dump_counts(overall)}});
}

CommandResult osd_versions_command(const CommandCall& call) {
  return call.json(dump_counts(osd_versions(call)));
}
CommandResult mds_versions_command(const CommandCall& call) {
  return call.json(dump_counts(mds_versions(call)));
}
CommandResult mon_versions_command(const CommandCall& call) {
  return call.json(JsonObject{{own_version(), call.state.mon().map().monitors.size()}});
}

CommandResult features(const CommandCall& call) {
  std::map<std::string, std::map<std::uint64_t, std::uint64_t>> kinds;
  kinds["mon"][msg::features::all] = call.state.mon().map().monitors.size();
  for (const auto& session : call.around.sessions.all())
    ++kinds[msg::describe(static_cast<msg::EntityType>(session->name().type))][session->connection->peer_features()];
  JsonObject out;
  for (const auto& [kind, sets] : kinds) {
    JsonArray array;
    for (const auto& [bits, count] : sets)
      array.push_back(JsonObject{{"features", fmt::format("{:#x}", bits)},
                                 {"release", (bits & (1ull << 21)) ? "luminous" : "jewel"},
                                 {"num", count}});
    out[kind] = array;
  }
  return call.json(out);
}

CommandResult fsid(const CommandCall& call) {
  std::string text = call.state.osd().map().fsid.describe();
  if (!call.is_plain()) return call.json(JsonObject{{"fsid", text}});
  return CommandResult::print(text + "\n");
}

CommandResult version(const CommandCall& call) {
  if (!call.is_plain())
    return call.json(JsonObject{{"version", own_version()}, {"release", "pacific"}, {"release_type", "stable"}});
  return CommandResult::print(own_version());
}

// --- monitors -------------------------------------------------------------------------------------------------------

CommandResult mon_dump(const CommandCall& call) {
  const auto& map = call.state.mon().map();
  std::string said = fmt::format("dumped monmap epoch {}", map.epoch.value);
  if (call.arguments.integer("epoch").value_or(map.epoch.value) != map.epoch.value)
    return CommandResult::fail(-ENOENT, "there is no map for that epoch");
  if (call.is_plain()) return CommandResult::print(print(map), said);
  JsonObject out = dump(map);
  out["quorum"] = JsonArray{0};
  return call.json(out, said);
}

CommandResult mon_getmap(const CommandCall& call) {
  const auto& map = call.state.mon().map();
  if (call.arguments.integer("epoch").value_or(map.epoch.value) != map.epoch.value)
    return CommandResult::fail(-ENOENT, "there is no map for that epoch");
  return CommandResult::print(encode(map).to_string(), fmt::format("got monmap epoch {}", map.epoch.value));
}

CommandResult mon_stat(const CommandCall& call) {
  const auto& map = call.state.mon().map();
  const auto& id = call.around.config.id();
  if (!call.is_plain())
    return call.json(JsonObject{{"epoch", map.epoch.value},
                                {"min_mon_release_name", release_name(map.min_release)},
                                {"num_mons", map.monitors.size()},
                                {"leader", id},
                                {"quorum", JsonArray{JsonObject{{"rank", 0}, {"name", id}}}}});
  std::string where;
  for (const auto& [name, monitor] : map.monitors)
    where += fmt::format("{}{}={}", where.empty() ? "" : ",", name, print_protocol_address(monitor.addresses.msgr2()));
  return CommandResult::print(
      fmt::format("e{}: {} mons at {{{}}} removed_ranks: {{}}, election epoch 1, leader 0 {}, quorum 0 {}\n",
                  map.epoch.value, map.monitors.size(), where, id, id));
}

CommandResult quorum_status(const CommandCall& call) {
  const auto& id = call.around.config.id();
  return call.json(
      JsonObject{{"election_epoch", 1},
                 {"quorum", JsonArray{0}},
                 {"quorum_names", JsonArray{id}},
                 {"quorum_leader_name", id},
                 {"quorum_age", static_cast<std::uint64_t>(call.around.uptime_seconds)},
                 {"features", JsonObject{{"quorum_con", std::to_string(msg::features::all)},
                                         {"quorum_mon", dump(call.state.mon().map())["features"].at("persistent")}}},
                 {"monmap", dump(call.state.mon().map())}});
}

/// Facts about a monitor; there is one, and it is us.
msg::Metadata mon_facts(const maps::MonMap& map, const std::string& name) {
  auto facts = maps::daemon_metadata();
  if (auto found = map.monitors.find(name); found != map.monitors.end())
    facts["addrs"] = found->second.addresses.describe();
  return facts;
}

CommandResult mon_metadata(const CommandCall& call) {
  const auto& map = call.state.mon().map();
  JsonArray all;
  for (const auto& [name, monitor] : map.monitors) {
    if (call.arguments.has("id") && call.arguments.text("id") != name) continue;
    JsonObject one{{"name", name}};
    for (const auto& [key, value] : mon_facts(map, name)) one[key] = value;
    if (call.arguments.has("id")) return call.json(one);
    all.emplace_back(one);
  }
  if (call.arguments.has("id")) return CommandResult::fail(-ENOENT, "no such monitor");
  return call.json(all);
}

CommandResult mon_count_metadata(const CommandCall& call) {
  const auto& map = call.state.mon().map();
  std::map<std::string, std::uint64_t> counts;
  for (const auto& [name, monitor] : map.monitors) {
    auto facts = mon_facts(map, name);
    auto found = facts.find(call.arguments.text("property"));
    ++counts[found == facts.end() ? "unknown" : found->second];
  }
  return call.json(dump_counts(counts));
}

/// There is one monitor: without it there is none.
CommandResult mon_ok_to_stop(const CommandCall& call) {
  return CommandResult::fail(-EBUSY, fmt::format("not enough monitors would be available () after stopping mons [{}]",
                                                 join(call.arguments.list("ids"), ",")));
}

CommandResult mon_feature_ls(const CommandCall& call) {
  JsonObject features = mon::dump(call.state.mon().map())["features"].as_object();
  JsonObject all{{"all", JsonObject{{"supported", features["persistent"]}, {"persistent", features["persistent"]}}},
                 {"monmap", JsonObject{{"persistent", features["persistent"]},
                                       {"optional", features["optional"]},
                                       {"required", features["persistent"]}}}};
  if (!call.is_plain()) return call.json(all);
  std::string names;
  for (const auto& each : features["persistent"].as_array())
    names += (names.empty() ? "" : ",") + std::string(each.as_string());
  return CommandResult::print(
      fmt::format("all features\n\tsupported: [{0}]\n\tpersistent: [{0}]\non current monmap "
                  "(epoch {1})\n\tpersistent: [{0}]\n\trequired: [{0}]\n",
                  names, call.state.mon().map().epoch.value));
}

/// It is always spoken, and nothing else is.
CommandResult mon_enable_msgr2(const CommandCall&) {
  return {};
}

CommandResult node_ls(const CommandCall& call) {
  std::map<std::string, JsonArray> mons, osds, mdss;
  for (const auto& [name, monitor] : call.state.mon().map().monitors) mons[maps::hostname()].emplace_back(name);
  auto host = [](const msg::Metadata& facts) {
    auto found = facts.find("hostname");
    return found == facts.end() ? std::string("unknown") : found->second;
  };
  for (const auto& [id, facts] : call.state.osd().metadata()) osds[host(facts)].emplace_back(id);
  for (const auto& [gid, facts] : call.state.fs().metadata())
    if (auto found = call.state.fs().find(gid)) mdss[host(facts)].emplace_back(found.info->name);
  JsonObject out;
  auto add = [&](const char* kind, const auto& hosts) {
    JsonObject object;
    for (const auto& [name, ids] : hosts) object[name] = ids;
    out[kind] = object;
  };
  std::string type = call.arguments.text("type");
  if (type.empty() || type == "all" || type == "mon") add("mon", mons);
  if (type.empty() || type == "all" || type == "osd") add("osd", osds);
  if (type.empty() || type == "all" || type == "mds") add("mds", mdss);
  if (type.empty() || type == "all") out["mgr"] = JsonObject{};
  if (!type.empty() && type != "all" && out.contains(type)) return call.json(out[type]);
  return call.json(out);
}

CommandResult time_sync_status(const CommandCall& call) {
  return call.json(JsonObject{{"timechecks", JsonObject{{"epoch", 1}, {"round", 0}, {"round_status", "finished"}}}});
}

CommandResult mgr_dump(const CommandCall& call) {
  return call.json(JsonObject{{"epoch", 1},
                              {"active_gid", 0},
                              {"active_name", ""},
                              {"available", false},
                              {"standbys", JsonArray{}},
                              {"modules", JsonArray{}},
                              {"available_modules", JsonArray{}},
                              {"services", JsonObject{}}});
}

CommandResult mgr_stat(const CommandCall& call) {
  return call.json(JsonObject{{"epoch", 1}, {"available", false}, {"active_name", ""}, {"num_standby", 0}});
}

CommandResult mgr_none_list(const CommandCall& call) {
  return call.json(JsonArray{});
}
CommandResult mgr_none_object(const CommandCall& call) {
  return call.json(JsonObject{});
}
CommandResult mgr_modules(const CommandCall& call) {
  return call.json(JsonObject{
      {"always_on_modules", JsonArray{}}, {"enabled_modules", JsonArray{}}, {"disabled_modules", JsonArray{}}});
}
CommandResult mgr_module_change(const CommandCall& call) {
  return CommandResult::fail(-EOPNOTSUPP, fmt::format("module '{}' cannot be enabled or disabled: there is no manager",
                                                      call.arguments.text("module")));
}

CommandResult service_dump(const CommandCall& call) {
  return call.json(
      JsonObject{{"epoch", 1}, {"modified", call.state.mon().map().created.describe()}, {"services", JsonObject{}}});
}

// --- the cluster log ------------------------------------------------------------------------------------------------

CommandResult log_last(const CommandCall& call) {
  auto count = static_cast<std::size_t>(call.arguments.integer("num").value_or(20));
  std::string channel = call.arguments.text("channel"), level = call.arguments.text("level");
  if (channel.empty()) channel = "cluster";
  auto least = msg::LogPriority::info;
  if (level == "debug") least = msg::LogPriority::debug;
  if (level == "sec") least = msg::LogPriority::security;
  if (level == "warn") least = msg::LogPriority::warning;
  if (level == "error") least = msg::LogPriority::error;
  std::vector<std::shared_ptr<const msg::LogEntry>> lines;
  for (const auto& [name, entries] : call.state.log().channels()) {
    if (channel != "*" && channel != name) continue;
    for (const auto& entry : entries)
      if (entry->priority >= least) lines.push_back(entry);
  }
  std::ranges::sort(lines, {}, [](const auto& entry) { return std::tuple(entry->stamp, entry->sequence); });
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  if (call.is_plain()) {
    std::string text;
    for (const auto& entry : lines) text += describe(*entry) + "\n";
    return CommandResult::print(std::move(text));
  }
  JsonArray array;
  for (const auto& entry : lines) array.emplace_back(mon::dump(*entry));
  return call.json(array);
}

CommandResult log_add(const CommandCall& call, Draft& draft) {
  msg::LogEntry entry;
  auto name = msg::KeyName::parse(call.caller);
  if (name) entry.name = *name;
  entry.stamp = call.around.now;
  entry.text = join(call.arguments.list("logtext"), " ");
  auto drafted = draft.change<LogService>({{entry}});
  if (!drafted) return CommandResult::fail(drafted.error(), "");
  return {};
}

CommandResult report(const CommandCall& call) {
  return call.json(JsonObject{{"cluster_fingerprint", call.state.mon().map().fsid.describe()},
                              {"version", own_version()},
                              {"timestamp", call.around.now.describe()},
                              {"health", mon::dump(assess(call.state, call.around), true)},
                              {"monmap", mon::dump(call.state.mon().map())},
                              {"osdmap", mon::dump(call.state.osd().map())},
                              {"fsmap", mon::dump(call.state.fs().map())},
                              {"crushmap", crush::dump(*call.state.osd().map().crush)},
                              {"osdmap_first_committed", call.state.osd().first().value},
                              {"osdmap_last_committed", call.state.osd().epoch().value}});
}

constexpr CommandRow rows[] = {
    {"status", "show cluster status", "mon", "r", status},
    {"df name=detail,type=CephChoices,strings=detail,req=false", "show how full the cluster is", "mon", "r", df},
    {"versions", "count daemons by version", "mon", "r", versions},
    {"osd versions", "count OSDs by version", "osd", "r", osd_versions_command},
    {"mds versions", "count MDSs by version", "mds", "r", mds_versions_command},
    {"mon versions", "count monitors by version", "mon", "r", mon_versions_command},
    {"features", "count sessions by kind and features", "mon", "r", features},
    {"fsid", "show the cluster's fsid", "mon", "r", fsid},
    {"version", "show the monitor's version", "mon", "r", version},
    {"report name=tags,type=CephString,n=N,req=false", "everything about the cluster in one JSON object", "mon", "r",
     report},
    {"quorum_status", "show the monitors' quorum", "mon", "r", quorum_status},
    {"mon dump name=epoch,type=CephInt,range=0,req=false", "print the monitor map", "mon", "r", mon_dump},
    {"mon getmap name=epoch,type=CephInt,range=0,req=false", "get the monitor map in binary form", "mon", "r",
     mon_getmap},
    {"mon stat", "summarize the monitors", "mon", "r", mon_stat},
    {"mon metadata name=id,type=CephString,req=false", "facts about monitors", "mon", "r", mon_metadata},
    {"mon count-metadata name=property,type=CephString", "count monitors by a fact", "mon", "r", mon_count_metadata},
    {"mon ok-to-stop name=ids,type=CephString,n=N", "tell whether the others would do", "mon", "r", mon_ok_to_stop},
    {"mon feature ls name=with_value,type=CephBool,req=false", "list the monitors' features", "mon", "r",
     mon_feature_ls},
    {"mon enable-msgr2", "speak the newer protocol: always so", "mon", "rw", mon_enable_msgr2},
    {"node ls name=type,type=CephChoices,strings=all|osd|mon|mds|mgr,req=false", "list daemons by host", "mon", "r",
     node_ls},
    {"time-sync-status", "show how far the monitors' clocks are apart", "mon", "r", time_sync_status},
    {"mgr dump name=epoch,type=CephInt,range=0,req=false", "print the manager map: there is no manager", "mgr", "r",
     mgr_dump},
    {"mgr stat", "summarize the managers: there is none", "mgr", "r", mgr_stat},
    {"mgr services", "list services of managers: there is none", "mgr", "r", mgr_none_object},
    {"mgr versions", "count managers by version: there is none", "mgr", "r", mgr_none_object},
    {"mgr metadata name=who,type=CephString,req=false", "facts about managers: there is none", "mgr", "r",
     mgr_none_list},
    {"mgr module ls", "list modules of managers: there is none", "mgr", "r", mgr_modules},
    {"mgr module enable name=module,type=CephString name=force,type=CephChoices,strings=--force,req=false",
     "refused: there is no manager", "mgr", "rw", mgr_module_change},
    {"mgr module disable name=module,type=CephString", "refused: there is no manager", "mgr", "rw", mgr_module_change},
    {"service status", "print the state of services: there is none", "service", "r", mgr_none_object},
    {"service dump", "print the service map", "service", "r", service_dump},
    {"log last name=num,type=CephInt,range=1,req=false "
     "name=level,type=CephChoices,strings=debug|info|sec|warn|error,req=false "
     "name=channel,type=CephChoices,strings=*|cluster|audit|cephadm,req=false",
     "print the last lines of the cluster log", "mon", "r", log_last},
    {"log name=logtext,type=CephString,n=N", "add a line to the cluster log", "mon", "rw", nullptr, log_add},
};

}  // namespace

const char* own_version() {
  return maps::version_text;
}

std::span<const CommandRow> cluster_commands() {
  return rows;
}

}  // namespace spirula::mon
