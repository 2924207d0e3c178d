#include "filestore/btrfs.h"

#include <btrfsutil.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "filestore/error.h"
#include "filestore/faults.h"
#include "filestore/file_descriptor.h"

namespace spirula::filestore::btrfs {

Result<> require(const std::string& path) {
  struct statfs status{};
  if (::statfs(path.c_str(), &status) < 0) return last_errno();
  if (static_cast<unsigned long>(status.f_type) != BTRFS_SUPER_MAGIC) return Errc::unsupported;
  if (status.f_flags & ST_RDONLY) return Errc::read_only;
  return {};
}

Result<> make(const std::string& device) {
  std::string program = "mkfs.btrfs", quiet = "-q", keep = "-K", force = "-f", target = device;
  char* arguments[] = {program.data(), quiet.data(), keep.data(), force.data(), target.data(), nullptr};
  pid_t child = 0;
  if (int error = ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ))
    return std::error_code(error, std::system_category());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return last_errno();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return Errc::io;
  return {};
}

Result<> mount(const std::string& device, const std::string& directory) {
  if (::mount(device.c_str(), directory.c_str(), "btrfs", MS_NOATIME, "commit=300") < 0) return last_errno();
  return {};
}

Result<> sync(int directory) {
  TRY(fault_at(FaultPoint::sync));
  if (::ioctl(directory, BTRFS_IOC_SYNC) < 0) return last_errno();
  return {};
}

Result<std::uint64_t> write_errors(int directory) {
  btrfs_ioctl_fs_info_args file_system{};
  if (::ioctl(directory, BTRFS_IOC_FS_INFO, &file_system) < 0) return last_errno();
  std::uint64_t errors = 0;
  for (std::uint64_t device = 1; device <= file_system.max_id; ++device) {
    btrfs_ioctl_get_dev_stats stats{};
    stats.devid = device;
    stats.nr_items = BTRFS_DEV_STAT_VALUES_MAX;
    if (::ioctl(directory, BTRFS_IOC_GET_DEV_STATS, &stats) < 0) {
      if (errno == ENODEV) continue;  // a number that is not in use
      return last_errno();
    }
    errors += stats.values[BTRFS_DEV_STAT_WRITE_ERRS] + stats.values[BTRFS_DEV_STAT_FLUSH_ERRS];
  }
  return errors;
}

Result<> create_subvolume(int directory, const std::string& name) {
  btrfs_ioctl_vol_args_v2 arguments{};
  if (name.size() > BTRFS_SUBVOL_NAME_MAX) return Errc::name_too_long;
  std::memcpy(arguments.name, name.data(), name.size());
  if (::ioctl(directory, BTRFS_IOC_SUBVOL_CREATE_V2, &arguments) < 0) return last_errno();
  return {};
}

Result<> create_snapshot(int directory, const std::string& source, const std::string& name, bool read_only) {
  TRY(fault_at(FaultPoint::snapshot));
  FileDescriptor from(::openat(directory, source.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!from) return last_errno();
  btrfs_ioctl_vol_args_v2 arguments{};
  if (name.size() > BTRFS_SUBVOL_NAME_MAX) return Errc::name_too_long;
  std::memcpy(arguments.name, name.data(), name.size());
  arguments.fd = from.get();
  if (read_only) arguments.flags |= BTRFS_SUBVOL_RDONLY;
  if (::ioctl(directory, BTRFS_IOC_SNAP_CREATE_V2, &arguments) < 0) return last_errno();
  return {};
}

Result<> destroy_subvolume(int directory, const std::string& name) {
  btrfs_ioctl_vol_args arguments{};
  if (name.size() > BTRFS_PATH_NAME_MAX) return Errc::name_too_long;
  std::memcpy(arguments.name, name.data(), name.size());
  if (::ioctl(directory, BTRFS_IOC_SNAP_DESTROY, &arguments) < 0) return last_errno();
  return {};
}

Result<std::size_t> deleted_subvolumes(int directory) {
  std::uint64_t* ids = nullptr;
  std::size_t count = 0;
  btrfs_util_error error = btrfs_util_deleted_subvolumes_fd(directory, &ids, &count);
  if (error != BTRFS_UTIL_OK) return last_errno();
  std::free(ids);
  return count;
}

Result<> disable_checksums(int fd) {
  int flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) return last_errno();
  flags |= FS_NOCOW_FL;
  if (::ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) return last_errno();
  return {};
}

Result<> clone_range(int source, std::uint64_t source_offset, std::uint64_t length, int target, std::uint64_t offset) {
  TRY(fault_at(FaultPoint::clone));
  file_clone_range range{source, source_offset, length, offset};
  if (::ioctl(target, FICLONERANGE, &range) < 0) return last_errno();
  return {};
}

Result<> insist(int directory, const std::function<Result<>()>& call) {
  constexpr int attempts = 20;
  constexpr std::chrono::milliseconds pause(50);
  for (int i = 1;; ++i) {
    Result<> done = call();
    if (done || !is(done.error(), Errc::no_space) || i == attempts) return done;
    (void)sync(directory);
    std::this_thread::sleep_for(pause);
  }
}

Result<Space> space(int directory) {
  struct statvfs status{};
  if (::fstatvfs(directory, &status) < 0) return last_errno();
  Space space;
  space.total = status.f_blocks * status.f_frsize;
  space.used = (status.f_blocks - status.f_bfree) * status.f_frsize;
  space.available = status.f_bavail * status.f_frsize;

  // struct btrfs_ioctl_space_args: two 64-bit counts, then the slots.
  constexpr std::size_t slots = 16;
  struct {
    std::uint64_t slot_count = slots, total = 0;
    btrfs_ioctl_space_info info[slots];
  } answer{};
  if (::ioctl(directory, BTRFS_IOC_SPACE_INFO, &answer) < 0) return last_errno();
  std::uint64_t allocated = 0, own_reserve = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(answer.total, slots); ++i) {
    const btrfs_ioctl_space_info& info = answer.info[i];
    if (info.flags & BTRFS_SPACE_INFO_GLOBAL_RSV) {
      own_reserve = info.total_bytes;
      continue;
    }
    std::uint64_t copies = info.flags & (BTRFS_BLOCK_GROUP_DUP | BTRFS_BLOCK_GROUP_RAID1) ? 2 : 1;
    allocated += info.total_bytes * copies;
    std::uint64_t free = info.total_bytes - std::min<std::uint64_t>(info.used_bytes, info.total_bytes);
    if (info.flags & BTRFS_BLOCK_GROUP_METADATA) {
      space.metadata_free += free;
      space.metadata_copies = copies;
    } else if (info.flags & BTRFS_BLOCK_GROUP_DATA) {
      space.data_free += free;
    }
  }
  space.metadata_free -= std::min(space.metadata_free, own_reserve);
  if (space.total > allocated) space.unallocated = space.total - allocated;
  // The kernel takes a tenth of the file system at a time, at most 1 GiB.
  space.chunk_bytes = std::clamp<std::uint64_t>(space.total / 10, 16 << 20, std::uint64_t{1} << 30);
  return space;
}

}  // namespace spirula::filestore::btrfs
