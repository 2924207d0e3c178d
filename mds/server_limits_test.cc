#include <fmt/format.h>

#include <algorithm>

#include "base/log_capture.h"
#include "mds/request.h"
#include "mds/test_client.h"
#include "msg/receive_budget.h"

/// What happens at the server's limits, and to clients that do not keep theirs.
namespace spirula::mds {
namespace {

using namespace std::chrono_literals;

TEST(ServerLimits, bad_messages_are_logged_and_the_server_goes_on) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 7);
    co_await client.open();
    LogCapture log;
    auto send = [&](std::uint16_t type, std::string_view front) {
      msg::Message message;
      message.type = type;
      message.version = message.compat = 1;
      message.front = Buffer::copy_of(front);
      server.on_message(client.connection, std::move(message));
    };
    send(0x7abc, "whatever");
    EXPECT_EQ(log.lines("0x7abc", "not for an MDS").size(), 1u);
    for (auto type : {ClientSession::message_type, ClientCaps::message_type, msg::ClientCapRelease::message_type,
                      ClientRequest::message_type}) {
      auto before = log.lines("does not decode").size();
      send(type, "\xff\xff\xff");
      EXPECT_EQ(log.lines("does not decode").size(), before + 1) << type;
    }
    ParsedReply made = co_await client.call(Client::request(MdsOp::mkdir, "d"));
    EXPECT_EQ(made.head.result, 0);
  });
}

TEST(ServerLimits, metrics_are_taken_whatever_they_say) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 7);
    co_await client.open();
    LogCapture log;
    msg::Message metrics;
    metrics.type = msg::ClientMetrics::message_type;
    for (const char* front : {"", "anything"}) {
      metrics.front = Buffer::copy_of(std::string_view(front));
      server.on_message(client.connection, metrics);
    }
    EXPECT_TRUE(log.lines("").empty());
    ParsedReply made = co_await client.call(Client::request(MdsOp::mkdir, "d"));
    EXPECT_EQ(made.head.result, 0) << "and the session goes on";
  });
}

TEST(ServerLimits, no_message_to_the_osds_is_too_large) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    ServerOptions options = test_options();
    options.cache_bytes_max = 64 << 20;  // and with less behind the journal than all of it
    Server server(shard, store, options);
    co_await boot(server, true);
    Client client(shard, server, 7);
    co_await client.open();
    for (int i = 0; i < 2000; ++i) {
      ParsedReply made = co_await client.call(Client::request(MdsOp::mkdir, fmt::format("d{}", i)));
      EXPECT_EQ(made.head.result, 0);
    }
    // One append takes long, and everything becomes dirty while it does.
    store.delay = [&shard]() -> Task<> { (void)co_await shard.clock().sleep(10ms); };
    std::uint64_t last = 0;
    for (int i = 0; i < 2000; ++i) last = client.send(Client::set_xattr(fmt::format("d{}", i), "user.large", 60'000));
    co_await client.safe(last);
    store.delay = nullptr;
    EXPECT_TRUE(co_await server.write_back_all());
    EXPECT_LE(store.message_bytes_largest, 10u << 20);
    EXPECT_FALSE(server.failed());
    co_await server.stop();
    Server again(shard, store, test_options());
    EXPECT_TRUE(co_await again.replay()) << again.problem();
    co_await again.stop();
  });
}

TEST(ServerLimits, two_write_backs_at_once_trim_the_journal_one_after_the_other) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 7);
    co_await client.open();
    std::uint64_t last = 0;
    for (int i = 0; i < 300; ++i) {
      last = client.send(Client::request(MdsOp::mkdir, fmt::format("d{}", i)));
      last = client.send(Client::set_xattr(fmt::format("d{}", i), "user.large", 60'000));
    }
    co_await client.safe(last);
    EXPECT_GT(server.figures().journal_segments, 2u);
    store.delay = [&shard]() -> Task<> { (void)co_await shard.clock().sleep(2ms); };
    auto write_back = [](Server& it) -> Task<> { EXPECT_TRUE(co_await it.write_back_all()); };
    TaskGroup both(shard);
    for (int i = 0; i < 2; ++i) both.spawn(write_back(server));
    co_await both.join();
    EXPECT_EQ(server.figures().journal_segments, 1u);
    EXPECT_LT(server.figures().journal_bytes, 10u << 20);
    store.delay = nullptr;
    last = client.send(Client::request(MdsOp::mkdir, "after"));
    co_await client.safe(last);
    EXPECT_FALSE(server.failed());
  });
}

