#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "base/codec.h"
#include "maps/fs_map.h"
#include "msg/daemon_messages.h"

namespace spirula::mon {

/// File systems and the MDSs that serve them, with the maps of before. A service of mon/state.h.
class FsService {
 public:
  static constexpr std::uint8_t service_id = 3;
  static constexpr std::uint8_t version = 2, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 2, compat = 1;
    std::optional<maps::FsMap> map;
    std::map<maps::MdsGid, msg::Metadata> metadata;
    std::set<maps::MdsGid> metadata_removed;
    msg::Time when;
    static void fields(auto& self, auto& wire) {
      wire(self.map);
      wire(self.metadata);
      wire(self.metadata_removed);
      wire.since(2, self.when);
    }
  };
  /// An epoch that is over.
  struct Past {
    Buffer map;      ///< an encoded FsMap
    msg::Time when;  ///< it was decided
    static void fields(auto& self, auto& wire) {
      wire(self.map);
      wire(self.when);
    }
  };
  /// Past maps are kept by max(count, age).
  static constexpr std::size_t past_kept = 250;
  static constexpr Duration past_age = std::chrono::hours(1);

  Result<> apply(const Change& change);

  const maps::FsMap& map() const { return map_; }
  /// The map of an epoch. Errc::not_found: forgotten, or not yet.
  Result<maps::FsMap> map_at(msg::Epoch epoch) const;
  const std::map<maps::MdsGid, msg::Metadata>& metadata() const { return metadata_; }
  /// An MDS wherever it is, and the file system it serves.
  struct Found {
    const maps::MdsInfo* info = nullptr;
    const maps::FileSystem* file_system = nullptr;  ///< none: a standby
    explicit operator bool() const { return info; }
  };
  Found find(maps::MdsGid gid) const;
  Found find(std::string_view name) const;

  static void fields(auto& self, auto& wire) {
    wire(self.map_);
    wire(self.metadata_);
    wire.since(2, self.when_);
    wire.since(2, self.past_);
  }

 private:
  maps::FsMap map_;
  msg::Time when_;  ///< map_ was decided
  std::map<msg::Epoch, Past> past_;
  std::map<maps::MdsGid, msg::Metadata> metadata_;
};

}  // namespace spirula::mon
