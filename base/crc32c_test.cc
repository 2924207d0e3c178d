#include "base/crc32c.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace spirula {
namespace {

TEST(Crc32c, known_value) {  // RFC 3720 B.4 gives the inverted form
  EXPECT_EQ(crc32c(0xffffffff, as_bytes("123456789")) ^ 0xffffffff, 0xe3069283u);
}

TEST(Crc32c, pieces_chain_and_long_runs_agree_with_bytes) {
  SeededRandom random(1);
  Buffer data = Buffer::allocate(20000);
  random.fill({data.mutable_data(), data.size()});
  std::uint32_t slow = 5;
  for (std::byte b : data.view()) slow = crc32c(slow, ByteView(&b, 1));
  EXPECT_EQ(crc32c(5, data.view()), slow);
  for (std::size_t cut : {0, 1, 7, 767, 769, 3071, 3073, 4079, 4081, 4096, 9999}) {
    BufferList list(data.slice(0, cut));
    list.append(data.slice(cut));
    EXPECT_EQ(crc32c(5, list), slow) << cut;
  }
}

TEST(Crc32c, known_checksums_of_blocks_are_joined) {
  SeededRandom random(2);
  constexpr std::size_t block = Buffer::block_bytes, size = 5 * block + 77;
  Buffer data = Buffer::allocate_with_checksums(size);
  random.fill({data.mutable_data(), size});
  std::span<std::uint32_t> sums = data.mutable_checksums();
  ASSERT_EQ(sums.size(), 5u);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = crc32c(~0u, data.view().subspan(i * block, block));
  for (std::uint32_t seed : {0u, 7u, ~0u}) EXPECT_EQ(crc32c(seed, data), crc32c(seed, data.view()));
  struct Case {
    std::size_t offset, length, known;
  };
  for (auto [offset, length, known] :
       {Case{block, size - block, 4}, {block, 3 * block, 3}, {2 * block, block + 9, 1}, {1, 3 * block, 0}}) {
    Buffer part = data.slice(offset, length);
    EXPECT_EQ(part.checksums().size(), known);
    EXPECT_EQ(crc32c(5, part), crc32c(5, part.view()));
  }
  EXPECT_TRUE(data.slice(block).slice(8).checksums().empty());
  // They are used, not computed again.
  sums[3] ^= 1;
  EXPECT_NE(crc32c(5, data), crc32c(5, data.view()));
}

TEST(Crc32c, zeros) {
  for (std::size_t n : {0, 1, 63, 4096, 100001}) EXPECT_EQ(crc32c_zeros(9, n), crc32c(9, Buffer::zeros(n).view()));
}

}  // namespace
}  // namespace spirula