TEST(ServerLimits, a_client_that_never_forgets_its_flushes_is_evicted_and_we_start_again) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      ParsedReply made = co_await client.call(Client::create("f"));
      if (!made.target) co_return;
      ClientCaps flush;
      flush.op = ClientCaps::Op::flush;
      flush.ino = made.target->ino;
      flush.cap_id = made.target->cap.cap_id;
      flush.sequence = made.target->cap.sequence;
      flush.caps = flush.wanted = made.target->cap.caps;
      flush.dirty = cap::file_write;
      for (std::size_t tid = 1; tid <= limits::session_completed_max + 10; ++tid) client.tell(flush, tid);
      co_await client.until([&] { return client.connection->closed(); });
      EXPECT_TRUE(client.connection->closed());
      EXPECT_EQ(server.figures().sessions, 0u);
      EXPECT_TRUE(co_await server.write_back_all());
      co_await server.stop();
    }
    Server server(shard, store, test_options());
    EXPECT_TRUE(co_await server.replay()) << server.problem();
    co_await server.stop();
  });
  SessionProgress progress;
  for (std::uint64_t tid = 0; tid < limits::session_completed_max + 5'000; ++tid) progress.flushes.insert(tid);
  EXPECT_TRUE(decode<SessionProgress>(encode(progress))) << "what was let in comes back";
}

/// They would fill the room for messages, and what the other client has to say would not be read.
TEST(ServerLimits, requests_that_wait_for_another_client_leave_room_for_its_messages) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    auto budget = std::make_shared<msg::ReceiveBudget>(msg::MessengerOptions().bytes_in_flight_max);
    Client holder(shard, server, 7);
    co_await holder.open();
    ParsedReply made = co_await holder.call(Client::create("f"));
    EXPECT_TRUE(made.target);
    EXPECT_TRUE(co_await server.flush_journal());
    if (!made.target) co_return;
    // Thousands of requests from several clients.
    constexpr std::size_t bytes = 60'000;
    std::vector<std::unique_ptr<Client>> clients;
    std::size_t refused = 0, sent = 0;
    for (int i = 0; i < 6; ++i) {
      Client& client = *clients.emplace_back(std::make_unique<Client>(shard, server, 10 + i));
      co_await client.open();
      for (; sent < (i + 1) * (limits::session_waiting_bytes_max / bytes + 100); ++sent) {
        ClientRequest body = Client::set_xattr("f", "user.a", bytes);
        msg::Message message = msg::make_message(body, sent + 1);
        const std::size_t size = message.front.size() + message.data.size();
        EXPECT_TRUE(budget->try_take(size)) << "nothing would be read any more";
        message.budget_hold = std::make_shared<msg::BudgetHold>(budget, size);
        server.on_message(client.connection, std::move(message));
      }
      (void)co_await shard.clock().sleep(5ms);
      for (const msg::Message& reply : client.take(ClientReply::message_type)) {
        EXPECT_EQ(Client::parse(reply).head.result, -16);
        ++refused;
      }
    }
    EXPECT_GT(refused, 600u);
    EXPECT_LT(refused, sent);
    EXPECT_FALSE(budget->is_half_used());
    auto caps = holder.caps();
    EXPECT_FALSE(caps.empty());
    msg::ClientCapRelease release;
    Inode* inode = server.tree().find(Ino{made.target->ino});
    release.items.push_back({made.target->ino, made.target->cap.cap_id, 0, inode->caps.find(ClientId{7})->sequence});
    server.on_message(holder.connection, msg::make_message(release));
    (void)co_await shard.clock().sleep(5ms);
    EXPECT_TRUE(co_await server.flush_journal());
    ParsedReply after = co_await holder.call(Client::request(MdsOp::mkdir, "after"));
    EXPECT_EQ(after.head.result, 0);
    std::size_t done = 0;
    for (auto& client : clients) {
      for (const msg::Message& reply : client->take(ClientReply::message_type)) {
        EXPECT_EQ(Client::parse(reply).head.result, 0);
        ++done;
      }
    }
    EXPECT_GT(done, 0u);
  });
}

