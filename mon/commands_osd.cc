#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>

#include "base/config.h"
#include "crush/tree.h"
#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/commands_crush.h"
#include "mon/dump.h"
#include "mon/osd_edit.h"
#include "mon/text_table.h"

/// The OSD map as it is.
namespace spirula::mon {

namespace {

namespace state_bit = maps::osd_state;

/// The map of the epoch that was asked for.
struct MapAt {
  maps::OsdMap map;
  CommandResult problem;
  bool found = false;
};
MapAt map_at(const CommandCall& call) {
  MapAt at;
  const auto& osd = call.state.osd();
  auto epoch = call.arguments.integer("epoch").value_or(0);
  if (epoch == 0) epoch = osd.epoch().value;
  auto map = osd.map_at(msg::Epoch(static_cast<std::uint32_t>(epoch)));
  if (!map) {
    at.problem = CommandResult::fail(-ENOENT, fmt::format("there is no map for epoch {}", epoch));
    return at;
  }
  at.map = std::move(*map);
  at.found = true;
  return at;
}

CommandResult osd_stat(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  auto summary = call.around.stats.summarize(map);
  if (!call.is_plain())
    return call.json(JsonObject{{"epoch", map.epoch.value},
                                {"num_osds", map.count_existing()},
                                {"num_up_osds", map.count_up()},
                                {"osd_up_since", map.last_up_change.seconds},
                                {"num_in_osds", map.count_in()},
                                {"osd_in_since", map.last_in_change.seconds},
                                {"num_remapped_pgs", summary.pgs_remapped}});
  auto age = [&](msg::Time when) {
    return print_age(std::chrono::duration<double>(call.around.now.wall() - when.wall()).count());
  };
  std::string text =
      fmt::format("{} osds: {} up (since {}), {} in (since {}); epoch: e{}\n", map.count_existing(), map.count_up(),
                  age(map.last_up_change), map.count_in(), age(map.last_in_change), map.epoch.value);
  if (std::string flags = print_notable_flags(map); !flags.empty()) text += "flags " + flags + "\n";
  return CommandResult::print(std::move(text));
}

CommandResult osd_dump(const CommandCall& call) {
  auto at = map_at(call);
  if (!at.found) return std::move(at.problem);
  return call.is_plain() ? CommandResult::print(print(at.map)) : call.json(dump(at.map));
}

CommandResult osd_info(const CommandCall& call) {
  JsonObject all = dump(call.state.osd().map());
  if (!call.arguments.has("id")) {
    if (!call.is_plain()) return call.json(all["osds"]);
  } else {
    auto found = find_osd(call, call.state);
    if (!found.osd) return CommandResult::fail(-EINVAL, std::move(found.problem.text));
  }
  std::string text;
  auto wanted = parse_osd(call.arguments.text("id"));
  for (const Json& each : all["osds"].as_array()) {
    auto id = each.as_object().at("osd").to_number<std::int32_t>();
    if (wanted && *wanted != id) continue;
    if (wanted && !call.is_plain()) return call.json(each);
    std::string whole = print(call.state.osd().map()), start = fmt::format("\nosd.{} ", id);
    if (auto from = whole.find(start); from != whole.npos)
      text += whole.substr(from + 1, whole.find('\n', from + 1) - from);
  }
  return CommandResult::print(text);
}

CommandResult osd_ls(const CommandCall& call) {
  auto at = map_at(call);
  if (!at.found) return std::move(at.problem);
  JsonArray list;
  std::string text;
  for (std::size_t id = 0; id < at.map.osds.size(); ++id) {
    if (!at.map.osds[id].exists()) continue;
    list.emplace_back(id);
    text += fmt::format("{}\n", id);
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult osd_ls_tree(const CommandCall& call) {
  auto at = map_at(call);
  if (!at.found) return std::move(at.problem);
  auto item = at.map.crush->item_by_name(call.arguments.text("name"));
  if (!item) return CommandResult::fail(-ENOENT, fmt::format("\"{}\" does not exist", call.arguments.text("name")));
  JsonArray list;
  std::string text;
  for (auto id : at.map.crush->devices_under(*item)) {
    list.emplace_back(id);
    text += fmt::format("{}\n", id);
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

const char* status_name(const maps::Osd& osd) {
  if (osd.is_up()) return "up";
  return osd.state & state_bit::destroyed ? "destroyed" : "down";
}

/// Whether the node passes the state filter; buckets pass if anything below does.
bool passes(const maps::OsdMap& map, crush::ItemId id, const std::vector<std::string>& states) {
  if (states.empty()) return true;
  if (crush::is_bucket(id)) {
    for (auto device : map.crush->devices_under(id))
      if (passes(map, device, states)) return true;
    return false;
  }
  const auto* osd = existing_osd(map, id);
  if (!osd) return false;
  return std::ranges::all_of(states, [&](const std::string& state) {
    if (state == "up") return osd->is_up();
    if (state == "down") return !osd->is_up();
    if (state == "in") return osd->is_in();
    if (state == "out") return !osd->is_in();
    return (osd->state & state_bit::destroyed) != 0;
  });
}

CommandResult osd_tree(const CommandCall& call) {
  auto at = map_at(call);
  if (!at.found) return std::move(at.problem);
  const auto& map = at.map;
  std::vector<crush::TreeNode> nodes;
  if (call.arguments.has("bucket")) {
    auto item = map.crush->item_by_name(call.arguments.text("bucket"));
    if (!item || !crush::is_bucket(*item))
      return CommandResult::fail(-ENOENT, fmt::format("bucket '{}' does not exist", call.arguments.text("bucket")));
    nodes = crush::walk_tree(*map.crush, *item);
  } else {
    nodes = crush::walk_tree(*map.crush);
  }
  auto states = call.arguments.list("states");
  std::erase_if(nodes, [&](const auto& node) { return !passes(map, node.id, states); });
  std::vector<std::int32_t> stray;
  if (!call.arguments.has("bucket"))
    for (std::size_t id = 0; id < map.osds.size(); ++id)
      if (map.osds[id].exists() && !map.crush->weight_of(static_cast<std::int32_t>(id)) &&
          passes(map, static_cast<std::int32_t>(id), states))
        stray.push_back(static_cast<std::int32_t>(id));
  auto add_status = [&](JsonObject& out, std::int32_t id) {
    const auto* osd = existing_osd(map, id);
    out["exists"] = osd ? 1 : 0;
    out["status"] = osd ? status_name(*osd) : "DNE";
    out["reweight"] = osd ? static_cast<double>(osd->weight) / maps::weight_in : 0.0;
    out["primary_affinity"] = osd ? static_cast<double>(osd->primary_affinity) / maps::weight_in : 0.0;
  };
  if (!call.is_plain()) {
    JsonArray list, strays;
    for (const auto& node : nodes) {
      JsonObject out = dump_tree_node(node);
      if (crush::is_bucket(node.id)) {
        JsonArray children;
        for (auto child : node.children)
          if (passes(map, child, states)) children.emplace_back(child);
        out["children"] = children;
      } else {
        add_status(out, node.id);
      }
      list.emplace_back(out);
    }
    for (auto id : stray) {
      JsonObject out{{"id", id},          {"name", fmt::format("osd.{}", id)},
                     {"type", "osd"},     {"type_id", 0},
                     {"crush_weight", 0}, {"depth", 0}};
      add_status(out, id);
      strays.emplace_back(out);
    }
    return call.json(JsonObject{{"nodes", list}, {"stray", strays}});
  }
  using enum TextTable::Align;
  TextTable table({{"ID", left, right},
                   {"CLASS", left, right},
                   {"WEIGHT", left, right},
                   {"TYPE NAME", left, left},
                   {"STATUS", left, right},
                   {"REWEIGHT", left, right},
                   {"PRI-AFF", left, right}});
  auto fraction = [](std::uint32_t weight) {
    return fmt::format("{:.5f}", static_cast<double>(weight) / maps::weight_in);
  };
  auto add = [&](const crush::TreeNode& node) {
    std::vector<std::string> row{std::to_string(node.id), node.device_class,
                                 fmt::format("{:.5f}", crush::from_weight(node.weight)),
                                 std::string(static_cast<std::size_t>(node.depth) * 4, ' ') +
                                     (crush::is_bucket(node.id) ? node.type + " " + node.name : node.name)};
    if (!crush::is_bucket(node.id)) {
      if (const auto* osd = existing_osd(map, node.id))
        row.insert(row.end(), {status_name(*osd), fraction(osd->weight), fraction(osd->primary_affinity)});
      else
        row.insert(row.end(), {"DNE", "0", ""});
    }
    table.add(std::move(row));
  };
  for (const auto& node : nodes) add(node);
  for (auto id : stray) {
    crush::TreeNode node;
    node.id = id;
    node.name = fmt::format("osd.{}", id);
    add(node);
  }
  return CommandResult::print(table.print());
}

CommandResult osd_getmap(const CommandCall& call) {
  const auto& osd = call.state.osd();
  auto epoch = call.arguments.integer("epoch").value_or(0);
  if (epoch == 0) epoch = osd.epoch().value;
  auto full = osd.full(msg::Epoch(static_cast<std::uint32_t>(epoch)));
  if (!full) return CommandResult::fail(-ENOENT, fmt::format("there is no map for epoch {}", epoch));
  return CommandResult::print(full->to_string(), fmt::format("got osdmap epoch {}", epoch));
}

CommandResult osd_getmaxosd(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  if (!call.is_plain()) return call.json(JsonObject{{"epoch", map.epoch.value}, {"max_osd", map.osds.size()}});
  return CommandResult::print(fmt::format("max_osd = {} in epoch {}\n", map.osds.size(), map.epoch.value));
}

std::string fact(const State& state, std::int32_t id, const char* key) {
  auto facts = state.osd().metadata().find(id);
  if (facts == state.osd().metadata().end()) return {};
  auto found = facts->second.find(key);
  return found == facts->second.end() ? std::string() : found->second;
}

CommandResult osd_find(const CommandCall& call) {
  auto found = find_osd(call, call.state);
  if (!found.osd) return std::move(found.problem);
  JsonObject location;
  std::map<std::string, std::string> sorted;
  for (const auto& [type, name] : call.state.osd().map().crush->location_of(found.id)) sorted[type] = name;
  for (const auto& [type, name] : sorted) location[type] = name;
  return call.json(JsonObject{{"osd", found.id},
                              {"addrs", dump(found.osd->client)},
                              {"osd_fsid", found.osd->uuid.describe()},
                              {"host", fact(call.state, found.id, "hostname")},
                              {"crush_location", location}});
}

CommandResult osd_metadata(const CommandCall& call) {
  auto one = [&](std::int32_t id, const msg::Metadata& facts) {
    JsonObject out{{"id", id}};
    for (const auto& [key, value] : facts) out[key] = value;
    return out;
  };
  const auto& all = call.state.osd().metadata();
  if (call.arguments.has("id")) {
    auto found = find_osd(call, call.state);
    if (!found.osd) return std::move(found.problem);
    auto facts = all.find(found.id);
    return call.json(one(found.id, facts == all.end() ? msg::Metadata{} : facts->second));
  }
  JsonArray list;
  for (const auto& [id, facts] : all) list.emplace_back(one(id, facts));
  return call.json(list);
}

CommandResult osd_count_metadata(const CommandCall& call) {
  std::map<std::string, int> counts;
  std::string key = call.arguments.text("property");
  for (const auto& [id, facts] : call.state.osd().metadata()) {
    auto found = facts.find(key);
    ++counts[found == facts.end() ? "unknown" : found->second];
  }
  JsonObject out;
  for (const auto& [value, count] : counts) out[value] = count;
  return call.json(out);
}

CommandResult osd_map(const CommandCall& call) {
  auto found = find_pool(call.state, call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  const auto& map = call.state.osd().map();
  std::string object = call.arguments.text("object");
  msg::ObjectLocator locator;
  locator.pool = found.id;
  locator.name_space = call.arguments.text("nspace");
  auto hash = map.object_hash(locator, object);
  if (!hash) return CommandResult::fail(hash.error(), "");
  msg::PgId raw{found.id, *hash}, pg{found.id, found.pool->pg_seed(*hash)};
  auto place = map.place(pg);
  std::string full_name = locator.name_space.empty() ? object : locator.name_space + "/" + object;
  if (!call.is_plain())
    return call.json(JsonObject{{"epoch", map.epoch.value},
                                {"pool", found.name},
                                {"pool_id", found.id},
                                {"objname", full_name},
                                {"raw_pgid", raw.describe()},
                                {"pgid", pg.describe()},
                                {"up", numbers(place.up)},
                                {"up_primary", place.up_primary},
                                {"acting", numbers(place.acting)},
                                {"acting_primary", place.acting_primary}});
  return CommandResult::print(
      fmt::format("osdmap e{} pool '{}' ({}) object '{}' -> pg {} ({}) -> up ([{}], p{}) acting "
                  "([{}], p{})\n",
                  map.epoch.value, found.name, found.id, full_name, raw.describe(), pg.describe(),
                  join_numbers(place.up), place.up_primary, join_numbers(place.acting), place.acting_primary));
}

CommandResult get_min_compat(const CommandCall& call) {
  return CommandResult::print(release_name(call.state.osd().map().require_min_compat_client) + "\n");
}

constexpr CommandRow rows[] = {
    {"osd stat", "summarize the OSD map", "osd", "r", osd_stat},
    {"osd dump name=epoch,type=CephInt,range=0,req=false", "print the OSD map", "osd", "r", osd_dump},
    {"osd info name=id,type=CephOsdName,req=false", "print an OSD's entry in the map", "osd", "r", osd_info},
    {"osd ls name=epoch,type=CephInt,range=0,req=false", "list OSD ids", "osd", "r", osd_ls},
    {"osd ls-tree name=epoch,type=CephInt,range=0,req=false name=name,type=CephString", "list OSD ids below a bucket",
     "osd", "r", osd_ls_tree},
    {"osd tree name=epoch,type=CephInt,range=0,req=false "
     "name=states,type=CephChoices,strings=up|down|in|out|destroyed,n=N,req=false",
     "show OSDs in the CRUSH hierarchy", "osd", "r", osd_tree},
    {"osd tree-from name=epoch,type=CephInt,range=0,req=false name=bucket,type=CephString "
     "name=states,type=CephChoices,strings=up|down|in|out|destroyed,n=N,req=false",
     "show OSDs below a bucket", "osd", "r", osd_tree},
    {"osd getmap name=epoch,type=CephInt,range=0,req=false", "get the OSD map in binary form", "osd", "r", osd_getmap},
    {"osd getmaxosd", "show the limit of OSD ids", "osd", "r", osd_getmaxosd},
    {"osd find name=id,type=CephOsdName", "show where an OSD is", "osd", "r", osd_find},
    {"osd metadata name=id,type=CephOsdName,req=false", "facts about OSDs", "osd", "r", osd_metadata},
    {"osd count-metadata name=property,type=CephString", "count OSDs by a fact", "osd", "r", osd_count_metadata},
    {"osd map name=pool,type=CephPoolname name=object,type=CephObjectname name=nspace,type=CephString,req=false",
     "show where an object is", "osd", "r", osd_map},
    {"osd get-require-min-compat-client", "show the oldest release of clients", "osd", "r", get_min_compat},
};

}  // namespace

std::span<const CommandRow> osd_commands() {
  return rows;
}

}  // namespace spirula::mon
