#include "msg/caps_osd.h"

#include <algorithm>

namespace spirula::msg {
using caps::Clause;

namespace {

/// "rwx", "*", "class-read"; nothing if the word is none of these.
std::optional<unsigned> parse_access(std::string_view word) {
  if (word == "*" || word == "all") return OsdCaps::all;
  if (word == "class-read") return OsdCaps::class_read;
  if (word == "class-write") return OsdCaps::class_write;
  unsigned access = 0;
  for (char c : word) {
    unsigned bits = c == 'r'   ? OsdCaps::read
                    : c == 'w' ? OsdCaps::write
                    : c == 'x' ? OsdCaps::class_read | OsdCaps::class_write
                               : 0;
    if (!bits || (access & bits)) return std::nullopt;
    access |= bits;
  }
  if (!access) return std::nullopt;
  return access;
}

}  // namespace

Result<OsdCaps> OsdCaps::parse(std::string_view text) {
  OsdCaps parsed;
  TRY(auto clauses, caps::split_clauses(text));
  for (Clause& clause : clauses) {
    TRY(auto grants, parse_grant(clause));
    parsed.grants_.insert(parsed.grants_.end(), grants.begin(), grants.end());
  }
  return parsed;
}

Result<std::vector<OsdCaps::Grant>> OsdCaps::parse_grant(Clause& clause) {
  Grant grant;
  std::string profile;
  bool allow = clause.skip("allow");
  if (clause.skip("profile")) {
    TRY(profile, clause.take());
  } else if (!allow) {
    return Errc::invalid;
  }
  bool has_spec = !profile.empty();
  // The spec stands before or after what it applies to: "allow rw pool a", "allow pool a rw".
  while (!clause.at_end()) {
    if (clause.skip("pool")) {
      TRY(grant.pool, clause.take());
    } else if (clause.skip("namespace")) {
      TRY(grant.name_space, clause.take());
    } else if (clause.skip("object_prefix")) {
      TRY(grant.object_prefix, clause.take());
    } else if (clause.skip("tag")) {
      TRY(grant.tag_application, clause.take());
      TRY(grant.tag_key, clause.take());
      TRY(grant.tag_value, clause.take());
    } else if (clause.skip("network")) {
      TRY(std::string network, clause.take());
      TRY(grant.network, caps::Network::parse(network));
    } else if (clause.skip("class")) {
      if (has_spec) return Errc::invalid;
      has_spec = true;
      TRY(grant.class_name, clause.take());
      static constexpr std::string_view reserved[] = {"pool", "namespace", "object_prefix", "tag", "network"};
      if (clause.peek() && std::ranges::find(reserved, clause.peek()->text) == std::end(reserved)) {
        TRY(grant.class_method, clause.take());
      }
    } else {
      if (!profile.empty()) return Errc::invalid;
      TRY(std::string word, clause.take());
      auto access = parse_access(word);
      if (!access) return Errc::invalid;
      grant.access |= *access;
      has_spec = true;
    }
  }
  if (!has_spec) return Errc::invalid;
  if (profile.empty()) return std::vector{grant};

  // The profiles, as OSDCap.cc expands them.
  std::vector<Grant> grants;
  auto add = [&](unsigned access, const char* name_space, const char* prefix, const char* class_name,
                 const char* method) {
    Grant part = grant;
    part.access = access;
    if (name_space) part.name_space = name_space;
    part.object_prefix = prefix;
    part.class_name = class_name;
    part.class_method = method;
    grants.push_back(std::move(part));
  };
  if (profile == "read-only") {
    add(read, nullptr, "", "", "");
  } else if (profile == "read-write") {
    add(read | write, nullptr, "", "", "");
  } else if (profile == "rbd") {
    if (!grant.name_space) {
      add(read | class_read, nullptr, "rbd_children", "", "");
      add(read | class_read, "", "rbd_mirroring", "", "");
    }
    add(0, "", "rbd_info", "rbd", "metadata_list");
    add(read | write | class_read | class_write, nullptr, "", "", "");
  } else if (profile == "rbd-read-only") {
    add(read | class_read, nullptr, "", "", "");
    add(write | class_write, nullptr, "rbd_header.", "", "");
  } else {
    return Errc::invalid;
  }
  return grants;
}

bool OsdCaps::Grant::matches(std::string_view in_pool, std::string_view in_space, const Applications& applications,
                             std::string_view object) const {
  if (!pool.empty() && pool != in_pool) return false;
  if (name_space) {
    std::string_view wanted = *name_space;
    bool open = wanted.ends_with('*');
    if (open) wanted.remove_suffix(1);
    if (open ? !in_space.starts_with(wanted) : in_space != wanted) return false;
  }
  if (!object_prefix.empty() && !object.starts_with(object_prefix)) return false;
  if (tag_application.empty()) return true;
  auto application = applications.find(tag_application);
  if (application == applications.end()) return false;
  if (tag_key == "*" && tag_value == "*") return true;
  for (const auto& [key, value] : application->second)
    if ((tag_key == "*" || tag_key == key) && (tag_value == "*" || tag_value == value)) return true;
  return false;
}

bool OsdCaps::allowed_by(const Grant& grant, bool reads, bool writes, std::span<const ClassCall> classes) {
  if (reads && !(grant.access & read)) return false;
  if (writes && !(grant.access & write)) return false;
  for (const ClassCall& call : classes) {
    bool named = !grant.class_name.empty() && grant.class_name == call.name &&
                 (grant.class_method.empty() || grant.class_method == call.method);
    bool general = grant.class_name.empty() && (!call.reads || (grant.access & class_read)) &&
                   (!call.writes || (grant.access & class_write)) && (grant.access & (class_read | class_write));
    if (!named && !general) return false;
  }
  return reads || writes || !classes.empty() || grant.access != 0;
}

bool OsdCaps::allows_all() const {
  for (const Grant& grant : grants_)
    if (grant.access == all && grant.pool.empty() && !grant.name_space && grant.object_prefix.empty() &&
        grant.tag_application.empty() && !grant.network)
      return true;
  return false;
}

bool OsdCaps::allows(std::string_view pool, std::string_view name_space, const Applications& applications,
                     std::string_view object, bool reads, bool writes, std::span<const ClassCall> classes,
                     const Endpoint* from) const {
  for (const Grant& grant : grants_) {
    if (grant.network && (!from || !grant.network->contains(from->ipv6, from->address))) continue;
    if (grant.matches(pool, name_space, applications, object) && allowed_by(grant, reads, writes, classes)) return true;
  }
  return false;
}

}  // namespace spirula::msg
