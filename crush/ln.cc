#include "crush/ln.h"

#include <array>
#include <bit>
#include <cstddef>

namespace spirula::crush {
namespace {

__extension__ using Wide = unsigned __int128;

/// floor(2^48 * log2(numerator / denominator)) for a ratio in [1, 2): squaring yields one binary digit at a time.
/// 62 fraction bits leave all 48 digits exact for every ratio below; the static_assert on the tables holds them to it.
constexpr std::uint64_t log2_fixed48(std::uint64_t numerator, std::uint64_t denominator) {
  constexpr int fraction_bits = 62;
  std::uint64_t mantissa = static_cast<std::uint64_t>((Wide{numerator} << fraction_bits) / denominator);
  std::uint64_t digits = 0;
  for (int i = 0; i < 48; ++i) {
    const auto square = Wide{mantissa} * mantissa >> fraction_bits;
    const bool carried = (square >> (fraction_bits + 1)) != 0;
    digits = digits << 1 | (carried ? 1 : 0);
    mantissa = static_cast<std::uint64_t>(carried ? square >> 1 : square);
  }
  return digits;
}

/// Coarse steps: k stands for a mantissa of 1 + k/128.
struct CoarseStep {
  std::uint64_t inverse;  ///< 2^48 / (1 + k/128), rounded up
  std::uint64_t log;      ///< 2^48 * log2(1 + k/128), rounded down
};

constexpr std::array<CoarseStep, 129> make_coarse() {
  std::array<CoarseStep, 129> table{};
  for (std::uint64_t k = 0; k < 128; ++k) {
    const std::uint64_t divisor = 128 + k;
    table[k] = {((std::uint64_t{128} << 48) + divisor - 1) / divisor, log2_fixed48(divisor, 128)};
  }
  // The last log of the published table is short by 2^32; it scores the largest hash (0xffff).
  table[128] = {std::uint64_t{1} << 47, 0xffff00000000};
  return table;
}

/// One fine step whose published value follows no formula.
struct Irregular {
  std::uint8_t k;
  std::uint64_t value;
};

/// Fine steps: k stands for 1 + k/2^15. The published table was generated with mistakes that every Ceph client has
/// copied since. Most entries are the true logarithm plus one constant error; some carry no error; the rest are listed.
constexpr std::uint64_t fine_error = 0x147700000;
constexpr std::array<std::uint8_t, 21> fine_exact{0,   1,   203, 216, 222, 233, 237, 238, 239, 243, 244,
                                                  245, 246, 248, 249, 250, 251, 252, 253, 254, 255};
constexpr std::array<Irregular, 23> fine_irregular{{
    {56, 0xa2b07f3458},   {127, 0x16df6ca19bd}, {134, 0x182b07f3458}, {181, 0x209c06e6212}, {184, 0x212b07f3458},
    {188, 0x21d6a73a78f}, {193, 0x22c23679b4e}, {198, 0x23a2c3b0ea4}, {199, 0x23d13ee805b}, {200, 0x24035e9221f},
    {207, 0x25492644d65}, {210, 0x25d13ee805b}, {212, 0x26296453882}, {225, 0x287bdbf5255}, {227, 0x28d13ee805b},
    {228, 0x29035e9221f}, {229, 0x29296453882}, {231, 0x29902a37aab}, {235, 0x2a4c7605d61}, {236, 0x2a7bdbf5255},
    {240, 0x2b296453882}, {241, 0x2b5d022d80f}, {247, 0x2c61a5e8f4c},
}};

constexpr std::array<std::uint64_t, 256> make_fine() {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t k = 0; k < table.size(); ++k) table[k] = log2_fixed48(32768 + k, 32768) + fine_error;
  for (const auto k : fine_exact) table[k] -= fine_error;
  for (const auto& entry : fine_irregular) table[entry.k] = entry.value;
  return table;
}

constexpr auto coarse = make_coarse();
constexpr auto fine = make_fine();

/// FNV-1a over the words of the published tables, in their order.
constexpr std::uint64_t digest() {
  std::uint64_t hash = 1469598103934665603u;
  const auto add = [&](std::uint64_t word) { hash = (hash ^ word) * 1099511628211u; };
  for (const auto& step : coarse) add(step.inverse), add(step.log);
  for (const auto word : fine) add(word);
  return hash;
}
static_assert(digest() == 0x17c00863ed342f06, "the tables differ from Ceph's crush_ln_table.h");

}  // namespace

std::uint64_t ln(std::uint32_t value) {
  std::uint32_t x = (value & 0xffff) + 1;
  // Normalise to 1.15 fixed point: the top bit moves to bit 15 (0x10000 alone is left as it is).
  std::uint32_t exponent = 15;
  if (x < 0x8000) {
    const auto shift = static_cast<std::uint32_t>(std::countl_zero(x)) - 16;
    x <<= shift;
    exponent -= shift;
  }
  const CoarseStep& step = coarse[(x >> 8) - 128];
  const auto rest = static_cast<std::size_t>((x * step.inverse >> 48) & 0xff);
  return (std::uint64_t{exponent} << 44) + ((step.log + fine[rest]) >> 4);
}

}  // namespace spirula::crush
