#include "mon/mon_caps.h"

#include <regex>

namespace spirula::mon {
namespace {

constexpr Access read_only{true, false, false}, read_write{true, true, false}, everything{true, true, true},
    write_only{false, true, false};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-_./:*+").find(c) != std::string_view::npos;
}

/// Splits caps into words; quotes group, '=' and the separators stand for themselves.
Result<std::vector<std::string>> split(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < text.size();) {
    char c = text[i];
    if (std::isspace(static_cast<unsigned char>(c))) {
      ++i;
    } else if (c == ',' || c == ';' || c == '=') {
      words.emplace_back(1, c == ';' ? ',' : c);
      ++i;
    } else if (c == '"' || c == '\'') {
      auto end = text.find(c, i + 1);
      if (end == text.npos) return Errc::invalid;
      words.emplace_back(text.substr(i + 1, end - i - 1));
      i = end + 1;
    } else if (is_word(c)) {
      std::size_t end = i;
      while (end < text.size() && is_word(text[end])) ++end;
      words.emplace_back(text.substr(i, end - i));
      i = end;
    } else {
      return Errc::invalid;
    }
  }
  return words;
}

bool is_profile(std::string_view name) {
  for (auto known : {"mon", "osd", "mds", "mgr", "bootstrap-osd", "bootstrap-mds", "bootstrap-mgr", "bootstrap-rgw",
                     "bootstrap-rbd", "bootstrap-rbd-mirror", "rbd", "rbd-mirror", "rbd-mirror-peer", "rbd-read-only",
                     "fs-client", "simple-rados-client", "simple-rados-client-with-blocklist", "read-only", "read-write",
                     "role-definer", "crash", "cephfs-mirror"})
    if (name == known) return true;
  return false;
}

}  // namespace

std::optional<Access> Access::parse(std::string_view text) {
  if (text == "*" || text == "all") return everything;
  Access access;
  for (char c : text) {
    bool* bit = c == 'r' ? &access.read : c == 'w' ? &access.write : c == 'x' ? &access.execute : nullptr;
    if (!bit || *bit) return std::nullopt;
    *bit = true;
  }
  if (text.empty()) return std::nullopt;
  return access;
}

Result<MonCaps> MonCaps::parse(std::string_view text) {
  TRY(auto words, split(text));
  MonCaps caps;
  std::size_t at = 0;
  auto more = [&] { return at < words.size() && words[at] != ","; };
  auto take = [&](std::string_view word) {
    if (!more() || words[at] != word) return false;
    ++at;
    return true;
  };
  auto value = [&](std::string& to) {
    take("=");
    if (!more()) return false;
    to = words[at++];
    return true;
  };
  while (at < words.size()) {
    if (words[at] == ",") {
      ++at;
      continue;
    }
    Grant grant;
    bool allow = take("allow");
    if (take("profile")) {
      if (!value(grant.profile) || !is_profile(grant.profile)) return Errc::invalid;
    } else if (!allow) {
      return Errc::invalid;
    } else if (take("service")) {
      if (!value(grant.service)) return Errc::invalid;
    } else if (take("command")) {
      if (!value(grant.command)) return Errc::invalid;
      while (take("with")) {
        std::string name;
        if (!value(name)) return Errc::invalid;
        Match match;
        if (take("prefix"))
          match.kind = Match::Kind::prefix;
        else if (take("regex"))
          match.kind = Match::Kind::regex;
        if (!value(match.value)) return Errc::invalid;
        grant.arguments[name] = match;
      }
    }
    std::string network;
    while (more()) {
      if (auto access = Access::parse(words[at])) {
        grant.all = words[at] == "*" && grant.service.empty();
        grant.access = *access;
        ++at;
      } else if (take("fsname")) {
        if (!value(grant.file_system)) return Errc::invalid;
      } else if (take("network")) {
        if (!value(network)) return Errc::invalid;
      } else {
        return Errc::invalid;
      }
    }
    bool has_access = grant.access.read || grant.access.write || grant.access.execute;
    if (grant.profile.empty() && grant.command.empty() && !has_access) return Errc::invalid;
    // A grant for one network is only good there; until addresses are compared it must not be good everywhere.
    if (network.empty()) caps.grants_.push_back(std::move(grant));
  }
  return caps;
}

