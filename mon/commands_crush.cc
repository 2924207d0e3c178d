#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <cerrno>

#include "crush/device_classes.h"
#include "crush/dump.h"
#include "crush/edit.h"
#include "crush/rules.h"
#include "crush/tree.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/osd_edit.h"
#include "mon/text_table.h"

/// The CRUSH map.
namespace spirula::mon {
namespace {

const crush::CrushMap& crush_of(const CommandCall& call) {
  return *call.state.osd().map().crush;
}

/// Ends an edit: refuses in words, or drafts the edited map.
template <class T>
CommandResult finish(const CommandCall& call, Draft& draft, const Result<T>& edited, const crush::CrushMap& map,
                     std::string said, std::string refused) {
  if (!edited) return CommandResult::fail(edited.error(), fmt::format("{}: {}", refused, edited.error().message()));
  auto drafted = draft_crush(draft, map, call.around.now);
  if (!drafted) return CommandResult::fail(drafted.error(), drafted.error().message());
  return CommandResult::say(std::move(said));
}

/// An item that an argument names: a bucket, a device's name, or an OSD's number.
std::optional<crush::ItemId> find_item(const crush::CrushMap& map, const std::string& name) {
  if (auto item = map.item_by_name(name)) return item;
  if (auto id = parse_osd(name); id && map.weight_of(*id)) return *id;
  return std::nullopt;
}

CommandResult no_item(const std::string& name) {
  return CommandResult::fail(-ENOENT, fmt::format("item {} does not exist", name));
}

struct OsdPlace {
  std::int32_t id = -1;
  crush::Weight weight = 0;
  crush::Location location;
  std::string name;
  CommandResult problem;
};
OsdPlace parse_place(const CommandCall& call, const Draft& draft) {
  OsdPlace place;
  auto id = parse_osd(call.arguments.text("id"));
  const auto* osd = id ? draft->osd().map().osd(*id) : nullptr;
  if (!osd || !osd->exists()) {
    place.problem =
        CommandResult::fail(-ENOENT, fmt::format("osd.{} does not exist. Create it before updating the crush "
                                                 "map",
                                                 call.arguments.text("id")));
    return place;
  }
  place.id = *id;
  place.name = fmt::format("osd.{}", *id);
  auto weight = crush::to_weight(call.arguments.real("weight").value_or(0));
  auto words = call.arguments.list("args");
  auto location = crush::parse_location(words);
  if (!weight) place.problem = CommandResult::fail(-EINVAL, "no valid weight");
  if (!location) place.problem = CommandResult::fail(-EINVAL, "locations are given as type=bucket");
  if (weight && location) {
    place.weight = *weight;
    place.location = *location;
  }
  return place;
}

std::string print_location(const crush::Location& location) {
  std::string text;
  for (const auto& [type, name] : location) text += fmt::format("{}{}={}", text.empty() ? "" : ",", type, name);
  return "{" + text + "}";
}

CommandResult crush_add(const CommandCall& call, Draft& draft) {
  auto place = parse_place(call, draft);
  if (place.problem.result < 0) return std::move(place.problem);
  auto map = crush_copy(draft);
  auto edited = crush::update_item(map, place.id, place.weight, place.name, place.location);
  return finish(call, draft, edited, map,
                fmt::format("set item id {} name '{}' weight {:.6g} at location {} to crush map", place.id, place.name,
                            crush::from_weight(place.weight), print_location(place.location)),
                "cannot place the osd");
}

CommandResult crush_create_or_move(const CommandCall& call, Draft& draft) {
  auto place = parse_place(call, draft);
  if (place.problem.result < 0) return std::move(place.problem);
  auto map = crush_copy(draft);
  auto edited = crush::create_or_move_item(map, place.id, place.weight, place.name, place.location);
  std::string said = fmt::format("create-or-move updated item name '{}' weight {:.6g} at location {} to crush map",
                                 place.name, crush::from_weight(place.weight), print_location(place.location));
  if (edited && !*edited) return CommandResult::say(said);
  return finish(call, draft, edited, map, said, "cannot place the osd");
}

CommandResult crush_add_bucket(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name"), type = call.arguments.text("type");
  auto words = call.arguments.list("args");
  auto location = crush::parse_location(words);
  if (!location) return CommandResult::fail(-EINVAL, "locations are given as type=bucket");
  auto map = crush_copy(draft);
  if (auto known = map.item_by_name(name)) {
    if (map.type_of(*known) == map.type_by_name(type))
      return CommandResult::say(fmt::format("bucket '{}' already exists", name));
    return CommandResult::fail(-EEXIST, fmt::format("bucket '{}' already exists with another type", name));
  }
  auto edited = crush::add_bucket(map, name, type, *location);
  return finish(call, draft, edited, map, fmt::format("added bucket {} type {} to crush map", name, type),
                fmt::format("cannot add bucket '{}' of type '{}'", name, type));
}

CommandResult crush_move(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto words = call.arguments.list("args");
  auto location = crush::parse_location(words);
  if (!location) return CommandResult::fail(-EINVAL, "locations are given as type=bucket");
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return no_item(name);
  auto edited = crush::move_item(map, *item, *location);
  if (edited && !*edited)
    return CommandResult::say(fmt::format("no need to move item id {} name '{}' to location {} in crush map", *item,
                                          name, print_location(*location)));
  return finish(
      call, draft, edited, map,
      fmt::format("moved item id {} name '{}' to location {} in crush map", *item, name, print_location(*location)),
      fmt::format("cannot move '{}'", name));
}

CommandResult crush_link(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto words = call.arguments.list("args");
  auto location = crush::parse_location(words);
  if (!location) return CommandResult::fail(-EINVAL, "locations are given as type=bucket");
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return no_item(name);
  auto edited = crush::link_bucket(map, *item, *location);
  return finish(
      call, draft, edited, map,
      fmt::format("linked item id {} name '{}' to location {} in crush map", *item, name, print_location(*location)),
      fmt::format("cannot link '{}'", name));
}

CommandResult remove(const CommandCall& call, Draft& draft, bool unlink) {
  std::string name = call.arguments.text("name");
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return CommandResult::say(fmt::format("device '{}' does not appear in the crush map", name));
  std::optional<crush::ItemId> ancestor;
  if (call.arguments.has("ancestor")) {
    ancestor = map.item_by_name(call.arguments.text("ancestor"));
    if (!ancestor) return no_item(call.arguments.text("ancestor"));
  }
  Result<> edited = unlink && crush::is_bucket(*item) ? crush::unlink_bucket(map, *item, ancestor)
                                                      : crush::remove_item(map, *item, ancestor);
  return finish(call, draft, edited, map, fmt::format("removed item id {} name '{}' from crush map", *item, name),
                fmt::format("cannot remove '{}'", name));
}
CommandResult crush_rm(const CommandCall& call, Draft& draft) {
  return remove(call, draft, false);
}
CommandResult crush_unlink(const CommandCall& call, Draft& draft) {
  return remove(call, draft, true);
}

CommandResult crush_reweight(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return CommandResult::fail(-ENOENT, fmt::format("device '{}' does not appear in the crush map", name));
  if (crush::is_bucket(*item))
    return CommandResult::fail(-EINVAL, fmt::format("device '{}' is not a leaf in the crush map", name));
  double weight = call.arguments.real("weight").value_or(0);
  auto fixed = crush::to_weight(weight);
  if (!fixed) return CommandResult::fail(-EINVAL, "no valid weight");
  auto edited = crush::reweight_item(map, *item, *fixed);
  return finish(call, draft, edited, map,
                fmt::format("reweighted item id {} name '{}' to {:.6g} in crush map", *item, name, weight),
                fmt::format("cannot reweight '{}'", name));
}

CommandResult crush_reweight_subtree(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return no_item(name);
  auto fixed = crush::to_weight(call.arguments.real("weight").value_or(0));
  if (!fixed) return CommandResult::fail(-EINVAL, "no valid weight");
  auto edited = crush::reweight_subtree(map, *item, *fixed);
  return finish(
      call, draft, edited, map,
      fmt::format("reweighted subtree id {} name '{}' to {:.6g} in crush map", *item, name, crush::from_weight(*fixed)),
      fmt::format("cannot reweight '{}'", name));
}

CommandResult crush_reweight_all(const CommandCall& call, Draft& draft) {
  auto map = crush_copy(draft);
  auto edited = crush::reweight_all(map);
  return finish(call, draft, edited, map, "reweighted crush hierarchy", "cannot reweight");
}

CommandResult crush_rename_bucket(const CommandCall& call, Draft& draft) {
  std::string from = call.arguments.text("srcname"), to = call.arguments.text("dstname");
  auto map = crush_copy(draft);
  auto edited = crush::rename_bucket(map, from, to);
  return finish(call, draft, edited, map, fmt::format("renamed bucket {} into {}", from, to),
                fmt::format("cannot rename bucket '{}' into '{}'", from, to));
}

CommandResult set_device_class(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("class");
  auto map = crush_copy(draft);
  std::vector<std::string> done;
  for (const auto& word : call.arguments.list("ids")) {
    auto id = parse_osd(word);
    if (!id) return CommandResult::fail(-EINVAL, fmt::format("unable to parse osd id \"{}\"", word));
    auto set = crush::set_device_class(map, *id, name);
    if (!set && set.error() == Errc::busy)
      return CommandResult::fail(-EBUSY,
                                 fmt::format("osd.{} has already bound to class '{}', can not reset class to '{}'; "
                                             "use 'ceph osd crush rm-device-class <id>' to remove old class "
                                             "first",
                                             *id, map.item_class(*id), name));
    if (!set) return CommandResult::fail(set.error(), fmt::format("osd.{}: {}", *id, set.error().message()));
    done.push_back(std::to_string(*id));
  }
  Result<> edited;
  return finish(call, draft, edited, map, fmt::format("set osd(s) {} to class '{}'", join(done, ","), name), "");
}

CommandResult rm_device_class(const CommandCall& call, Draft& draft) {
  auto map = crush_copy(draft);
  std::vector<std::string> done;
  for (const auto& word : call.arguments.list("ids")) {
    auto id = parse_osd(word);
    if (!id) return CommandResult::fail(-EINVAL, fmt::format("unable to parse osd id \"{}\"", word));
    auto removed = crush::remove_device_class(map, *id);
    if (!removed)
      return CommandResult::fail(removed.error(), fmt::format("osd.{}: {}", *id, removed.error().message()));
    done.push_back(std::to_string(*id));
  }
  Result<> edited;
  return finish(call, draft, edited, map, fmt::format("done removing class of osd(s): {}", join(done, ",")), "");
}

CommandResult rename_class(const CommandCall& call, Draft& draft) {
  auto map = crush_copy(draft);
  std::string from = call.arguments.text("srcname"), to = call.arguments.text("dstname");
  auto edited = crush::rename_device_class(map, from, to);
  return finish(call, draft, edited, map, fmt::format("rename class '{}' to '{}'", from, to),
                "cannot rename the class");
}

CommandResult class_ls(const CommandCall& call) {
  JsonArray list;
  for (const auto& [id, name] : crush_of(call).class_names) list.emplace_back(name);
  return call.json(list);
}

CommandResult class_ls_osd(const CommandCall& call) {
  std::string name = call.arguments.text("class"), text;
  JsonArray list;
  for (const auto& [item, id] : crush_of(call).item_classes) {
    if (crush::is_bucket(item) || crush_of(call).class_name(id) != name) continue;
    list.emplace_back(item);
    text += fmt::format("{}\n", item);
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult get_device_class(const CommandCall& call) {
  JsonArray list;
  std::string text;
  for (const auto& word : call.arguments.list("ids")) {
    auto id = parse_osd(word);
    if (!id) return CommandResult::fail(-EINVAL, fmt::format("unable to parse osd id \"{}\"", word));
    std::string name(crush_of(call).item_class(*id));
    list.push_back(JsonObject{{"osd", *id}, {"device_class", name}});
    text += name + "\n";
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

// --- rules ----------------------------------------------------------------------------------------------------------

CommandResult rule_ls(const CommandCall& call) {
  JsonArray list;
  std::string text;
  for (const auto& [id, name] : crush_of(call).rule_names) {
    list.emplace_back(name);
    text += name + "\n";
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult rule_ls_by_class(const CommandCall& call) {
  const auto& map = crush_of(call);
  auto wanted = map.class_by_name(call.arguments.text("class"));
  if (!wanted)
    return CommandResult::fail(-ENOENT, fmt::format("failed to get rules by class '{}'", call.arguments.text("class")));
  JsonArray list;
  std::string text;
  for (const auto& [id, name] : map.rule_names)
    for (auto item : map.takes_of(id)) {
      auto tilde = map.item_name(item).find('~');
      if (tilde == std::string_view::npos || map.item_name(item).substr(tilde + 1) != call.arguments.text("class"))
        continue;
      list.emplace_back(name);
      text += name + "\n";
      break;
    }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult rule_dump(const CommandCall& call) {
  const auto& map = crush_of(call);
  if (call.arguments.has("name")) {
    auto id = map.rule_by_name(call.arguments.text("name"));
    if (!id) return CommandResult::fail(-ENOENT, fmt::format("unknown crush rule '{}'", call.arguments.text("name")));
    return call.json(crush::dump_rule(map, *id));
  }
  JsonArray list;
  for (const auto& [id, name] : map.rule_names) list.emplace_back(crush::dump_rule(map, id));
  return call.json(list);
}

CommandResult create_rule(const CommandCall& call, Draft& draft, bool indep) {
  crush::SimpleRule spec;
  spec.name = call.arguments.text("name");
  spec.root = call.arguments.text("root");
  spec.failure_domain = call.arguments.text("type");
  spec.device_class = call.arguments.text("class");
  spec.indep = indep;
  auto map = crush_copy(draft);
  if (map.rule_by_name(spec.name)) return CommandResult::say(fmt::format("rule {} already exists", spec.name));
  auto made = crush::create_rule(map, spec);
  if (!made && made.error() == Errc::not_found)
    return CommandResult::fail(-ENOENT, fmt::format("root item {} does not exist", spec.root));
  if (!made && made.error() == Errc::invalid)
    return CommandResult::fail(-EINVAL, fmt::format("unknown type {} or device class {}, or no valid name",
                                                    spec.failure_domain, spec.device_class));
  return finish(call, draft, made, map, "", fmt::format("cannot create rule '{}'", spec.name));
}
CommandResult rule_create_replicated(const CommandCall& call, Draft& draft) {
  return create_rule(call, draft, false);
}
CommandResult rule_create_simple(const CommandCall& call, Draft& draft) {
  return create_rule(call, draft, call.arguments.text("mode") == "indep");
}

CommandResult rule_rm(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto map = crush_copy(draft);
  auto id = map.rule_by_name(name);
  if (!id) return CommandResult::say(fmt::format("rule {} does not exist", name));
  for (const auto& [pool_id, pool] : draft->osd().map().pools)
    if (pool.crush_rule == *id)
      return CommandResult::fail(-EBUSY, fmt::format("crush rule {} ({}) is in use", name, *id));
  auto removed = crush::remove_rule(map, *id);
  return finish(call, draft, removed, map, "", fmt::format("cannot remove rule '{}'", name));
}

CommandResult rule_rename(const CommandCall& call, Draft& draft) {
  auto map = crush_copy(draft);
  auto renamed = crush::rename_rule(map, call.arguments.text("srcname"), call.arguments.text("dstname"));
  return finish(call, draft, renamed, map, "", "cannot rename the rule");
}

// --- the map as a whole ---------------------------------------------------------------------------------------------

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

constexpr CommandRow rows[] = {
    {"osd getcrushmap name=epoch,type=CephInt,range=0,req=false", "get the CRUSH map in binary form", "osd", "r",
     getcrushmap},
    {"osd setcrushmap name=prior_version,type=CephInt,req=false", "set the CRUSH map, given with -i", "osd", "rw",
     nullptr, setcrushmap},
    {"osd crush set name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 "
     "name=args,type=CephString,n=N,goodchars=[A-Za-z0-9-_.=]",
     "place or move an OSD, with a weight", "osd", "rw", nullptr, crush_add},
    {"osd crush set name=prior_version,type=CephInt,req=false", "set the CRUSH map, given with -i", "osd", "rw",
     nullptr, setcrushmap},
    {"osd crush add name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 "
     "name=args,type=CephString,n=N,goodchars=[A-Za-z0-9-_.=]",
     "place an OSD, with a weight", "osd", "rw", nullptr, crush_add},
    {"osd crush create-or-move name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 "
     "name=args,type=CephString,n=N,goodchars=[A-Za-z0-9-_.=]",
     "place an OSD, or move it with the weight it has", "osd", "rw", nullptr, crush_create_or_move},
    {"osd crush add-bucket name=name,type=CephString,goodchars=[A-Za-z0-9-_.] name=type,type=CephString "
     "name=args,type=CephString,n=N,req=false,goodchars=[A-Za-z0-9-_.=]",
     "add an empty bucket", "osd", "rw", nullptr, crush_add_bucket},
    {"osd crush rename-bucket name=srcname,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=dstname,type=CephString,goodchars=[A-Za-z0-9-_.]",
     "rename a bucket", "osd", "rw", nullptr, crush_rename_bucket},
    {"osd crush move name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=args,type=CephString,n=N,goodchars=[A-Za-z0-9-_.=]",
     "move a bucket or an OSD", "osd", "rw", nullptr, crush_move},
    {"osd crush link name=name,type=CephString name=args,type=CephString,n=N,goodchars=[A-Za-z0-9-_.=]",
     "hang a bucket into a further place", "osd", "rw", nullptr, crush_link},
    {"osd crush rm name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=ancestor,type=CephString,req=false,goodchars=[A-Za-z0-9-_.]",
     "remove a bucket or an OSD", "osd", "rw", nullptr, crush_rm},
    {"osd crush remove name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=ancestor,type=CephString,req=false,goodchars=[A-Za-z0-9-_.]",
     "remove a bucket or an OSD", "osd", "rw", nullptr, crush_rm},
    {"osd crush unlink name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=ancestor,type=CephString,req=false,goodchars=[A-Za-z0-9-_.]",
     "take a bucket out of a place but keep it", "osd", "rw", nullptr, crush_unlink},
    {"osd crush reweight name=name,type=CephString,goodchars=[A-Za-z0-9-_.] name=weight,type=CephFloat,range=0.0",
     "change an OSD's weight", "osd", "rw", nullptr, crush_reweight},
    {"osd crush reweight-subtree name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=weight,type=CephFloat,range=0.0",
     "change the weight of every OSD below a bucket", "osd", "rw", nullptr, crush_reweight_subtree},
    {"osd crush reweight-all", "recalculate the weights of all buckets", "osd", "rw", nullptr, crush_reweight_all},
    {"osd crush set-device-class name=class,type=CephString name=ids,type=CephString,n=N",
     "say what kind of device OSDs "
     "have",
     "osd", "rw", nullptr, set_device_class},
    {"osd crush rm-device-class name=ids,type=CephString,n=N", "take back what kind of device OSDs have", "osd", "rw",
     nullptr, rm_device_class},
    {"osd crush class rename name=srcname,type=CephString,goodchars=[A-Za-z0-9-_] "
     "name=dstname,type=CephString,goodchars=[A-Za-z0-9-_]",
     "rename a device class", "osd", "rw", nullptr, rename_class},
    {"osd crush class ls", "list device classes", "osd", "r", class_ls},
    {"osd crush class ls-osd name=class,type=CephString,goodchars=[A-Za-z0-9-_]", "list OSDs of a device class", "osd",
     "r", class_ls_osd},
    {"osd crush get-device-class name=ids,type=CephString,n=N", "show OSDs' device class", "osd", "r",
     get_device_class},
    {"osd crush rule list", "list rules", "osd", "r", rule_ls},
    {"osd crush rule ls", "list rules", "osd", "r", rule_ls},
    {"osd crush rule ls-by-class name=class,type=CephString,goodchars=[A-Za-z0-9-_.]", "list rules for a device class",
     "osd", "r", rule_ls_by_class},
    {"osd crush rule dump name=name,type=CephString,req=false,goodchars=[A-Za-z0-9-_.]", "print rules", "osd", "r",
     rule_dump},
    {"osd crush rule create-simple name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=root,type=CephString,goodchars=[A-Za-z0-9-_.] name=type,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=mode,type=CephChoices,strings=firstn|indep,req=false",
     "make a rule that spreads over buckets of a type", "osd", "rw", nullptr, rule_create_simple},
    {"osd crush rule create-replicated name=name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=root,type=CephString,goodchars=[A-Za-z0-9-_.] name=type,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=class,type=CephString,req=false,goodchars=[A-Za-z0-9-_.]",
     "make a rule for replicated pools", "osd", "rw", nullptr, rule_create_replicated},
    {"osd crush rule rm name=name,type=CephString,goodchars=[A-Za-z0-9-_.]", "remove a rule", "osd", "rw", nullptr,
     rule_rm},
    {"osd crush rule rename name=srcname,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=dstname,type=CephString,goodchars=[A-Za-z0-9-_.]",
     "rename a rule", "osd", "rw", nullptr, rule_rename},
    {"osd crush dump", "print the CRUSH map", "osd", "r", crush_dump},
    {"osd crush tree name=shadow,type=CephChoices,strings=--show-shadow,req=false", "show the CRUSH hierarchy", "osd",
     "r", crush_tree},
    {"osd crush ls name=node,type=CephString,goodchars=[A-Za-z0-9-_.]", "list what a bucket holds", "osd", "r",
     crush_ls},
    {"osd crush show-tunables", "print the tunables", "osd", "r", show_tunables},
    {"osd crush tunables name=profile,type=CephChoices,"
     "strings=legacy|argonaut|bobtail|firefly|hammer|jewel|optimal|default",
     "set the tunables to a profile", "osd", "rw", nullptr, set_tunables},
};

}  // namespace

std::span<const CommandRow> crush_commands() {
  return rows;
}

}  // namespace spirula::mon
