#include "filestore/digest.h"

#include <algorithm>
#include <array>

#include "base/crc32c.h"
#include "filestore/btrfs_checksums.h"
#include "filestore/checksum_rows.h"
#include "filestore/limits.h"
#include "filestore/onode.h"

namespace spirula::filestore {
namespace {

using limits::block_bytes;

std::uint32_t zero_block() {
  static const std::uint32_t value = block_checksum(Buffer::zeros(block_bytes).view());
  return value;
}

}  // namespace

Digest::Digest(std::uint64_t bytes)
    : blocks_((bytes + block_bytes - 1) / block_bytes), value_(crc32c(~0u, std::as_bytes(std::span(&bytes, 1)))) {}

void Digest::holes_until(std::uint64_t block) {
  static const auto zeros = [] {
    std::array<std::uint32_t, 1024> filled;
    filled.fill(zero_block());
    return filled;
  }();
  for (block = std::min(block, blocks_); at_ < block;) {
    std::size_t here = std::min<std::uint64_t>(block - at_, zeros.size());
    value_ = crc32c(value_, std::as_bytes(std::span(zeros).first(here)));
    at_ += here;
  }
}

void Digest::add(std::uint64_t first, std::span<const std::uint32_t> checksums) {
  holes_until(first);
  checksums = checksums.first(std::min<std::uint64_t>(checksums.size(), blocks_ - at_));
  if (std::ranges::find(checksums, 0u) == checksums.end()) {
    value_ = crc32c(value_, std::as_bytes(checksums));
  } else {
    for (std::uint32_t each : checksums) {
      if (each == 0) each = zero_block();
      value_ = crc32c(value_, std::as_bytes(std::span(&each, 1)));
    }
  }
  at_ += checksums.size();
}

void Digest::add_data(std::uint64_t first, ByteView data) {
  for (; !data.empty(); ++first) {
    std::size_t here = std::min<std::size_t>(data.size(), block_bytes);
    std::uint32_t crc = nonzero(crc32c_zeros(crc32c(~0u, data.first(here)), block_bytes - here));
    add(first, {&crc, 1});
    data = data.subspan(here);
  }
}

std::uint32_t Digest::finish() {
  holes_until(blocks_);
  return value_;
}

Result<> digest_file(Digest& digest, Index& index, const Index::Moment* moment, DataFiles& files, const Onode& onode,
                     std::uint64_t first, std::uint64_t end) {
  if (first >= end) return {};
  if (!files.keeps_checksums()) {
    TRY(auto file, files.open(onode, Access::blocking));
    return btrfs::data_checksums(file->fd(), first * block_bytes, (end - first) * block_bytes,
                                 [&](std::uint64_t block, std::span<const std::uint32_t> sums) {
                                   std::vector<std::uint32_t> ours(sums.begin(), sums.end());
                                   std::ranges::transform(ours, ours.begin(), nonzero);
                                   digest.add(block - first, ours);
                                 });
  }
  ChecksumRows rows(index, onode, first, end, Access::blocking, moment);
  for (; rows.valid(); rows.next()) {
    ChecksumChunk sums = rows.chunk();
    std::uint64_t begin = rows.first_block();
    std::uint64_t from = std::max(begin, first), to = std::min(begin + limits::blocks_per_chunk, end);
    digest.add(from - first, std::span(sums.crc).subspan(from - begin, to - from));
  }
  return rows.status();
}

}  // namespace spirula::filestore
