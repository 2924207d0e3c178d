#include "filestore/commit_schedule.h"

#include <gtest/gtest.h>

/// With a clock that is a number.
namespace spirula::filestore {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t mebibyte = 1 << 20;

class CommitScheduleTest : public ::testing::Test {
 protected:
  CommitScheduleTest() {
    schedule_.start(now_);
    situation_.size = {.journal = 100 * mebibyte, .staging = 40 * mebibyte};
    situation_.dirty_bytes_max = 32 * mebibyte;
  }
  /// A commit that takes so long, of what the journal has now.
  void commit(Duration cost) {
    MonotonicTime begin = now_;
    now_ += cost;
    schedule_.committed(begin, now_, situation_.written);
  }
  bool due() const { return schedule_.due(now_, situation_); }
  /// How long it takes until one is due, if nothing else happens; a year if it never is.
  Duration due_in() const {
    for (Duration wait{0}; wait < 1h; wait += 1ms)
      if (schedule_.due(now_ + wait, situation_)) return wait;
    return 365 * 24h;
  }

  MonotonicTime now_{1000h};
  CommitSchedule schedule_{1s, 30s};
  CommitSchedule::Situation situation_;
};

TEST_F(CommitScheduleTest, the_first_comes_after_the_shortest_interval) {
  EXPECT_EQ(due_in(), 1s);
}

TEST_F(CommitScheduleTest, a_commit_takes_a_tenth_of_the_time) {
  commit(400ms);
  EXPECT_EQ(schedule_.interval(), 4s);
  EXPECT_EQ(due_in(), 4s);
  commit(1700ms);
  EXPECT_EQ(due_in(), 17s);
  commit(120ms);
  EXPECT_EQ(due_in(), 1200ms) << "and it follows at once when they get cheaper";
}

TEST_F(CommitScheduleTest, the_interval_stays_within_its_bounds) {
  commit(1us);
  EXPECT_EQ(due_in(), 1s);
  commit(10min);
  EXPECT_EQ(due_in(), 30s);
  CommitSchedule fixed(1h, 1s);  // the lower bound counts
  fixed.start(now_);
  fixed.committed(now_, now_ + 1s, {});
  EXPECT_EQ(fixed.interval(), 1h);
}

TEST_F(CommitScheduleTest, the_interval_begins_when_the_commit_ends) {
  MonotonicTime begin = now_;
  commit(3s);
  EXPECT_FALSE(schedule_.due(begin + 30s, situation_));
  EXPECT_TRUE(schedule_.due(begin + 33s, situation_));
}

TEST_F(CommitScheduleTest, a_quarter_of_the_journal_does_not_wait) {
  commit(3s);
  situation_.written.journal = 25 * mebibyte;
  EXPECT_FALSE(due());
  ++situation_.written.journal;
  EXPECT_TRUE(due());
  commit(3s);
  EXPECT_FALSE(due()) << "what was there when it began is seen";
  situation_.written.journal += 25 * mebibyte;
  EXPECT_FALSE(due());
  ++situation_.written.journal;
  EXPECT_TRUE(due());
  schedule_.found_nothing(situation_.written);
  EXPECT_FALSE(due());
}

TEST_F(CommitScheduleTest, a_quarter_of_the_staging_rings_does_not_wait) {
  commit(3s);
  situation_.written.staging = 10 * mebibyte;
  EXPECT_FALSE(due());
  ++situation_.written.staging;
  EXPECT_TRUE(due());
  commit(3s);
  EXPECT_FALSE(due());
}

TEST_F(CommitScheduleTest, what_came_while_it_ran_counts_for_the_next) {
  MonotonicTime begin = now_;
  CommitSchedule::Rings seen = situation_.written;
  situation_.written.journal += 26 * mebibyte;
  schedule_.committed(begin, now_, seen);
  EXPECT_TRUE(due());
}

TEST_F(CommitScheduleTest, much_that_is_dirty_does_not_wait) {
  situation_.dirty_bytes = 32 * mebibyte;
  EXPECT_FALSE(due());
  ++situation_.dirty_bytes;
  EXPECT_TRUE(due());
}

TEST_F(CommitScheduleTest, nothing_comes_while_there_is_nothing_to_do) {
  situation_.settled = true;
  situation_.dirty_bytes = situation_.dirty_bytes_max + 1;
  EXPECT_EQ(due_in(), 365 * 24h);
  situation_.requested = true;
  EXPECT_TRUE(due()) << "unless somebody asks";
  situation_.requested = false;
  situation_.stuck = true;
  EXPECT_TRUE(due()) << "or a write waits for the journal";
}

TEST_F(CommitScheduleTest, the_interval_begins_anew_after_a_rest) {
  commit(100ms);
  now_ += 10s;
  EXPECT_TRUE(due());
  schedule_.rest(now_);
  EXPECT_EQ(due_in(), 1s);
}

TEST_F(CommitScheduleTest, a_nearly_full_disk_is_looked_after_five_times_a_second) {
  commit(2s);
  situation_.wants_room = true;
  EXPECT_EQ(due_in(), 200ms);
  CommitSchedule shorter(50ms, 1s);
  shorter.start(now_);
  EXPECT_TRUE(shorter.due(now_ + 50ms, situation_)) << "but not more seldom than without";
}

}  // namespace
}  // namespace spirula::filestore
