#include "filestore/apply_lanes.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "filestore/store_fixture.h"

namespace spirula::filestore {
namespace {

using namespace std::chrono_literals;

/// One lane over an index, with transactions that need no data files.
class ApplyLanesTest : public ::testing::Test {
 protected:
  ApplyLanesTest() {
    char path[] = "/tmp/spirula-lanes-XXXXXX";
    path_ = ::mkdtemp(path);
    FileDescriptor here(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    FileDescriptor again(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto index = Index::open(path_ + "/index", 16 << 20, true);
    EXPECT_TRUE(index);
    index_ = std::move(*index);
    files_ = std::make_unique<DataFiles>(std::move(here), Integrity::index_checksums);
    staging_ = std::make_unique<StagingFiles>(std::move(again));
    options_.apply_threads = 1;
    lanes_ = std::make_unique<ApplyLanes>(
        JournalPosition{}, *index_, *files_, *staging_, counters_, options_,
        [this](auto submissions) { applied_.fetch_add(submissions.size()); },
        [](std::error_code why) { FAIL() << why.message(); });
  }
  ~ApplyLanesTest() override {
    lanes_.reset();
    index_.reset();
    std::filesystem::remove_all(path_);
  }
  void enqueue(unsigned count) {
    std::vector<SubmissionPointer> submissions;
    while (count--) {
      auto submission = std::make_shared<Submission>();
      submission->transaction.touch(testing::named(std::to_string(++last_)));
      submission->sequence = last_;
      submission->end = {last_, 0, last_ * 4096};
      submission->bytes = 5'000;
      submissions.push_back(std::move(submission));
    }
    lanes_->enqueue(submissions);
  }
  /// Whether so many get applied.
  bool applies(unsigned count) {
    for (int i = 0; i < 500 && applied_.load() < count; ++i) std::this_thread::sleep_for(10ms);
    return applied_.load() == count;
  }
  /// The first is taken on at once; the next would have to wait for an hour.
  void go_slowly() {
    lanes_->pace(1);
    enqueue(1);
    ASSERT_TRUE(applies(1));
    EXPECT_EQ(lanes_->bytes_begun(), 5'000u);
    enqueue(3);
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(applied_.load(), 1u);
  }

  std::string path_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<DataFiles> files_;
  std::unique_ptr<StagingFiles> staging_;
  ApplyCounters counters_;
  FilestoreOptions options_;
  std::atomic<unsigned> applied_{0};
  std::uint64_t last_ = 0;
  std::unique_ptr<ApplyLanes> lanes_;
};

TEST_F(ApplyLanesTest, keep_their_pace_until_they_are_released) {
  go_slowly();
  lanes_->release();
  EXPECT_TRUE(applies(4));
}

TEST_F(ApplyLanesTest, are_held_behind_what_has_begun) {
  go_slowly();
  auto place = lanes_->hold(0);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->sequence, 1u);
  EXPECT_EQ(place->offset, 4096u);
  EXPECT_EQ(lanes_->reached().sequence, 4u);
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(applied_.load(), 1u);
  lanes_->release();
  EXPECT_TRUE(applies(4));
}

TEST_F(ApplyLanesTest, are_held_behind_everything) {
  go_slowly();
  auto place = lanes_->hold();
  ASSERT_TRUE(place);
  EXPECT_EQ(place->sequence, 4u);
  EXPECT_EQ(applied_.load(), 4u) << "whatever the pace";
}

TEST_F(ApplyLanesTest, are_held_behind_something_newer) {
  go_slowly();
  auto place = lanes_->hold(1);  // nothing behind it has begun
  ASSERT_TRUE(place);
  EXPECT_EQ(place->sequence, 4u);
  EXPECT_EQ(applied_.load(), 4u);
}

}  // namespace
}  // namespace spirula::filestore
