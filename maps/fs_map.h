#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "maps/mds_map.h"

namespace spirula::maps {

/// Ceph: MirrorInfo. Carried, never set.
struct MirrorInfo {
  static constexpr std::uint8_t version = 1, compat = 1;
  bool mirrored = false;
  std::uint32_t peer_count = 0;
  static void fields(auto& self, auto& wire) {
    wire(self.mirrored);
    wire(self.peer_count);
  }
  friend bool operator==(const MirrorInfo&, const MirrorInfo&) = default;
};

/// Ceph: Filesystem. Its MDS map travels as bytes within bytes.
struct FileSystem {
  static constexpr std::uint8_t version = 2, compat = 1;
  std::int32_t fscid = fscid_none;
  MdsMap mds_map;
  MirrorInfo mirror;
  static void fields(auto& self, auto& wire) {
    wire(self.fscid);
    if constexpr (decodes<decltype(wire)>) {
      auto inner = spirula::decode<MdsMap>(wire.template read<Buffer>());
      if (!inner) return wire.fail();
      self.mds_map = *std::move(inner);
    } else {
      wire(spirula::encode(self.mds_map));
    }
    wire.since(2, self.mirror);
  }
  friend bool operator==(const FileSystem&, const FileSystem&) = default;
};

/// Ceph: FSMap, version 7. Every file system and every MDS.
struct FsMap {
  static constexpr std::uint8_t version = 7, compat = 6;
  msg::Epoch epoch;
  std::uint64_t next_fscid = 1;
  std::int32_t default_fscid = fscid_none;  ///< what clients that name none get ("legacy client fscid")
  CompatSet default_compat = mds_compat_set(false);
  bool enable_multiple = true;
  std::vector<FileSystem> file_systems;
  std::map<MdsGid, std::int32_t> roles;  ///< the file system each MDS serves; fscid_none for standbys
  std::map<MdsGid, MdsInfo> standbys;
  std::map<MdsGid, msg::Epoch> standby_epochs;
  bool ever_enabled_multiple = true;

  static void fields(auto& self, auto& wire) {
    wire(self.epoch);
    wire(self.next_fscid);
    wire(self.default_fscid);
    wire(self.default_compat);
    wire(self.enable_multiple);
    wire(self.file_systems, 256);
    wire(self.roles, 4096);
    wire(self.standbys, 4096);
    wire(self.standby_epochs, 4096);
    wire.since(7, self.ever_enabled_multiple);
  }
  FileSystem* file_system(std::int32_t fscid);
  const FileSystem* file_system(std::int32_t fscid) const;
  const FileSystem* file_system(std::string_view name) const;
  friend bool operator==(const FsMap&, const FsMap&) = default;
};

/// Ceph: FSMapUser. Names and numbers of the file systems, for clients that mount by name.
struct FsMapUser {
  struct Entry {
    static constexpr std::uint8_t version = 1, compat = 1;
    std::int32_t fscid = fscid_none;
    std::string name;
    static void fields(auto& self, auto& wire) {
      wire(self.fscid);
      wire(self.name);
    }
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr std::uint8_t version = 1, compat = 1;
  msg::Epoch epoch;
  std::int32_t default_fscid = fscid_none;
  std::vector<Entry> entries;
  static FsMapUser of(const FsMap& map);
  static void fields(auto& self, auto& wire) {
    wire(self.epoch);
    wire(self.default_fscid);
    wire(self.entries, 256);
  }
  friend bool operator==(const FsMapUser&, const FsMapUser&) = default;
};

}  // namespace spirula::maps
