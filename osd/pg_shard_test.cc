#include "osd/pg_shard.h"

#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/shard.h"
#include "msg/fake_messenger.h"
#include "msg/receive_budget.h"
#include "osd/interpreter.h"
#include "osd/store_for_tests.h"

namespace spirula::osd {
namespace {

using namespace std::chrono_literals;

/// The PGs of one shard, and maps as they come.
struct Bench {
  explicit Bench(Shard& shard) : figures(metrics), connection(make_connection(shard)) {
    commons.whoami = 0;
    commons.store = &store;
    commons.figures = &figures;
    commons.retry = [this](ClientOpRef op) { retried.push_back(op); };
    commons.on_store_failed = [this](std::error_code) { failed = true; };
    pgs.emplace(shard, 0, commons);
    map.osds.resize(1);
    map.osds[0].state = maps::osd_state::exists | maps::osd_state::up;
    map.osds[0].weight = maps::weight_in;
    maps::Pool pool;
    pool.pg_num = pool.pgp_num = 1;
    pool.flags |= maps::Pool::creating;
    map.pools[1] = pool;
    map.pg_temp[{1, 0}] = {0};
  }
  static msg::FakeConnectionRef make_connection(Shard& shard) {
    msg::AddressVector address(msg::Address::msgr2(*Endpoint::parse("10.0.0.9:0"), 77));
    return std::make_shared<msg::FakeConnection>(shard, msg::EntityType::client, address);
  }
  void show(std::uint32_t epoch) {
    map.epoch = Epoch(epoch);
    auto view = std::make_shared<MapView>();
    view->map = std::make_shared<const maps::OsdMap>(map);
    pgs->on_map(view, true);
  }
  static ObjectId object(const std::string& name) { return {1, 7, "", "", name, msg::snap_head.value}; }
  /// From the next map on, a new interval, the PG's log names a version of the object that nobody has.
  void lose(const std::string& name) {
    Need need;
    need.at = {map.epoch, 1};
    store.metadata[{1, 0}]["missing." + encode(object(name)).to_string()] = encode(need);
    ++map.osds[0].info.up_from.value;
  }
  ClientOpRef write(std::uint32_t checked, const std::string& name = "o") {
    auto op = std::make_shared<ClientOp>();
    op->connection = connection;
    op->tid = ++tid;
    op->checked = Epoch(checked);
    op->wire.pg.pg = {1, 0};
    op->object.head = object(name);
    op->object.id = {{msg::EntityType::client, 4100}, op->tid, 1};
    op->object.client = op->object.id.client;
    op->object.origin = connection->peer_address();
    OsdOp create(OpCode::create);
    op->object.ops.push_back(create);
    EXPECT_EQ(classify(op->object.ops, ObjectClasses::builtin(), op->nature), 0);
    return op;
  }
  /// One that takes `bytes` of the budget.
  ClientOpRef write(std::uint32_t checked, const std::string& name, const std::shared_ptr<msg::ReceiveBudget>& budget,
                    std::size_t bytes) {
    auto op = write(checked, name);
    EXPECT_TRUE(budget->try_take(bytes));
    op->budget_hold = std::make_shared<msg::BudgetHold>(budget, bytes);
    return op;
  }
  std::optional<msg::OsdBackoff> backoff() {
    auto message = connection->take();
    if (message.type != msg::OsdBackoff::message_type) return std::nullopt;
    return *msg::read_message<msg::OsdBackoff>(message);
  }
  std::optional<std::int32_t> result() {
    auto message = connection->take(msg::OsdReply::message_type);
    if (message.type == 0) return std::nullopt;
    return msg::read_osd_reply(message)->result;
  }
  /// Epoch 5, by which the PG has too few copies.
  Task<> show_inactive() {
    map.pools[1].min_size = 2;
    show(5);
    co_await settle(pgs->shard());
  }
  static Task<> settle(Shard& shard) { (void)co_await shard.clock().sleep(2ms); }

