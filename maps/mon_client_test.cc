#include "maps/mon_client.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/simulation.h"
#include "base/task_group.h"
#include "maps/mon_map.h"
#include "msg/fake_messenger.h"

namespace spirula::maps {
namespace {

using namespace std::chrono_literals;
using msg::FakeConnectionRef;

struct Bench {
  explicit Bench(Shard& s) : shard(s), client(s, options()), messenger(client), tasks(s) {}
  static MonClientOptions options() {
    MonClientOptions all;
    all.monitors = {*Endpoint::parse("127.0.0.1:1"), *Endpoint::parse("127.0.0.1:2")};
    all.name = {static_cast<std::uint32_t>(msg::EntityType::client), "admin"};
    all.hunt_interval = 50ms;
    return all;
  }
  FakeConnectionRef stand_up() {
    messenger.stand(messenger.last());
    MonMap map;
    map.fsid.bytes[0] = 7;
    map.epoch = msg::Epoch{3};
    map.monitors["a"] = {"a", msg::Address::msgr2(*Endpoint::parse("127.0.0.1:1"), 0), 0, 0, {}};
    messenger.deliver(messenger.last(), msg::MonMapMessage{encode(map)});
    return messenger.last();
  }
  Task<> pass(Duration time = 5ms) { (void)co_await shard.clock().sleep(time); }

