#include "osd/placement_group.h"

#include <gtest/gtest.h>

#include "base/shard.h"
#include "osd/store_for_tests.h"

namespace spirula::osd {
namespace {

using namespace std::chrono_literals;

/// A daemon of one PG.
class Daemon : public PgHost {
 public:
  Daemon(Shard& shard, StoreForTests& store) : shard_(shard), store_(store) {}
  Shard& shard() override { return shard_; }
  ObjectStore& store() override { return store_; }
  const ObjectClasses& classes() override { return ObjectClasses::builtin(); }
  std::int32_t whoami() override { return 0; }
  Epoch epoch() override { return Epoch(5); }
  void reply(ClientOp& op, msg::OsdReply reply) override { replies.emplace_back(op.tid, std::move(reply)); }
  std::size_t log_entries_max() override { return log_entries; }
  std::size_t idle_objects_max() override { return 4; }
  bool is_cautious() override { return cautious; }
  bool is_full() override { return full; }
  std::uint64_t make_room() override { return attempts_wanted = attempts + 1; }
  std::uint64_t room_attempts() override { return attempts; }
  void store_failed(std::error_code) override { failed = true; }
  std::uint64_t next_notify_id() override { return ++notify_id; }
  void send_to_osd(std::int32_t, msg::Message) override {}
  void request_up_thru(Epoch) override {}
  void request_acting(PgId, std::vector<std::int32_t>) override {}

  std::vector<std::pair<std::uint64_t, msg::OsdReply>> replies;
  bool cautious = false, failed = false, full = false;
  std::size_t log_entries = 100;
  std::uint64_t notify_id = 0, attempts = 0, attempts_wanted = 0;

 private:
  Shard& shard_;
  StoreForTests& store_;
};

OsdMapRef make_map(std::uint8_t min_size = 1, std::uint64_t pool_flags = 0, std::uint32_t epoch = 5) {
  auto map = std::make_shared<maps::OsdMap>();
  map->epoch = Epoch(epoch);
  map->osds.resize(1);
  map->osds[0].state = maps::osd_state::exists | maps::osd_state::up;
  map->osds[0].weight = maps::weight_in;
  maps::Pool pool;
  pool.pg_num = pool.pgp_num = 1;
  pool.min_size = min_size;
  pool.flags |= pool_flags;
  map->pools[1] = pool;
  map->pool_names[1] = "p";
  map->pg_temp[{1, 0}] = {0};
  return map;
}

struct Bench {
  explicit Bench(Shard& shard) : daemon(shard, store) { restart(); }
  void restart() { pg = std::make_unique<PlacementGroup>(daemon, PgId{1, 0}); }
  ClientOpRef op(const std::string& object, std::vector<OsdOp> ops, std::uint64_t tid = 0) {
    auto op = std::make_shared<ClientOp>();
    op->tid = tid ? tid : ++tid_;
    op->object.head = {1, 7, "", "", object, msg::snap_head.value};
    op->object.id = {{msg::EntityType::client, 4100}, op->tid, 1};
    op->object.client = op->object.id.client;
    op->object.ops = std::move(ops);
    op->wire.object = object;
    EXPECT_EQ(classify(op->object.ops, ObjectClasses::builtin(), op->nature), 0);
    return op;
  }
  static OsdOp data(OpCode code, std::string_view text, std::uint64_t offset = 0) {
    OsdOp op(code);
    op.extent().offset = offset;
    op.extent().length = text.size();
    op.input = BufferList(Buffer::copy_of(text));
    return op;
  }
  std::uint64_t send(const std::string& object, std::vector<OsdOp> ops, std::uint64_t tid = 0) {
    auto request = op(object, std::move(ops), tid);
    pg->submit(request);
    return request->tid;
  }
  /// Lets everything go on that can.
  static Task<> settle(Shard& shard) { (void)co_await shard.clock().sleep(2ms); }
  const msg::OsdReply* reply(std::uint64_t tid) {
    for (auto& [id, reply] : daemon.replies)
      if (id == tid) return &reply;
    return nullptr;
  }
  StoreForTests store;
  Daemon daemon;
  std::unique_ptr<PlacementGroup> pg;
  std::uint64_t tid_ = 0;
};

TEST(PlacementGroup, changes_overlap_and_reads_wait_for_them) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    EXPECT_TRUE(bench.pg->is_active());
    co_await Bench::settle(shard);
    std::size_t before = bench.store.submitted;

