#include "base/crc32c.h"

#include <nmmintrin.h>

#include <array>
#include <cstring>

namespace spirula {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // CRC-32C, reflected

/// Appending n zero bytes to a message multiplies its crc by a fixed 32x32 matrix over GF(2).
using Matrix = std::array<std::uint32_t, 32>;

constexpr std::uint32_t apply(const Matrix& m, std::uint32_t v) {
  std::uint32_t sum = 0;
  for (int i = 0; v; v >>= 1, ++i)
    if (v & 1) sum ^= m[i];
  return sum;
}
constexpr Matrix square(const Matrix& m) {
  Matrix r{};
  for (int i = 0; i < 32; ++i) r[i] = apply(m, m[i]);
  return r;
}
/// powers[k] appends 2^k zero bytes.
constexpr std::array<Matrix, 64> make_powers() {
  Matrix bit{};
  bit[0] = polynomial;
  for (int i = 1; i < 32; ++i) bit[i] = 1u << (i - 1);
  std::array<Matrix, 64> powers{};
  powers[0] = square(square(square(bit)));
  for (int k = 1; k < 64; ++k) powers[k] = square(powers[k - 1]);
  return powers;
}
const std::array<Matrix, 64>& powers() {
  static const std::array<Matrix, 64> table = make_powers();
  return table;
}

/// Runs are taken as three interleaved streams: the crc instruction has a latency of 3 and a throughput of 1. Three of
/// the long stride are a block of 4 KiB but for 16 bytes; the short one is for what is left of other sizes.
constexpr std::size_t stride_long = 1360, stride_short = 256;

/// shift_table[j][b]: the crc of byte b at place j of a crc, moved by `stride` zero bytes.
using ShiftTable = std::array<std::array<std::uint32_t, 256>, 4>;
template <std::size_t stride>
const ShiftTable& shift_table() {
  static const ShiftTable table = [] {
    ShiftTable t{};
    for (std::uint32_t j = 0; j < 4; ++j)
      for (std::uint32_t b = 0; b < 256; ++b) t[j][b] = crc32c_zeros(b << (8 * j), stride);
    return t;
  }();
  return table;
}
std::uint32_t shift(const ShiftTable& t, std::uint32_t crc) {
  return t[0][crc & 255] ^ t[1][(crc >> 8) & 255] ^ t[2][(crc >> 16) & 255] ^ t[3][crc >> 24];
}
std::uint64_t load(const std::byte* p) {
  std::uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}

/// Streams so far apart keep the processor from reading ahead by itself.
constexpr std::size_t ahead = 4096, line = 64;

/// As many whole runs of three strides as there are.
template <std::size_t stride>
void interleaved(std::uint64_t& a, const std::byte*& p, std::size_t& left) {
  if (left < 3 * stride) return;
  const ShiftTable& t = shift_table<stride>();
  for (; left >= 3 * stride; p += 3 * stride, left -= 3 * stride) {
    std::uint64_t b = 0, c = 0;
    for (std::size_t i = 0; i < stride; i += 8) {
      if (i % line == 0)
        for (std::size_t k = 0; k < 3; ++k)
          __builtin_prefetch(p + 3 * i + k * line + ahead);  // past the end: no matter
      a = _mm_crc32_u64(a, load(p + i));
      b = _mm_crc32_u64(b, load(p + stride + i));
      c = _mm_crc32_u64(c, load(p + 2 * stride + i));
    }
    a = shift(t, static_cast<std::uint32_t>(a)) ^ b;
    a = shift(t, static_cast<std::uint32_t>(a)) ^ c;
  }
}

}  // namespace

std::uint32_t crc32c(std::uint32_t seed, ByteView bytes) {
  const std::byte* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t a = seed;
  interleaved<stride_long>(a, p, left);
  interleaved<stride_short>(a, p, left);
  for (; left >= 8; left -= 8, p += 8) a = _mm_crc32_u64(a, load(p));
  auto crc = static_cast<std::uint32_t>(a);
  for (; left > 0; --left, ++p) crc = _mm_crc32_u8(crc, std::to_integer<unsigned char>(*p));
  return crc;
}

std::uint32_t crc32c(std::uint32_t seed, const BufferList& bytes) {
  for (const Buffer& piece : bytes.buffers()) seed = crc32c(seed, piece);
  return seed;
}

std::uint32_t crc32c(std::uint32_t seed, const Buffer& bytes) {
  std::span<const std::uint32_t> known = bytes.checksums();
  for (std::uint32_t block : known) seed = crc32c_join(seed, block);
  return crc32c(seed, bytes.view().subspan(known.size() * Buffer::block_bytes));
}

std::uint32_t crc32c_join(std::uint32_t crc, std::uint32_t block) {
  static const ShiftTable& table = shift_table<Buffer::block_bytes>();
  return shift(table, ~crc) ^ block;
}

std::uint32_t crc32c_zeros(std::uint32_t seed, std::uint64_t count) {
  for (int k = 0; count; count >>= 1, ++k)
    if (count & 1) seed = apply(powers()[k], seed);
  return seed;
}

}  // namespace spirula
