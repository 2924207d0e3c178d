#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/config.h"
#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/fs_edit.h"
#include "mon/mds_watch.h"
#include "mon/osd_edit.h"
#include "mon/text_table.h"

/// File systems and MDSs.
namespace spirula::mon {
namespace {

double blocklist_seconds(const CommandCall& call) {
  return std::chrono::duration<double>(call.around.config.duration("mds_blocklist_interval")).count();
}

struct FsArgument {
  const maps::FileSystem* fs = nullptr;
  CommandResult problem;
};
FsArgument find_fs(const State& state, const std::string& name) {
  FsArgument found;
  found.fs = state.fs().map().file_system(name);
  if (!found.fs) found.problem = CommandResult::fail(-ENOENT, fmt::format("filesystem not found: '{}'", name));
  return found;
}

bool valid_fs_name(const std::string& name) {
  return !name.empty() &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

CommandResult fs_new(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("fs_name");
  auto metadata = find_pool(draft.state(), call.arguments.text("metadata"));
  if (!metadata) {
    metadata.problem.text = fmt::format("pool '{}' does not exist", call.arguments.text("metadata"));
    return std::move(metadata.problem);
  }
  auto data = find_pool(draft.state(), call.arguments.text("data"));
  if (!data) {
    data.problem.text = fmt::format("pool '{}' does not exist", call.arguments.text("data"));
    return std::move(data.problem);
  }
  if (!valid_fs_name(name)) return CommandResult::fail(-EINVAL, fmt::format("'{}' is no name for a filesystem", name));
  if (const auto* known = draft->fs().map().file_system(name)) {
    if (known->mds_map.metadata_pool == metadata.id && !known->mds_map.data_pools.empty() &&
        known->mds_map.data_pools.front() == data.id)
      return CommandResult::say(fmt::format("filesystem '{}' already exists", name));
    return CommandResult::fail(-EINVAL, fmt::format("filesystem already exists with name '{}'", name));
  }
  if (metadata.id == data.id)
    return CommandResult::fail(-EINVAL, "the metadata and the data of a filesystem need pools of their own");
  bool force = call.arguments.flag("force");
  auto summary = call.around.stats.summarize(draft->osd().map());
  if (summary.pools[metadata.id].sum.objects > 0 && !force)
    return CommandResult::fail(
        -EINVAL, fmt::format("pool '{}' already contains some objects. Use an empty pool instead.", metadata.name));
  for (const auto* pool : {&metadata, &data})
    for (const auto& [application, keys] : pool->pool->applications)
      if (application != "cephfs" && !force)
        return CommandResult::fail(-EINVAL,
                                   fmt::format("pool '{}' is in use by application '{}'", pool->name, application));
  auto made = create_file_system(draft, {name, metadata.id, data.id}, call.around.now);
  if (!made && made.error() == Errc::busy)
    return CommandResult::fail(-EINVAL, "a pool is already in use by another filesystem");
  if (!made) return CommandResult::fail(made.error(), made.error().message());
  auto promoted = promote_standbys(draft, call.around.now);
  if (!promoted) return CommandResult::fail(promoted.error(), promoted.error().message());
  return CommandResult::say(fmt::format("new fs with metadata pool {} and data pool {}", metadata.id, data.id));
}

CommandResult fs_ls(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  auto pool_name = [&](std::int64_t id) {
    auto found = map.pool_names.find(id);
    return found == map.pool_names.end() ? std::to_string(id) : found->second;
  };
  JsonArray list;
  std::string text;
  for (const auto& fs : call.state.fs().map().file_systems) {
    const auto& mds = fs.mds_map;
    JsonArray ids, names;
    std::string pools;
    for (auto id : mds.data_pools) {
      ids.emplace_back(id);
      names.emplace_back(pool_name(id));
      pools += pool_name(id) + " ";
    }
    list.push_back(JsonObject{{"name", mds.name},
                              {"metadata_pool", pool_name(mds.metadata_pool)},
                              {"metadata_pool_id", mds.metadata_pool},
                              {"data_pool_ids", ids},
                              {"data_pools", names}});
    text +=
        fmt::format("name: {}, metadata pool: {}, data pools: [{}]\n", mds.name, pool_name(mds.metadata_pool), pools);
  }
  if (!call.is_plain()) return call.json(list);
  return CommandResult::print(text.empty() ? "No filesystems enabled\n" : text);
}

CommandResult fs_dump(const CommandCall& call) {
  const auto& fs = call.state.fs();
  auto epoch = call.arguments.integer("epoch").value_or(fs.map().epoch.value);
  if (epoch > UINT32_MAX) return CommandResult::fail(-ENOENT, "");
  auto found = fs.map_at(msg::Epoch(static_cast<std::uint32_t>(epoch)));
  if (!found) return CommandResult::fail(found.error(), fmt::format("there is no map of epoch {}", epoch));
  const auto& map = *found;
  std::string said = fmt::format("dumped fsmap epoch {}", map.epoch.value);
  return call.is_plain() ? CommandResult::print(print(map), said) : call.json(dump(map), said);
}

CommandResult fs_get(const CommandCall& call) {
  auto found = find_fs(call.state, call.arguments.text("fs_name"));
  if (!found.fs) return std::move(found.problem);
  if (!call.is_plain()) return call.json(JsonObject{{"mdsmap", dump(found.fs->mds_map)}, {"id", found.fs->fscid}});
  return CommandResult::print(
      fmt::format("Filesystem '{}' ({})\n{}", found.fs->mds_map.name, found.fs->fscid, print(found.fs->mds_map)));
}

std::string rank_state(const maps::MdsInfo& info) {
  std::string name = msg::describe(info.state);
  return name.substr(name.find(':') + 1);
}

CommandResult fs_status(const CommandCall& call) {
  const auto& all = call.state.fs().map();
  const auto& map = call.state.osd().map();
  auto summary = call.around.stats.summarize(map);
  std::string wanted = call.arguments.text("fs"), text;
  if (!wanted.empty() && !all.file_system(wanted))
    return CommandResult::fail(-EINVAL, fmt::format("Filesystem not found: {}", wanted));
  JsonArray clients, ranks, pools;
  std::map<std::string, std::vector<std::string>> versions;
  auto note_version = [&](maps::MdsGid gid, const std::string& name) {
    auto facts = call.state.fs().metadata().find(gid);
    if (facts == call.state.fs().metadata().end()) return;
    if (auto found = facts->second.find("ceph_version"); found != facts->second.end())
      versions[found->second].push_back(name);
  };
  using enum TextTable::Align;
  for (const auto& fs : all.file_systems) {
    const auto& mds = fs.mds_map;
    if (!wanted.empty() && mds.name != wanted) continue;
    std::uint64_t sessions = 0;
    TextTable table({{"RANK", left, left},
                     {"STATE", left, left},
                     {"MDS", left, left},
                     {"ACTIVITY", left, left},
                     {"DNS", left, right},
                     {"INOS", left, right},
                     {"DIRS", left, right},
                     {"CAPS", left, right}});
    for (auto rank : mds.in) {
      const auto* info = mds.holder(rank);
      if (!info) {
        table.add({std::to_string(rank), "failed"});
        ranks.push_back(JsonObject{{"rank", rank}, {"state", "failed"}});
        continue;
      }
      note_version(info->gid, info->name);
      static const MdsWatch::Seen nothing;
      const auto* seen = call.around.mds.seen(info->gid);
      if (!seen) seen = &nothing;
      sessions += seen->load.sessions;
      std::string state = rank_state(*info) + (info->laggy_since != msg::Time{} ? "(laggy)" : "");
      auto count = [](std::uint64_t value) { return print_count(value); };
      table.add({std::to_string(rank), state, info->name,
                 state == "active" ? fmt::format("Reqs: {:4.0f} /s", seen->requests_per_second) : "",
                 count(seen->load.dentries), count(seen->load.inodes), count(seen->load.directories),
                 count(seen->load.caps)});
      ranks.push_back(JsonObject{{"caps", seen->load.caps},
                                 {"dirs", seen->load.directories},
                                 {"dns", seen->load.dentries},
                                 {"inos", seen->load.inodes},
                                 {"name", info->name},
                                 {"rank", rank},
                                 {"rate", static_cast<std::uint64_t>(seen->requests_per_second)},
                                 {"state", state}});
    }
    text +=
        fmt::format("{} - {} clients\n{}\n{}", mds.name, sessions, std::string(mds.name.size(), '='), table.print());
    clients.push_back(JsonObject{{"clients", sessions}, {"fs", mds.name}});
    TextTable pool_table({{"POOL", left, left}, {"TYPE", left, left}, {"USED", left, right}, {"AVAIL", left, right}});
    auto add_pool = [&](std::int64_t id, const char* kind) {
      const auto* pool = map.pool(id);
      if (!pool) return;
      const auto& sum = summary.pools[id].sum;
      std::uint64_t used = (sum.bytes + sum.omap_bytes) * pool->size;
      std::uint64_t available = call.around.stats.available_to(*pool, map);
      pool_table.add({map.pool_names.at(id), kind, print_bytes(used), print_bytes(available)});
      pools.push_back(JsonObject{
          {"avail", available}, {"id", id}, {"name", map.pool_names.at(id)}, {"type", kind}, {"used", used}});
    };
    add_pool(mds.metadata_pool, "metadata");
    for (auto id : mds.data_pools) add_pool(id, "data");
    text += pool_table.print();
  }
  if (!all.standbys.empty()) {
    TextTable table({{"STANDBY MDS", left, left}});
    for (const auto& [gid, info] : all.standbys) {
      note_version(gid, info.name);
      table.add({info.name});
      ranks.push_back(JsonObject{{"name", info.name}, {"state", "standby"}});
    }
    text += table.print();
  }
  if (!call.is_plain()) {
    JsonObject out{{"clients", clients}};
    if (versions.size() == 1) {
      out["mds_version"] = versions.begin()->first;
    } else {
      JsonArray mixed;
      for (const auto& [version, daemons] : versions) {
        JsonArray names;
        for (const auto& name : daemons) names.emplace_back(name);
        mixed.push_back(JsonObject{{"version", version}, {"daemon", names}});
      }
      out["mds_version"] = mixed;
    }
    out["mdsmap"] = ranks;
    out["pools"] = pools;
    return call.json(out);
  }
  if (versions.size() == 1) text += fmt::format("MDS version: {}\n", versions.begin()->first);
  return CommandResult::print(text);
}

CommandResult fs_rm(const CommandCall& call, Draft& draft) {
  auto found = find_fs(draft.state(), call.arguments.text("fs_name"));
  if (!found.fs)
    return CommandResult::say(fmt::format("filesystem '{}' does not exist", call.arguments.text("fs_name")));
  if (!found.fs->mds_map.up.empty())
    return CommandResult::fail(-EINVAL,
                               "all MDS daemons must be inactive/failed before removing filesystem. See `ceph fs "
                               "fail`.");
  if (!call.arguments.flag("yes_i_really_mean_it"))
    return CommandResult::fail(-EPERM,
                               fmt::format("this is a DESTRUCTIVE operation and will make data in your filesystem "
                                           "permanently inaccessible. Add --yes-i-really-mean-it if you are sure "
                                           "you wish to continue."));
  return outcome(remove_file_system(draft, found.fs->fscid, call.around.now), "");
}

CommandResult fs_fail(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("fs_name");
  auto found = find_fs(draft.state(), name);
  if (!found.fs) return std::move(found.problem);
  auto fscid = found.fs->fscid;
  std::vector<maps::MdsGid> holders;
  for (const auto& [rank, gid] : found.fs->mds_map.up) holders.push_back(gid);
  auto edited = edit_file_system(draft, fscid, call.around.now,
                                 [](maps::MdsMap& map) { map.flags |= maps::MdsMap::not_joinable; });
  if (!edited) return CommandResult::fail(edited.error(), edited.error().message());
  for (auto gid : holders) {
    auto failed = fail_mds(draft, gid, blocklist_seconds(call), call.around.now);
    if (!failed) return CommandResult::fail(failed.error(), failed.error().message());
  }
  return CommandResult::say(
      fmt::format("{} marked not joinable; MDS cannot join the cluster. All MDS ranks marked "
                  "failed.",
                  name));
}

std::optional<bool> to_bool(const std::string& text) {
  if (text == "true" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "no" || text == "0") return false;
  return std::nullopt;
}

CommandResult fs_set(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("fs_name"), var = call.arguments.text("var"),
              text = call.arguments.text("val");
  auto found = find_fs(draft.state(), name);
  if (!found.fs) return std::move(found.problem);
  auto number = call.arguments.integer("val");
  auto on = to_bool(text);
  auto need_number = [&](std::int64_t low, std::int64_t high) { return number && *number >= low && *number <= high; };
  auto wrong = [&](std::string why) { return CommandResult::fail(-EINVAL, std::move(why)); };
  std::function<void(maps::MdsMap&)> edit;
  std::string said;
  auto set_flag = [&](std::uint32_t flag, bool value) {
    edit = [flag, value](maps::MdsMap& map) { map.flags = value ? map.flags | flag : map.flags & ~flag; };
  };
  if (var == "max_mds") {
    if (!number) return wrong("error parsing integer value '" + text + "'");
    if (*number != 1)
      return CommandResult::fail(-EOPNOTSUPP, "more than one active MDS is not supported: max_mds can only be 1");
    edit = [](maps::MdsMap& map) { map.max_mds = 1; };
  } else if (var == "max_file_size") {
    if (!number) return wrong("max_file_size requires an integer value");
    if (!need_number(1 << 22, std::int64_t{1} << 62))
      return CommandResult::fail(-ERANGE, "max_file_size must be at least 4194304");
    edit = [n = *number](maps::MdsMap& map) { map.max_file_size = static_cast<std::uint64_t>(n); };
  } else if (var == "session_timeout") {
    if (!need_number(30, 86400)) return CommandResult::fail(-ERANGE, "session_timeout must be at least 30s");
    edit = [n = *number](maps::MdsMap& map) { map.session_timeout_s = static_cast<std::uint32_t>(n); };
  } else if (var == "session_autoclose") {
    if (!need_number(30, 864000)) return wrong("session_autoclose must be between 30 and 864000");
    edit = [n = *number](maps::MdsMap& map) { map.session_autoclose_s = static_cast<std::uint32_t>(n); };
  } else if (var == "standby_count_wanted") {
    if (!need_number(0, 1000)) return wrong("standby_count_wanted must be between 0 and 1000");
    edit = [n = *number](maps::MdsMap& map) { map.standby_count_wanted = static_cast<std::int32_t>(n); };
  } else if (var == "allow_new_snaps") {
    if (!on) return wrong("value must be false|no|0 or true|yes|1");
    set_flag(maps::MdsMap::allow_snaps, *on);
    said = *on ? "enabled new snapshots" : "disabled new snapshots";
  } else if (var == "joinable") {
    if (!on) return wrong("value must be false|no|0 or true|yes|1");
    set_flag(maps::MdsMap::not_joinable, !*on);
    said =
        fmt::format("{} marked {}", name,
                    *on ? "joinable; MDS may join as newly active." : "not joinable; MDS cannot join as newly active.");
  } else if (var == "down" || var == "cluster_down") {
    if (!on) return wrong("value must be false|no|0 or true|yes|1");
    if (*on) {
      auto failed = fs_fail(call, draft);
      if (failed.result < 0) return failed;
      return CommandResult::say(fmt::format("{} marked down. ", name));
    }
    set_flag(maps::MdsMap::not_joinable, false);
    said = fmt::format("{} marked up", name);
  } else {
    return CommandResult::fail(-EOPNOTSUPP, fmt::format("setting '{}' of a filesystem is not supported", var));
  }
  auto edited = edit_file_system(draft, found.fs->fscid, call.around.now, edit);
  if (!edited) return CommandResult::fail(edited.error(), edited.error().message());
  return outcome(promote_standbys(draft, call.around.now), said);
}

CommandResult fs_set_default(const CommandCall& call, Draft& draft) {
  auto found = find_fs(draft.state(), call.arguments.text("fs_name"));
  if (!found.fs) return std::move(found.problem);
  auto fscid = found.fs->fscid;
  return outcome(edit_fs_map(draft, call.around.now, [fscid](maps::FsMap& map) { map.default_fscid = fscid; }), "");
}

CommandResult fs_rename(const CommandCall& call, Draft& draft) {
  std::string from = call.arguments.text("fs_name"), to = call.arguments.text("new_fs_name");
  auto found = find_fs(draft.state(), from);
  if (!found.fs) return std::move(found.problem);
  if (!call.arguments.flag("yes_i_really_mean_it"))
    return CommandResult::fail(-EPERM,
                               "this is a potentially disruptive operation, clients' cephx credentials need "
                               "reauthorized to access the file system and its pools with the new name. Add "
                               "--yes-i-really-mean-it if you are sure you wish to continue.");
  if (!valid_fs_name(to) || draft->fs().map().file_system(to))
    return CommandResult::fail(-EINVAL, fmt::format("'{}' is taken or no name for a filesystem", to));
  auto mds = found.fs->mds_map;
  auto edited = edit_file_system(draft, found.fs->fscid, call.around.now, [&](maps::MdsMap& map) { map.name = to; });
  if (!edited) return CommandResult::fail(edited.error(), edited.error().message());
  std::vector<std::pair<std::int64_t, const char*>> pools{{mds.metadata_pool, "metadata"}};
  for (auto id : mds.data_pools) pools.emplace_back(id, "data");
  for (auto [id, kind] : pools) {
    const auto* known = draft->osd().map().pool(id);
    if (!known) continue;
    maps::Pool pool = *known;
    pool.applications["cephfs"][kind] = to;
    auto changed = change_pool(draft, id, std::move(pool), call.around.now);
    if (!changed) return CommandResult::fail(changed.error(), changed.error().message());
  }
  return CommandResult::say(
      fmt::format("File system is renamed. cephx credentials authorized to old file system name "
                  "need to be reauthorized to new file system name."));
}

CommandResult add_data_pool(const CommandCall& call, Draft& draft) {
  auto found = find_fs(draft.state(), call.arguments.text("fs_name"));
  if (!found.fs) return std::move(found.problem);
  auto pool = find_pool(draft.state(), call.arguments.text("pool"));
  if (!pool) return std::move(pool.problem);
  const auto& mds = found.fs->mds_map;
  if (std::ranges::count(mds.data_pools, pool.id))
    return CommandResult::say(fmt::format("data pool {} is already on fs {}", pool.id, mds.name));
  for (const auto& each : draft->fs().map().file_systems)
    if (each.mds_map.metadata_pool == pool.id || std::ranges::count(each.mds_map.data_pools, pool.id))
      return CommandResult::fail(
          -EINVAL, fmt::format("pool '{}' is already in use by filesystem '{}'", pool.name, each.mds_map.name));
  std::string name = mds.name;
  auto edited = edit_file_system(draft, found.fs->fscid, call.around.now,
                                 [&](maps::MdsMap& map) { map.data_pools.push_back(pool.id); });
  if (!edited) return CommandResult::fail(edited.error(), edited.error().message());
  maps::Pool changed = *draft->osd().map().pool(pool.id);
  changed.applications["cephfs"]["data"] = name;
  return outcome(change_pool(draft, pool.id, std::move(changed), call.around.now),
                 fmt::format("added data pool {} to fsmap", pool.id));
}

CommandResult rm_data_pool(const CommandCall& call, Draft& draft) {
  auto found = find_fs(draft.state(), call.arguments.text("fs_name"));
  if (!found.fs) return std::move(found.problem);
  auto pool = find_pool(draft.state(), call.arguments.text("pool"));
  if (!pool) return std::move(pool.problem);
  const auto& pools = found.fs->mds_map.data_pools;
  if (!pools.empty() && pools.front() == pool.id)
    return CommandResult::fail(-EINVAL, "cannot remove default data pool");
  if (!std::ranges::count(pools, pool.id))
    return CommandResult::say(fmt::format("data pool {} is not on fs {}", pool.id, found.fs->mds_map.name));
  return outcome(edit_file_system(draft, found.fs->fscid, call.around.now,
                                  [&](maps::MdsMap& map) { std::erase(map.data_pools, pool.id); }),
                 fmt::format("removed data pool {} from fsmap", pool.id));
}

// --- volumes: a file system with pools of its own -------------------------------------------------------------------

CommandResult volume_create(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("name");
  if (!valid_fs_name(name)) return CommandResult::fail(-EINVAL, fmt::format("'{}' is no name for a volume", name));
  if (draft->fs().map().file_system(name)) return CommandResult::say(fmt::format("volume '{}' already exists", name));
  FsSpec spec{name, -1, -1};
  for (auto [kind, id] : {std::pair("meta", &spec.metadata_pool), std::pair("data", &spec.data_pool)}) {
    PoolSpec pool;
    pool.name = fmt::format("cephfs.{}.{}", name, kind);
    if (draft->osd().map().pool_by_name(pool.name))
      return CommandResult::fail(-EEXIST, fmt::format("pool '{}' is there already", pool.name));
    std::string problem;
    auto made = create_pool(draft, pool, osd_policy(call.around.config), call.around.now, problem);
    if (!made) return CommandResult::fail(made.error(), problem);
    *id = *made;
  }
  auto made = create_file_system(draft, spec, call.around.now);
  if (!made) return CommandResult::fail(made.error(), made.error().message());
  return outcome(promote_standbys(draft, call.around.now), "");
}

CommandResult volume_ls(const CommandCall& call) {
  JsonArray list;
  for (const auto& fs : call.state.fs().map().file_systems) list.push_back(JsonObject{{"name", fs.mds_map.name}});
  return call.json(list);
}

CommandResult volume_rm(const CommandCall& call, Draft& draft) {
  std::string name = call.arguments.text("vol_name");
  auto found = find_fs(draft.state(), name);
  if (!found.fs) return std::move(found.problem);
  if (call.arguments.text("yes-i-really-mean-it") != "--yes-i-really-mean-it")
    return CommandResult::fail(-EPERM, fmt::format("WARNING: this will *PERMANENTLY DESTROY* all data stored in the "
                                                   "filesystem '{}'. If you are *ABSOLUTELY CERTAIN* that is what you "
                                                   "want, re-issue the command followed by --yes-i-really-mean-it.",
                                                   name));
  if (!call.around.config.flag("mon_allow_pool_delete"))
    return CommandResult::fail(-EPERM,
                               "pool deletion is disabled; you must first set the mon_allow_pool_delete config "
                               "option to true before volumes can be deleted");
  auto fscid = found.fs->fscid;
  std::vector<std::int64_t> pools = found.fs->mds_map.data_pools;
  pools.push_back(found.fs->mds_map.metadata_pool);
  std::vector<maps::MdsGid> holders;
  for (const auto& [rank, gid] : found.fs->mds_map.up) holders.push_back(gid);
  auto step = [&]() -> Result<> {
    for (auto gid : holders) TRY(fail_mds(draft, gid, blocklist_seconds(call), call.around.now));
    TRY(remove_file_system(draft, fscid, call.around.now));
    for (auto pool : pools) TRY(delete_pool(draft, pool, call.around.now));
    return promote_standbys(draft, call.around.now);
  };
  return outcome(step(), fmt::format("metadata pool and data pools of '{}' removed", name));
}

// --- MDSs -----------------------------------------------------------------------------------------------------------

CommandResult mds_stat(const CommandCall& call) {
  const auto& map = call.state.fs().map();
  if (call.is_plain()) return CommandResult::print(summarize(map) + "\n");
  return call.json(JsonObject{
      {"fsmap", dump(map)}, {"mdsmap_first_committed", map.epoch.value}, {"mdsmap_last_committed", map.epoch.value}});
}

/// A daemon by "gid", "name", "rank" or "fs:rank".
FsService::Found find_mds(const State& state, const std::string& text) {
  std::uint64_t number = 0;
  auto parse = [&](std::string_view part) {
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    return !part.empty() && error == std::errc{} && end == part.data() + part.size();
  };
  if (auto colon = text.find(':'); colon != text.npos) {
    const auto* fs = state.fs().map().file_system(text.substr(0, colon));
    const auto* info = fs && parse(std::string_view(text).substr(colon + 1))
                           ? fs->mds_map.holder(static_cast<std::int32_t>(number))
                           : nullptr;
    return {info, info ? fs : nullptr};
  }
  if (parse(text)) {
    if (auto found = state.fs().find(maps::MdsGid(number))) return found;
    const auto* fs = state.fs().map().file_system(state.fs().map().default_fscid);
    const auto* info = fs ? fs->mds_map.holder(static_cast<std::int32_t>(number)) : nullptr;
    if (info) return {info, fs};
  }
  return state.fs().find(text);
}

CommandResult mds_fail(const CommandCall& call, Draft& draft) {
  std::string who = call.arguments.text("role_or_gid");
  auto found = find_mds(draft.state(), who);
  if (!found)
    return CommandResult::say(
        fmt::format("MDS named '{}' does not exist, is not up or you lack the permission to see.", who));
  auto gid = found.info->gid;
  auto failed = fail_mds(draft, gid, blocklist_seconds(call), call.around.now);
  if (!failed) return CommandResult::fail(failed.error(), failed.error().message());
  return outcome(promote_standbys(draft, call.around.now), fmt::format("failed mds gid {}", gid.value));
}

CommandResult mds_metadata(const CommandCall& call) {
  auto one = [&](const maps::MdsInfo& info) {
    JsonObject out{{"name", info.name}, {"addr", info.addresses.describe()}};
    auto facts = call.state.fs().metadata().find(info.gid);
    if (facts != call.state.fs().metadata().end())
      for (const auto& [key, value] : facts->second) out[key] = value;
    return out;
  };
  if (call.arguments.has("who")) {
    auto found = find_mds(call.state, call.arguments.text("who"));
    if (!found)
      return CommandResult::fail(
          -EINVAL, fmt::format("MDS named '{}' does not exist, or is not up", call.arguments.text("who")));
    return call.json(one(*found.info));
  }
  JsonArray list;
  for (const auto& [gid, facts] : call.state.fs().metadata())
    if (auto found = call.state.fs().find(gid)) list.emplace_back(one(*found.info));
  return call.json(list);
}

CommandResult mds_compat_show(const CommandCall& call) {
  return call.json(dump(call.state.fs().map().default_compat));
}

CommandResult mds_count_metadata(const CommandCall& call) {
  std::map<std::string, int> counts;
  std::string key = call.arguments.text("property");
  for (const auto& [gid, facts] : call.state.fs().metadata()) {
    auto found = facts.find(key);
    ++counts[found == facts.end() ? "unknown" : found->second];
  }
  JsonObject out;
  for (const auto& [value, count] : counts) out[value] = count;
  return call.json(out);
}

/// Whether every rank keeps somebody to serve it, were these MDSs to stop.
CommandResult mds_ok_to_stop(const CommandCall& call) {
  std::size_t active = 0, standbys = call.state.fs().map().standbys.size();
  for (const auto& name : call.arguments.list("ids")) {
    auto found = find_mds(call.state, name);
    if (!found) continue;
    if (found.file_system)
      ++active;
    else
      --standbys;
  }
  if (active <= standbys) return CommandResult::say("should be safe to stop " + join(call.arguments.list("ids"), ","));
  return CommandResult::fail(
      -EBUSY, fmt::format("insufficient standby MDS daemons to stop {} active ones: {} are left", active, standbys));
}

CommandResult mds_repaired(const CommandCall& call, Draft& draft) {
  std::string role = call.arguments.text("role");
  auto colon = role.find(':');
  const auto& map = draft->fs().map();
  const auto* fs = colon == role.npos ? map.file_system(map.default_fscid) : map.file_system(role.substr(0, colon));
  auto rank = parse_osd(colon == role.npos ? role : role.substr(colon + 1));
  if (!fs || !rank) return CommandResult::fail(-EINVAL, fmt::format("invalid role '{}'", role));
  if (!fs->mds_map.damaged.contains(*rank)) return CommandResult::say("nothing to do: rank is not damaged");
  return outcome(edit_file_system(draft, fs->fscid, call.around.now,
                                  [rank = *rank](maps::MdsMap& mds) {
                                    mds.damaged.erase(rank);
                                    mds.failed.insert(rank);
                                  }),
                 fmt::format("repaired: restoring rank {}", role));
}

/// Several file systems are allowed from the start.
CommandResult fs_flag_set(const CommandCall& call, Draft&) {
  if (call.arguments.flag("val")) return {};
  return CommandResult::fail(-EOPNOTSUPP, "several file systems are always allowed");
}

CommandResult fs_feature_ls(const CommandCall& call) {
  return call.json(JsonArray{});
}

constexpr CommandRow rows[] = {
    {"mds stat", "summarize the MDSs", "mds", "r", mds_stat},
    {"mds metadata name=who,type=CephString,req=false", "facts about MDSs", "mds", "r", mds_metadata},
    {"mds fail name=role_or_gid,type=CephString", "drop an MDS; a standby takes its rank", "mds", "rw", nullptr,
     mds_fail},
    {"mds count-metadata name=property,type=CephString", "count MDSs by a fact", "mds", "r", mds_count_metadata},
    {"mds ok-to-stop name=ids,type=CephString,n=N", "tell whether a standby could replace MDSs", "mds", "r",
     mds_ok_to_stop},
    {"mds repaired name=role,type=CephString", "let a damaged rank start again", "mds", "rw", nullptr, mds_repaired},
    {"fs flag set name=flag_name,type=CephChoices,strings=enable_multiple name=val,type=CephString "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "allow several file systems", "fs", "rw", nullptr, fs_flag_set},
    {"mds compat show", "show what an MDS must understand", "mds", "r", mds_compat_show},
    {"fs feature ls", "list features that clients can be required to have", "mds", "r", fs_feature_ls},
    {"fs new name=fs_name,type=CephString,goodchars=[A-Za-z0-9-_.] name=metadata,type=CephString "
     "name=data,type=CephString name=force,type=CephBool,req=false "
     "name=allow_dangerous_metadata_overlay,type=CephBool,req=false",
     "make a file system of two pools", "fs", "rw", nullptr, fs_new},
    {"fs ls", "list file systems", "fs", "r", fs_ls},
    {"fs dump name=epoch,type=CephInt,range=0,req=false", "print all file systems and MDSs", "mds", "r", fs_dump},
    {"fs get name=fs_name,type=CephString", "print one file system", "fs", "r", fs_get},
    {"fs status name=fs,type=CephString,req=false", "show how file systems are", "fs", "r", fs_status},
    {"fs rm name=fs_name,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
     "forget a file system; its pools stay", "fs", "rw", nullptr, fs_rm},
    {"fs fail name=fs_name,type=CephString", "take a file system down", "fs", "rw", nullptr, fs_fail},
    {"fs set name=fs_name,type=CephString name=var,type=CephChoices,strings=max_mds|max_file_size|allow_new_snaps|"
     "cluster_down|joinable|down|session_timeout|session_autoclose|standby_count_wanted "
     "name=val,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false "
     "name=yes_i_really_really_mean_it,type=CephBool,req=false",
     "change a setting of a file system", "mds", "rw", nullptr, fs_set},
    {"fs set-default name=fs_name,type=CephString", "say which file system clients get that name none", "fs", "rw",
     nullptr, fs_set_default},
    {"fs set_default name=fs_name,type=CephString", "say which file system clients get that name none", "fs", "rw",
     nullptr, fs_set_default},
    {"fs rename name=fs_name,type=CephString name=new_fs_name,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "rename a file system", "mds", "rw", nullptr, fs_rename},
    {"fs volume create name=name,type=CephString,goodchars=[A-Za-z0-9-_.] name=placement,type=CephString,req=false",
     "make a file system and its pools", "fs", "rw", nullptr, volume_create},
    {"fs volume ls", "list file systems", "fs", "r", volume_ls},
    {"fs volume rm name=vol_name,type=CephString name=yes-i-really-mean-it,type=CephString,req=false",
     "remove a file system and its pools", "fs", "rw", nullptr, volume_rm},
    {"fs add_data_pool name=fs_name,type=CephString name=pool,type=CephString", "add a data pool", "mds", "rw", nullptr,
     add_data_pool},
    {"fs rm_data_pool name=fs_name,type=CephString name=pool,type=CephString", "remove a data pool", "mds", "rw",
     nullptr, rm_data_pool},
};

}  // namespace

std::span<const CommandRow> fs_commands() {
  return rows;
}

}  // namespace spirula::mon
