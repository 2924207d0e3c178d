#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

#include "base/crc32c.h"
#include "filestore/limits.h"
#include "filestore/store_fixture.h"

/// What a store answers to a disk that is not as it should be, and to the largest and oddest things it must take.
namespace spirula::filestore {
namespace {

using testing::named;
using testing::pattern;
using testing::shell;

class BadInputTest : public testing::StoreFixture {
 protected:
  void fill() {
    Transaction make;
    make.create_collection(0).write(named("o"), 0, pattern(400'000, 1));
    ASSERT_TRUE(submit(std::move(make)));
    ASSERT_TRUE(run(store_->commit()));
    Transaction more;
    more.write(named("p"), 0, pattern(90'000, 2));
    ASSERT_TRUE(submit(std::move(more)));
  }
  /// The answer to opening it as it is now.
  int answer() { return answer(disk_->options()); }
  static int answer(const FilestoreOptions& options) {
    auto opened = Filestore::open(options);
    return opened ? 0 : to_wire(opened.error());
  }
  void expect_whole() {
    open();
    EXPECT_EQ(*run(store_->read(named("o"), 0, 500'000)), BufferList(pattern(400'000, 1)));
    EXPECT_EQ(*run(store_->read(named("p"), 0, 500'000)), BufferList(pattern(90'000, 2)));
    close();
  }
  std::string in_store(const std::string& name) const { return disk_->mount_point() + "/" + name; }
  std::string newest() const { return in_store(snapshot_name(list_snapshots(disk_->mount_point())->front())); }
  /// Changes a sealed file (magic, crc of the rest, the rest) so that it is intact otherwise.
  static void forge(const std::string& path, const std::function<void(std::string& bytes)>& change) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    ASSERT_GT(bytes.size(), 20u);
    change(bytes);
    std::uint32_t crc = crc32c(~0u, as_bytes(bytes).subspan(12));
    std::memcpy(bytes.data() + 8, &crc, sizeof crc);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  static void make_newer(std::string& bytes) { bytes[12] = bytes[13] = 99; }
  static void make_older(std::string& bytes) { bytes[12] = bytes[13] = 1; }
};

TEST_F(BadInputTest, a_place_that_is_no_store) {
  close();
  FilestoreOptions options = disk_->options();
  options.path = "/dev";
  EXPECT_EQ(answer(options), -EOPNOTSUPP) << "not btrfs";
  EXPECT_EQ(to_wire(make_filestore(options, {.owner = "x", .cluster_fsid = "y"}).error()), -EOPNOTSUPP);
  options.path = "/nonexistent";
  EXPECT_EQ(answer(options), -ENOENT);
  shell("mount -o remount,ro " + disk_->mount_point());
  EXPECT_EQ(answer(), -EROFS);
  shell("mount -o remount,rw " + disk_->mount_point());
  options = disk_->options();
  options.cluster_fsid = "another";
  EXPECT_EQ(answer(options), -ESTALE) << "of another cluster";
  options.cluster_fsid = "test";
  EXPECT_EQ(answer(options), 0);
}

TEST_F(BadInputTest, formats_of_the_future) {
  fill();
  close();
  shell("cp " + in_store("superblock") + " " + in_store("kept"));
  forge(in_store("superblock"), make_newer);
  EXPECT_EQ(answer(), -EOPNOTSUPP);
  shell("cp " + in_store("kept") + " " + in_store("superblock"));
  forge(in_store("superblock"), make_older);  // whose data files are elsewhere
  EXPECT_EQ(answer(), -EOPNOTSUPP);
  shell("cp " + in_store("kept") + " " + in_store("superblock"));
  forge(in_store("superblock"), [](std::string& bytes) { bytes.back() = 7; });  // the integrity mode
  EXPECT_EQ(answer(), -EOPNOTSUPP);
  shell("cp " + in_store("kept") + " " + in_store("superblock"));
  shell("printf X | dd status=none conv=notrunc bs=1 seek=30 of=" + in_store("superblock"));
  EXPECT_EQ(answer(), -EBADMSG);
  shell("cp " + in_store("kept") + " " + in_store("superblock"));
  // A commit point of the future makes its snapshot unusable; the older one will do.
  shell("btrfs property set " + newest() + " ro false");
  forge(newest() + "/commit-point", make_newer);
  expect_whole();
  // Both superblocks of the journal: their second word is the version.
  shell("for i in 0 1; do printf '\\143' | dd status=none conv=notrunc bs=1 seek=$((i * 4096 + 8)) of=" +
        disk_->journal_device() + "; done; sync");
  EXPECT_EQ(answer(), -EOPNOTSUPP);
}

TEST_F(BadInputTest, journals_that_will_not_do) {
  fill();
  close();
  testing::TestDisk other;
  FilestoreOptions options = other.options();
  options.journal = in_store("small");
  FilestoreFormat format{.owner = "osd.1", .cluster_fsid = "t", .journal_file_bytes = 1 << 20};
  EXPECT_EQ(to_wire(make_filestore(options, format).error()), -ENOSPC) << "too small";
  options.journal = "/nonexistent/journal";
  EXPECT_EQ(to_wire(make_filestore(options, format).error()), -ENOENT);
  options.journal = disk_->journal_device();
  EXPECT_EQ(to_wire(make_filestore(options, format).error()), -EBUSY) << "another store's";
  other.format();
  options = disk_->options();
  options.journal = other.journal_device();
  EXPECT_EQ(answer(options), -ESTALE) << "another store's";
  options.journal = "/nonexistent";
  EXPECT_EQ(answer(options), -ENOENT);
  options.journal = "/dev/null";
  EXPECT_EQ(answer(options), -EINVAL);
  shell("dd if=/dev/zero bs=1M count=1 status=none of=" + disk_->journal_device());
  EXPECT_EQ(answer(), -ENOENT) << "wiped";
}

TEST_F(BadInputTest, subvolumes_removed_by_hand) {
  fill();
  crash();
  shell("btrfs -q subvolume delete " + newest());
  expect_whole();  // from the one before
  shell("btrfs -q subvolume delete " + in_store("current"));
  expect_whole();
  shell("btrfs -q subvolume delete " + in_store("staging"));
  expect_whole();
  for (std::uint64_t each : *list_snapshots(disk_->mount_point()))
    shell("btrfs -q subvolume delete " + in_store(snapshot_name(each)));
  EXPECT_EQ(answer(), -EIO) << "no snapshot is left";
}

TEST_F(BadInputTest, staged_payloads_that_are_gone_are_missed) {
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  ASSERT_TRUE(run(store_->commit()));
  Transaction t;
  t.write(named("o"), 0, pattern(1 << 20, 1));
  ASSERT_TRUE(submit(std::move(t)));
  crash();
  shell("btrfs -q subvolume delete " + in_store("staging"));
  EXPECT_NE(answer(), 0) << "what was acknowledged is not dropped without a word";
}

TEST_F(BadInputTest, foreign_files_are_left_alone) {
  fill();
  close();
  shell("cd " + disk_->mount_point() + " && touch stranger snap_99998 staging/notes && mkdir snap_x snap_ snap_99999");
  expect_whole();
  EXPECT_EQ(shell("cd " + disk_->mount_point() + " && ls -d stranger snap_x snap_ snap_99998 snap_99999 | wc -l"), "5");
}

TEST_F(BadInputTest, objects_with_holes) {
  Transaction make;
  make.create_collection(0);
  make.write(named("o"), 1 << 20, pattern(100'000, 1)).write(named("o"), 10 << 20, pattern(10, 2));
  make.zero(named("o"), (1 << 20) + 8192, 16'384).truncate(named("o"), 100 << 20);
  make.truncate(named("all hole"), std::uint64_t{1} << 40);
  ASSERT_TRUE(submit(std::move(make)));
  for (bool applied : {false, true}) {
    if (applied) ASSERT_TRUE(run(store_->commit()));
    auto extents = run(store_->extents(named("o"), 0, ~std::uint64_t{0} >> 1));
    ASSERT_TRUE(extents);
    ASSERT_EQ(extents->size(), 3u) << applied;
    EXPECT_EQ((*extents)[0], (Extent{1 << 20, 8192}));
    EXPECT_EQ((*extents)[1].offset, (1u << 20) + 8192 + 16'384);
    EXPECT_EQ((*extents)[2].offset, 10u << 20);
    EXPECT_EQ(run(store_->read(named("o"), 50 << 20, 100))->flatten(), Buffer::zeros(100));
    EXPECT_EQ(run(store_->stat(named("o")))->size, 100u << 20);
    EXPECT_TRUE(run(store_->extents(named("all hole"), 0, std::uint64_t{1} << 40))->empty());
    EXPECT_EQ(run(store_->read(named("all hole"), (std::uint64_t{1} << 40) - 3, 10))->size(), 3u);
    EXPECT_TRUE(run(store_->verify(named("o"), 0, ~std::uint64_t{0}))->empty());
  }
}

TEST_F(BadInputTest, omap_values_from_nothing_to_64_mib) {
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  Transaction large;
  large.omap_set(named("o"), {{"large", Buffer::zeros(64 << 20)}});
  EXPECT_EQ(to_wire(submit(std::move(large)).error()), -E2BIG) << "more than a quarter of this journal";
  close();

  disk_ = std::make_unique<testing::TestDisk>(
      testing::TestDisk::Size{.data_bytes = std::uint64_t{2} << 30, .journal_bytes = 512 << 20});
  disk_->format();
  open();
  make = {};
  make.create_collection(0).omap_set(named("o"), {{"empty", Buffer{}}, {"", Buffer{}}, {"one", Buffer::copy_of("1")}});
  ASSERT_TRUE(submit(std::move(make)));
  large = {};
  large.omap_set(named("o"), {{"large", pattern(64 << 20, 1)}});
  ASSERT_TRUE(submit(std::move(large)));
  for (bool again : {false, true}) {
    if (again) {
      crash();
      open();
    }
    auto got = run(store_->omap_get(named("o"), {"", "empty", "large", "one", "none"}));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->size(), 4u);
    EXPECT_EQ((*got)["empty"].size(), 0u);
    EXPECT_EQ((*got)["large"], pattern(64 << 20, 1));
    auto page = run(store_->omap_list(named("o"), "", "", 10, 1 << 20));
    ASSERT_TRUE(page);
    EXPECT_EQ(page->entries.size(), 3u);  // the large one ends the page
    EXPECT_TRUE(page->more);
  }
  Transaction too_large;
  too_large.omap_set(named("o"), {{"a", Buffer::zeros(limits::transaction_bytes_max)}});
  EXPECT_EQ(to_wire(submit(std::move(too_large)).error()), -E2BIG);
}

}  // namespace
}  // namespace spirula::filestore
