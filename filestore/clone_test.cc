#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <sstream>

#include "base/random.h"
#include "filestore/inspector.h"
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
    t.write(named(range.name), 0, pattern(20'000, 3));
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

// Clones share rows of checksums too (index_checksums); what each has is its own all the same, whoever goes first.
TEST_P(CloneTest, of_clones_keep_what_they_have_whatever_becomes_of_the_others) {
  auto named_at = [](std::uint64_t snap) {
    ObjectId id = named("source");
    id.snap = snap;
    return id;
  };
  const ObjectId head = named("source");
  std::map<std::uint64_t, Buffer> known;  // what each has, by its snapshot
  Buffer now = pattern(size, 1);
  SeededRandom random(7);
  std::uint64_t seed = 100;
  auto change = [&](std::uint64_t offset, std::uint64_t length) {
    Buffer changed = Buffer::copy_of(now.view()), piece = pattern(length, ++seed);
    std::memcpy(changed.mutable_data() + offset, piece.data(), length);
    now = changed;
    Transaction t;
    t.write(head, offset, piece);
    ASSERT_TRUE(submit(std::move(t)));
  };
  auto check = [&] {
    ASSERT_EQ(*run(store_->read(head, 0, size)), BufferList(now));
    for (const auto& [snap, data] : known) {
      ASSERT_EQ(*run(store_->read(named_at(snap), 0, size)), BufferList(data)) << snap;
      // Of one row, and without reading.
      ASSERT_EQ(*run(store_->read(named_at(snap), mebibyte, block)), BufferList(data.slice(mebibyte, block))) << snap;
      ASSERT_EQ(run(store_->digest(named_at(snap), 0, size)).has_value(), true) << snap;
      auto bad = run(store_->verify(named_at(snap), 0, size));
      ASSERT_TRUE(bad && bad->empty()) << snap;
    }
  };
  std::uint64_t digest_of_first = *run(store_->digest(head, 0, size));
  for (std::uint64_t snap = 1; snap <= 24; ++snap) {
    Transaction t;
    t.clone(head, named_at(snap));
    ASSERT_TRUE(submit(std::move(t)));
    known[snap] = now;
    // Nothing, a little, or most of it changes; at times a part becomes a hole.
    for (std::uint64_t i = 0; i < snap % 4 * 4; ++i) change(random.below(size / block - 1) * block + i % 2 * 7, block);
    if (snap % 5 == 0) change(mebibyte / 2, 3 * mebibyte);
    if (snap % 6 == 0) {
      Buffer cut = Buffer::copy_of(now.view());
      std::memset(cut.mutable_data() + mebibyte, 0, size - mebibyte);
      now = cut;
      Transaction zero;
      zero.truncate(head, mebibyte);
      zero.truncate(head, size);
      ASSERT_TRUE(submit(std::move(zero)));
    }
    if (snap % 3 == 0) {  // one goes: the oldest, or any
      auto goes = snap % 2 ? known.begin() : std::next(known.begin(), static_cast<long>(random.below(known.size())));
      Transaction remove;
      remove.remove(named_at(goes->first));
      ASSERT_TRUE(submit(std::move(remove)));
      known.erase(goes);
    }
    if (snap % 8 == 0) {
      check();
      if (HasFatalFailure()) return;
      crash();
      open();
    }
  }
  check();
  EXPECT_EQ(*run(store_->digest(named_at(known.begin()->first), 0, size)) == digest_of_first,
            known.begin()->second == pattern(size, 1));
  // An object of another hash may come to lie in another collection: it has its own.
  Transaction move;
  ObjectId elsewhere = named("elsewhere");
  elsewhere.hash = head.hash ^ 1;
  move.add(elsewhere, Transaction::Rename{head});
  move.clone(named_at(known.begin()->first), named("copy"));
  ASSERT_TRUE(submit(std::move(move)));
  ASSERT_TRUE(run(store_->commit()));
  EXPECT_EQ(*run(store_->read(elsewhere, 0, size)), BufferList(now));
  for (const auto& [snap, data] : known) {
    EXPECT_EQ(*run(store_->read(named_at(snap), 0, size)), BufferList(data));
    Transaction remove;
    remove.remove(named_at(snap));
    ASSERT_TRUE(submit(std::move(remove)));
  }
  EXPECT_EQ(*run(store_->read(named("copy"), 0, size)), BufferList(known.begin()->second));
  close();
  auto inspector = Inspector::open(disk_->mount_point(), std::nullopt);
  ASSERT_TRUE(inspector);
  auto problems = (*inspector)->check(true);
  ASSERT_TRUE(problems);
  EXPECT_EQ(fmt::format("{}", fmt::join(*problems, "\n")), "");
}

INSTANTIATE_TEST_SUITE_P(Integrity, CloneTest,
                         ::testing::Values(Integrity::index_checksums, Integrity::btrfs_checksums),
                         [](const auto& info) {
                           return info.param == Integrity::index_checksums ? "index_checksums" : "btrfs_checksums";
                         });

}  // namespace
}  // namespace spirula::filestore
