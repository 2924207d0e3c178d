#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spirula::osd {

/// What a client may do on OSDs: the capability string of its ticket (Ceph: OSDCap). Examples:
///   allow *
///   allow rwx pool=rbd namespace=a*, allow r
///   allow rw tag cephfs data=shop
///   allow class lock lock object_prefix rbd_
///   profile rbd pool=vms
/// A clause whose words are not understood makes the whole string invalid, and an invalid string allows nothing.
class OsdCaps {
 public:
  enum Right : std::uint8_t {
    read = 1,
    write = 2,
    class_read = 4,
    class_write = 8,
    execute = class_read | class_write,
    everything = 0x1f,
  };
  /// Per application of a pool, its keys and values (Ceph: pg_pool_t::application_metadata).
  using Applications = std::map<std::string, std::map<std::string, std::string>>;
  struct ClassCall {
    std::string class_name, method;
    bool reads = false, writes = false;
  };
  struct Access {
    std::string_view pool, name_space, object;
    const Applications* applications = nullptr;
    bool reads = false, writes = false;
    const std::vector<ClassCall>* calls = nullptr;
  };

  /// Errc::invalid.
  static Result<OsdCaps> parse(std::string_view text);
  bool allows(const Access& access) const;
  /// A single clause "allow *" without conditions: may run administrative commands.
  bool allows_everything() const { return everything_; }

 private:
  struct Grant {
    std::uint8_t rights = 0;
    std::string class_name, method;
    std::string pool, object_prefix;
    std::string name_space;
    bool has_name_space = false;
    std::string application, key, value;
    bool matches(const Access& access) const;
    bool allows(const Access& access) const;
  };
  std::vector<Grant> grants_;
  bool everything_ = false;
  friend class OsdCapsParser;
};

}  // namespace spirula::osd
