#include "msg/caps_mds.h"

#include <algorithm>
#include <charconv>

namespace spirula::msg {
using caps::Clause;

namespace {

std::optional<unsigned> parse_access(std::string_view word) {
  if (word == "*" || word == "all") return MdsCaps::all;
  if (word == "full") return MdsCaps::full;
  unsigned access = 0;
  for (char c : word) {
    unsigned bit = c == 'r'   ? MdsCaps::read
                   : c == 'w' ? MdsCaps::write
                   : c == 'p' ? MdsCaps::policy
                   : c == 's' ? MdsCaps::snapshot
                   : c == 'f' ? MdsCaps::full
                              : 0;
    if (!bit || (access & bit)) return std::nullopt;
    access |= bit;
  }
  // Every form starts with r; nobody writes what he cannot read.
  if (!(access & MdsCaps::read)) return std::nullopt;
  return access;
}

Result<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) return Errc::invalid;
  return id;
}

std::string_view strip_slashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

/// Whether `path` is `top` or lies below it.
bool is_within(std::string_view path, std::string_view top) {
  return top.empty() || (path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/'));
}

/// The mode bits that apply to this caller: owner, group or others.
unsigned mode_bits(const MdsCaps::Caller& caller, const MdsCaps::Target& target) {
  if (caller.uid == target.uid) return target.mode >> 6 & 7;
  bool member = caller.gid == target.gid || std::ranges::find(caller.gids, target.gid) != caller.gids.end();
  return member ? target.mode >> 3 & 7 : target.mode & 7;
}

}  // namespace

Result<MdsCaps> MdsCaps::parse(std::string_view text) {
  MdsCaps parsed;
  TRY(auto clauses, caps::split_clauses(text));
  for (Clause& clause : clauses) {
    TRY(Grant grant, parse_grant(clause));
    parsed.grants_.push_back(std::move(grant));
  }
  return parsed;
}

Result<MdsCaps::Grant> MdsCaps::parse_grant(Clause& clause) {
  Grant grant;
  if (!clause.skip("allow")) return Errc::invalid;
  if (clause.at_end()) {  // "allow" alone, which old clusters gave to every client
    grant.access = read | write | policy | snapshot;
    return grant;
  }
  TRY(std::string word, clause.take());
  auto access = parse_access(word);
  if (!access) return Errc::invalid;
  grant.access = *access;
  while (!clause.at_end()) {
    if (clause.skip("fsname")) {
      TRY(grant.file_system, clause.take());
      if (grant.file_system == "*") grant.file_system.clear();
    } else if (clause.skip("path")) {
      TRY(std::string path, clause.take());
      grant.path = strip_slashes(path);
    } else if (clause.skip("root_squash")) {
      grant.root_squash = true;
    } else if (clause.skip("uid")) {
      TRY(std::string id, clause.take());
      TRY(grant.uid, parse_id(id));
    } else if (clause.skip("gids")) {
      TRY(std::string ids, clause.take());
      std::string_view rest = ids;
      while (!rest.empty()) {
        auto comma = rest.find(',');
        TRY(std::uint32_t id, parse_id(rest.substr(0, comma)));
        grant.gids.push_back(id);
        rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
      }
    } else if (clause.skip("network")) {
      TRY(std::string network, clause.take());
      TRY(grant.network, caps::Network::parse(network));
    } else {
      return Errc::invalid;
    }
  }
  return grant;
}

bool MdsCaps::reaches(const Grant& grant, std::string_view file_system, const Endpoint* from) {
  if (!grant.file_system.empty() && grant.file_system != file_system) return false;
  return !grant.network || (from && grant.network->contains(from->ipv6, from->address));
}

bool MdsCaps::allows_all() const {
  return std::ranges::any_of(grants_, [](const Grant& grant) {
    return grant.access == all && grant.file_system.empty() && grant.path.empty() && !grant.root_squash && !grant.uid &&
           !grant.network;
  });
}

bool MdsCaps::allows(std::string_view file_system, std::string_view path, unsigned wanted, const Caller& caller,
                     const Target& target, const Endpoint* from) const {
  path = strip_slashes(path);
  for (const Grant& grant : grants_) {
    if (!reaches(grant, file_system, from) || !is_within(path, grant.path)) continue;
    if ((grant.access & wanted) != wanted) continue;
    if (grant.root_squash && (wanted & write) && (caller.uid == 0 || caller.gid == 0)) continue;
    if (grant.uid) {
      if (*grant.uid != caller.uid) continue;
      if (!grant.gids.empty() && std::ranges::find(grant.gids, caller.gid) == grant.gids.end()) continue;
      if (caller.uid != 0) {
        unsigned bits = mode_bits(caller, target);
        if ((wanted & read) && !(bits & 4)) continue;
        if ((wanted & write) && !(bits & 2)) continue;
      }
    }
    return true;
  }
  return false;
}

bool MdsCaps::allows_somebody(std::string_view file_system, std::string_view path, unsigned wanted) const {
  path = strip_slashes(path);
  return std::ranges::any_of(grants_, [&](const Grant& grant) {
    return reaches(grant, file_system, nullptr) && is_within(path, grant.path) && (grant.access & wanted) == wanted;
  });
}

bool MdsCaps::allows_root(std::string_view file_system, std::string_view path, const Endpoint* from) const {
  path = strip_slashes(path);
  return std::ranges::any_of(
      grants_, [&](const Grant& grant) { return reaches(grant, file_system, from) && is_within(path, grant.path); });
}

bool MdsCaps::allows_file_system(std::string_view file_system) const {
  return std::ranges::any_of(
      grants_, [&](const Grant& grant) { return grant.file_system.empty() || grant.file_system == file_system; });
}

bool MdsCaps::is_path_restricted() const {
  return std::ranges::any_of(grants_, [](const Grant& grant) { return !grant.path.empty() || grant.uid.has_value(); });
}

}  // namespace spirula::msg