TEST(ServerLimits, a_key_that_only_reads_gets_no_cap_to_write_with) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client writer(shard, server, 7), reader(shard, server, 8);
    reader.connection->identity_.caps = "allow r";
    co_await writer.open();
    co_await reader.open();
    std::uint64_t tid = writer.send(Client::create("f"));
    co_await writer.safe(tid);
    ClientSession close;
    close.op = ClientSession::Op::request_close;
    server.on_message(writer.connection, msg::make_message(close));
    ParsedReply stat = co_await reader.call(Client::getattr("f"));
    EXPECT_TRUE(stat.target);
    if (!stat.target) co_return;
    (void)reader.caps();
    ClientCaps ask;
    ask.op = ClientCaps::Op::update;
    ask.ino = stat.target->ino;
    ask.cap_id = stat.target->cap.cap_id;
    ask.sequence = stat.target->cap.sequence;
    ask.issue_sequence = stat.target->cap.sequence;
    ask.caps = stat.target->cap.caps;
    ask.wanted = cap::wanted_by_open(2) | cap::auth_exclusive;
    reader.tell(ask);
    EXPECT_TRUE(co_await server.flush_journal());
    for (const ClientCaps& each : reader.caps())
      EXPECT_FALSE(each.caps & (cap::any_file_write | cap::auth_exclusive)) << cap::describe(each.caps);
    // A name below a folder that is not the client's, by number.
    Client limited(shard, server, 9);
    limited.connection->identity_.caps = "allow rw path=/mine";
    co_await limited.open();
    ClientRequest by_name = Client::request(MdsOp::lookup_name, "");
    by_name.path = {stat.target->ino, ""};
    by_name.path2 = {1, ""};
    ParsedReply named = co_await limited.call(by_name);
    EXPECT_EQ(named.head.result, -13);
  });
}

TEST(ServerLimits, locks_end_with_their_session_even_after_the_cap_has_gone) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client one(shard, server, 1), two(shard, server, 2);
    co_await one.open();
    co_await two.open();
    ParsedReply made = co_await one.call(Client::create("f"));
    EXPECT_TRUE(co_await server.flush_journal());
    if (!made.target) co_return;
    auto lock = [&](std::uint8_t type) {
      ClientRequest body = Client::request(MdsOp::set_file_lock, "");
      body.path = {made.target->ino, ""};
      ClientRequest::FileLock args;
      args.rule = 2;
      args.type = type;
      args.owner = 1ull << 63 | 5;
      body.set(args);
      return body;
    };
    ParsedReply locked = co_await one.call(lock(msg::FileLockRecord::exclusive));
    EXPECT_EQ(locked.head.result, 0);
    msg::ClientCapRelease release;
    Inode* inode = server.tree().find(Ino{made.target->ino});
    release.items.push_back({made.target->ino, made.target->cap.cap_id, 0, inode->caps.find(ClientId{1})->sequence});
    server.on_message(one.connection, msg::make_message(release));
    ParsedReply refused = co_await two.call(lock(msg::FileLockRecord::exclusive));
    EXPECT_EQ(refused.head.result, -11);
    ClientSession close;
    close.op = ClientSession::Op::request_close;
    server.on_message(one.connection, msg::make_message(close));
    ParsedReply granted = co_await two.call(lock(msg::FileLockRecord::exclusive));
    EXPECT_EQ(granted.head.result, 0);
  });
}

