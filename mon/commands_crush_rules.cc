#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <cerrno>

#include "crush/device_classes.h"
#include "crush/dump.h"
#include "crush/rules.h"
#include "mon/command_tables.h"
#include "mon/commands_crush.h"
#include "mon/dump.h"

/// Device classes and rules.
namespace spirula::mon {
namespace {

CommandResult set_device_class(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("class");
  auto map = crush_copy(draft);
  std::vector<std::string> done;
  std::string missing;
  for (const auto& word : call.arguments.list("ids")) {
    auto id = parse_osd(word);
    if (!id) return CommandResult::fail(-EINVAL, fmt::format("unable to parse osd id \"{}\"", word));
    if (!existing_osd(draft->osd().map(), *id)) {
      missing += fmt::format("osd.{} does not exist. ", *id);
      continue;
    }
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
  return finish(call, draft, edited, map, fmt::format("{}set osd(s) {} to class '{}'", missing, join(done, ","), name),
                "");
}

CommandResult rm_device_class(const CommandCall& call, Draft& draft) {
  auto map = crush_copy(draft);
  std::vector<std::string> done;
  std::string missing;
  for (const auto& word : call.arguments.list("ids")) {
    auto id = parse_osd(word);
    if (!id) return CommandResult::fail(-EINVAL, fmt::format("unable to parse osd id \"{}\"", word));
    if (!existing_osd(draft->osd().map(), *id)) {
      missing += fmt::format("osd.{} does not exist. ", *id);
      continue;
    }
    auto removed = crush::remove_device_class(map, *id);
    if (!removed)
      return CommandResult::fail(removed.error(), fmt::format("osd.{}: {}", *id, removed.error().message()));
    done.push_back(std::to_string(*id));
  }
  Result<> edited;
  return finish(call, draft, edited, map, fmt::format("{}done removing class of osd(s): {}", missing, join(done, ",")),
                "");
}

CommandResult rename_class(const CommandCall& call, Draft& draft) {
  auto map = crush_copy(draft);
  std::string from = call.arguments.text("srcname"), to = call.arguments.text("dstname");
  auto edited = crush::rename_device_class(map, from, to);
  return finish(call, draft, edited, map, fmt::format("rename class '{}' to '{}'", from, to),
                fmt::format("fail to rename '{}' to '{}'", from, to));
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
    if (!existing_osd(call.state.osd().map(), *id)) continue;
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
  std::string from = call.arguments.text("srcname"), to = call.arguments.text("dstname");
  if (map.rule_by_name(to) && !map.rule_by_name(from))
    return CommandResult::say(fmt::format("already renamed to '{}'", to));
  auto renamed = crush::rename_rule(map, from, to);
  return finish(call, draft, renamed, map, "", "cannot rename the rule");
}

constexpr CommandRow rows[] = {
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
};

}  // namespace

std::span<const CommandRow> crush_rule_commands() {
  return rows;
}

}  // namespace spirula::mon
