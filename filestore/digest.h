#pragma once
#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "base/result.h"
#include "filestore/data_files.h"
#include "filestore/index.h"
#include "filestore/onode.h"

namespace spirula::filestore {

/// A digest of a run of bytes that is made of its blocks' checksums: crc32c over the length and then over
/// block_checksum() of each block, the last filled up with zeros, a hole counting as zeros. So it is the same for equal
/// data in any store, whatever its layout and whoever keeps the checksums. Blocks are given in order of position.
class Digest {
 public:
  explicit Digest(std::uint64_t bytes);
  /// Checksums of blocks from `first` on (counted from the start of the run); 0: a hole. What was passed over is holes.
  void add(std::uint64_t first, std::span<const std::uint32_t> checksums);
  /// The blocks themselves; the last may be short.
  void add_data(std::uint64_t first, ByteView data);
  std::uint32_t finish();

 private:
  void holes_until(std::uint64_t block);
  std::uint64_t blocks_, at_ = 0;
  std::uint32_t value_;
};

/// Adds the blocks [first, end) of a data file from what is known about them, reading none. Blocks.
/// Errc::unsupported: btrfs has no checksums for some of them (the caller reads).
Result<> digest_file(Digest& digest, Index& index, const Index::Moment* moment, DataFiles& files, const Onode& onode,
                     std::uint64_t first, std::uint64_t end);

}  // namespace spirula::filestore
