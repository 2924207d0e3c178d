#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "base/config.h"
#include "mon/cluster_stats.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/osd_edit.h"

/// What is done to OSDs, and to the OSD map.
namespace spirula::mon {
namespace {

namespace state_bit = maps::osd_state;

// --- changing OSDs --------------------------------------------------------------------------------------------------

CommandResult osd_down(const CommandCall& call, Draft& draft) {
  std::string text;
  auto [ids, everything, problem] = find_osds(call, draft.state(), "ids");
  if (problem) return std::move(*problem);
  for (auto id : ids) {
    const auto* osd = existing_osd(draft->osd().map(), id);
    text += !osd           ? fmt::format("osd.{} does not exist. ", id)
            : osd->is_up() ? fmt::format("marked down osd.{}. ", id)
                           : fmt::format("osd.{} is already down. ", id);
  }
  return outcome(mark_down(draft, ids, call.around.now, call.arguments.flag("definitely_dead")), text);
}

CommandResult set_weight(const CommandCall& call, Draft& draft, bool in) {
  std::string text;
  auto [ids, everything, problem] = find_osds(call, draft.state(), "ids");
  if (problem) return std::move(*problem);
  std::vector<std::int32_t> change;
  for (auto id : ids) {
    const auto* osd = existing_osd(draft->osd().map(), id);
    if (!osd) {
      text += fmt::format("osd.{} does not exist. ", id);
    } else if (osd->is_in() == in) {
      if (!everything) text += fmt::format("osd.{} is already {}. ", id, in ? "in" : "out");
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
    if (id.error() != Errc::exists) return CommandResult::fail(id.error(), id.error().message());
    const auto& osds = draft->osd().map().osds;
    for (std::size_t other = 0; other < osds.size(); ++other)
      if (osds[other].exists() && osds[other].uuid == *uuid)
        return CommandResult::fail(-EEXIST,
                                   fmt::format("uuid {} already in use for different id {}", uuid->describe(), other));
    return CommandResult::fail(
        -EINVAL, fmt::format("id {} already in use and does not match uuid {}", *wanted, uuid->describe()));
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
  std::string text;
  auto [ids, everything, problem] = find_osds(call, draft.state(), "ids");
  if (problem) return std::move(*problem);
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

/// What both ways of giving an OSD up begin with: it exists, and either nothing is on it or the user insists. False:
/// `result` is the answer.
bool may_give_up(const CommandCall& call, const Draft& draft, OsdArgument& found, CommandResult& result) {
  found = find_osd(call, draft.state());
  if (!found) {
    result =
        found.id < 0 ? std::move(found.problem) : CommandResult::say(fmt::format("osd.{} does not exist", found.id));
    return false;
  }
  if (!is_sure(call) && call.around.stats.needs(found.id, draft->osd().map())) {
    result = CommandResult::fail(-EPERM, fmt::format("OSD(s) {0} have PGs currently mapped to them, or have not "
                                                     "reported. This means real, permanent data loss. Pass "
                                                     "--yes-i-really-mean-it if you are sure that osd.{0} can go.",
                                                     found.id));
    return false;
  }
  return true;
}

CommandResult given_up(const Result<>& done, Draft& draft, std::int32_t id, const char* said) {
  if (!done && done.error() == Errc::busy) return CommandResult::fail(-EBUSY, fmt::format("osd.{} is not `down`.", id));
  if (!done) return CommandResult::fail(done.error(), done.error().message());
  auto forgot = forget_key(draft, id);
  if (forgot.result < 0) return forgot;
  return CommandResult::say(fmt::format("{} osd.{}", said, id));
}

CommandResult osd_purge(const CommandCall& call, Draft& draft) {
  OsdArgument found;
  CommandResult refused;
  if (!may_give_up(call, draft, found, refused)) return refused;
  return given_up(remove_osd(draft, found.id, true, call.around.now), draft, found.id, "purged");
}

CommandResult osd_destroy(const CommandCall& call, Draft& draft) {
  OsdArgument found;
  CommandResult refused;
  if (!may_give_up(call, draft, found, refused)) return refused;
  return given_up(destroy_osd(draft, found.id, call.around.now), draft, found.id, "destroyed");
}

CommandResult osd_lost(const CommandCall& call, Draft& draft) {
  auto found = find_osd(call, draft.state());
  if (!found.osd) return std::move(found.problem);
  if (!is_sure(call))
    return CommandResult::fail(-EPERM,
                               "are you SURE?  this might mean real, permanent data loss.  pass "
                               "--yes-i-really-mean-it if you really do.");
  if (found.osd->is_up()) return CommandResult::fail(-EBUSY, fmt::format("osd.{} is not down", found.id));
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
  std::string flags = call.arguments.text("flags"), text;
  auto [ids, everything, problem] = find_osds(call, draft.state(), "who");
  if (problem) return std::move(*problem);
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
      return CommandResult::fail(
          -EINVAL, fmt::format("unrecognized flag '{}', must be one of {{noup,nodown,noin,noout}}", flag));
  }
  std::map<std::int32_t, std::pair<std::uint32_t, std::uint32_t>> changes;
  for (auto id : ids) {
    if (existing_osd(draft->osd().map(), id))
      changes[id] = set ? std::pair(bits, 0u) : std::pair(0u, bits);
    else
      text += fmt::format("osd.{} does not exist. ", id);
  }
  return outcome(set_osd_state_bits(draft, changes, call.around.now), text);
}
CommandResult osd_pause(const CommandCall& call, Draft& draft) {
  return outcome(set_map_flags(draft, maps::map_flag::pause_read | maps::map_flag::pause_write, 0, call.around.now),
                 "pauserd,pausewr is set");
}
CommandResult osd_unpause(const CommandCall& call, Draft& draft) {
  return outcome(set_map_flags(draft, 0, maps::map_flag::pause_read | maps::map_flag::pause_write, call.around.now),
                 "pauserd,pausewr is unset");
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
  const auto& map = draft->osd().map();
  std::string name = call.arguments.text("version");
  auto release = release_by_name(name);
  if (!release) return CommandResult::fail(-EINVAL, fmt::format("version {} is not recognized", name));
  auto luminous = *release_by_name("luminous");
  if (*release < luminous && (!map.pg_upmap.empty() || !map.pg_upmap_items.empty()))
    return CommandResult::fail(-EPERM, fmt::format("osdmap current utilizes features that require luminous; cannot set "
                                                   "require_min_compat_client below that to {}",
                                                   name));
  auto change = next_incremental(map, call.around.now);
  change.new_require_min_compat_client = *release;
  return outcome(draft_osd_change(draft, std::move(change)),
                 fmt::format("set require_min_compat_client to {}", release_name(*release)));
}

CommandResult require_osd_release(const CommandCall& call, Draft& draft) {
  const auto& map = draft->osd().map();
  std::string name = call.arguments.text("release");
  auto release = release_by_name(name);
  if (!release) return CommandResult::fail(-EINVAL, fmt::format("unrecognized release {}", name));
  if (*release < map.require_osd_release)
    return CommandResult::fail(-EPERM, "require_osd_release cannot be lowered once it has been set");
  if (*release > *release_by_name("pacific"))
    return CommandResult::fail(-EPERM, fmt::format("not all OSDs have what {} asks for", name));
  if (*release == map.require_osd_release) return {};
  auto change = next_incremental(map, call.around.now);
  change.new_require_osd_release = *release;
  return outcome(draft_osd_change(draft, std::move(change)), "");
}

// --- where PGs are, beside what CRUSH says
// -----------------------------------------------------------------------------

/// The OSDs of the argument `id`, each of which exists.
struct OsdWords {
  std::vector<std::int32_t> ids;
  std::optional<CommandResult> problem;
};
OsdWords named_osds(const CommandCall& call, const Draft& draft) {
  OsdWords named;
  for (const auto& word : call.arguments.list("id")) {
    auto id = parse_osd(word);
    if (!id) {
      named.problem = CommandResult::fail(-EINVAL, fmt::format("invalid osd id '{}'", word));
    } else if (!existing_osd(draft->osd().map(), *id)) {
      named.problem = CommandResult::fail(-ENOENT, fmt::format("osd.{} does not exist", *id));
    } else {
      named.ids.push_back(*id);
    }
    if (named.problem) break;
  }
  return named;
}

/// Clients that do not know upmaps would look in the wrong place (Ceph: require_min_compat_client).
std::optional<CommandResult> refuse_upmap(const Draft& draft) {
  if (draft->osd().map().require_min_compat_client >= *release_by_name("luminous")) return std::nullopt;
  return CommandResult::fail(-EPERM,
                             "min_compat_client is below luminous, which is required for pg-upmap. Try 'ceph osd "
                             "set-require-min-compat-client luminous' before using the new interface");
}

CommandResult pg_upmap(const CommandCall& call, Draft& draft) {
  if (auto refused = refuse_upmap(draft)) return std::move(*refused);
  auto found = find_pg(call, draft.state());
  if (!found) return std::move(found.problem);
  auto [ids, problem] = named_osds(call, draft);
  if (problem) return std::move(*problem);
  if (ids.size() < found.pool->min_size)
    return CommandResult::fail(-EINVAL,
                               fmt::format("num of osds ({}) < pool min size ({})", ids.size(), found.pool->min_size));
  if (ids.size() > found.pool->size)
    return CommandResult::fail(-EINVAL, fmt::format("num of osds ({}) > pool size ({})", ids.size(), found.pool->size));
  auto sorted = ids;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end())
    return CommandResult::fail(-EINVAL, "an osd may hold one copy only");
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_pg_upmap[found.pg] = ids;
  return outcome(draft_osd_change(draft, std::move(change)),
                 fmt::format("set {} pg_upmap mapping to [{}]", found.pg.describe(), join_numbers(ids)));
}

CommandResult rm_pg_upmap(const CommandCall& call, Draft& draft) {
  auto found = find_pg(call, draft.state());
  if (!found) return std::move(found.problem);
  std::string said = fmt::format("clear {} pg_upmap mapping", found.pg.describe());
  if (!draft->osd().map().pg_upmap.contains(found.pg)) return CommandResult::say(said);
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.old_pg_upmap.insert(found.pg);
  return outcome(draft_osd_change(draft, std::move(change)), said);
}

CommandResult pg_upmap_items(const CommandCall& call, Draft& draft) {
  if (auto refused = refuse_upmap(draft)) return std::move(*refused);
  auto found = find_pg(call, draft.state());
  if (!found) return std::move(found.problem);
  auto [ids, problem] = named_osds(call, draft);
  if (problem) return std::move(*problem);
  if (ids.empty() || ids.size() % 2) return CommandResult::fail(-EINVAL, "you must specify pairs of osd ids");
  std::vector<std::pair<std::int32_t, std::int32_t>> items;
  std::string text;
  for (std::size_t i = 0; i < ids.size(); i += 2) {
    if (ids[i] == ids[i + 1]) return CommandResult::fail(-EINVAL, "from osd and to osd must differ");
    items.emplace_back(ids[i], ids[i + 1]);
    text += fmt::format("{}{}->{}", text.empty() ? "" : ",", ids[i], ids[i + 1]);
  }
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_pg_upmap_items[found.pg] = std::move(items);
  return outcome(draft_osd_change(draft, std::move(change)),
                 fmt::format("set {} pg_upmap_items mapping to [{}]", found.pg.describe(), text));
}

CommandResult rm_pg_upmap_items(const CommandCall& call, Draft& draft) {
  auto found = find_pg(call, draft.state());
  if (!found) return std::move(found.problem);
  std::string said = fmt::format("clear {} pg_upmap_items mapping", found.pg.describe());
  if (!draft->osd().map().pg_upmap_items.contains(found.pg)) return CommandResult::say(said);
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.old_pg_upmap_items.insert(found.pg);
  return outcome(draft_osd_change(draft, std::move(change)), said);
}

CommandResult pg_temp(const CommandCall& call, Draft& draft) {
  auto found = find_pg(call, draft.state());
  if (!found) return std::move(found.problem);
  auto [ids, problem] = named_osds(call, draft);
  if (problem) return std::move(*problem);
  if (!ids.empty() && (ids.size() < found.pool->min_size || ids.size() > found.pool->size))
    return CommandResult::fail(-EINVAL,
                               fmt::format("num of osds ({}) must be between the pool's min size ({}) and size "
                                           "({})",
                                           ids.size(), found.pool->min_size, found.pool->size));
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_pg_temp[found.pg] = ids;
  return outcome(draft_osd_change(draft, std::move(change)),
                 ids.empty() ? fmt::format("done cleaning up pg_temp of {}", found.pg.describe())
                             : fmt::format("set {} pg_temp mapping to [{}]", found.pg.describe(), join_numbers(ids)));
}

CommandResult primary_temp(const CommandCall& call, Draft& draft) {
  auto found = find_pg(call, draft.state());
  if (!found) return std::move(found.problem);
  std::int32_t id = -1;
  if (call.arguments.text("id") != "-1") {
    auto osd = find_osd(call, draft.state());
    if (!osd) return std::move(osd.problem);
    id = osd.id;
  }
  auto change = next_incremental(draft->osd().map(), call.around.now);
  change.new_primary_temp[found.pg] = id;
  return outcome(draft_osd_change(draft, std::move(change)),
                 id < 0 ? fmt::format("done cleaning up primary_temp of {}", found.pg.describe())
                        : fmt::format("set {} primary_temp mapping to {}", found.pg.describe(), id));
}

constexpr CommandRow rows[] = {
    {"osd setmaxosd name=newmax,type=CephInt,range=0", "set the limit of OSD ids", "osd", "rw", nullptr, setmaxosd},
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
    {"osd set name=key,type=CephChoices,strings=pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|"
     "noscrub|nodeep-scrub|notieragent|nosnaptrim|pglog_hardlimit name=yes_i_really_mean_it,type=CephBool,req=false",
     "set a flag of the OSD map", "osd", "rw", nullptr, osd_set},
    {"osd unset name=key,type=CephChoices,strings=pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|"
     "noscrub|nodeep-scrub|notieragent|nosnaptrim",
     "unset a flag of the OSD map", "osd", "rw", nullptr, osd_unset},
    {"osd pause", "stop the clients' reads and writes", "osd", "rw", nullptr, osd_pause},
    {"osd unpause", "let the clients read and write again", "osd", "rw", nullptr, osd_unpause},
    {"osd require-osd-release name=release,type=CephChoices,strings=octopus|pacific "
     "name=yes_i_really_mean_it,type=CephBool,req=false",
     "set the oldest release of OSDs", "osd", "rw", nullptr, require_osd_release},
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
    {"osd pg-upmap name=pgid,type=CephPgid name=id,type=CephOsdName,n=N", "say where a PG's copies are", "osd", "rw",
     nullptr, pg_upmap},
    {"osd rm-pg-upmap name=pgid,type=CephPgid", "take that back", "osd", "rw", nullptr, rm_pg_upmap},
    {"osd pg-temp name=pgid,type=CephPgid name=id,type=CephOsdName,n=N,req=false", "say who serves a PG for now", "osd",
     "rw", nullptr, pg_temp},
    {"osd primary-temp name=pgid,type=CephPgid name=id,type=CephString", "say who leads a PG for now; -1 takes it back",
     "osd", "rw", nullptr, primary_temp},
    {"osd pg-upmap-items name=pgid,type=CephPgid name=id,type=CephOsdName,n=N", "move a PG's copies between OSDs",
     "osd", "rw", nullptr, pg_upmap_items},
    {"osd rm-pg-upmap-items name=pgid,type=CephPgid", "take such a move back", "osd", "rw", nullptr, rm_pg_upmap_items},
};

}  // namespace

std::span<const CommandRow> osd_change_commands() {
  return rows;
}

}  // namespace spirula::mon
