#include "mon/fs_service.h"

namespace spirula::mon {

Result<> FsService::apply(const Change& change) {
  if (change.map) {
    if (map_.epoch.value > 0) past_[map_.epoch] = {spirula::encode(map_), when_};
    map_ = *change.map;
    when_ = change.when;
    while (past_.size() > past_kept && past_.begin()->second.when.wall() + past_age < when_.wall())
      past_.erase(past_.begin());
  }
  for (const auto& [gid, metadata] : change.metadata) metadata_[gid] = metadata;
  for (auto gid : change.metadata_removed) metadata_.erase(gid);
  return {};
}

Result<maps::FsMap> FsService::map_at(msg::Epoch epoch) const {
  if (epoch == map_.epoch) return map_;
  auto found = past_.find(epoch);
  if (found == past_.end()) return Errc::not_found;
  return spirula::decode<maps::FsMap>(found->second.map);
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
