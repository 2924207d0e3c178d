#include <gtest/gtest.h>

#include <thread>

#include "filestore/store_fixture.h"

/// When commits come by themselves, and that their interval follows their cost within the bounds of the options.
namespace spirula::filestore {
namespace {

using namespace std::chrono_literals;
using testing::named;
using testing::pattern;

constexpr std::uint64_t mebibyte = 1 << 20;

class CommitTest : public testing::StoreFixture {
 protected:
  void SetUp() override {}
  /// A store on a new disk.
  void make(std::chrono::milliseconds interval_min, std::chrono::milliseconds interval_max,
            std::uint64_t journal_bytes = 128 * mebibyte, std::uint64_t staging_ring_bytes = 0) {
    if (store_) close();
    disk_.reset();
    disk_ = std::make_unique<testing::TestDisk>(
        testing::TestDisk::Size{.data_bytes = 1024 * mebibyte, .journal_bytes = journal_bytes});
    disk_->format();
    FilestoreOptions options = disk_->options();
    options.commit_interval_min = interval_min;
    options.commit_interval_max = interval_max;
    options.staging_ring_bytes = staging_ring_bytes;
    auto opened = Filestore::open(options);
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
    Transaction t;
    t.create_collection(0);
    ASSERT_TRUE(submit(std::move(t)));
    ASSERT_TRUE(run(store_->commit()));
  }
  std::uint64_t commits() { return store_->commit_statistics().commits; }
  /// So many bytes in pieces that take the journal, some over others.
  void write(std::uint64_t bytes) {
    constexpr std::uint64_t piece = 100'000;
    for (std::uint64_t at = 0; at < bytes; at += piece, ++count_) {
      Transaction t;
      t.write(named(std::to_string(count_ % 50)), 0, pattern(piece, count_));
      ASSERT_TRUE(submit(std::move(t)));
    }
  }
  /// Whether a commit comes within that time.
  bool commit_within(std::chrono::milliseconds time, std::uint64_t before) {
    for (auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;) {
      if (commits() > before) return true;
      std::this_thread::sleep_for(10ms);
    }
    return commits() > before;
  }
  unsigned count_ = 0;
};

TEST_F(CommitTest, the_interval_follows_the_cost_within_its_bounds) {
  make(1ms, 1h);
  write(mebibyte);
  ASSERT_TRUE(run(store_->commit()));
  CommitStatistics now = store_->commit_statistics();
  EXPECT_GE(now.interval, 10 * (now.presync_last + now.hold_last)) << "a tenth of the time at most";
  EXPECT_LT(now.interval, 1h);
  make(1h, 2h);
  EXPECT_EQ(store_->commit_statistics().interval, 1h);
  make(1ms, 1ms);
  EXPECT_EQ(store_->commit_statistics().interval, 1ms);
}

TEST_F(CommitTest, comes_when_the_interval_has_passed_and_not_when_nothing_has_happened) {
  make(300ms, 300ms);
  std::uint64_t before = commits();
  write(100'000);
  EXPECT_TRUE(commit_within(10s, before));
  // One more, which lets go of the past; then there is peace.
  for (before = commits(); commit_within(1s, before); before = commits()) ASSERT_LT(before, 20u);
}

TEST_F(CommitTest, comes_early_when_a_quarter_of_the_journal_is_written) {
  make(1h, 1h, 64 * mebibyte);
  std::uint64_t before = commits();
  write(10 * mebibyte);
  EXPECT_FALSE(commit_within(500ms, before));
  write(8 * mebibyte);
  EXPECT_TRUE(commit_within(10s, before));
}

TEST_F(CommitTest, comes_early_when_much_is_dirty) {
  make(1h, 1h, 512 * mebibyte);
  std::uint64_t before = commits(), journal = store_->journal_bytes();
  write(20 * mebibyte);
  EXPECT_FALSE(commit_within(500ms, before));
  write(20 * mebibyte);
  EXPECT_TRUE(commit_within(10s, before));
  EXPECT_LT(store_->journal_bytes() - journal, 512 * mebibyte / 4) << "the journal alone would not have asked";
}

TEST_F(CommitTest, comes_before_the_staging_rings_are_full) {
  make(1h, 1h, 512 * mebibyte, 8 * mebibyte);
  std::uint64_t before = commits(), journal = store_->journal_bytes(), written = 0;
  for (unsigned round = 0; round < 8; ++round, before = commits()) {
    // Five ask for a commit; more when some met the one before, and went through the journal for that.
    for (unsigned i = 0; i < 5 || !commit_within(1s, before); ++i) {
      ASSERT_LT(i, 10u) << "in round " << round;
      Transaction t;
      t.write(named(std::to_string(i % 4)), 0, pattern(mebibyte, i));
      ASSERT_TRUE(submit(std::move(t)));
      written += mebibyte;
    }
  }
  // Each that met a commit needed another one.
  EXPECT_LT(store_->journal_bytes() - journal, 8 * mebibyte + (written - 40 * mebibyte))
      << "or payloads go through the journal, and are written twice";
}

}  // namespace
}  // namespace spirula::filestore
