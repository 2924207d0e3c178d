#include "tests/crash/disk_image.h"

#include <cstring>

#include "base/check.h"

namespace spirula::crash {
namespace {
constexpr unsigned source_shift = 48;
constexpr std::uint64_t position_mask = (std::uint64_t{1} << source_shift) - 1;
}  // namespace

DiskImage::DiskImage(const std::vector<std::uint64_t>& part_sizes) {
  for (std::uint64_t size : part_sizes) {
    CHECK(size % 4096 == 0);
    parts_.emplace_back(size / sector_bytes, 0);
  }
}

unsigned DiskImage::add_source(std::shared_ptr<const Recording> recording) {
  sources_.push_back(std::move(recording));
  return static_cast<unsigned>(sources_.size() - 1);
}

void DiskImage::apply(unsigned source, const Record& record, const std::vector<bool>& torn) {
  if (record.action == Action::flush) return;
  CHECK(source < sources_.size() && record.part < parts_.size());
  CHECK(record.offset % sector_bytes == 0 && record.length % sector_bytes == 0);
  CHECK(record.offset + record.length <= size(record.part));
  Sector* sectors = parts_[record.part].data() + record.offset / sector_bytes;
  std::uint64_t count = record.length / sector_bytes;
  std::uint64_t name = std::uint64_t{source + 1} << source_shift;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!torn.empty() && !torn[i]) continue;
    sectors[i] = record.action == Action::write ? name | (record.payload + i * sector_bytes) : 0;
  }
}

Result<> DiskImage::read(unsigned part, std::uint64_t offset, std::span<std::byte> bytes) const {
  CHECK(part < parts_.size() && offset % sector_bytes == 0 && bytes.size() % sector_bytes == 0);
  if (offset > size(part) || bytes.size() > size(part) - offset) return Errc::invalid;
  const Sector* sectors = parts_[part].data() + offset / sector_bytes;
  std::uint64_t count = bytes.size() / sector_bytes;
  for (std::uint64_t first = 0; first < count;) {
    std::uint64_t last = first + 1;
    bool zero = sectors[first] == 0;
    while (last < count && sectors[last] == (zero ? 0 : sectors[first] + (last - first) * sector_bytes)) ++last;
    auto run = bytes.subspan(first * sector_bytes, (last - first) * sector_bytes);
    if (zero) {
      std::memset(run.data(), 0, run.size());
    } else {
      const Recording& source = *sources_[(sectors[first] >> source_shift) - 1];
      TRY(source.read(sectors[first] & position_mask, run));
    }
    first = last;
  }
  return {};
}

}  // namespace spirula::crash
