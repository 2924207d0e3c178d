#include "tests/crash/file_workload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "filestore/btrfs.h"

namespace spirula::crash {
namespace {

constexpr std::size_t block_bytes = 4096;
constexpr unsigned steps_per_snapshot = 50;
using Block = std::array<std::uint64_t, block_bytes / 8>;

/// Every word of a block says which lane and version it belongs to.
std::uint64_t word_of(std::uint32_t lane, std::uint64_t version) {
  return std::uint64_t{lane} << 32 | version;
}

std::string file_name(unsigned number) {
  return fmt::format("current/file{}", number);
}

FileDescriptor open_in(const std::string& mount_point, const std::string& name, int flags) {
  return FileDescriptor(::open((mount_point + "/" + name).c_str(), flags | O_CLOEXEC, 0600));
}

}  // namespace

void run_file_workload(const FileWorkload& workload, const std::string& mount_point, Ledger& ledger) {
  FileDescriptor root = open_in(mount_point, "", O_RDONLY | O_DIRECTORY);
  CHECK(filestore::btrfs::create_subvolume(root.get(), "current"));
  std::vector<FileDescriptor> files;
  for (unsigned i = 0; i < workload.files; ++i) {
    files.push_back(open_in(mount_point, file_name(i), O_RDWR | O_CREAT));
    CHECK(files.back());
  }
  CHECK(filestore::btrfs::sync(root.get()));
  SeededRandom random(workload.seed);
  std::vector<std::uint64_t> versions(workload.files * workload.blocks_per_file, 0);
  for (unsigned step = 1; step <= workload.steps; ++step) {
    // A few blocks of one file with one sync, as a program would.
    auto file = static_cast<unsigned>(random.below(workload.files));
    std::vector<std::uint32_t> lanes;
    for (std::uint64_t i = 0, count = 1 + random.below(4); i < count; ++i) {
      auto block = static_cast<std::uint32_t>(random.below(workload.blocks_per_file));
      std::uint32_t lane = file * workload.blocks_per_file + block;
      Block bytes;
      bytes.fill(word_of(lane, ++versions[lane]));
      ledger.submitted(lane, versions[lane]);
      CHECK(::pwrite(files[file].get(), bytes.data(), block_bytes, std::int64_t{block} * std::int64_t{block_bytes}) ==
            ssize_t{block_bytes});
      lanes.push_back(lane);
    }
    if (!workload.lie) CHECK(::fdatasync(files[file].get()) == 0);
    for (std::uint32_t lane : lanes) ledger.acknowledged(lane, versions[lane]);
    if (step % steps_per_snapshot == 0)
      CHECK(filestore::btrfs::create_snapshot(root.get(), "current", fmt::format("snap{}", step).c_str(), true));
  }
}

std::string check_file_workload(const FileWorkload& workload, const std::string& mount_point,
                                const std::map<std::uint32_t, Bounds>& bounds) {
  for (unsigned i = 0; i < workload.files; ++i) {
    FileDescriptor file = open_in(mount_point, file_name(i), O_RDONLY);
    if (!file) return file_name(i) + " is gone";
    for (unsigned block = 0; block < workload.blocks_per_file; ++block) {
      std::uint32_t lane = i * workload.blocks_per_file + block;
      auto found = bounds.find(lane);
      Bounds want = found == bounds.end() ? Bounds{} : found->second;
      Block bytes{};
      ssize_t got = ::pread(file.get(), bytes.data(), block_bytes, std::int64_t{block} * std::int64_t{block_bytes});
      if (got != 0 && got != ssize_t{block_bytes})
        return fmt::format("{} block {}: reads {}", file_name(i), block, got);
      std::uint64_t version = bytes[0] & UINT32_MAX;
      if (version < want.acknowledged || version > want.submitted)
        return fmt::format("{} block {}: version {}, not within {} to {}", file_name(i), block, version,
                           want.acknowledged, want.submitted);
      for (std::uint64_t word : bytes)
        if (word != (version ? word_of(lane, version) : 0))
          return fmt::format("{} block {}: version {} in pieces", file_name(i), block, version);
    }
  }
  return {};
}

}  // namespace spirula::crash
