#include "appliance/document.h"

#include <arpa/inet.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "appliance/limits.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* setup_names[] = {"blank", "making", "ready"};
constexpr const char* role_names[] = {"viewer", "administrator"};

/// Reads fields one by one; the first that is wrong is remembered.
struct Reader {
  const json::object& from;
  std::string& problem;

  const json::value* find(const char* name, bool (*fits)(const json::value&), const char* what) {
    const json::value* value = from.if_contains(name);
    if (value && fits(*value)) return value;
    if (problem.empty()) problem = fmt::format("\"{}\" is not {}", name, what);
    return nullptr;
  }
  void text(const char* name, std::string& into, std::size_t bytes_max = 1024) {
    auto* value = find(name, [](const json::value& v) { return v.is_string(); }, "a text");
    if (!value) return;
    into = std::string(value->get_string());
    if (into.size() > bytes_max && problem.empty()) problem = fmt::format("\"{}\" is too long", name);
  }
  /// One that earlier versions did not write.
  void late_flag(const char* name, bool& into) {
    if (from.contains(name)) flag(name, into);
  }
  void flag(const char* name, bool& into) {
    auto* value = find(name, [](const json::value& v) { return v.is_bool(); }, "true or false");
    if (value) into = value->get_bool();
  }
  template <class T>
  void number(const char* name, T& into, std::uint64_t max) {
    auto* value = find(
        name, [](const json::value& v) { return v.is_uint64() || (v.is_int64() && v.get_int64() >= 0); }, "a number");
    if (!value) return;
    auto read = value->is_uint64() ? value->get_uint64() : static_cast<std::uint64_t>(value->get_int64());
    if (read > max && problem.empty()) problem = fmt::format("\"{}\" is too large", name);
    into = static_cast<T>(read);
  }
  void texts(const char* name, std::vector<std::string>& into) {
    auto* value = find(name, [](const json::value& v) { return v.is_array(); }, "a list");
    if (!value) return;
    if (value->get_array().size() > limits::recovery_codes && problem.empty())
      problem = fmt::format("\"{}\" is too long", name);
    for (const auto& item : value->get_array()) {
      if (!item.is_string() && problem.empty())
        problem = fmt::format("\"{}\" has something else than texts in it", name);
      if (!problem.empty()) return;
      into.emplace_back(item.get_string());
    }
  }
  template <class F>
  void list(const char* name, std::size_t count_max, F&& each) {
    auto* value = find(name, [](const json::value& v) { return v.is_array(); }, "a list");
    if (!value) return;
    if (value->get_array().size() > count_max && problem.empty()) problem = fmt::format("\"{}\" is too long", name);
    for (const auto& item : value->get_array()) {
      if (!problem.empty()) return;
      if (!item.is_object()) {
        problem = fmt::format("\"{}\" has something else than objects in it", name);
        return;
      }
      Reader inner{item.get_object(), problem};
      each(inner);
    }
  }
};

bool is_ipv4(const std::string& text) {
  in_addr address{};
  return ::inet_pton(AF_INET, text.c_str(), &address) == 1;
}

void check_consistency(const Document& document, std::string& problem) {
  std::set<int> osds;
  for (const auto& disk : document.disks)
    if (!osds.insert(disk.osd).second) problem = fmt::format("osd.{} is there twice", disk.osd);
  std::set<std::string> names;
  for (const auto& share : document.shares) {
    if (auto wrong = problem_with_share_name(share.name); !wrong.empty()) problem = wrong;
    if (!names.insert(share.name).second) problem = fmt::format("the share {} is there twice", share.name);
  }
  std::set<std::string> accounts;
  for (const auto& account : document.accounts) {
    if (auto wrong = problem_with_account_name(account.name); !wrong.empty()) problem = wrong;
    if (!accounts.insert(account.name).second) problem = fmt::format("the account {} is there twice", account.name);
    if (account.password_hash.empty()) problem = fmt::format("the account {} has no \"password_hash\"", account.name);
  }
  if (document.claimed() &&
      (document.accounts[0].name != owner_name || document.accounts[0].role != Role::administrator))
    problem = "the first of the \"accounts\" is not the owner's";
  if (document.setup != SetupState::blank && (document.fsid.empty() || document.disks.empty()))
    problem = "a box that is set up has an \"fsid\" and disks";
}

