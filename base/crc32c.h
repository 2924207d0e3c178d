#pragma once
#include <cstdint>

#include "base/buffer.h"

namespace spirula {

/// CRC-32C (Castagnoli) as Ceph uses it: no inversion before or after, the caller gives the start value
/// (usually -1, or 0 for a frame preamble). Chains: crc32c(crc32c(seed, a), b) == crc32c(seed, ab).
std::uint32_t crc32c(std::uint32_t seed, ByteView bytes);
/// These two take from checksums() what is known there.
std::uint32_t crc32c(std::uint32_t seed, const Buffer& bytes);
std::uint32_t crc32c(std::uint32_t seed, const BufferList& bytes);
/// What `crc` becomes by another block, of Buffer::block_bytes, whose own crc32c(~0, block) is known.
std::uint32_t crc32c_join(std::uint32_t crc, std::uint32_t block);
/// The crc of `count` zero bytes, in time proportional to log(count).
std::uint32_t crc32c_zeros(std::uint32_t seed, std::uint64_t count);

}  // namespace spirula
