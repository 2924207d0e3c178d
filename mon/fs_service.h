#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "base/codec.h"
#include "maps/fs_map.h"
#include "msg/daemon_messages.h"

namespace spirula::mon {

/// File systems and the MDSs that serve them. A service of mon/state.h.
class FsService {
 public:
  static constexpr std::uint8_t service_id = 3;
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Change {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::optional<maps::FsMap> map;
    std::map<maps::MdsGid, msg::Metadata> metadata;
    std::set<maps::MdsGid> metadata_removed;
    static void fields(auto& self, auto& wire) {
      wire(self.map);
      wire(self.metadata);
      wire(self.metadata_removed);
    }
  };
  Result<> apply(const Change& change);

  const maps::FsMap& map() const { return map_; }
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
  }

 private:
  maps::FsMap map_;
  std::map<maps::MdsGid, msg::Metadata> metadata_;
};

}  // namespace spirula::mon
