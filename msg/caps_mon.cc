#include "msg/caps_mon.h"

#include <regex>

namespace spirula::msg {
using caps::Clause;

namespace {

/// "rw", "*", "all", "rwx"; nothing if the word is none of these.
std::optional<unsigned> parse_access(std::string_view word) {
  if (word == "*" || word == "all") return MonCaps::all;
  unsigned access = 0;
  for (char c : word) {
    unsigned bit = c == 'r' ? MonCaps::read : c == 'w' ? MonCaps::write : c == 'x' ? MonCaps::execute : 0;
    if (!bit || (access & bit)) return std::nullopt;
    access |= bit;
  }
  if (!access) return std::nullopt;
  return access;
}

}  // namespace

Result<MonCaps> MonCaps::parse(std::string_view text) {
  MonCaps parsed;
  TRY(auto clauses, caps::split_clauses(text));
  for (Clause& clause : clauses) {
    TRY(Grant grant, parse_grant(clause));
    parsed.grants_.push_back(std::move(grant));
  }
  return parsed;
}

Result<MonCaps::Grant> MonCaps::parse_grant(Clause& clause) {
  Grant grant;
  bool allow = clause.skip("allow");
  if (clause.skip("profile")) {
    TRY(grant.profile, clause.take());
  } else if (!allow) {
    return Errc::invalid;
  } else if (clause.skip("command")) {
    TRY(grant.command, clause.take());
    if (clause.skip("with")) {
      do {
        TRY(std::string name, clause.take());
        auto kind = Constraint::Kind::equal;
        if (clause.peek() && !clause.peek()->after_equals) {
          if (clause.skip("prefix"))
            kind = Constraint::Kind::prefix;
          else if (clause.skip("regex"))
            kind = Constraint::Kind::regex;
          else
            return Errc::invalid;
        }
        TRY(std::string value, clause.take());
        grant.arguments[name] = Constraint{kind, value};
      } while (!clause.at_end() && !clause.next_is("network"));
    }
  } else {
    if (clause.skip("service")) {
      TRY(grant.service, clause.take());
    }
    TRY(std::string word, clause.take());
    auto access = parse_access(word);
    if (!access && grant.service.empty()) {  // the oldest form: allow osd rw
      grant.service = word;
      TRY(word, clause.take());
      access = parse_access(word);
    }
    if (!access) return Errc::invalid;
    grant.access = *access;
    if (clause.skip("fsname")) {
      TRY(grant.file_system, clause.take());
    }
  }
  if (clause.skip("network")) {
    TRY(std::string network, clause.take());
    TRY(grant.network, caps::Network::parse(network));
  }
  if (!clause.at_end()) return Errc::invalid;
  return grant;
}

/// The profiles, as MonCap.cc expands them. One we do not know grants nothing.
std::vector<MonCaps::Grant> MonCaps::expand(const std::string& profile, const KeyName& name) {
  std::vector<Grant> grants;
  auto service = [&](const char* which, unsigned access) {
    Grant grant;
    grant.service = which;
    grant.access = access;
    grants.push_back(std::move(grant));
  };
  auto command = [&](const char* prefix, std::map<std::string, Constraint> arguments = {}) {
    Grant grant;
    grant.command = prefix;
    grant.arguments = std::move(arguments);
    grants.push_back(std::move(grant));
  };
  auto everything = [&](unsigned access) {
    Grant grant;
    grant.access = access;
    grants.push_back(std::move(grant));
  };
  using Kind = Constraint::Kind;
  if (profile == "mon") {
    everything(all);
  } else if (profile == "osd") {
    service("osd", read | write | execute);
    service("mon", read);
    service("pg", read | write);
    service("log", write);
  } else if (profile == "mds") {
    service("mds", read | write | execute);
    service("mon", read);
    service("osd", read | write);
    service("log", write);
  } else if (profile == "mgr") {
    service("mgr", read | write | execute);
    for (const char* which : {"log", "mon", "mds", "fs", "osd", "config", "config-key"}) service(which, read | write);
    service("auth", read | write | execute);
  } else if (profile == "read-only") {
    everything(read);
  } else if (profile == "read-write") {
    everything(read | write);
  } else if (profile == "role-definer") {
    service("mon", read);
    service("auth", read | write | execute);
  } else if (profile == "fs-client") {
    for (const char* which : {"mon", "mds", "osd", "pg"}) service(which, read);
  } else if (profile == "simple-rados-client" || profile == "rbd-read-only") {
    for (const char* which : {"mon", "osd", "pg"}) service(which, read);
  } else if (profile == "rbd" || profile == "simple-rados-client-with-blocklist") {
    for (const char* which : {"mon", "osd", "pg"}) service(which, read);
    for (const char* prefix : {"osd blocklist", "osd blacklist"})
      for (const char* op : {"blocklistop", "blacklistop"})
        command(prefix, {{op, {Kind::equal, "add"}}, {"addr", {Kind::regex, "^[^/]+/[0-9]+$"}}});
  } else if (profile == "bootstrap-osd") {
    service("osd", read);
    command("mon getmap");
    command("osd new");
    command("osd purge-new");
  } else if (profile == "bootstrap-mds") {
    service("osd", read);
    command("mon getmap");
    command("auth get-or-create", {{"entity", {Kind::prefix, "mds."}},
                                   {"caps_mon", {Kind::equal, "allow profile mds"}},
                                   {"caps_osd", {Kind::equal, "allow rwx"}},
                                   {"caps_mds", {Kind::equal, "allow"}}});
  } else if (profile == "crash") {
    command("crash post");
  }
  if (profile == "osd" || profile == "mds" || profile == "mgr") {
    // A daemon's own drawer in the key store.
    Constraint own{Kind::prefix, "daemon-private/" + name.describe() + "/"};
    for (const char* prefix :
         {"config-key get", "config-key put", "config-key set", "config-key exists", "config-key delete"})
      command(prefix, {{"key", own}});
  }
  return grants;
}

unsigned MonCaps::allowed_by(const Grant& grant, std::string_view service, std::string_view command,
                             const Arguments& arguments) {
  if (grant.command.empty()) return grant.service.empty() || grant.service == service ? grant.access : 0;
  if (grant.command != command) return 0;
  for (const auto& [name, constraint] : grant.arguments) {
    auto given = arguments.find(name);
    if (given == arguments.end()) return 0;
    const std::string& value = given->second;
    switch (constraint.kind) {
      case Constraint::Kind::equal:
        if (value != constraint.value) return 0;
        break;
      case Constraint::Kind::prefix:
        if (!value.starts_with(constraint.value)) return 0;
        break;
      case Constraint::Kind::regex:
        try {  // the library's own way of saying that a pattern is none
          if (!std::regex_match(value, std::regex(constraint.value, std::regex::extended))) return 0;
        } catch (const std::regex_error&) {
          return 0;
        }
        break;
    }
  }
  return all;
}

bool MonCaps::allows_all() const {
  for (const Grant& grant : grants_)
    if (grant.access == all && grant.service.empty() && !grant.network && grant.file_system.empty()) return true;
  return false;
}

bool MonCaps::allows(const KeyName& name, std::string_view service, unsigned wanted, std::string_view command,
                     const Arguments& arguments, const Endpoint* from) const {
  unsigned allowed = 0;
  for (const Grant& grant : grants_) {
    if (grant.network && (!from || !grant.network->contains(from->ipv6, from->address))) continue;
    if (grant.profile.empty()) {
      allowed |= allowed_by(grant, service, command, arguments);
    } else {
      for (const Grant& part : expand(grant.profile, name)) allowed |= allowed_by(part, service, command, arguments);
    }
    if ((wanted & allowed) == wanted) return true;
  }
  return false;
}

std::vector<std::string> MonCaps::file_systems() const {
  std::vector<std::string> names;
  for (const Grant& grant : grants_) {
    if (grant.file_system.empty() || grant.file_system == "*") return {};
    names.push_back(grant.file_system);
  }
  return names;
}

}  // namespace spirula::msg
