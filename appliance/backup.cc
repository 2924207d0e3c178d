#include "appliance/backup.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include <algorithm>
#include <set>

#include "appliance/json_read.h"
#include "appliance/limits.h"
#include "msg/keyring.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* mark = "spirula_settings";

bool is_key(const std::string& text) {
  // Whatever else could be put into a keyring's text is no base64.
  if (text.empty() || text.size() > 128 || text.find_first_of("\r\n[] \t") != text.npos) return false;
  auto keyring = msg::Keyring::parse(fmt::format("[client.x]\nkey = {}\n", text));
  return keyring && keyring->entries.size() == 1 && keyring->entries.begin()->second.key.usable();
}

std::string read_share(const json::value& value, Backup& into, std::set<std::string>& names) {
  if (!value.is_object()) return "One of its shares is not understood.";
  Backup::Share share{.name = text_in(value.get_object(), "name"), .key = text_in(value.get_object(), "key")};
  if (auto wrong = problem_with_share_name(share.name); !wrong.empty())
    return fmt::format("It names a share that cannot be: {}", wrong);
  if (!is_key(share.key)) return fmt::format("The key of the share {} is damaged.", share.name);
  if (!names.insert(share.name).second) return fmt::format("It names the share {} twice.", share.name);
  into.shares.push_back(std::move(share));
  return {};
}

}  // namespace

json::object to_json(const Backup& backup) {
  json::array shares;
  for (const Backup::Share& share : backup.shares)
    shares.push_back(json::object{{"name", share.name}, {"key", share.key}});
  return {{mark, Backup::format}, {"name", backup.name}, {"made", backup.made}, {"shares", std::move(shares)}};
}

Backup parse_backup(const json::object& from, std::string& problem) {
  Backup backup;
  problem.clear();
  const json::value* format = from.if_contains(mark);
  const json::value* made = from.if_contains("made");
  const json::value* shares = from.if_contains("shares");
  backup.name = text_in(from, "name");
  if (!format || !format->is_int64() || format->get_int64() < 1)
    problem = "This is not a settings file of a Spirula box.";
  else if (format->get_int64() > Backup::format)
    problem = "This settings file was written by a later version. Update this box first.";
  else if (!made || !made->is_int64() || !shares || !shares->is_array())
    problem = "This settings file is damaged: it is not whole.";
  else if (auto wrong = problem_with_box_name(backup.name); !wrong.empty())
    problem = "This settings file is damaged. " + wrong;
  else if (shares->get_array().size() > limits::shares_max)
    problem = fmt::format("This settings file has more than {} shares.", limits::shares_max);
  if (!problem.empty()) return backup;
  backup.made = made->get_int64();
  std::set<std::string> names;
  for (const json::value& each : shares->get_array())
    if (auto wrong = read_share(each, backup, names); !wrong.empty()) {
      problem = "This settings file is damaged. " + wrong;
      break;
    }
  return backup;
}

RestorePlan plan_restore(const Backup& backup, const Document& document) {
  RestorePlan plan;
  for (const Backup::Share& share : backup.shares) {
    if (std::ranges::find(document.shares, share.name, &ShareRecord::name) == document.shares.end())
      plan.missing.push_back(share);
    else
      plan.there.push_back(share.name);
  }
  return plan;
}

}  // namespace spirula::appliance
