#include "mon/command_arguments.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>

namespace spirula::mon {

Result<std::int32_t> parse_osd(std::string_view text) {
  if (text.starts_with("osd.")) text.remove_prefix(4);
  std::int32_t id = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id < 0) return Errc::invalid;
  return id;
}

const maps::Osd* existing_osd(const maps::OsdMap& map, std::int32_t id) {
  const auto* osd = map.osd(id);
  return osd && osd->exists() ? osd : nullptr;
}

OsdArgument find_osd(const CommandCall& call, const State& state) {
  OsdArgument found;
  std::string text = call.arguments.text("id");
  auto id = parse_osd(text);
  if (!id) {
    found.problem = CommandResult::fail(-EINVAL, fmt::format("'{}' is no osd id", text));
    return found;
  }
  found.id = *id;
  found.osd = existing_osd(state.osd().map(), *id);
  if (!found.osd) found.problem = CommandResult::fail(-ENOENT, fmt::format("osd.{} does not exist", *id));
  return found;
}

OsdList find_osds(const CommandCall& call, const State& state, std::string_view name) {
  OsdList list;
  const auto& map = state.osd().map();
  for (const auto& word : call.arguments.list(name)) {
    if (word == "all" || word == "any" || word == "*") {
      list.everything = true;
      for (std::size_t id = 0; id < map.osds.size(); ++id)
        if (map.osds[id].exists()) list.ids.push_back(static_cast<std::int32_t>(id));
    } else if (auto id = parse_osd(word)) {
      list.ids.push_back(*id);
    } else if (auto item = map.crush->item_by_name(word)) {
      for (auto device : map.crush->devices_under(*item)) list.ids.push_back(device);
    } else {
      list.problem = CommandResult::fail(-EINVAL, fmt::format("unable to parse osd id or crush node '{}'", word));
    }
  }
  return list;
}

PoolArgument find_pool(const State& state, const std::string& name) {
  PoolArgument found;
  const auto& map = state.osd().map();
  auto id = map.pool_by_name(name);
  if (!id) {
    found.problem = CommandResult::fail(-ENOENT, fmt::format("unrecognized pool '{}'", name));
    return found;
  }
  found.id = *id;
  found.pool = map.pool(*id);
  found.name = name;
  return found;
}

PgArgument find_pg(const CommandCall& call, const State& state) {
  PgArgument found;
  std::string text = call.arguments.text("pgid");
  auto pg = msg::PgId::parse(text);
  const auto* pool = pg ? state.osd().map().pool(pg->pool) : nullptr;
  if (!pool || pg->seed >= pool->pg_num) {
    found.problem = CommandResult::fail(-ENOENT, fmt::format("pg {} does not exist", text));
    return found;
  }
  found.pg = *pg;
  found.pool = pool;
  return found;
}

PlaceArgument find_place(const CommandCall& call) {
  PlaceArgument place;
  auto words = call.arguments.list("args");
  if (auto location = crush::parse_location(words))
    place.location = std::move(*location);
  else
    place.problem = CommandResult::fail(-EINVAL, "locations are given as type=bucket");
  return place;
}

std::string print_location(const crush::Location& location) {
  std::string text;
  for (const auto& [type, name] : location) text += fmt::format("{}{}={}", text.empty() ? "" : ",", type, name);
  return "{" + text + "}";
}

std::optional<crush::Weight> find_weight(const CommandCall& call) {
  auto weight = crush::to_weight(call.arguments.real("weight").value_or(0));
  return weight ? std::optional(*weight) : std::nullopt;
}

bool is_sure(const CommandCall& call) {
  return call.arguments.flag("yes_i_really_mean_it") || call.arguments.flag("force");
}

CommandResult outcome(const Result<>& done, std::string text) {
  if (!done) return CommandResult::fail(done.error(), done.error().message());
  return CommandResult::say(std::move(text));
}

JsonArray numbers(const std::vector<std::int32_t>& ids) {
  JsonArray array;
  for (auto id : ids) array.emplace_back(id);
  return array;
}

}  // namespace spirula::mon
