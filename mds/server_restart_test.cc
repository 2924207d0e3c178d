#include <algorithm>

#include "mds/request.h"
#include "mds/test_client.h"

/// What clients send again after a restart, in all orders.
namespace spirula::mds {
namespace {

using namespace std::chrono_literals;

/// A file of this size, journaled, by client 7, which stays without closing its session.
Task<std::uint64_t> make_file(Shard& shard, MemoryStore& store, std::string name) {
  Server server(shard, store, test_options());
  co_await boot(server, true);
  Client client(shard, server, 7);
  co_await client.open();
  ParsedReply made = co_await client.call(Client::create(std::move(name)));
  EXPECT_TRUE(co_await server.flush_journal());
  co_await server.stop();
  co_return made.target ? made.target->ino : 0;
}

ClientRequest replayed(ClientRequest request, std::uint64_t ino) {
  request.flags |= ClientRequest::flag_replay;
  request.ino = ino;
  return request;
}

TEST(ServerRestart, a_flush_comes_before_the_requests_that_took_its_caps) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = co_await make_file(shard, store, "f");
    Restarted life(shard, store);
    Server& server = life.server;
    Client& client = life.client;
    co_await life.begin();
    ClientRequest::Setattr cut;
    cut.mask = ClientRequest::Setattr::size_bit;
    client.send(replayed(Client::setattr(ino, cut), 0), 50);
    ClientCaps flush;
    flush.op = ClientCaps::Op::flush;
    flush.ino = ino;
    flush.cap_id = 2;
    flush.sequence = 1;
    flush.caps = cap::pin;
    flush.dirty = cap::file_write;
    flush.size = 10;
    client.tell(flush, 5);
    life.bring({Restarted::root(), Restarted::cap(ino, "f", cap::pin)});
    co_await life.activate();
    co_await client.safe(50);
    ParsedReply stat = co_await client.call(Client::getattr("f"));
    EXPECT_TRUE(stat.target);
    if (stat.target) EXPECT_EQ(stat.target->size, 0u) << "cut after the flush";
    co_await server.stop();
  });
}

TEST(ServerRestart, a_number_in_use_is_not_given_out_again) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t dir = 0, file = 0;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      ParsedReply made = co_await client.call(Client::request(MdsOp::mkdir, "d"));
      ParsedReply inner = co_await client.call(Client::create("d/f"));
      if (!made.target || !inner.target) co_return;
      dir = made.target->ino, file = inner.target->ino;
      EXPECT_TRUE(co_await server.write_back_all());
      // In normal life nobody names a number at all.
      ParsedReply forged = co_await client.call(replayed(Client::create("forged"), file));
      (void)forged;
      Inode* root = server.tree().root();
      Dentry* dentry = server.tree().lookup(*root, "forged");
      EXPECT_TRUE(dentry && dentry->inode && dentry->inode->ino().value > file);
      EXPECT_TRUE(co_await server.flush_journal());
      co_await server.stop();
    }
    Restarted life(shard, store);
    Server& server = life.server;
    Client& client = life.client;
    co_await life.begin();
    client.send(replayed(Client::create("g"), file), 60);
    server.raise_osd_epoch_barrier(msg::Epoch(5));
    life.bring({Restarted::root(), Restarted::cap(file + 100, "nowhere", cap::pin, 9)});
    co_await life.activate();
    co_await client.safe(60);
    std::vector<ClientCaps> told = client.caps();
    EXPECT_TRUE(std::ranges::any_of(told, [&](const ClientCaps& each) {
      return each.op == ClientCaps::Op::export_ && each.ino == file + 100 && each.cap_id == 9;
    })) << "a cap on nothing is taken away";
    EXPECT_TRUE(std::ranges::any_of(told, [](const ClientCaps& each) {
      return each.op == ClientCaps::Op::import && each.osd_epoch_barrier == msg::Epoch(5);
    })) << "who comes back hears of the newest osdmap";
    ParsedReply listed = co_await client.call(Client::request(MdsOp::readdir, "d"));
    EXPECT_EQ(listed.head.result, 0);
    EXPECT_EQ(listed.entries.size(), 1u);
    ParsedReply stat = co_await client.call(Client::getattr("g"));
    EXPECT_TRUE(stat.target);
    if (stat.target) EXPECT_NE(stat.target->ino, file);
    server.tree().verify();
    (void)dir;
    co_await server.stop();
  });
}

TEST(ServerRestart, a_session_closed_while_it_reconnects_stays_closed) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = co_await make_file(shard, store, "f");
    Restarted life(shard, store);
    Server& server = life.server;
    Client& client = life.client;
    co_await life.begin();
    life.bring({Restarted::cap(ino, "f", cap::pin)});
    ClientSession close;
    close.op = ClientSession::Op::request_close;
    server.on_message(client.connection, msg::make_message(close));
    const MonotonicTime start = shard.clock().now();
    co_await life.activate();
    EXPECT_LT(shard.clock().now() - start, 5s) << "nobody waits for it";
    EXPECT_EQ(server.figures().sessions, 0u);
    EXPECT_EQ(server.figures().caps, 0u);
    Inode* inode = server.tree().find(Ino{ino});
    EXPECT_TRUE(!inode || inode->caps.empty());
    co_await server.stop();
  });
}

