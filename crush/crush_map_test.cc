#include "crush/crush_map.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "crush/device_classes.h"
#include "crush/edit.h"

namespace spirula::crush {
namespace {

CrushMap make_map() {
  CrushMap map = CrushMap::make_default();
  for (ItemId device = 0; device < 6; ++device)
    EXPECT_TRUE(insert_item(map, device, weight_one, "osd." + std::to_string(device),
                            {{"host", device < 3 ? "a" : "b"}, {"rack", "r"}, {"root", "default"}}));
  EXPECT_TRUE(set_device_class(map, 1, "ssd"));
  map.choose_args[default_choose_args][0] = ChooseArg{.weight_sets = {{7 * weight_one}}, .ids = {}};
  return map;
}

/// The map with one 32-bit word of its encoding changed.
Result<CrushMap> decode_with(const CrushMap& map, std::size_t offset, std::uint32_t word) {
  std::string bytes = encode(map).to_string();
  std::memcpy(bytes.data() + offset, &word, 4);
  return CrushMap::decode_map(Buffer::copy_of(bytes));
}

TEST(CrushMap, comes_back_from_its_encoding) {
  const CrushMap map = make_map();
  EXPECT_EQ(map.verify(), std::nullopt);
  const auto again = CrushMap::decode_map(encode(map));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, map);
  EXPECT_EQ(map.describe(), "crush map: 6 devices, 4 buckets, 1 rules, 1 classes, tunables jewel");
}

TEST(CrushMap, every_truncation_is_refused_or_an_older_map) {
  const Buffer bytes = encode(make_map());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    if (const auto map = CrushMap::decode_map(bytes.slice(0, size))) EXPECT_FALSE(map->rule_names.empty());
}

TEST(CrushMap, a_map_that_ends_after_the_names_has_the_oldest_tunables) {
  CrushMap map = CrushMap::make_default();
  const std::size_t tail = 3 * 4 + 4 + 1 + 1 + 4 + 1 + 4 * 4;
  const Buffer bytes = encode(map);
  const auto old = CrushMap::decode_map(bytes.slice(0, bytes.size() - tail));
  ASSERT_TRUE(old);
  EXPECT_EQ(old->tunables.profile_name(), "argonaut");
}

TEST(CrushMap, decoding_refuses_what_would_lead_the_mapper_astray) {
  CrushMap map = make_map();
  EXPECT_EQ(decode_with(map, 0, 0x00010001).error(), make_error_code(Errc::malformed));  // magic
  EXPECT_FALSE(decode_with(map, 4, 0x7fffffff));                                         // bucket slots
  EXPECT_FALSE(decode_with(map, 8, 257));                                                // rule slots
  EXPECT_FALSE(decode_with(map, 16, 6));                                                 // algorithm
  EXPECT_FALSE(decode_with(map, 20, static_cast<std::uint32_t>(-2)));                    // bucket id
  const std::size_t first_item = 16 + 4 + 4 + 4 + 4 + 4;
  EXPECT_FALSE(decode_with(map, first_item, static_cast<std::uint32_t>(-1)));   // the root holds itself
  EXPECT_FALSE(decode_with(map, first_item, static_cast<std::uint32_t>(-99)));  // or what does not exist

  CrushMap deep = CrushMap::make_default();
  for (int i = 0; i < 40; ++i) {
    const ItemId id = bucket_at(deep.buckets.size());
    deep.buckets.push_back(Bucket{.id = id, .type = 1});
    ASSERT_TRUE(deep.buckets.back()->assign({i ? id + 1 : -1}, {0}, 1));
  }
  EXPECT_FALSE(CrushMap::decode_map(encode(deep)));

  CrushMap misfit = make_map();
  misfit.choose_args[0][0].ids = {1, 2, 3};
  EXPECT_FALSE(CrushMap::decode_map(encode(misfit)));
}

TEST(CrushMap, verify_names_the_problem) {
  const auto problem = [](auto&& change) {
    CrushMap map = make_map();
    change(map);
    return map.verify().value_or("none");
  };
  EXPECT_EQ(problem([](CrushMap&) {}), "none");
  EXPECT_EQ(problem([](CrushMap& m) { m.item_names[0] = "osd.1"; }), "item name 'osd.1' is used twice");
  EXPECT_EQ(problem([](CrushMap& m) { m.item_names.erase(-1); }), "bucket -1 has no name");
  EXPECT_EQ(problem([](CrushMap& m) { m.type_names.erase(11); }), "bucket 'default' has type 11, which has no name");
  EXPECT_EQ(problem([](CrushMap& m) { m.max_devices = 5; }), "bucket 'b' holds device 5, but max_devices is 5");
  EXPECT_EQ(problem([](CrushMap& m) { m.buckets[0]->weight = 1; }), "bucket 'default' weighs 1, its items 393216");
  EXPECT_EQ(problem([](CrushMap& m) { m.rules[0]->steps[0].arg1 = -77; }),
            "rule 'replicated_rule' takes item -77, which does not exist");
  EXPECT_EQ(problem([](CrushMap& m) { m.rules[0]->steps[1].arg2 = 77; }),
            "rule 'replicated_rule' chooses type 77, which does not exist");
  EXPECT_EQ(problem([](CrushMap& m) { m.class_names.clear(); }).substr(0, 20), "item -8 has class 0,");
  EXPECT_EQ(problem([](CrushMap& m) { m.class_buckets[-1][0] = -2; }), "bucket -2 is no shadow of -1 for class 0");
}

TEST(CrushMap, lookups) {
  const CrushMap map = make_map();
  EXPECT_EQ(map.item_by_name("default"), -1);
  EXPECT_EQ(map.item_name(5), "osd.5");
  EXPECT_EQ(map.type_of(5), 0);
  EXPECT_EQ(map.type_of(-1), 11);
  EXPECT_EQ(map.type_of(-50), std::nullopt);
  EXPECT_EQ(map.item_class(1), "ssd");
  EXPECT_EQ(map.item_class(2), "");
  EXPECT_EQ(map.roots(), std::set<ItemId>{-1});
  EXPECT_EQ(map.roots(true).size(), 2u);
  EXPECT_EQ(map.devices_under(*map.item_by_name("b")), (std::set<ItemId>{3, 4, 5}));
  EXPECT_EQ(map.devices_under(*map.item_by_name("default~ssd")), std::set<ItemId>{1});
  const auto location = map.location_of(1);
  ASSERT_EQ(location.size(), 3u);
  EXPECT_EQ(location[0], std::pair(std::string("host"), std::string("a")));
  EXPECT_EQ(location[2], std::pair(std::string("root"), std::string("default")));
  EXPECT_EQ(map.weight_of(1), weight_one);
  EXPECT_EQ(map.weight_of(-1), 6 * weight_one);
  EXPECT_EQ(map.weight_of(9), std::nullopt);
  EXPECT_NE(map.choose_args_for(3), nullptr);
  EXPECT_EQ(CrushMap().choose_args_for(3), nullptr);
}

TEST(Tunables, profiles_by_name) {
  for (const auto* name : {"jewel", "hammer", "firefly", "bobtail", "argonaut"})
    EXPECT_EQ(Tunables::profile(name)->profile_name(), name);
  EXPECT_EQ(Tunables::profile("optimal"), Tunables());
  EXPECT_FALSE(Tunables::profile("nautilus"));
}

}  // namespace
}  // namespace spirula::crush
