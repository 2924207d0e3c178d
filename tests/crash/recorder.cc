#include "tests/crash/recorder.h"

#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/check.h"

namespace spirula::crash {

Recorder::Recorder(const DiskImage& image, const std::string& recording_path, const std::string& mount_point,
                   const std::string& log_path)
    : mount_point_(mount_point) {
  std::filesystem::create_directories(mount_point);
  int ready[2];
  CHECK(::pipe(ready) == 0);
  server_ = std::make_unique<ChildProcess>(log_path, [&] {
    ::close(ready[0]);
    return serve_disk(image, recording_path, mount_point, [&] { CHECK(::write(ready[1], "!", 1) == 1); });
  });
  ::close(ready[1]);
  char sign = 0;
  bool started = ::read(ready[0], &sign, 1) == 1;
  ::close(ready[0]);
  CHECK(started, "FUSE did not start");
}

Recorder::~Recorder() {
  // The loop driver may still be letting go of its file.
  for (int tries = 0; ::umount2(mount_point_.c_str(), 0) < 0 && tries < 200; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (server_->wait(std::chrono::seconds(5)) != 0) ::umount2(mount_point_.c_str(), MNT_DETACH);
}

}  // namespace spirula::crash
