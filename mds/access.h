#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spirula::mds {

/// What an MDS capability string lets a client do: "allow rw", "allow r, allow rw path=/a", "allow *"
/// (Ceph: src/mds/MDSAuthCaps.cc; docs "cephfs client auth").
class Access {
 public:
  /// Errc::invalid: not a capability string, or a limit in it that we cannot enforce.
  static Result<Access> parse(std::string_view caps);

  /// `path` is absolute, without the slash at the end.
  bool may_read(std::string_view path, std::uint32_t uid) const { return allows(path, uid, Right::read); }
  bool may_write(std::string_view path, std::uint32_t uid) const { return allows(path, uid, Right::write); }
  bool may_set_layout(std::string_view path, std::uint32_t uid) const { return allows(path, uid, Right::layout); }
  /// No grant has a path: nothing has to be checked along the tree.
  bool everywhere() const;
  bool nothing() const { return grants_.empty(); }

 private:
  enum class Right { read, write, layout };
  struct Grant {
    bool read = false, write = false, layout = false;
    std::string path;  ///< absolute; empty: all
    std::int64_t uid = -1;
    std::vector<std::uint32_t> gids;
    bool squash_root = false;
  };
  bool allows(std::string_view path, std::uint32_t uid, Right right) const;
  std::vector<Grant> grants_;
};

}  // namespace spirula::mds