std::string problem_with_letters(std::string_view name) {
  if (name.size() > 40) return "The name is too long: use at most 40 characters.";
  for (char letter : name)
    if (!((letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-'))
      return "Use only small letters (a to z), digits and hyphens in the name.";
  if (name.front() == '-' || name.back() == '-') return "The name must not begin or end with a hyphen.";
  return {};
}

}  // namespace

std::string_view name_of(Role role) {
  return role_names[static_cast<int>(role)];
}

std::optional<Role> role_of(std::string_view name) {
  for (Role role : {Role::viewer, Role::administrator})
    if (name == name_of(role)) return role;
  return {};
}

const AccountRecord* Document::account(std::string_view wanted) const {
  auto at = std::ranges::find(accounts, wanted, &AccountRecord::name);
  return at == accounts.end() ? nullptr : &*at;
}

AccountRecord* Document::account(std::string_view wanted) {
  return const_cast<AccountRecord*>(std::as_const(*this).account(wanted));
}

json::object to_public_json(const Document& document) {
  json::array disks, shares;
  for (const auto& disk : document.disks)
    disks.push_back({{"osd", disk.osd},
                     {"path", disk.path},
                     {"serial", disk.serial},
                     {"filesystem", disk.filesystem},
                     {"data_partition", disk.data_partition},
                     {"journal_partition", disk.journal_partition},
                     {"erase", disk.erase},
                     {"made", disk.made},
                     {"leaving", disk.leaving},
                     {"bytes", disk.bytes}});
  for (const auto& share : document.shares) shares.push_back({{"name", share.name}, {"made", share.made}});
  return {{"format", Document::format},
          {"revision", document.revision},
          {"name", document.name},
          {"setup", setup_names[static_cast<int>(document.setup)]},
          {"fsid", document.fsid},
          {"copies", document.copies},
          {"disks", std::move(disks)},
          {"shares", std::move(shares)},
          {"network", to_json(document.network)}};
}

json::object to_json(const Document& document) {
  json::object object = to_public_json(document);
  object["metrics_token_hash"] = document.metrics_token_hash;
  json::array accounts;
  for (const auto& account : document.accounts)
    accounts.push_back(
        {{"name", account.name},
         {"role", name_of(account.role)},
         {"password_hash", account.password_hash},
         {"totp_secret", account.totp_secret},
         {"recovery_hashes", json::array(account.recovery_hashes.begin(), account.recovery_hashes.end())}});
  object["accounts"] = std::move(accounts);
  return object;
}

Result<Document> parse_document(std::string_view text, std::string& problem) {
  problem.clear();
  boost::system::error_code error;
  json::value parsed = json::parse(text, error);
  if (error || !parsed.is_object()) {
    problem = "it is not a JSON object";
    return Errc::malformed;
  }
  Reader reader{parsed.get_object(), problem};
  std::int64_t format = 0;
  reader.number("format", format, 1'000'000);
  if (problem.empty() && format > Document::format) {
    problem = fmt::format("it was written by a later version (format {})", format);
    return Errc::unsupported;
  }
  Document document;
  std::string setup;
  reader.number("revision", document.revision, ~std::uint64_t{0});
  reader.text("name", document.name, 63);
  reader.text("metrics_token_hash", document.metrics_token_hash);
  auto read_account = [&](Reader& inner) {
    AccountRecord account;
    std::string role;
    inner.text("name", account.name);
    inner.text("role", role);
    inner.text("password_hash", account.password_hash);
    inner.text("totp_secret", account.totp_secret);
    inner.texts("recovery_hashes", account.recovery_hashes);
    auto known = role_of(role);
    if (!known && problem.empty()) problem = "the \"role\" of one of the \"accounts\" is unknown";
    account.role = known.value_or(Role::viewer);
    document.accounts.push_back(std::move(account));
  };
  // Earlier versions had one account only.
  if (!reader.from.contains("accounts")) {
    AccountRecord owner{.name = owner_name, .role = Role::administrator};
    reader.text("password_hash", owner.password_hash);
    if (reader.from.contains("totp_secret")) reader.text("totp_secret", owner.totp_secret);
    if (reader.from.contains("recovery_hashes")) reader.texts("recovery_hashes", owner.recovery_hashes);
    if (!owner.password_hash.empty()) document.accounts.push_back(std::move(owner));
  } else {
    reader.list("accounts", limits::accounts_max, read_account);
  }
  reader.text("setup", setup);
  reader.text("fsid", document.fsid);
  reader.number("copies", document.copies, limits::copies_max);
  reader.list("disks", limits::disks_max, [&](Reader& inner) {
    DiskRecord disk;
    inner.number("osd", disk.osd, 100'000);
    inner.text("path", disk.path);
    inner.text("serial", disk.serial);
    inner.text("filesystem", disk.filesystem);
    inner.text("data_partition", disk.data_partition);
    inner.text("journal_partition", disk.journal_partition);
    inner.flag("erase", disk.erase);
    inner.flag("made", disk.made);
    inner.late_flag("leaving", disk.leaving);
    inner.number("bytes", disk.bytes, ~std::uint64_t{0});
    document.disks.push_back(std::move(disk));
  });
  reader.list("shares", limits::shares_max, [&](Reader& inner) {
    ShareRecord share;
    inner.text("name", share.name);
    inner.number("made", share.made, std::uint64_t{1} << 62);
    document.shares.push_back(std::move(share));
  });
  if (const json::value* network = reader.from.if_contains("network"); network && problem.empty()) {
    if (network->is_object())
      document.network = parse_network(network->get_object(), problem);
    else
      problem = "\"network\" is not an object";
  }
  bool known = false;
  for (int i = 0; i < 3; ++i) {
    if (setup != setup_names[i]) continue;
    document.setup = static_cast<SetupState>(i);
    known = true;
  }
  if (problem.empty() && !known) problem = "\"setup\" is none of blank, making, ready";
  if (problem.empty() && document.copies == 0) problem = "\"copies\" is 0";
  if (problem.empty()) check_consistency(document, problem);
  if (!problem.empty()) return Errc::malformed;
  return document;
}

json::object to_json(const NetworkSettings& settings) {
  return {{"automatic", settings.automatic},
          {"address", settings.address},
          {"gateway", settings.gateway},
          {"name_server", settings.name_server}};
}

NetworkSettings parse_network(const json::object& from, std::string& problem) {
  NetworkSettings settings;
  Reader reader{from, problem};
  reader.flag("automatic", settings.automatic);
  if (settings.automatic || !problem.empty()) return settings;
  reader.text("address", settings.address, 64);
  reader.text("gateway", settings.gateway, 64);
  reader.text("name_server", settings.name_server, 64);
  if (!problem.empty()) return settings;
  const std::string& all = settings.address;
  const std::size_t slash = all.find('/');
  unsigned prefix = 0;
  const char* end = all.data() + all.size();
  if (slash != all.npos) {
    auto [stop, error] = std::from_chars(all.data() + slash + 1, end, prefix);
    if (error != std::errc{} || stop != end) prefix = 0;
  }
  if (!is_ipv4(all.substr(0, slash)) || prefix < 1 || prefix > 31)
    problem = "Give the address with its prefix, such as 192.168.1.5/24.";
  else if (!settings.gateway.empty() && !is_ipv4(settings.gateway))
    problem = "The gateway is not an address such as 192.168.1.1. Leave it empty if there is none.";
  else if (!settings.name_server.empty() && !is_ipv4(settings.name_server))
    problem = "The name server is not an address such as 192.168.1.1. Leave it empty if there is none.";
  return settings;
}

std::string problem_with_account_name(std::string_view name) {
  if (name.empty()) return "Give the account a name.";
  return problem_with_letters(name);
}

std::string problem_with_box_name(std::string_view name) {
  if (name.empty()) return "Give the box a name.";
  return problem_with_letters(name);
}

std::string problem_with_share_name(std::string_view name) {
  if (name.empty()) return "Give the share a name.";
  if (auto problem = problem_with_letters(name); !problem.empty()) return problem;
  // Their keys are named like shares' keys.
  for (const char* taken : {"admin", "bootstrap", "applianced"})
    if (name == taken) return fmt::format("The name \"{}\" is used by the box itself: choose another.", name);
  return {};
}

}  // namespace spirula::appliance
