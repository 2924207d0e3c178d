#include <fmt/format.h>

#include <algorithm>

#include "base/log_capture.h"
#include "mds/request.h"
#include "mds/test_client.h"
#include "msg/receive_budget.h"

/// How much clients may have to send again after a restart, and those that send more.
namespace spirula::mds {
namespace {

using namespace std::chrono_literals;

/// d0, d1 and so on, on which nobody has caps.
Task<> make_directories(Shard& shard, Server& server, int count) {
  Client maker(shard, server, 7);
  co_await maker.open();
  for (int i = 0; i < count; ++i) {
    ParsedReply made = co_await maker.call(Client::request(MdsOp::mkdir, fmt::format("d{}", i)));
    EXPECT_EQ(made.head.result, 0);
  }
  ClientSession close;
  close.op = ClientSession::Op::request_close;
  server.on_message(maker.connection, msg::make_message(close));
  EXPECT_TRUE(co_await server.flush_journal());
}

/// All that has an early reply is sent again after a restart, and clients keep no bound of their own.
TEST(ServerResend, changes_wait_for_the_journal_before_there_is_too_much_to_send_again) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    constexpr std::size_t bytes = 60'000, each = limits::session_unsafe_bytes_max / bytes * 3 / 2;
    std::vector<std::unique_ptr<Client>> clients;
    co_await make_directories(shard, server, 4);
    for (int i = 0; i < 4; ++i) {
      Client& client = *clients.emplace_back(std::make_unique<Client>(shard, server, 10 + i));
      co_await client.open();
    }
    store.delay = [&shard]() -> Task<> { (void)co_await shard.clock().sleep(2ms); };
    std::vector<std::size_t> early(clients.size()), safe(clients.size());
    std::size_t together_most = 0, one_most = 0;
    auto look = [&] {
      std::size_t together = 0;
      for (std::size_t i = 0; i < clients.size(); ++i) {
        for (const msg::Message& reply : clients[i]->take(ClientReply::message_type)) {
          ++(Client::parse(reply).head.safe ? safe : early)[i];
          one_most = std::max(one_most, (early[i] - safe[i]) * bytes);
        }
        together += (early[i] - safe[i]) * bytes;
      }
      together_most = std::max(together_most, together);
    };
    // Each changes one inode over and over, so that the journal has little to write.
    for (std::size_t n = 0; n < each; ++n) {
      for (std::size_t i = 0; i < clients.size(); ++i) {
        clients[i]->send(Client::set_xattr(fmt::format("d{}", i), "user.a", bytes));
        look();
      }
    }
    co_await clients[0]->until([&] {
      look();
      return std::ranges::all_of(safe, [](std::size_t done) { return done == each; });
    });
    for (std::size_t done : safe) EXPECT_EQ(done, each);
    EXPECT_LE(one_most, limits::session_unsafe_bytes_max);
    EXPECT_LE(together_most, limits::unsafe_bytes_max);
    EXPECT_GT(together_most, limits::unsafe_bytes_max * 3 / 4) << "and not much less";
    // One alone has its own bound.
    std::size_t before = safe[0];
    for (std::size_t n = 0; n < each; ++n) {
      clients[0]->send(Client::set_xattr("d0", "user.a", bytes));
      look();
    }
    co_await clients[0]->until([&] {
      look();
      return safe[0] == before + each;
    });
    EXPECT_EQ(safe[0], before + each);
    EXPECT_LE(one_most, limits::session_unsafe_bytes_max);
    EXPECT_GT(one_most, limits::session_unsafe_bytes_max * 3 / 4);
    store.delay = nullptr;
  });
}

/// A server that starts again, and clients from 10 on that had sessions.
struct Resending {
  Resending(Shard& on, MemoryStore& store, int clients) : shard(on), life(on, store, 10), count(clients) {}
  static Task<> life_before(Shard& shard, MemoryStore& store, int clients) {
    Server server(shard, store, test_options());
    co_await boot(server, true);
    co_await make_directories(shard, server, clients);
    for (int i = 0; i < clients; ++i) {
      Client client(shard, server, 10 + i);
      co_await client.open();
    }
    EXPECT_TRUE(co_await server.flush_journal());
    co_await server.stop();
  }
  Task<> begin() {
    co_await life.begin();
    others.push_back(nullptr);  // the first is the life's own
    for (int i = 1; i < count; ++i) others.push_back(std::make_unique<Client>(shard, life.server, 10 + i));
  }
  Client& client(int i) { return i ? *others[i] : life.client; }
  /// Requests of together about as many bytes; how many.
  std::uint64_t send_again(int i, std::size_t bytes) {
    constexpr std::size_t each = 60'000;
    for (std::uint64_t tid = 1; tid <= bytes / each; ++tid) {
      ClientRequest body = Client::set_xattr(fmt::format("d{}", i), "user.a", each);
      body.flags |= ClientRequest::flag_replay;
      msg::Message message = msg::make_message(body, 1000 + tid);
      const std::size_t size = message.front.size() + message.data.size();
      EXPECT_TRUE(budget->try_take(size)) << "nothing would be read any more";
      message.budget_hold = std::make_shared<msg::BudgetHold>(budget, size);
      life.server.on_message(client(i).connection, std::move(message));
    }
    return bytes / each;
  }
  void come_back(int i, std::vector<msg::CapReconnect> caps = {Restarted::root()}, bool more = false) {
    msg::ClientReconnect message;
    message.caps = std::move(caps);
    message.more = more;
    life.server.on_message(client(i).connection, msg::make_reconnect(message));
  }
  std::size_t done(int i) {
    std::size_t done = 0;
    for (const msg::Message& reply : client(i).take(ClientReply::message_type)) {
      ParsedReply parsed = Client::parse(reply);
      EXPECT_EQ(parsed.head.result, 0);
      EXPECT_TRUE(parsed.head.safe);
      ++done;
    }
    return done;
  }