  Shard& shard;
  MonClient client;
  msg::FakeMessenger messenger;
  TaskGroup tasks;
};

void run(Task<> (*test)(Bench&)) {
  sim::Simulation world(1);
  world.run([](sim::Host& host, Task<> (*body)(Bench&)) -> Task<> {
    Bench bench(host);
    bench.client.start(bench.messenger);
    co_await body(bench);
    co_await bench.client.stop();
    co_await bench.tasks.join();
  }(world.add_host(), test));
}

TEST(MonClient, a_new_session_repeats_subscriptions_from_where_they_were) {
  run([](Bench& bench) -> Task<> {
    std::vector<std::uint32_t> seen;
    bench.client.on<msg::FsMapMessage>([&](msg::FsMapMessage map) {
      seen.push_back(map.epoch.value);
      bench.client.got("fsmap", map.epoch.value);
    });
    bench.client.subscribe("fsmap", 0);
    bench.client.subscribe("osdmap", 0, true);
    auto first = bench.stand_up();
    auto asked = msg::read_message<msg::MonSubscribe>(first->take());
    EXPECT_TRUE(asked);
    EXPECT_EQ(asked->what.size(), 3u);
    EXPECT_EQ(asked->what["osdmap"].flags, msg::SubscribeItem::flag_onetime);
    EXPECT_EQ(asked->what["fsmap"].flags, 0);
    bench.messenger.deliver(first, msg::FsMapMessage{msg::Epoch{9}, {}});
    bench.client.got("osdmap", 4);
    bench.messenger.reset(first);
    co_await bench.pass();
    auto second = bench.messenger.last();
    EXPECT_NE(second, first);
    bench.messenger.stand(second);
    auto again = msg::read_message<msg::MonSubscribe>(second->take());
    EXPECT_TRUE(again);
    EXPECT_EQ(again->what["fsmap"].start, 10u);
    EXPECT_EQ(again->what["monmap"].start, 4u);
    EXPECT_FALSE(again->what.contains("osdmap")) << "it was wanted once and came";
    EXPECT_EQ(seen, std::vector<std::uint32_t>{9});
  });
}

TEST(MonClient, a_command_survives_its_session) {
  run([](Bench& bench) -> Task<> {
    std::string answer;
    bench.tasks.spawn([](Bench& b, std::string& out) -> Task<> {
      auto reply = co_await b.client.command("{\"prefix\": \"x\"}");
      if (reply) out = reply->text;
    }(bench, answer));
    auto first = bench.stand_up();
    co_await bench.pass();
    msg::Message sent = first->take(msg::MonCommand::message_type);
    EXPECT_EQ(msg::read_message<msg::MonCommand>(sent)->fsid.bytes[0], 7);
    bench.messenger.reset(first);
    co_await bench.pass();
    auto second = bench.messenger.last();
    bench.messenger.stand(second);
    msg::Message again = second->take(msg::MonCommand::message_type);
    EXPECT_EQ(again.tid, sent.tid);
    msg::MonCommandAck ack;
    ack.text = "done";
    bench.messenger.deliver(second, ack, again.tid + 1);  // somebody else's
    co_await bench.pass();
    EXPECT_EQ(answer, "");
    bench.messenger.deliver(second, ack, again.tid);
    co_await bench.pass();
    EXPECT_EQ(answer, "done");
  });
}

TEST(MonClient, hunts_until_somebody_answers_and_says_who_refused) {
  run([](Bench& bench) -> Task<> {
    auto first = bench.messenger.last();
    bench.messenger.fail(first, make_error_code(Errc::refused));
    EXPECT_TRUE(first->closed());
    co_await bench.pass();
    auto second = bench.messenger.last();
    EXPECT_NE(second->peer_address(), first->peer_address()) << "the other monitor comes next";
    bench.messenger.fail(second, make_error_code(Errc::access));
    Result<> ready = co_await bench.client.wait_until_ready(1s);
    EXPECT_EQ(ready.error(), make_error_code(Errc::access));
    co_await bench.pass(250ms);
    EXPECT_GT(bench.messenger.made.size(), 2u) << "it goes on trying";
    bench.stand_up();
    EXPECT_TRUE(co_await bench.client.wait_until_ready(1s));
    EXPECT_EQ(bench.client.global_id(), 4100u);
  });
}

/// When sessions that end as soon as they stand are made, in virtual time.
std::vector<Duration> gaps_of_resets(std::uint64_t seed) {
  std::vector<Duration> gaps;
  sim::Simulation world(seed);
  world.run([](sim::Host& host, std::vector<Duration>& out) -> Task<> {
    Bench bench(host);
    bench.client.start(bench.messenger);
    while (out.size() < 40) {
      std::size_t made = bench.messenger.made.size();
      bench.stand_up();
      bench.messenger.reset(bench.messenger.last());
      MonotonicTime broken = host.clock().now();
      while (bench.messenger.made.size() == made) co_await bench.pass(1ms);
      out.push_back(host.clock().now() - broken);
    }
    // One that lasts is no failure: the next attempt comes at once.
    bench.stand_up();
    co_await bench.pass(11s);
    std::size_t made = bench.messenger.made.size();
    bench.messenger.reset(bench.messenger.last());
    co_await bench.pass(2ms);
    EXPECT_EQ(bench.messenger.made.size(), made + 1);
    co_await bench.client.stop();
    co_await bench.tasks.join();
  }(world.add_host(), gaps));
  return gaps;
}

TEST(MonClient, resets_in_a_row_are_met_with_growing_and_random_pauses) {
  auto gaps = gaps_of_resets(1);
  ASSERT_EQ(gaps.size(), 40u);
  EXPECT_LE(gaps[0], 2ms) << "a first break is mended at once";
  EXPECT_GE(gaps[1], 50ms);
  EXPECT_LE(gaps[1], 102ms);
  for (std::size_t i = 10; i < gaps.size(); ++i) {
    EXPECT_GE(gaps[i], 1500ms) << i;
    EXPECT_LE(gaps[i], 3002ms) << i;
  }
  EXPECT_NE(gaps, gaps_of_resets(2)) << "clients come back apart";
}

TEST(MonClient, versions_log_lines_and_timeouts) {
  run([](Bench& bench) -> Task<> {
    auto session = bench.stand_up();
    std::uint64_t newest = 0;
    std::error_code late;
    bench.tasks.spawn([](Bench& b, std::uint64_t& out) -> Task<> {
      auto reply = co_await b.client.get_version("osdmap");
      if (reply) out = reply->newest;
    }(bench, newest));
    bench.tasks.spawn([](Bench& b, std::error_code& out) -> Task<> {
      auto reply = co_await b.client.command("{}", {}, 20ms);
      if (!reply) out = reply.error();
    }(bench, late));
    co_await bench.pass();
    auto ask = msg::read_message<msg::MonGetVersion>(session->take(msg::MonGetVersion::message_type));
    bench.messenger.deliver(session, msg::MonGetVersionReply{ask->handle, 42, 1});
    bench.client.log(msg::LogPriority::warning, "one");
    bench.client.log(msg::LogPriority::warning, "two");
    EXPECT_EQ(msg::read_message<msg::Log>(session->take(msg::Log::message_type))->entries[0].text, "one");
    bench.messenger.deliver(session, msg::LogAck{{}, 1, "cluster"});
    co_await bench.pass(30ms);
    EXPECT_EQ(newest, 42u);
    EXPECT_EQ(late, make_error_code(Errc::timed_out));
    bench.messenger.reset(session);
    co_await bench.pass();
    bench.messenger.stand(bench.messenger.last());
    auto lines = msg::read_message<msg::Log>(bench.messenger.last()->take(msg::Log::message_type));
    EXPECT_EQ(lines->entries.size(), 1u);
    EXPECT_EQ(lines->entries[0].text, "two") << "what was not acknowledged is said again";
  });
}

TEST(MonClient, another_clusters_monmap_is_not_taken) {
  run([](Bench& bench) -> Task<> {
    auto session = bench.stand_up();
    MonMap other;
    other.fsid.bytes[0] = 8;
    other.epoch = msg::Epoch{99};
    bench.messenger.deliver(session, msg::MonMapMessage{encode(other)});
    EXPECT_EQ(bench.client.fsid().bytes[0], 7);
    bench.messenger.deliver(session, msg::MonMapMessage{Buffer::copy_of("nonsense")});
    EXPECT_TRUE(bench.client.is_ready());
    co_return;
  });
}

}  // namespace
}  // namespace spirula::maps
