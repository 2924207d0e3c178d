#include "osd/peering.h"

#include <gtest/gtest.h>

namespace spirula::osd {
namespace {

constexpr PgId pg{1, 0};

/// Three OSDs that are up since epoch 2, and a pool that pg_temp places.
maps::OsdMap make_map(std::uint32_t epoch, std::vector<std::int32_t> acting) {
  maps::OsdMap map;
  map.epoch = Epoch(epoch);
  map.osds.resize(4);
  for (auto& each : map.osds) {
    each.state = maps::osd_state::exists | maps::osd_state::up;
    each.weight = maps::weight_in;
    each.info.up_from = Epoch(2);
  }
  maps::Pool pool;
  pool.pg_num = pool.pgp_num = 1;
  pool.size = 2;
  pool.min_size = 1;
  map.pools[1] = pool;
  map.pg_temp[pg] = std::move(acting);
  return map;
}

CopyInfo copy(std::uint32_t started, Version last_update, Version tail = {}, bool complete = true) {
  CopyInfo copy;
  copy.exists = true;
  copy.info.last_started = Epoch(started);
  copy.info.complete = complete;
  copy.last_update = last_update;
  copy.log_tail = tail;
  return copy;
}

Version at(std::uint32_t epoch, std::uint64_t number) {
  return {Epoch(epoch), number};
}

ObjectId object(const std::string& name) {
  return {1, 7, "", "", name, msg::snap_head.value};
}

PgLogEntry entry(Version version, const std::string& name, Version prior = {}, bool stored = true) {
  PgLogEntry entry;
  entry.at = version;
  entry.prior = prior;
  entry.object = object(name);
  entry.stored = stored;
  return entry;
}

TEST(Peering, an_interval_may_have_written_if_its_primary_was_seen_in_it) {
  PgInfo info;
  EXPECT_TRUE(advance(info, make_map(5, {0, 1}), pg, true));
  EXPECT_FALSE(advance(info, make_map(6, {0, 1}), pg, true));
  auto map = make_map(7, {1});
  EXPECT_TRUE(advance(info, map, pg, true));
  ASSERT_EQ(info.past.size(), 1u);
  EXPECT_EQ(info.past[0].first, Epoch(5));
  EXPECT_EQ(info.past[0].last, Epoch(6));
  EXPECT_FALSE(info.past[0].maybe_wrote);

  map = make_map(8, {0});
  map.osds[1].info.up_thru = Epoch(7);
  EXPECT_TRUE(advance(info, map, pg, true));
  EXPECT_TRUE(info.past[1].maybe_wrote);

  // The same OSD in another life is another interval, and so is a gap in the maps, in which anybody may have written.
  map = make_map(9, {0});
  map.osds[0].info.up_from = Epoch(9);
  EXPECT_TRUE(advance(info, map, pg, true));
  map.epoch = Epoch(20);
  EXPECT_TRUE(advance(info, map, pg, false));
  EXPECT_TRUE(info.past[3].unknown);
}

TEST(Peering, who_may_have_written_must_be_there) {
  PgInfo info;
  info.acting = info.up = {0};
  info.members.size = 2;
  info.past.push_back({Epoch(5), Epoch(6), {0, 1}, true, false});
  info.past.push_back({Epoch(7), Epoch(8), {1}, true, false});
  auto map = make_map(9, {0});
  EXPECT_EQ(whom_to_ask(info, map, 0), (std::set<std::int32_t>{1}));
  EXPECT_EQ(choose(info, {{0, copy(5, at(5, 3))}}, map, 0).kind, PeeringChoice::Kind::down);
  // A copy that was being filled then does not have what was acknowledged.
  auto half = copy(7, at(7, 9), {}, false);
  EXPECT_EQ(choose(info, {{0, copy(5, at(5, 3))}, {1, half}}, map, 0).kind, PeeringChoice::Kind::down);
  auto choice = choose(info, {{0, copy(5, at(5, 9))}, {1, copy(7, at(7, 4))}}, map, 0);
  EXPECT_EQ(choice.kind, PeeringChoice::Kind::activate);
  EXPECT_EQ(choice.authority, 1) << "longer, but of an interval before the last one that was activated";
  // Declared lost: there is nobody to wait for.
  map.osds[1].info.lost_at = Epoch(9);
  EXPECT_EQ(choose(info, {{0, copy(5, at(5, 3))}}, map, 0).kind, PeeringChoice::Kind::activate);
  // After a gap in the maps everybody there is has to be asked.
  info.past.push_back({Epoch(9), Epoch(9), {}, true, true});
  EXPECT_EQ(choose(info, {{0, copy(5, at(5, 3))}}, map, 0).kind, PeeringChoice::Kind::down);
  EXPECT_EQ(whom_to_ask(info, map, 0), (std::set<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(choose(info, {{0, copy(5, at(5, 3))}, {1, {}}, {2, {}}, {3, {}}}, map, 0).kind,
            PeeringChoice::Kind::activate);
}

TEST(Peering, who_has_a_copy_serves_while_others_are_filled) {
  PgInfo info;
  info.up = info.acting = {2, 1};
  info.members.size = 2;
  info.past.push_back({Epoch(5), Epoch(8), {0, 1}, true, false});
  auto map = make_map(9, {2, 1});
  std::map<std::int32_t, CopyInfo> copies{
      {2, copy(0, {}, {}, false)}, {1, copy(5, at(5, 100), at(5, 50))}, {0, copy(5, at(5, 100), at(5, 50))}};
  auto choice = choose(info, copies, map, 2);
  EXPECT_EQ(choice.kind, PeeringChoice::Kind::change_set);
  EXPECT_EQ(choice.acting, (std::vector<std::int32_t>{1, 0}));
  info.acting = {1, 0};
  EXPECT_EQ(choose(info, copies, map, 1).kind, PeeringChoice::Kind::activate);
  // Once it is filled, CRUSH's choice is good enough.
  info.acting = info.up;
  copies[2] = copies[1];
  EXPECT_EQ(choose(info, copies, map, 2).kind, PeeringChoice::Kind::activate);
}

TEST(Peering, logs_merge) {
  std::vector<PgLogEntry> common{entry(at(5, 1), "a"), entry(at(5, 2), "b")};
  auto ours = common, theirs = common;
  ours.push_back(entry(at(5, 3), "a", at(5, 1)));
  ours.push_back(entry(at(5, 4), "new"));
  theirs.push_back(entry(at(6, 3), "b", at(5, 2), false));
  auto merge = merge_logs(ours, {}, theirs, {});
  EXPECT_TRUE(merge.possible);
  EXPECT_EQ(merge.drop, (std::vector<Version>{at(5, 3), at(5, 4)}));
  ASSERT_EQ(merge.add.size(), 1u);
  EXPECT_EQ(
      merge.missing,
      (Missing{{object("a"), {at(5, 1), false}}, {object("b"), {at(6, 3), true}}, {object("new"), {Version{}, true}}}));
  // Only what follows is sent, when it follows.
  merge = merge_logs(common, {}, {entry(at(6, 3), "b")}, at(5, 2));
  EXPECT_TRUE(merge.possible && merge.drop.empty());
  EXPECT_EQ(merge.missing.size(), 1u);
  // They have forgotten more than we have.
  EXPECT_FALSE(merge_logs(common, {}, {entry(at(6, 9), "b")}, at(6, 8)).possible);
}

}  // namespace
}  // namespace spirula::osd
