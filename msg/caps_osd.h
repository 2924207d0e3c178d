#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "base/result.h"
#include "msg/caps_lexer.h"

namespace spirula::msg {

/// What an entity may do to objects (Ceph: src/osd/OSDCap.cc), from texts like
///   allow *
///   allow rwx pool=a namespace=b object_prefix c
///   allow rw tag cephfs data=media, allow class-read, allow class rbd metadata_list, profile rbd pool=images
/// Default: nothing.
class OsdCaps {
 public:
  enum Access : std::uint8_t { read = 1, write = 2, class_read = 4, class_write = 8, all = 0xff };
  /// Tags of a pool: application -> key -> value.
  using Applications = std::map<std::string, std::map<std::string, std::string>>;
  /// One call of an object class that an operation contains.
  struct ClassCall {
    std::string name, method;
    bool reads = false, writes = false;
  };

  /// Errc::invalid: it does not parse; grant nothing then.
  static Result<OsdCaps> parse(std::string_view text);

  bool allows_all() const;
  bool allows_nothing() const { return grants_.empty(); }
  /// One operation as a whole. `reads` and `writes` are those of plain operations; classes stand for themselves.
  bool allows(std::string_view pool, std::string_view name_space, const Applications& applications,
              std::string_view object, bool reads, bool writes, std::span<const ClassCall> classes = {},
              const Endpoint* from = nullptr) const;
  /// Whether any object of the pool and namespace may be read, as listing them takes.
  bool allows_listing(std::string_view pool, std::string_view name_space, const Applications& applications,
                      const Endpoint* from = nullptr) const {
    return allows(pool, name_space, applications, {}, true, false, {}, from);
  }

 private:
  struct Grant {
    unsigned access = 0;
    std::string class_name, class_method;  ///< `allow class` grants just these calls
    std::string pool, object_prefix;
    std::optional<std::string> name_space;  ///< a '*' at its end matches any continuation
    std::string tag_application, tag_key, tag_value;
    std::optional<caps::Network> network;
    bool matches(std::string_view pool, std::string_view name_space, const Applications& applications,
                 std::string_view object) const;
  };
  static Result<std::vector<Grant>> parse_grant(caps::Clause& clause);
  static bool allowed_by(const Grant& grant, bool reads, bool writes, std::span<const ClassCall> classes);

  std::vector<Grant> grants_;
};

}  // namespace spirula::msg
