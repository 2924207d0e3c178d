#include <fmt/format.h>

#include <cerrno>

#include "crush/edit.h"
#include "mon/command_tables.h"
#include "mon/commands_crush.h"
#include "mon/dump.h"

/// The CRUSH map's hierarchy.
namespace spirula::mon {
namespace {

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
  auto osd = find_osd(call, draft.state());
  if (!osd) {
    place.problem = std::move(osd.problem);
    place.problem.text += ". Create it before updating the crush map";
    return place;
  }
  place.id = osd.id;
  place.name = fmt::format("osd.{}", osd.id);
  auto weight = find_weight(call);
  auto [location, problem] = find_place(call);
  if (!weight) place.problem = CommandResult::fail(-EINVAL, "no valid weight");
  if (problem) place.problem = std::move(*problem);
  place.weight = weight.value_or(0);
  place.location = std::move(location);
  return place;
}

CommandResult put(const CommandCall& call, Draft& draft, const char* words) {
  auto place = parse_place(call, draft);
  if (place.problem.result < 0) return std::move(place.problem);
  auto map = crush_copy(draft);
  auto edited = crush::update_item(map, place.id, place.weight, place.name, place.location);
  return finish(call, draft, edited, map,
                fmt::format("{} item id {} name '{}' weight {:.6g} at location {} to crush map", words, place.id,
                            place.name, crush::from_weight(place.weight), print_location(place.location)),
                "cannot place the osd");
}
CommandResult crush_add(const CommandCall& call, Draft& draft) {
  return put(call, draft, "add");
}
CommandResult crush_set(const CommandCall& call, Draft& draft) {
  return put(call, draft, "set");
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
  auto [location, problem] = find_place(call);
  if (problem) return std::move(*problem);
  auto map = crush_copy(draft);
  if (auto known = map.item_by_name(name)) {
    if (map.type_of(*known) == map.type_by_name(type))
      return CommandResult::say(fmt::format("bucket '{}' already exists", name));
    return CommandResult::fail(-EEXIST, fmt::format("bucket '{}' already exists with another type", name));
  }
  if (!map.type_by_name(type)) return CommandResult::fail(-EINVAL, fmt::format("type '{}' does not exist", type));
  auto edited = crush::add_bucket(map, name, type, location);
  return finish(call, draft, edited, map,
                location.empty()
                    ? fmt::format("added bucket {} type {} to crush map", name, type)
                    : fmt::format("added bucket {} type {} to location {}", name, type, print_location(location)),
                fmt::format("cannot add bucket '{}' of type '{}'", name, type));
}

CommandResult crush_move(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto [location, problem] = find_place(call);
  if (problem) return std::move(*problem);
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return no_item(name);
  auto edited = crush::move_item(map, *item, location);
  if (edited && !*edited)
    return CommandResult::say(fmt::format("no need to move item id {} name '{}' to location {} in crush map", *item,
                                          name, print_location(location)));
  return finish(
      call, draft, edited, map,
      fmt::format("moved item id {} name '{}' to location {} in crush map", *item, name, print_location(location)),
      fmt::format("cannot move '{}'", name));
}

CommandResult crush_link(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto [location, problem] = find_place(call);
  if (problem) return std::move(*problem);
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return no_item(name);
  auto edited = crush::link_bucket(map, *item, location);
  return finish(
      call, draft, edited, map,
      fmt::format("linked item id {} name '{}' to location {} in crush map", *item, name, print_location(location)),
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
  auto fixed = find_weight(call);
  if (!fixed) return CommandResult::fail(-EINVAL, "no valid weight");
  auto edited = crush::reweight_item(map, *item, *fixed);
  return finish(
      call, draft, edited, map,
      fmt::format("reweighted item id {} name '{}' to {:.6g} in crush map", *item, name, crush::from_weight(*fixed)),
      fmt::format("cannot reweight '{}'", name));
}

CommandResult crush_reweight_subtree(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  auto map = crush_copy(draft);
  auto item = find_item(map, name);
  if (!item) return no_item(name);
  auto fixed = find_weight(call);
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
  if (map.item_by_name(to)) {
    if (!map.item_by_name(from))
      return CommandResult::say(
          fmt::format("srcname = '{}' does not exist and dstname = '{}' already exists", from, to));
    return CommandResult::fail(-EEXIST, fmt::format("dstname = '{}' already exists", to));
  }
  auto edited = crush::rename_bucket(map, from, to);
  return finish(call, draft, edited, map, fmt::format("renamed bucket {} into {}", from, to),
                fmt::format("cannot rename bucket '{}' into '{}'", from, to));
}

constexpr CommandRow rows[] = {
    {"osd crush set name=id,type=CephOsdName name=weight,type=CephFloat,range=0.0 "
     "name=args,type=CephString,n=N,goodchars=[A-Za-z0-9-_.=]",
     "place or move an OSD, with a weight", "osd", "rw", nullptr, crush_set},
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
};

}  // namespace

std::span<const CommandRow> crush_commands() {
  return rows;
}

}  // namespace spirula::mon
