#include "librados/objecter.h"

#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/simulation.h"
#include "base/task_group.h"
#include "maps/mon_client.h"
#include "msg/fake_messenger.h"
#include "msg/peer_router.h"

namespace spirula::librados {
namespace {

using namespace std::chrono_literals;
using msg::FakeConnectionRef;
using msg::OsdReply;
using msg::OsdRequest;

constexpr std::int64_t pool_id = 3;

/// Two OSDs, one pool of one PG that pg_temp puts on osd.0.
maps::OsdMap make_map(std::uint32_t epoch, std::int32_t primary = 0) {
  maps::OsdMap map;
  map.epoch = Epoch{epoch};
  map.pools[pool_id] = maps::Pool{};
  map.pool_names[pool_id] = "pool";
  map.osds.resize(2);
  for (std::uint16_t i = 0; i < 2; ++i) {
    map.osds[i].state = maps::osd_state::exists | maps::osd_state::up;
    map.osds[i].weight = maps::weight_in;
    Endpoint at = *Endpoint::parse("127.0.0.1");
    at.port = static_cast<std::uint16_t>(6800 + i);
    map.osds[i].client = msg::Address::msgr2(at, 1);
  }
  map.pg_temp[{pool_id, 0}] = {primary};
  return map;
}

struct Bench {
  explicit Bench(Shard& s)
      : shard(s),
        monitors(s, {}),
        messenger(router),
        feed(s, monitors),
        objecter(s, messenger, monitors, feed, options()),
        tasks(s) {
    router.route(msg::EntityType::mon, monitors);
    router.route(msg::EntityType::osd, objecter);
  }
  static ObjecterOptions options() {
    ObjecterOptions small;
    small.ops_in_flight_max = 4;
    return small;
  }
  void publish(const maps::OsdMap& map) {
    msg::OsdMapMessage message;
    message.full[map.epoch] = map.encode_map();
    feed.take(message);
  }
  FakeConnectionRef osd(std::uint16_t id) const {
    for (auto at = messenger.made.rbegin(); at != messenger.made.rend(); ++at)
      if ((*at)->peer_address().msgr2().endpoint.port == 6800 + id && !(*at)->closed()) return *at;
    return nullptr;
  }
  void answer(const FakeConnectionRef& from, const msg::Message& request, std::int32_t result = 0) {
    OsdRequest asked = *msg::read_osd_request(request);
    OsdReply reply;
    reply.object = asked.object;
    reply.pg = asked.pg.pg;
    reply.result = result;
    reply.ops = asked.ops;
    reply.retry_attempt = asked.retry_attempt;
    messenger.deliver_message(from, msg::make_osd_reply(reply, request.tid));
  }
  /// Starts a write of `name`; its outcome lands in `outcomes`.
  void start_write(std::string name, std::uint32_t flags = 0, Duration timeout = {}) {
    tasks.spawn([](Bench& bench, std::string object, std::uint32_t request_flags, Duration patience) -> Task<> {
      Operation operation;
      operation.write_full(Buffer::copy_of("data"));
      operation.flags = request_flags;
      operation.timeout = patience;
      ObjectRef to{pool_id, object, {}, {}};
      auto result = co_await bench.objecter.execute(to, std::move(operation));
      bench.outcomes[object] = result ? "ok" : result.error().message();
    }(*this, std::move(name), flags, timeout));
  }
  Task<> pass(Duration time = 3ms) { (void)co_await shard.clock().sleep(time); }