/// Ceph: MonCapGrant::expand_profile.
void MonCaps::expand(const std::string& profile, std::vector<Grant>& grants) {
  auto service = [&](const char* name, Access access) {
    Grant grant;
    grant.service = name;
    grant.access = access;
    grants.push_back(grant);
  };
  auto command = [&](const char* name, std::map<std::string, Match> arguments = {}) {
    Grant grant;
    grant.command = name;
    grant.arguments = std::move(arguments);
    grants.push_back(grant);
  };
  auto reads = [&](std::initializer_list<const char*> names) {
    for (auto name : names) service(name, read_only);
  };
  auto prefix = [](std::string value) { return Match{Match::Kind::prefix, std::move(value)}; };
  if (profile == "mon" || profile == "mgr") {
    for (auto name : {"mon", "osd", "mds", "mgr", "pg", "auth", "log", "config", "config-key", "fs", "health"})
      service(name, everything);
  } else if (profile == "osd") {
    service("osd", everything);
    reads({"mon", "mgr", "auth", "config"});
    service("pg", read_write);
    service("log", write_only);
    command("config-key set", {{"key", prefix("device_health/")}});
  } else if (profile == "mds") {
    service("mds", everything);
    reads({"mon", "osd", "mgr", "auth", "fs"});
    service("log", write_only);
    command("osd blocklist");
    command("osd blacklist");
  } else if (profile == "bootstrap-osd") {
    command("mon getmap");
    command("osd new");
    command("osd purge-new");
    command("osd tree");
    command("osd create");
    reads({"osd", "mon", "log"});
  } else if (profile == "bootstrap-mds" || profile == "bootstrap-mgr" || profile == "bootstrap-rgw" ||
             profile == "bootstrap-rbd" || profile == "bootstrap-rbd-mirror") {
    std::string kind = profile.substr(10);
    command("mon getmap");
    std::string entity = kind == "mds" || kind == "mgr" ? kind + "." : "client." + kind;
    command("auth get-or-create", {{"entity", prefix(entity)}});
  } else if (profile == "rbd" || profile == "rbd-mirror" || profile == "simple-rados-client-with-blocklist") {
    reads({"mon", "osd", "pg"});
    command("osd blocklist", {{"blocklistop", Match{Match::Kind::equal, "add"}}});
    command("osd blacklist", {{"blacklistop", Match{Match::Kind::equal, "add"}}});
    if (profile == "rbd-mirror") command("config-key get", {{"key", prefix("rbd/mirror/")}});
  } else if (profile == "fs-client" || profile == "cephfs-mirror") {
    reads({"mon", "mds", "osd", "pg", "fs"});
  } else if (profile == "simple-rados-client" || profile == "rbd-read-only" || profile == "rbd-mirror-peer") {
    reads({"mon", "osd", "pg"});
  } else if (profile == "read-only") {
    reads({"mon", "osd", "mds", "mgr", "pg", "config", "log", "fs", "health"});
  } else if (profile == "read-write") {
    for (auto name : {"mon", "osd", "mds", "mgr", "pg", "config", "log", "fs", "health"}) service(name, read_write);
  } else if (profile == "role-definer") {
    reads({"mon"});
    service("auth", everything);
  }
}

bool MonCaps::command_matches(const Grant& grant, std::string_view command,
                              const std::map<std::string, std::string>& arguments) {
  if (grant.command.empty() || grant.command != command) return false;
  for (const auto& [name, match] : grant.arguments) {
    auto found = arguments.find(name);
    std::string value = found == arguments.end() ? std::string() : found->second;
    switch (match.kind) {
      case Match::Kind::equal:
        if (value != match.value) return false;
        break;
      case Match::Kind::prefix:
        if (!value.starts_with(match.value)) return false;
        break;
      case Match::Kind::regex:
        try {
          if (!std::regex_match(value, std::regex(match.value, std::regex::extended))) return false;
        } catch (const std::regex_error&) {
          return false;
        }
        break;
    }
  }
  return true;
}

bool MonCaps::grants_allow(const std::vector<Grant>& grants, std::string_view service, Access need,
                           std::string_view command, const std::map<std::string, std::string>& arguments) {
  Access granted;
  for (const Grant& grant : grants) {
    if (!grant.profile.empty()) {
      std::vector<Grant> expanded;
      expand(grant.profile, expanded);
      if (grants_allow(expanded, service, need, command, arguments)) return true;
      continue;
    }
    if (!grant.command.empty()) {
      if (!command.empty() && command_matches(grant, command, arguments)) return true;
      continue;
    }
    if (grant.all) return true;
    if (!grant.service.empty() && grant.service != service) continue;
    // Values of daemons and tools are private: a blanket "allow rwx" does not open them (Ceph: MonCapGrant).
    if (grant.service.empty() && service == "config-key") continue;
    granted.read |= grant.access.read;
    granted.write |= grant.access.write;
    granted.execute |= grant.access.execute;
    if (granted.covers(need)) return true;
  }
  return false;
}

bool MonCaps::allows(std::string_view service, Access need, std::string_view command,
                     const std::map<std::string, std::string>& arguments) const {
  return grants_allow(grants_, service, need, command, arguments);
}

bool MonCaps::allows_all() const {
  for (const Grant& grant : grants_)
    if (grant.all) return true;
  return false;
}

std::vector<std::string> MonCaps::file_systems() const {
  std::vector<std::string> names;
  for (const Grant& grant : grants_) {
    if (grant.file_system.empty() || grant.file_system == "*" || grant.file_system == "all") return {};
    names.push_back(grant.file_system);
  }
  return names;
}

}  // namespace spirula::mon
