#include "tests/crash/block_device.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/check.h"

namespace spirula::crash {
namespace {

constexpr int tries_max = 200;
void pause() {
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

LoopDevice::LoopDevice(const std::string& file) {
  FileDescriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  CHECK(control, "no loop devices");
  FileDescriptor backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  CHECK(backing, "the file of a loop device does not open");
  for (int tries = 0; tries < tries_max; ++tries) {
    int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    CHECK(number >= 0, "no free loop device");
    path_ = "/dev/loop" + std::to_string(number);
    device_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    loop_config config{};
    config.fd = static_cast<__u32>(backing.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    std::strncpy(reinterpret_cast<char*>(config.info.lo_file_name), file.c_str(), LO_NAME_SIZE - 1);
    if (device_ && ::ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0) return;
    pause();  // somebody else took that number
  }
  CHECK(false, "no loop device could be set up");
}

LoopDevice::~LoopDevice() {
  ::ioctl(device_.get(), LOOP_CLR_FD);
}

BtrfsMount::BtrfsMount(const std::string& device, const std::string& mount_point)
    : device_(device), mount_point_(mount_point) {
  std::filesystem::create_directories(mount_point);
  if (::mount(device.c_str(), mount_point.c_str(), "btrfs", MS_NOATIME, "commit=300") < 0)
    error_ = std::string("mount: ") + std::strerror(errno);
}

BtrfsMount::~BtrfsMount() {
  if (mounted()) {
    int tries = 0;
    while (::umount2(mount_point_.c_str(), 0) < 0 && ++tries < tries_max) pause();
    if (tries == tries_max) ::umount2(mount_point_.c_str(), MNT_DETACH);
  }
  FileDescriptor control(::open("/dev/btrfs-control", O_RDWR | O_CLOEXEC));
  btrfs_ioctl_vol_args arguments{};
  std::strncpy(arguments.name, device_.c_str(), sizeof arguments.name - 1);
  ::ioctl(control.get(), BTRFS_IOC_FORGET_DEV, &arguments);
}

void enter_own_mount_namespace() {
  CHECK(::unshare(CLONE_NEWNS) == 0, "crash tests need root");
  CHECK(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
}

}  // namespace spirula::crash