  Shard& shard;
  msg::PeerRouter router;
  maps::MonClient monitors;
  msg::FakeMessenger messenger;
  maps::OsdMapFeed feed;
  Objecter objecter;
  TaskGroup tasks;
  std::map<std::string, std::string> outcomes;
};

void run(Task<> (*test)(Bench&)) {
  sim::Simulation world(1);
  world.run([](sim::Host& host, Task<> (*body)(Bench&)) -> Task<> {
    Bench bench(host);
    co_await body(bench);
    co_await bench.objecter.stop();
    bench.feed.stop();
    co_await bench.monitors.stop();
    co_await bench.tasks.join();
  }(world.add_host(), test));
}

TEST(Objecter, waits_for_the_map_then_sends_and_hands_back_the_answer) {
  run([](Bench& bench) -> Task<> {
    bench.start_write("a");
    co_await bench.pass();
    EXPECT_TRUE(bench.messenger.made.empty());
    bench.publish(make_map(5));
    co_await bench.pass();
    msg::Message sent = bench.osd(0)->take();
    auto request = msg::read_osd_request(sent);
    EXPECT_TRUE(request);
    EXPECT_EQ(request->object, "a");
    EXPECT_EQ(request->epoch, Epoch{5});
    EXPECT_EQ(request->retry_attempt, 0);
    EXPECT_TRUE(request->flags & msg::request_flag::write);
    EXPECT_EQ(request->ops[0].input.flatten().text(), "data");
    bench.answer(bench.osd(0), sent, -28);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes["a"], make_error_code(Errc::no_space).message());
  });
}

TEST(Objecter, a_broken_connection_is_made_again_and_everything_resent_in_order) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    bench.start_write("a");
    bench.start_write("b");
    co_await bench.pass();
    auto first = bench.osd(0);
    msg::Message old_a = first->take();
    bench.messenger.reset(first);
    co_await bench.pass();
    auto second = bench.osd(0);
    EXPECT_NE(second, first);
    msg::Message a = second->take(), b = second->take();
    EXPECT_EQ(a.tid, old_a.tid);
    EXPECT_EQ(msg::read_osd_request(a)->retry_attempt, 1);
    EXPECT_TRUE(msg::read_osd_request(a)->flags & msg::request_flag::retry);
    EXPECT_EQ(msg::read_osd_request(b)->object, "b");
    bench.answer(second, old_a);  // the answer to the first attempt, late
    co_await bench.pass();
    EXPECT_FALSE(bench.outcomes.contains("a"));
    bench.answer(second, a);
    bench.answer(second, b);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes["a"], "ok");
    EXPECT_EQ(bench.outcomes["b"], "ok");
  });
}

TEST(Objecter, follows_the_primary_and_leaves_alone_what_did_not_move) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    bench.start_write("a");
    co_await bench.pass();
    bench.osd(0)->sent.clear();
    bench.publish(make_map(6));
    EXPECT_TRUE(bench.osd(0)->sent.empty()) << "nothing moved";
    bench.publish(make_map(7, 1));
    msg::Message moved = bench.osd(1)->take();
    EXPECT_EQ(msg::read_osd_request(moved)->retry_attempt, 1);
    EXPECT_EQ(msg::read_osd_request(moved)->epoch, Epoch{7});
    maps::OsdMap nobody = make_map(8, 1);
    nobody.osds[1].state = maps::osd_state::exists;
    bench.publish(nobody);
    EXPECT_FALSE(bench.osd(1)) << "a connection to an OSD that is down is closed";
    bench.publish(make_map(9, 0));
    msg::Message back = bench.osd(0)->take();
    EXPECT_EQ(back.tid, moved.tid);
    bench.answer(bench.osd(0), back);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes["a"], "ok");
  });
}

TEST(Objecter, full_holds_writes_back_unless_they_try_or_force) {
  run([](Bench& bench) -> Task<> {
    maps::OsdMap full = make_map(5);
    full.flags = maps::map_flag::full;
    bench.publish(full);
    bench.start_write("waits");
    bench.start_write("forced", msg::request_flag::full_force);
    co_await bench.pass();
    msg::Message sent = bench.osd(0)->take();
    EXPECT_EQ(msg::read_osd_request(sent)->object, "forced");
    EXPECT_TRUE(bench.osd(0)->sent.empty());
    bench.answer(bench.osd(0), sent);
    bench.publish(make_map(6));
    sent = bench.osd(0)->take();
    EXPECT_EQ(msg::read_osd_request(sent)->object, "waits");
    EXPECT_EQ(msg::read_osd_request(sent)->retry_attempt, 0) << "it had not been sent before";
    bench.answer(bench.osd(0), sent);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes["waits"], "ok");
  });
}