  StoreForTests store;
  Metrics metrics;
  OsdFigures figures;
  ShardCommons commons;
  maps::OsdMap map;
  msg::FakeConnectionRef connection;
  std::vector<ClientOpRef> retried;
  bool failed = false;
  std::uint64_t tid = 0;
  std::optional<PgShard> pgs;
};

TEST(PgShard, a_request_checked_by_a_newer_map_waits_for_it_here) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    auto pools = std::exchange(bench.map.pools, {});
    bench.show(5);
    bench.pgs->handle(bench.write(6));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u) << "not dropped: its pool is in the next map";
    bench.map.pools = pools;
    bench.show(6);
    co_await Bench::settle(shard);
    EXPECT_TRUE(bench.retried.empty()) << "it has been checked on its connection's shard, which is not this one";
    EXPECT_EQ(bench.result(), 0);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, a_newer_map_fences_what_an_older_one_let_through) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.show(5);
    co_await Bench::settle(shard);
    msg::Address fenced = bench.connection->peer_address().addresses.at(0);
    fenced.type = msg::Address::Type::any;
    bench.map.blocklist[fenced] = Time::from(shard.clock().wall() + 1h);
    bench.show(6);
    bench.pgs->handle(bench.write(5));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), -ESHUTDOWN);
    EXPECT_TRUE(bench.store.objects.empty());
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, what_waits_for_a_map_goes_with_its_connection) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.show(5);
    bench.pgs->wait_for_map(bench.write(0));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);
    bench.pgs->on_reset(bench.connection);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u);
    co_await Bench::settle(shard);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, what_waits_for_more_copies_goes_with_its_connection) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    co_await bench.show_inactive();
    bench.pgs->handle(bench.write(5));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);
    bench.pgs->on_reset(bench.connection);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, what_waits_for_an_object_goes_with_its_connection) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.show(5);
    co_await Bench::settle(shard);
    bench.lose("lost");
    bench.show(6);
    co_await Bench::settle(shard);
    bench.pgs->handle(bench.write(6, "lost"));
    auto listing = bench.write(6, "");
    listing->object.ops = {OsdOp(OpCode::pgnls)};
    listing->nature = {};
    EXPECT_EQ(classify(listing->object.ops, ObjectClasses::builtin(), listing->nature), 0);
    bench.pgs->handle(std::move(listing));
    auto gone = std::exchange(bench.connection, Bench::make_connection(shard));
    bench.pgs->handle(bench.write(6, "lost"));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 3u);
    bench.pgs->on_reset(gone);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, clients_keep_requests_to_an_inactive_pg_once_half_the_room_is_taken) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    auto budget = std::make_shared<msg::ReceiveBudget>(1000);
    co_await bench.show_inactive();
    bench.pgs->handle(bench.write(5, "o", budget, 300));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);
    EXPECT_FALSE(bench.backoff());
    bench.pgs->handle(bench.write(5, "o", budget, 300));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u) << "the client sends all of them again";
    EXPECT_TRUE(budget->try_take(1000)) << "nothing is held";
    budget->give(1000);
    auto block = bench.backoff();
    EXPECT_TRUE(block && block->kind == msg::OsdBackoff::Kind::block);
    EXPECT_EQ(block->pg.pg, (PgId{1, 0}));
    EXPECT_TRUE(block->end.is_max);
    bench.pgs->handle(bench.write(5, "o", budget, 10));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u) << "sent before the client heard of it";
    EXPECT_FALSE(bench.backoff()) << "it is told once";
    bench.pgs->on_backoff_acknowledged(bench.connection, *block);

    // Another client is not concerned.
    auto first = std::exchange(bench.connection, Bench::make_connection(shard));
    bench.pgs->handle(bench.write(5, "o", budget, 300));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);

    bench.map.pools[1].min_size = 1;
    bench.show(6);
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0);
    bench.connection = first;
    auto unblock = bench.backoff();
    EXPECT_TRUE(unblock && unblock->kind == msg::OsdBackoff::Kind::unblock);
    EXPECT_EQ(unblock->id, block->id);
    bench.pgs->handle(bench.write(6, "o", budget, 900));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, a_backoff_ends_when_the_client_knows_of_it) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.commons.backoff_on_peering = true;
    co_await bench.show_inactive();
    bench.pgs->handle(bench.write(5));
    auto block = bench.backoff();
    bench.map.pools[1].min_size = 1;
    bench.show(6);
    co_await Bench::settle(shard);
    // Under way when the client hears of it: served now, it would come before the one that was dropped.
    bench.pgs->handle(bench.write(6));
    auto waits_for_a_map = bench.write(7);
    bench.pgs->handle(waits_for_a_map);
    co_await Bench::settle(shard);
    EXPECT_TRUE(bench.connection->sent.empty());
    msg::OsdBackoff other = *block;
    ++other.id;
    bench.pgs->on_backoff_acknowledged(bench.connection, other);
    EXPECT_TRUE(bench.connection->sent.empty()) << "of another one";
    bench.pgs->on_backoff_acknowledged(bench.connection, *block);
    auto unblock = bench.backoff();
    EXPECT_TRUE(unblock && unblock->kind == msg::OsdBackoff::Kind::unblock);
    bench.show(7);
    co_await Bench::settle(shard);
    EXPECT_FALSE(bench.result()) << "it comes again, in its turn";
    bench.pgs->handle(bench.write(7));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, a_backoff_does_not_outlive_its_connection_or_the_pg) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.commons.backoff_on_peering = true;
    co_await bench.show_inactive();
    bench.pgs->handle(bench.write(5));
    EXPECT_TRUE(bench.backoff());
    bench.pgs->on_reset(bench.connection);
    bench.pgs->handle(bench.write(5));
    auto block = bench.backoff();
    EXPECT_TRUE(block && block->kind == msg::OsdBackoff::Kind::block) << "a new session knows of none";
    // Nobody is asked for requests to a PG that is somewhere else.
    bench.map.pools.clear();
    bench.show(6);
    co_await Bench::settle(shard);
    auto unblock = bench.backoff();
    EXPECT_TRUE(unblock && unblock->kind == msg::OsdBackoff::Kind::unblock && unblock->id == block->id);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, clients_keep_requests_for_an_object_nobody_has_once_half_the_room_is_taken) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    auto budget = std::make_shared<msg::ReceiveBudget>(1000);
    bench.show(5);
    co_await Bench::settle(shard);
    bench.pgs->handle(bench.write(5, "lost"));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0);
    bench.lose("lost");
    bench.show(6);
    co_await Bench::settle(shard);
    bench.pgs->handle(bench.write(6, "lost", budget, 300));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);
    EXPECT_FALSE(bench.backoff());
    bench.pgs->handle(bench.write(6, "lost", budget, 300));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u) << "the client sends both again";
    EXPECT_TRUE(budget->try_take(1000)) << "nothing is held";
    budget->give(1000);
    auto block = bench.backoff();
    EXPECT_TRUE(block && block->kind == msg::OsdBackoff::Kind::block);
    EXPECT_EQ(block->begin, place_of(Bench::object("lost")));
    EXPECT_EQ(block->end, block->begin) << "that object alone";
    bench.pgs->handle(bench.write(6, "lost"));
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u) << "sent before the client heard of it";
    bench.pgs->handle(bench.write(6, "o", budget, 900));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0) << "others are served";

    // Of what waits for a map the client keeps that object's only.
    bench.pgs->wait_for_map(bench.write(0, "lost"));
    bench.pgs->wait_for_map(bench.write(0, "o"));
    bench.pgs->on_backoff_acknowledged(bench.connection, *block);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 1u);

    // It is given up for somebody who waits here.
    auto first = std::exchange(bench.connection, Bench::make_connection(shard));
    bench.pgs->handle(bench.write(6, "lost"));
    co_await Bench::settle(shard);
    EXPECT_FALSE(bench.result());
    auto given_up = co_await bench.pgs->command({1, 0}, "mark_unfound_lost", {{"mulcmd", "delete"}});
    EXPECT_EQ(given_up.result, 0) << given_up.text;
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0);
    bench.connection = first;
    auto unblock = bench.backoff();
    EXPECT_TRUE(unblock && unblock->kind == msg::OsdBackoff::Kind::unblock && unblock->id == block->id);
    bench.pgs->handle(bench.write(6, "lost", budget, 900));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), 0);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, what_a_read_takes_counts_when_it_begins) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    auto budget = std::make_shared<msg::ReceiveBudget>(limits::read_size_counted_max);
    co_await bench.show_inactive();
    for (int i = 0; i < 10; ++i) {
      auto read = bench.write(5, "o", budget, 100);
      read->object.ops = {OsdOp(OpCode::read)};
      EXPECT_EQ(classify(read->object.ops, ObjectClasses::builtin(), read->nature), 0);
      bench.pgs->handle(std::move(read));
    }
    EXPECT_FALSE(budget->is_half_used());
    EXPECT_EQ(bench.pgs->operations_in_flight(), 10u);
    bench.map.pools[1].min_size = 1;
    bench.show(6);
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->operations_in_flight(), 0u);
    EXPECT_TRUE(budget->try_take(limits::read_size_counted_max)) << "all is given back";
    budget->give(limits::read_size_counted_max);
    auto read = bench.write(6, "o", budget, 100);
    read->object.ops = {OsdOp(OpCode::read)};
    read->begin_reading();
    EXPECT_TRUE(budget->is_half_used());
    read->take_back_reading();
    EXPECT_FALSE(budget->is_half_used());
    read.reset();
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, who_waits_for_a_pg_that_finds_no_room_is_told) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.store.hold = true;
    bench.store.refuse = Errc::no_space;
    bench.show(5);
    bench.pgs->handle(bench.write(5));
    bench.store.hold = false;
    bench.store.released.set();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.result(), -ENOSPC);
    EXPECT_FALSE(bench.failed);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, a_removal_without_room_is_tried_again_and_a_failed_one_stops_the_daemon) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.show(5);
    co_await Bench::settle(shard);
    bench.pgs->handle(bench.write(5));
    co_await Bench::settle(shard);
    auto pools = std::exchange(bench.map.pools, {});
    bench.store.refuse_removal = Errc::no_space;
    bench.show(6);
    co_await Bench::settle(shard);
    bench.store.refuse_removal = Errc::ok;
    EXPECT_EQ(bench.pgs->pgs_held(), 1u);
    bench.pgs->tick();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->pgs_held(), 0u);
    EXPECT_TRUE(bench.store.objects.empty());

    bench.map.pools = pools;
    bench.show(7);
    co_await Bench::settle(shard);
    bench.map.pools.clear();
    bench.failed = false;
    bench.store.refuse_removal = Errc::io;
    bench.show(8);
    co_await Bench::settle(shard);
    EXPECT_TRUE(bench.failed);
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, a_copy_goes_when_it_is_wanted_no_more_unless_the_map_gives_it_back) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.map.osds.resize(2);
    bench.map.osds[1] = bench.map.osds[0];
    bench.show(5);
    co_await Bench::settle(shard);
    bench.map.pg_temp[{1, 0}] = {1};
    bench.show(6);
    co_await Bench::settle(shard);
    PeerRequest unwanted;
    unwanted.pg = {1, 0};
    unwanted.from = 1;
    unwanted.epoch = Epoch(6);
    unwanted.kind = PeerRequest::Kind::remove;
    bench.pgs->handle_peer(unwanted);
    bench.map.pg_temp[{1, 0}] = {1, 0};
    bench.show(7);
    co_await Bench::settle(shard);
    bench.pgs->tick();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->pgs_held(), 1u) << "what was said in an interval is over with it";

    bench.map.pg_temp[{1, 0}] = {1};
    bench.show(8);
    co_await Bench::settle(shard);
    unwanted.epoch = Epoch(8);
    bench.pgs->handle_peer(unwanted);
    bench.store.refuse_removal = Errc::no_space;
    bench.pgs->tick();
    co_await Bench::settle(shard);
    // While it goes, the map makes us its primary, and somebody tells us of his copy.
    bench.map.pg_temp[{1, 0}] = {0};
    bench.show(9);
    PeerRequest notify;
    notify.pg = {1, 0};
    notify.from = 1;
    notify.epoch = Epoch(9);
    notify.kind = PeerRequest::Kind::notify;
    CopyInfo copy;
    copy.exists = true;
    copy.info.interval_since = Epoch(5);
    notify.payload = encode(copy);
    bench.pgs->handle_peer(notify);
    bench.store.refuse_removal = Errc::ok;
    bench.pgs->tick();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.pgs->pgs_held(), 1u) << "a new copy begins";
    co_await bench.pgs->stop();
    co_return 0;
  });
}

TEST(PgShard, all_pgs_together_recover_so_much_at_once) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    for (int i = 0; i < limits::recoveries_per_osd; ++i) EXPECT_TRUE(bench.pgs->begin_recovery());
    EXPECT_FALSE(bench.pgs->begin_recovery());
    EXPECT_FALSE(bench.pgs->begin_recovery());
    bench.pgs->end_recovery();
    EXPECT_TRUE(bench.pgs->begin_recovery());
    co_await bench.pgs->stop();
    co_return 0;
  });
}

}  // namespace
}  // namespace spirula::osd