    bench.store.hold = true;
    auto first = bench.send("a", {Bench::data(OpCode::writefull, "one")});
    auto second = bench.send("a", {Bench::data(OpCode::append, "two")});
    auto read = bench.send("a", {Bench::data(OpCode::read, "")});
    OsdOp exclusive(OpCode::create);
    exclusive.flags = msg::op_flag::exclusive;
    auto create = bench.send("a", {exclusive});
    auto other = bench.send("b", {Bench::data(OpCode::read, "")});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.store.submitted, before + 2) << "both changes are on their way";
    EXPECT_EQ(bench.reply(first), nullptr);
    EXPECT_EQ(bench.reply(read), nullptr);
    EXPECT_EQ(bench.reply(create), nullptr) << "-EEXIST must not be told before the object is durable";
    EXPECT_NE(bench.reply(other), nullptr) << "another object is not held up";
    EXPECT_EQ(bench.reply(other)->result, -ENOENT);
    EXPECT_EQ(bench.pg->operations_in_flight(), 4u);

    bench.store.hold = false;
    bench.store.released.set();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(first)->result, 0);
    EXPECT_EQ(bench.reply(first)->version, (Version{Epoch(5), 1}));
    EXPECT_EQ(bench.reply(second)->user_version, 2u);
    EXPECT_EQ(bench.reply(read)->ops.at(0).output.flatten().text(), "onetwo");
    EXPECT_EQ(bench.reply(read)->user_version, 2u);
    EXPECT_EQ(bench.reply(create)->result, -EEXIST);
    EXPECT_EQ(bench.pg->operations_in_flight(), 0u);
    EXPECT_EQ(bench.pg->report().usage.bytes, 6u);
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, a_request_sent_twice_happens_once_also_over_a_restart) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    bench.store.hold = true;
    auto tid = bench.send("a", {Bench::data(OpCode::append, "x")});
    bench.send("a", {Bench::data(OpCode::append, "x")}, tid);
    co_await Bench::settle(shard);
    EXPECT_TRUE(bench.daemon.replies.empty());
    bench.store.hold = false;
    bench.store.released.set();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.daemon.replies.size(), 2u);
    EXPECT_EQ(bench.daemon.replies[1].second.version, bench.daemon.replies[0].second.version);

    co_await bench.pg->stop();
    bench.restart();
    EXPECT_TRUE(co_await bench.pg->load(0));
    bench.pg->on_map(make_map());
    bench.send("a", {Bench::data(OpCode::append, "x")}, tid);
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.daemon.replies.size(), 3u);
    EXPECT_EQ(bench.daemon.replies[2].second.version, bench.daemon.replies[0].second.version);
    auto next = bench.send("a", {Bench::data(OpCode::append, "y")});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(next)->version, (Version{Epoch(5), 2}));
    EXPECT_EQ(bench.reply(next)->user_version, 2u);
    EXPECT_EQ((bench.store.objects.begin()->second.data), "xy");
    EXPECT_EQ(bench.pg->report().usage.objects, 1u);
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, listings_wait_for_what_they_show) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    co_await Bench::settle(shard);
    bench.store.hold = true;
    bench.send("a", {Bench::data(OpCode::writefull, "one")});
    OsdOp list(OpCode::pgnls);
    list.as<msg::ListingOperand>().count = 10;
    list.input = encode(msg::HObject{});
    auto listing = bench.send("", {list});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(listing), nullptr) << "a crash could take back what it shows";
    bench.store.hold = false;
    bench.store.released.set();
    co_await Bench::settle(shard);
    EXPECT_NE(bench.reply(listing), nullptr);
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, the_log_is_trimmed) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    bench.daemon.log_entries = 10;
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    for (int i = 0; i < 500; ++i) bench.send("a" + std::to_string(i % 20), {Bench::data(OpCode::append, "x")});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.daemon.replies.size(), 500u);
    EXPECT_LE((bench.store.metadata.at({1, 0}).size()), 10 + limits::log_trim_batch + 1);
    co_await bench.pg->stop();
    bench.restart();
    EXPECT_TRUE(co_await bench.pg->load(0));
    EXPECT_EQ(bench.pg->report().usage.bytes, 500u);
    EXPECT_EQ(bench.pg->report().usage.objects, 20u);
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, a_refused_change_leaves_nothing) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    bench.daemon.cautious = true;
    bench.send("a", {Bench::data(OpCode::writefull, "kept")});
    bench.store.refuse = Errc::no_space;
    auto refused = bench.send("a", {Bench::data(OpCode::writefull, "longer than that")});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(refused)->result, -ENOSPC);
    bench.store.refuse = Errc::ok;
    auto read = bench.send("a", {Bench::data(OpCode::read, "")});
    auto again = bench.send("a", {Bench::data(OpCode::writefull, "again")}, refused);
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(read)->ops.at(0).output.flatten().text(), "kept");
    EXPECT_EQ(bench.daemon.replies.back().second.result, 0);
    EXPECT_EQ(bench.daemon.replies.back().first, again);
    EXPECT_EQ(bench.pg->report().usage.bytes, 5u);
    EXPECT_FALSE(bench.daemon.failed);
    bench.store.refuse = Errc::io;
    bench.send("a", {Bench::data(OpCode::writefull, "x")});
    co_await Bench::settle(shard);
    EXPECT_TRUE(bench.daemon.failed);
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, full_pools_and_too_few_copies) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map(2));
    EXPECT_FALSE(bench.pg->is_active());
    auto waits = bench.send("a", {Bench::data(OpCode::writefull, "1")});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(waits), nullptr);
    bench.pg->on_map(make_map(1, 0, 6));
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(waits)->result, 0);

    bench.daemon.full = true;
    auto cut_alone = bench.send("b", {OsdOp(OpCode::truncate)});
    auto refused = bench.send("a", {Bench::data(OpCode::append, "2")});
    auto cut = bench.send("a", {OsdOp(OpCode::truncate)});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(cut_alone)->result, 0);
    EXPECT_EQ(bench.reply(refused), nullptr) << "commits are tried before anybody is refused";
    EXPECT_EQ(bench.reply(cut), nullptr) << "in order";
    bench.daemon.attempts = bench.daemon.attempts_wanted;
    bench.pg->on_room();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(refused)->result, -ENOSPC);
    EXPECT_EQ(bench.reply(cut)->result, 0);

    auto patient = bench.send("a", {Bench::data(OpCode::append, "2")});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(patient), nullptr);
    bench.daemon.full = false;
    bench.daemon.attempts = bench.daemon.attempts_wanted;
    bench.pg->on_room();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(patient)->result, 0) << "the commits have made room";

    bench.pg->on_map(make_map(1, maps::Pool::full | maps::Pool::full_quota, 7));
    auto dropped = bench.send("a", {Bench::data(OpCode::append, "2")});
    auto op = bench.op("a", {Bench::data(OpCode::append, "3")});
    op->wire.flags = msg::request_flag::full_try;
    bench.pg->submit(op);
    auto removes = bench.send("a", {OsdOp(OpCode::remove)});
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.reply(dropped), nullptr);
    EXPECT_EQ(bench.reply(op->tid)->result, -EDQUOT);
    EXPECT_EQ(bench.reply(removes)->result, 0) << "a full pool can be emptied";
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, listing_and_removal) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    for (int i = 0; i < 300; ++i) bench.send("o" + std::to_string(i), {OsdOp(OpCode::create)});
    std::set<std::string> names;
    msg::HObject at;
    for (int rounds = 0; !at.is_max && rounds < 10; ++rounds) {
      OsdOp list(OpCode::pgnls);
      list.as<msg::ListingOperand>().count = 100;
      list.input = encode(at);
      auto tid = bench.send("", {list});
      co_await Bench::settle(shard);
      const auto* reply = bench.reply(tid);
      if (!reply) break;
      auto output = decode<msg::ListingOutput>(reply->ops.at(0).output.flatten());
      EXPECT_TRUE(output);
      for (auto& each : output->entries) EXPECT_TRUE(names.insert(each.name).second);
      EXPECT_EQ(reply->result, output->handle.is_max ? 1 : 0);
      at = output->handle;
    }
    EXPECT_EQ(names.size(), 300u);
    EXPECT_TRUE(co_await bench.pg->remove());
    EXPECT_TRUE(bench.store.objects.empty());
    EXPECT_TRUE(bench.store.bits.empty());
    co_await bench.pg->stop();
    co_return 0;
  });
}

