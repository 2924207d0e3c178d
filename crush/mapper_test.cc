#include "crush/mapper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>
#include <set>

#include "crush/device_classes.h"
#include "crush/edit.h"
#include "crush/ln.h"
#include "crush/rules.h"

namespace spirula::crush {
namespace {

CrushMap make_map(int hosts, int devices_per_host) {
  CrushMap map = CrushMap::make_default();
  for (int device = 0; device < hosts * devices_per_host; ++device) {
    const Location location{{"host", "host" + std::to_string(device / devices_per_host)}, {"root", "default"}};
    EXPECT_TRUE(insert_item(map, device, weight_one, "osd." + std::to_string(device), location));
  }
  return map;
}

std::vector<Weight> all_in(const CrushMap& map) {
  return std::vector<Weight>(static_cast<std::size_t>(map.max_devices), weight_one);
}

TEST(Ln, ends_of_the_table) {
  EXPECT_EQ(ln(0), 0u);
  EXPECT_EQ(ln(1), std::uint64_t{1} << 44);
  EXPECT_LT(ln(0xffff), std::uint64_t{1} << 48);  // a draw's score is negative, even the best one's
  // The published mistakes make it fall here and there, by less than a few parts in 10^5.
  for (std::uint32_t value = 1; value <= 0xffff; ++value) EXPECT_LT(ln(value - 1), ln(value) + (1u << 29)) << value;
}

TEST(Mapper, replicas_are_on_different_hosts) {
  const CrushMap map = make_map(5, 3);
  for (std::uint32_t x = 0; x < 500; ++x) {
    const auto devices = do_rule(map, 0, x, 3, all_in(map));
    ASSERT_EQ(devices.size(), 3u);
    std::set<ItemId> hosts;
    for (const auto device : devices) hosts.insert(device / 3);
    EXPECT_EQ(hosts.size(), 3u);
  }
}

TEST(Mapper, an_out_device_gets_nothing_and_moves_nothing_else) {
  const CrushMap map = make_map(5, 1);
  auto reweights = all_in(map);
  reweights[2] = 0;
  for (std::uint32_t x = 0; x < 500; ++x) {
    const auto before = do_rule(map, 0, x, 3, all_in(map));
    const auto after = do_rule(map, 0, x, 3, reweights);
    EXPECT_EQ(std::ranges::count(after, 2), 0);
    for (const auto device : before) EXPECT_TRUE(device == 2 || std::ranges::count(after, device) == 1);
  }
}

TEST(Mapper, indep_keeps_positions_and_marks_what_it_cannot_fill) {
  CrushMap map = make_map(4, 1);
  const auto rule = create_rule(map, {.name = "ec", .indep = true, .type = RuleType::erasure});
  ASSERT_TRUE(rule);
  auto reweights = all_in(map);
  reweights[1] = 0;
  std::ptrdiff_t moved = 0;
  for (std::uint32_t x = 0; x < 200; ++x) {
    const auto whole = do_rule(map, *rule, x, 4, all_in(map));
    EXPECT_EQ(std::set(whole.begin(), whole.end()), (std::set<ItemId>{0, 1, 2, 3}));
    const auto degraded = do_rule(map, *rule, x, 4, reweights);
    ASSERT_EQ(degraded.size(), 4u);
    EXPECT_EQ(std::set(degraded.begin(), degraded.end()), (std::set<ItemId>{0, 2, 3, item_none}));
    moved += std::ranges::count_if(std::views::iota(0, 4), [&](int i) {
      const auto at = static_cast<std::size_t>(i);
      return whole[at] != 1 && degraded[at] != whole[at];
    });
  }
  EXPECT_LT(moved, 200);  // of 600: retries for the lost position take some that others would have got by retrying
}

TEST(Mapper, a_class_rule_takes_only_its_devices) {
  CrushMap map = make_map(4, 2);
  for (ItemId device = 0; device < 8; device += 2) ASSERT_TRUE(set_device_class(map, device, "ssd"));
  const auto rule = create_rule(map, {.name = "fast", .device_class = "ssd"});
  ASSERT_TRUE(rule);
  for (std::uint32_t x = 0; x < 200; ++x) {
    const auto devices = do_rule(map, *rule, x, 3, all_in(map));
    ASSERT_EQ(devices.size(), 3u);
    for (const auto device : devices) EXPECT_EQ(device % 2, 0);
  }
  const auto shares = map.device_shares(*rule);
  ASSERT_TRUE(shares);
  EXPECT_EQ(shares->size(), 4u);
  EXPECT_DOUBLE_EQ(shares->at(0), 0.25);
}

TEST(Mapper, weights_set_the_shares) {
  CrushMap map = make_map(4, 1);
  ASSERT_TRUE(reweight_item(map, 0, 3 * weight_one));
  std::vector<int> hits(4);
  for (std::uint32_t x = 0; x < 12'000; ++x) ++hits[static_cast<std::size_t>(do_rule(map, 0, x, 1, all_in(map)).at(0))];
  EXPECT_NEAR(hits[0], 6000, 300);
  EXPECT_NEAR(hits[1], 2000, 200);
}

TEST(Mapper, reweights) {
  EXPECT_TRUE(is_out({}, 0, 1));
  const std::vector<Weight> reweights{0, weight_one, weight_one / 2};
  int in = 0;
  for (std::uint32_t x = 0; x < 1000; ++x) {
    EXPECT_TRUE(is_out(reweights, 0, x));
    EXPECT_FALSE(is_out(reweights, 1, x));
    EXPECT_TRUE(is_out(reweights, 3, x));
    EXPECT_TRUE(is_out(reweights, -1, x));
    in += !is_out(reweights, 2, x);
  }
  EXPECT_NEAR(in, 500, 60);
}

TEST(Mapper, no_such_rule_gives_nothing) {
  const CrushMap map = make_map(2, 1);
  EXPECT_TRUE(do_rule(map, 1, 0, 3, all_in(map)).empty());
  EXPECT_TRUE(do_rule(map, -1, 0, 3, all_in(map)).empty());
}

TEST(Mapper, a_map_that_asks_for_billions_of_tries_ends) {
  CrushMap map = make_map(3, 1);
  map.tunables.choose_total_tries = 0xfffffffe;
  map.rules[0]->steps[1].arg1 = 0x7fffffff;
  const std::vector<Weight> nothing_in(3, 0);
  EXPECT_TRUE(do_rule(map, 0, 1, 3, nothing_in).empty());
  // The same over a bucket without items, where no item is ever compared.
  ASSERT_TRUE(add_bucket(map, "void", "root"));
  map.rules[0]->steps[0].arg1 = *map.item_by_name("void");
  EXPECT_TRUE(do_rule(map, 0, 1, 3, nothing_in).empty());
  map.rules[0]->steps[1].op = Op::chooseleaf_indep;
  EXPECT_EQ(do_rule(map, 0, 1, 3, nothing_in), std::vector<ItemId>(3, item_none));
}

}  // namespace
}  // namespace spirula::crush
