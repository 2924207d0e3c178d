#include <fmt/format.h>

#include "mon/dump.h"

namespace spirula::mon {
namespace {

JsonObject dump_features(const maps::FeatureSet& set) {
  JsonObject out;
  for (const auto& [bit, name] : set.names) out[fmt::format("feature_{}", bit)] = name;
  return out;
}

std::string print_features(const maps::FeatureSet& set) {
  std::string text;
  for (const auto& [bit, name] : set.names) text += fmt::format("{}{}={}", text.empty() ? "" : ",", bit, name);
  return "{" + text + "}";
}

std::string print(const maps::CompatSet& set) {
  return fmt::format("compat={},rocompat={},incompat={}", print_features(set.compat),
                     print_features(set.read_only_compat), print_features(set.incompat));
}

template <class Range>
JsonArray array_of(const Range& numbers) {
  JsonArray array;
  for (auto number : numbers) array.emplace_back(number);
  return array;
}

JsonObject dump(const maps::MdsInfo& info) {
  return {{"gid", info.gid.value},
          {"name", info.name},
          {"rank", info.rank},
          {"incarnation", info.incarnation},
          {"state", msg::describe(info.state)},
          {"state_seq", info.state_sequence},
          {"addr", print_address(info.addresses.msgr2())},
          {"addrs", mon::dump(info.addresses)},
          {"join_fscid", info.join_fscid},
          {"export_targets", array_of(info.export_targets)},
          {"features", info.features},
          {"flags", info.flags},
          {"compat", mon::dump(info.compat_set)}};
}

std::string print(const maps::MdsInfo& info) {
  std::string rank = info.rank == maps::rank_none ? "-1" : std::to_string(info.rank);
  std::string text = fmt::format("[mds.{}{{{}:{}}} state {} seq {}", info.name, rank, info.gid.value,
                                 msg::describe(info.state), info.state_sequence);
  if (info.laggy_since != msg::Time{}) text += fmt::format(" laggy since {}", info.laggy_since.describe());
  if (info.join_fscid != maps::fscid_none) text += fmt::format(" join_fscid={}", info.join_fscid);
  return text + fmt::format(" addr {} compat {{c=[{:x}],r=[{:x}],i=[{:x}]}}]", info.addresses.describe(),
                            info.compat_set.compat.mask, info.compat_set.read_only_compat.mask,
                            info.compat_set.incompat.mask);
}

}  // namespace

JsonObject dump(const maps::CompatSet& set) {
  return {{"compat", dump_features(set.compat)},
          {"ro_compat", dump_features(set.read_only_compat)},
          {"incompat", dump_features(set.incompat)}};
}

JsonObject dump(const maps::MdsMap& map) {
  JsonObject up, info;
  for (const auto& [rank, gid] : map.up) up[fmt::format("mds_{}", rank)] = gid.value;
  for (const auto& [gid, daemon] : map.daemons) info[fmt::format("gid_{}", gid.value)] = dump(daemon);
  return {{"epoch", map.epoch.value},
          {"flags", map.flags},
          {"ever_allowed_features", map.ever_allowed_snaps ? 1 : 0},
          {"explicitly_allowed_features", map.explicitly_allowed_snaps ? 1 : 0},
          {"created", map.created.describe()},
          {"modified", map.modified.describe()},
          {"tableserver", map.table_server},
          {"root", map.root},
          {"session_timeout", map.session_timeout_s},
          {"session_autoclose", map.session_autoclose_s},
          {"required_client_features", JsonObject{}},
          {"max_file_size", map.max_file_size},
          {"last_failure", map.last_failure.value},
          {"last_failure_osd_epoch", map.last_failure_osd_epoch.value},
          {"compat", dump(map.compat_set)},
          {"max_mds", map.max_mds},
          {"in", array_of(map.in)},
          {"up", up},
          {"failed", array_of(map.failed)},
          {"damaged", array_of(map.damaged)},
          {"stopped", array_of(map.stopped)},
          {"info", info},
          {"data_pools", array_of(map.data_pools)},
          {"metadata_pool", map.metadata_pool},
          {"enabled", map.enabled},
          {"fs_name", map.name},
          {"balancer", map.balancer},
          {"standby_count_wanted", std::max(0, map.standby_count_wanted)}};
}

JsonObject dump(const maps::FsMap& map) {
  JsonArray standbys, systems;
  for (const auto& [gid, info] : map.standbys) {
    JsonObject standby = dump(info);
    auto epoch = map.standby_epochs.find(gid);
    standby["epoch"] = epoch == map.standby_epochs.end() ? 0 : epoch->second.value;
    standbys.emplace_back(standby);
  }
  for (const auto& fs : map.file_systems) systems.push_back(JsonObject{{"mdsmap", dump(fs.mds_map)}, {"id", fs.fscid}});
  return {{"epoch", map.epoch.value},
          {"default_fscid", map.default_fscid},
          {"compat", dump(map.default_compat)},
          {"feature_flags",
           JsonObject{{"enable_multiple", map.enable_multiple}, {"ever_enabled_multiple", map.ever_enabled_multiple}}},
          {"standbys", standbys},
          {"filesystems", systems}};
}

std::string print(const maps::MdsMap& map) {
  std::string up;
  for (const auto& [rank, gid] : map.up) up += fmt::format("{}{}={}", up.empty() ? "" : ",", rank, gid.value);
  std::string text = fmt::format(
      "fs_name\t{}\nepoch\t{}\nflags\t{:x}\ncreated\t{}\nmodified\t{}\ntableserver\t{}\nroot\t{}\nsession_timeout\t{}\n"
      "session_autoclose\t{}\nmax_file_size\t{}\nrequired_client_features\t{{}}\nlast_failure\t{}\n"
      "last_failure_osd_epoch\t{}\ncompat\t{}\nmax_mds\t{}\nin\t{}\nup\t{{{}}}\nfailed\t{}\ndamaged\t{}\nstopped\t{}\n"
      "data_pools\t[{}]\nmetadata_pool\t{}\ninline_data\t{}\nbalancer\t{}\nstandby_count_wanted\t{}\n",
      map.name, map.epoch.value, map.flags, map.created.describe(), map.modified.describe(), map.table_server, map.root,
      map.session_timeout_s, map.session_autoclose_s, map.max_file_size, map.last_failure.value,
      map.last_failure_osd_epoch.value, print(map.compat_set), map.max_mds, join_numbers(map.in), up,
      join_numbers(map.failed), join_numbers(map.damaged), join_numbers(map.stopped), join_numbers(map.data_pools),
      map.metadata_pool, map.inline_data ? "enabled" : "disabled", map.balancer, std::max(0, map.standby_count_wanted));
  for (const auto& [gid, info] : map.daemons) text += print(info) + "\n";
  return text;
}

std::string print(const maps::FsMap& map) {
  std::string text =
      fmt::format("e{}\nenable_multiple, ever_enabled_multiple: {},{}\ndefault compat: {}\n", map.epoch.value,
                  map.enable_multiple ? 1 : 0, map.ever_enabled_multiple ? 1 : 0, print(map.default_compat));
  text += fmt::format("legacy client fscid: {}\n \n", map.default_fscid);
  if (map.file_systems.empty()) text += "No filesystems configured\n";
  for (const auto& fs : map.file_systems)
    text += fmt::format("Filesystem '{}' ({})\n{} \n \n", fs.mds_map.name, fs.fscid, print(fs.mds_map));
  if (!map.standbys.empty()) {
    text += "Standby daemons:\n \n";
    for (const auto& [gid, info] : map.standbys) text += print(info) + "\n";
  }
  return text;
}

std::string summarize(const maps::FsMap& map) {
  std::string text;
  for (const auto& fs : map.file_systems) {
    const auto& mds = fs.mds_map;
    std::string ranks;
    for (const auto& [rank, gid] : mds.up) {
      const auto* info = mds.holder(rank);
      if (info)
        ranks += fmt::format("{}{}={}={}", ranks.empty() ? "" : ",", rank, info->name, msg::describe(info->state)) +
                 (info->laggy_since != msg::Time{} ? "(laggy or crashed)" : "");
    }
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", mds.name, mds.in.size());
    text += ranks.empty() ? "" : " {" + ranks + "}";
    if (!mds.failed.empty()) text += fmt::format(" {} failed", mds.failed.size());
    if (!mds.damaged.empty()) text += fmt::format(" {} damaged", mds.damaged.size());
  }
  if (!map.standbys.empty()) text += fmt::format("{}{} up:standby", text.empty() ? "" : " ", map.standbys.size());
  return text;
}

}  // namespace spirula::mon