TEST(PlacementGroup, removed_snapshots_are_trimmed) {
  run_main([](Shard& shard) -> Task<int> {
    Bench bench(shard);
    EXPECT_TRUE(co_await bench.pg->create(0, {}, {}));
    bench.pg->on_map(make_map());
    for (int i = 0; i < 100; ++i) {
      std::string name = "o" + std::to_string(i);
      bench.send(name, {Bench::data(OpCode::writefull, "old")});
      auto op = bench.op(name, {Bench::data(OpCode::writefull, "new")});
      op->object.snap_context = {SnapId(7), {SnapId(7)}};
      bench.pg->submit(op);
    }
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.store.objects.size(), 200u);
    auto map = std::make_shared<maps::OsdMap>(*make_map());
    map->removed_snaps_queue[1][7] = 1;
    bench.pg->on_map(map);
    bench.pg->tick();
    co_await Bench::settle(shard);
    EXPECT_EQ(bench.store.objects.size(), 100u);
    auto report = bench.pg->report();
    EXPECT_EQ(report.usage.bytes, 300u);
    EXPECT_EQ(report.usage.clones, 0u);
    EXPECT_EQ(report.purged_snaps.size(), 1u);
    co_await bench.pg->stop();
    co_return 0;
  });
}

}  // namespace
}  // namespace spirula::osd
