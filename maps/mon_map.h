#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/codec.h"
#include "msg/types.h"

namespace spirula::maps {

/// Ceph: mon_feature_t. A bit set in an envelope of its own.
struct MonFeatures {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::uint64_t bits = 0;
  static void fields(auto& self, auto& wire) { wire(self.bits); }
  friend bool operator==(const MonFeatures&, const MonFeatures&) = default;
};
/// Ceph: ceph::features::mon::get_persistent() of Pacific: kraken to pacific.
inline constexpr MonFeatures mon_features_pacific{0xff};

/// Ceph: mon_info_t.
struct Monitor {
  static constexpr std::uint8_t version = 5, compat = 1;
  std::string name;
  msg::AddressVector addresses;
  std::uint16_t priority = 0, weight = 0;
  std::map<std::string, std::string> crush_location;
  static void fields(auto& self, auto& wire) {
    wire(self.name);
    wire(self.addresses);
    wire.since(2, self.priority);
    wire.since(4, self.weight);
    wire.since(5, self.crush_location);
  }
  friend bool operator==(const Monitor&, const Monitor&) = default;
};

/// Ceph: MonMap, as Pacific encodes it. Who the monitors are.
struct MonMap {
  static constexpr std::uint8_t version = 9, compat = 6;
  msg::Uuid fsid;
  msg::Epoch epoch;
  msg::Time last_changed, created;
  MonFeatures persistent_features = mon_features_pacific, optional_features;
  std::map<std::string, Monitor> monitors;
  std::vector<std::string> ranks;  ///< names, by rank
  std::uint8_t min_release = 16;
  std::set<std::uint32_t> removed_ranks;
  std::uint8_t strategy = 1;  ///< elections: classic
  std::set<std::string> disallowed_leaders;
  bool stretch_mode = false;
  std::string tiebreaker;
  std::set<std::string> stretch_marked_down;

  static void fields(auto& self, auto& wire) {
    wire(self.fsid);
    wire(self.epoch);
    wire(self.last_changed);
    wire(self.created);
    wire(self.persistent_features);
    wire(self.optional_features);
    wire(self.monitors, 1024);
    wire.since(6, self.ranks, 1024);
    wire.since(7, self.min_release);
    wire.since(8, self.removed_ranks);
    wire.since(8, self.strategy);
    wire.since(8, self.disallowed_leaders);
    wire.since(9, self.stretch_mode);
    wire.since(9, self.tiebreaker);
    wire.since(9, self.stretch_marked_down);
  }
  friend bool operator==(const MonMap&, const MonMap&) = default;
};

}  // namespace spirula::maps
