#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tests/crash/recording.h"

namespace spirula::crash {

inline constexpr std::uint64_t sector_bytes = 512;

/// The contents of a disk, as a table that says for each sector in which recording its newest bytes stand. So the state
/// at any moment costs no copy of data, and a fork() of the process is a snapshot of it.
class DiskImage {
 public:
  /// Blank parts of these sizes (multiples of 4096).
  explicit DiskImage(const std::vector<std::uint64_t>& part_sizes);

  /// `recording` must stay readable as long as the image is used; the number is for apply().
  unsigned add_source(std::shared_ptr<const Recording> recording);
  /// Carries out a record of that source. The sectors of `torn` (one flag a sector of the record) that are false keep
  /// what they had; an empty `torn` means all.
  void apply(unsigned source, const Record& record, const std::vector<bool>& torn = {});
  Result<> read(unsigned part, std::uint64_t offset, std::span<std::byte> bytes) const;

  unsigned part_count() const { return static_cast<unsigned>(parts_.size()); }
  std::uint64_t size(unsigned part) const { return parts_[part].size() * sector_bytes; }

 private:
  /// 0: zeros. Otherwise source + 1 in the top 16 bits, position in it below.
  using Sector = std::uint64_t;
  std::vector<std::vector<Sector>> parts_;
  std::vector<std::shared_ptr<const Recording>> sources_;
};

}  // namespace spirula::crash
