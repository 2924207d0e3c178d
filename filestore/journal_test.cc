#include "filestore/journal.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/random.h"
#include "filestore/error.h"
#include "filestore/limits.h"
#include "filestore/memory_device.h"
#include "filestore/test_disk.h"

namespace spirula::filestore {
namespace {

using testing::Medium;
using testing::MemoryDevice;

constexpr StoreUuid store{1, 2, 3}, another{9};

class JournalTest : public ::testing::Test {
 protected:
  void format() {
    MemoryDevice device(medium_);
    ASSERT_TRUE(Journal::format(device, store));
  }
  std::unique_ptr<Journal> open() {
    auto journal = Journal::open(std::make_unique<MemoryDevice>(medium_), store);
    EXPECT_TRUE(journal);
    return std::move(*journal);
  }
  struct Replayed {
    JournalPosition end;
    std::vector<std::string> bodies;
  };
  static Replayed replay(Journal& journal, JournalPosition from = {}) {
    Replayed replayed;
    auto end = journal.replay(from, [&](JournalPosition, const Buffer& body) -> Result<> {
      replayed.bodies.emplace_back(body.slice(4).text());  // without the description's length
      return {};
    });
    EXPECT_TRUE(end);
    replayed.end = *end;
    return replayed;
  }
  /// Waits until all appended entries have been answered.
  void start(Journal& journal, JournalPosition at, JournalPosition tail) {
    answered_ = 0;
    sequence_ = at.sequence;
    auto answer = [this](Journal::EntryList& entries, Result<> result) {
      std::lock_guard lock(mutex_);
      for (auto& each : entries) ends_.push_back(each->end);
      answered_ += entries.size();
      result_ = result;
      more_.notify_all();
    };
    ASSERT_TRUE(journal.start(at, tail, answer, [](std::uint64_t) { return true; }));
  }
  void append(Journal& journal, const std::string& text) {
    auto entry = std::make_shared<Journal::Entry>();
    entry->record.payload = BufferList(Buffer::copy_of(text));
    entry->sequence = ++sequence_;
    journal.append(entry);
  }
  void wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    more_.wait(lock, [&] { return answered_ >= count; });
  }
  void write(Journal& journal, const std::vector<std::string>& texts) {
    std::size_t before = answered_;
    for (const auto& text : texts) {
      append(journal, text);
      journal.kick();
      wait(++before);
    }
  }