msg::OsdBackoff make_backoff(msg::HObject begin, msg::HObject end) {
  msg::OsdBackoff backoff;
  backoff.pg = {{pool_id, 0}, -1};
  backoff.epoch = Epoch{5};
  backoff.kind = msg::OsdBackoff::Kind::block;
  backoff.id = 77;
  backoff.begin = std::move(begin);
  backoff.end = std::move(end);
  return backoff;
}

TEST(Objecter, a_backoff_holds_its_range_until_it_is_lifted) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    bench.start_write("a");
    co_await bench.pass();
    auto osd = bench.osd(0);
    osd->sent.clear();
    msg::OsdBackoff backoff = make_backoff({}, msg::HObject::max());
    bench.messenger.deliver(osd, backoff);
    auto acknowledged = msg::read_message<msg::OsdBackoff>(osd->take());
    EXPECT_EQ(acknowledged->kind, msg::OsdBackoff::Kind::ack_block);
    EXPECT_EQ(acknowledged->id, 77u);
    bench.start_write("b");
    co_await bench.pass();
    EXPECT_TRUE(osd->sent.empty());
    backoff.kind = msg::OsdBackoff::Kind::unblock;
    bench.messenger.deliver(osd, backoff);
    msg::Message a = osd->take(), b = osd->take();
    EXPECT_EQ(msg::read_osd_request(a)->object, "a");
    EXPECT_EQ(msg::read_osd_request(b)->object, "b");
    bench.answer(osd, a);
    bench.answer(osd, b);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes.size(), 2u);
  });
}

TEST(Objecter, a_backoff_of_one_object_holds_reads_of_its_snapshots_too) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    bench.start_write("a");
    co_await bench.pass();
    auto osd = bench.osd(0);
    std::uint32_t hash = msg::read_osd_request(osd->take())->hash;
    msg::HObject place{"", "a", msg::snap_head, hash, false, "", pool_id};
    msg::OsdBackoff backoff = make_backoff(place, place);
    bench.messenger.deliver(osd, backoff);
    osd->sent.clear();
    bench.tasks.spawn([](Bench& world) -> Task<> {
      Operation operation;
      operation.read(0, 1).snap = SnapId(7);
      ObjectRef to{pool_id, "a", {}, {}};
      world.outcomes["read"] = (co_await world.objecter.execute(to, std::move(operation))) ? "ok" : "failed";
    }(bench));
    bench.start_write("b");
    co_await bench.pass();
    msg::Message b = osd->take();
    EXPECT_EQ(msg::read_osd_request(b)->object, "b");
    EXPECT_TRUE(osd->sent.empty());
    backoff.kind = msg::OsdBackoff::Kind::unblock;
    bench.messenger.deliver(osd, backoff);
    msg::Message write = osd->take(), read = osd->take();
    EXPECT_EQ(msg::read_osd_request(read)->snap, SnapId(7));
    for (const msg::Message& each : {b, write, read}) bench.answer(osd, each);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes.size(), 3u);
  });
}

TEST(Objecter, a_pool_that_goes_takes_its_operations_with_it) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    bench.start_write("a");
    co_await bench.pass();
    maps::OsdMap without = make_map(6);
    without.pools.clear();
    without.pool_names.clear();
    without.pg_temp.clear();
    bench.publish(without);
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes["a"], make_error_code(Errc::not_found).message());
    EXPECT_EQ(bench.objecter.figures().in_flight, 0u);
  });
}

TEST(Objecter, what_is_in_flight_is_bounded_and_timeouts_tell_what_is_known) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    for (int i = 0; i < 6; ++i) bench.start_write("o" + std::to_string(i), 0, 20ms);
    co_await bench.pass();
    EXPECT_EQ(bench.osd(0)->sent.size(), 4u);
    EXPECT_EQ(bench.objecter.describe_in_flight().size(), 4u);
    co_await bench.pass(60ms);
    EXPECT_EQ(bench.outcomes["o0"], make_error_code(Errc::outcome_unknown).message());
    EXPECT_EQ(bench.outcomes.size(), 6u);
    EXPECT_EQ(bench.objecter.figures().in_flight, 0u);
  });
}

