// Placement of every PG against the stock osdmaptool.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/random.h"
#include "crush/device_classes.h"
#include "crush/edit.h"
#include "crush/rules.h"
#include "maps/osd_map.h"

namespace spirula::maps {
namespace {

namespace fs = std::filesystem;

/// A directory that goes away with the test.
struct Scratch {
  fs::path path = fs::temp_directory_path() / ("spirula-maps-" + std::to_string(system_random().next()));
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

Buffer read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Buffer::copy_of(std::string((std::istreambuf_iterator<char>(file)), {}));
}

void write_file(const fs::path& path, const Buffer& bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  char part[4096];
  while (std::size_t n = fread(part, 1, sizeof part, pipe)) text.append(part, n);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << text;
  return text;
}

/// A hierarchy of racks and hosts with classes, and rules of both kinds; what a pool may ask for and be refused.
crush::CrushMap random_crush(SeededRandom& random, const crush::CrushMap& simple, unsigned count) {
  crush::CrushMap map = simple;
  unsigned hosts = 2 + random.below(6), racks = 1 + random.below(3);
  for (unsigned id = 0; id < count; ++id) {
    unsigned host = random.below(hosts);
    crush::Location at{
        {"root", "default"}, {"rack", "rack" + std::to_string(host % racks)}, {"host", "h" + std::to_string(host)}};
    auto weight = static_cast<crush::Weight>(random.below(8) == 0 ? 0 : random.below(4 * crush::weight_one));
    auto device = static_cast<crush::ItemId>(id);
    EXPECT_TRUE(crush::update_item(map, device, weight, "osd." + std::to_string(id), at));
    if (id < 2 || random.below(4))
      EXPECT_TRUE(crush::set_device_class(map, device, id == 0 || random.below(2) ? "hdd" : "ssd"));
  }
  for (const char* domain : {"osd", "host", "rack"})
    for (const char* device_class : {"", "hdd"})
      for (bool indep : {false, true}) {
        auto id = crush::create_rule(
            map, {.name = std::string(domain) + device_class + (indep ? "-indep" : "-firstn"),
                  .failure_domain = domain,
                  .device_class = device_class,
                  .indep = indep,
                  .type = random.below(6) ? indep ? crush::RuleType::erasure : crush::RuleType::replicated
                                          : crush::RuleType::replicated});
        EXPECT_TRUE(id);
        if (id && random.below(6) == 0) map.rules[static_cast<std::size_t>(*id)]->size_max = 3;
      }
  return map;
}

/// The stock tool's simple map, changed at random: hierarchy, classes and rules; states, weights, affinities, pools of
/// copies and of positions, upmaps, temporary mappings.
OsdMap random_map(SeededRandom& random, const fs::path& path) {
  unsigned count = 4 + random.below(28);
  output_of("osdmaptool --createsimple " + std::to_string(count) + " --pg-bits 3 --with-default-pool --clobber " +
            path.string() + " 2>&1");
  auto made = OsdMap::decode_map(read_file(path));
  EXPECT_TRUE(made);
  OsdMap map = *made;
  for (Osd& osd : map.osds) {
    osd.state = osd_state::exists | (random.below(8) ? osd_state::up : 0);
    osd.weight = random.below(6) == 0 ? 0 : random.below(3) == 0 ? random.below(weight_in) : weight_in;
    if (random.below(4) == 0) osd.primary_affinity = random.below(default_primary_affinity + 1);
  }
  auto crush = std::make_shared<crush::CrushMap>(random_crush(random, *map.crush, count));
  map.crush = crush;
  auto rules = static_cast<std::uint32_t>(crush->rules.size());
  Pool& first = map.pools.begin()->second;
  first.size = 1 + random.below(4);
  for (std::int64_t id = 2; id < 8; ++id) {
    Pool pool = first;
    pool.size = 1 + random.below(5);
    pool.pg_num = 1 + random.below(100);
    pool.pgp_num = 1 + random.below(pool.pg_num);
    pool.crush_rule = static_cast<std::uint8_t>(random.below(rules));
    const crush::Rule* rule = crush->rule(pool.crush_rule);
    bool positions = rule->type == crush::RuleType::erasure;
    if (random.below(12) == 0) positions = !positions;  // then no rule fits
    pool.type = positions ? Pool::Type::erasure : Pool::Type::replicated;
    if (random.below(3) == 0) pool.flags &= ~std::uint64_t{Pool::hash_ps_pool};
    map.pools[id] = pool;
    map.pool_names[id] = "pool" + std::to_string(id);
  }
  map.pool_max = 7;
  auto any_osd = [&] { return static_cast<std::int32_t>(random.below(count)); };
  for (int i = 0; i < 80; ++i) {
    PgId pg{static_cast<std::int64_t>(1 + random.below(7)), static_cast<std::uint32_t>(random.below(64))};
    if (pg.seed >= map.pools[pg.pool].pg_num) continue;
    std::int32_t a = any_osd(), b = (a + 1) % static_cast<std::int32_t>(count);
    switch (random.below(4)) {
      case 0:
        map.pg_upmap[pg] = {a, b};
        break;
      case 1:
        map.pg_upmap_items[pg] = {{a, b}};
        break;
      case 2:
        map.pg_temp[pg] = {a, b};
        break;
      case 3:
        map.primary_temp[pg] = a;
    }
  }
  return map;
}

std::string describe(const std::vector<std::int32_t>& osds) {
  std::string text = "[";
  for (std::int32_t id : osds) text += (text.size() > 1 ? "," : "") + std::to_string(id);
  return text + "]";
}

TEST(OsdMapStock, every_pg_of_20_maps_is_placed_as_osdmaptool_places_it) {
  Scratch scratch;
  SeededRandom random(20);
  unsigned compared = 0, with_holes = 0, placement_groups = 0;
  for (int round = 0; round < 20; ++round) {
    fs::path path = scratch.path / "map";
    OsdMap map = random_map(random, path);
    write_file(path, map.encode_map());
    for (const auto& [id, pool] : map.pools) placement_groups += pool.pg_num;
    // Lines such as "1.3 raw ([1,2], p1) up ([1], p1) acting ([1], p1)".
    std::istringstream lines(output_of("osdmaptool " + path.string() + " --test-map-pgs-dump-all 2>/dev/null"));
    for (std::string line; std::getline(lines, line);) {
      auto pg = PgId::parse(line.substr(0, line.find(' ')));
      auto at = line.find(" up (");
      if (!pg || at == line.npos) continue;
      Placement ours = map.place(*pg);
      EXPECT_EQ(" up (" + describe(ours.up) + ", p" + std::to_string(ours.up_primary) + ") acting (" +
                    describe(ours.acting) + ", p" + std::to_string(ours.acting_primary) + ")",
                line.substr(at))
          << line << " in round " << round;
      ++compared;
      with_holes += std::ranges::count(ours.up, crush::item_none) > 0;
    }
  }
  EXPECT_EQ(compared, placement_groups);
  EXPECT_GT(compared, 5000u);
  EXPECT_GT(with_holes, 100u);
}

TEST(OsdMapStock, objects_are_hashed_as_osdmaptool_hashes_them) {
  Scratch scratch;
  SeededRandom random(3);
  fs::path path = scratch.path / "map";
  OsdMap map = random_map(random, path);
  write_file(path, map.encode_map());
  for (const char* name : {"a", "rbd_data.123", "10000000001.00000000", "with.some.very.long.name.0123456789"}) {
    std::string text =
        output_of("osdmaptool " + path.string() + " --test-map-object " + name + " --pool 2 2>/dev/null");
    auto pg = map.object_to_pg({.pool = 2, .key = "", .name_space = ""}, name);
    EXPECT_NE(text.find("-> " + pg->describe() + " "), text.npos) << text << " but we say " << pg->describe();
  }
}

}  // namespace
}  // namespace spirula::maps
