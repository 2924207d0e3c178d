#include <fmt/format.h>

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
  TRY(auto endpoint, Endpoint::parse(text));
  return blocklist_address(msg::Address::msgr2(endpoint, nonce));
}

CommandResult blocklist_change(const CommandCall& call, Draft& draft) {
  std::string text = call.arguments.text("addr");
  auto address = parse_entity(text);
  if (!address) return CommandResult::fail(-EINVAL, fmt::format("'{}' is no address", text));
  if (!call.arguments.text("range").empty()) return CommandResult::fail(-EOPNOTSUPP, "ranges cannot be blocklisted");
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
  const auto& list = call.state.osd().map().blocklist;
  std::string said = fmt::format("listed {} entries", list.size());
  JsonArray array;
  std::string text;
  for (const auto& [address, until] : list) {
    array.push_back(JsonObject{{"addr", print_address(address)}, {"until", until.describe()}});
    text += fmt::format("{} {}\n", print_address(address), until.describe());
  }
  return call.is_plain() ? CommandResult::print(text, said) : call.json(array, said);
}

CommandResult blocklist_clear(const CommandCall& call, Draft& draft) {
  std::vector<msg::Address> all;
  for (const auto& [address, until] : draft->osd().map().blocklist) all.push_back(address);
  auto removed = remove_from_blocklist(draft, all, call.around.now);
  if (!removed && removed.error() != Errc::not_found) return CommandResult::fail(removed.error(), "");
  return CommandResult::say(" removed all blocklist entries");
}

constexpr CommandRow rows[] = {
    {"osd blocklist name=range,type=CephString,goodchars=[range],req=false name=blocklistop,type=CephChoices,"
     "strings=add|rm name=addr,type=CephEntityAddr name=expire,type=CephFloat,range=0.0,req=false",
     "shut a client out, or let it in again", "osd", "rw", nullptr, blocklist_change},
    {"osd blocklist ls", "show who is shut out", "osd", "r", blocklist_ls},
    {"osd blocklist clear", "let everybody in again", "osd", "rw", nullptr, blocklist_clear},
};

}  // namespace

std::span<const CommandRow> blocklist_commands() {
  return rows;
}

}  // namespace spirula::mon
