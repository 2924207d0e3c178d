#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>

#include "base/config.h"
#include "crush/tree.h"
#include "mon/cluster_stats.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/osd_edit.h"
#include "mon/text_table.h"

/// The OSD map, and what is done to OSDs.
namespace spirula::mon {

Result<std::int32_t> parse_osd(std::string_view text) {
  if (text.starts_with("osd.")) text.remove_prefix(4);
  std::int32_t id = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id < 0) return Errc::invalid;
  return id;
}

namespace {

namespace state_bit = maps::osd_state;

CommandResult outcome(Result<> done, std::string text) {
  if (!done) return CommandResult::fail(done.error(), done.error().message());
  return CommandResult::say(std::move(text));
}

const maps::Osd* existing(const maps::OsdMap& map, std::int32_t id) {
  const auto* osd = map.osd(id);
  return osd && osd->exists() ? osd : nullptr;
}

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

/// One OSD that an argument names; must exist.
struct OsdArgument {
  std::int32_t id = -1;
  const maps::Osd* osd = nullptr;
  CommandResult problem;
};
OsdArgument find_osd(const CommandCall& call, const State& state) {
  OsdArgument found;
  std::string text = call.arguments.text("id");
  auto id = parse_osd(text);
  if (!id) {
    found.problem = CommandResult::fail(-EINVAL, fmt::format("'{}' is no osd id", text));
    return found;
  }
  found.id = *id;
  found.osd = existing(state.osd().map(), *id);
  if (!found.osd) found.problem = CommandResult::fail(-ENOENT, fmt::format("osd.{} does not exist", *id));
  return found;
}

/// "0 osd.1 all any *", or hosts and other buckets.
std::vector<std::int32_t> find_osds(const State& state, const std::vector<std::string>& words, std::string& problem) {
  std::vector<std::int32_t> ids;
  const auto& map = state.osd().map();
  for (const auto& word : words) {
    if (word == "all" || word == "any" || word == "*") {
      for (std::size_t id = 0; id < map.osds.size(); ++id)
        if (map.osds[id].exists()) ids.push_back(static_cast<std::int32_t>(id));
    } else if (auto id = parse_osd(word)) {
      ids.push_back(*id);
    } else if (auto item = map.crush->item_by_name(word)) {
      for (auto device : map.crush->devices_under(*item)) ids.push_back(device);
    } else {
      problem = fmt::format("unable to parse osd id or crush node '{}'", word);
    }
  }
  return ids;
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
  return CommandResult::print(fmt::format("{} osds: {} up (since {}), {} in (since {}); epoch: e{}\n",
                                          map.count_existing(), map.count_up(), age(map.last_up_change), map.count_in(),
                                          age(map.last_in_change), map.epoch.value));
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
    if (!found.osd) return std::move(found.problem);
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
  const auto* osd = existing(map, id);
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
    const auto* osd = existing(map, id);
    out["exists"] = osd ? 1 : 0;
    out["status"] = osd ? status_name(*osd) : "DNE";
    out["reweight"] = osd ? static_cast<double>(osd->weight) / maps::weight_in : 0.0;
    out["primary_affinity"] = osd ? static_cast<double>(osd->primary_affinity) / maps::weight_in : 0.0;
  };
  if (!call.is_plain()) {
    JsonArray list, strays;
    for (const auto& node : nodes) {
      JsonObject out{{"id", node.id}};
      if (!node.device_class.empty()) out["device_class"] = node.device_class;
      out["name"] = node.name;
      out["type"] = node.type;
      out["type_id"] = node.type_id;
      if (!crush::is_bucket(node.id)) {
        out["crush_weight"] = crush::from_weight(node.weight);
        out["depth"] = node.depth;
      }
      if (node.parent) out["pool_weights"] = JsonObject{};
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
      if (const auto* osd = existing(map, node.id))
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
  auto numbers = [](const std::vector<std::int32_t>& ids) {
    JsonArray array;
    for (auto id : ids) array.emplace_back(id);
    return array;
  };
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

// --- changing OSDs --------------------------------------------------------------------------------------------------

CommandResult osd_down(const CommandCall& call, Draft& draft) {
  std::string problem, text;
  auto ids = find_osds(draft.state(), call.arguments.list("ids"), problem);
  if (!problem.empty()) return CommandResult::fail(-EINVAL, problem);
  for (auto id : ids) {
    const auto* osd = existing(draft->osd().map(), id);
    text += !osd           ? fmt::format("osd.{} does not exist. ", id)
            : osd->is_up() ? fmt::format("marked down osd.{}. ", id)
                           : fmt::format("osd.{} is already down. ", id);
  }
  return outcome(mark_down(draft, ids, call.around.now, call.arguments.flag("definitely_dead")), text);
}

CommandResult set_weight(const CommandCall& call, Draft& draft, bool in) {
  std::string problem, text;
  auto ids = find_osds(draft.state(), call.arguments.list("ids"), problem);
  if (!problem.empty()) return CommandResult::fail(-EINVAL, problem);
  std::vector<std::int32_t> change;
  for (auto id : ids) {
    const auto* osd = existing(draft->osd().map(), id);
    if (!osd) {
      text += fmt::format("osd.{} does not exist. ", id);
    } else if (osd->is_in() == in) {
      text += fmt::format("osd.{} is already {}. ", id, in ? "in" : "out");
    } else {
      text += fmt::format("marked {} osd.{}. ", in ? "in" : "out", id);
      change.push_back(id);
    }
  }
  return outcome(set_osd_weight(draft, change, in ? maps::weight_in : 0, call.around.now), text);
}
CommandResult osd_in(const CommandCall& call, Draft& draft) {
  return set_weight(call, draft, true);
}
CommandResult osd_out(const CommandCall& call, Draft& draft) {
  return set_weight(call, draft, false);
}

CommandResult osd_reweight(const CommandCall& call, Draft& draft) {
  auto found = find_osd(call, draft.state());
  if (!found.osd) return std::move(found.problem);
  double weight = call.arguments.real("weight").value_or(0);
  auto fixed = static_cast<std::uint32_t>(weight * maps::weight_in);
  return outcome(set_osd_weight(draft, {found.id}, fixed, call.around.now),
                 fmt::format("reweighted osd.{} to {:.6g} ({:x})", found.id, weight, fixed));
}

CommandResult osd_primary_affinity(const CommandCall& call, Draft& draft) {
  auto found = find_osd(call, draft.state());
  if (!found.osd) return std::move(found.problem);
  double weight = call.arguments.real("weight").value_or(1);
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_primary_affinity[found.id] = static_cast<std::uint32_t>(weight * maps::weight_in);
  return outcome(
      draft_osd_change(draft, std::move(change)),
      fmt::format("set osd.{} primary-affinity to {:.6g} ({:.7g})", found.id, weight, weight * maps::weight_in));
}

CommandResult osd_new(const CommandCall& call, Draft& draft) {
  auto uuid = msg::Uuid::parse(call.arguments.text("uuid"));
  if (!uuid) return CommandResult::fail(-EINVAL, "invalid uuid");
  std::optional<std::int32_t> wanted;
  if (call.arguments.has("id")) {
    auto id = parse_osd(call.arguments.text("id"));
    if (!id) return CommandResult::fail(-EINVAL, fmt::format("'{}' is no osd id", call.arguments.text("id")));
    wanted = *id;
  }
  // The secrets file may carry the OSD's cephx key: {"cephx_secret": "..."} (Ceph: osd new -i).
  std::optional<msg::CryptoKey> key;
  if (auto at = call.input.find("\"cephx_secret\""); at != call.input.npos) {
    auto colon = call.input.find(':', at), open = call.input.find('"', colon), close = call.input.find('"', open + 1);
    auto parsed = close == call.input.npos ? Result<msg::CryptoKey>(Errc::invalid)
                                           : msg::CryptoKey::parse(call.input.substr(open + 1, close - open - 1));
    if (!parsed) return CommandResult::fail(-EINVAL, "cephx_secret is no key");
    key = *parsed;
  }
  auto id = new_osd(draft, *uuid, wanted, call.around.now);
  if (!id) {
    if (id.error() == Errc::exists)
      return CommandResult::fail(-EEXIST, "osd id already exists, or this uuid belongs to another one");
    return CommandResult::fail(id.error(), id.error().message());
  }
  if (key) {
    AuthService::Change auth;
    msg::KeyName name{static_cast<std::uint32_t>(msg::EntityType::osd), std::to_string(*id)};
    const auto* known = draft->auth().find(name);
    if (known && !(known->key == *key)) return CommandResult::fail(-EEXIST, "osd has another key already");
    auth.set[name] = {*key, {{"mon", "allow profile osd"}, {"mgr", "allow profile osd"}, {"osd", "allow *"}}};
    auto drafted = draft.change<AuthService>(auth);
    if (!drafted) return CommandResult::fail(drafted.error(), "");
  }
  if (!call.is_plain()) return call.json(JsonObject{{"osdid", *id}});
  return CommandResult::print(fmt::format("{}\n", *id));
}

CommandResult osd_create(const CommandCall& call, Draft& draft) {
  msg::Uuid uuid;
  if (call.arguments.has("uuid")) uuid = *msg::Uuid::parse(call.arguments.text("uuid"));
  std::optional<std::int32_t> wanted;
  if (call.arguments.has("id")) {
    auto id = parse_osd(call.arguments.text("id"));
    if (!id) return CommandResult::fail(-EINVAL, "no osd id");
    wanted = *id;
  }
  auto id = new_osd(draft, uuid, wanted, call.around.now);
  if (!id) return CommandResult::fail(id.error(), id.error().message());
  if (!call.is_plain()) return call.json(JsonObject{{"osdid", *id}});
  return CommandResult::print(fmt::format("{}\n", *id));
}

CommandResult remove_ids(const CommandCall& call, Draft& draft) {
  std::string problem, text;
  auto ids = find_osds(draft.state(), call.arguments.list("ids"), problem);
  if (!problem.empty()) return CommandResult::fail(-EINVAL, problem);
  for (auto id : ids) {
    auto removed = remove_osd(draft, id, false, call.around.now);
    if (removed) {
      text += fmt::format("removed osd.{}", id);
    } else if (removed.error() == Errc::busy) {
      return CommandResult::fail(-EBUSY, fmt::format("osd.{} is still up; must be down before removal. ", id));
    } else if (removed.error() == Errc::not_found) {
      text += fmt::format("osd.{} does not exist. ", id);
    } else {
      return CommandResult::fail(removed.error(), removed.error().message());
    }
  }
  return CommandResult::say(text);
}

CommandResult forget_key(Draft& draft, std::int32_t id) {
  msg::KeyName name{static_cast<std::uint32_t>(msg::EntityType::osd), std::to_string(id)};
  if (!draft->auth().find(name)) return {};
  AuthService::Change auth;
  auth.removed.insert(name);
  auto drafted = draft.change<AuthService>(auth);
  return drafted ? CommandResult{} : CommandResult::fail(drafted.error(), "");
}

bool sure(const CommandCall& call) {
  return call.arguments.flag("yes_i_really_mean_it") || call.arguments.flag("force");
}

CommandResult osd_purge(const CommandCall& call, Draft& draft) {
  if (!sure(call))
    return CommandResult::fail(-EPERM,
                               "Are you SURE?  This will remove the OSD from the maps and its key; its data "
                               "cannot come back. Pass --yes-i-really-mean-it if you really do.");
  auto found = find_osd(call, draft.state());
  if (!found.osd)
    return found.id < 0 ? std::move(found.problem) : CommandResult::say(fmt::format("osd.{} does not exist", found.id));
  auto removed = remove_osd(draft, found.id, true, call.around.now);
  if (!removed && removed.error() == Errc::busy)
    return CommandResult::fail(-EBUSY, fmt::format("osd.{} is not `down`.", found.id));
  if (!removed) return CommandResult::fail(removed.error(), removed.error().message());
  auto forgot = forget_key(draft, found.id);
  if (forgot.result < 0) return forgot;
  return CommandResult::say(fmt::format("purged osd.{}", found.id));
}

CommandResult osd_destroy(const CommandCall& call, Draft& draft) {
  if (!sure(call))
    return CommandResult::fail(-EPERM,
                               "Are you SURE?  This will mean real, permanent data loss, as well as deletion of "
                               "cephx keys. Pass --yes-i-really-mean-it if you really do.");
  auto found = find_osd(call, draft.state());
  if (!found.osd) return std::move(found.problem);
  auto destroyed = destroy_osd(draft, found.id, call.around.now);
  if (!destroyed && destroyed.error() == Errc::busy)
    return CommandResult::fail(-EBUSY, fmt::format("osd.{} is not `down`.", found.id));
  if (!destroyed) return CommandResult::fail(destroyed.error(), destroyed.error().message());
  auto forgot = forget_key(draft, found.id);
  if (forgot.result < 0) return forgot;
  return CommandResult::say(fmt::format("destroyed osd.{}", found.id));
}

CommandResult osd_lost(const CommandCall& call, Draft& draft) {
  auto found = find_osd(call, draft.state());
  if (!found.osd) return std::move(found.problem);
  if (!sure(call))
    return CommandResult::fail(-EPERM,
                               "are you SURE?  this might mean real, permanent data loss.  pass "
                               "--yes-i-really-mean-it if you really do.");
  if (found.osd->is_up())
    return CommandResult::fail(-EBUSY, fmt::format("osd.{} is not down or doesn't exist", found.id));
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_lost[found.id] = found.osd->info.down_at;
  return outcome(draft_osd_change(draft, std::move(change)),
                 fmt::format("marked osd lost in epoch {}", found.osd->info.down_at.value));
}

CommandResult setmaxosd(const CommandCall& call, Draft& draft) {
  const auto& map = draft->osd().map();
  auto wanted = call.arguments.integer("newmax").value_or(0);
  if (wanted < 0 || wanted > 10'000) return CommandResult::fail(-ERANGE, "max_osd must be between 0 and 10000");
  for (auto id = static_cast<std::size_t>(wanted); id < map.osds.size(); ++id)
    if (map.osds[id].exists())
      return CommandResult::fail(-EBUSY, fmt::format("cannot shrink max_osd to {} because osd.{} (and possibly others) "
                                                     "still in use",
                                                     wanted, id));
  auto change = next_incremental(map, call.around.now);
  change.new_max_osd = static_cast<std::int32_t>(wanted);
  return outcome(draft_osd_change(draft, std::move(change)), fmt::format("set new max_osd = {}", wanted));
}

// --- flags and ratios -----------------------------------------------------------------------------------------------

CommandResult change_flag(const CommandCall& call, Draft& draft, bool set) {
  std::string key = call.arguments.text("key");
  auto flag = map_flag_by_name(key);
  if (!flag) return CommandResult::fail(-EINVAL, fmt::format("unrecognized flag '{}'", key));
  std::string names = join(map_flag_names(*flag), ",");
  return outcome(set_map_flags(draft, set ? *flag : 0, set ? 0 : *flag, call.around.now),
                 fmt::format("{} is {}", names, set ? "set" : "unset"));
}
CommandResult osd_set(const CommandCall& call, Draft& draft) {
  return change_flag(call, draft, true);
}
CommandResult osd_unset(const CommandCall& call, Draft& draft) {
  return change_flag(call, draft, false);
}

CommandResult change_group(const CommandCall& call, Draft& draft, bool set) {
  std::string problem, flags = call.arguments.text("flags");
  auto ids = find_osds(draft.state(), call.arguments.list("who"), problem);
  if (!problem.empty()) return CommandResult::fail(-EINVAL, problem);
  std::uint32_t bits = 0;
  for (std::size_t at = 0; at <= flags.size();) {
    auto end = std::min(flags.find(',', at), flags.size());
    std::string flag = flags.substr(at, end - at);
    at = end + 1;
    if (flag == "noup")
      bits |= state_bit::no_up;
    else if (flag == "nodown")
      bits |= state_bit::no_down;
    else if (flag == "noin")
      bits |= state_bit::no_in;
    else if (flag == "noout")
      bits |= state_bit::no_out;
    else
      return CommandResult::fail(-EINVAL,
                                 fmt::format("unrecognized flag '{}', must be one of noup,nodown,noin,noout", flag));
  }
  std::map<std::int32_t, std::pair<std::uint32_t, std::uint32_t>> changes;
  for (auto id : ids) changes[id] = set ? std::pair(bits, 0u) : std::pair(0u, bits);
  return outcome(set_osd_state_bits(draft, changes, call.around.now), "");
}
CommandResult osd_set_group(const CommandCall& call, Draft& draft) {
  return change_group(call, draft, true);
}
CommandResult osd_unset_group(const CommandCall& call, Draft& draft) {
  return change_group(call, draft, false);
}

CommandResult set_ratio(const CommandCall& call, Draft& draft, float maps::OsdMapIncremental::* field,
                        const char* name) {
  auto ratio = static_cast<float>(call.arguments.real("ratio").value_or(0));
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.*field = ratio;
  return outcome(draft_osd_change(draft, std::move(change)), fmt::format("osd set-{} {:.6g}", name, ratio));
}
CommandResult set_full_ratio(const CommandCall& call, Draft& draft) {
  return set_ratio(call, draft, &maps::OsdMapIncremental::new_full_ratio, "full-ratio");
}
CommandResult set_backfillfull_ratio(const CommandCall& call, Draft& draft) {
  return set_ratio(call, draft, &maps::OsdMapIncremental::new_back_fill_full_ratio, "backfillfull-ratio");
}
CommandResult set_nearfull_ratio(const CommandCall& call, Draft& draft) {
  return set_ratio(call, draft, &maps::OsdMapIncremental::new_near_full_ratio, "nearfull-ratio");
}

CommandResult set_min_compat(const CommandCall& call, Draft& draft) {
  auto release = release_by_name(call.arguments.text("version"));
  if (!release)
    return CommandResult::fail(-EINVAL, fmt::format("{} is not a valid release", call.arguments.text("version")));
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_require_min_compat_client = *release;
  return outcome(draft_osd_change(draft, std::move(change)),
                 fmt::format("set require_min_compat_client to {}", release_name(*release)));
}
CommandResult get_min_compat(const CommandCall& call) {
  return CommandResult::print(release_name(call.state.osd().map().require_min_compat_client) + "\n");
}

// --- upmap ----------------------------------------------------------------------------------------------------------

Result<msg::PgId> known_pg(const Draft& draft, const CommandCall& call) {
  TRY(auto pg, msg::PgId::parse(call.arguments.text("pgid")));
  const auto* pool = draft->osd().map().pool(pg.pool);
  if (!pool || pg.seed >= pool->pg_num) return Errc::not_found;
  return pg;
}

CommandResult pg_upmap_items(const CommandCall& call, Draft& draft) {
  auto pg = known_pg(draft, call);
  if (!pg) return CommandResult::fail(-ENOENT, fmt::format("pgid '{}' does not exist", call.arguments.text("pgid")));
  auto words = call.arguments.list("id");
  if (words.empty() || words.size() % 2) return CommandResult::fail(-EINVAL, "you must specify pairs of osd ids");
  std::vector<std::pair<std::int32_t, std::int32_t>> items;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    auto from = parse_osd(words[i]), to = parse_osd(words[i + 1]);
    if (!from || !to || !existing(draft->osd().map(), *from) || !existing(draft->osd().map(), *to))
      return CommandResult::fail(-ENOENT, fmt::format("osd '{}' or '{}' does not exist", words[i], words[i + 1]));
    if (*from == *to) return CommandResult::fail(-EINVAL, "from osd and to osd must differ");
    items.emplace_back(*from, *to);
  }
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_pg_upmap_items[*pg] = std::move(items);
  return outcome(draft_osd_change(draft, std::move(change)), fmt::format("set {} pg_upmap_items", pg->describe()));
}

CommandResult rm_pg_upmap_items(const CommandCall& call, Draft& draft) {
  auto pg = known_pg(draft, call);
  if (!pg) return CommandResult::fail(-ENOENT, fmt::format("pgid '{}' does not exist", call.arguments.text("pgid")));
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.old_pg_upmap_items.insert(*pg);
  return outcome(draft_osd_change(draft, std::move(change)),
                 fmt::format("clear {} pg_upmap_items mapping", pg->describe()));
}

// --- the blocklist --------------------------------------------------------------------------------------------------

/// "10.0.0.1:0/3", "v2:...", or a host alone.
Result<msg::Address> parse_entity(std::string text) {
  for (auto prefix : {"v1:", "v2:", "any:"})
    if (text.starts_with(prefix)) text = text.substr(std::string_view(prefix).size());
  std::uint32_t nonce = 0;
  if (auto slash = text.rfind('/'); slash != text.npos) {
    auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), nonce);
    if (error != std::errc{} || end != text.data() + text.size()) return Errc::invalid;
    text.resize(slash);
  }
  TRY(auto endpoint, Endpoint::parse(text));
  return blocklist_address(msg::Address::msgr2(endpoint, nonce));
}

CommandResult blocklist_change(const CommandCall& call, Draft& draft) {
  std::string text = call.arguments.text("addr");
  auto address = parse_entity(text);
  if (!address) return CommandResult::fail(-EINVAL, fmt::format("'{}' is no address", text));
  if (!call.arguments.text("range").empty()) return CommandResult::fail(-EOPNOTSUPP, "ranges cannot be blocklisted");
  if (call.arguments.text("blocklistop") == "rm") {
    auto removed = remove_from_blocklist(draft, {*address}, call.around.now);
    if (!removed && removed.error() == Errc::not_found)
      return CommandResult::say(fmt::format("{} isn't blocklisted", print_address(*address)));
    return outcome(removed, fmt::format("un-blocklisting {}", print_address(*address)));
  }
  double seconds = call.arguments.real("expire").value_or(
      std::chrono::duration<double>(call.around.config.duration("mon_osd_blocklist_default_expire")).count());
  auto until = later(call.around.now, seconds);
  return outcome(
      add_to_blocklist(draft, {*address}, until, call.around.now),
      fmt::format("blocklisting {} until {} ({:.6g} sec)", print_address(*address), until.describe(), seconds));
}

CommandResult blocklist_ls(const CommandCall& call) {
  const auto& list = call.state.osd().map().blocklist;
  std::string said = fmt::format("listed {} entries", list.size());
  JsonArray array;
  std::string text;
  for (const auto& [address, until] : list) {
    array.push_back(JsonObject{{"addr", print_address(address)}, {"until", until.describe()}});
    text += fmt::format("{} {}\n", print_address(address), until.describe());
  }
  return call.is_plain() ? CommandResult::print(text, said) : call.json(array, said);
}

CommandResult blocklist_clear(const CommandCall& call, Draft& draft) {
  std::vector<msg::Address> all;
  for (const auto& [address, until] : draft->osd().map().blocklist) all.push_back(address);
  auto removed = remove_from_blocklist(draft, all, call.around.now);
  if (!removed && removed.error() != Errc::not_found) return CommandResult::fail(removed.error(), "");
  return CommandResult::say(" removed all blocklist entries");
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
    {"osd setmaxosd name=newmax,type=CephInt,range=0", "set the limit of OSD ids", "osd", "rw", nullptr, setmaxosd},
    {"osd find name=id,type=CephOsdName", "show where an OSD is", "osd", "r", osd_find},
    {"osd metadata name=id,type=CephOsdName,req=false", "facts about OSDs", "osd", "r", osd_metadata},
    {"osd count-metadata name=property,type=CephString", "count OSDs by a fact", "osd", "r", osd_count_metadata},
    {"osd map name=pool,type=CephPoolname name=object,type=CephObjectname name=nspace,type=CephString,req=false",
     "show where an object is", "osd", "r", osd_map},
    {"osd down name=ids,type=CephString,n=N name=definitely_dead,type=CephBool,req=false", "mark OSDs down", "osd",
     "rw", nullptr, osd_down},
    {"osd in name=ids,type=CephString,n=N", "put OSDs in", "osd", "rw", nullptr, osd_in},
    {"osd out name=ids,type=CephString,n=N", "put OSDs out", "osd", "rw", nullptr, osd_out},
    {"osd reweight name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0|1.0",
     "weigh an OSD between out and in", "osd", "rw", nullptr, osd_reweight},
    {"osd primary-affinity name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0|1.0",
     "set how gladly an OSD is primary", "osd", "rw", nullptr, osd_primary_affinity},
    {"osd new name=uuid,type=CephUUID name=id,type=CephOsdName,req=false", "make an OSD id for a store", "osd", "rw",
     nullptr, osd_new},
    {"osd create name=uuid,type=CephUUID,req=false name=id,type=CephOsdName,req=false", "make an OSD id", "osd", "rw",
     nullptr, osd_create},
    {"osd rm name=ids,type=CephString,n=N", "remove OSDs from the map", "osd", "rw", nullptr, remove_ids},
    {"osd purge name=id,type=CephOsdName name=force,type=CephBool,req=false "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "remove an OSD, its place in CRUSH and its key", "osd", "rw", nullptr, osd_purge},
    {"osd purge-new name=id,type=CephOsdName name=yes_i_really_mean_it,type=CephBool,req=false",
     "remove an OSD that never booted", "osd", "rw", nullptr, osd_purge},
    {"osd destroy name=id,type=CephOsdName name=force,type=CephBool,req=false "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "forget an OSD's store but keep its id", "osd", "rw", nullptr, osd_destroy},
    {"osd lost name=id,type=CephOsdName name=yes_i_really_mean_it,type=CephBool,req=false",
     "say that an OSD's data will not come back", "osd", "rw", nullptr, osd_lost},
    {"osd set name=key,type=CephChoices,strings=full|pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|"
     "noscrub|nodeep-scrub|notieragent|nosnaptrim|pglog_hardlimit name=yes_i_really_mean_it,type=CephBool,req=false",
     "set a flag of the OSD map", "osd", "rw", nullptr, osd_set},
    {"osd unset name=key,type=CephChoices,strings=full|pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|"
     "noscrub|nodeep-scrub|notieragent|nosnaptrim",
     "unset a flag of the OSD map", "osd", "rw", nullptr, osd_unset},
    {"osd set-group name=flags,type=CephString name=who,type=CephString,n=N", "set flags of OSDs", "osd", "rw", nullptr,
     osd_set_group},
    {"osd unset-group name=flags,type=CephString name=who,type=CephString,n=N", "unset flags of OSDs", "osd", "rw",
     nullptr, osd_unset_group},
    {"osd set-full-ratio name=ratio,type=CephFloat,range=0.0|1.0", "set when an OSD is full", "osd", "rw", nullptr,
     set_full_ratio},
    {"osd set-backfillfull-ratio name=ratio,type=CephFloat,range=0.0|1.0", "set when an OSD takes no backfill", "osd",
     "rw", nullptr, set_backfillfull_ratio},
    {"osd set-nearfull-ratio name=ratio,type=CephFloat,range=0.0|1.0", "set when an OSD is nearly full", "osd", "rw",
     nullptr, set_nearfull_ratio},
    {"osd set-require-min-compat-client name=version,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
     "set the oldest release of clients", "osd", "rw", nullptr, set_min_compat},
    {"osd get-require-min-compat-client", "show the oldest release of clients", "osd", "r", get_min_compat},
    {"osd pg-upmap-items name=pgid,type=CephPgid name=id,type=CephOsdName,n=N", "move a PG's copies between OSDs",
     "osd", "rw", nullptr, pg_upmap_items},
    {"osd rm-pg-upmap-items name=pgid,type=CephPgid", "take such a move back", "osd", "rw", nullptr, rm_pg_upmap_items},
    {"osd blocklist name=range,type=CephString,goodchars=[range],req=false name=blocklistop,type=CephChoices,"
     "strings=add|rm name=addr,type=CephEntityAddr name=expire,type=CephFloat,range=0.0,req=false",
     "shut a client out, or let it in again", "osd", "rw", nullptr, blocklist_change},
    {"osd blocklist ls", "show who is shut out", "osd", "r", blocklist_ls},
    {"osd blocklist clear", "let everybody in again", "osd", "rw", nullptr, blocklist_clear},
};

}  // namespace

std::span<const CommandRow> osd_commands() {
  return rows;
}

}  // namespace spirula::mon
