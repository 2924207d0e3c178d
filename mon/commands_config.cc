#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <map>
#include <set>

#include "base/config.h"
#include "mon/ceph_options.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/config_location.h"
#include "mon/dump.h"
#include "mon/session.h"
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

/// The target that an argument names.
struct TargetArgument {
  ConfigTarget target;
  std::optional<CommandResult> problem;
};
TargetArgument find_target(const CommandCall& call) {
  TargetArgument found;
  std::string words;
  if (auto target = ConfigTarget::parse(call.arguments.text("who"), words))
    found.target = std::move(*target);
  else
    found.problem = CommandResult::fail(-EINVAL, words);
  return found;
}

CommandResult apply_steps(const CommandCall& call, Draft& draft, std::vector<ConfigService::Step> steps,
                          std::string command) {
  auto drafted = draft.change<ConfigService>({call.around.now, std::move(command), std::move(steps)});
  return drafted ? CommandResult{} : CommandResult::fail(drafted.error(), "cannot change the configuration");
}

CommandResult config_set(const CommandCall& call, Draft& draft) {
  auto [target, problem] = find_target(call);
  if (problem) return std::move(*problem);
  std::string name = option_name(call.arguments.text("name")), value = call.arguments.text("value");
  if (auto refused = refuse_option(call.around.option_rows, name, value, call.arguments.flag("force")))
    return CommandResult::fail(-EINVAL, *refused);
  value = normal_value(call.around.option_rows, name, value);
  return apply_steps(call, draft, {{target.describe(), name, value}}, "");
}

CommandResult config_rm(const CommandCall& call, Draft& draft) {
  auto [target, problem] = find_target(call);
  if (problem) return std::move(*problem);
  return apply_steps(call, draft, {{target.describe(), option_name(call.arguments.text("name")), std::nullopt}}, "");
}

/// One value that is set, and where.
struct Row {
  ConfigTarget target;
  std::string name, value;
};

std::vector<Row> rows_of(const CommandCall& call, const std::vector<std::string>& targets) {
  std::vector<Row> rows;
  for (const auto& text : targets) {
    std::string problem;
    auto target = ConfigTarget::parse(text, problem);
    if (!target) continue;
    for (const auto& [name, value] : call.state.config().sections().at(text)) rows.push_back({*target, name, value});
  }
  return rows;
}

JsonObject dump_mask(const ConfigTarget& target) {
  JsonObject mask;
  if (!target.place_type.empty()) {
    mask["location_type"] = target.place_type;
    mask["location_value"] = target.place;
  }
  if (!target.device_class.empty()) mask["device_class"] = target.device_class;
  return mask;
}

