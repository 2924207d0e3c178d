#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/config.h"
#include "mon/command_arguments.h"
#include "mon/command_tables.h"
#include "mon/dump.h"
#include "mon/osd_edit.h"

/// Who is shut out.
namespace spirula::mon {
namespace {

/// A host of either protocol; one of IPv6 may come without brackets if it has no port.
Result<Endpoint> parse_host(const std::string& text) {
  return Endpoint::parse(text[0] != '[' && std::ranges::count(text, ':') > 1 ? "[" + text + "]" : text);
}

/// "10.0.0.1:0/3", "v2:...", or a host alone.
Result<msg::Address> parse_entity(std::string text) {
  for (auto prefix : {"v1:", "v2:", "any:"})
    if (text.starts_with(prefix)) text = text.substr(std::string_view(prefix).size());
  std::uint32_t nonce = 0;
  if (auto slash = text.rfind('/'); slash != text.npos) {
    auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), nonce);
    if (error != std::errc{} || end != text.data() + text.size()) return Errc::invalid;
    text.resize(slash);
  }
  TRY(auto endpoint, parse_host(text));
  return blocklist_address(msg::Address::msgr2(endpoint, nonce));
}

/// "10.0.0.0/24", "2001:db8::/64".
Result<msg::Address> parse_network(const std::string& text) {
  auto slash = text.rfind('/');
  if (slash == text.npos) return Errc::invalid;
  std::uint32_t bits = 0;
  auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), bits);
  if (error != std::errc{} || end != text.data() + text.size()) return Errc::invalid;
  TRY(auto endpoint, parse_host(text.substr(0, slash)));
  auto network = msg::Address::msgr2(endpoint, bits);
  network.type = maps::network_address;
  return network;
}

CommandResult blocklist_change(const CommandCall& call, Draft& draft) {
  std::string text = call.arguments.text("addr");
  bool is_range = call.arguments.has("range");
  if (is_range && call.arguments.text("range") != "range")
    return CommandResult::fail(-EINVAL, "the word before add or rm must be range");
  auto address = is_range ? parse_network(text) : parse_entity(text);
  if (is_range && address && address->nonce > (address->endpoint.ipv6 ? 128u : 32u))
    return CommandResult::fail(-EINVAL, "Too many bits in range for that protocol!");
  if (!address)
    return CommandResult::fail(-EINVAL,
                               fmt::format("'{}' is no {}", text, is_range ? "network, as 10.0.0.0/24" : "address"));
  if (call.arguments.text("blocklistop") == "rm") {
    auto removed = remove_from_blocklist(draft, {*address}, call.around.now);
    if (!removed && removed.error() == Errc::not_found)
      return CommandResult::say(fmt::format("{} isn't blocklisted", print_address(*address)));
    return outcome(removed, fmt::format("un-blocklisting {}", print_address(*address)));
  }
  double seconds = call.arguments.real("expire").value_or(
      std::chrono::duration<double>(call.around.config.duration("mon_osd_blocklist_default_expire")).count());
  auto until = later(call.around.now, seconds);
  return outcome(
      add_to_blocklist(draft, {*address}, until, call.around.now),
      fmt::format("blocklisting {} until {} ({:.6g} sec)", print_address(*address), until.describe(), seconds));
}

CommandResult blocklist_ls(const CommandCall& call) {
  const auto& map = call.state.osd().map();
  JsonArray array;
  std::string text;
  for (const auto* list : {&map.blocklist, &map.blocklist_ranges})
    for (const auto& [address, until] : *list) {
      array.push_back(JsonObject{{"addr", print_address(address)}, {"until", until.describe()}});
      text += fmt::format("{} {}\n", print_address(address), until.describe());
    }
  std::string said = fmt::format("listed {} entries", array.size());
  return call.is_plain() ? CommandResult::print(text, said) : call.json(array, said);
}

CommandResult blocklist_clear(const CommandCall& call, Draft& draft) {
  std::vector<msg::Address> all;
  const auto& map = draft->osd().map();
  for (const auto* list : {&map.blocklist, &map.blocklist_ranges})
    for (const auto& [address, until] : *list) all.push_back(address);
  auto removed = remove_from_blocklist(draft, all, call.around.now);
  if (!removed && removed.error() != Errc::not_found) return CommandResult::fail(removed.error(), "");
  return CommandResult::say(" removed all blocklist entries");
}

#define BLOCKLIST_ARGUMENTS                                                                                   \
  " name=range,type=CephString,goodchars=[range],req=false name=blocklistop,type=CephChoices,strings=add|rm " \
  "name=addr,type=CephEntityAddr name=expire,type=CephFloat,range=0.0,req=false"
constexpr CommandRow rows[] = {
    {"osd blocklist" BLOCKLIST_ARGUMENTS, "shut a client out, or let it in again", "osd", "rw", nullptr,
     blocklist_change},
    {"osd blocklist ls", "show who is shut out", "osd", "r", blocklist_ls},
    {"osd blocklist clear", "let everybody in again", "osd", "rw", nullptr, blocklist_clear},
    // What clients before Pacific call it.
    {"osd blacklist" BLOCKLIST_ARGUMENTS, "as osd blocklist", "osd", "rw", nullptr, blocklist_change},
    {"osd blacklist ls", "as osd blocklist ls", "osd", "r", blocklist_ls},
    {"osd blacklist clear", "as osd blocklist clear", "osd", "rw", nullptr, blocklist_clear},
};
#undef BLOCKLIST_ARGUMENTS

}  // namespace

std::span<const CommandRow> blocklist_commands() {
  return rows;
}

}  // namespace spirula::mon
