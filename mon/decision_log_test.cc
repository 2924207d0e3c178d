#include "mon/decision_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "mon/test_storage.h"

namespace spirula::mon {
namespace {

struct DecisionLogTest : testing::Test {
  MemoryStorage::Disk disk;
  DecisionLog::Restored restored;
  std::unique_ptr<DecisionLog> log;

  DecisionLogTest() {
    MemoryStorage storage(disk);
    EXPECT_TRUE(DecisionLog::create(storage, Buffer::copy_of("initial")));
  }
  Result<> reopen() {
    restored = {};
    auto opened = DecisionLog::open(std::make_unique<MemoryStorage>(disk), restored);
    if (!opened) return opened.error();
    log = std::move(*opened);
    return {};
  }
  Result<> append(std::string text) { return log->append(Buffer::copy_of(text)); }
  std::string contents() {
    std::string text = restored.checkpoint.to_string();
    for (auto& [number, record] : restored.records) text += fmt::format(" {}:{}", number, record.text());
    return text;
  }
  std::string& file(const char* name) { return disk.files[name]; }
  static constexpr const char* first_log = "log.00000000000000000000";
};

TEST_F(DecisionLogTest, what_was_appended_comes_back) {
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "initial");
  ASSERT_TRUE(append("one"));
  ASSERT_TRUE(append("two"));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "initial 1:one 2:two");
  ASSERT_TRUE(append("three"));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "initial 1:one 2:two 3:three");
  EXPECT_EQ(restored.note, "");
}

TEST_F(DecisionLogTest, torn_tail_is_cut_at_any_length) {
  ASSERT_TRUE(reopen());
  ASSERT_TRUE(append("one"));
  std::size_t kept = file(first_log).size();
  ASSERT_TRUE(append("two"));
  std::string whole = file(first_log);
  for (std::size_t length = kept; length < whole.size(); ++length) {
    file(first_log) = whole.substr(0, length);
    ASSERT_TRUE(reopen()) << length;
    EXPECT_EQ(contents(), "initial 1:one");
    EXPECT_EQ(restored.note.empty(), length == kept);
    ASSERT_TRUE(append("again"));
    ASSERT_TRUE(reopen());
    EXPECT_EQ(contents(), "initial 1:one 2:again");
  }
}

TEST_F(DecisionLogTest, damage_in_the_middle_stops_with_its_offset) {
  ASSERT_TRUE(reopen());
  ASSERT_TRUE(append("one"));
  std::size_t second = file(first_log).size();
  ASSERT_TRUE(append("two"));
  std::size_t third = file(first_log).size();
  ASSERT_TRUE(append("three"));
  std::string whole = file(first_log);
  for (std::size_t at = second; at < third; ++at) {
    file(first_log) = whole;
    file(first_log)[at] ^= 0x40;
    auto opened = reopen();
    ASSERT_FALSE(opened) << at;
    EXPECT_EQ(opened.error(), Errc::malformed);
    EXPECT_NE(restored.problem.find(fmt::format("damaged at offset {}", second)), std::string::npos)
        << restored.problem;
  }
  file(first_log) = whole;
  file(first_log).back() ^= 1;  // the last record: a tail
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "initial 1:one 2:two");
}

TEST_F(DecisionLogTest, full_disk_refuses_and_goes_on_when_there_is_room) {
  ASSERT_TRUE(reopen());
  ASSERT_TRUE(append("one"));
  for (std::size_t room = 0; room < 20; ++room) {
    disk.room = room;
    auto refused = append("does not fit");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::no_space);
  }
  disk.room = SIZE_MAX;
  ASSERT_TRUE(append("two"));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "initial 1:one 2:two");
}

TEST_F(DecisionLogTest, failed_sync_is_never_retried) {
  ASSERT_TRUE(reopen());
  disk.sync_fails = true;
  EXPECT_EQ(append("one").error(), Errc::outcome_unknown);
  disk.sync_fails = false;
  EXPECT_EQ(append("two").error(), Errc::outcome_unknown);
  EXPECT_EQ(log->checkpoint(Buffer::copy_of("state")).error(), Errc::outcome_unknown);
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "initial 1:one");
  ASSERT_TRUE(append("two"));
}

TEST_F(DecisionLogTest, checkpoints_replace_records_and_one_bad_one_loses_nothing) {
  ASSERT_TRUE(reopen());
  for (int i = 1; i <= 9; ++i) {
    ASSERT_TRUE(append(std::to_string(i)));
    if (i % 3 == 0) {
      ASSERT_TRUE(log->checkpoint(Buffer::copy_of(fmt::format("state{}", i))));
    }
  }
  ASSERT_TRUE(append("10"));
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "state9 10:10");
  EXPECT_EQ(disk.files.size(), 4u);  // two checkpoints, two logs
  file("checkpoint.00000000000000000009")[25] ^= 1;
  ASSERT_TRUE(reopen());
  EXPECT_EQ(contents(), "state6 7:7 8:8 9:9 10:10");
  ASSERT_TRUE(append("11"));
  disk.files.erase("log.00000000000000000006");
  EXPECT_EQ(reopen().error(), Errc::malformed);
}

TEST_F(DecisionLogTest, empty_directory_and_second_mkfs_are_refused) {
  MemoryStorage storage(disk);
  EXPECT_EQ(DecisionLog::create(storage, Buffer{}).error(), Errc::exists);
  disk.files.clear();
  EXPECT_EQ(reopen().error(), Errc::not_found);
}

}  // namespace
}  // namespace spirula::mon
