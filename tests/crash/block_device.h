#pragma once
#include <string>

#include "filestore/file_descriptor.h"

namespace spirula::crash {

using filestore::FileDescriptor;

/// A loop device over a whole file, with `losetup`'s autoclear: the kernel takes it down once nobody has it open, also
/// when we are killed.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  const std::string& path() const { return path_; }

 private:
  FileDescriptor device_;
  std::string path_;
};

/// A btrfs mounted noatime in the mount name space of this process; unmounted by the destructor, and forgotten, so that
/// an older state of the same file system may be mounted next.
class BtrfsMount {
 public:
  BtrfsMount(const std::string& device, const std::string& mount_point);
  ~BtrfsMount();
  BtrfsMount(const BtrfsMount&) = delete;
  BtrfsMount& operator=(const BtrfsMount&) = delete;
  /// Whether mount(2) succeeded; text says why not.
  bool mounted() const { return error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  std::string device_, mount_point_, error_;
};

/// From here on this process and its children see mounts of their own, which end with the last of them.
void enter_own_mount_namespace();

}  // namespace spirula::crash
