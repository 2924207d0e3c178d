#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "tests/crash/child_process.h"
#include "tests/crash/disk_image.h"

namespace spirula::crash {

/// Serves each part of an image as a file MOUNT_POINT/<part number> (FUSE, direct_io: no cache between a loop device
/// and us) and appends what is done to them to a recording, before the request is answered. The image is this process's
/// at the time of construction; what is written goes to the recording alone.
/// While the file RECORDING.refuse exists, writes to any part but the first of blocks that begin with refused_mark fail
/// with EIO: a disk that fails some data and works otherwise.
/// A process of its own serves: a process that waits in the kernel for a disk that it serves itself cannot be killed.
class Recorder {
 public:
  static constexpr std::string_view refused_mark = "this block fails";

  /// `mount_point` is made if missing. CHECKs that FUSE works. Its messages go to `log_path`.
  Recorder(const DiskImage& image, const std::string& recording_path, const std::string& mount_point,
           const std::string& log_path);
  /// Unmounts; the loop devices must be gone.
  ~Recorder();

  std::string part_path(unsigned part) const { return mount_point_ + "/" + std::to_string(part); }

 private:
  std::string mount_point_;
  std::unique_ptr<ChildProcess> server_;
};

/// The serving itself, in the calling process, until the file system is unmounted. `ready` is called once it is
/// mounted. The exit status for a program.
int serve_disk(DiskImage image, const std::string& recording_path, const std::string& mount_point,
               const std::function<void()>& ready);

}  // namespace spirula::crash
