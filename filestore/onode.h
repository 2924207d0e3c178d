#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/codec.h"
#include "filestore/limits.h"

namespace spirula::filestore {

/// What the index knows about one object; its attributes with it, because nearly every operation reads or writes some.
struct Onode {
  static constexpr std::uint8_t version = 5, compat = 5;
  std::uint64_t id = 0;
  std::uint64_t size = 0;
  bool has_file = false;    ///< data in a file of objects/ (and, unless btrfs keeps them, checksums in the index)
  bool has_inline = false;  ///< data in the index; neither: all of it is a hole
  bool has_omap = false;    ///< false: there are no entries; true: there may be
  bool has_header = false;
  std::map<std::string, Buffer> attributes;
  bool has_damage = false;  ///< Integrity::btrfs_checksums: rows of checksums may be there and mark blocks as bad
  /// Clones share rows of checksums as they share extents. The object's own rows stand under the first id (0: its own)
  /// and count before those under the second (0: it shares none), which nobody changes any more and which are there as
  /// long as a row of the index counts objects that share them. While an object shares rows, one of its own is there
  /// for each that it has changed, even if all of it is a hole.
  std::uint64_t checksums = 0, shared_checksums = 0;
  /// Of a file of a few blocks (limits::onode_blocks_max), as a row would have them from its first block on: then there
  /// are no rows, and none that it shares. Nothing: they are in rows.
  std::optional<std::vector<std::uint32_t>> block_checksums;
  bool in_slab = false;  ///< has_file: a slot of a slab (slabs.h), no file of its own; there are block_checksums
  std::uint64_t own_checksums() const { return checksums ? checksums : id; }
  static void fields(auto& self, auto& wire) {
    wire(self.id);
    wire(self.size);
    wire(self.has_file);
    wire(self.has_inline);
    wire(self.has_omap);
    wire(self.has_header);
    wire(self.attributes);
    wire.since(2, self.has_damage);
    wire.since(3, self.checksums);
    wire.since(3, self.shared_checksums);
    wire.since(4, self.block_checksums);
    wire.since(5, self.in_slab);
  }
};

/// Checksums of limits::blocks_per_chunk blocks of a data file, as a row of the index holds them: crc32c of the whole
/// block (files are written in whole blocks, zeros beyond the object's end). 0: the block is a hole and reads as zeros.
/// With Integrity::btrfs_checksums there are rows only where something is known to be bad: damaged_block, or 0.
struct ChecksumChunk {
  std::array<std::uint32_t, limits::blocks_per_chunk> crc{};

  static ChecksumChunk from_row(std::string_view row) {
    ChecksumChunk chunk;
    std::memcpy(chunk.crc.data(), row.data(), std::min(row.size(), sizeof chunk.crc));
    return chunk;
  }
  std::string_view row() const { return {reinterpret_cast<const char*>(crc.data()), sizeof crc}; }
  static ChecksumChunk from_front(std::span<const std::uint32_t> front) {
    ChecksumChunk chunk;
    std::ranges::copy(front.first(std::min(front.size(), chunk.crc.size())), chunk.crc.begin());
    return chunk;
  }
  /// Without the holes at its end.
  std::vector<std::uint32_t> front() const {
    std::size_t end = crc.size();
    while (end > 0 && crc[end - 1] == 0) --end;
    return {crc.begin(), crc.begin() + static_cast<std::ptrdiff_t>(end)};
  }
  bool empty() const {
    return std::ranges::all_of(crc, [](std::uint32_t each) { return each == 0; });
  }
};

/// Never 0; see ChecksumChunk.
std::uint32_t block_checksum(ByteView block);
/// What block_checksum() makes of a crc32c.
inline std::uint32_t nonzero(std::uint32_t crc) {
  return crc ? crc : 1;
}
inline constexpr std::uint32_t damaged_block = 1;

}  // namespace spirula::filestore
