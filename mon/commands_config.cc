#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/config.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/text_table.h"

/// The central configuration, and the drawer of opaque keys.
namespace spirula::mon {
namespace {

/// Option names are written with '_', except those of modules.
std::string option_name(std::string name) {
  if (name.starts_with("mgr/")) return name;
  std::ranges::replace(name, ' ', '_');
  std::ranges::replace(name, '-', '_');
  return name;
}

/// "global", "osd", "osd.3", "client.x". A problem in words, or nothing.
std::string check_section(const std::string& who) {
  if (who.find('/') != who.npos) return fmt::format("'{}': masks (host:, class:) are not supported", who);
  if (who == "global") return {};
  std::string type = who.substr(0, who.find('.'));
  for (auto known : {"mon", "mgr", "osd", "mds", "client"})
    if (type == known) return {};
  return fmt::format("unrecognized config target '{}'", who);
}

CommandResult apply_steps(const CommandCall& call, Draft& draft, std::vector<ConfigService::Step> steps,
                          std::string command) {
  auto drafted = draft.change<ConfigService>({call.around.now, std::move(command), std::move(steps)});
  return drafted ? CommandResult{} : CommandResult::fail(drafted.error(), "cannot change the configuration");
}

CommandResult config_set(const CommandCall& call, Draft& draft) {
  std::string who = call.arguments.text("who"), name = option_name(call.arguments.text("name"));
  if (auto problem = check_section(who); !problem.empty()) return CommandResult::fail(-EINVAL, problem);
  // Daemons have options of their own, of which the monitor knows some: what it knows it checks.
  if (call.around.config.knows(name)) {
    Config trial("mon", "x");
    trial.add(call.around.option_rows);
    if (!trial.set(name, call.arguments.text("value")))
      return CommandResult::fail(
          -EINVAL, fmt::format("error parsing value: '{}' is no value for {}", call.arguments.text("value"), name));
  }
  return apply_steps(call, draft, {{who, name, call.arguments.text("value")}}, "");
}

CommandResult config_rm(const CommandCall& call, Draft& draft) {
  std::string who = call.arguments.text("who"), name = option_name(call.arguments.text("name"));
  if (auto problem = check_section(who); !problem.empty()) return CommandResult::fail(-EINVAL, problem);
  return apply_steps(call, draft, {{who, name, std::nullopt}}, "");
}

struct Row {
  std::string who, name, value;
};

CommandResult show_rows(const CommandCall& call, const std::vector<Row>& rows, bool as_map) {
  if (!call.is_plain()) {
    JsonArray list;
    JsonObject map;
    for (const auto& row : rows) {
      if (as_map)
        map[row.name] = JsonObject{
            {"value", row.value}, {"section", row.who}, {"mask", JsonObject{}}, {"can_update_at_runtime", true}};
      else
        list.push_back(JsonObject{{"section", row.who},
                                  {"name", row.name},
                                  {"value", row.value},
                                  {"level", "advanced"},
                                  {"can_update_at_runtime", true},
                                  {"mask", ""}});
    }
    return as_map ? call.json(map) : call.json(list);
  }
  using enum TextTable::Align;
  TextTable table({{"WHO", left, left},
                   {"MASK", left, left},
                   {"LEVEL", left, left},
                   {"OPTION", left, left},
                   {"VALUE", left, left},
                   {"RO", left, left}});
  std::string last;
  int depth = 0;
  for (const auto& row : rows) {
    depth = row.who == "global" ? 0 : row.who.find('.') == row.who.npos ? 1 : 2;
    table.add({row.who == last ? "" : std::string(static_cast<std::size_t>(depth) * 2, ' ') + row.who, "", "advanced",
               row.name, row.value, ""});
    if (row.who == last) continue;
    last = row.who;
  }
  return CommandResult::print(table.print());
}

CommandResult config_dump(const CommandCall& call) {
  std::vector<Row> rows;
  auto add = [&](const std::string& who, const auto& section) {
    for (const auto& [name, value] : section) rows.push_back({who, name, value});
  };
  const auto& sections = call.state.config().sections();
  if (auto global = sections.find("global"); global != sections.end()) add("global", global->second);
  for (const auto& [who, section] : sections)
    if (who != "global") add(who, section);
  return show_rows(call, rows, false);
}

CommandResult config_get(const CommandCall& call) {
  std::string who = call.arguments.text("who");
  if (auto problem = check_section(who); !problem.empty()) return CommandResult::fail(-EINVAL, problem);
  auto values = call.state.config().for_entity(who);
  if (call.arguments.has("key")) {
    std::string name = option_name(call.arguments.text("key")), value;
    if (auto found = values.find(name); found != values.end()) {
      value = found->second;
    } else {
      const Option* known = nullptr;
      for (const Option& row : call.around.option_rows)
        if (name == row.name) known = &row;
      if (!known && !call.around.config.knows(name))
        return CommandResult::fail(-ENOENT, fmt::format("unrecognized key '{}'", name));
      value = known ? known->default_value : call.around.config.text(name);
    }
    if (!call.is_plain()) return call.json(Json(value));
    return CommandResult::print(value + "\n");
  }
  std::vector<Row> rows;
  for (const auto& [name, value] : values) {
    std::string from = "global";
    for (const auto& [section, contents] : call.state.config().sections())
      if ((who == section || who.starts_with(section + ".")) && contents.contains(name)) from = section;
    rows.push_back({from, name, value});
  }
  return show_rows(call, rows, true);
}

CommandResult config_help(const CommandCall& call) {
  std::string name = option_name(call.arguments.text("key"));
  for (const Option& row : call.around.option_rows)
    if (name == row.name) {
      if (!call.is_plain())
        return call.json(JsonObject{{"name", row.name}, {"desc", row.description}, {"default", row.default_value}});
      return CommandResult::print(
          fmt::format("{} - {}\n  Default: {}\n", row.name, row.description, row.default_value));
    }
  return CommandResult::fail(-ENOENT, fmt::format("configuration option '{}' not recognized", name));
}

CommandResult config_ls(const CommandCall& call) {
  JsonArray names;
  std::string text;
  for (const Option& row : call.around.option_rows) {
    names.emplace_back(row.name);
    text += fmt::format("{}\n", row.name);
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(names);
}

CommandResult config_log(const CommandCall& call) {
  auto count = static_cast<std::size_t>(call.arguments.integer("num").value_or(10));
  JsonArray list;
  std::string text;
  const auto& history = call.state.config().history();
  for (auto past = history.rbegin(); past != history.rend() && count-- > 0; ++past) {
    JsonArray changes;
    text += fmt::format("--- {} --- {} --- {}\n", past->number, past->when.describe(), past->command);
    for (const auto& each : past->differences) {
      JsonObject change{{"name", each.who + "/" + each.name}};
      if (each.before) {
        change["previous_value"] = *each.before;
        text += fmt::format("- {}/{} = {}\n", each.who, each.name, *each.before);
      }
      if (each.after) {
        change["new_value"] = *each.after;
        text += fmt::format("+ {}/{} = {}\n", each.who, each.name, *each.after);
      }
      changes.emplace_back(change);
    }
    list.push_back(JsonObject{{"version", past->number},
                              {"timestamp", past->when.describe()},
                              {"name", past->command},
                              {"changes", changes}});
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult config_reset(const CommandCall& call, Draft& draft) {
  auto target = static_cast<std::uint64_t>(call.arguments.integer("num").value_or(0));
  const auto& service = draft->config();
  if (target > service.number()) return CommandResult::fail(-EINVAL, fmt::format("there is no version {}", target));
  if (!service.history().empty() && target + 1 < service.history().front().number)
    return CommandResult::fail(-ENOENT, fmt::format("version {} is no longer remembered", target));
  std::vector<ConfigService::Step> steps;
  for (auto past = service.history().rbegin(); past != service.history().rend() && past->number > target; ++past)
    for (auto each = past->differences.rbegin(); each != past->differences.rend(); ++each)
      steps.push_back({each->who, each->name, each->before});
  return apply_steps(call, draft, std::move(steps), fmt::format("reset to {}", target));
}

CommandResult config_assimilate(const CommandCall& call, Draft& draft) {
  std::vector<ConfigService::Step> steps;
  std::string section = "global", rest;
  for (std::size_t at = 0; at < call.input.size();) {
    auto end = std::min(call.input.find('\n', at), call.input.size());
    std::string line = call.input.substr(at, end - at);
    at = end + 1;
    auto trim = [](std::string text) {
      auto first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
      return first == text.npos ? std::string() : text.substr(first, last - first + 1);
    };
    line = trim(line.substr(0, line.find_first_of("#;")));
    if (line.empty()) continue;
    if (line.front() == '[' && line.back() == ']') {
      section = line.substr(1, line.size() - 2);
      if (!check_section(section).empty()) rest += line + "\n";
      continue;
    }
    auto equals = line.find('=');
    if (equals == line.npos) return CommandResult::fail(-EINVAL, fmt::format("failed to parse '{}'", line));
    std::string name = option_name(trim(line.substr(0, equals)));
    // What a client needs to find the monitors at all stays in its file.
    bool stays = name == "fsid" || name == "mon_host" || name == "keyring" || !check_section(section).empty();
    if (stays)
      rest += fmt::format("\t{} = {}\n", name, trim(line.substr(equals + 1)));
    else
      steps.push_back({section, name, trim(line.substr(equals + 1))});
  }
  auto result = apply_steps(call, draft, std::move(steps), "assimilate-conf");
  result.output = rest.empty() ? "" : "[global]\n" + rest;
  return result;
}

CommandResult generate_minimal_conf(const CommandCall& call) {
  const auto& map = call.state.mon().map();
  std::string hosts;
  for (const auto& name : map.ranks)
    if (auto found = map.monitors.find(name); found != map.monitors.end())
      hosts += (hosts.empty() ? "" : " ") + found->second.addresses.describe();
  return CommandResult::print(fmt::format("# minimal ceph.conf for {}\n[global]\n\tfsid = {}\n\tmon_host = {}\n",
                                          map.fsid.describe(), map.fsid.describe(), hosts));
}

// --- config-key -----------------------------------------------------------------------------------------------------

CommandResult key_get(const CommandCall& call) {
  std::string key = call.arguments.text("key");
  auto found = call.state.config_key().keys().find(key);
  if (found == call.state.config_key().keys().end())
    return CommandResult::fail(-ENOENT, fmt::format("key '{}' doesn't exist", key));
  return CommandResult::print(found->second, fmt::format("obtained '{}'", key));
}

CommandResult key_exists(const CommandCall& call) {
  std::string key = call.arguments.text("key");
  if (!call.state.config_key().keys().contains(key))
    return CommandResult::fail(-ENOENT, fmt::format("key '{}' doesn't exist", key));
  return CommandResult::say(fmt::format("key '{}' exists", key));
}

CommandResult key_set(const CommandCall& call, Draft& draft) {
  std::string key = call.arguments.text("key");
  std::string value = call.arguments.has("val") ? call.arguments.text("val") : call.input;
  if (value.size() > limits::config_key_value_max)
    return CommandResult::fail(-EFBIG, fmt::format("entry is too large: {} bytes, at most {} are allowed", value.size(),
                                                   limits::config_key_value_max));
  ConfigKeyService::Change change;
  change.keys[key] = std::move(value);
  auto drafted = draft.change<ConfigKeyService>(change);
  if (!drafted) return CommandResult::fail(drafted.error(), "");
  return CommandResult::say(fmt::format("set {}", key));
}

CommandResult key_rm(const CommandCall& call, Draft& draft) {
  std::string key = call.arguments.text("key");
  if (!draft->config_key().keys().contains(key)) return CommandResult::say(fmt::format("no such key '{}'", key));
  ConfigKeyService::Change change;
  change.keys[key] = std::nullopt;
  auto drafted = draft.change<ConfigKeyService>(change);
  if (!drafted) return CommandResult::fail(drafted.error(), "");
  return CommandResult::say("key deleted");
}

CommandResult key_ls(const CommandCall& call) {
  JsonArray keys;
  for (const auto& [key, value] : call.state.config_key().keys()) keys.emplace_back(key);
  return call.json(keys);
}

CommandResult key_dump(const CommandCall& call) {
  JsonObject keys;
  std::string prefix = call.arguments.text("key");
  for (const auto& [key, value] : call.state.config_key().keys()) {
    if (!key.starts_with(prefix)) continue;
    bool text = std::ranges::all_of(value, [](unsigned char c) { return (c >= 0x20 && c < 0x7f) || c == '\n'; });
    keys[key] = text ? value : fmt::format("<<< binary blob of length {} >>>", value.size());
  }
  return call.json(keys);
}

constexpr CommandRow rows[] = {
    {"config set name=who,type=CephString name=name,type=CephString name=value,type=CephString "
     "name=force,type=CephBool,req=false",
     "set an option for a kind of daemon, one daemon, or all", "config", "rw", nullptr, config_set},
    {"config rm name=who,type=CephString name=name,type=CephString", "unset an option", "config", "rw", nullptr,
     config_rm},
    {"config get name=who,type=CephString name=key,type=CephString,req=false", "show what applies to an entity",
     "config", "r", config_get},
    {"config dump", "show every option that is set", "mon", "r", config_dump},
    {"config help name=key,type=CephString", "describe an option", "config", "r", config_help},
    {"config ls", "list the monitor's options", "config", "r", config_ls},
    {"config log name=num,type=CephInt,req=false", "show recent changes", "config", "r", config_log},
    {"config reset name=num,type=CephInt,range=0", "go back to an earlier version", "config", "rw", nullptr,
     config_reset},
    {"config assimilate-conf", "take the options of a ceph.conf given with -i; prints what stays in it", "config", "rw",
     nullptr, config_assimilate},
    {"config generate-minimal-conf", "print a ceph.conf that finds this cluster", "config", "r", generate_minimal_conf},
    {"config-key get name=key,type=CephString", "get a key's value", "config-key", "r", key_get},
    {"config-key set name=key,type=CephString name=val,type=CephString,req=false", "set a key's value, or with -i",
     "config-key", "rw", nullptr, key_set},
    {"config-key put name=key,type=CephString name=val,type=CephString,req=false", "set a key's value, or with -i",
     "config-key", "rw", nullptr, key_set},
    {"config-key del name=key,type=CephString", "remove a key", "config-key", "rw", nullptr, key_rm},
    {"config-key rm name=key,type=CephString", "remove a key", "config-key", "rw", nullptr, key_rm},
    {"config-key exists name=key,type=CephString", "tell whether a key is there", "config-key", "r", key_exists},
    {"config-key list", "list keys", "config-key", "r", key_ls},
    {"config-key ls", "list keys", "config-key", "r", key_ls},
    {"config-key dump name=key,type=CephString,req=false", "show keys and values", "config-key", "r", key_dump},
};

}  // namespace

std::span<const CommandRow> config_commands() {
  return rows;
}

}  // namespace spirula::mon
