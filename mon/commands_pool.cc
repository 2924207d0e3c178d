#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/config.h"
#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/osd_edit.h"
#include "mon/text_table.h"

/// Pools.
namespace spirula::mon {

namespace {

CommandResult lspools(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  JsonArray list;
  std::string text;
  for (const auto& [id, name] : map.pool_names) {
    list.push_back(JsonObject{{"poolnum", id}, {"poolname", name}});
    text += fmt::format("{} {}\n", id, name);
  }
  return call.is_plain() ? CommandResult::print(text) : call.json(list);
}

CommandResult pool_ls(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  bool detail = call.arguments.has("detail");
  JsonArray list;
  std::string text;
  for (const auto& [id, name] : map.pool_names) {
    if (detail) {
      list.emplace_back(dump_pool(id, name, map.pools.at(id), true));
      text += print_pool(id, name, map.pools.at(id));
    } else {
      list.emplace_back(name);
      text += name + "\n";
    }
  }
  return call.is_plain() ? CommandResult::print(text + (detail ? "\n" : "")) : call.json(list);
}

CommandResult pool_create(const CommandCall& call, Draft& draft) {
  const auto& a = call.arguments;
  PoolSpec spec;
  spec.name = a.text("pool");
  if (spec.name.empty() || spec.name[0] == '.')
    return CommandResult::fail(-EPERM, "pool names beginning with . are not allowed, nor is an empty one");
  auto number = [&](const char* name) -> std::optional<std::uint32_t> {
    if (auto value = a.integer(name)) return static_cast<std::uint32_t>(*value);
    return std::nullopt;
  };
  spec.pg_num = number("pg_num");
  spec.pgp_num = number("pgp_num");
  spec.size = number("size");
  spec.rule = a.text("rule");
  spec.bulk = a.flag("bulk");
  if (a.text("pool_type") == "erasure")
    return CommandResult::fail(-EOPNOTSUPP, "erasure-coded pools are not supported");
  if (!a.text("erasure_code_profile").empty()) {
    // `osd pool create NAME PGS PGPS replicated RULE` names the rule where a profile would stand.
    if (spec.rule.empty()) spec.rule = a.text("erasure_code_profile");
  }
  if (draft->osd().map().pool_by_name(spec.name))
    return CommandResult::say(fmt::format("pool '{}' already exists", spec.name));
  std::string problem;
  auto made = create_pool(draft, spec, osd_policy(call.around.config), call.around.now, problem);
  if (!made) return CommandResult::fail(made.error(), problem);
  return CommandResult::say(fmt::format("pool '{}' created", spec.name));
}

bool used_by_file_system(const State& state, std::int64_t pool) {
  for (const auto& fs : state.fs().map().file_systems)
    if (fs.mds_map.metadata_pool == pool || std::ranges::count(fs.mds_map.data_pools, pool)) return true;
  return false;
}

CommandResult pool_rm(const CommandCall& call, Draft& draft) {
  const auto& a = call.arguments;
  std::string name = a.text("pool");
  auto found = find_pool(draft.state(), name);
  if (!found) return CommandResult::say(fmt::format("pool '{}' does not exist", name));
  bool sure = a.flag("yes_i_really_really_mean_it") || a.flag("yes_i_really_really_mean_it_not_faking");
  if (a.text("pool2") != name || !sure)
    return CommandResult::fail(
        -EPERM, fmt::format("WARNING: this will *PERMANENTLY DESTROY* all data stored in pool {}.  If you are "
                            "*ABSOLUTELY CERTAIN* that is what you want, pass the pool name *twice*, followed by "
                            "--yes-i-really-really-mean-it.",
                            name));
  if (used_by_file_system(draft.state(), found.id))
    return CommandResult::fail(-EBUSY, fmt::format("pool '{}' is in use by CephFS", name));
  bool guarded = !call.around.config.flag("mon_allow_pool_delete");
  if (guarded && !a.flag("yes_i_really_really_mean_it_not_faking"))
    return CommandResult::fail(-EPERM,
                               "pool deletion is disabled; you must first set the mon_allow_pool_delete config option "
                               "to true before you can destroy a pool");
  if (found.pool->has(maps::Pool::no_delete))
    return CommandResult::fail(-EPERM, "pool deletion is disabled; you must unset nodelete flag for the pool first");
  return outcome(delete_pool(draft, found.id, call.around.now), fmt::format("pool '{}' removed", name));
}

CommandResult pool_rename(const CommandCall& call, Draft& draft) {
  std::string from = call.arguments.text("srcpool"), to = call.arguments.text("destpool");
  auto found = find_pool(draft.state(), from);
  if (auto taken = draft->osd().map().pool_by_name(to)) {
    if (!found)
      return CommandResult::say(
          fmt::format("pool '{}' does not exist; pool '{}' does -- assuming already "
                      "succeeded",
                      from, to));
    return CommandResult::fail(-EEXIST, fmt::format("pool '{}' already exists", to));
  }
  if (!found) return std::move(found.problem);
  if (to.empty() || to[0] == '.') return CommandResult::fail(-EPERM, fmt::format("'{}' is no pool name", to));
  return outcome(rename_pool(draft, found.id, to, call.around.now), fmt::format("pool '{}' renamed to '{}'", from, to));
}

/// Flags that `osd pool set` turns on and off.
struct PoolSwitch {
  const char* name;
  std::uint64_t flag;
};
constexpr PoolSwitch switches[] = {
    {"hashpspool", maps::Pool::hash_ps_pool},
    {"nodelete", maps::Pool::no_delete},
    {"nopgchange", maps::Pool::no_pg_change},
    {"nosizechange", maps::Pool::no_size_change},
    {"write_fadvise_dontneed", 1 << 7},
    {"noscrub", 1 << 8},
    {"nodeep-scrub", 1 << 9},
    {"bulk", maps::Pool::bulk},
};

CommandResult pool_get(const CommandCall& call) {
  auto found = find_pool(call.state, call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  const auto& pool = *found.pool;
  const auto& crush = *call.state.osd().map().crush;
  static constexpr const char* modes[] = {"off", "warn", "on"};
  JsonObject values{
      {"size", pool.size},
      {"min_size", pool.min_size},
      {"pg_num", pool.pg_num},
      {"pgp_num", pool.pgp_num},
      {"crush_rule", std::string(crush.rule_name(pool.crush_rule))},
  };
  for (const auto& each : switches)
    if (each.flag != maps::Pool::bulk) values[each.name] = (pool.flags & each.flag) != 0;
  values["use_gmt_hitset"] = pool.use_gmt_hit_set;
  values["fast_read"] = pool.fast_read ? 1 : 0;
  values["pg_autoscale_mode"] = modes[pool.autoscale_mode < 3 ? pool.autoscale_mode : 0];
  values["bulk"] = pool.has(maps::Pool::bulk);
  std::string wanted = call.arguments.text("var"), text;
  JsonObject out{{"pool", found.name}, {"pool_id", found.id}};
  bool any = false;
  for (const auto& member : values) {
    std::string name = member.key();
    const Json& value = member.value();
    if (wanted != "all" && wanted != name) continue;
    any = true;
    out[name] = value;
    text += fmt::format("{}: {}\n", name,
                        value.is_string() ? std::string(value.get_string()) : print_json(value, JsonStyle::compact));
  }
  if (!any) return CommandResult::fail(-ENOENT, fmt::format("option '{}' is not set on pool '{}'", wanted, found.name));
  return call.is_plain() ? CommandResult::print(text) : call.json(out);
}

CommandResult set_pg_num(maps::Pool& pool, std::int64_t value, bool placement_only) {
  if (pool.has(maps::Pool::no_pg_change))
    return CommandResult::fail(-EPERM,
                               "pool pg_num change is disabled; you must unset nopgchange flag for the pool "
                               "first");
  if (placement_only) {
    if (value <= 0 || value > pool.pg_num_target)
      return CommandResult::fail(
          -EINVAL, fmt::format("specified pgp_num {} > pg_num {}, or not positive", value, pool.pg_num_target));
    pool.pgp_num = pool.pgp_num_target = static_cast<std::uint32_t>(value);
    return {};
  }
  if (value <= 0 || value > 65'536) return CommandResult::fail(-ERANGE, "'pg_num' must be between 1 and 65536");
  // cosd neither splits nor merges placement groups: objects that moved to a new one would be out of reach.
  if (value != pool.pg_num)
    return CommandResult::fail(-EOPNOTSUPP, "placement groups cannot be split or merged: pg_num is fixed at creation");
  return {};
}

/// Settings of a stock pool that would change nothing here, and so are not taken.
struct RefusedSetting {
  std::string_view name, why;
};
constexpr std::string_view no_compression = "the file system below the OSDs compresses, if it is mounted so",
                           no_checksums = "checksums are the OSDs' own matter", no_tiers = "there is no cache tiering",
                           no_autoscaler = "there is no autoscaler", no_erasure = "there are no erasure-coded pools",
                           one_schedule = "verification follows one schedule for all pools",
                           one_priority = "recovery gives no pool precedence";
constexpr RefusedSetting refused_settings[] = {
    {"compression_mode", no_compression},
    {"compression_algorithm", no_compression},
    {"compression_required_ratio", no_compression},
    {"compression_max_blob_size", no_compression},
    {"compression_min_blob_size", no_compression},
    {"csum_type", no_checksums},
    {"csum_min_block", no_checksums},
    {"csum_max_block", no_checksums},
    {"scrub_min_interval", one_schedule},
    {"scrub_max_interval", one_schedule},
    {"deep_scrub_interval", one_schedule},
    {"scrub_priority", one_schedule},
    {"recovery_priority", one_priority},
    {"recovery_op_priority", one_priority},
    {"pg_autoscale_bias", no_autoscaler},
    {"pg_num_min", no_autoscaler},
    {"pg_num_max", no_autoscaler},
    {"target_size_bytes", no_autoscaler},
    {"target_size_ratio", no_autoscaler},
    {"fast_read", no_erasure},
    {"allow_ec_overwrites", no_erasure},
    {"hit_set_type", no_tiers},
    {"hit_set_period", no_tiers},
    {"hit_set_count", no_tiers},
    {"target_max_bytes", no_tiers},
    {"target_max_objects", no_tiers},
};

CommandResult pool_set(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  maps::Pool pool = *found.pool;
  std::string name = call.arguments.text("var"), text = call.arguments.text("val");
  auto number = call.arguments.integer("val");
  auto wrong = [](std::string why) { return CommandResult::fail(-EINVAL, std::move(why)); };
  if (name == "size" || name == "min_size") {
    if (pool.has(maps::Pool::no_size_change))
      return CommandResult::fail(-EPERM,
                                 "pool size change is disabled; you must unset nosizechange flag for the pool "
                                 "first");
    if (!number) return wrong(fmt::format("error parsing integer value '{}'", text));
    if (name == "size") {
      if (*number < 1 || *number > 10) return wrong("pool size must be between 1 and 10");
      if (*number == 1 && pool.size != 1 && !call.arguments.flag("yes_i_really_mean_it"))
        return CommandResult::fail(-EPERM,
                                   "WARNING: setting pool size 1 could lead to data loss without recovery. If you are "
                                   "*ABSOLUTELY CERTAIN* that is what you want, pass the flag --yes-i-really-mean-it.");
      auto before = pool.size;
      pool.size = static_cast<std::uint8_t>(*number);
      if (pool.min_size > pool.size || before != pool.size)
        pool.min_size = static_cast<std::uint8_t>(pool.size - pool.size / 2);
    } else {
      if (*number < 1 || *number > pool.size)
        return wrong(fmt::format("pool min_size must be between 1 and size, which is set to {}", pool.size));
      pool.min_size = static_cast<std::uint8_t>(*number);
    }
  } else if (name == "pg_num" || name == "pgp_num") {
    if (!number) return wrong(fmt::format("error parsing integer value '{}'", text));
    auto problem = set_pg_num(pool, *number, name == "pgp_num");
    if (problem.result < 0) return problem;
    if (name == "pg_num") pool.pgp_num = pool.pgp_num_target = pool.pg_num;
  } else if (name == "crush_rule") {
    auto rule = draft->osd().map().crush->rule_by_name(text);
    if (!rule) return CommandResult::fail(-ENOENT, fmt::format("crush rule {} does not exist", text));
    pool.crush_rule = static_cast<std::uint8_t>(*rule);
  } else if (name == "pg_autoscale_mode") {
    if (text != "off" && text != "on" && text != "warn") return wrong(fmt::format("specified invalid mode {}", text));
    if (text != "off")
      return CommandResult::fail(-EOPNOTSUPP, "there is no autoscaler: pg_autoscale_mode can only be off");
    pool.autoscale_mode = 0;
  } else if (auto each = std::ranges::find(switches, name, [](const auto& s) { return std::string(s.name); });
             each != std::end(switches)) {
    bool on = text == "true" || text == "1", off = text == "false" || text == "0";
    if (!on && !off) return wrong("expecting value 'true', 'false', '0', or '1'");
    if (name == "hashpspool" && !call.arguments.flag("yes_i_really_mean_it"))
      return CommandResult::fail(-EPERM,
                                 "are you SURE?  this will remap all placement groups in this pool, this "
                                 "triggers large data movement, pass --yes-i-really-mean-it if you really do.");
    pool.flags = on ? pool.flags | each->flag : pool.flags & ~each->flag;
  } else {
    auto reason = std::ranges::find(refused_settings, std::string_view(name), &RefusedSetting::name);
    return CommandResult::fail(-EOPNOTSUPP,
                               fmt::format("{} cannot be set: {}", name,
                                           reason == std::end(refused_settings) ? "it is not known" : reason->why));
  }
  return outcome(change_pool(draft, found.id, std::move(pool), call.around.now),
                 fmt::format("set pool {} {} to {}", found.id, name, text));
}

CommandResult set_quota(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  std::string field = call.arguments.text("field"), text = call.arguments.text("val");
  auto value = parse_size(text);
  if (!value) return CommandResult::fail(-EINVAL, fmt::format("error parsing value '{}'", text));
  maps::Pool pool = *found.pool;
  (field == "max_objects" ? pool.quota_objects : pool.quota_bytes) = *value;
  return outcome(change_pool(draft, found.id, std::move(pool), call.around.now),
                 fmt::format("set-quota {} = {} for pool {}", field, *value, found.name));
}

CommandResult get_quota(const CommandCall& call) {
  auto found = find_pool(call.state, call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  const auto& pool = *found.pool;
  auto usage = call.around.stats.summarize(call.state.osd().map()).pools[found.id].sum;
  if (!call.is_plain())
    return call.json(JsonObject{{"pool_name", found.name},
                                {"pool_id", found.id},
                                {"quota_max_objects", pool.quota_objects},
                                {"current_num_objects", usage.objects},
                                {"quota_max_bytes", pool.quota_bytes},
                                {"current_num_bytes", usage.bytes}});
  return CommandResult::print(fmt::format("quotas for pool '{}':\n  max objects: {}\n  max bytes  : {}\n", found.name,
                                          pool.quota_objects ? print_count(pool.quota_objects) + " objects" : "N/A",
                                          pool.quota_bytes ? print_bytes(pool.quota_bytes) : "N/A"));
}

CommandResult pool_mksnap(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  std::string snap = call.arguments.text("snap");
  for (const auto& [id, known] : found.pool->snaps)
    if (known.name == snap) return CommandResult::say(fmt::format("pool {} snap {} already exists", found.name, snap));
  auto made = create_pool_snapshot(draft, found.id, snap, call.around.now);
  if (!made && made.error() == Errc::exists)
    return CommandResult::say(fmt::format("pool {} snap {} already exists", found.name, snap));
  if (!made && made.error() == Errc::invalid)
    return CommandResult::fail(-EINVAL, fmt::format("pool {} is in unmanaged snaps mode", found.name));
  return outcome(made, fmt::format("created pool {} snap {}", found.name, snap));
}

CommandResult pool_rmsnap(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  std::string snap = call.arguments.text("snap");
  auto removed = remove_pool_snapshot(draft, found.id, snap, call.around.now);
  if (!removed && removed.error() == Errc::not_found)
    return CommandResult::say(fmt::format("pool {} snap {} does not exist", found.name, snap));
  return outcome(removed, fmt::format("removed pool {} snap {}", found.name, snap));
}

// --- applications ---------------------------------------------------------------------------------------------------

CommandResult application_enable(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  maps::Pool pool = *found.pool;
  std::string app = call.arguments.text("app");
  if (!pool.applications.empty() && !pool.applications.contains(app) && !call.arguments.flag("yes_i_really_mean_it"))
    return CommandResult::fail(-EPERM, fmt::format("Are you SURE? Pool '{}' already has an enabled application; pass "
                                                   "--yes-i-really-mean-it to proceed anyway",
                                                   found.name));
  pool.applications[app];
  return outcome(change_pool(draft, found.id, std::move(pool), call.around.now),
                 fmt::format("enabled application '{}' on pool '{}'", app, found.name));
}

CommandResult application_disable(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  maps::Pool pool = *found.pool;
  std::string app = call.arguments.text("app");
  if (!call.arguments.flag("yes_i_really_mean_it"))
    return CommandResult::fail(-EPERM, fmt::format("Are you SURE? Disabling an application within a pool might result "
                                                   "in loss of application functionality; pass "
                                                   "--yes-i-really-mean-it to proceed anyway"));
  if (!pool.applications.erase(app))
    return CommandResult::say(fmt::format("application '{}' is not enabled on pool '{}'", app, found.name));
  return outcome(change_pool(draft, found.id, std::move(pool), call.around.now),
                 fmt::format("disable application '{}' on pool '{}'", app, found.name));
}

CommandResult application_set(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  maps::Pool pool = *found.pool;
  std::string app = call.arguments.text("app"), key = call.arguments.text("key"), value = call.arguments.text("value");
  if (!pool.applications.contains(app))
    return CommandResult::fail(-ENOENT, fmt::format("application '{}' is not enabled on pool '{}'", app, found.name));
  pool.applications[app][key] = value;
  return outcome(change_pool(draft, found.id, std::move(pool), call.around.now),
                 fmt::format("set application '{}' key '{}' to '{}' on pool '{}'", app, key, value, found.name));
}

CommandResult application_rm(const CommandCall& call, Draft& draft) {
  auto found = find_pool(draft.state(), call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  maps::Pool pool = *found.pool;
  std::string app = call.arguments.text("app"), key = call.arguments.text("key");
  auto known = pool.applications.find(app);
  if (known == pool.applications.end() || !known->second.erase(key))
    return CommandResult::say(
        fmt::format("application '{}' on pool '{}' does not have key '{}'", app, found.name, key));
  return outcome(change_pool(draft, found.id, std::move(pool), call.around.now),
                 fmt::format("removed application '{}' key '{}' on pool '{}'", app, key, found.name));
}

JsonObject dump_applications(const maps::Pool& pool) {
  JsonObject out;
  for (const auto& [app, keys] : pool.applications) {
    JsonObject values;
    for (const auto& [key, value] : keys) values[key] = value;
    out[app] = values;
  }
  return out;
}

CommandResult application_get(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  std::string app = call.arguments.text("app"), key = call.arguments.text("key");
  if (!call.arguments.has("pool")) {
    JsonObject all;
    for (const auto& [id, pool] : map.pools) all[map.pool_names.at(id)] = dump_applications(pool);
    return call.json(all);
  }
  auto found = find_pool(call.state, call.arguments.text("pool"));
  if (!found) return std::move(found.problem);
  JsonObject all = dump_applications(*found.pool);
  if (app.empty()) return call.json(all);
  auto known = found.pool->applications.find(app);
  if (known == found.pool->applications.end())
    return CommandResult::fail(-ENOENT, fmt::format("pool '{}' has no application '{}'", found.name, app));
  if (key.empty()) return call.json(all[app]);
  auto value = known->second.find(key);
  if (value == known->second.end())
    return CommandResult::fail(
        -ENOENT, fmt::format("application '{}' on pool '{}' does not have key '{}'", app, found.name, key));
  return call.is_plain() ? CommandResult::print(value->second + "\n") : call.json(Json(value->second));
}

CommandResult autoscale_status(const CommandCall& call) {
  return call.is_plain() ? CommandResult::print("\n") : call.json(JsonArray{});
}

constexpr CommandRow rows[] = {
    {"osd lspools", "list pools", "osd", "r", lspools},
    {"osd pool ls name=detail,type=CephChoices,strings=detail,req=false", "list pools", "osd", "r", pool_ls},
    {"osd pool create name=pool,type=CephPoolname name=pg_num,type=CephInt,range=0,req=false "
     "name=pgp_num,type=CephInt,range=0,req=false "
     "name=pool_type,type=CephChoices,strings=replicated|erasure,req=false "
     "name=erasure_code_profile,type=CephString,req=false,goodchars=[A-Za-z0-9-_.] "
     "name=rule,type=CephString,req=false name=expected_num_objects,type=CephInt,range=0,req=false "
     "name=size,type=CephInt,range=0,req=false name=pg_num_min,type=CephInt,range=0,req=false "
     "name=pg_num_max,type=CephInt,range=0,req=false "
     "name=autoscale_mode,type=CephChoices,strings=on|off|warn,req=false name=bulk,type=CephBool,req=false",
     "create a pool", "osd", "rw", nullptr, pool_create},
    {"osd pool delete name=pool,type=CephPoolname name=pool2,type=CephPoolname,req=false "
     "name=yes_i_really_really_mean_it,type=CephBool,req=false "
     "name=yes_i_really_really_mean_it_not_faking,type=CephBool,req=false",
     "delete a pool", "osd", "rw", nullptr, pool_rm},
    {"osd pool rm name=pool,type=CephPoolname name=pool2,type=CephPoolname,req=false "
     "name=yes_i_really_really_mean_it,type=CephBool,req=false "
     "name=yes_i_really_really_mean_it_not_faking,type=CephBool,req=false",
     "remove a pool", "osd", "rw", nullptr, pool_rm},
    {"osd pool rename name=srcpool,type=CephPoolname name=destpool,type=CephPoolname", "rename a pool", "osd", "rw",
     nullptr, pool_rename},
    {"osd pool get name=pool,type=CephPoolname "
     "name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|"
     "nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|use_gmt_hitset|fast_read|pg_autoscale_mode|bulk|all",
     "show a setting of a pool", "osd", "r", pool_get},
    {"osd pool set name=pool,type=CephPoolname "
     "name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|"
     "nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|pg_autoscale_mode|bulk|compression_mode|"
     "compression_algorithm|compression_required_ratio|compression_max_blob_size|compression_min_blob_size|csum_type|"
     "csum_min_block|csum_max_block|scrub_min_interval|scrub_max_interval|deep_scrub_interval|scrub_priority|"
     "recovery_priority|recovery_op_priority|pg_autoscale_bias|pg_num_min|pg_num_max|target_size_bytes|"
     "target_size_ratio|fast_read|allow_ec_overwrites|hit_set_type|hit_set_period|hit_set_count|target_max_bytes|"
     "target_max_objects "
     "name=val,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
     "change a setting of a pool", "osd", "rw", nullptr, pool_set},
    {"osd pool set-quota name=pool,type=CephPoolname name=field,type=CephChoices,strings=max_objects|max_bytes "
     "name=val,type=CephString",
     "limit a pool; 0 for no limit", "osd", "rw", nullptr, set_quota},
    {"osd pool get-quota name=pool,type=CephPoolname", "show a pool's limits", "osd", "r", get_quota},
    {"osd pool mksnap name=pool,type=CephPoolname name=snap,type=CephString", "make a snapshot of a pool", "osd", "rw",
     nullptr, pool_mksnap},
    {"osd pool rmsnap name=pool,type=CephPoolname name=snap,type=CephString", "remove a snapshot of a pool", "osd",
     "rw", nullptr, pool_rmsnap},
    {"osd pool application enable name=pool,type=CephPoolname name=app,type=CephString,goodchars=[A-Za-z0-9-_.] "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "say what a pool is used for", "osd", "rw", nullptr, application_enable},
    {"osd pool application disable name=pool,type=CephPoolname name=app,type=CephString "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "take back what a pool is used for", "osd", "rw", nullptr, application_disable},
    {"osd pool application set name=pool,type=CephPoolname name=app,type=CephString "
     "name=key,type=CephString,goodchars=[A-Za-z0-9-_.] name=value,type=CephString,goodchars=[A-Za-z0-9-_.=]",
     "set a key of a pool's application", "osd", "rw", nullptr, application_set},
    {"osd pool application rm name=pool,type=CephPoolname name=app,type=CephString name=key,type=CephString",
     "remove a key of a pool's application", "osd", "rw", nullptr, application_rm},
    {"osd pool application get name=pool,type=CephPoolname,req=false name=app,type=CephString,req=false "
     "name=key,type=CephString,req=false",
     "show what pools are used for", "osd", "r", application_get},
    {"osd pool autoscale-status", "there is no autoscaler: prints nothing", "osd", "r", autoscale_status},
};

}  // namespace

std::span<const CommandRow> pool_commands() {
  return rows;
}

}  // namespace spirula::mon
