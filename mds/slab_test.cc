#include "mds/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace spirula::mds {
namespace {

TEST(Slab, objects_do_not_overlap_and_memory_goes_back) {
  static Slab slab(100);
  std::mt19937 random(1);
  std::vector<unsigned char*> taken;
  unsigned char next = 0;
  auto give_one = [&] {
    std::swap(taken[random() % taken.size()], taken.back());
    for (std::size_t i = 1; i < 100; ++i) ASSERT_EQ(taken.back()[i], taken.back()[0]);
    slab.give(taken.back());
    taken.pop_back();
  };
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 3 && !taken.empty() && taken.size() % 7 == 0) {
      give_one();
    } else {
      auto* object = static_cast<unsigned char*>(slab.take());
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(object) % 16, 0u);
      std::memset(object, ++next, 100);
      taken.push_back(object);
    }
  }
  const std::size_t most = slab.blocks();
  EXPECT_LE(most, taken.size() * 112 / Slab::block_bytes + 2);
  while (taken.size() > 1) give_one();
  EXPECT_LE(slab.blocks(), 2u);
  give_one();
  EXPECT_EQ(slab.blocks(), 1u);
  for (int i = 0; i < 10; ++i) slab.give(slab.take());
  EXPECT_EQ(slab.blocks(), 1u);
}

TEST(Slab, a_stranger_is_noticed) {
  static Slab one(64), other(64);
  void* object = one.take();
  EXPECT_DEATH(other.give(object), "");
  one.give(object);
}

}  // namespace
}  // namespace spirula::mds
