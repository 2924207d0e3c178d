#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "base/crc32c.h"
#include "filestore/inspector.h"
#include "filestore/limits.h"
#include "filestore/media_check.h"
#include "filestore/memory_store.h"
#include "filestore/store_fixture.h"

/// Both ways of telling good data from bad keep the same promises.
namespace spirula::filestore {
namespace {

using testing::named;
using testing::pattern;

constexpr std::uint64_t everything = ~std::uint64_t{0};

class IntegrityTest : public testing::StoreFixture, public ::testing::WithParamInterface<Integrity> {
 protected:
  Integrity integrity() const override { return GetParam(); }
  std::set<std::string> check_media_for_names() {
    std::set<std::string> bad;
    auto report = run(check_media(*store_, shard_->shard().clock(), {.bytes_per_second = 0, .start = {}},
                                  [&](const BadObject& each) { bad.insert(each.object.name); }, {}));
    EXPECT_TRUE(report);
    if (report) EXPECT_EQ(report->bad, bad.size());
    return bad;
  }
};

TEST_P(IntegrityTest, large_reads_bring_their_checksums_from_the_medium_and_from_cache) {
  constexpr std::uint64_t mib = 1 << 20, size = 5 * mib + 777, hole_begin = 2 * mib + 100, hole_end = 2 * mib + 90'000;
  Buffer bytes = pattern(size, 1);
  Transaction make;
  make.create_collection(0);
  make.write(named("large"), 0, bytes.slice(0, hole_begin));
  make.write(named("large"), hole_end, bytes.slice(hole_end));
  ASSERT_TRUE(submit(std::move(make)));
  BufferList expected(bytes.slice(0, hole_begin));
  expected.append(Buffer::zeros(hole_end - hole_begin));
  expected.append(bytes.slice(hole_end));
  ASSERT_TRUE(run(store_->commit()));
  close();
  open();
  for (auto [offset, length] : std::vector<std::tuple<std::uint64_t, std::uint64_t>>{
           {0, size}, {4096, 4 * mib}, {4096, 4 * mib}, {mib, 70'000}, {5, 4 * mib}, {3 * mib, 9 * mib}}) {
    auto got = run(store_->read(named("large"), offset, length));
    ASSERT_TRUE(got) << offset;
    EXPECT_EQ(*got, expected.slice(offset, std::min(length, size - offset))) << offset;
    EXPECT_EQ(got->buffers()[0].checksums().empty(), GetParam() == Integrity::btrfs_checksums || offset == 5);
    EXPECT_EQ(crc32c(~0u, *got), crc32c(~0u, got->flatten().view())) << offset;
  }
}

TEST_P(IntegrityTest, a_damaged_block_is_an_error_and_never_data) {
  Transaction make;
  make.create_collection(0);
  make.write(named("large"), 0, pattern(700'000, 1));
  make.write(named("small"), 0, pattern(50'000, 2));
  make.write(named("good"), 0, pattern(900'000, 7));
  make.write(named("inline"), 0, pattern(9'000, 8));
  ASSERT_TRUE(submit(std::move(make)));
  ASSERT_TRUE(run(store_->commit()));
  EXPECT_EQ(check_media_for_names(), std::set<std::string>{});
  close();
  for (auto [size, seed, block] : {std::tuple(700'000u, 1u, 20u), std::tuple(50'000u, 2u, 3u)})
    EXPECT_GE(disk_->damage(pattern(size, seed).slice(block * 4096, 4096).view()), 1) << size;
  open();
  EXPECT_EQ(check_media_for_names(), (std::set<std::string>{"large", "small"}));
  for (auto [name, size, seed, block] :
       {std::tuple("large", 700'000u, 1u, 20u), std::tuple("small", 50'000u, 2u, 3u)}) {
    auto bad = run(store_->verify(named(name), 0, everything));
    ASSERT_TRUE(bad);
    EXPECT_EQ(*bad, (std::vector<Extent>{{block * 4096, 4096}})) << name;
    auto whole = run(store_->read(named(name), 0, size));
    ASSERT_FALSE(whole) << name;
    EXPECT_EQ(to_wire(whole.error()), -EIO);
    auto before = run(store_->read(named(name), 0, block * 4096));
    ASSERT_TRUE(before) << name;
    EXPECT_EQ(*before, BufferList(pattern(size, seed).slice(0, block * 4096)));
    // What is copied from it is as bad as it is, shared or not, and also at other places within a block.
    Transaction copies;
    copies.clone(named(name), named("clone"));
    copies.add(named("range"), Transaction::CloneRange{named(name), 0, size, 0});
    copies.add(named("shifted"), Transaction::CloneRange{named(name), 0, size, 10});
    ASSERT_TRUE(submit(std::move(copies)));
    ASSERT_TRUE(run(store_->commit()));
    for (const char* copy : {"clone", "range", "shifted"}) {
      EXPECT_FALSE(run(store_->read(named(copy), block * 4096, 4096))) << name << " " << copy;
      EXPECT_TRUE(run(store_->read(named(copy), 0, block * 4096))) << name << " " << copy;
    }
    // A write over a part of the block does not make the rest of it good.
    Transaction part;
    part.write(named(name), block * 4096 + 10, pattern(20, 3));
    ASSERT_TRUE(submit(std::move(part)));
    ASSERT_TRUE(run(store_->commit()));
    EXPECT_FALSE(run(store_->read(named(name), block * 4096 + 2'000, 10))) << name;
    bad = run(store_->verify(named(name), 0, everything));
    ASSERT_TRUE(bad);
    EXPECT_EQ(*bad, (std::vector<Extent>{{block * 4096, 4096}})) << name;
    Transaction all;
    all.write(named(name), block * 4096, pattern(4096, 4));
    ASSERT_TRUE(submit(std::move(all)));
    ASSERT_TRUE(run(store_->commit()));
    EXPECT_TRUE(run(store_->read(named(name), 0, size))) << name;
    EXPECT_TRUE(run(store_->verify(named(name), 0, everything))->empty()) << name;
    Transaction remove;
    for (const char* copy : {"clone", "range", "shifted"}) remove.remove(named(copy));
    ASSERT_TRUE(submit(std::move(remove)));
    ASSERT_TRUE(run(store_->commit()));
  }
  EXPECT_EQ(check_media_for_names(), std::set<std::string>{});
  // The daemon goes on with all this after a crash, too.
  crash();
  open();
  EXPECT_EQ(*run(store_->read(named("good"), 0, 900'000)), BufferList(pattern(900'000, 7)));
}

/// A block that is in the page cache is still good there.
TEST_P(IntegrityTest, the_medium_is_checked_below_the_page_cache) {
  Transaction make;
  make.create_collection(0);
  make.write(named("cached"), 0, pattern(50'000, 1));
  ASSERT_TRUE(submit(std::move(make)));
  ASSERT_TRUE(run(store_->commit()));
  ASSERT_EQ(*run(store_->read(named("cached"), 0, everything)), BufferList(pattern(50'000, 1)));
  EXPECT_EQ(check_media_for_names(), std::set<std::string>{});
  ASSERT_EQ(*run(store_->read(named("cached"), 0, everything)), BufferList(pattern(50'000, 1)));
  ASSERT_GE(disk_->damage_in_place(pattern(50'000, 1).slice(3 * 4096, 4096).view()), 1);
  EXPECT_EQ(check_media_for_names(), std::set<std::string>{"cached"});
  auto read = run(store_->read(named("cached"), 0, everything));
  if (read) EXPECT_EQ(*read, BufferList(pattern(50'000, 1))) << "from a cache or not at all, but never as they are now";
}

TEST_P(IntegrityTest, digests_agree_with_those_of_another_store) {
  auto model = MemoryStore::make();
  auto both = [&](Transaction t) {
    Result<> theirs = run(model->submit(collection_, t));
    Result<> ours = submit(std::move(t));
    EXPECT_TRUE(ours && theirs);
  };
  Transaction make;
  make.create_collection(0);
  both(std::move(make));
  std::vector<ObjectId> objects;
  auto write = [&](const std::string& name, std::uint64_t offset, Buffer data) {
    Transaction t;
    t.write(named(name), offset, std::move(data));
    both(std::move(t));
    objects.push_back(named(name));
  };
  write("staged", 0, pattern(1 << 20, 1));
  for (unsigned i = 0; i < 40; ++i) write("pieces", i * 30'000, pattern(30'000, i));
  write("inline", 100, pattern(5'000, 2));
  write("sparse", 3'000'001, pattern(70'000, 3));
  write("zeros", 0, Buffer::zeros(200'000));
  write("overwritten", 0, pattern(400'000, 4));
  write("overwritten", 5'000, pattern(10'000, 5));
  Transaction t;
  t.clone(named("staged"), named("clone")).zero(named("clone"), 10'000, 500'000).truncate(named("clone"), 900'001);
  t.touch(named("empty"));
  both(std::move(t));
  objects.insert(objects.end(), {named("clone"), named("empty")});
  for (bool applied : {false, true}) {
    if (applied) ASSERT_TRUE(run(store_->commit()));
    for (const ObjectId& object : objects) {
      for (auto [offset, length] :
           {std::pair<std::uint64_t, std::uint64_t>{0, everything}, {8192, 1 << 16}, {1 << 20, 4096}}) {
        auto ours = run(store_->digest(object, offset, length));
        auto theirs = run(model->digest(object, offset, length));
        ASSERT_EQ(ours.has_value(), theirs.has_value()) << object.name;
        if (ours) EXPECT_EQ(*ours, *theirs) << object.name << " from " << offset;
      }
    }
  }
  EXPECT_NE(*run(store_->digest(named("staged"), 0, everything)), *run(store_->digest(named("clone"), 0, everything)));
  EXPECT_EQ(to_wire(run(store_->digest(named("staged"), 1, 4096)).error()), -EINVAL);
  EXPECT_EQ(to_wire(run(store_->digest(named("staged"), 0, 1)).error()), -EINVAL);
  EXPECT_EQ(to_wire(run(store_->digest(named("none"), 0, 4096)).error()), -ENOENT);
  close();
  auto inspector = Inspector::open(disk_->mount_point(), std::nullopt);
  ASSERT_TRUE(inspector);
  ASSERT_TRUE((*inspector)->objects([&](const Inspector::Entry& entry) {
    auto ours = (*inspector)->digest(entry);
    EXPECT_TRUE(ours) << entry.id.name;
    if (ours) EXPECT_EQ(*ours, *run(model->digest(entry.id, 0, everything))) << entry.id.name;
    return true;
  }));
}

TEST_P(IntegrityTest, checksums_of_a_few_blocks_stand_in_the_row_of_their_object) {
  constexpr std::uint64_t few = limits::onode_blocks_max * limits::block_bytes, many = 1 << 20;
  auto later = [this](auto change) {
    Transaction t;
    change(t);
    ASSERT_TRUE(submit(std::move(t)));
    ASSERT_TRUE(run(store_->commit()));
  };
  later([](Transaction& t) {
    t.create_collection(0);
    for (const char* name : {"small", "grown", "shrunk", "moved", "gone", "gone at once"})
      t.write(named(name), 0, pattern(few, 1)).omap_set(named(name), {{"key", Buffer::copy_of("value")}});
  });
  later([](Transaction& t) {
    t.write(named("grown"), few, pattern(many - few, 2)).write(named("shrunk"), 0, pattern(many, 3));
    t.clone(named("small"), named("clone")).add(named("renamed"), Transaction::Rename{named("moved")});
    t.remove(named("gone"));
    // It grows out of its row in the batch that removes it.
    t.write(named("gone at once"), 0, pattern(many, 4)).remove(named("gone at once"));
  });
  later([](Transaction& t) { t.truncate(named("shrunk"), few).write(named("clone"), 0, pattern(10, 5)); });
  for (const auto& [name, size] : {std::pair{"small", few}, {"grown", many}, {"shrunk", few}, {"renamed", few}})
    EXPECT_EQ(run(store_->read(named(name), 0, everything))->size(), size) << name;
  close();
  auto inspector = Inspector::open(disk_->mount_point(), std::nullopt);
  ASSERT_TRUE(inspector);
  std::map<std::string, bool> inside;
  ASSERT_TRUE((*inspector)->objects([&](const Inspector::Entry& entry) {
    inside[entry.id.name] = entry.onode.block_checksums.has_value();
    return true;
  }));
  bool ours = GetParam() == Integrity::index_checksums;
  EXPECT_EQ(inside, (std::map<std::string, bool>{
                        {"small", ours}, {"grown", false}, {"shrunk", false}, {"renamed", ours}, {"clone", ours}}));
  auto problems = (*inspector)->check(true);
  ASSERT_TRUE(problems);
  EXPECT_EQ(fmt::format("{}", fmt::join(*problems, "\n")), "");
}

TEST_P(IntegrityTest, a_media_check_keeps_its_pace_and_goes_on_where_it_stopped) {
  Transaction make;
  make.create_collection(0);
  for (unsigned i = 0; i < 20; ++i) make.write(named("o" + std::to_string(i)), 0, pattern(100'000, i));
  ASSERT_TRUE(submit(std::move(make)));
  ASSERT_TRUE(run(store_->commit()));
  Clock& clock = shard_->shard().clock();
  std::uint64_t seen = 0;
  MediaCheckOptions options{.bytes_per_second = 4'000'000, .start = {}};
  auto begin = clock.now();
  auto first = run(check_media(*store_, clock, options, {}, [&] { return ++seen <= 10; }));
  ASSERT_TRUE(first);
  EXPECT_GE(clock.now() - begin, std::chrono::milliseconds(200));  // 1 MB at 4 MB/s, the last piece not waited for
  EXPECT_EQ(first->objects, 10u);
  ASSERT_TRUE(first->next);
  options.start = first->next;
  auto second = run(check_media(*store_, clock, options, {}, {}));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->objects, 10u);
  EXPECT_EQ(second->bytes, 1'000'000u);
  EXPECT_EQ(second->bad, 0u);
  EXPECT_FALSE(second->next);
}

INSTANTIATE_TEST_SUITE_P(Integrity, IntegrityTest,
                         ::testing::Values(Integrity::index_checksums, Integrity::btrfs_checksums),
                         [](const auto& info) {
                           return info.param == Integrity::index_checksums ? "index_checksums" : "btrfs_checksums";
                         });

}  // namespace
}  // namespace spirula::filestore
