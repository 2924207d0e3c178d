#include "filestore/space.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <thread>

#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/error.h"
#include "filestore/filestore.h"
#include "filestore/inspector.h"
#include "filestore/test_disk.h"

namespace spirula::filestore {
namespace {

using testing::shell;
using testing::TestDisk;

constexpr std::uint64_t mib = 1 << 20;

btrfs::Space disk_with(std::uint64_t available) {
  return {.total = 1024 * mib,
          .used = 1024 * mib - available,
          .available = available,
          .data_free = available,
          .metadata_free = 100 * mib,
          .metadata_copies = 2,
          .unallocated = 0,
          .chunk_bytes = 100 * mib};
}

TEST(SpaceLedger, what_is_taken_stays_taken_until_a_sync) {
  SpaceLedger ledger;
  ledger.observe(disk_with(164 * mib), ledger.mark());  // the reserve is 64 MiB
  EXPECT_EQ(ledger.available(), 100 * mib);
  ASSERT_TRUE(ledger.take({60 * mib, 0}, Space::ordinary, false, nullptr));
  EXPECT_TRUE(is(ledger.take({60 * mib, 0}, Space::ordinary, false, nullptr).error(), Errc::no_space));
  EXPECT_EQ(ledger.available(), 40 * mib);
  ledger.applied({60 * mib, 0});
  ledger.observe(disk_with(104 * mib));  // it is on the disk, but nobody knows that yet
  EXPECT_EQ(ledger.available(), 40 * mib);
  std::uint64_t mark = ledger.mark();
  ASSERT_TRUE(ledger.take({10 * mib, 0}, Space::ordinary, false, nullptr));
  ledger.observe(disk_with(104 * mib), mark);
  EXPECT_EQ(ledger.available(), 30 * mib);
  ledger.give_back({10 * mib, 0});
  EXPECT_EQ(ledger.available(), 40 * mib);
  ledger.observe(disk_with(164 * mib));  // a snapshot was cleaned
  EXPECT_EQ(ledger.available(), 100 * mib);
}

TEST(SpaceLedger, the_reserve_is_for_marked_transactions_and_its_last_part_for_deletes) {
  SpaceLedger ledger;
  ledger.observe(disk_with(64 * mib), ledger.mark());
  SpaceCharge piece{mib, 0};
  EXPECT_FALSE(ledger.take(piece, Space::ordinary, false, nullptr));
  int marked = 0, deletes = 0;
  while (ledger.take(piece, Space::reserve, false, nullptr)) ++marked;
  EXPECT_EQ(marked, 48);
  while (ledger.take(piece, Space::reserve, true, nullptr)) ++deletes;
  EXPECT_EQ(deletes, 8);
}

TEST(SpaceLedger, metadata_run_out_apart_from_data) {
  SpaceLedger ledger;
  btrfs::Space space = disk_with(500 * mib);
  space.metadata_free = 33 * mib;  // 32 are the reserve
  ledger.observe(space, ledger.mark());
  EXPECT_TRUE(ledger.take({mib, mib / 2}, Space::ordinary, false, nullptr));
  EXPECT_FALSE(ledger.take({mib, mib}, Space::ordinary, false, nullptr));
  EXPECT_TRUE(ledger.take({mib, mib}, Space::reserve, false, nullptr));
  // Unallocated space counts for metadata only as far as data cannot take it.
  space.unallocated = 300 * mib;
  space.data_free = 200 * mib;
  SpaceLedger other;
  other.observe(space, other.mark());
  EXPECT_TRUE(other.take({mib, 100 * mib}, Space::ordinary, false, nullptr));
  SpaceLedger third;
  third.observe(space, third.mark());
  ASSERT_TRUE(third.take({350 * mib, 0}, Space::ordinary, false, nullptr));  // into a third chunk
  EXPECT_FALSE(third.take({mib, 2 * mib}, Space::ordinary, false, nullptr));
}

TEST(SpaceLedger, a_reservation_is_redeemed_and_the_rest_goes_back) {
  SpaceLedger ledger;
  ledger.observe(disk_with(164 * mib), ledger.mark());
  auto reservation = ledger.reserve(40 * mib, Space::ordinary);
  ASSERT_TRUE(reservation);
  std::uint64_t left = ledger.available();
  EXPECT_LT(left, 60 * mib);
  EXPECT_TRUE(is(ledger.reserve(70 * mib, Space::ordinary).error(), Errc::no_space));
  ASSERT_TRUE(ledger.take({left, 0}, Space::ordinary, false, nullptr));  // now it is full
  EXPECT_FALSE(ledger.take({mib, 0}, Space::ordinary, false, nullptr));
  EXPECT_TRUE(ledger.take({30 * mib, mib / 8}, Space::ordinary, false, reservation->get()));
  EXPECT_EQ(ledger.available(), 0u);
  EXPECT_FALSE(ledger.take({30 * mib, 0}, Space::ordinary, false, reservation->get()));
  EXPECT_TRUE(ledger.take({8 * mib, 0}, Space::ordinary, false, reservation->get()));
  reservation->reset();
  EXPECT_GT(ledger.available(), 5 * mib);
}

/// A small store that is filled until it refuses, by ordinary transactions and then by marked ones; commits, crashes
/// and is mounted again in that state; is emptied, and is as good as new.
class FullStore : public ::testing::Test {
 protected:
  void make(std::uint64_t bytes) {
    disk_ = std::make_unique<TestDisk>(TestDisk::Size{.data_bytes = bytes, .journal_bytes = 128 * mib});
    disk_->format();
  }
  void open() {
    auto opened = Filestore::open(disk_->options());
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }
  template <class T>
  T run(Task<T> task) {
    return boost::asio::co_spawn(shard_.shard().context(), std::move(task), boost::asio::use_future).get();
  }
  Result<> submit(Transaction transaction) { return run(store_->submit({1, 0}, std::move(transaction))); }
  void close() {
    run(store_->stop());
    store_.reset();
  }
  void TearDown() override {
    if (store_) close();
  }

