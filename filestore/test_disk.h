#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/buffer.h"
#include "base/shard.h"
#include "base/task.h"
#include "filestore/object_store.h"

/// For tests and benchmarks only: a btrfs and a journal device of their own on loop devices. Needs root.
namespace spirula::filestore::testing {

/// Made under build/disks (TMPDIR is no better: it may be tmpfs, which has no O_DIRECT), taken down by the destructor.
/// What a killed process left behind is taken down by the next.
class TestDisk {
 public:
  struct Size {
    std::uint64_t data_bytes = std::uint64_t{1} << 30;
    std::uint64_t journal_bytes = 128 << 20;
    /// So much of the data device's front, and all of the journal, is written before, and btrfs discards nothing: then
    /// the file system below the images has nothing to allocate or to journal under load, as below a real disk.
    std::uint64_t written_bytes = 0;
  };
  explicit TestDisk(const Size& size);
  TestDisk() : TestDisk(Size{}) {}
  ~TestDisk();

  FilestoreOptions options() const;
  /// mkfs of a store on it.
  void format(Integrity integrity = Integrity::index_checksums);
  const std::string& data_device() const { return data_device_; }
  const std::string& journal_device() const { return journal_device_; }
  const std::string& mount_point() const { return mount_point_; }
  const std::string& data_image() const { return data_image_; }
  /// Flips a bit of each block of the data device that holds `wanted` (4096 bytes), wherever btrfs has put it, and
  /// drops the page cache. Unmounts and mounts. How many there were.
  int damage(ByteView wanted);
  /// The same below a store at work, which may have the block in its caches. What is dirty must have been written.
  int damage_in_place(ByteView wanted);
  void unmount();
  void mount();

 private:
  bool discards_;
  std::string directory_, data_image_, journal_image_, data_device_, journal_device_, mount_point_;
};

/// Blocks until the task, on that shard, is done.
void run_on(ShardThread& thread, Task<> task);

/// Writes zeros to the front of a device.
void write_front(const std::string& device, std::uint64_t bytes);

/// Runs a shell command; what it prints, without the last newline. CHECKs that it succeeds.
std::string shell(const std::string& command);

}  // namespace spirula::filestore::testing
