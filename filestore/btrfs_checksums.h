#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"

/// What btrfs itself knows of a file's content: read from its trees, without the data.
namespace spirula::filestore::btrfs {

/// Errc::unsupported unless this btrfs checksums data by crc32c and 4096-byte sectors.
Result<> require_crc32c(int fd);

/// Checksums of consecutive blocks of 4096 bytes from block `first` on, each crc32c(~0, block).
using ChecksumVisitor = std::function<void(std::uint64_t first, std::span<const std::uint32_t>)>;

/// Those of the blocks in [offset, +length) of a file, both multiples of 4096, in order; blocks in holes are left out.
/// Writes out what is dirty first. Needs root (BTRFS_IOC_TREE_SEARCH_V2).
/// Errc::unsupported: a part has none, being NODATASUM, compressed or inline.
Result<> data_checksums(int fd, std::uint64_t offset, std::uint64_t length, const ChecksumVisitor& visit);

}  // namespace spirula::filestore::btrfs
