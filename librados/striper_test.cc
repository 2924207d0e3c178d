#include "librados/striper.h"

#include <gtest/gtest.h>

#include <map>

namespace spirula::librados {
namespace {

constexpr std::uint32_t unit = 64 << 10;

/// Where one byte lives, straight from the definition.
std::pair<std::uint64_t, std::uint64_t> place(const StripeLayout& layout, std::uint64_t byte) {
  std::uint64_t object = 0, at = 0;
  std::uint64_t set_bytes = std::uint64_t{layout.object_size} * layout.stripe_count;
  std::uint64_t set = byte / set_bytes, in_set = byte % set_bytes;
  std::uint64_t stripe = in_set / (std::uint64_t{layout.stripe_unit} * layout.stripe_count);
  object = set * layout.stripe_count + in_set / layout.stripe_unit % layout.stripe_count;
  at = stripe * layout.stripe_unit + in_set % layout.stripe_unit;
  return {object, at};
}

TEST(Striper, every_byte_is_where_the_definition_says) {
  for (StripeLayout layout :
       {StripeLayout{unit, 1, unit}, StripeLayout{unit, 3, 2 * unit}, StripeLayout{2 * unit, 2, 4 * unit}}) {
    for (std::uint64_t offset :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{unit - 1}, std::uint64_t{5 * unit + 7}}) {
      std::uint64_t next = offset, length = 13 * unit + 11;
      for (const ObjectExtent& extent : map_extent(layout, offset, length)) {
        EXPECT_EQ(extent.file_offset, next);
        for (std::uint64_t i : {std::uint64_t{0}, extent.length / 2, extent.length - 1})
          EXPECT_EQ(place(layout, extent.file_offset + i), std::make_pair(extent.object, extent.offset + i));
        next += extent.length;
      }
      EXPECT_EQ(next, offset + length);
    }
  }
}

TEST(Striper, neighbours_are_joined) {
  StripeLayout layout;
  std::vector<ObjectExtent> expected{{0, 4096, (4 << 20) - 4096, 4096}, {1, 0, 4096, 4 << 20}};
  EXPECT_EQ(map_extent(layout, 4096, 4 << 20), expected);
  EXPECT_TRUE(map_extent(layout, 7, 0).empty());
}

TEST(Striper, sizes_of_objects_add_up) {
  StripeLayout layout{unit, 3, 2 * unit};
  for (std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{unit}, std::uint64_t{4 * unit + 5},
                             std::uint64_t{6 * unit}, std::uint64_t{20 * unit + 1}}) {
    std::map<std::uint64_t, std::uint64_t> bytes;
    for (const ObjectExtent& extent : map_extent(layout, 0, size)) bytes[extent.object] += extent.length;
    for (std::uint64_t object = 0; object < 12; ++object)
      EXPECT_EQ(object_bytes(layout, object, size), bytes[object]) << size << " " << object;
    std::uint64_t count = 0;
    for (auto& [object, n] : bytes)
      if (n) count = std::max(count, object + 1);
    EXPECT_EQ(object_count(layout, size), count) << size;
  }
}

TEST(Striper, names_and_validity) {
  EXPECT_EQ(object_name(0x10000000001, 0x2a), "10000000001.0000002a");
  EXPECT_TRUE(StripeLayout{}.is_valid());
  EXPECT_FALSE((StripeLayout{4096, 1, 4096}).is_valid());
  EXPECT_FALSE((StripeLayout{unit, 0, unit}).is_valid());
  EXPECT_FALSE((StripeLayout{2 * unit, 1, 3 * unit}).is_valid());
}

TEST(Striper, the_end_of_a_file_from_its_objects) {
  constexpr std::uint32_t k = 64 << 10;
  for (const StripeLayout& layout :
       {StripeLayout{k, 1, k}, StripeLayout{k, 3, 4 * k}, StripeLayout{4 << 20, 1, 4 << 20}})
    for (std::uint64_t size : {1ul, 65'536ul, 65'537ul, 200'000ul, 1'000'000ul, 5'000'001ul, 3ul * 4 * k}) {
      std::uint64_t end = 0;
      for (std::uint64_t i = 0; i < object_count(layout, size); ++i)
        if (std::uint64_t bytes = object_bytes(layout, i, size)) end = std::max(end, file_bytes(layout, i, bytes));
      EXPECT_EQ(end, size);
    }
}

}  // namespace
}  // namespace spirula::librados
