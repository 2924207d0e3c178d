#pragma once
#include <memory>
#include <string>

#include "tests/crash/block_device.h"
#include "tests/crash/recorder.h"

namespace spirula::crash {

inline constexpr unsigned journal_part = 0, btrfs_part = 1;

/// A disk with a journal part and a btrfs part, served from an image, recorded, on loop devices. Everything lives under
/// `directory` and is taken down by the destructor.
class RecordedDisk {
 public:
  RecordedDisk(const DiskImage& image, const std::string& directory, const std::string& recording_name);

  const std::string& recording_path() const { return recording_path_; }
  const std::string& journal() const { return journal_.path(); }
  const std::string& btrfs() const { return btrfs_.path(); }
  std::string mount_point() const { return directory_ + "/btrfs"; }
  void make_btrfs();
  /// Empty, or why not.
  std::string mount();
  void unmount() { mount_.reset(); }
  /// What `btrfs check` found wrong; empty if nothing. Not while mounted.
  std::string check_btrfs() const;

 private:
  std::string directory_, recording_path_, log_path_;
  Recorder recorder_;
  LoopDevice journal_, btrfs_;
  std::unique_ptr<BtrfsMount> mount_;
};

}  // namespace spirula::crash
