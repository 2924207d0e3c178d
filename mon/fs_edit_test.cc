#include "mon/fs_edit.h"

#include "mon/test_state.h"

namespace spirula::mon {
namespace {

using maps::MdsState;

struct FsEditTest : testing::Test, TestState {
  std::int32_t fscid = -1;

  void make_fs() {
    auto metadata = pool("md"), data = pool("dt");
    ASSERT_TRUE(decide([&](Draft& d) -> Result<> {
      TRY(fscid, create_file_system(d, {"cfs", *metadata, *data}, now));
      return promote_standbys(d, now);
    }));
  }
  Result<> beacon(std::uint64_t gid, const char* name, MdsState wanted) {
    msg::MdsBeacon message;
    message.cluster = fsid;
    message.gid = gid;
    message.name = name;
    message.wanted = wanted;
    message.sequence = ++sequence_;
    message.address = msg::Address::msgr2(*Endpoint::parse("127.0.0.1:6810"), static_cast<std::uint32_t>(gid));
    return decide([&](Draft& d) -> Result<> {
      TRY(take_mds_beacon(d, message, 3600, now));
      return promote_standbys(d, now);
    });
  }
  MdsState state_of(std::uint64_t gid) {
    auto found = state.fs().find(maps::MdsGid(gid));
    return found ? found.info->state : MdsState::dne;
  }
  const maps::MdsMap& mds() { return fs().file_system(fscid)->mds_map; }

 private:
  std::uint64_t sequence_ = 0;
};

TEST_F(FsEditTest, an_mds_creates_a_file_system_and_serves_it) {
  ASSERT_TRUE(beacon(1, "x", MdsState::boot));
  EXPECT_EQ(state_of(1), MdsState::standby);
  make_fs();
  EXPECT_EQ(state_of(1), MdsState::creating);
  EXPECT_EQ(mds().epoch, fs().epoch);
  EXPECT_EQ(map().pool(mds().metadata_pool)->applications.at("cephfs").at("metadata"), "cfs");
  ASSERT_TRUE(beacon(1, "x", MdsState::rejoin));
  EXPECT_EQ(state_of(1), MdsState::creating) << "not a step it may take";
  ASSERT_TRUE(beacon(1, "x", MdsState::active));
  EXPECT_EQ(state_of(1), MdsState::active);
  auto epoch = fs().epoch;
  ASSERT_TRUE(beacon(1, "x", MdsState::active));
  EXPECT_EQ(fs().epoch, epoch);
}

TEST_F(FsEditTest, a_successor_waits_for_the_map_that_shuts_its_predecessor_out) {
  ASSERT_TRUE(beacon(1, "x", MdsState::boot));
  make_fs();
  ASSERT_TRUE(beacon(1, "x", MdsState::active));
  ASSERT_TRUE(beacon(2, "y", MdsState::boot));
  EXPECT_EQ(state_of(2), MdsState::standby);
  auto before = map().epoch;
  auto address = mds().holder(0)->addresses;
  ASSERT_TRUE(decide([&](Draft& d) -> Result<> {
    TRY(fail_mds(d, maps::MdsGid(1), 3600, now));
    return promote_standbys(d, now);
  }));
  EXPECT_EQ(state_of(1), MdsState::dne);
  EXPECT_EQ(state_of(2), MdsState::replay);
  EXPECT_GT(map().epoch, before);
  EXPECT_TRUE(map().is_blocklisted(address, now));
  EXPECT_EQ(mds().last_failure_osd_epoch, map().epoch);
  for (auto step : {MdsState::reconnect, MdsState::rejoin, MdsState::active}) {
    ASSERT_TRUE(beacon(2, "y", step));
    EXPECT_EQ(state_of(2), step);
  }
  ASSERT_TRUE(beacon(1, "x", MdsState::active));
  EXPECT_EQ(state_of(1), MdsState::dne) << "a dropped gid does not come back";
}

TEST_F(FsEditTest, a_restarted_mds_replaces_its_former_self) {
  ASSERT_TRUE(beacon(1, "x", MdsState::boot));
  make_fs();
  ASSERT_TRUE(beacon(1, "x", MdsState::active));
  ASSERT_TRUE(beacon(2, "x", MdsState::boot));
  EXPECT_EQ(state_of(1), MdsState::dne);
  EXPECT_EQ(state_of(2), MdsState::replay);
  EXPECT_EQ(mds().failed.size(), 0u);
  EXPECT_EQ(mds().up.at(0), maps::MdsGid(2));
}

TEST_F(FsEditTest, leaving_frees_the_rank_and_half_made_ranks_are_made_anew) {
  ASSERT_TRUE(beacon(1, "x", MdsState::boot));
  make_fs();
  ASSERT_TRUE(beacon(1, "x", MdsState::dne));
  EXPECT_TRUE(mds().in.empty());
  ASSERT_TRUE(beacon(2, "y", MdsState::boot));
  EXPECT_EQ(state_of(2), MdsState::creating);
  ASSERT_TRUE(beacon(2, "y", MdsState::active));
  ASSERT_TRUE(beacon(2, "y", MdsState::dne));
  EXPECT_TRUE(mds().failed.contains(0));
  EXPECT_EQ(decide([&](Draft& d) { return remove_file_system(d, fscid, now); }), Result<>());
  EXPECT_TRUE(fs().file_systems.empty());
}

TEST_F(FsEditTest, pools_serve_one_file_system) {
  make_fs();
  auto pool_id = mds().metadata_pool;
  auto other = pool("other");
  auto refused = decide([&](Draft& d) -> Result<> {
    auto made = create_file_system(d, {"second", *other, pool_id}, now);
    return made ? Result<>() : Result<>(made.error());
  });
  EXPECT_EQ(refused.error(), Errc::busy);
}

TEST_F(FsEditTest, past_maps_are_kept_by_count_and_age) {
  auto step = [&](std::int64_t size) {
    return decide([&](Draft& d) {
      return edit_file_system(d, fscid, now, [&](maps::MdsMap& map) { map.max_file_size = size; });
    });
  };
  make_fs();
  auto first = fs();
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(step(1000 + i));
  ASSERT_TRUE(state.fs().map_at(first.epoch)) << "young";
  EXPECT_EQ(*state.fs().map_at(first.epoch), first);
  EXPECT_EQ(state.fs().map_at(fs().epoch)->file_systems[0].mds_map.max_file_size, 1299);
  EXPECT_EQ(state.fs().map_at(fs().epoch.next()).error(), Errc::not_found);
  now = later(now, 3601);
  ASSERT_TRUE(step(1));
  ASSERT_TRUE(step(2));
  EXPECT_FALSE(state.fs().map_at(first.epoch)) << "old, and there are enough";
  EXPECT_TRUE(state.fs().map_at(msg::Epoch(fs().epoch.value - 250)));
  EXPECT_FALSE(state.fs().map_at(msg::Epoch(fs().epoch.value - 251)));
}

}  // namespace
}  // namespace spirula::mon
