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
#include "mon/text_table.h"

/// OSDs by what they hold: how full they are, how fast, and whether they can be done without.
namespace spirula::mon {
namespace {

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

std::span<const CommandRow> osd_usage_commands() {
  return rows;
}

}  // namespace spirula::mon