CommandResult show_rows(const CommandCall& call, const std::vector<Row>& rows, bool as_map) {
  if (!call.is_plain()) {
    JsonArray list;
    JsonObject map;
    for (const auto& row : rows) {
      if (as_map) {
        map[row.name] = JsonObject{{"value", row.value},
                                   {"section", row.target.section},
                                   {"mask", dump_mask(row.target)},
                                   {"can_update_at_runtime", true}};
        continue;
      }
      JsonObject one{{"section", row.target.section},
                     {"name", row.name},
                     {"value", row.value},
                     {"level", "advanced"},
                     {"can_update_at_runtime", true},
                     {"mask", row.target.describe_mask()}};
      for (const auto& part : dump_mask(row.target)) one[part.key()] = part.value();
      list.push_back(std::move(one));
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
  for (const auto& row : rows) {
    const auto& who = row.target.section;
    std::size_t depth = who == "global" ? 0 : who.find('.') == who.npos ? 1 : 2;
    table.add({std::string(depth * 2, ' ') + who, row.target.describe_mask(), "advanced", row.name, row.value, ""});
  }
  return CommandResult::print(table.print());
}

CommandResult config_dump(const CommandCall& call) {
  std::vector<std::string> targets;
  for (const auto& [target, section] : call.state.config().sections()) targets.push_back(target);
  std::ranges::sort(targets, {},
                    [](const std::string& target) { return std::pair(!target.starts_with("global"), target); });
  return show_rows(call, rows_of(call, targets), false);
}

/// What applies to an entity, each option once and from the target that decides.
std::vector<Row> effective_rows(const CommandCall& call, const std::string& entity) {
  std::map<std::string, Row> decided;
  for (auto& row : rows_of(call, call.state.config().targets_for(entity, locate(call.state, entity, {}))))
    decided[row.name] = row;
  std::vector<Row> rows;
  for (auto& [name, row] : decided) rows.push_back(std::move(row));
  return rows;
}

CommandResult config_get(const CommandCall& call) {
  auto [target, problem] = find_target(call);
  if (problem) return std::move(*problem);
  auto rows = effective_rows(call, call.arguments.text("who"));
  if (!call.arguments.has("key")) return show_rows(call, rows, true);
  std::string name = option_name(call.arguments.text("key")), value;
  auto found = std::ranges::find(rows, name, &Row::name);
  if (found != rows.end()) {
    value = found->value;
  } else {
    const Option* known = nullptr;
    for (const Option& row : call.around.option_rows)
      if (name == row.name) known = &row;
    if (!known && !call.around.config.knows(name))
      return CommandResult::fail(
          -ENOENT, find_option(call.around.option_rows, name)
                       ? fmt::format("'{}' is not set, and its default is the daemon's or client's own", name)
                       : fmt::format("unrecognized key '{}'", name));
    value = known ? known->default_value : call.around.config.text(name);
  }
  if (!call.is_plain()) return call.json(Json(value));
  return CommandResult::print(value + "\n");
}

/// What the monitor tells a daemon that is up; what the daemon has from elsewhere only it knows (`ceph tell ... config
/// show`).
CommandResult config_show(const CommandCall& call) {
  std::string who = call.arguments.text("who");
  bool up = who == "mon." + call.around.config.id();
  if (auto id = parse_osd(who); id && who.starts_with("osd.")) up = call.state.osd().map().is_up(*id);
  for (const auto& session : call.around.sessions.all()) up |= session->name().describe() == who;
  if (!up) return CommandResult::fail(-ENOENT, fmt::format("no config state for daemon {}", who));
  auto rows = effective_rows(call, who);
  if (call.arguments.has("key")) {
    std::string name = option_name(call.arguments.text("key"));
    auto found = std::ranges::find(rows, name, &Row::name);
    if (found == rows.end()) return CommandResult::fail(-ENOENT, fmt::format("'{}' is not set", name));
    return CommandResult::print(found->value + "\n");
  }
  JsonArray list;
  using enum TextTable::Align;
  TextTable table({{"NAME", left, left},
                   {"VALUE", left, left},
                   {"SOURCE", left, left},
                   {"OVERRIDES", left, left},
                   {"IGNORES", left, left}});
  for (const auto& row : rows) {
    list.push_back(JsonObject{{"name", row.name}, {"value", row.value}, {"source", "mon"}});
    table.add({row.name, row.value, "mon", "", ""});
  }
  return call.is_plain() ? CommandResult::print(table.print()) : call.json(list);
}

const char* type_name(OptionType type) {
  switch (type) {
    case OptionType::text:
      return "str";
    case OptionType::integer:
      return "int";
    case OptionType::size:
      return "size";
    case OptionType::real:
      return "float";
    case OptionType::boolean:
      return "bool";
    case OptionType::duration:
      return "secs";
  }
  return "str";
}

CommandResult config_help(const CommandCall& call) {
  std::string name = option_name(call.arguments.text("key"));
  auto type = find_option(call.around.option_rows, name);
  if (!type) return CommandResult::fail(-ENOENT, fmt::format("configuration option '{}' not recognized", name));
  Option row{name.c_str(), *type};
  for (const Option& own : call.around.option_rows)
    if (name == own.name) row = own;
  // As Ceph has it: a number where it is one, and nothing where there is no bound.
  auto typed = [&](std::string_view text) -> Json {
    double number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    bool whole = error == std::errc{} && end == text.data() + text.size();
    if (whole && *type != OptionType::text) return number;
    if (*type == OptionType::boolean && !text.empty()) return text == "true";
    return Json(std::string(text));
  };
  auto bound = [](double value, double none) { return value == none ? Json("") : Json(value); };
  if (!call.is_plain())
    return call.json(JsonObject{{"name", row.name},
                                {"type", type_name(*type)},
                                {"level", "advanced"},
                                {"desc", row.description},
                                {"long_desc", ""},
                                {"default", typed(row.default_value)},
                                {"daemon_default", ""},
                                {"tags", JsonArray{}},
                                {"services", JsonArray{}},
                                {"see_also", JsonArray{}},
                                {"enum_values", JsonArray{}},
                                {"min", bound(row.min, std::numeric_limits<double>::lowest())},
                                {"max", bound(row.max, std::numeric_limits<double>::max())},
                                {"can_update_at_runtime", true},
                                {"flags", JsonArray{}}});
  return CommandResult::print(fmt::format("{} - {}\n  ({}, advanced)\n  Default: {}\n", row.name, row.description,
                                          type_name(*type), row.default_value));
}

CommandResult config_ls(const CommandCall& call) {
  std::set<std::string> all;
  for (const Option& row : call.around.option_rows) all.insert(row.name);
  for (const auto& [type, names] : ceph_options())
    for (std::size_t at = 0; at < names.size();) {
      auto end = names.find(' ', at);
      all.emplace(names.substr(at, end - at));
      at = end + 1;
    }
  JsonArray names;
  std::string text;
  for (const auto& name : all) {
    names.emplace_back(name);
    text += name + "\n";
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
  if (target > service.number())
    return CommandResult::fail(-EINVAL,
                               "must specify a valid historical version to revert to; see 'ceph config log' for "
                               "a list of available configuration historical versions");
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
  std::map<std::string, std::string> rest;
  std::string section = "global";
  auto trim = [](const std::string& text) {
    auto first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
    return first == text.npos ? std::string() : text.substr(first, last - first + 1);
  };
  for (std::size_t at = 0; at < call.input.size();) {
    auto end = std::min(call.input.find('\n', at), call.input.size());
    std::string line = trim(call.input.substr(at, end - at));
    at = end + 1;
    line = trim(line.substr(0, line.find_first_of("#;")));
    if (line.empty()) continue;
    if (line.front() == '[' && line.back() == ']') {
      section = line.substr(1, line.size() - 2);
      continue;
    }
    auto equals = line.find('=');
    if (equals == line.npos) return CommandResult::fail(-EINVAL, fmt::format("failed to parse '{}'", line));
    std::string name = option_name(trim(line.substr(0, equals))), value = trim(line.substr(equals + 1)), problem;
    auto target = ConfigTarget::parse(section, problem);
    // What cannot be kept here stays in the file: what a client needs to find us at all, and what nobody knows.
    if (!target || refuse_option(call.around.option_rows, name, value, false))
      rest[section] += fmt::format("\t{} = {}\n", name, value);
    else
      steps.push_back({target->describe(), name, value});
  }
  auto result = apply_steps(call, draft, std::move(steps), "assimilate-conf");
  for (const auto& [name, lines] : rest) result.output += fmt::format("\n[{}]\n{}", name, lines);
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
  return CommandResult::print(found->second);
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
    {"config show name=who,type=CephString name=key,type=CephString,req=false",
     "show what the monitor tells a running daemon", "config", "r", config_show},
    {"config dump", "show every option that is set", "mon", "r", config_dump},
    {"config help name=key,type=CephString", "describe an option", "config", "r", config_help},
    {"config ls", "list options", "config", "r", config_ls},
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
