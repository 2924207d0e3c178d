#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "base/result.h"
#include "msg/caps_lexer.h"

namespace spirula::msg {

/// What an entity may do in a file system (Ceph: src/mds/MDSAuthCaps.cc), from texts like
///   allow *
///   allow rw fsname=media path=/home/ann, allow r root_squash
///   allow rws uid=1000 gids=1000,1001
/// Default: nothing.
class MdsCaps {
 public:
  /// p: set layouts and quotas; s: make snapshots; f: also when full.
  enum Access : std::uint8_t { read = 1, write = 2, policy = 4, snapshot = 8, full = 16, all = 0xff };
  struct Caller {
    std::uint32_t uid = 0, gid = 0;
    std::span<const std::uint64_t> gids;
  };
  /// The owner of what is accessed: only grants with a uid look at it.
  struct Target {
    std::uint32_t uid = 0, gid = 0, mode = 0;
  };

  /// Errc::invalid: it does not parse; grant nothing then.
  static Result<MdsCaps> parse(std::string_view text);

  bool allows_all() const;
  /// `path` inside the file system, without a leading slash ("home/ann/a"); "" is its root.
  bool allows(std::string_view file_system, std::string_view path, unsigned wanted, const Caller& caller,
              const Target& target, const Endpoint* from = nullptr) const;
  /// Some user of this key may do it: for what clients do on behalf of users they do not name.
  bool allows_somebody(std::string_view file_system, std::string_view path, unsigned wanted) const;
  /// Whether a session may be opened on a root of this path: some grant reaches it or something below.
  bool allows_root(std::string_view file_system, std::string_view path, const Endpoint* from = nullptr) const;
  bool allows_file_system(std::string_view file_system) const;
  /// True if some grant looks at paths: every access must be checked then, not just the session's root.
  bool is_path_restricted() const;

 private:
  struct Grant {
    unsigned access = 0;
    std::string file_system, path;  ///< path without slashes at its ends
    bool root_squash = false;
    std::optional<std::uint32_t> uid;
    std::vector<std::uint32_t> gids;
    std::optional<caps::Network> network;
  };
  static Result<Grant> parse_grant(caps::Clause& clause);
  static bool reaches(const Grant& grant, std::string_view file_system, const Endpoint* from);

  std::vector<Grant> grants_;
};

}  // namespace spirula::msg
