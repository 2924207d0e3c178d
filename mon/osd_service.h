#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/codec.h"
#include "maps/osd_map.h"
#include "msg/daemon_messages.h"

namespace spirula::mon {

/// The OSD map with its history, and what OSDs told about themselves. A service of mon/state.h.
/// Invariant: incrementals() holds every epoch in (first, map().epoch], so any full map in between can be rebuilt.
class OsdService {
 public:
  static constexpr std::uint8_t service_id = 2;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    Buffer incremental;  ///< an encoded OsdMapIncremental, or empty
    Buffer first_map;    ///< of a new cluster: an encoded full map that replaces everything
    msg::Epoch trim_to;  ///< epochs before this are forgotten
    std::map<std::int32_t, msg::Metadata> metadata;
    std::set<std::int32_t> metadata_removed;
    static void fields(auto& self, auto& wire) {
      wire(self.incremental);
      wire(self.first_map);
      wire(self.trim_to);
      wire(self.metadata);
      wire(self.metadata_removed);
    }
  };
  /// Errc::invalid: an incremental that does not follow.
  Result<> apply(const Change& change);

  struct Past {
    Buffer incremental;
    msg::Time when;
    static void fields(auto& self, auto& wire) {
      wire(self.incremental);
      wire(self.when);
    }
  };
  const maps::OsdMap& map() const { return *map_; }
  std::shared_ptr<const maps::OsdMap> shared_map() const { return map_; }
  msg::Epoch epoch() const { return map_->epoch; }
  /// The oldest epoch whose full map is still known.
  msg::Epoch first() const { return first_; }
  const std::map<msg::Epoch, Past>& incrementals() const { return incrementals_; }
  /// An encoded full map of an epoch. Errc::not_found outside [first(), epoch()].
  Result<Buffer> full(msg::Epoch epoch) const;
  Result<maps::OsdMap> map_at(msg::Epoch epoch) const;
  const std::map<std::int32_t, msg::Metadata>& metadata() const { return metadata_; }

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);

 private:
  std::shared_ptr<const maps::OsdMap> map_ = std::make_shared<maps::OsdMap>();
  mutable Buffer full_;  // of map_, encoded when somebody first asks
  msg::Epoch first_;
  Buffer first_full_;
  std::map<msg::Epoch, Past> incrementals_;
  std::map<std::int32_t, msg::Metadata> metadata_;
};

/// The start of an incremental for the epoch after `map`.
maps::OsdMapIncremental next_incremental(const maps::OsdMap& map, msg::Time now);
class Draft;
/// Puts a finished incremental into a draft: fills in what depends on the map it leads to (its checksum, the stamps of
/// up and in changes). Errc::invalid.
Result<> draft_osd_change(Draft& draft, maps::OsdMapIncremental change);
Result<> draft_osd_change(Draft& draft, maps::OsdMapIncremental change, OsdService::Change with);

}  // namespace spirula::mon
