#include "filestore/test_disk.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::filestore::testing {
namespace {

namespace fs = std::filesystem;

int run(const std::string& command, std::string& output) {
  FILE* pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "r");
  CHECK(pipe);
  std::array<char, 4096> block;
  while (std::size_t got = std::fread(block.data(), 1, block.size(), pipe)) output.append(block.data(), got);
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return ::pclose(pipe);
}

void take_down(const std::string& directory) {
  std::string ignored;
  run(fmt::format("umount {0}/mnt; for l in $(losetup -n -O NAME -j {0}/data.img) $(losetup -n -O NAME -j "
                  "{0}/journal.img); do losetup -d $l; done; rm -rf {0}",
                  directory),
      ignored);
}

}  // namespace

void run_on(ShardThread& thread, Task<> task) {
  boost::asio::co_spawn(thread.shard().context(), std::move(task), boost::asio::use_future).get();
}

void write_front(const std::string& device, std::uint64_t bytes) {
  shell(fmt::format("dd if=/dev/zero of={} bs=4M count={} oflag=direct status=none", device, bytes >> 22));
}

std::string shell(const std::string& command) {
  std::string output;
  int status = run(command, output);
  if (status != 0) log_error("test", "{}: {}", command, output);
  CHECK(status == 0, command);
  return output;
}

TestDisk::TestDisk(const Size& size) : discards_(size.written_bytes == 0) {
  static std::atomic<int> count{0};
  fs::path base = fs::absolute("build/disks");
  fs::create_directories(base);
  for (const auto& entry : fs::directory_iterator(base)) {
    int pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0 && ::kill(pid, 0) < 0) take_down(entry.path());
  }
  directory_ = base / fmt::format("{}-{}", ::getpid(), ++count);
  mount_point_ = directory_ + "/mnt";
  data_image_ = directory_ + "/data.img";
  journal_image_ = directory_ + "/journal.img";
  fs::create_directories(mount_point_);
  shell(fmt::format("truncate -s {} {} && fallocate -l {} {}", size.data_bytes, data_image_, size.journal_bytes,
                    journal_image_));
  data_device_ = shell("losetup --direct-io=on -f --show " + data_image_);
  journal_device_ = shell("losetup --direct-io=on -f --show " + journal_image_);
  if (size.written_bytes) {
    write_front(data_device_, size.written_bytes);
    write_front(journal_device_, size.journal_bytes);
  }
  shell("mkfs.btrfs -q -K " + data_device_);
  mount();
}

TestDisk::~TestDisk() {
  take_down(directory_);
}

void TestDisk::mount() {
  shell(fmt::format("mount -o noatime,commit=300{} {} {}", discards_ ? "" : ",nodiscard", data_device_, mount_point_));
}
void TestDisk::unmount() {
  shell("umount " + mount_point_);
}

int TestDisk::damage_in_place(ByteView wanted) {
  std::FILE* image = std::fopen(data_image_.c_str(), "r+");
  CHECK(image);
  int fd = ::fileno(image), found = 0;
  std::array<std::byte, 4096> at;
  for (off_t offset = 0;; offset += 4096) {
    offset = ::lseek(fd, offset, SEEK_DATA);
    if (offset < 0 || ::pread(fd, at.data(), at.size(), offset) != 4096) break;
    if (std::memcmp(at.data(), wanted.data(), at.size()) != 0) continue;
    ++found;
    at[100] ^= std::byte{1};
    CHECK(::pwrite(fd, at.data(), at.size(), offset) == 4096);
  }
  CHECK(::fsync(fd) == 0);
  std::fclose(image);
  return found;
}

int TestDisk::damage(ByteView wanted) {
  unmount();
  int found = damage_in_place(wanted);
  shell("sync; echo 3 > /proc/sys/vm/drop_caches");
  mount();
  return found;
}

FilestoreOptions TestDisk::options() const {
  FilestoreOptions options;
  options.path = mount_point_;
  options.journal = journal_device_;
  options.apply_threads = 2;  // what lanes do to each other is tested on any machine
  return options;
}

void TestDisk::format(Integrity integrity) {
  Result<> made =
      make_filestore(options(), {.owner = "osd.0", .cluster_fsid = "test", .integrity = integrity, .force = true});
  CHECK(made.has_value(), made ? "" : made.error().message());
}

}  // namespace spirula::filestore::testing
