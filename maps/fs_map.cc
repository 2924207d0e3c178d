#include "maps/fs_map.h"

namespace spirula::maps {

FileSystem* FsMap::file_system(std::int32_t fscid) {
  for (FileSystem& each : file_systems)
    if (each.fscid == fscid) return &each;
  return nullptr;
}

const FileSystem* FsMap::file_system(std::int32_t fscid) const {
  return const_cast<FsMap*>(this)->file_system(fscid);
}

const FileSystem* FsMap::file_system(std::string_view name) const {
  for (const FileSystem& each : file_systems)
    if (each.mds_map.name == name) return &each;
  return nullptr;
}

FsMapUser FsMapUser::of(const FsMap& map) {
  FsMapUser user{map.epoch, map.default_fscid, {}};
  for (const FileSystem& each : map.file_systems) user.entries.push_back({each.fscid, each.mds_map.name});
  return user;
}

}  // namespace spirula::maps
