#include "tests/crash/recorded_disk.h"

#include <filesystem>

#include "base/check.h"

namespace spirula::crash {

RecordedDisk::RecordedDisk(const DiskImage& image, const std::string& directory, const std::string& recording_name)
    : directory_(directory),
      recording_path_(directory + "/" + recording_name),
      log_path_(directory + "/recorder.log"),
      recorder_(image, recording_path_, directory + "/disk", log_path_),
      journal_(recorder_.part_path(journal_part)),
      btrfs_(recorder_.part_path(btrfs_part)) {}

void RecordedDisk::make_btrfs() {
  CHECK(run_command({"mkfs.btrfs", "-q", "-K", "-m", "single", btrfs()}, log_path_) == 0, "mkfs.btrfs failed");
}

std::string RecordedDisk::mount() {
  mount_ = std::make_unique<BtrfsMount>(btrfs(), mount_point());
  return mount_->error();
}

std::string RecordedDisk::check_btrfs() const {
  std::string report = directory_ + "/btrfs-check.log";
  std::filesystem::remove(report);
  int status = run_command({"btrfs", "check", "--readonly", btrfs()}, report);
  return status == 0 ? "" : tail_of(report);
}

}  // namespace spirula::crash
