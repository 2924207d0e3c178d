#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/codec.h"
#include "base/result.h"
#include "msg/types.h"

namespace spirula::mon {

/// One check that the operator does not want to hear of. Ceph: health_mute_t.
struct HealthMute {
  static constexpr std::uint8_t version = 1, compat = 1;
  bool sticky = false;  ///< stays when the check is over, or gets worse
  msg::Time until;      ///< zero: for good
  std::string summary;  ///< as the check was when it was muted
  std::uint64_t count = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.sticky);
    wire(self.until);
    wire(self.summary);
    wire(self.count);
  }
  friend bool operator==(const HealthMute&, const HealthMute&) = default;
};

/// Which health checks are muted. A service of mon/state.h.
class HealthService {
 public:
  static constexpr std::uint8_t service_id = 8;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::map<std::string, HealthMute> set;
    std::set<std::string> removed;
    static void fields(auto& self, auto& wire) {
      wire(self.set);
      wire(self.removed);
    }
  };
  Result<> apply(const Change& change) {
    for (const auto& code : change.removed) mutes_.erase(code);
    for (const auto& [code, mute] : change.set) mutes_[code] = mute;
    return {};
  }
  /// By the check's code.
  const std::map<std::string, HealthMute>& mutes() const { return mutes_; }
  static void fields(auto& self, auto& wire) { wire(self.mutes_); }

 private:
  std::map<std::string, HealthMute> mutes_;
};

}  // namespace spirula::mon
