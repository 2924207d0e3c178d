#include "msg/messenger.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "msg/cephx_client.h"
#include "msg/receive_budget.h"
#include "msg/test_cluster.h"

namespace spirula::msg {
namespace {

using namespace std::chrono_literals;

/// Answers every message of type 1 with its own bytes as type 2, and counts.
struct Echo : Dispatcher {
  std::vector<std::uint64_t> tids;
  std::vector<ConnectionRef> accepted;
  int resets = 0;
  void on_accept(ConnectionRef c) override { accepted.push_back(c); }
  void on_reset(ConnectionRef) override { ++resets; }
  void on_message(ConnectionRef c, Message m) override {
    tids.push_back(m.tid);
    Message reply;
    reply.type = 2;
    reply.tid = m.tid;
    reply.front = m.front;
    reply.data = m.data;
    c->send(std::move(reply));
  }
};

struct Asker : Dispatcher {
  std::vector<Message> replies;
  std::error_code failed;
  int connects = 0, resets = 0;
  Event event;
  void on_connect(ConnectionRef) override {
    ++connects;
    event.set();
  }
  void on_reset(ConnectionRef) override {
    ++resets;
    event.set();
  }
  void on_connect_failed(ConnectionRef, std::error_code why) override { failed = why; }
  void on_message(ConnectionRef, Message m) override {
    replies.push_back(std::move(m));
    event.set();
  }
  Task<bool> wait_for(Shard& shard, std::size_t count) {
    MonotonicTime deadline = shard.clock().now() + 10s;
    while (replies.size() < count) {
      event.reset();
      Result<> woken = co_await event.wait_until(shard.clock(), deadline);
      if (!woken) co_return false;
    }
    co_return true;
  }
};

Message ask(std::uint64_t tid, std::size_t data) {
  Message m;
  m.type = 1;
  m.tid = tid;
  m.front = Buffer::copy_of("a question");
  if (data) m.data.append(Buffer::zeros(data));
  return m;
}

MessengerOptions options(EntityName name, bool lossy) {
  MessengerOptions o;
  o.name = name;
  o.policy_for = [lossy](EntityType) { return Policy{.lossy = lossy}; };
  return o;
}

TEST(Messenger, asks_and_answers_without_authentication) {
  run_main([](Shard& shard) -> Task<int> {
    std::uint64_t ids = 4000;
    NoneService admits([&] { return ++ids; });
    NoneClient claims(*KeyName::parse("client.admin"));
    Echo echo;
    Asker asker;
    auto server_options = options({EntityType::mon, 0}, true);
    server_options.auth_service = &admits;
    server_options.nonce = 0;
    auto server = Messenger::create(shard, server_options, echo);
    EXPECT_TRUE(server->bind(*Endpoint::parse("127.0.0.1")));
    auto client_options = options({EntityType::client, -1}, true);
    client_options.auth_client = &claims;
    auto client = Messenger::create(shard, client_options, asker);
    auto c = client->connect(shard, EntityType::mon, server->address());
    for (std::uint64_t i = 1; i <= 100; ++i) c->send(ask(i, i % 10 == 0 ? 100'000 : 0));
    bool answered = co_await asker.wait_for(shard, 100);
    EXPECT_TRUE(answered);
    for (std::size_t i = 0; i < asker.replies.size(); ++i) EXPECT_EQ(asker.replies[i].tid, i + 1);
    EXPECT_EQ(asker.connects, 1);
    EXPECT_EQ(echo.accepted.size(), 1u);
    EXPECT_EQ(echo.accepted[0]->identity().global_id, 4001u);
    EXPECT_EQ(echo.accepted[0]->peer_name().number, 4001);
    EXPECT_FALSE(echo.accepted[0]->is_secure());
    c->close();
    (void)co_await shard.clock().sleep(20ms);
    EXPECT_EQ(echo.resets, 1);
    EXPECT_EQ(asker.resets, 0) << "we closed it ourselves";
    asker.replies.clear();
    co_await client->stop();
    co_await server->stop();
    co_return 0;
  });
}

TEST(Messenger, secure_login_then_a_ticket_to_an_osd) {
  run_main([](Shard& shard) -> Task<int> {
    ShardThread other("other");
    test::Keys keys;
    CephxMonitorService monitor(keys, system_random());
    CephxTicketService tickets(EntityType::osd, system_random(), [&] { return keys.now(); });
    tickets.set_secrets(keys.secrets(EntityType::osd));
    CephxClient login(*KeyName::parse("client.admin"),
                      keys.add("client.admin", {{"mon", "allow *"}, {"osd", "allow *"}}), 4, EntityType::none,
                      system_random(), shard.clock());
    Echo mon_echo, osd_echo;
    Asker asker;
    auto mon_options = options({EntityType::mon, 0}, true);
    mon_options.auth_service = &monitor;
    mon_options.nonce = 0;
    auto mon = Messenger::create(shard, mon_options, mon_echo);
    EXPECT_TRUE(mon->bind(*Endpoint::parse("127.0.0.1")));
    auto osd_options = options({EntityType::osd, 3}, true);
    osd_options.auth_service = &tickets;
    osd_options.shards = {&other.shard()};  // its connections live there
    auto osd = Messenger::create(shard, osd_options, osd_echo);
    EXPECT_TRUE(osd->bind(*Endpoint::parse("127.0.0.1")));
    auto client_options = options({EntityType::client, -1}, true);
    client_options.auth_client = &login;
    auto client = Messenger::create(shard, client_options, asker);

    auto to_mon = client->connect(shard, EntityType::mon, mon->address());
    to_mon->send(ask(1, 5'000'000));
    bool answered = co_await asker.wait_for(shard, 1);
    EXPECT_TRUE(answered);
    EXPECT_TRUE(to_mon->is_secure());
    EXPECT_EQ(asker.replies[0].data.size(), 5'000'000u);
    EXPECT_EQ(mon_echo.accepted[0]->identity().name.describe(), "client.admin");
    auto to_osd = client->connect(shard, EntityType::osd, osd->address());
    for (std::uint64_t i = 1; i <= 50; ++i) to_osd->send(ask(i, 200'000));
    answered = co_await asker.wait_for(shard, 51);
    EXPECT_TRUE(answered);
    EXPECT_FALSE(to_osd->is_secure());
    EXPECT_EQ(to_osd->peer_name().describe(), "osd.3");
    asker.replies.clear();
    co_await client->stop();
    co_await osd->stop();
    co_await mon->stop();
    osd_echo.accepted.clear();
    co_return 0;
  });
}

TEST(Messenger, wrong_key_ends_in_a_reset) {
  run_main([](Shard& shard) -> Task<int> {
    test::Keys keys;
    keys.add("client.admin", {{"mon", "allow *"}});
    CephxMonitorService monitor(keys, system_random());
    CephxClient login(*KeyName::parse("client.admin"), CryptoKey::generate(system_random(), {}), 4, EntityType::none,
                      system_random(), shard.clock());
    Echo echo;
    Asker asker;
    auto mon_options = options({EntityType::mon, 0}, true);
    mon_options.auth_service = &monitor;
    auto mon = Messenger::create(shard, mon_options, echo);
    EXPECT_TRUE(mon->bind(*Endpoint::parse("127.0.0.1")));
    auto client_options = options({EntityType::client, -1}, true);
    client_options.auth_client = &login;
    auto client = Messenger::create(shard, client_options, asker);
    auto c = client->connect(shard, EntityType::mon, mon->address());
    Result<> woken = co_await asker.event.wait_until(shard.clock(), shard.clock().now() + 5s);
    EXPECT_TRUE(woken);
    EXPECT_EQ(asker.resets, 1);
    EXPECT_EQ(asker.failed, make_error_code(Errc::access));
    EXPECT_TRUE(c->closed());
    EXPECT_TRUE(echo.accepted.empty());
    co_await client->stop();
    co_await mon->stop();
    co_return 0;
  });
}

/// A TCP proxy that cuts its connections after a random number of bytes.
class Cutter {
 public:
  Cutter(Shard& shard, Endpoint target, std::uint64_t seed)
      : shard_(shard), target_(target), random_(seed), tasks_(shard) {
    listener_ = *shard.network().listen(shard, *Endpoint::parse("127.0.0.1"));
    tasks_.spawn(serve());
  }
  Endpoint endpoint() const { return listener_->local(); }
  int cuts() const { return cuts_; }
  Task<> stop() {
    listener_->close();
    co_await tasks_.stop();
  }

 private:
  struct Link {
    std::unique_ptr<Stream> a, b;
    std::uint64_t budget;
    void cut() {
      a->close();
      b->close();
    }
  };
  Task<> serve() {
    while (true) {
      auto stream = co_await listener_->accept(shard_);
      if (!stream) co_return;
      auto onward = co_await shard_.network().connect(shard_, target_);
      if (!onward) continue;
      auto link = std::make_shared<Link>();
      link->a = std::move(*stream);
      link->b = std::move(*onward);
      link->budget = cuts_ >= cuts_max ? ~0ull : 1 + random_.below(100'000);
      tasks_.spawn(carry(link, true));
      tasks_.spawn(carry(link, false));
    }
  }
  Task<> carry(std::shared_ptr<Link> link, bool forth) {
    Stream& from = forth ? *link->a : *link->b;
    Stream& to = forth ? *link->b : *link->a;
    std::byte buffer[1500];
    while (true) {
      auto got = co_await from.read_some(buffer);
      if (!got) break;
      ByteView piece[] = {ByteView(buffer, std::min<std::size_t>(*got, link->budget))};
      bool last = (link->budget -= piece[0].size()) == 0;
      auto put = co_await to.write(piece);
      if (last) ++cuts_;
      if (!put || last) break;
    }
    link->cut();
  }

  Shard& shard_;
  Endpoint target_;
  SeededRandom random_;
  TaskGroup tasks_;
  std::unique_ptr<Listener> listener_;
  static constexpr int cuts_max = 12;
  int cuts_ = 0;
};

class Lossless : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Lossless, testing::Range(1, 7));

TEST_P(Lossless, every_message_once_and_in_order_over_cut_streams) {
  int seed = GetParam();
  run_main([seed](Shard& shard) -> Task<int> {
    ShardThread one("one"), two("two");
    test::Keys keys;
    CephxTicketService tickets(EntityType::mds, system_random(), [&] { return keys.now(); });
    tickets.set_secrets(keys.secrets(EntityType::mds));
    CephxMonitorService monitor(keys, system_random());
    Echo mon_echo, echo;
    Asker asker;
    CephxClient login(*KeyName::parse("client.a"), keys.add("client.a", {{"mon", "allow *"}, {"mds", "allow *"}}), 2,
                      EntityType::none, system_random(), shard.clock());
    auto mon_options = options({EntityType::mon, 0}, true);
    mon_options.auth_service = &monitor;
    auto mon = Messenger::create(shard, mon_options, mon_echo);
    EXPECT_TRUE(mon->bind(*Endpoint::parse("127.0.0.1")));

    auto mds_options = options({EntityType::mds, 0}, false);
    mds_options.auth_service = &tickets;
    if (seed % 2) mds_options.shards = {&one.shard(), &two.shard()};  // a reconnect moves to its session's shard
    auto mds = Messenger::create(shard, mds_options, echo);
    EXPECT_TRUE(mds->bind(*Endpoint::parse("127.0.0.1")));
    Cutter cutter(shard, mds->address().msgr2().endpoint, static_cast<std::uint64_t>(seed));
    mds->set_address(AddressVector(Address::msgr2(cutter.endpoint(), 77)));

    auto client_options = options({EntityType::client, -1}, false);
    client_options.auth_client = &login;
    auto client = Messenger::create(shard, client_options, asker);
    auto to_mon = client->connect(shard, EntityType::mon, mon->address());
    Result<> logged_in = co_await asker.event.wait_until(shard.clock(), shard.clock().now() + 5s);
    EXPECT_TRUE(logged_in);
    auto c = client->connect(shard, EntityType::mds, mds->address());
    EXPECT_EQ(client->connect(shard, EntityType::mds, mds->address()), c) << "one session with one peer";
    SeededRandom random(static_cast<std::uint64_t>(seed));
    constexpr std::uint64_t total = 400;
    for (std::uint64_t i = 1; i <= total; ++i) {
      c->send(ask(i, random.below(5) ? 0 : random.below(30'000)));
      if (random.below(10) == 0) (void)co_await shard.clock().sleep(1ms);
    }
    bool answered = co_await asker.wait_for(shard, total);
    EXPECT_TRUE(answered) << asker.replies.size();
    EXPECT_EQ(echo.tids.size(), total);
    EXPECT_EQ(asker.replies.size(), total);
    for (std::size_t i = 0; i < std::min(echo.tids.size(), asker.replies.size()); ++i) {
      EXPECT_EQ(echo.tids[i], i + 1);
      EXPECT_EQ(asker.replies[i].tid, i + 1);
    }
    EXPECT_GT(cutter.cuts(), 3);
    EXPECT_EQ(asker.resets + echo.resets, 0);
    asker.replies.clear();
    co_await client->stop();
    co_await mds->stop();
    co_await mon->stop();
    co_await cutter.stop();
    echo.accepted.clear();
    co_return 0;
  });
}

TEST(Messenger, a_peer_that_forgot_the_session_resets_it) {
  run_main([](Shard& shard) -> Task<int> {
    std::uint64_t ids = 4000;
    NoneService admits([&] { return ++ids; });
    NoneClient claims(*KeyName::parse("client.admin"));
    Echo echo;
    Asker asker;
    auto server_options = options({EntityType::mds, 0}, false);
    server_options.auth_service = &admits;
    server_options.nonce = 5;
    auto server = Messenger::create(shard, server_options, echo);
    EXPECT_TRUE(server->bind(*Endpoint::parse("127.0.0.1")));
    AddressVector at = server->address();
    auto client_options = options({EntityType::client, -1}, false);
    client_options.auth_client = &claims;
    auto client = Messenger::create(shard, client_options, asker);
    auto c = client->connect(shard, EntityType::mds, at);
    c->send(ask(1, 0));
    bool answered = co_await asker.wait_for(shard, 1);
    EXPECT_TRUE(answered);
    echo.accepted.clear();
    co_await server->stop();
    server = Messenger::create(shard, server_options, echo);
    EXPECT_TRUE(server->bind(at.msgr2().endpoint));
    c->send(ask(2, 0));
    while (asker.resets == 0) {
      asker.event.reset();
      Result<> woken = co_await asker.event.wait_until(shard.clock(), shard.clock().now() + 5s);
      EXPECT_TRUE(woken);
      if (!woken) break;
    }
    EXPECT_TRUE(c->closed());
    asker.replies.clear();
    auto anew = client->connect(shard, EntityType::mds, at);
    EXPECT_NE(anew, c);
    anew->send(ask(3, 0));
    answered = co_await asker.wait_for(shard, 1);
    EXPECT_TRUE(answered);
    asker.replies.clear();
    co_await client->stop();
    co_await server->stop();
    echo.accepted.clear();
    co_return 0;
  });
}

/// Asks what it is told to and echoes nothing.
struct Peer : Dispatcher {
  std::vector<std::uint64_t> tids;
  int resets = 0;
  void on_message(ConnectionRef, Message m) override { tids.push_back(m.tid); }
  void on_reset(ConnectionRef) override { ++resets; }
};

TEST(Messenger, two_daemons_that_call_each_other_share_one_session) {
  run_main([](Shard& shard) -> Task<int> {
    NoneService admits([] { return std::uint64_t{1}; });
    NoneClient claims(*KeyName::parse("osd.0"));
    Peer left, right;
    auto make = [&](int number, Peer& peer) {
      auto o = options({EntityType::osd, number}, false);
      o.auth_service = &admits;
      o.auth_client = &claims;
      auto m = Messenger::create(shard, o, peer);
      EXPECT_TRUE(m->bind(*Endpoint::parse("127.0.0.1")));
      return m;
    };
    auto a = make(0, left), b = make(1, right);
    auto to_b = a->connect(shard, EntityType::osd, b->address());
    auto to_a = b->connect(shard, EntityType::osd, a->address());
    for (std::uint64_t i = 1; i <= 50; ++i) {
      to_b->send(ask(i, 0));
      to_a->send(ask(i, 0));
    }
    for (int i = 0; i < 300 && (left.tids.size() < 50 || right.tids.size() < 50); ++i)
      (void)co_await shard.clock().sleep(10ms);
    EXPECT_EQ(left.tids.size(), 50u);
    EXPECT_EQ(right.tids.size(), 50u);
    EXPECT_EQ(left.resets + right.resets, 0);
    co_await a->stop();
    co_await b->stop();
    co_return 0;
  });
}

/// Keeps what it receives.
struct Hoarder : Dispatcher {
  std::vector<Message> kept;
  std::size_t received = 0;
  int resets = 0;
  void on_message(ConnectionRef, Message m) override {
    ++received;
    kept.push_back(std::move(m));
  }
  void on_reset(ConnectionRef) override { ++resets; }
};

TEST(Messenger, what_an_answer_takes_counts_as_long_as_its_question) {
  auto budget = std::make_shared<ReceiveBudget>(1000);
  int woken = 0;
  budget->wake = [&] { ++woken; };
  ASSERT_TRUE(budget->try_take(100));
  {
    BudgetHold hold(budget, 100);
    EXPECT_TRUE(budget->try_take(100));
    hold.add(850);
    budget->wanted = true;
    EXPECT_FALSE(budget->try_take(10));
    EXPECT_EQ(woken, 0);
  }
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(budget->try_take(900));
}

TEST(Messenger, reads_no_more_than_it_may_hold_over_ipv6) {
  run_main([](Shard& shard) -> Task<int> {
    NoneService admits([] { return std::uint64_t{1}; });
    NoneClient claims(*KeyName::parse("client.a"));
    Hoarder hoarder;
    Asker asker;
    auto server_options = options({EntityType::osd, 0}, true);
    server_options.auth_service = &admits;
    server_options.bytes_in_flight_max = 1'000'000;
    server_options.message_bytes_max = 600'000;
    auto server = Messenger::create(shard, server_options, hoarder);
    EXPECT_TRUE(server->bind(*Endpoint::parse("[::1]")));
    auto client_options = options({EntityType::client, 7}, true);
    client_options.auth_client = &claims;
    auto client = Messenger::create(shard, client_options, asker);
    auto c = client->connect(shard, EntityType::osd, server->address());
    for (std::uint64_t i = 1; i <= 10; ++i) c->send(ask(i, 400'000));
    for (int i = 0; i < 100 && hoarder.received < 2; ++i) (void)co_await shard.clock().sleep(10ms);
    (void)co_await shard.clock().sleep(50ms);
    EXPECT_EQ(hoarder.received, 2u) << "a third would exceed the budget";
    EXPECT_EQ(client->address().msgr2().endpoint.describe(), "[::1]:0") << "as the peer saw us";
    for (int i = 0; i < 500 && hoarder.received < 10; ++i) {
      // Let go on another thread, as a store that has written the data would.
      std::thread other([kept = std::exchange(hoarder.kept, {})] {});
      other.join();
      (void)co_await shard.clock().sleep(2ms);
    }
    EXPECT_EQ(hoarder.received, 10u);
    hoarder.kept.clear();
    c->send(ask(11, 700'000));
    for (int i = 0; i < 100 && asker.resets == 0; ++i) (void)co_await shard.clock().sleep(10ms);
    EXPECT_EQ(asker.resets, 1) << "a message above the limit ends its stream";
    EXPECT_EQ(hoarder.resets, 1);
    co_await client->stop();
    co_await server->stop();
    co_return 0;
  });
}

TEST(Messenger, answers_come_although_requests_fill_the_budget) {
  run_main([](Shard& shard) -> Task<int> {
    NoneService admits([] { return std::uint64_t{1}; });
    NoneClient claims(*KeyName::parse("client.a"));
    Hoarder hoarder;
    Echo echo;
    Asker asker;
    auto options_of = [&](EntityName name) {
      auto all = options(name, true);
      all.auth_service = &admits;
      all.auth_client = &claims;
      all.bytes_in_flight_max = 1000;
      return all;
    };
    auto server = Messenger::create(shard, options_of({EntityType::osd, 0}), hoarder);
    auto mon = Messenger::create(shard, options_of({EntityType::mon, 0}), echo);
    for (auto* each : {&server, &mon}) EXPECT_TRUE((*each)->bind(*Endpoint::parse("127.0.0.1")));
    auto client = Messenger::create(shard, options_of({EntityType::client, 7}), asker);
    auto c = client->connect(shard, EntityType::osd, server->address());
    for (std::uint64_t i = 1; i <= 2; ++i) c->send(ask(i, 900));
    for (int i = 0; i < 100 && hoarder.received < 1; ++i) (void)co_await shard.clock().sleep(10ms);
    (void)co_await shard.clock().sleep(20ms);
    EXPECT_EQ(hoarder.received, 1u);
    auto m = server->connect(shard, EntityType::mon, mon->address());
    m->send(ask(3, 900));
    for (int i = 0; i < 100 && hoarder.received < 2; ++i) (void)co_await shard.clock().sleep(10ms);
    EXPECT_EQ(hoarder.received, 2u);
    EXPECT_EQ(hoarder.kept.back().tid, 3u) << "what the monitor says may be what the others wait for";
    hoarder.kept.clear();
    for (auto* each : {&client, &server, &mon}) co_await (*each)->stop();
    co_return 0;
  });
}

TEST(Messenger, silent_streams_are_closed_and_kept_alive_ones_are_not) {
  run_main([](Shard& shard) -> Task<int> {
    NoneService admits([] { return std::uint64_t{1}; });
    NoneClient claims(*KeyName::parse("client.a"));
    Echo echo;
    Asker silent, lively;
    auto server_options = options({EntityType::mon, 0}, true);
    server_options.auth_service = &admits;
    server_options.keepalive_interval = 20ms;  // also how often it looks
    server_options.idle_max = 150ms;
    auto server = Messenger::create(shard, server_options, echo);
    EXPECT_TRUE(server->bind(*Endpoint::parse("127.0.0.1")));
    auto client_options = options({EntityType::client, 7}, true);
    client_options.auth_client = &claims;
    auto one = Messenger::create(shard, client_options, silent);
    client_options.keepalive_interval = 20ms;
    auto two = Messenger::create(shard, client_options, lively);
    auto a = one->connect(shard, EntityType::mon, server->address());
    auto b = two->connect(shard, EntityType::mon, server->address());
    (void)co_await shard.clock().sleep(600ms);
    EXPECT_TRUE(a->closed());
    EXPECT_FALSE(b->closed());
    EXPECT_EQ(silent.resets, 1);
    co_await one->stop();
    co_await two->stop();
    co_await server->stop();
    co_return 0;
  });
}

TEST(Messenger, strangers_are_turned_away) {
  run_main([](Shard& shard) -> Task<int> {
    NoneService admits([] { return std::uint64_t{1}; });
    Echo echo;
    auto o = options({EntityType::mon, 0}, true);
    o.auth_service = &admits;
    o.handshake_timeout = 100ms;
    auto server = Messenger::create(shard, o, echo);
    EXPECT_TRUE(server->bind(*Endpoint::parse("127.0.0.1")));
    Endpoint at = server->address().msgr2().endpoint;
    SeededRandom random(4);
    for (int i = 0; i < 20; ++i) {
      auto stream = co_await shard.network().connect(shard, at);
      EXPECT_TRUE(stream);
      std::string text = i == 0   ? "ceph v027"
                         : i == 1 ? "GET / HTTP/1.0\r\n\r\n"
                                  : std::string("ceph v2\n\x10\x00", 10);
      if (i > 2) {
        text += std::string("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
        std::string noise(300, 0);
        random.fill(std::as_writable_bytes(std::span(noise)));
        text += noise;
      }
      ByteView pieces[] = {as_bytes(text)};
      (void)co_await (*stream)->write(pieces);
      std::byte back[4096];
      while (true) {  // whatever it says, it ends the stream by its deadline
        auto got = co_await (*stream)->read_some(back);
        if (!got) break;
      }
    }
    EXPECT_TRUE(echo.accepted.empty());
    co_await server->stop();
    co_return 0;
  });
}

}  // namespace
}  // namespace spirula::msg
