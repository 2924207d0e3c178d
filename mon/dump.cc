#include "mon/dump.h"

#include <fmt/format.h>

#include <algorithm>

namespace spirula::mon {
namespace {

constexpr const char* releases[] = {"unknown",  "argonaut", "bobtail",  "cuttlefish", "dumpling", "emperor",
                                    "firefly",  "giant",    "hammer",   "infernalis", "jewel",    "kraken",
                                    "luminous", "mimic",    "nautilus", "octopus",    "pacific",  "quincy"};

/// The monitor map writes its stamps with a Z (Ceph: utime_t::gmtime).
std::string gmtime(msg::Time time) {
  std::string text = time.describe();
  return text.substr(0, text.size() - 5) + "Z";
}

JsonArray features() {
  return {"kraken", "luminous", "mimic", "osdmap-prune", "nautilus", "octopus", "pacific", "elector-pinging"};
}

}  // namespace

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

std::string release_name(unsigned release) {
  return releases[release < std::size(releases) ? release : 0];
}

std::optional<std::uint8_t> release_by_name(std::string_view name) {
  for (std::size_t i = 1; i < std::size(releases); ++i)
    if (name == releases[i]) return static_cast<std::uint8_t>(i);
  return std::nullopt;
}

std::string print_address(const msg::Address& address) {
  if (!address.has_endpoint) return ":/0";
  return fmt::format("{}{}/{}", address.type == maps::network_address ? "cidr:" : "", address.endpoint.describe(),
                     address.nonce);
}

std::string print_protocol_address(const msg::Address& address) {
  return address.describe();
}

JsonObject dump(const msg::AddressVector& addresses) {
  JsonArray array;
  for (const auto& each : addresses.addresses) {
    static constexpr const char* names[] = {"none", "v1", "v2", "any"};
    auto type = static_cast<std::uint32_t>(each.type);
    array.push_back(
        JsonObject{{"type", names[type < 4 ? type : 0]},
                   {"addr", each.has_endpoint ? each.endpoint.describe() : "(unrecognized address family 0)"},
                   {"nonce", each.nonce}});
  }
  return {{"addrvec", array}};
}

JsonObject dump(const maps::MonMap& map) {
  JsonArray monitors;
  for (std::size_t rank = 0; rank < map.ranks.size(); ++rank) {
    auto found = map.monitors.find(map.ranks[rank]);
    if (found == map.monitors.end()) continue;
    const auto& monitor = found->second;
    std::string address = print_address(monitor.addresses.msgr2());
    monitors.push_back(JsonObject{{"rank", rank},
                                  {"name", monitor.name},
                                  {"public_addrs", dump(monitor.addresses)},
                                  {"addr", address},
                                  {"public_addr", address},
                                  {"priority", monitor.priority},
                                  {"weight", monitor.weight},
                                  {"crush_location", "{}"}});
  }
  return {{"epoch", map.epoch.value},
          {"fsid", map.fsid.describe()},
          {"modified", gmtime(map.last_changed)},
          {"created", gmtime(map.created)},
          {"min_mon_release", map.min_release},
          {"min_mon_release_name", release_name(map.min_release)},
          {"election_strategy", map.strategy},
          {"disallowed_leaders: ", ""},
          {"stretch_mode", map.stretch_mode},
          {"tiebreaker_mon", map.tiebreaker},
          {"removed_ranks: ", ""},
          {"features", JsonObject{{"persistent", features()}, {"optional", JsonArray{}}}},
          {"mons", monitors}};
}

std::string print(const maps::MonMap& map) {
  std::string text =
      fmt::format("epoch {}\nfsid {}\nlast_changed {}\ncreated {}\nmin_mon_release {} ({})\nelection_strategy: {}\n",
                  map.epoch.value, map.fsid.describe(), map.last_changed.describe(), map.created.describe(),
                  map.min_release, release_name(map.min_release), map.strategy);
  for (std::size_t rank = 0; rank < map.ranks.size(); ++rank) {
    auto found = map.monitors.find(map.ranks[rank]);
    if (found == map.monitors.end()) continue;
    text +=
        fmt::format("{}: {} mon.{}\n", rank, print_protocol_address(found->second.addresses.msgr2()), map.ranks[rank]);
  }
  return text;
}

JsonObject dump(const msg::LogEntry& entry) {
  return {{"name", entry.name.describe()},
          {"rank", entry.rank.describe()},
          {"addrs", dump(entry.address)},
          {"stamp", entry.stamp.describe()},
          {"seq", entry.sequence},
          {"channel", entry.channel},
          {"priority", fmt::format("[{}]", short_name(entry.priority))},
          {"message", entry.text}};
}

}  // namespace spirula::mon
