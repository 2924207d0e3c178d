#include "filestore/filestore.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <thread>

#include "filestore/store_fixture.h"

namespace spirula::filestore {
namespace {

using testing::TestDisk;

using testing::named;
using testing::pattern;

class FilestoreTest : public testing::StoreFixture {};

TEST_F(FilestoreTest, what_was_acknowledged_survives_a_crash) {
  Transaction make;
  make.create_collection(0).collection_set({{"info", Buffer::copy_of("i")}});
  ASSERT_TRUE(submit(std::move(make)));
  for (bool orderly : {false, true}) {
    for (unsigned i = 0; i < 50; ++i) {
      std::size_t size = i % 3 == 0 ? 300'000 : i * 500;
      Transaction t;
      t.write(named("o" + std::to_string(i)), i, pattern(size, i));
      t.set_attribute(named("o" + std::to_string(i)), "_", Buffer::copy_of("attr" + std::to_string(i)));
      t.omap_set(named("o" + std::to_string(i)), {{"k" + std::to_string(i), Buffer::copy_of("v")}});
      ASSERT_TRUE(submit(std::move(t)));
      auto read = run(store_->read(named("o" + std::to_string(i)), i, size));
      ASSERT_TRUE(read) << read.error().message();
      EXPECT_EQ(*read, BufferList(pattern(size, i)));
      if (i == 20) ASSERT_TRUE(run(store_->commit()));
    }
    orderly ? close() : crash();
    open();
    for (unsigned i = 0; i < 50; ++i) {
      std::size_t size = i % 3 == 0 ? 300'000 : i * 500;
      auto read = run(store_->read(named("o" + std::to_string(i)), i, size));
      ASSERT_TRUE(read) << read.error().message();
      EXPECT_EQ(*read, BufferList(pattern(size, i))) << i;
      auto attribute = run(store_->get_attribute(named("o" + std::to_string(i)), "_"));
      ASSERT_TRUE(attribute);
      EXPECT_EQ(attribute->text(), "attr" + std::to_string(i));
      auto omap = run(store_->omap_list(named("o" + std::to_string(i)), "", "", 10, 1000));
      ASSERT_TRUE(omap);
      ASSERT_EQ(omap->entries.size(), 1u);
    }
    auto listed = run(store_->list(collection_, std::nullopt, 1000));
    ASSERT_TRUE(listed);
    EXPECT_EQ(listed->objects.size(), 50u);
    EXPECT_TRUE(std::is_sorted(listed->objects.begin(), listed->objects.end()));
    auto info = run(store_->collection_get(collection_, {"info"}));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->at("info").text(), "i");
  }
}

TEST_F(FilestoreTest, a_full_store_refuses_writes_and_can_be_emptied) {
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  unsigned count = 0;
  Result<> last;
  for (; count < 2'000; ++count) {
    Transaction t;
    t.write(named("fill" + std::to_string(count)), 0, pattern(4 << 20, 5));
    last = submit(std::move(t));
    if (!last) break;
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(to_wire(last.error()), -ENOSPC);
  EXPECT_GT(count, 100u);
  for (unsigned i = 0; i < count; ++i) {
    Transaction t;
    t.space = Space::reserve;
    t.remove(named("fill" + std::to_string(i)));
    ASSERT_TRUE(submit(std::move(t))) << i;
  }
  bool again = false;
  for (int i = 0; i < 100 && !again; ++i) {
    Transaction t;
    t.write(named("again"), 0, pattern(4 << 20, 6));
    again = submit(std::move(t)).has_value();
    if (again) break;
    Transaction nudge;
    nudge.space = Space::reserve;
    nudge.touch(named("nudge"));
    ASSERT_TRUE(submit(std::move(nudge)));
    ASSERT_TRUE(run(store_->commit()));  // space comes back when the snapshots that pin it are dropped and cleaned
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_TRUE(again);
}

TEST_F(FilestoreTest, falls_back_to_the_older_snapshot) {
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  for (unsigned i = 0; i < 30; ++i) {
    Transaction t;
    t.write(named("o"), i * 1'000, pattern(300'000, i));
    ASSERT_TRUE(submit(std::move(t)));
    if (i % 10 == 9) ASSERT_TRUE(run(store_->commit()));
  }
  auto before = run(store_->read(named("o"), 0, 1'000'000));
  ASSERT_TRUE(before);
  crash();
  auto snapshots = list_snapshots(disk_->mount_point());
  ASSERT_TRUE(snapshots);
  ASSERT_EQ(snapshots->size(), 2u);
  // The newest cannot be read: its index has lost its table of contents.
  std::string newest = disk_->mount_point() + "/" + snapshot_name(snapshots->front());
  testing::shell("btrfs property set " + newest + " ro false && rm " + newest + "/index/CURRENT");
  open();
  auto after = run(store_->read(named("o"), 0, 1'000'000));
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_EQ(*after, *before);
  Transaction more;
  more.write(named("p"), 0, pattern(10, 1));
  ASSERT_TRUE(submit(std::move(more)));
  ASSERT_TRUE(run(store_->commit()));
}

TEST_F(FilestoreTest, an_idle_store_lets_go_of_the_past_and_keeps_a_fallback) {
  close();
  FilestoreOptions options = disk_->options();
  options.commit_interval_min = options.commit_interval_max = std::chrono::milliseconds(100);
  auto opened = Filestore::open(options);
  ASSERT_TRUE(opened);
  store_ = std::move(*opened);
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  for (unsigned i = 0; i < 96; ++i) {  // through the journal, and staged
    std::size_t size = i % 2 ? 200'000 : 1 << 20;
    Transaction t;
    t.write(named("large"), i << 20, pattern(size, i));
    ASSERT_TRUE(submit(std::move(t)));
  }
  ASSERT_TRUE(run(store_->commit()));
  auto used = [&] {
    return std::stoull(testing::shell("sync; df -B1 --output=used " + disk_->mount_point() + " | tail -1"));
  };
  std::uint64_t before = used();
  Transaction remove;
  remove.remove(named("large")).write(named("o"), 0, pattern(50'000, 2));
  ASSERT_TRUE(submit(std::move(remove)));
  bool back = false;
  for (int i = 0; i < 200 && !back; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    back = used() + (48 << 20) < before;
  }
  EXPECT_TRUE(back) << used() << " of " << before;
  // And then it is quiet, with two snapshots.
  std::uint64_t commits = 0;
  bool quiet = false;
  for (int i = 0; i < 20 && !quiet; ++i) {
    commits = store_->commit_statistics().commits;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    quiet = store_->commit_statistics().commits == commits;
  }
  EXPECT_TRUE(quiet);
  EXPECT_EQ(list_snapshots(disk_->mount_point())->size(), 2u);
  for (bool orderly : {false, true}) {
    orderly ? close() : crash();
    auto snapshots = list_snapshots(disk_->mount_point());
    ASSERT_TRUE(snapshots);
    ASSERT_EQ(snapshots->size(), 2u);
    std::string newest = disk_->mount_point() + "/" + snapshot_name(snapshots->front());
    testing::shell("btrfs property set " + newest + " ro false && rm " + newest + "/commit-point");
    open();
    auto data = run(store_->read(named("o"), 0, 100'000));
    ASSERT_TRUE(data) << data.error().message();
    EXPECT_EQ(*data, BufferList(pattern(50'000, 2)));
  }
}

/// The calling thread and those it starts get EPERM from that system call, as in a container.
void refuse(std::uint32_t call) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{std::size(filter), filter};
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST_F(FilestoreTest, one_engine_writes_the_journal_where_the_other_is_refused) {
  EXPECT_STREQ(store_->journal_engine(), "libaio");
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  close();
  auto open_without = [&](std::uint32_t call, FilestoreOptions::JournalEngine engine) {
    std::thread confined([&] {
      refuse(call);
      FilestoreOptions options = disk_->options();
      options.journal_engine = engine;
      EXPECT_FALSE(Filestore::open(options));
      open();
    });
    confined.join();
  };
  for (const char* left : {"io_uring", "libaio"}) {
    if (std::string_view(left) == "io_uring") {
      open_without(SYS_io_setup, FilestoreOptions::JournalEngine::libaio);
    } else {
      open_without(SYS_io_uring_setup, FilestoreOptions::JournalEngine::io_uring);
    }
    ASSERT_TRUE(store_);
    EXPECT_STREQ(store_->journal_engine(), left);
    for (unsigned i = 0; i < 1'000; ++i) {  // beyond the end of the ring and on from its beginning
      Transaction t;
      t.write(named("o" + std::to_string(i % 10)), i, pattern(200'000, i));
      ASSERT_TRUE(submit(std::move(t)));
    }
    crash();
    open();
    for (unsigned i = 990; i < 1'000; ++i)
      EXPECT_EQ(*run(store_->read(named("o" + std::to_string(i % 10)), i, 200'000)), BufferList(pattern(200'000, i)));
    close();
  }
  open();
}

TEST_F(FilestoreTest, a_journal_may_be_a_file) {
  close();
  FilestoreOptions options = disk_->options();
  options.path += "/store";
  options.journal = disk_->mount_point() + "/journal";
  testing::shell("mkdir " + options.path);
  FilestoreFormat format{.owner = "osd.1", .cluster_fsid = "t", .journal_file_bytes = 64 << 20};
  ASSERT_TRUE(make_filestore(options, format));
  for (unsigned round = 0; round < 3; ++round) {
    auto opened = Filestore::open(options);
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
    EXPECT_STREQ(store_->journal_engine(), "io_uring");
    if (round == 0) {
      Transaction make;
      make.create_collection(0);
      ASSERT_TRUE(submit(std::move(make)));
    } else {
      EXPECT_EQ(*run(store_->read(named("o"), 299, 200'000)), BufferList(pattern(200'000, 299)));
    }
    for (unsigned i = 0; i < 300; ++i) {
      Transaction t;
      t.write(named("o"), i, pattern(200'000, i));
      ASSERT_TRUE(submit(std::move(t)));
    }
    round == 1 ? close() : crash();
  }
}

TEST_F(FilestoreTest, a_fallback_that_the_journal_does_not_reach_is_refused) {
  Transaction make;
  make.create_collection(0).write(named("o"), 0, pattern(50'000, 1));
  ASSERT_TRUE(submit(std::move(make)));
  ASSERT_TRUE(run(store_->commit()));
  testing::shell("btrfs subvolume snapshot -r " + disk_->mount_point() + "/" + snapshot_name(1) + " " +
                 disk_->mount_point() + "/aside");
  // Once around the ring of 128 MiB.
  for (unsigned i = 0; i < 1'000; ++i) {
    Transaction t;
    t.write(named("o"), 0, pattern(200'000, i));
    ASSERT_TRUE(submit(std::move(t)));
  }
  ASSERT_TRUE(run(store_->commit()));
  close();
  auto snapshots = list_snapshots(disk_->mount_point());
  ASSERT_TRUE(snapshots);
  for (std::uint64_t each : *snapshots) {
    std::string name = disk_->mount_point() + "/" + snapshot_name(each);
    testing::shell("btrfs property set " + name + " ro false && rm -f " + name + "/commit-point");
  }
  testing::shell("btrfs subvolume snapshot -r " + disk_->mount_point() + "/aside " + disk_->mount_point() + "/" +
                 snapshot_name(1));
  auto opened = Filestore::open(disk_->options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(to_wire(opened.error()), -EIO);
}

TEST_F(FilestoreTest, bad_input_has_an_answer) {
  Transaction make;
  make.create_collection(0);
  ASSERT_TRUE(submit(std::move(make)));
  auto refused = [&](Transaction t, int with) {
    Result<> result = submit(std::move(t));
    EXPECT_FALSE(result);
    if (!result) EXPECT_EQ(to_wire(result.error()), with) << result.error().message();
  };
  Transaction t;
  t.write(named("o"), (std::uint64_t{1} << 40) - 5, pattern(6, 1));
  refused(std::move(t), -EFBIG);
  t = {};
  t.touch(named(std::string(20'000, 'n')));
  refused(std::move(t), -ENAMETOOLONG);
  t = {};
  t.create_collection(0);
  refused(std::move(t), -EEXIST);
  t = {};
  t.clone(named("none"), named("copy"));
  refused(std::move(t), -ENOENT);
  t = {};
  ObjectId elsewhere = named("o");
  elsewhere.pool = 5;
  t.touch(elsewhere);
  refused(std::move(t), -EINVAL);
  t = {};
  t.touch(named("o")).remove_collection();
  refused(std::move(t), -ENOTEMPTY);
  EXPECT_EQ(to_wire(run(store_->submit({9, 9}, Transaction{})).error()), -ENOENT);

  // At the edges of what is allowed.
  t = {};
  t.write(named("edge"), (std::uint64_t{1} << 40) - 6, pattern(6, 1));
  ASSERT_TRUE(submit(std::move(t)));
  auto edge = run(store_->read(named("edge"), (std::uint64_t{1} << 40) - 10, 100));
  ASSERT_TRUE(edge);
  EXPECT_EQ(edge->slice(4, 6).flatten(), pattern(6, 1));
  t = {};
  t.add(named("edge"), Transaction::Truncate{3});
  ASSERT_TRUE(submit(std::move(t)));
  EXPECT_EQ(run(store_->stat(named("edge")))->size, 3u);
  for (std::size_t length : {1u, 255u, 256u, 4096u}) {
    std::string name(length, '\0');
    for (std::size_t i = 0; i < length; ++i) name[i] = static_cast<char>(i * 37 + length);
    t = {};
    t.write(named(name), 0, pattern(100'000, 1)).omap_set(named(name), {{name, Buffer{}}, {"", Buffer{}}});
    ASSERT_TRUE(submit(std::move(t))) << length;
  }
  ASSERT_TRUE(run(store_->commit()));
  auto listed = run(store_->list(collection_, std::nullopt, 100));
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->objects.size(), 5u);
  for (const ObjectId& id : listed->objects)
    if (id.name != "edge") EXPECT_EQ(run(store_->read(id, 0, 200'000))->size(), 100'000u);

  close();
  auto open_with = [&](auto change) {
    FilestoreOptions options = disk_->options();
    change(options);
    auto opened = Filestore::open(options);
    return opened ? 0 : to_wire(opened.error());
  };
  EXPECT_EQ(open_with([](auto& o) { o.path = "/dev"; }), -EOPNOTSUPP);
  EXPECT_EQ(open_with([&](auto& o) { o.path = disk_->mount_point() + "/current"; }), -ENOENT);
  EXPECT_EQ(open_with([](auto& o) { o.journal = "/nonexistent"; }), -ENOENT);
  EXPECT_EQ(to_wire(make_filestore(disk_->options(), {.owner = "x", .cluster_fsid = "y"}).error()), -EEXIST);
  {
    TestDisk other;
    FilestoreOptions foreign = other.options();
    ASSERT_TRUE(make_filestore(foreign, {.owner = "osd.1", .cluster_fsid = "t"}));
    EXPECT_EQ(open_with([&](auto& o) { o.journal = other.journal_device(); }), -ESTALE);
    testing::shell("mkfs.btrfs -q -f " + other.data_device() + " 2>/dev/null || true");
  }
  testing::shell("touch " + disk_->mount_point() + "/stranger && mkdir " + disk_->mount_point() + "/snap_x");
  auto identity = read_filestore_identity(disk_->mount_point());
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->owner, "osd.0");
  testing::shell("btrfs subvolume delete " + disk_->mount_point() + "/current");
  open();
  EXPECT_EQ(run(store_->list(collection_, std::nullopt, 100))->objects.size(), 5u);
}

}  // namespace
}  // namespace spirula::filestore