  Shard& shard;
  Restarted life;
  int count;
  std::vector<std::unique_ptr<Client>> others;
  std::shared_ptr<msg::ReceiveBudget> budget = std::make_shared<msg::ReceiveBudget>(40 << 20);
};

TEST(ServerResend, a_client_that_sends_more_again_than_it_can_have_is_evicted) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    co_await Resending::life_before(shard, store, 3);
    Resending clients(shard, store, 3);
    co_await clients.begin();
    LogCapture log;
    const MonotonicTime start = shard.clock().now();
    // One has all that it can have, and one too much.
    std::uint64_t sent = clients.send_again(0, limits::session_unsafe_bytes_max);
    EXPECT_TRUE(log.lines("evicting").empty());
    (void)clients.send_again(1, limits::session_kept_bytes_max * 3);
    EXPECT_FALSE(clients.budget->is_half_used()) << "what the others bring back is read";
    co_await clients.client(1).until([&] { return clients.client(1).connection->closed(); });
    EXPECT_TRUE(clients.client(1).connection->closed());
    EXPECT_EQ(log.lines("evicting client.11: has more to say").size(), 1u);
    clients.come_back(0);
    clients.come_back(2);
    co_await clients.life.activate();
    EXPECT_LT(shard.clock().now() - start, 10s) << "nobody waits for who was evicted";
    std::size_t done = 0;
    co_await clients.client(0).until([&] { return (done += clients.done(0)) == sent; });
    EXPECT_EQ(done, sent);
    EXPECT_EQ(clients.done(1), 0u);
    EXPECT_EQ(clients.life.server.figures().sessions, 2u);
    EXPECT_EQ(log.lines("evicting").size(), 1u);
    co_await clients.life.server.stop();
  });
}

TEST(ServerResend, when_all_clients_send_too_much_again_the_greediest_is_evicted) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    constexpr int count = 5;
    co_await Resending::life_before(shard, store, count);
    Resending clients(shard, store, count);
    co_await clients.begin();
    LogCapture log;
    constexpr std::size_t fair = limits::kept_bytes_max / count;
    clients.send_again(3, fair + (2 << 20));
    std::vector<std::uint64_t> sent(count);
    for (int i : {0, 1, 2, 4}) sent[i] = clients.send_again(i, fair);
    co_await clients.client(3).until([&] { return clients.client(3).connection->closed(); });
    EXPECT_EQ(log.lines("evicting").size(), 1u);
    EXPECT_EQ(log.lines("evicting client.13: has more to say").size(), 1u);
    for (int i : {0, 1, 2, 4}) clients.come_back(i);
    co_await clients.life.activate();
    for (int i : {0, 1, 2, 4}) {
      std::size_t done = 0;
      co_await clients.client(i).until([&] { return (done += clients.done(i)) == sent[i]; });
      EXPECT_EQ(done, sent[i]);
    }
    co_await clients.life.server.stop();
  });
}

/// A client does what it should not, the others go on.
void one_is_evicted(std::function<Task<>(Resending&, Client&)> excess) {
  run([&](Shard& shard) -> Task<> {
    MemoryStore store;
    co_await Resending::life_before(shard, store, 2);
    Resending clients(shard, store, 2);
    co_await clients.begin();
    LogCapture log;
    co_await excess(clients, clients.client(1));
    co_await clients.client(1).until([&] { return clients.client(1).connection->closed(); });
    EXPECT_EQ(log.lines("evicting client.11: has more to say").size(), 1u);
    std::uint64_t sent = clients.send_again(0, limits::session_unsafe_bytes_max);
    clients.come_back(0);
    co_await clients.life.activate();
    std::size_t done = 0;
    co_await clients.client(0).until([&] { return (done += clients.done(0)) == sent; });
    EXPECT_EQ(done, sent);
    EXPECT_EQ(clients.life.server.figures().sessions, 1u);
    EXPECT_EQ(log.lines("evicting").size(), 1u);
    co_await clients.life.server.stop();
  });
}

TEST(ServerResend, cap_messages_that_wait_for_our_start_are_bounded) {
  one_is_evicted([](Resending&, Client& client) -> Task<> {
    ClientCaps flush;
    flush.op = ClientCaps::Op::flush;
    flush.middle = Buffer::copy_of(std::string(60'000, 'x'));
    std::size_t told = 0;
    for (; !client.connection->closed() && told <= limits::session_kept_bytes_max / 60'000; ++told) {
      flush.ino = 0x10000000000 + told;
      client.tell(flush, 1 + told);
    }
    EXPECT_GT(told * 60'000, limits::session_kept_bytes_max * 9 / 10);
    co_return;
  });
}

TEST(ServerResend, caps_brought_back_on_what_is_nowhere_are_bounded) {
  one_is_evicted([](Resending& clients, Client& client) -> Task<> {
    constexpr std::size_t each = 4000, at_once = 100;
    for (std::size_t n = 0; n < limits::session_kept_bytes_max / each && !client.connection->closed(); n += at_once) {
      std::vector<msg::CapReconnect> caps;
      for (std::size_t i = 0; i < at_once; ++i)
        caps.push_back(Restarted::cap(0x20000000000 + n + i, std::string(each, 'n'), cap::pin, 10 + n + i));
      clients.come_back(1, std::move(caps), true);
      (void)co_await clients.shard.clock().sleep(1ms);
    }
  });
}

}  // namespace
}  // namespace spirula::mds
