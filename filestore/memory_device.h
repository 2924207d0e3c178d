#pragma once
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "filestore/journal_device.h"
#include "filestore/limits.h"

/// For tests: a device in memory whose bytes outlive the JournalDevice, so that a test may tear, keep or bring back
/// what it likes.
namespace spirula::filestore::testing {

struct Medium {
  explicit Medium(std::size_t bytes_kept = limits::journal_bytes_min) : bytes(bytes_kept) {}
  std::uint64_t size = limits::journal_bytes_min;
  std::vector<std::byte> bytes;  ///< the beginning; behind it are zeros, and nothing may be written
  int fail_after = -1;           ///< writes that succeed before all fail
  std::vector<std::pair<std::uint64_t, std::uint64_t>> writes;
};

class MemoryDevice final : public JournalDevice {
 public:
  explicit MemoryDevice(Medium& medium) : medium_(medium) {}
  std::uint64_t size() const override { return medium_.size; }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    CHECK(offset + into.size() <= medium_.size);
    std::memset(into.data(), 0, into.size());
    if (offset < medium_.bytes.size())
      std::memcpy(into.data(), medium_.bytes.data() + offset,
                  std::min<std::size_t>(into.size(), medium_.bytes.size() - offset));
    return {};
  }
  Result<> start_write(std::uint64_t offset, ByteView bytes) override {
    std::lock_guard lock(mutex_);
    CHECK(offset % journal_block_bytes == 0 && bytes.size() % journal_block_bytes == 0);
    CHECK(offset + bytes.size() <= medium_.bytes.size());
    if (medium_.fail_after == 0) {
      done_.push_back(Errc::io);
    } else {
      if (medium_.fail_after > 0) --medium_.fail_after;
      std::memcpy(medium_.bytes.data() + offset, bytes.data(), bytes.size());
      medium_.writes.emplace_back(offset, bytes.size());
      done_.push_back({});
    }
    more_.notify_one();
    return {};
  }
  Result<> wait() override {
    std::unique_lock lock(mutex_);
    more_.wait(lock, [this] { return !done_.empty(); });
    Result<> result = done_.front();
    done_.pop_front();
    return result;
  }
  void interrupt() override {
    std::lock_guard lock(mutex_);
    done_.push_back(Errc::cancelled);
    more_.notify_one();
  }
  const char* engine() const override { return "memory"; }

 private:
  Medium& medium_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Result<>> done_;
};

}  // namespace spirula::filestore::testing
