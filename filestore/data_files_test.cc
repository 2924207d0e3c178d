#include "filestore/data_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <thread>

#include "filestore/test_disk.h"

namespace spirula::filestore {
namespace {

TEST(DataFileTest, where_data_are_can_be_asked_while_the_file_is_cut_off) {
  testing::TestDisk disk;
  FileDescriptor directory(::open(disk.mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  FileChanges changes;
  FileDescriptor fd(::openat(directory.get(), "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd);
  DataFile file(std::move(fd), changes, 1);
  std::vector<std::byte> bytes(4096, std::byte{1});
  iovec first{bytes.data(), bytes.size()};
  ASSERT_TRUE(file.write(0, {&first, 1}));

  std::atomic<bool> done = false;
  std::jthread writer([&] {
    while (!done) {
      iovec far{bytes.data(), bytes.size()};
      ASSERT_TRUE(file.write(16 << 20, {&far, 1}));
      ASSERT_TRUE(file.truncate(4096));
    }
  });
  for (int i = 0; i < 30'000; ++i) {
    auto found = file.extents(0, 32 << 20);
    if (!found) {
      ADD_FAILURE() << found.error().message();
      break;
    }
    if (found->empty() || found->front() != Extent{0, 4096}) {
      ADD_FAILURE() << "what was there all the time is not found";
      break;
    }
  }
  done = true;
}

}  // namespace
}  // namespace spirula::filestore
