#pragma once
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tests/crash/disk_image.h"

namespace spirula::crash {

/// Which flushes a power failure respects.
enum class FlushScope : std::uint8_t {
  disk,  ///< the parts are partitions: a flush of one makes the writes to all of them stable
  part,  ///< the parts are disks of their own: a flush speaks for its own part only
};

/// Moves an image of a disk through a recording, and makes the states a power failure at that moment can leave: what
/// was written before the last flush is there; of the later writes each is there, or not, or in pieces of 512 bytes.
/// A write of 4 KiB to a place of btrfs's superblock is never in pieces: btrfs relies on that, and so do we.
class CrashPoints {
 public:
  /// `image` is the state before the recording's first record.
  CrashPoints(DiskImage image, std::shared_ptr<const Recording> recording, unsigned btrfs_part, FlushScope scope);

  const std::vector<Record>& records() const { return records_; }
  /// Goes on to the moment after the first `count` records; never back.
  void advance(std::size_t count);
  /// A state that a power failure now can leave. Odds of a later write are drawn once per call, so that nearly all and
  /// nearly none occur as well.
  DiskImage crashed(SeededRandom random) const;
  /// Everything that was written is there.
  DiskImage complete() const;
  std::size_t unstable_count() const { return unstable_.size(); }
  std::uint64_t position() const { return at_ ? records_[at_ - 1].end : 0; }

 private:
  bool superblock(const Record& record) const;

  DiskImage stable_;
  std::shared_ptr<const Recording> recording_;
  unsigned source_, btrfs_part_;
  FlushScope scope_;
  std::vector<Record> records_;
  std::size_t at_ = 0;
  std::vector<Record> unstable_;  ///< since the flush that covers them
};

}  // namespace spirula::crash