TEST(Objecter, a_watch_is_pinged_reconnected_and_given_up) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    std::string heard, lost;
    std::uint64_t cookie = 0;
    Objecter::WatchEvents events;
    events.on_notify = [&](std::uint64_t, const Buffer& payload) {
      heard += payload.text();
      return Buffer::copy_of("yes");
    };
    events.on_lost = [&](std::error_code why) { lost = why.message(); };
    bench.tasks.spawn([](Bench& b, Objecter::WatchEvents e, std::uint64_t& out) -> Task<> {
      auto made = co_await b.objecter.watch({pool_id, "w", {}, {}}, std::move(e), 40ms);
      if (made) out = *made;
    }(bench, events, cookie));
    co_await bench.pass();
    auto what = [](const msg::Message& message) {
      return msg::read_osd_request(message)->ops[0].as<msg::WatchOperand>();
    };
    auto first = bench.osd(0);
    msg::Message sent = first->take();
    EXPECT_EQ(what(sent).op, msg::WatchOp::watch);
    bench.answer(first, sent);
    co_await bench.pass(15ms);
    EXPECT_EQ(what(sent).cookie, cookie);
    sent = first->take();
    EXPECT_EQ(what(sent).op, msg::WatchOp::ping);
    bench.answer(first, sent);

    msg::WatchNotify notify;
    notify.kind = msg::WatchNotify::Kind::notify;
    notify.cookie = cookie;
    notify.notify_id = 5;
    notify.payload = Buffer::copy_of("psst");
    bench.messenger.deliver(first, notify);
    co_await bench.pass(1ms);
    EXPECT_EQ(heard, "psst");
    sent = first->take();
    auto ack = decode<msg::NotifyAckInput>(msg::read_osd_request(sent)->ops[0].input.flatten());
    EXPECT_EQ(ack->notify_id, 5u);
    EXPECT_EQ(ack->payload.text(), "yes");
    bench.answer(first, sent);

    bench.publish(make_map(6, 1));  // another primary
    co_await bench.pass(1ms);
    auto second = bench.osd(1);
    sent = second->take();
    EXPECT_EQ(what(sent).op, msg::WatchOp::reconnect);
    EXPECT_EQ(what(sent).generation, 1u);
    bench.answer(second, sent, -107);  // ENOTCONN: it lapsed
    co_await bench.pass(1ms);
    EXPECT_EQ(lost, make_error_code(Errc::closed).message());
  });
}

TEST(Objecter, a_notification_comes_back_with_its_answers) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    std::string outcome;
    bench.tasks.spawn([](Bench& b, std::string& out) -> Task<> {
      auto response = co_await b.objecter.notify({pool_id, "w", {}, {}}, Buffer::copy_of("hello"));
      out = response ? std::to_string(response->replies.size()) : response.error().message();
    }(bench, outcome));
    co_await bench.pass();
    msg::Message sent = bench.osd(0)->take();
    bench.answer(bench.osd(0), sent);
    bench.messenger.reset(bench.osd(0));  // before anybody has answered
    co_await bench.pass();
    msg::Message again = bench.osd(0)->take();
    bench.answer(bench.osd(0), again);
    msg::WatchNotify complete;
    complete.kind = msg::WatchNotify::Kind::notify_complete;
    complete.cookie = msg::read_osd_request(again)->ops[0].as<msg::NotifyOperand>().cookie;
    msg::NotifyResponse answers;
    answers.replies.emplace(std::pair(4100, 1), Buffer::copy_of("yes"));
    complete.data = encode(answers);
    bench.messenger.deliver(bench.osd(0), complete);
    co_await bench.pass();
    EXPECT_EQ(outcome, "1");
  });
}

TEST(Objecter, stopping_cancels) {
  run([](Bench& bench) -> Task<> {
    bench.publish(make_map(5));
    for (int i = 0; i < 6; ++i) bench.start_write("o" + std::to_string(i));
    co_await bench.pass();
    co_await bench.objecter.stop();
    co_await bench.pass();
    EXPECT_EQ(bench.outcomes.size(), 6u);
    EXPECT_EQ(bench.outcomes["o5"], make_error_code(Errc::cancelled).message());
  });
}

}  // namespace
}  // namespace spirula::librados
