#include "mon/fs_edit.h"

#include <algorithm>

#include "mon/osd_edit.h"

namespace spirula::mon {
namespace {

using maps::FileSystem;
using maps::FsMap;
using maps::MdsInfo;
using maps::MdsState;

Result<> draft_map(Draft& draft, FsMap map, msg::Time now, FsService::Change with = {}) {
  with.when = now;
  if (map == draft->fs().map() && with.metadata.empty() && with.metadata_removed.empty()) return {};
  if (map != draft->fs().map()) {
    map.epoch = draft->fs().map().epoch.next();
    for (auto& fs : map.file_systems) {
      const auto* before = draft->fs().map().file_system(fs.fscid);
      if (!before || !(before->mds_map == fs.mds_map)) fs.mds_map.epoch = map.epoch;
    }
    for (auto& [gid, info] : map.standbys) {
      auto before = draft->fs().map().standbys.find(gid);
      if (before == draft->fs().map().standbys.end() || !(before->second == info)) map.standby_epochs[gid] = map.epoch;
    }
    with.map = std::move(map);
  }
  return draft.change<FsService>(with);
}

MdsInfo* find_in(FsMap& map, maps::MdsGid gid, FileSystem** serves = nullptr) {
  if (auto standby = map.standbys.find(gid); standby != map.standbys.end()) return &standby->second;
  for (auto& fs : map.file_systems)
    if (auto daemon = fs.mds_map.daemons.find(gid); daemon != fs.mds_map.daemons.end()) {
      if (serves) *serves = &fs;
      return &daemon->second;
    }
  return nullptr;
}

void promote(FsMap& map, FileSystem& fs, maps::MdsGid gid, std::int32_t rank) {
  MdsInfo info = map.standbys.at(gid);
  map.standbys.erase(gid);
  map.standby_epochs.erase(gid);
  auto& mds = fs.mds_map;
  if (mds.failed.erase(rank))
    info.state = MdsState::replay;
  else if (mds.stopped.erase(rank))
    info.state = MdsState::starting;
  else
    info.state = MdsState::creating;
  info.rank = rank;
  info.incarnation = static_cast<std::int32_t>(map.epoch.value + 1);  // Ceph: the epoch that promotes it
  mds.in.insert(rank);
  mds.up[rank] = gid;
  mds.incarnations[rank] = info.incarnation;
  mds.daemons[gid] = std::move(info);
  map.roles[gid] = fs.fscid;
}

/// The best standby for a file system: one that prefers it, else one that prefers none.
const MdsInfo* best_standby(const FsMap& map, std::int32_t fscid) {
  const MdsInfo* best = nullptr;
  for (const auto& [gid, info] : map.standbys) {
    if (info.state != MdsState::standby || info.laggy_since != msg::Time{}) continue;
    if (info.join_fscid == fscid) return &info;
    if (!best || (best->join_fscid != maps::fscid_none && info.join_fscid == maps::fscid_none)) best = &info;
  }
  return best;
}

}  // namespace

bool is_mds_step(MdsState now, MdsState wanted) {
  switch (now) {
    case MdsState::creating:
    case MdsState::starting:
    case MdsState::clientreplay:
      return wanted == MdsState::active;
    case MdsState::replay:
      return wanted == MdsState::resolve || wanted == MdsState::reconnect;
    case MdsState::resolve:
      return wanted == MdsState::reconnect;
    case MdsState::reconnect:
      return wanted == MdsState::rejoin;
    case MdsState::rejoin:
      return wanted == MdsState::clientreplay || wanted == MdsState::active;
    default:
      return false;
  }
}

Result<std::int32_t> create_file_system(Draft& draft, const FsSpec& spec, msg::Time now) {
  FsMap map = draft->fs().map();
  if (map.file_system(spec.name)) return Errc::exists;
  for (const auto& fs : map.file_systems) {
    const auto& pools = fs.mds_map.data_pools;
    for (auto pool : {spec.metadata_pool, spec.data_pool})
      if (fs.mds_map.metadata_pool == pool || std::ranges::find(pools, pool) != pools.end()) return Errc::busy;
  }
  for (auto [id, kind] : {std::pair(spec.metadata_pool, "metadata"), std::pair(spec.data_pool, "data")}) {
    const auto* found = draft->osd().map().pool(id);
    if (!found) return Errc::not_found;
    maps::Pool pool = *found;
    pool.applications["cephfs"][kind] = spec.name;
    TRY(change_pool(draft, id, std::move(pool), now));
  }
  FileSystem fs;
  fs.fscid = static_cast<std::int32_t>(map.next_fscid++);
  auto& mds = fs.mds_map;
  mds.name = spec.name;
  mds.metadata_pool = spec.metadata_pool;
  mds.data_pools = {spec.data_pool};
  mds.created = mds.modified = now;
  mds.compat_set = map.default_compat;
  mds.enabled = true;
  std::int32_t fscid = fs.fscid;
  map.file_systems.push_back(std::move(fs));
  if (map.default_fscid == maps::fscid_none) map.default_fscid = fscid;
  TRY(draft_map(draft, std::move(map), now));
  return fscid;
}

Result<> remove_file_system(Draft& draft, std::int32_t fscid, msg::Time now) {
  FsMap map = draft->fs().map();
  const auto* fs = map.file_system(fscid);
  if (!fs) return Errc::not_found;
  if (!fs->mds_map.up.empty()) return Errc::busy;
  std::erase_if(map.file_systems, [&](const auto& each) { return each.fscid == fscid; });
  if (map.default_fscid == fscid) map.default_fscid = maps::fscid_none;
  return draft_map(draft, std::move(map), now);
}

Result<> edit_file_system(Draft& draft, std::int32_t fscid, msg::Time now,
                          const std::function<void(maps::MdsMap&)>& edit) {
  FsMap map = draft->fs().map();
  auto* fs = map.file_system(fscid);
  if (!fs) return Errc::not_found;
  maps::MdsMap before = fs->mds_map;
  edit(fs->mds_map);
  if (!(before == fs->mds_map)) fs->mds_map.modified = now;
  return draft_map(draft, std::move(map), now);
}

Result<> edit_fs_map(Draft& draft, msg::Time now, const std::function<void(maps::FsMap&)>& edit) {
  FsMap map = draft->fs().map();
  edit(map);
  return draft_map(draft, std::move(map), now);
}

Result<> take_mds_beacon(Draft& draft, const msg::MdsBeacon& beacon, double blocklist_seconds, msg::Time now) {
  maps::MdsGid gid(beacon.gid);
  auto wanted = static_cast<MdsState>(beacon.wanted);
  auto found = draft->fs().find(gid);
  if (!found) {
    // Only a process that has just started is taken in; one that was dropped must start over with a new gid.
    if (wanted != MdsState::boot) return {};
    while (auto namesake = draft->fs().find(beacon.name))
      TRY(fail_mds(draft, namesake.info->gid, blocklist_seconds, now));
    FsMap map = draft->fs().map();
    MdsInfo info;
    info.gid = gid;
    info.name = beacon.name;
    info.addresses = beacon.address;
    info.state = MdsState::standby;
    info.state_sequence = beacon.sequence;
    info.compat_set = maps::mds_compat_set(true);
    if (!beacon.join_file_system.empty())
      if (const auto* fs = map.file_system(beacon.join_file_system)) info.join_fscid = fs->fscid;
    map.standbys[gid] = std::move(info);
    map.roles[gid] = maps::fscid_none;
    FsService::Change with;
    with.metadata[gid] = beacon.metadata;
    return draft_map(draft, std::move(map), now, std::move(with));
  }
  if (wanted == MdsState::dne) return fail_mds(draft, gid, blocklist_seconds, now);
  if (found.info->laggy_since != msg::Time{}) TRY(set_laggy(draft, gid, {}, now));
  if (!is_mds_step(found.info->state, wanted)) return {};
  FsMap map = draft->fs().map();
  auto* info = find_in(map, gid);
  info->state = wanted;
  info->state_sequence = beacon.sequence;
  return draft_map(draft, std::move(map), now);
}

Result<> fail_mds(Draft& draft, maps::MdsGid gid, double blocklist_seconds, msg::Time now) {
  auto found = draft->fs().find(gid);
  if (!found) return Errc::not_found;
  bool held_rank = found.file_system && found.info->rank != maps::rank_none;
  if (held_rank) TRY(add_to_blocklist(draft, found.info->addresses.addresses, later(now, blocklist_seconds), now));
  FsMap map = draft->fs().map();
  FileSystem* fs = nullptr;
  MdsInfo* info = find_in(map, gid, &fs);
  if (held_rank) {
    auto& mds = fs->mds_map;
    mds.up.erase(info->rank);
    // A rank that was never finished being made is made anew, not replayed (Ceph: FSMap::erase).
    if (info->state == MdsState::creating)
      mds.in.erase(info->rank);
    else
      mds.failed.insert(info->rank);
    mds.last_failure = map.epoch.next();
    mds.last_failure_osd_epoch = draft->osd().epoch();
    mds.daemons.erase(gid);
  } else {
    map.standbys.erase(gid);
    map.standby_epochs.erase(gid);
    if (fs) fs->mds_map.daemons.erase(gid);
  }
  map.roles.erase(gid);
  FsService::Change with;
  with.metadata_removed.insert(gid);
  return draft_map(draft, std::move(map), now, std::move(with));
}

Result<> set_laggy(Draft& draft, maps::MdsGid gid, msg::Time since, msg::Time now) {
  FsMap map = draft->fs().map();
  auto* info = find_in(map, gid);
  if (!info) return Errc::not_found;
  info->laggy_since = since;
  return draft_map(draft, std::move(map), now);
}

Result<> promote_standbys(Draft& draft, msg::Time now) {
  FsMap map = draft->fs().map();
  for (auto& fs : map.file_systems) {
    auto& mds = fs.mds_map;
    if (mds.flags & maps::MdsMap::not_joinable) continue;
    while (true) {
      std::int32_t rank = maps::rank_none;
      if (!mds.failed.empty()) {
        rank = *mds.failed.begin();
      } else if (static_cast<std::int32_t>(mds.in.size()) < mds.max_mds) {
        rank = 0;
        while (mds.in.contains(rank)) ++rank;
      }
      const auto* standby = rank == maps::rank_none ? nullptr : best_standby(map, fs.fscid);
      if (!standby) break;
      promote(map, fs, standby->gid, rank);
    }
  }
  return draft_map(draft, std::move(map), now);
}

}  // namespace spirula::mon
