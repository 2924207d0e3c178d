#pragma once
#include <cstdint>

#include "base/codec.h"
#include "maps/mon_map.h"

namespace spirula::mon {

/// Who the monitors are. A service of mon/state.h.
class MonService {
 public:
  static constexpr std::uint8_t service_id = 1;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    maps::MonMap map;
    static void fields(auto& self, auto& wire) { wire(self.map); }
  };
  Result<> apply(const Change& change) {
    map_ = change.map;
    return {};
  }
  const maps::MonMap& map() const { return map_; }
  static void fields(auto& self, auto& wire) { wire(self.map_); }

 private:
  maps::MonMap map_;
};

}  // namespace spirula::mon