TEST(ServerLimits, a_removed_directory_leaves_no_object) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    ServerOptions options = test_options();
    Server server(shard, store, options);
    co_await boot(server, true);
    Client client(shard, server, 7);
    co_await client.open();
    ParsedReply dir = co_await client.call(Client::request(MdsOp::mkdir, "d"));
    if (!dir.target) co_return;
    const std::string object = MetadataStore::directory_object(Ino{dir.target->ino});
    (void)co_await client.call(Client::create("d/f"));
    EXPECT_TRUE(co_await server.write_back_all());
    EXPECT_TRUE(store.metadata.contains(object));
    (void)co_await client.call(Client::request(MdsOp::unlink, "d/f"));
    std::uint64_t tid = client.send(Client::request(MdsOp::rmdir, "d"));
    co_await client.safe(tid);
    Inode* inode = server.tree().find(Ino{dir.target->ino});
    if (inode && inode->caps.find(ClientId{7})) {
      msg::ClientCapRelease release;
      release.items.push_back({dir.target->ino, dir.target->cap.cap_id, 0, inode->caps.find(ClientId{7})->sequence});
      server.on_message(client.connection, msg::make_message(release));
    }
    co_await client.until([&] { return !server.tree().find(Ino{dir.target->ino}); });
    EXPECT_FALSE(server.tree().find(Ino{dir.target->ino}));
    EXPECT_TRUE(co_await server.write_back_all());
    EXPECT_FALSE(store.metadata.contains(object));
    co_await server.stop();
  });
}

TEST(ServerLimits, a_new_file_system_uses_no_number_of_an_earlier_one_and_no_segment) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t used = 0;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      ParsedReply dir = co_await client.call(Client::request(MdsOp::mkdir, "d"));
      if (!dir.target) co_return;
      used = dir.target->ino;
      std::uint64_t tid = client.send(Client::create("d/f"));
      co_await client.safe(tid);
      EXPECT_TRUE(co_await server.write_back_all());
      co_await server.stop();
    }
    // A crash in trim(): the header has moved on, the segments are still there.
    JournalHeader header;
    header.first_segment = 4;
    store.metadata[Journal::object(0)].bytes = encode(header).to_string();
    for (int i : {2, 3}) store.metadata[Journal::object(i)] = store.metadata[Journal::object(1)];
    store.metadata.erase(Journal::object(1));
    Server server(shard, store, test_options());
    EXPECT_TRUE(co_await server.format());
    co_await server.activate();
    EXPECT_FALSE(store.metadata.contains(Journal::object(2)));
    EXPECT_FALSE(store.metadata.contains(Journal::object(3)));
    Client client(shard, server, 7);
    co_await client.open();
    ParsedReply dir = co_await client.call(Client::request(MdsOp::mkdir, "d"));
    EXPECT_TRUE(dir.target);
    if (dir.target) EXPECT_GT(dir.target->ino, used + 1);
    co_await server.stop();
  });
}

TEST(ServerLimits, what_a_crash_left_of_a_trim_goes_at_the_next_start) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      co_await server.stop();
    }
    JournalHeader header;
    header.first_segment = 3;
    store.metadata[Journal::object(3)] = store.metadata[Journal::object(1)];
    store.metadata[Journal::object(2)] = store.metadata[Journal::object(1)];
    store.metadata.erase(Journal::object(1));
    store.metadata[Journal::object(0)].bytes = encode(header).to_string();
    Server server(shard, store, test_options());
    EXPECT_TRUE(co_await server.replay()) << server.problem();
    EXPECT_FALSE(store.metadata.contains(Journal::object(2)));
    EXPECT_TRUE(store.metadata.contains(Journal::object(3)));
    co_await server.stop();
  });
}

}  // namespace
}  // namespace spirula::mds
