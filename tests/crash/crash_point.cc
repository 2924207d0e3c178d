#include "tests/crash/crash_point.h"

#include <algorithm>

#include "base/check.h"

namespace spirula::crash {
namespace {

/// Where btrfs keeps its superblocks: BTRFS_SUPER_INFO_OFFSET and its mirrors.
constexpr std::uint64_t superblock_offsets[] = {64 << 10, 64 << 20, std::uint64_t{256} << 30};
constexpr std::uint64_t superblock_bytes = 4096;

enum class Fate : std::uint8_t { absent, torn, whole };

/// Bytes of a torn write: a prefix, as a disk that stopped leaves, or any sectors, as a cache that drains in its own
/// order does.
std::vector<bool> torn_sectors(std::uint64_t count, Random& random) {
  std::vector<bool> kept(count);
  if (random.below(2)) {
    std::uint64_t length = random.below(count + 1);
    for (std::uint64_t i = 0; i < length; ++i) kept[i] = true;
  } else {
    for (std::uint64_t i = 0; i < count; ++i) kept[i] = random.below(2) == 0;
  }
  return kept;
}

}  // namespace

CrashPoints::CrashPoints(DiskImage image, std::shared_ptr<const Recording> recording, unsigned btrfs_part,
                         FlushScope scope)
    : stable_(std::move(image)), recording_(std::move(recording)), btrfs_part_(btrfs_part), scope_(scope) {
  source_ = stable_.add_source(recording_);
  Result<std::vector<Record>> records = recording_->records();
  CHECK(records, "the recording cannot be read");
  records_ = std::move(*records);
}

void CrashPoints::advance(std::size_t count) {
  CHECK(count >= at_ && count <= records_.size());
  for (; at_ < count; ++at_) {
    const Record& record = records_[at_];
    if (record.action != Action::flush) {
      unstable_.push_back(record);
      continue;
    }
    std::vector<Record> later;
    for (const Record& write : unstable_) {
      if (scope_ == FlushScope::disk || write.part == record.part)
        stable_.apply(source_, write);
      else
        later.push_back(write);
    }
    unstable_ = std::move(later);
  }
}

bool CrashPoints::superblock(const Record& record) const {
  if (record.part != btrfs_part_ || record.length != superblock_bytes) return false;
  return std::ranges::find(superblock_offsets, record.offset) != std::end(superblock_offsets);
}

DiskImage CrashPoints::crashed(SeededRandom random) const {
  DiskImage image = stable_;
  constexpr std::uint64_t odds_of_whole[] = {0, 10, 50, 90, 100};  // percent
  std::uint64_t whole = odds_of_whole[random.below(std::size(odds_of_whole))];
  for (const Record& record : unstable_) {
    Fate fate = random.below(100) < whole ? Fate::whole : random.below(4) == 0 ? Fate::torn : Fate::absent;
    if (fate == Fate::torn && superblock(record)) fate = Fate::absent;
    if (fate == Fate::whole) image.apply(source_, record);
    if (fate == Fate::torn) image.apply(source_, record, torn_sectors(record.length / sector_bytes, random));
  }
  return image;
}

DiskImage CrashPoints::complete() const {
  DiskImage image = stable_;
  for (const Record& record : unstable_) image.apply(source_, record);
  return image;
}

}  // namespace spirula::crash