  Medium medium_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::size_t answered_ = 0;
  std::uint64_t sequence_ = 0;
  std::vector<JournalPosition> ends_;
  Result<> result_;
};

TEST_F(JournalTest, is_bound_to_its_store) {
  auto none = Journal::open(std::make_unique<MemoryDevice>(medium_), store);
  ASSERT_FALSE(none);
  EXPECT_TRUE(is(none.error(), Errc::not_found));
  format();
  auto foreign = Journal::open(std::make_unique<MemoryDevice>(medium_), another);
  ASSERT_FALSE(foreign);
  EXPECT_TRUE(is(foreign.error(), Errc::stale));
  medium_.size = 1 << 20;
  MemoryDevice small(medium_);
  EXPECT_TRUE(is(Journal::format(small, store).error(), Errc::no_space));
}

TEST_F(JournalTest, replays_what_was_written_and_groups_what_waited) {
  format();
  auto journal = open();
  start(*journal, {}, {});
  write(*journal, {"one", "", std::string(10'000, 'x')});
  std::size_t writes = medium_.writes.size();
  for (int i = 0; i < 20; ++i) append(*journal, "group" + std::to_string(i));
  journal->kick();
  wait(23);
  EXPECT_EQ(medium_.writes.size(), writes + 1);
  journal->stop();
  auto again = open();
  Replayed all = replay(*again);
  ASSERT_EQ(all.bodies.size(), 23u);
  EXPECT_EQ(all.bodies[0], "one");
  EXPECT_EQ(all.bodies[2].size(), 10'000u);
  EXPECT_EQ(all.bodies[22], "group19");
  EXPECT_EQ(all.end.sequence, 23u);
  Replayed rest = replay(*again, ends_[10]);  // from the middle of a group
  ASSERT_EQ(rest.bodies.size(), 12u);
  EXPECT_EQ(rest.bodies[0], "group8");
}

TEST_F(JournalTest, a_torn_tail_ends_the_log_and_is_never_read_again) {
  format();
  {
    auto journal = open();
    start(*journal, {}, {});
    write(*journal, {"a", "b", std::string(9'000, 'c'), "d", "e"});
    journal->stop();
  }
  // Power fails while "c" is written: a sector of it is missing, but "d" and "e", behind it, are there.
  std::uint64_t torn = medium_.writes[medium_.writes.size() - 3].first;
  std::memset(medium_.bytes.data() + torn + 4096, 0, 512);
  JournalPosition end;
  {
    auto journal = open();
    Replayed found = replay(*journal);
    EXPECT_EQ(found.bodies, (std::vector<std::string>{"a", "b"}));
    end = found.end;
    start(*journal, end, {});
    write(*journal, {std::string(9'000, 'C')});  // stands where "c" stood, and "d" behind it is intact still
    journal->stop();
  }
  auto journal = open();
  Replayed found = replay(*journal);
  ASSERT_EQ(found.bodies.size(), 3u);
  EXPECT_EQ(found.bodies[2][0], 'C');
}

TEST_F(JournalTest, every_tear_of_a_write_is_recognised) {
  format();
  {
    auto journal = open();
    start(*journal, {}, {});
    write(*journal, {"kept", std::string(6'000, 'z')});
    journal->stop();
  }
  auto [offset, length] = medium_.writes.back();
  std::vector<std::byte> whole = medium_.bytes;
  for (std::uint64_t sector = 0; sector < length; sector += 512) {
    medium_.bytes = whole;
    // The padding behind the record may tear unseen: it says nothing.
    if (sector >= 48 + 4 + 6'000) break;
    for (std::uint64_t i = 0; i < 512; ++i) medium_.bytes[offset + sector + i] ^= std::byte{0xff};
    auto journal = open();
    EXPECT_EQ(replay(*journal).bodies.size(), 1u) << sector;
  }
}

TEST_F(JournalTest, wraps_and_never_overwrites_what_is_needed) {
  format();
  auto journal = open();
  start(*journal, {}, {});
  SeededRandom random(7);
  std::vector<std::string> texts;
  std::size_t kept = 0;  // the first record that must stay
  for (int i = 0; i < 200; ++i) {
    texts.emplace_back(random.below(4 << 20) + 1, static_cast<char>('a' + i % 26));
    // As a commit would: once a third of the ring is used, all but the last few are let go.
    if (journal->fill() > 0.33) {
      kept = ends_.size() - 2;
      journal->trim(ends_[kept - 1]);
    }
    write(*journal, {texts.back()});
  }
  EXPECT_GT(ends_.back().lap, 3u);
  journal->stop();
  auto again = open();
  Replayed found = replay(*again, ends_[kept - 1]);
  ASSERT_EQ(found.bodies.size(), texts.size() - kept);
  for (std::size_t i = 0; i < found.bodies.size(); ++i) EXPECT_EQ(found.bodies[i], texts[kept + i]);
}

TEST_F(JournalTest, a_full_ring_waits_for_room) {
  format();
  auto journal = open();
  start(*journal, {}, {});
  for (int i = 0; i < 20; ++i) append(*journal, std::string(5 << 20, 'f'));
  journal->kick();
  std::size_t fit = (limits::journal_bytes_min - 8192) / (5 << 20);
  wait(fit);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(answered_, fit);
  EXPECT_TRUE(journal->starved());
  journal->trim(ends_[fit - 2]);
  wait(20 - (fit - 1) < fit ? fit + 1 : 20);
  journal->trim(ends_.back());
  wait(20);
  journal->stop();
}

TEST_F(JournalTest, a_failed_write_is_final) {
  format();
  auto journal = open();
  medium_.fail_after = 2;  // the superblock and one record
  start(*journal, {}, {});
  write(*journal, {"good"});
  EXPECT_TRUE(result_);
  write(*journal, {"bad"});
  EXPECT_FALSE(result_);
  write(*journal, {"never"});
  EXPECT_FALSE(result_);
  journal->stop();
  medium_.fail_after = -1;
  auto again = open();
  EXPECT_EQ(replay(*again).bodies, std::vector<std::string>{"good"});
}

TEST(JournalDevice, both_engines_write_durably) {
  testing::TestDisk disk;
  for (auto engine : {FilestoreOptions::JournalEngine::io_uring, FilestoreOptions::JournalEngine::libaio}) {
    auto device = open_journal_device(disk.journal_device(), engine);
    ASSERT_TRUE(device) << device.error().message();
    Buffer block = Buffer::allocate(8192, 4096);
    std::memset(block.mutable_data(), 0x5a, 8192);
    ASSERT_TRUE((*device)->write(4096, block.view()));
    ASSERT_TRUE((*device)->write(16384, block.view()));
    Buffer back = Buffer::allocate(8192, 4096);
    ASSERT_TRUE((*device)->read(16384, {back.mutable_data(), 8192}));
    EXPECT_EQ(back, block);
    (*device)->interrupt();
    EXPECT_TRUE(is((*device)->wait().error(), Errc::cancelled));
  }
}

}  // namespace
}  // namespace spirula::filestore
