#include "maps/fs_map.h"

#include <gtest/gtest.h>

#include <fstream>

#include "maps/mon_map.h"

namespace spirula::maps {
namespace {

Buffer golden(const std::string& name) {
  std::ifstream file("tests/golden/maps/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name << ": run the tests from the top of the tree";
  return Buffer::copy_of(std::string((std::istreambuf_iterator<char>(file)), {}));
}

TEST(FsMap, stock_maps_keep_their_bytes) {
  for (const char* name : {"fsmap", "fsmap.active"}) {
    auto map = decode<FsMap>(golden(name));
    ASSERT_TRUE(map) << name;
    EXPECT_EQ(to_hex(encode(*map)), to_hex(golden(name)));
    ASSERT_TRUE(map->file_system("fs"));
    EXPECT_EQ(map->default_compat, mds_compat_set(false));
  }
  auto active = *decode<FsMap>(golden("fsmap.active"));
  const MdsInfo* leader = active.file_system("fs")->mds_map.holder(0);
  ASSERT_TRUE(leader);
  EXPECT_EQ(leader->name, "y");
  EXPECT_EQ(leader->state, MdsState::creating);
  EXPECT_EQ(leader->compat_set, mds_compat_set(true));
  EXPECT_TRUE(active.file_system("fs")->mds_map.required_client_features.has(9));
  EXPECT_EQ(FsMapUser::of(active).entries.at(0).name, "fs");
}

TEST(MonMap, stock_map_keeps_its_bytes) {
  auto map = decode<MonMap>(golden("monmap"));
  ASSERT_TRUE(map);
  EXPECT_EQ(to_hex(encode(*map)), to_hex(golden("monmap")));
  EXPECT_EQ(map->monitors.at("a").addresses.describe(), "[v2:127.0.0.1:46300/0]");
}

TEST(FsMap, truncations_are_malformed) {
  Buffer whole = golden("fsmap.active");
  for (std::size_t n = 0; n < whole.size(); n += 7) EXPECT_FALSE(decode<FsMap>(whole.slice(0, n))) << n;
}

}  // namespace
}  // namespace spirula::maps
