#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <cerrno>

#include "crush/dump.h"
#include "crush/tree.h"
#include "mon/command_tables.h"
#include "mon/commands_crush.h"
#include "mon/text_table.h"

/// The CRUSH map as a whole.
namespace spirula::mon {
namespace {

CommandResult getcrushmap(const CommandCall& call) {
  auto epoch = call.arguments.integer("epoch").value_or(0);
  const auto& osd = call.state.osd();
  auto map = osd.map_at(epoch ? msg::Epoch(static_cast<std::uint32_t>(epoch)) : osd.epoch());
  if (!map) return CommandResult::fail(-ENOENT, fmt::format("there is no map for epoch {}", epoch));
  return CommandResult::print(encode(*map->crush).to_string(), std::to_string(map->crush_version));
}

CommandResult setcrushmap(const CommandCall& call, Draft& draft) {
  auto map = crush::CrushMap::decode_map(Buffer::copy_of(call.input));
  if (!map) return CommandResult::fail(-EINVAL, "Failed to parse crushmap: it is malformed");
  const auto& osdmap = draft->osd().map();
  if (auto prior = call.arguments.integer("prior_version"); prior && *prior != osdmap.crush_version) {
    if (*prior + 1 == osdmap.crush_version && encode(*map) == encode(*osdmap.crush))
      return CommandResult::say(std::to_string(osdmap.crush_version));
    return CommandResult::fail(-EPERM,
                               fmt::format("prior_version {} != crush version {}", *prior, osdmap.crush_version));
  }
  if (auto problem = map->verify()) return CommandResult::fail(-EINVAL, "Failed crushmap test: " + *problem);
  for (const auto& [id, pool] : osdmap.pools)
    if (!map->rule(pool.crush_rule))
      return CommandResult::fail(-EINVAL, fmt::format("pool '{}' uses rule {}, which the new map does not have",
                                                      osdmap.pool_names.at(id), pool.crush_rule));
  if (static_cast<std::size_t>(std::max(0, map->max_devices)) > osdmap.osds.size())
    for (auto root : map->roots())
      for (auto device : map->devices_under(root))
        if (static_cast<std::size_t>(device) >= osdmap.osds.size())
          return CommandResult::fail(-ERANGE, fmt::format("crushmap max_devices {} > osdmap max_osd {}",
                                                          map->max_devices, osdmap.osds.size()));
  auto drafted = draft_crush(draft, *map, call.around.now);
  if (!drafted) return CommandResult::fail(drafted.error(), drafted.error().message());
  return CommandResult::say(std::to_string(draft->osd().map().crush_version));
}

CommandResult crush_dump(const CommandCall& call) {
  return call.json(crush::dump(crush_of(call)));
}

CommandResult crush_tree(const CommandCall& call) {
  auto nodes = crush::walk_tree(crush_of(call), call.arguments.has("shadow"));
  if (!call.is_plain()) {
    JsonArray list;
    for (const auto& node : nodes) {
      JsonObject out = dump_tree_node(node);
      if (crush::is_bucket(node.id)) {
        JsonArray children;
        for (auto child : node.children) children.emplace_back(child);
        out["children"] = children;
      }
      list.emplace_back(out);
    }
    return call.json(JsonObject{{"nodes", list}, {"stray", JsonArray{}}});
  }
  using enum TextTable::Align;
  TextTable table({{"ID", left, right}, {"CLASS", left, right}, {"WEIGHT", left, right}, {"TYPE NAME", left, left}});
  for (const auto& node : nodes)
    table.add({std::to_string(node.id), node.device_class, fmt::format("{:.5f}", crush::from_weight(node.weight)),
               std::string(static_cast<std::size_t>(node.depth) * 4, ' ') +
                   (crush::is_bucket(node.id) ? node.type + " " + node.name : node.name)});
  return CommandResult::print(table.print());
}

CommandResult crush_ls(const CommandCall& call) {
  const auto& map = crush_of(call);
  auto item = map.item_by_name(call.arguments.text("node"));
  if (!item) return CommandResult::fail(-ENOENT, fmt::format("node '{}' does not exist", call.arguments.text("node")));
  JsonArray list;
  std::string text;
  auto add = [&](crush::ItemId id) {
    std::string name(map.item_name(id));
    if (name.empty()) name = fmt::format("osd.{}", id);
    list.emplace_back(name);
    text += name + "\n";
  };
  if (const auto* bucket = map.bucket(*item))
    for (auto child : bucket->items) add(child);
  else
    add(*item);
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult show_tunables(const CommandCall& call) {
  return call.json(crush::dump_tunables(crush_of(call)));
}

CommandResult set_tunables(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("profile");
  auto profile = crush::Tunables::profile(name);
  if (!profile) return CommandResult::fail(-EINVAL, fmt::format("unrecognized profile '{}'", name));
  auto map = crush_copy(draft);
  map.tunables = *profile;
  Result<> edited;
  return finish(call, draft, edited, map, fmt::format("adjusted tunables profile to {}", name), "");
}

CommandResult get_tunable(const CommandCall& call) {
  std::string name = call.arguments.text("tunable");
  auto value = crush_of(call).tunables.straw_calc_version;
  if (!call.is_plain()) return call.json(JsonObject{{name, value}});
  return CommandResult::print(fmt::format("{}\n", value));
}

CommandResult set_tunable(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("tunable");
  auto value = call.arguments.integer("value").value_or(0);
  if (value < 0 || value > 2)
    return CommandResult::fail(-EINVAL, fmt::format("value must be 0, 1, or 2; got {}", value));
  auto map = crush_copy(draft);
  map.tunables.straw_calc_version = static_cast<std::uint8_t>(value);
  Result<> edited;
  return finish(call, draft, edited, map, fmt::format("adjusted tunable {} to {}", name, value), "");
}

/// The weight sets of a map that brought some; they are made with crushtool.
CommandResult weight_set_ls(const CommandCall& call) {
  JsonArray list;
  std::string text;
  for (const auto& [pool, args] : crush_of(call).choose_args) {
    const auto& names = call.state.osd().map().pool_names;
    auto name = names.find(pool);
    std::string shown = pool == crush::default_choose_args ? "(compat)" : name == names.end() ? "" : name->second;
    list.emplace_back(shown);
    text += shown + "\n";
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}
CommandResult weight_set_dump(const CommandCall& call) {
  return call.json(crush::dump(crush_of(call))["choose_args"]);
}

constexpr CommandRow rows[] = {
    {"osd getcrushmap name=epoch,type=CephInt,range=0,req=false", "get the CRUSH map in binary form", "osd", "r",
     getcrushmap},
    {"osd setcrushmap name=prior_version,type=CephInt,req=false", "set the CRUSH map, given with -i", "osd", "rw",
     nullptr, setcrushmap},
    {"osd crush set name=prior_version,type=CephInt,req=false", "set the CRUSH map, given with -i", "osd", "rw",
     nullptr, setcrushmap},
    {"osd crush dump", "print the CRUSH map", "osd", "r", crush_dump},
    {"osd crush tree name=shadow,type=CephChoices,strings=--show-shadow,req=false", "show the CRUSH hierarchy", "osd",
     "r", crush_tree},
    {"osd crush ls name=node,type=CephString,goodchars=[A-Za-z0-9-_.]", "list what a bucket holds", "osd", "r",
     crush_ls},
    {"osd crush show-tunables", "print the tunables", "osd", "r", show_tunables},
    {"osd crush tunables name=profile,type=CephChoices,"
     "strings=legacy|argonaut|bobtail|firefly|hammer|jewel|optimal|default",
     "set the tunables to a profile", "osd", "rw", nullptr, set_tunables},
    {"osd crush get-tunable name=tunable,type=CephChoices,strings=straw_calc_version", "show one tunable", "osd", "r",
     get_tunable},
    {"osd crush set-tunable name=tunable,type=CephChoices,strings=straw_calc_version name=value,type=CephInt",
     "set one tunable", "osd", "rw", nullptr, set_tunable},
    {"osd crush weight-set ls", "list the map's weight sets", "osd", "r", weight_set_ls},
    {"osd crush weight-set dump", "print the map's weight sets", "osd", "r", weight_set_dump},
};

}  // namespace

JsonObject dump_tree_node(const crush::TreeNode& node) {
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
  return out;
}

std::span<const CommandRow> crush_map_commands() {
  return rows;
}

}  // namespace spirula::mon