TEST(ServerRestart, a_client_that_comes_back_with_nothing_was_leaving) {
  for (bool asks : {false, true}) {
    run_simulated([asks](sim::Host& host) -> Task<> {
      MemoryStore store;
      (void)co_await make_file(host, store, "f");
      Restarted life(host, store);
      co_await life.begin();
      life.bring({});
      co_await life.activate();
      (void)life.client.take(ClientSession::message_type);
      if (asks) (void)co_await life.client.call(Client::getattr(""));
      (void)co_await host.clock().sleep(3s);
      EXPECT_EQ(life.server.figures().sessions, asks ? 1u : 0u);
      std::vector<msg::Message> told = life.client.take(ClientSession::message_type);
      EXPECT_EQ(told.size(), asks ? 0u : 1u);
      for (const msg::Message& message : told)
        EXPECT_EQ(msg::read_message<ClientSession>(message)->op, ClientSession::Op::close);
      co_await life.server.stop();
    });
  }
}

/// Bytes that a client wrote and of which it told nobody.
void write_data(MemoryStore& store, std::uint64_t ino, std::uint64_t object, std::size_t bytes) {
  MemoryStore::Object& data = store.data[MetadataStore::data_object(Ino{ino}, object)];
  data.bytes = std::string(bytes, 'x');
  data.mtime = {5'000, 0};
}

TEST(ServerRestart, what_an_evicted_writer_wrote_is_found) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    Server server(shard, store, test_options());
    bool blocklisted = false;
    server.set_blocklist([&](msg::AddressVector) -> Task<Result<msg::Epoch>> {
      blocklisted = true;
      co_return msg::Epoch{5};
    });
    co_await boot(server, true);
    Client writer(shard, server, 7), reader(shard, server, 8);
    co_await writer.open();
    co_await reader.open();
    std::uint64_t tid = writer.send(Client::create("f"));
    ParsedReply made = co_await writer.reply(tid);
    if (!made.target) co_return;
    write_data(store, made.target->ino, 0, 1234);
    EXPECT_TRUE(co_await server.evict(ClientId{7}));
    EXPECT_TRUE(blocklisted);
    ParsedReply stat = co_await reader.call(Client::getattr("f"));
    EXPECT_TRUE(stat.target);
    if (stat.target) {
      EXPECT_EQ(stat.target->size, 1234u);
      EXPECT_EQ(stat.target->mtime, (msg::Time{5'000, 0}));
    }
    ParsedReply root = co_await reader.call(Client::getattr(""));
    if (root.target) EXPECT_EQ(root.target->rbytes, 1234u);
    // One that tells everything and goes leaves nothing to look for.
    server.tree().verify();
    co_await server.stop();
  });
}

TEST(ServerRestart, what_a_writer_that_never_came_back_wrote_is_found) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = 0;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      (void)co_await client.call(Client::request(MdsOp::mkdir, "d"));
      ParsedReply made = co_await client.call(Client::create("d/f"));
      if (made.target) ino = made.target->ino;
      EXPECT_TRUE(co_await server.flush_journal());
      co_await server.stop();
    }
    write_data(store, ino, 0, 77);
    ServerOptions options = test_options();
    options.reconnect_timeout = 1ms;
    Server server(shard, store, options);
    co_await boot(server, false);
    Client client(shard, server, 8);
    co_await client.open();
    ParsedReply stat = co_await client.call(Client::getattr("d/f"));
    EXPECT_TRUE(stat.target);
    if (stat.target) EXPECT_EQ(stat.target->size, 77u);
    // It is removed whole, although nobody ever told its size.
    std::uint64_t tid = client.send(Client::request(MdsOp::unlink, "d/f"));
    co_await client.safe(tid);
    server.tree().verify();
    co_await server.stop();
  });
}

TEST(ServerRestart, the_times_of_a_writer_that_came_back_stay_as_it_set_them) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = co_await make_file(shard, store, "f");
    write_data(store, ino, 0, 10);
    Restarted life(shard, store);
    Server& server = life.server;
    Client& client = life.client;
    co_await life.begin();
    life.bring({Restarted::cap(ino, "f", cap::pin | cap::any_shared)});
    co_await life.activate();
    (void)co_await shard.clock().sleep(20ms);
    ParsedReply stat = co_await client.call(Client::getattr("f"));
    EXPECT_TRUE(stat.target);
    if (stat.target) EXPECT_EQ(stat.target->mtime, (msg::Time{100, 0}));
    Inode* inode = server.tree().find(Ino{ino});
    EXPECT_TRUE(inode && inode->record.writable_size == 0);
    co_await server.stop();
  });
}

TEST(ServerRestart, the_client_hears_what_its_replayed_request_changed) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = co_await make_file(shard, store, "f");
    Restarted life(shard, store);
    Server& server = life.server;
    Client& client = life.client;
    co_await life.begin();
    ClientRequest::Setattr change;
    change.mask = ClientRequest::Setattr::mode_bit;
    change.mode = 0751;
    client.send(replayed(Client::setattr(ino, change), 0), 50);
    life.bring({Restarted::cap(ino, "f", cap::pin | cap::any_shared)});
    co_await life.activate();
    co_await client.safe(50);
    std::vector<ClientCaps> told = client.caps();
    EXPECT_FALSE(told.empty());
    if (!told.empty()) EXPECT_EQ(told.back().mode & 07777, 0751u) << "the import said what was before";
    co_await server.stop();
  });
}

}  // namespace
}  // namespace spirula::mds
