#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "base/result.h"
#include "msg/caps_lexer.h"
#include "msg/types.h"

namespace spirula::msg {

/// What an entity may ask of the monitor (Ceph: src/mon/MonCap.cc), from texts like
///   allow *
///   allow r; allow service osd rw; allow profile rbd; profile osd
///   allow command "config-key get" with key prefix app/ ; allow rw network 10.0.0.0/8 ; allow r fsname=media
/// Default: nothing.
class MonCaps {
 public:
  enum Access : std::uint8_t { read = 1, write = 2, execute = 4, all = 0xff };
  using Arguments = std::map<std::string, std::string>;

  /// Errc::invalid: it does not parse; grant nothing then.
  static Result<MonCaps> parse(std::string_view text);

  bool allows_all() const;
  /// Whether `name`, calling from `from`, may do `wanted` (Access bits) to `service` ("osd", "mds", "mon", "auth",
  /// "config-key", ...): for a command, its module, its prefix and its arguments as text.
  bool allows(const KeyName& name, std::string_view service, unsigned wanted, std::string_view command = {},
              const Arguments& arguments = {}, const Endpoint* from = nullptr) const;
  /// File systems the entity is confined to by fsname; empty: all of them.
  std::vector<std::string> file_systems() const;

 private:
  struct Constraint {
    enum class Kind { equal, prefix, regex } kind;
    std::string value;
  };
  struct Grant {
    std::string service, profile, command, file_system;
    std::map<std::string, Constraint> arguments;
    unsigned access = 0;
    std::optional<caps::Network> network;
  };
  static Result<Grant> parse_grant(caps::Clause& clause);
  static std::vector<Grant> expand(const std::string& profile, const KeyName& name);
  static unsigned allowed_by(const Grant& grant, std::string_view service, std::string_view command,
                             const Arguments& arguments);

  std::vector<Grant> grants_;
};

}  // namespace spirula::msg
