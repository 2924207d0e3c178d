#include "mon/osd_edit.h"

#include "mon/test_state.h"

namespace spirula::mon {
namespace {

TEST(OsdEdit, an_osd_boots_goes_down_and_comes_back) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  EXPECT_TRUE(t.map().is_up(0));
  EXPECT_TRUE(t.map().is_in(0));
  EXPECT_EQ(t.map().crush->location_of(0).front().second, "box");
  EXPECT_EQ(*t.map().crush->weight_of(0), crush::weight_one);
  EXPECT_EQ(t.state.osd().metadata().at(0).at("hostname"), "box");
  auto epoch = t.map().epoch;
  ASSERT_TRUE(t.boot(0, 6800));
  EXPECT_EQ(t.map().epoch, epoch) << "the map says so already";

  ASSERT_TRUE(t.decide([&](Draft& d) { return mark_down(d, {0}, t.now); }));
  EXPECT_FALSE(t.map().is_up(0));
  EXPECT_TRUE(t.map().is_in(0));
  ASSERT_TRUE(t.boot(0, 6801));
  EXPECT_TRUE(t.map().is_up(0));
  EXPECT_EQ(t.map().osd(0)->info.up_from, t.map().epoch);
}

TEST(OsdEdit, a_second_incarnation_takes_over_through_an_epoch_that_shows_it_down) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  auto epoch = t.map().epoch;
  ASSERT_TRUE(t.boot(0, 6900));
  EXPECT_EQ(t.map().epoch.value, epoch.value + 2);
  EXPECT_FALSE(t.state.osd().map_at(epoch.next())->is_up(0));
  EXPECT_TRUE(t.map().is_up(0));
}

TEST(OsdEdit, another_store_cannot_take_an_id) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  auto stranger = t.boot_of(0, 6801);
  stranger.store.bytes[0] = 99;
  auto refused = t.decide([&](Draft& d) { return boot_osd(d, stranger, {}, t.now); });
  EXPECT_EQ(refused.error(), Errc::exists);
  EXPECT_EQ(t.map().osd(0)->client, t.boot_of(0, 6800).client_address);
}

TEST(OsdEdit, automatic_out_is_taken_back_by_a_boot_but_not_one_by_hand) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  ASSERT_TRUE(t.decide([&](Draft& d) { return mark_down(d, {0}, t.now); }));
  ASSERT_TRUE(t.decide([&](Draft& d) { return set_osd_weight(d, {0}, 0, t.now, true); }));
  EXPECT_FALSE(t.map().is_in(0));
  ASSERT_TRUE(t.boot(0, 6801));
  EXPECT_TRUE(t.map().is_in(0));
  ASSERT_TRUE(t.decide([&](Draft& d) { return set_osd_weight(d, {0}, 0, t.now); }));
  ASSERT_TRUE(t.decide([&](Draft& d) { return mark_down(d, {0}, t.now); }));
  ASSERT_TRUE(t.boot(0, 6802));
  EXPECT_FALSE(t.map().is_in(0));
}

TEST(OsdEdit, removal_wants_the_osd_down_and_takes_it_out_of_crush) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  EXPECT_EQ(t.decide([&](Draft& d) { return remove_osd(d, 0, true, t.now); }).error(), Errc::busy);
  ASSERT_TRUE(t.decide([&](Draft& d) { return mark_down(d, {0}, t.now); }));
  ASSERT_TRUE(t.decide([&](Draft& d) { return remove_osd(d, 0, true, t.now); }));
  EXPECT_EQ(t.map().count_existing(), 0u);
  EXPECT_FALSE(t.map().crush->weight_of(0));
  EXPECT_TRUE(t.state.osd().metadata().empty());
}

TEST(OsdEdit, ids_are_reused_and_belong_to_stores) {
  TestState t;
  msg::Uuid one = *msg::Uuid::parse("00000000-0000-0000-0000-000000000001");
  msg::Uuid two = *msg::Uuid::parse("00000000-0000-0000-0000-000000000002");
  auto ask = [&](msg::Uuid uuid, std::optional<std::int32_t> wanted = {}) {
    Result<std::int32_t> id = Errc::io;
    (void)t.decide([&](Draft& d) -> Result<> {
      id = new_osd(d, uuid, wanted, t.now);
      return id ? Result<>() : Result<>(id.error());
    });
    return id;
  };
  EXPECT_EQ(*ask(one), 0);
  EXPECT_EQ(*ask(two), 1);
  EXPECT_EQ(*ask(one), 0) << "asking again gives the same";
  EXPECT_EQ(ask(two, 0).error(), Errc::exists);
  ASSERT_TRUE(t.decide([&](Draft& d) { return destroy_osd(d, 0, t.now); }));
  EXPECT_EQ(*ask(*msg::Uuid::parse("00000000-0000-0000-0000-000000000003"), 0), 0);
  EXPECT_FALSE(t.map().osd(0)->state & maps::osd_state::destroyed);
}

