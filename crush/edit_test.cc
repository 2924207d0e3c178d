#include "crush/edit.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "crush/device_classes.h"
#include "crush/rules.h"
#include "crush/tree.h"

namespace spirula::crush {
namespace {

const Location host_a{{"host", "a"}, {"root", "default"}};

CrushMap make_map() {
  CrushMap map = CrushMap::make_default();
  EXPECT_TRUE(insert_item(map, 0, weight_one, "osd.0", host_a));
  EXPECT_TRUE(insert_item(map, 1, weight_one, "osd.1", {{"host", "b"}, {"root", "default"}}));
  return map;
}

template <class R>
Errc error_of(const R& result) {
  for (int code = 0; code <= static_cast<int>(Errc::outcome_unknown); ++code)
    if (!result && result.error() == make_error_code(static_cast<Errc>(code))) return static_cast<Errc>(code);
  return Errc::ok;
}

TEST(Edit, refused_edits_change_nothing) {
  CrushMap map = make_map();
  const CrushMap before = map;
  const ItemId a = *map.item_by_name("a"), root = -1;
  EXPECT_EQ(error_of(insert_item(map, 2, 1, "osd.0", host_a)), Errc::exists);
  EXPECT_EQ(error_of(insert_item(map, 2, 1, "osd 2", host_a)), Errc::invalid);
  EXPECT_EQ(error_of(insert_item(map, 2, 1, "osd.2", {})), Errc::invalid);
  EXPECT_EQ(error_of(insert_item(map, 2, 1, "osd.2", {{"planet", "x"}})), Errc::invalid);
  EXPECT_EQ(error_of(insert_item(map, 2, 1, "osd.2", {{"host", "default"}})), Errc::invalid);
  EXPECT_EQ(error_of(insert_item(map, 0, 1, "osd.0", host_a)), Errc::invalid);
  EXPECT_EQ(error_of(insert_item(map, 2, std::numeric_limits<Weight>::max(), "osd.2", host_a)), Errc::overflow);
  EXPECT_EQ(error_of(move_item(map, root, {{"host", "a"}})), Errc::loop);
  EXPECT_EQ(error_of(move_item(map, 7, host_a)), Errc::not_found);
  EXPECT_EQ(error_of(remove_item(map, 7)), Errc::not_found);
  EXPECT_EQ(error_of(remove_item(map, a)), Errc::not_empty);
  EXPECT_EQ(error_of(remove_item(map, root)), Errc::not_empty);
  EXPECT_EQ(error_of(reweight_item(map, 7, 1)), Errc::not_found);
  EXPECT_EQ(error_of(add_bucket(map, "a", "host")), Errc::exists);
  EXPECT_EQ(error_of(add_bucket(map, "c", "osd")), Errc::invalid);
  EXPECT_EQ(error_of(add_bucket(map, "c", "host", {{"root", "osd.0"}})), Errc::invalid);
  EXPECT_EQ(error_of(rename_bucket(map, "osd.0", "x")), Errc::not_directory);
  EXPECT_EQ(error_of(rename_bucket(map, "a", "b")), Errc::exists);
  EXPECT_EQ(error_of(create_rule(map, {.name = "replicated_rule"})), Errc::exists);
  EXPECT_EQ(error_of(create_rule(map, {.name = "r", .root = "nowhere"})), Errc::not_found);
  EXPECT_EQ(error_of(create_rule(map, {.name = "r", .failure_domain = "planet"})), Errc::invalid);
  EXPECT_EQ(error_of(create_rule(map, {.name = "r", .device_class = "ssd"})), Errc::invalid);
  EXPECT_EQ(error_of(remove_rule(map, 1)), Errc::not_found);
  EXPECT_EQ(error_of(set_device_class(map, 7, "ssd")), Errc::not_found);
  EXPECT_EQ(error_of(set_device_class(map, 0, "s~d")), Errc::invalid);
  EXPECT_EQ(map, before);
}

TEST(Edit, a_bucket_that_a_rule_takes_stays) {
  CrushMap map = make_map();
  for (const ItemId device : {0, 1}) ASSERT_TRUE(remove_item(map, device));
  for (const auto* host : {"a", "b"}) ASSERT_TRUE(remove_item(map, *map.item_by_name(host)));
  EXPECT_EQ(error_of(remove_item(map, -1)), Errc::busy);
  ASSERT_TRUE(remove_rule(map, 0));
  EXPECT_TRUE(remove_item(map, -1));
  EXPECT_EQ(map.item_names.size(), 0u);
}

TEST(Edit, an_osd_that_starts_keeps_its_weight_and_follows_its_host) {
  CrushMap map = make_map();
  EXPECT_FALSE(*create_or_move_item(map, 0, 5 * weight_one, "osd.0", host_a));
  EXPECT_TRUE(*create_or_move_item(map, 0, 5 * weight_one, "osd.0", {{"host", "b"}, {"root", "default"}}));
  EXPECT_EQ(map.weight_of(0), weight_one);
  EXPECT_EQ(map.weight_of(*map.item_by_name("a")), 0u);
  EXPECT_EQ(map.weight_of(*map.item_by_name("b")), 2 * weight_one);
  EXPECT_TRUE(*update_item(map, 0, 3 * weight_one, "osd.0", {{"host", "b"}}));
  EXPECT_FALSE(*update_item(map, 0, 3 * weight_one, "osd.0", {{"host", "b"}}));
  EXPECT_EQ(map.weight_of(-1), 4 * weight_one);
}

TEST(Edit, a_linked_bucket_weighs_in_every_place) {
  CrushMap map = make_map();
  ASSERT_TRUE(add_bucket(map, "other", "root"));
  const ItemId a = *map.item_by_name("a"), other = *map.item_by_name("other");
  ASSERT_TRUE(link_bucket(map, a, {{"root", "other"}}));
  ASSERT_TRUE(reweight_item(map, 0, 4 * weight_one));
  EXPECT_EQ(map.weight_of(-1), 5 * weight_one);
  EXPECT_EQ(map.weight_of(other), 4 * weight_one);
  ASSERT_TRUE(set_device_class(map, 0, "ssd"));
  EXPECT_EQ(map.verify(), std::nullopt);
  ASSERT_TRUE(unlink_bucket(map, a, -1));
  EXPECT_EQ(map.weight_of(-1), weight_one);
  EXPECT_EQ(map.parent_of(a), other);
  EXPECT_EQ(map.verify(), std::nullopt);
}

TEST(Edit, classes_shadow_every_bucket_and_keep_their_ids) {
  CrushMap map = make_map();
  ASSERT_TRUE(*set_device_class(map, 0, "ssd"));
  EXPECT_FALSE(*set_device_class(map, 0, "ssd"));
  EXPECT_EQ(error_of(set_device_class(map, 0, "hdd")), Errc::busy);
  const ItemId shadow = *map.item_by_name("default~ssd");
  EXPECT_EQ(map.devices_under(shadow), std::set<ItemId>{0});
  const auto rule = create_rule(map, {.name = "fast", .device_class = "ssd"});
  ASSERT_TRUE(rule);
  ASSERT_TRUE(insert_item(map, 2, weight_one, "osd.2", {{"host", "c"}, {"root", "default"}}));
  ASSERT_TRUE(set_device_class(map, 2, "ssd"));
  EXPECT_EQ(map.item_by_name("default~ssd"), shadow);
  EXPECT_EQ(map.weight_of(shadow), 2 * weight_one);
  ASSERT_TRUE(rename_device_class(map, "ssd", "nvme"));
  EXPECT_EQ(map.item_by_name("default~nvme"), shadow);
  // Without devices the class lives as long as the rule.
  ASSERT_TRUE(remove_device_class(map, 0));
  ASSERT_TRUE(remove_device_class(map, 2));
  EXPECT_TRUE(map.class_by_name("nvme"));
  EXPECT_EQ(map.weight_of(shadow), 0u);
  ASSERT_TRUE(remove_rule(map, *rule));
  EXPECT_FALSE(map.class_by_name("nvme"));
  EXPECT_FALSE(map.item_by_name("default~nvme"));
  EXPECT_EQ(map.verify(), std::nullopt);
}

TEST(Edit, weight_sets_stay_in_step) {
  CrushMap map = make_map();
  const ItemId a = *map.item_by_name("a");
  map.choose_args[default_choose_args][static_cast<std::uint32_t>(slot_of(a))].weight_sets = {{5}, {6}};
  map.choose_args[default_choose_args][0].weight_sets = {{5, 7}, {6, 7}};
  ASSERT_TRUE(insert_item(map, 2, weight_one, "osd.2", host_a));
  const auto sets = [&](ItemId id) {
    return map.choose_args[default_choose_args][static_cast<std::uint32_t>(slot_of(id))].weight_sets;
  };
  EXPECT_EQ(sets(a), (std::vector<std::vector<Weight>>{{5, weight_one}, {6, weight_one}}));
  EXPECT_EQ(sets(-1), (std::vector<std::vector<Weight>>{{weight_one + 5, 7}, {weight_one + 6, 7}}));
  ASSERT_TRUE(set_device_class(map, 2, "ssd"));
  EXPECT_EQ(sets(*map.item_by_name("a~ssd")), (std::vector<std::vector<Weight>>{{weight_one}, {weight_one}}));
  ASSERT_TRUE(remove_item(map, 0));
  EXPECT_EQ(sets(a), (std::vector<std::vector<Weight>>{{weight_one}, {weight_one}}));
  EXPECT_TRUE(CrushMap::decode_map(encode(map)));
}

// The model: a plain list of (bucket, device, weight); every bucket kind; weights summed by hand.
TEST(Edit, weights_add_up_after_random_edits_of_every_bucket_kind) {
  for (const auto algorithm :
       {Algorithm::uniform, Algorithm::list, Algorithm::tree, Algorithm::straw, Algorithm::straw2}) {
    std::mt19937_64 random(static_cast<std::uint64_t>(algorithm));
    CrushMap map = CrushMap::make_default();
    map.tunables.allowed_bucket_algs = 1u << static_cast<unsigned>(algorithm);
    std::map<ItemId, Weight> model;
    for (int step = 0; step < 300; ++step) {
      const auto device = static_cast<ItemId>(random() % 20);
      const std::string name = "osd." + std::to_string(device);
      // In a uniform bucket all items weigh the same, so there everything does.
      const Weight weight = algorithm == Algorithm::uniform ? weight_one : random() % (4 * weight_one);
      const Location place{{"host", "h" + std::to_string(random() % 3)}, {"root", "default"}};
      switch (random() % 4) {
        case 0:
        case 1:
          ASSERT_TRUE(update_item(map, device, weight, name, place));
          model[device] = weight;
          break;
        case 2:
          EXPECT_EQ(remove_item(map, device).has_value(), model.erase(device) > 0);
          break;
        case 3:
          EXPECT_EQ(reweight_item(map, device, weight).has_value(), model.contains(device));
          if (model.contains(device)) model[device] = weight;
          break;
      }
      ASSERT_EQ(map.verify(), std::nullopt);
      const auto sum = std::accumulate(model.begin(), model.end(), Weight{0},
                                       [](Weight all, const auto& entry) { return all + entry.second; });
      ASSERT_EQ(map.weight_of(-1), sum) << name_of(algorithm) << " step " << step;
      ASSERT_EQ(CrushMap::decode_map(encode(map)), map);
    }
  }
}

TEST(Edit, reweighting_many) {
  CrushMap map = make_map();
  ASSERT_TRUE(reweight_subtree(map, -1, 2 * weight_one));
  EXPECT_EQ(map.weight_of(-1), 4 * weight_one);
  map.bucket(-1)->weight = 0;
  map.bucket(-1)->weights = {0, 0};
  ASSERT_TRUE(reweight_all(map));
  EXPECT_EQ(map.weight_of(-1), 4 * weight_one);
  EXPECT_EQ(map.verify(), std::nullopt);
}

TEST(Edit, words) {
  const std::vector<std::string> words{"root=default", "host=a"};
  EXPECT_EQ(*parse_location(words), host_a);
  for (const auto* bad : {"root", "=a", "root="}) EXPECT_FALSE(parse_location(std::vector<std::string>{bad}));
  EXPECT_EQ(*to_weight(1.5), weight_one + weight_one / 2);
  EXPECT_FALSE(to_weight(-1));
  EXPECT_FALSE(to_weight(70'000));
}

TEST(Tree, parents_come_first_and_children_by_class_and_name) {
  CrushMap map = make_map();
  ASSERT_TRUE(insert_item(map, 10, weight_one, "osd.10", host_a));
  ASSERT_TRUE(insert_item(map, 2, weight_one, "osd.2", host_a));
  ASSERT_TRUE(set_device_class(map, 0, "ssd"));
  ASSERT_TRUE(set_device_class(map, 2, "hdd"));
  std::vector<std::string> names;
  for (const auto& node : walk_tree(map)) names.push_back(std::string(node.depth, ' ') + node.name);
  EXPECT_EQ(names, (std::vector<std::string>{"default", " a", "  osd.10", "  osd.2", "  osd.0", " b", "  osd.1"}));
  const auto nodes = walk_tree(map, *map.item_by_name("a"));
  ASSERT_EQ(nodes.size(), 4u);
  EXPECT_EQ(nodes[0].children, (std::vector<ItemId>{0, 2, 10}));
  EXPECT_EQ(nodes[1].device_class, "");
  EXPECT_EQ(nodes[2].device_class, "hdd");
  EXPECT_EQ(nodes[2].parent, map.item_by_name("a"));
}

}  // namespace
}  // namespace spirula::crush
