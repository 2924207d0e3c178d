#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>

#include "filestore/store_fixture.h"

/// Clones are extents that are shared: what btrfs and the block device say of them.
namespace spirula::filestore {
namespace {

using testing::named;
using testing::pattern;
using testing::shell;

constexpr std::uint64_t mebibyte = 1 << 20, size = 4 * mebibyte, block = 4096;

class CloneTest : public testing::StoreFixture, public ::testing::WithParamInterface<Integrity> {
 protected:
  Integrity integrity() const override { return GetParam(); }
  void SetUp() override {
    StoreFixture::SetUp();
    Transaction make;
    make.create_collection(0);
    make.write(named("source"), 0, pattern(size, 1));
    commit(std::move(make));
  }
  void commit(Transaction transaction) {
    ASSERT_TRUE(submit(std::move(transaction)));
    ASSERT_TRUE(run(store_->commit()));
  }
  /// Of all data files: what they say they hold, and what of the disk that is, shared parts once (all is shared, with
  /// snapshots at least).
  struct Usage {
    std::uint64_t total = 0, exclusive = 0, shared = 0;
    std::uint64_t on_disk() const { return exclusive + shared; }
  };
  Usage usage() {
    std::istringstream lines(
        shell(fmt::format("btrfs filesystem du --raw -s {}/current/objects", disk_->mount_point())));
    std::string head;
    std::getline(lines, head);
    Usage usage;
    EXPECT_TRUE(lines >> usage.total >> usage.exclusive >> usage.shared) << lines.str();
    return usage;
  }
  std::uint64_t bytes_written_to_device() {
    std::string name = disk_->data_device().substr(std::string_view("/dev/").size());
    constexpr std::uint64_t sector = 512;
    return std::stoull(shell("sync -f " + disk_->mount_point() + "; awk '{print $7}' /sys/block/" + name + "/stat")) *
           sector;
  }
};

TEST_P(CloneTest, of_a_whole_object_shares_its_extents_and_writes_no_data) {
  EXPECT_EQ(usage().on_disk(), size);
  constexpr unsigned clones = 64;
  Transaction t;
  for (unsigned i = 0; i < clones; ++i) t.clone(named("source"), named("clone" + std::to_string(i)));
  std::uint64_t before = bytes_written_to_device();
  commit(std::move(t));
  std::uint64_t written = bytes_written_to_device() - before;
  Usage now = usage();
  EXPECT_EQ(now.total, (clones + 1) * size);
  EXPECT_EQ(now.on_disk(), size);
  EXPECT_LT(written, clones * size / 32) << "only btrfs's and the index's own";
  RecordProperty("bytes_written", static_cast<int>(written));
  EXPECT_EQ(*run(store_->read(named("clone7"), 0, size)), BufferList(pattern(size, 1)));
  // One of them changes: the others do not, and only that block is new.
  Transaction change;
  change.write(named("clone7"), 10 * block, pattern(block, 2));
  commit(std::move(change));
  EXPECT_EQ(usage().on_disk(), size + block);
  EXPECT_EQ(*run(store_->read(named("source"), 0, size)), BufferList(pattern(size, 1)));
  EXPECT_EQ(*run(store_->read(named("clone6"), 0, size)), BufferList(pattern(size, 1)));
}

TEST_P(CloneTest, of_an_unaligned_range_copies_a_head_and_a_tail) {
  struct Range {
    const char* name;
    std::uint64_t source, length, target, copied;
  };
  std::uint64_t expected = size;
  for (const Range& range :
       {Range{"aligned", 0, 2 * mebibyte, mebibyte, 0}, Range{"head", 100, 2 * mebibyte - 100, mebibyte + 100, block},
        Range{"tail", mebibyte, mebibyte + 9, 0, block},
        Range{"both", 4000, 3 * mebibyte, 12 * block + 4000, 2 * block}, Range{"to_the_end", 1, size - 1, 1, block},
        Range{"within_a_block", 10, 100, 5 * block + 10, block}}) {
    Transaction t;
    // There already, so that it is a file and its ends are blocks of data.
    t.write(named(range.name), 0, pattern(5'000, 3));
    t.truncate(named(range.name), 0);
    t.truncate(named(range.name), 6 * mebibyte);
    t.add(named(range.name), Transaction::CloneRange{named("source"), range.source, range.length, range.target});
    commit(std::move(t));
    expected += range.copied;
    EXPECT_EQ(usage().on_disk(), expected) << range.name;
    EXPECT_EQ(*run(store_->read(named(range.name), range.target, range.length)),
              BufferList(pattern(size, 1).slice(range.source, range.length)))
        << range.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Integrity, CloneTest,
                         ::testing::Values(Integrity::index_checksums, Integrity::btrfs_checksums),
                         [](const auto& info) {
                           return info.param == Integrity::index_checksums ? "index_checksums" : "btrfs_checksums";
                         });

}  // namespace
}  // namespace spirula::filestore
