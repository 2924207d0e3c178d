#include "crush/hash.h"

#include <gtest/gtest.h>

#include <string_view>

#include "crush/object_hash.h"

namespace spirula::crush {
namespace {

// What the kernel client's crush_hash32_* give.
TEST(Hash, words_hash_as_in_every_client) {
  EXPECT_EQ(hash32(1), 3574081617u);
  EXPECT_EQ(hash32(1, 2), 3079532188u);
  EXPECT_EQ(hash32(1, 2, 3), 1935332395u);
  EXPECT_EQ(hash32(1, 2, 3, 4), 1768759062u);
  EXPECT_EQ(hash32(1, 2, 3, 4, 5), 1262657953u);
}

// What the kernel client's ceph_str_hash_* give.
TEST(Hash, names_hash_as_in_every_client) {
  struct Case {
    std::string_view name;
    std::uint32_t rjenkins, linux_dcache;
  };
  for (const auto& [name, rjenkins, linux_dcache] : {
           Case{"", 0xbd49d10d, 0},
           Case{"a", 0x29eec818, 0x42f2},
           Case{"foo", 0x7fc1f406, 0x24db2a},
           Case{"rbd_data.1234", 0x624f9e4c, 0x47314803},
           Case{"10000000000.00000000", 0xf0b56f30, 0x5d536d1d},
           Case{"ns\037object", 0xacc7db7a, 0xc6ba60ef},
           Case{"0123456789ab", 0x92f31ad0, 0xa72eda14},
           Case{"0123456789abcdefghijklmnopqrstuvwxyz", 0xbfbe133d, 0x29ed3c1b},
           Case{"\xff\x80\x01", 0x9158459b, 0x56f745},
       }) {
    EXPECT_EQ(hash_rjenkins(name), rjenkins) << name;
    EXPECT_EQ(hash_linux_dcache(name), linux_dcache) << name;
    EXPECT_EQ(hash_string(StringHash::rjenkins, name), rjenkins);
  }
  EXPECT_EQ(hash_string(StringHash{77}, "a"), 0xffffffffu);
}

TEST(Hash, growing_a_pool_by_one_moves_only_what_lands_in_the_new_slot) {
  EXPECT_EQ(stable_mod_mask(1), 0u);
  EXPECT_EQ(stable_mod_mask(8), 7u);
  EXPECT_EQ(stable_mod_mask(9), 15u);
  for (std::uint32_t count = 1; count < 70; ++count) {
    for (std::uint32_t value = 0; value < 1000; ++value) {
      const auto before = stable_mod(value, count), after = stable_mod(value, count + 1);
      EXPECT_LT(before, count);
      EXPECT_TRUE(after == before || after == count);
    }
  }
}

}  // namespace
}  // namespace spirula::crush
