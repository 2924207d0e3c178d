#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/codec.h"
#include "msg/cephx_crypto.h"
#include "msg/types.h"

namespace spirula::mon {

/// Capability strings by kind of service: {"mon": "allow r", "osd": "allow rw pool=x"}.
using CapsByService = std::map<std::string, std::string>;

/// One entity's key and what it may do.
struct AuthEntry {
  static constexpr std::uint8_t version = 1, compat = 1;
  msg::CryptoKey key;
  CapsByService caps;
  static void fields(auto& self, auto& wire) {
    wire(self.key);
    wire(self.caps, 64);
  }
  friend bool operator==(const AuthEntry&, const AuthEntry&) = default;
};

/// The key database, the secrets that seal tickets, and how far global ids have been promised. A service of
/// mon/state.h.
class AuthService {
 public:
  static constexpr std::uint8_t service_id = 4;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::map<msg::KeyName, AuthEntry> set;
    std::set<msg::KeyName> removed;
    std::optional<std::uint64_t> global_id_max;
    std::map<std::uint32_t, msg::RotatingSecrets> secrets;  ///< by EntityType
    static void fields(auto& self, auto& wire) {
      wire(self.set);
      wire(self.removed);
      wire(self.global_id_max);
      wire(self.secrets, 64);
    }
  };
  Result<> apply(const Change& change);

  const std::map<msg::KeyName, AuthEntry>& entries() const { return entries_; }
  const AuthEntry* find(const msg::KeyName& name) const;
  /// No id above this has been given to anybody.
  std::uint64_t global_id_max() const { return global_id_max_; }
  msg::RotatingSecrets secrets(msg::EntityType service) const;

  static void fields(auto& self, auto& wire) {
    wire(self.entries_);
    wire(self.global_id_max_);
    wire(self.secrets_, 64);
  }

 private:
  std::map<msg::KeyName, AuthEntry> entries_;
  std::uint64_t global_id_max_ = 4096;  // Ceph starts there too
  std::map<std::uint32_t, msg::RotatingSecrets> secrets_;
};

/// The keyring text of one entity, as `ceph auth get` prints it.
std::string print_keyring(const msg::KeyName& name, const AuthEntry& entry, bool with_caps = true);

}  // namespace spirula::mon