  using Make = std::function<Transaction(unsigned number)>;
  /// Until it is refused for good: space that a commit gives back is used too.
  unsigned fill(unsigned& next, Space space, const Make& transaction) {
    unsigned count = 0;
    for (int refused = 0; refused < 4;) {
      Transaction t = transaction(next);
      t.space = space;
      Result<> done = submit(std::move(t));
      if (done) {
        ++next, ++count, refused = 0;
        continue;
      }
      EXPECT_TRUE(is(done.error(), Errc::no_space)) << done.error().message();
      if (!is(done.error(), Errc::no_space)) return count;
      ++refused;
      EXPECT_TRUE(run(store_->commit()));
    }
    return count;
  }
  static ObjectId name(unsigned number, std::size_t bytes) {
    ObjectId id;
    id.pool = 1;
    id.hash = number * 0x9e3779b1u;
    id.name = fmt::format("{:08}", number);
    id.name.resize(std::max(bytes, id.name.size()), 'n');
    id.snap = ~std::uint64_t{1};
    return id;
  }

  /// What the disk has left, with everything that was submitted in it.
  btrfs::Space left() {
    EXPECT_TRUE(run(store_->commit()));
    FileDescriptor root(::open(disk_->mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto space = btrfs::space(root.get());
    EXPECT_TRUE(space);
    return *space;
  }

  enum class Scarce { data, metadata };
  void run_through(const Make& transaction, std::size_t name_bytes, Scarce scarce) {
    open();
    Transaction begin;
    begin.create_collection(0);
    ASSERT_TRUE(submit(std::move(begin)));
    ASSERT_TRUE(run(store_->commit()));
    std::uint64_t fresh = store_->statistics().bytes_available;
    unsigned next = 0;
    unsigned ordinary = fill(next, Space::ordinary, transaction);
    EXPECT_GT(ordinary, 20u);
    constexpr std::uint64_t much = 256 * mib;  // several times both reserves
    btrfs::Space space = left();
    EXPECT_EQ(space.available > much, scarce == Scarce::metadata) << space.available;
    EXPECT_LT(space.metadata_free + space.unallocated, scarce == Scarce::metadata ? 64 * mib : much);
    unsigned marked = fill(next, Space::reserve, transaction);
    RecordProperty("ordinary", static_cast<int>(ordinary));
    RecordProperty("marked", static_cast<int>(marked));
    store_.reset();  // a crash
    open();
    ASSERT_TRUE(store_);
    close();
    open();
    ASSERT_TRUE(store_);
    for (unsigned i = 0; i < next; ++i) {
      auto stat = run(store_->stat(name(i, name_bytes)));
      ASSERT_TRUE(stat) << i << ": " << stat.error().message();
    }
    for (unsigned i = 0; i < next; ++i) {
      Transaction t;
      t.space = Space::reserve;
      t.remove(name(i, name_bytes));
      Result<> done = submit(std::move(t));
      for (int again = 0; !done && again < 10; ++again) {  // deletes, too, wait for what a commit gives back
        ASSERT_TRUE(is(done.error(), Errc::no_space)) << done.error().message();
        ASSERT_TRUE(run(store_->commit()));
        Transaction once_more;
        once_more.space = Space::reserve;
        once_more.remove(name(i, name_bytes));
        done = submit(std::move(once_more));
      }
      ASSERT_TRUE(done) << i;
    }
    bool empty = false;
    // btrfs takes ten seconds and more to make unallocated space of chunks that have fallen empty.
    for (int i = 0; i < 600 && !empty; ++i) {
      ASSERT_TRUE(run(store_->commit()));
      empty = store_->statistics().bytes_available > fresh / 10 * 9;
      if (!empty) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    EXPECT_TRUE(empty) << store_->statistics().bytes_available << " of " << fresh;
    close();
    auto inspector = Inspector::open(disk_->mount_point(), std::nullopt);
    ASSERT_TRUE(inspector);
    auto problems = (*inspector)->check(false);
    ASSERT_TRUE(problems);
    EXPECT_TRUE(problems->empty());
  }

  ShardThread shard_{"test"};
  std::unique_ptr<TestDisk> disk_;
  std::unique_ptr<Filestore> store_;
};

Buffer bytes_of(std::size_t size, unsigned seed) {
  Buffer buffer = Buffer::allocate(size, 4096);
  SeededRandom random(seed);
  random.fill({buffer.mutable_data(), size});
  return buffer;
}

TEST_F(FullStore, redeems_what_was_reserved_before_it_was_full) {
  make(640 * mib);
  open();
  Transaction begin;
  begin.create_collection(0);
  ASSERT_TRUE(submit(std::move(begin)));
  auto reservation = store_->reserve(20 * mib, Space::ordinary);
  ASSERT_TRUE(reservation);
  Buffer large = bytes_of(mib, 1);
  auto one = [&](unsigned number) {
    Transaction t;
    t.write(name(number, 0), 0, large);
    return t;
  };
  unsigned next = 0;
  fill(next, Space::ordinary, one);
  EXPECT_TRUE(is(store_->reserve(20 * mib, Space::ordinary).error(), Errc::no_space));
  for (unsigned i = 0; i < 15; ++i) {
    Transaction t = one(next++);
    t.reservation = *reservation;
    Result<> done = submit(std::move(t));
    ASSERT_TRUE(done) << i << ": " << done.error().message();
  }
  for (unsigned i = 0; i < next; ++i) ASSERT_TRUE(run(store_->stat(name(i, 0)))) << i;
}

TEST_F(FullStore, of_data_is_mounted_again_and_emptied) {
  make(640 * mib);
  Buffer large = bytes_of(mib, 1), small = bytes_of(100'000, 2);
  run_through(
      [&](unsigned number) {
        Transaction t;
        t.write(name(number, 0), 0, number % 2 ? large : small);
        t.set_attributes(name(number, 0), {{"_", small.slice(0, 250)}});
        return t;
      },
      0, Scarce::data);
}

TEST_F(FullStore, of_metadata_is_mounted_again_and_emptied) {
  make(900 * mib);
  // All of the disk that metadata could grow into belongs to data chunks, each of which keeps a little in use.
  shell("cd " + disk_->mount_point() +
        " && mkdir taken && for n in $(seq 100); do fallocate -l 1M taken/kept$n && fallocate -l 7M taken/free$n || "
        "break; done 2>/dev/null; sync -f . && rm taken/free* && sync -f .");
  Buffer small = bytes_of(8 << 10, 2);
  run_through(
      [&](unsigned number) {
        Transaction t;
        t.truncate(name(number, 9000), 20 << 10);  // too large for a slab
        t.write(name(number, 9000), 0, small);     // the name is the file's attribute too: half a leaf
        return t;
      },
      9000, Scarce::metadata);
}

TEST_F(FullStore, of_small_objects_is_mounted_again_and_emptied) {
  make(400 * mib);
  Buffer small = bytes_of(16 << 10, 2);
  run_through(
      [&](unsigned number) {
        Transaction t;
        t.write(name(number, 200), 0, small);
        return t;
      },
      200, Scarce::data);
}

}  // namespace
}  // namespace spirula::filestore