TEST(OsdEdit, pools_and_their_snapshots) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  auto id = t.pool("p");
  ASSERT_TRUE(id);
  EXPECT_EQ(*t.pool("p"), *id) << "creating it again changes nothing";
  EXPECT_TRUE(t.map().pool(*id)->has(maps::Pool::creating));
  ASSERT_TRUE(t.decide([&](Draft& d) { return pools_created(d, {*id}, t.now); }));
  EXPECT_FALSE(t.map().pool(*id)->has(maps::Pool::creating));
  EXPECT_EQ(t.pool("q", 100'000).error(), Errc::range);
  EXPECT_EQ(t.pool("q", 300).error(), Errc::range) << "more PGs than an OSD should carry";

  msg::SnapId snap;
  ASSERT_TRUE(t.decide([&](Draft& d) -> Result<> {
    TRY(snap, create_self_managed_snapshot(d, *id, t.now));
    return {};
  }));
  EXPECT_EQ(snap.value, 2u);
  EXPECT_EQ(t.decide([&](Draft& d) { return create_pool_snapshot(d, *id, "s", t.now); }).error(), Errc::invalid);
  ASSERT_TRUE(t.decide([&](Draft& d) {
    return remove_self_managed_snapshots(d, {{*id, {snap, msg::SnapId(3), msg::SnapId(9)}}}, t.now);
  }));
  EXPECT_EQ(t.map().removed_snaps_queue.at(*id), (maps::Intervals{{2, 2}, {9, 1}}));
  EXPECT_GE(t.map().pool(*id)->snap_sequence.value, 9u);
  ASSERT_TRUE(t.decide([&](Draft& d) { return snaps_purged(d, {{*id, {{2, 2}}}}, t.now); }));
  EXPECT_EQ(t.map().removed_snaps_queue.at(*id), (maps::Intervals{{9, 1}}));
  ASSERT_TRUE(t.decide([&](Draft& d) { return delete_pool(d, *id, t.now); }));
  EXPECT_TRUE(t.map().pools.empty());
  EXPECT_NE(*t.pool("p"), *id) << "ids are never used twice";
}

TEST(OsdEdit, blocklist) {
  TestState t;
  auto address = msg::Address::msgr2(*Endpoint::parse("10.0.0.1:0"), 3);
  ASSERT_TRUE(t.decide([&](Draft& d) { return add_to_blocklist(d, {address}, later(t.now, 60), t.now); }));
  EXPECT_TRUE(t.map().is_blocklisted(address, t.now));
  EXPECT_FALSE(t.map().is_blocklisted(address, later(t.now, 61)));
  ASSERT_TRUE(t.decide([&](Draft& d) { return remove_from_blocklist(d, {address}, t.now); }));
  EXPECT_EQ(t.decide([&](Draft& d) { return remove_from_blocklist(d, {address}, t.now); }).error(), Errc::not_found);
}

TEST(OsdEdit, networks_on_the_blocklist) {
  TestState t;
  auto host = msg::Address::msgr2(*Endpoint::parse("10.0.0.77:3300"), 3);
  auto network = msg::Address::msgr2(*Endpoint::parse("10.0.0.0:0"), 24);
  network.type = maps::network_address;
  ASSERT_TRUE(t.decide([&](Draft& d) { return add_to_blocklist(d, {network}, later(t.now, 60), t.now); }));
  EXPECT_TRUE(t.map().blocklist.empty());
  EXPECT_TRUE(t.map().is_blocklisted(host, t.now));
  ASSERT_TRUE(t.decide([&](Draft& d) { return remove_from_blocklist(d, {network}, t.now); }));
  EXPECT_FALSE(t.map().is_blocklisted(host, t.now));
}

TEST(OsdService, old_maps_are_rebuilt_and_trimmed) {
  TestState t;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(t.pool("p" + std::to_string(i), 1));
  std::map<std::uint32_t, Buffer> full;
  for (auto e = t.state.osd().first(); e <= t.map().epoch; ++e) {
    auto bytes = t.state.osd().full(e);
    ASSERT_TRUE(bytes);
    full[e.value] = *bytes;
    EXPECT_EQ(maps::OsdMap::decode_map(*bytes)->epoch, e);
  }
  ASSERT_TRUE(t.decide([&](Draft& d) {
    OsdService::Change change;
    change.trim_to = msg::Epoch(10);
    return d.change<OsdService>(change);
  }));
  EXPECT_EQ(t.state.osd().first().value, 10u);
  EXPECT_EQ(t.state.osd().incrementals().begin()->first.value, 11u);
  EXPECT_EQ(t.state.osd().full(msg::Epoch(9)).error(), Errc::not_found);
  for (auto e = t.state.osd().first(); e <= t.map().epoch; ++e) EXPECT_EQ(*t.state.osd().full(e), full[e.value]);
}

TEST(OsdService, an_incremental_names_the_checksum_of_the_map_it_leads_to) {
  TestState t;
  ASSERT_TRUE(t.boot(0, 6800));
  auto incremental = maps::OsdMapIncremental::decode_map(t.state.osd().incrementals().rbegin()->second.incremental);
  ASSERT_TRUE(incremental);
  EXPECT_EQ(incremental->full_crc, *maps::checksum_of_encoded_map(*t.state.osd().full(t.map().epoch)));
}

}  // namespace
}  // namespace spirula::mon
