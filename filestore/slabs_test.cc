#include "filestore/slabs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>

#include "base/codec.h"
#include "filestore/inspector.h"
#include "filestore/key.h"
#include "filestore/rebuild.h"
#include "filestore/store_fixture.h"

namespace spirula::filestore {
namespace {

using testing::named;
using testing::pattern;

constexpr std::uint64_t slot = limits::slab_bytes_max;

class SlabTest : public testing::StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    Transaction begin;
    begin.create_collection(0);
    ASSERT_TRUE(submit(std::move(begin)));
  }
  void write(const std::string& name, std::uint64_t offset, const Buffer& data) {
    Transaction t;
    t.write(named(name), offset, data);
    ASSERT_TRUE(submit(std::move(t)));
  }
  void remove(const std::string& name) {
    Transaction t;
    t.remove(named(name));
    ASSERT_TRUE(submit(std::move(t)));
  }
  /// Twice, for what was answered last may not be on its way to current/ yet.
  void commit() {
    ASSERT_TRUE(run(store_->commit()));
    ASSERT_TRUE(run(store_->commit()));
  }
  BufferList read(const std::string& name) {
    auto data = run(store_->read(named(name), 0, 64 << 20));
    EXPECT_TRUE(data) << name << ": " << data.error().message();
    return data ? *data : BufferList{};
  }
  std::string objects() const { return disk_->mount_point() + "/current/objects"; }
  /// Files of objects of their own.
  std::size_t own_files() const {
    FileDescriptor fd(::open(objects().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::size_t count = 0;
    EXPECT_TRUE(for_each_data_file(fd.get(), [&](std::string_view, std::optional<std::uint64_t>) -> Result<> {
      ++count;
      return {};
    }));
    return count;
  }
  /// Bytes that slabs hold, without what they say of owners.
  std::optional<std::uint64_t> held() const {
    FileDescriptor fd(::open(objects().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::optional<std::uint64_t> bytes;
    EXPECT_TRUE(for_each_slab(fd.get(), [&](SlabEntry& entry) -> Result<> {
      FileChanges unused;
      TRY(auto extents, DataFile(std::move(entry.file), unused, 0).extents(0, Slabs::slots_bytes));
      bytes = bytes.value_or(0);
      for (const Extent& each : extents) *bytes += each.length;
      return {};
    }));
    return bytes;
  }
  /// In the end: a commit frees slots of what was applied before its first sync.
  void expect_held(std::optional<std::uint64_t> bytes) {
    for (int i = 0; i < 10 && held() != bytes; ++i) commit();
    EXPECT_EQ(held(), bytes);
  }
  std::vector<std::string> problems(bool read_data = true) {
    auto inspector = Inspector::open(disk_->mount_point(), std::nullopt);
    EXPECT_TRUE(inspector);
    auto found = (*inspector)->check(read_data);
    EXPECT_TRUE(found);
    return *found;
  }
  std::string newest_slab() const {
    auto snapshots = list_snapshots(disk_->mount_point());
    std::string path = disk_->mount_point() + "/" + snapshot_name(snapshots->front());
    testing::shell("btrfs property set -ts " + path + " ro false");
    return path + "/objects/slabs/0";
  }
};

TEST_F(SlabTest, small_objects_have_no_files_of_their_own) {
  write("small", 0, pattern(5'000, 1));
  write("full", 0, pattern(slot, 2));
  write("large", 0, pattern(slot + 1, 3));
  write("tiny", 0, pattern(100, 4));
  write("far", 8192, pattern(4'096, 5));
  commit();
  EXPECT_EQ(own_files(), 1u);
  EXPECT_EQ(held(), 8192 + slot + 4096);
  FileDescriptor slab(::open((objects() + "/slabs/0").c_str(), O_RDONLY | O_CLOEXEC));
  int flags = 0;
  EXPECT_EQ(::ioctl(slab.get(), FS_IOC_GETFLAGS, &flags), 0);
  EXPECT_TRUE(flags & FS_NOCOW_FL) << "btrfs would keep checksums too";
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(read("small"), BufferList(pattern(5'000, 1)));
    EXPECT_EQ(read("full"), BufferList(pattern(slot, 2)));
    EXPECT_EQ(read("large"), BufferList(pattern(slot + 1, 3)));
    EXPECT_EQ(*run(store_->read(named("far"), 8192, 4096)), BufferList(pattern(4'096, 5)));
    EXPECT_EQ(run(store_->extents(named("far"), 0, 1 << 20))->size(), 1u);
    close();
    open();
  }
  close();
  EXPECT_TRUE(problems().empty());
}

TEST_F(SlabTest, an_object_that_outgrows_its_slot_takes_its_data_along) {
  write("append", 0, pattern(6'000, 1));
  write("hole", 4096, pattern(4'096, 2));
  write("cut", 0, pattern(12'000, 3));
  commit();
  EXPECT_EQ(own_files(), 0u);
  Transaction t;
  t.write(named("append"), 6'000, pattern(300'000, 4));
  t.truncate(named("hole"), 1 << 20);
  t.truncate(named("cut"), 5'000);
  t.truncate(named("cut"), 100'000);
  ASSERT_TRUE(submit(std::move(t)));
  commit();
  EXPECT_EQ(own_files(), 3u);
  EXPECT_EQ(read("append").slice(0, 6'000), BufferList(pattern(6'000, 1)));
  EXPECT_EQ(read("append").slice(6'000, 300'000), BufferList(pattern(300'000, 4)));
  EXPECT_EQ(read("hole").slice(4096, 4096), BufferList(pattern(4'096, 2)));
  EXPECT_EQ(read("hole").slice(8192, 4096), BufferList(Buffer::zeros(4096)));
  EXPECT_EQ(read("cut").slice(0, 5'000), BufferList(pattern(12'000, 3).slice(0, 5'000)));
  EXPECT_EQ(read("cut").slice(5'000, 95'000), BufferList(Buffer::zeros(95'000)));
  commit();
  close();
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(SlabTest, what_was_cut_off_or_zeroed_does_not_come_back) {
  write("object", 0, pattern(slot, 1));
  commit();
  Transaction t;
  t.truncate(named("object"), 0);
  t.truncate(named("object"), slot);
  t.write(named("object"), 4'000, pattern(200, 2));
  ASSERT_TRUE(submit(std::move(t)));
  commit();
  std::string expected(slot, '\0');
  expected.replace(4'000, 200, pattern(200, 2).to_string());
  EXPECT_EQ(read("object").flatten().to_string(), expected);
  Transaction zero;
  zero.write(named("object"), 0, pattern(slot, 3));
  zero.zero(named("object"), 4'096, 8'192);
  ASSERT_TRUE(submit(std::move(zero)));
  commit();
  EXPECT_EQ(*run(store_->extents(named("object"), 0, slot)), (std::vector<Extent>{{0, 4096}, {12288, 4096}}));
  expected = pattern(slot, 3).to_string();
  expected.replace(4'096, 8'192, std::string(8'192, '\0'));
  EXPECT_EQ(read("object").flatten().to_string(), expected);
  close();
  EXPECT_TRUE(problems().empty());
}

TEST_F(SlabTest, slots_of_what_is_gone_are_freed_and_empty_slabs_removed) {
  for (int i = 0; i < 50; ++i) write(std::to_string(i), 0, pattern(slot, 1));
  expect_held(50 * slot);
  for (int i = 10; i < 50; ++i) remove(std::to_string(i));
  write("9", slot, pattern(slot, 2));  // leaves its own
  expect_held(9 * slot);
  EXPECT_EQ(run(store_->stat(named("40"))).error(), make_error_code(Errc::not_found));
  for (int i = 0; i < 9; ++i) remove(std::to_string(i));
  expect_held(std::nullopt);
  write("again", 0, pattern(5'000, 1));
  EXPECT_EQ(read("again"), BufferList(pattern(5'000, 1)));
  close();
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

// Objects without data must not have what they need in a slab, for one without data is removed.
TEST_F(SlabTest, objects_without_data_outlive_a_slab) {
  write("data", 0, pattern(slot, 1));
  write("emptied", 0, pattern(slot, 2));
  Transaction t;
  t.truncate(named("cut"), 10'000);
  t.zero(named("zero"), 5'000, 6'000);
  t.truncate(named("emptied"), 0);
  t.clone(named("emptied"), named("clone"));
  ASSERT_TRUE(submit(std::move(t)));
  commit();
  remove("data");
  remove("emptied");
  expect_held(std::nullopt);
  for (const char* name : {"cut", "zero", "clone"}) write(name, 3'000, pattern(5'000, 3));
  for (const char* name : {"cut", "zero", "clone"})
    EXPECT_EQ(read(name).slice(3'000, 5'000), BufferList(pattern(5'000, 3))) << name;
  EXPECT_EQ(read("cut").size(), 10'000u);
  EXPECT_EQ(read("zero").size(), 11'000u);
  close();
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(SlabTest, a_slot_is_freed_also_after_a_crash) {
  for (int i = 0; i < 20; ++i) write(std::to_string(i), 0, pattern(slot, 1));
  commit();
  for (int i = 0; i < 10; ++i) remove(std::to_string(i));
  crash();
  open();
  expect_held(10 * slot);
  // What a clean stop leaves is freed by the next opening.
  for (int i = 10; i < 15; ++i) remove(std::to_string(i));
  close();
  EXPECT_TRUE(problems().empty());
  open();
  write("one", 0, pattern(100, 1));
  expect_held(5 * slot);
  close();
  EXPECT_TRUE(problems().empty());
}

TEST_F(SlabTest, copies_and_new_names) {
  write("source", 0, pattern(10'000, 1));
  Transaction t;
  t.clone(named("source"), named("clone"));
  t.add(named("range"), Transaction::CloneRange{named("source"), 4'096, 4'096, 0});
  t.add(named("grown"), Transaction::CloneRange{named("source"), 0, 1 << 20, 100});
  t.write(named("source"), 0, pattern(5'000, 2));
  t.add(named("renamed"), Transaction::Rename{named("source")});
  ASSERT_TRUE(submit(std::move(t)));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(read("clone"), BufferList(pattern(10'000, 1)));
    EXPECT_EQ(read("range"), BufferList(pattern(10'000, 1).slice(4'096, 4'096)));
    EXPECT_EQ(read("grown").slice(100, 10'000), BufferList(pattern(10'000, 1)));
    EXPECT_EQ(read("grown").size(), 100 + (1 << 20));
    EXPECT_EQ(read("renamed").slice(0, 5'000), BufferList(pattern(5'000, 2)));
    EXPECT_EQ(read("renamed").slice(5'000, 5'000), BufferList(pattern(10'000, 1).slice(5'000, 5'000)));
    commit();
  }
  // What lies beyond a source is a hole, however long.
  EXPECT_LE(run(store_->extents(named("grown"), 0, 2 << 20))->front().length, 12'288u);
  close();
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(SlabTest, a_damaged_block_stays_damaged_wherever_it_goes) {
  Buffer data = pattern(slot, 9);
  write("object", 0, data);
  commit();
  close();
  ASSERT_GE(disk_->damage(data.slice(4096, 4096).view()), 1);
  open();
  EXPECT_EQ(run(store_->read(named("object"), 0, slot)).error(), make_error_code(Errc::io));
  EXPECT_EQ(*run(store_->read(named("object"), 0, 4096)), BufferList(data.slice(0, 4096)));
  Transaction t;
  t.clone(named("object"), named("clone"));
  t.write(named("object"), slot, pattern(10'000, 1));
  ASSERT_TRUE(submit(std::move(t)));
  commit();
  for (const char* name : {"object", "clone"}) {
    EXPECT_EQ(run(store_->read(named(name), 4096, 100)).error(), make_error_code(Errc::io)) << name;
    EXPECT_EQ(*run(store_->read(named(name), 8192, 4096)), BufferList(data.slice(8192, 4096))) << name;
  }
}

TEST_F(SlabTest, fsck_tells_what_is_wrong_with_a_slab) {
  write("one", 0, pattern(slot, 1));
  write("two", 0, pattern(slot, 2));
  close();
  EXPECT_TRUE(problems().empty());
  std::string slab = newest_slab();
  auto has = [&](std::string_view text) {
    for (const std::string& each : problems(false))
      if (each.contains(text)) return true;
    return false;
  };
  testing::shell("fallocate -p -o " + std::to_string(Slabs::offset_of(1)) + " -l 4096 " + slab);
  EXPECT_TRUE(has("its block 0 is a hole in the slab"));
  testing::shell("dd status=none conv=notrunc if=/dev/urandom of=" + slab + " bs=16384 count=1 seek=77");
  EXPECT_TRUE(has("slot 4d belongs to nobody"));
  testing::shell("printf x | dd status=none conv=notrunc bs=1 of=" + slab +
                 " seek=" + std::to_string(Slabs::slots_bytes + 12));
  EXPECT_TRUE(has("records of owners are damaged") && has("its slot names another object"));
  testing::shell("mv " + slab + " " + slab + "x && touch " + slab + ".stranger");
  EXPECT_TRUE(has("its slab is missing") && has("objects/slabs/0.stranger belongs to nobody"));
}

TEST_F(SlabTest, rebuilding_the_index_finds_small_objects) {
  write("gone", 0, pattern(slot, 3));
  write("small", 0, pattern(5'000, 1));
  write("moved", 0, pattern(8'192, 2));
  commit();
  Transaction t;
  t.add(named("at last"), Transaction::Rename{named("moved")});
  t.remove(named("gone"));
  t.write(named("large"), 0, pattern(100'000, 4));
  ASSERT_TRUE(submit(std::move(t)));
  expect_held(8'192 + 8'192);
  commit();
  close();
  for (std::uint64_t each : *list_snapshots(disk_->mount_point())) {
    std::string path = disk_->mount_point() + "/" + snapshot_name(each);
    testing::shell("btrfs property set -ts " + path + " ro false && rm " + path + "/index/CURRENT");
  }
  auto report = rebuild_index(disk_->options(), {});
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_EQ(report->objects, 3u);
  open();
  EXPECT_EQ(read("small").slice(0, 5'000), BufferList(pattern(5'000, 1)));
  EXPECT_EQ(read("at last"), BufferList(pattern(8'192, 2)));
  EXPECT_EQ(run(store_->stat(named("moved"))).error(), make_error_code(Errc::not_found));
  EXPECT_EQ(run(store_->stat(named("gone"))).error(), make_error_code(Errc::not_found));
  write("small", 5'000, pattern(20'000, 5));
  EXPECT_EQ(read("small").slice(0, 5'000), BufferList(pattern(5'000, 1)));
  close();
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

TEST_F(SlabTest, many_objects_come_and_go_while_slots_are_freed) {
  std::map<std::string, unsigned> there;
  SeededRandom random(11);
  for (unsigned i = 0; i < 3'000; ++i) {
    std::string name = std::to_string(random.below(400));
    if (there.contains(name) && random.below(2)) {
      remove(name);
      there.erase(name);
    } else {
      Transaction t;
      t.remove(named(name));
      t.write(named(name), 0, pattern(slot, i));
      ASSERT_TRUE(submit(std::move(t)));
      there[name] = i;
    }
    if (i % 300 == 0) commit();
  }
  expect_held(there.size() * slot);
  for (const auto& [name, seed] : there) ASSERT_EQ(read(name), BufferList(pattern(slot, seed))) << name;
  close();
  EXPECT_EQ(problems(), std::vector<std::string>{});
}

}  // namespace
}  // namespace spirula::filestore
