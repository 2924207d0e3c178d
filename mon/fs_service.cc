#include "mon/fs_service.h"

namespace spirula::mon {

Result<> FsService::apply(const Change& change) {
  if (change.map) map_ = *change.map;
  for (const auto& [gid, metadata] : change.metadata) metadata_[gid] = metadata;
  for (auto gid : change.metadata_removed) metadata_.erase(gid);
  return {};
}

FsService::Found FsService::find(maps::MdsGid gid) const {
  if (auto standby = map_.standbys.find(gid); standby != map_.standbys.end()) return {&standby->second, nullptr};
  for (const auto& fs : map_.file_systems)
    if (auto daemon = fs.mds_map.daemons.find(gid); daemon != fs.mds_map.daemons.end()) return {&daemon->second, &fs};
  return {};
}

FsService::Found FsService::find(std::string_view name) const {
  for (const auto& [gid, info] : map_.standbys)
    if (info.name == name) return {&info, nullptr};
  for (const auto& fs : map_.file_systems)
    for (const auto& [gid, info] : fs.mds_map.daemons)
      if (info.name == name) return {&info, &fs};
  return {};
}

}  // namespace spirula::mon
