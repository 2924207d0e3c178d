#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "mon/state.h"
#include "msg/daemon_messages.h"

/// Changes to the file system map, each drafted as one new epoch. All decide in plain code from the draft.
namespace spirula::mon {

struct FsSpec {
  std::string name;
  std::int64_t metadata_pool = -1, data_pool = -1;
};
/// The pools get the application "cephfs". Errc::exists: the name is taken; Errc::busy: a pool serves another file
/// system.
Result<std::int32_t> create_file_system(Draft& draft, const FsSpec& spec, msg::Time now);
/// Errc::not_found; Errc::busy while an MDS serves it.
Result<> remove_file_system(Draft& draft, std::int32_t fscid, msg::Time now);
/// `edit` changes one file system's settings. Errc::not_found.
Result<> edit_file_system(Draft& draft, std::int32_t fscid, msg::Time now,
                          const std::function<void(maps::MdsMap&)>& edit);
/// `edit` changes the map as a whole.
Result<> edit_fs_map(Draft& draft, msg::Time now, const std::function<void(maps::FsMap&)>& edit);

/// Takes a beacon for what it asks: a new standby, a step to the next state, leaving. Drafts nothing if the map says so
/// already, or if the step is not one that the map's state allows.
Result<> take_mds_beacon(Draft& draft, const msg::MdsBeacon& beacon, double blocklist_seconds, msg::Time now);
/// Drops an MDS. One that held a rank is blocklisted first, and the map says in which OSD map, so that its successor
/// waits for that. Errc::not_found.
Result<> fail_mds(Draft& draft, maps::MdsGid gid, double blocklist_seconds, msg::Time now);
/// Marks an MDS laggy, or not: shown to people; nothing else follows from it.
Result<> set_laggy(Draft& draft, maps::MdsGid gid, msg::Time since, msg::Time now);
/// Gives ranks that want a daemon to standbys. Drafts nothing when there is none to give.
Result<> promote_standbys(Draft& draft, msg::Time now);

/// Whether an MDS in state `now` may go to `wanted` by itself.
bool is_mds_step(maps::MdsState now, maps::MdsState wanted);

}  // namespace spirula::mon
