#include "mds/server.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/wait.h"
#include "mds/test_client.h"

namespace spirula::mds {
namespace {

using namespace std::chrono_literals;

TEST(Server, creates_early_and_then_safely) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 7);
    co_await client.open();
    std::uint64_t tid = client.send(Client::create("f"));
    ParsedReply made = co_await client.reply(tid);
    EXPECT_EQ(made.head.result, 0);
    EXPECT_FALSE(made.head.safe);
    EXPECT_TRUE(made.target && made.dir);
    if (!made.target) co_return;
    EXPECT_EQ(cap::describe(made.target->cap.caps), "pAsxLsXsxFsxcrwb");
    EXPECT_EQ(cap::describe(made.dir->cap.caps), "pAsLsXsFsx");
    EXPECT_EQ(made.target->size_max, 4u << 20);
    EXPECT_EQ(*decode<Ino>(made.head.extra), inos::first);
    co_await client.safe(tid);
    ParsedReply listed = co_await client.call(Client::request(MdsOp::readdir, ""));
    EXPECT_EQ(listed.entries.size(), 1u);
    EXPECT_TRUE(listed.head.safe);
    ParsedReply missing = co_await client.call(Client::request(MdsOp::lookup, "g"));
    EXPECT_EQ(missing.head.result, -2);
    EXPECT_TRUE(missing.dir) << "so that the client may remember it";
    EXPECT_TRUE(client.caps().empty()) << "one client alone is never disturbed";
  });
}

TEST(Server, everything_survives_a_restart_from_journal_and_objects) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    for (int round = 0; round < 3; ++round) {
      Server server(shard, store, test_options());
      co_await boot(server, round == 0);
      Client client(shard, server, 7 + round);
      co_await client.open();
      if (round == 0) {
        ParsedReply dir = co_await client.call(Client::request(MdsOp::mkdir, "d"));
        EXPECT_EQ(dir.head.result, 0);
        for (const char* name : {"d/a", "d/b", "d/c"}) {
          ParsedReply made = co_await client.call(Client::create(name));
          EXPECT_EQ(made.head.result, 0);
        }
        ParsedReply linked = co_await client.call(Client::request(MdsOp::link, "l", "d/b"));
        EXPECT_EQ(linked.head.result, 0);
        ParsedReply renamed = co_await client.call(Client::request(MdsOp::rename, "d/z", "d/c"));
        EXPECT_EQ(renamed.head.result, 0);
        ParsedReply unlinked = co_await client.call(Client::request(MdsOp::unlink, "d/a"));
        EXPECT_EQ(unlinked.head.result, 0);
        EXPECT_TRUE(co_await server.flush_journal());
      }
      ParsedReply listed = co_await client.call(Client::request(MdsOp::readdir, "d"));
      EXPECT_EQ(listed.entries.size(), 2u) << round;
      EXPECT_EQ(listed.flags, 0x101) << "whole";
      ParsedReply stat = co_await client.call(Client::getattr("l"));
      EXPECT_TRUE(stat.target);
      if (stat.target) EXPECT_EQ(stat.target->links, 2u);
      server.tree().verify();
      if (round == 1) {
        EXPECT_TRUE(co_await server.write_back_all());
        EXPECT_EQ(server.figures().names_waiting, 0u);
        EXPECT_LE(server.figures().journal_segments, 1u);
      }
      // The sessions of before are over, or the next start would wait for them.
      ClientSession close;
      close.op = ClientSession::Op::request_close;
      server.on_message(client.connection, msg::make_message(close));
      co_await client.until([&] { return !client.take(ClientSession::message_type).empty(); });
      co_await server.stop();
    }
  });
}

TEST(Server, others_see_only_what_is_durable_and_what_writers_have_flushed) {
  serve(
      [](Fresh& fresh) -> Task<> {
        auto& [shard, store, server] = fresh;
        Client writer(shard, server, 1), reader(shard, server, 2);
        co_await writer.open();
        co_await reader.open();
        std::uint64_t tid = writer.send(Client::create("f"));
        ParsedReply made = co_await writer.reply(tid);
        EXPECT_FALSE(made.head.safe);
        if (!made.target) co_return;
        std::uint64_t changes = store.changes;
        std::uint64_t stat_tid = reader.send(Client::getattr("f"));
        // The stat needs the writer's exclusive caps back, and the journal.
        std::vector<ClientCaps> revoked;
        co_await writer.until([&] {
          for (ClientCaps& caps : writer.caps())
            if (caps.op == ClientCaps::Op::revoke && caps.ino == made.target->ino) revoked.push_back(caps);
          return !revoked.empty();
        });
        EXPECT_GT(store.changes, changes) << "hurried";
        EXPECT_EQ(revoked.size(), 1u);
        EXPECT_TRUE(reader.take(ClientReply::message_type).empty());
        ClientCaps flush = revoked.back();
        flush.op = ClientCaps::Op::update;
        flush.dirty = cap::file_write | cap::auth_exclusive;
        flush.size = 12345;
        flush.mode = 0600;
        flush.wanted = cap::wanted_by_open(2);
        writer.tell(flush, 1);
        ParsedReply stat = co_await reader.reply(stat_tid);
        EXPECT_TRUE(stat.target);
        if (stat.target) {
          EXPECT_EQ(stat.target->size, 12345u);
          EXPECT_EQ(stat.target->mode, 0100600u);
        }
        std::vector<ClientCaps> told;
        co_await writer.until([&] {
          for (ClientCaps& caps : writer.caps()) told.push_back(caps);
          bool acked = std::ranges::any_of(told, [](auto& m) { return m.op == ClientCaps::Op::flush_ack; });
          bool back = std::ranges::any_of(told, [](auto& m) { return m.caps & cap::file_buffer; });
          return acked && back;
        });
        EXPECT_TRUE(std::ranges::any_of(told, [](auto& m) { return m.op == ClientCaps::Op::flush_ack; }));
        EXPECT_TRUE(std::ranges::any_of(told, [](auto& m) { return m.caps & cap::file_buffer; })) << "it may go on";
      },
      hurried_options());
}

TEST(Server, no_cap_message_shows_what_is_not_durable) {
  serve(
      [](Fresh& fresh) -> Task<> {
        auto& [shard, store, server] = fresh;
        Client one(shard, server, 1), two(shard, server, 2);
        co_await one.open();
        co_await two.open();
        ParsedReply made = co_await one.call(Client::create("f"));
        if (!made.target) co_return;
        EXPECT_TRUE(co_await server.flush_journal());
        const std::uint64_t ino = made.target->ino;
        // The second writes too, so that both write synchronously; the first says how far it has written.
        const std::uint64_t opened = two.send(Client::create("f"));
        ClientCaps flush;
        co_await one.until([&] {
          for (ClientCaps& caps : one.caps())
            if (caps.op == ClientCaps::Op::revoke && caps.ino == ino) flush = caps;
          return flush.ino != 0;
        });
        flush.op = ClientCaps::Op::update;
        flush.wanted = cap::wanted_by_open(2);
        one.tell(flush);
        ParsedReply second = co_await two.reply(opened);
        EXPECT_TRUE(second.target);
        if (!second.target) co_return;
        EXPECT_TRUE(co_await server.flush_journal());
        (void)two.caps();
        Event journal;  // held until this
        store.delay = [&]() -> Task<> { (void)co_await journal.wait(); };
        flush.dirty = cap::file_write;
        flush.size = 12345;
        flush.caps = flush.caps & ~cap::file_buffer;
        one.tell(flush, 1);
        ClientCaps more;
        more.op = ClientCaps::Op::update;
        more.ino = ino;
        more.cap_id = second.target->cap.cap_id;
        more.sequence = more.issue_sequence = second.target->cap.sequence;
        more.caps = second.target->cap.caps;
        more.wanted = cap::wanted_by_open(2);
        more.size_max = 1 << 30;
        two.tell(more);
        (void)co_await shard.clock().sleep(10ms);
        EXPECT_TRUE(two.caps().empty()) << "the first's size is not in the journal";
        journal.set();
        store.delay = nullptr;
        std::vector<ClientCaps> told;
        co_await two.until([&] { return !(told = two.caps()).empty(); });
        EXPECT_FALSE(told.empty());
        if (!told.empty()) {
          EXPECT_EQ(told.back().size, 12345u);
          EXPECT_GE(told.back().size_max, 1u << 30);
        }
      },
      hurried_options());
}

TEST(Server, resent_requests_are_answered_once_even_over_a_restart) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = 0, tid = 0;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      tid = client.send(Client::request(MdsOp::mkdir, "d"), 41);
      ParsedReply made = co_await client.reply(tid);
      EXPECT_TRUE(made.target);
      if (!made.target) co_return;
      ino = made.target->ino;
      co_await client.safe(tid);
      // A create that never got into the journal.
      co_await server.stop();
    }
    Restarted life(shard, store);
    Server& server = life.server;
    Client& client = life.client;
    co_await life.begin();
    // What had an early reply comes again, with the number it was given; then the caps.
    ClientRequest lost = Client::create("lost");
    lost.flags |= ClientRequest::flag_replay;
    lost.ino = ino + 1;
    client.send(lost, 42);
    ClientRequest again = Client::request(MdsOp::mkdir, "d");
    again.flags |= ClientRequest::flag_replay;
    again.ino = ino;
    client.send(again, 41);
    life.bring({Restarted::root(), Restarted::cap(ino + 1, "lost", cap::pin | cap::any_shared)});
    co_await life.activate();
    co_await client.safe(41);
    co_await client.safe(42);
    // The flush that gave up the right to write was lost with the old server: it comes again, without the right.
    ClientCaps flush;
    flush.op = ClientCaps::Op::flush;
    flush.ino = ino + 1;
    flush.cap_id = 2;
    flush.sequence = 1;
    flush.caps = cap::pin;
    flush.dirty = cap::file_write;
    flush.size = 77;
    client.tell(flush, 5);
    ParsedReply stat = co_await client.call(Client::request(MdsOp::lookup, "lost"));
    EXPECT_TRUE(stat.target);
    if (stat.target) {
      EXPECT_EQ(stat.target->ino, ino + 1);
      EXPECT_EQ(stat.target->cap.cap_id, 2u) << "the cap of before";
      EXPECT_EQ(stat.target->size, 77u);
    }
    server.tree().verify();
    co_await server.stop();
  });
}

TEST(Server, an_open_file_outlives_its_name_and_is_purged_when_let_go) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 7);
    co_await client.open();
    ParsedReply made = co_await client.call(Client::create("f"));
    if (!made.target) co_return;
    store.data[MetadataStore::data_object(Ino{made.target->ino}, 0)].bytes = "data";
    std::uint64_t tid = client.send(Client::request(MdsOp::unlink, "f"));
    co_await client.safe(tid);
    std::vector<ClientCaps> told;
    co_await client.until([&] {
      for (ClientCaps& caps : client.caps()) told.push_back(caps);
      return std::ranges::any_of(told, [](auto& m) { return m.links == 0 && (m.caps & cap::link_shared); });
    });
    EXPECT_FALSE(told.empty()) << "the client hears that the file is gone";
    EXPECT_EQ(store.data.size(), 1u);
    msg::ClientCapRelease release;
    std::uint32_t sequence = told.empty() ? 0 : told.back().sequence;
    release.items.push_back({made.target->ino, made.target->cap.cap_id, 0, sequence});
    server.on_message(client.connection, msg::make_message(release));
    co_await client.until([&] { return store.data.empty() && !server.tree().find(Ino{made.target->ino}); });
    EXPECT_TRUE(store.data.empty());
    EXPECT_FALSE(server.tree().find(Ino{made.target->ino}));
  });
}

/// Cut to 10, made longer, cut to 20: what had been from 10 to 20 must not be data again.
TEST(Server, a_truncation_waits_for_one_before_it_that_has_more_to_cut) {
  serve([](Fresh& fresh) -> Task<> {
    auto& [shard, store, server] = fresh;
    Client client(shard, server, 7);
    co_await client.open();
    ParsedReply made = co_await client.call(Client::create("f"));
    if (!made.target) co_return;
    auto resize = [&](std::uint64_t size) -> Task<std::uint64_t> {
      ClientRequest::Setattr args;
      args.mask = ClientRequest::Setattr::size_bit;
      args.size = size;
      const std::uint64_t tid = client.send(Client::setattr(made.target->ino, args));
      (void)co_await shard.clock().sleep(2ms);
      for (ClientCaps& caps : client.caps()) {
        if (caps.op != ClientCaps::Op::revoke) continue;
        caps.op = ClientCaps::Op::update;
        client.tell(caps);
      }
      co_return tid;
    };
    std::uint64_t tid = co_await resize(30);
    co_await client.safe(tid);
    MemoryStore::Object& object = store.data[MetadataStore::data_object(Ino{made.target->ino}, 0)];
    object.bytes = std::string(30, 'x');
    Event cuts;
    store.delay_of_cuts = [&]() -> Task<> { (void)co_await cuts.wait(); };
    tid = co_await resize(10);
    (void)co_await client.reply(tid);
    tid = co_await resize(30);
    (void)co_await client.reply(tid);
    const std::uint64_t last = co_await resize(20);
    (void)co_await shard.clock().sleep(30ms);
    for (const msg::Message& message : client.take(ClientReply::message_type)) EXPECT_NE(message.tid, last) << "waits";
    cuts.set();
    co_await client.safe(last);
    EXPECT_TRUE(co_await server.write_back_all());
    EXPECT_EQ(object.bytes.size(), 10u);
    Inode* inode = server.tree().find(Ino{made.target->ino});
    EXPECT_TRUE(inode && inode->record.size == 20);
  });
}

/// Crashes at every write the server ever makes: what was confirmed is there afterwards, and the tree is sound.
TEST(Server, crash_at_every_cut_point) {
  run([](Shard& shard) -> Task<> {
    bool finished = false;
    for (std::uint64_t cut = 3; !finished && cut < 200; ++cut) {
      MemoryStore store;
      std::set<std::string> confirmed;
      std::set<std::string> removed;
      {
        Server server(shard, store, test_options());
        EXPECT_TRUE(co_await server.format());
        co_await server.activate();
        std::uint64_t base = store.changes;
        store.before_change = [&store, base, cut]() -> Result<> {
          if (store.changes > base + cut) return Errc::blocklisted;
          return {};
        };
        Client client(shard, server, 7);
        co_await client.open();
        for (int i = 0; i < 12 && !server.failed(); ++i) {
          std::string name = fmt::format("f{}", i);
          std::uint64_t tid = client.send(Client::create(name));
          if (i % 3 == 2) {
            (void)co_await server.flush_journal();
            co_await client.until([&] { return server.failed() || !client.take(ClientReply::message_type).empty(); });
          } else {
            co_await client.until([&] {
              if (server.failed()) return true;
              for (msg::Message& m : client.take(ClientReply::message_type)) {
                ParsedReply parsed = Client::parse(m);
                if (m.tid == tid && parsed.head.safe) {
                  confirmed.insert(name);
                  return true;
                }
              }
              return false;
            });
          }
          if (i == 5 && !server.failed()) (void)co_await server.write_back_all();
          if (i == 8 && !server.failed()) {
            std::uint64_t gone = client.send(Client::request(MdsOp::unlink, "f0"));
            confirmed.erase("f0");
            (void)gone;
          }
        }
        finished = !server.failed();
        co_await server.stop();
      }
      store.before_change = nullptr;
      ServerOptions options = test_options();
      options.reconnect_timeout = 1ms;
      Server server(shard, store, options);
      co_await boot(server, false);
      Client client(shard, server, 8);
      co_await client.open();
      ParsedReply listed = co_await client.call(Client::request(MdsOp::readdir, ""));
      std::set<std::string> there;
      for (auto& [name, stat] : listed.entries) EXPECT_TRUE(there.insert(name).second);
      for (const std::string& name : confirmed) EXPECT_TRUE(there.contains(name)) << name << " at cut " << cut;
      server.tree().verify();
      co_await server.stop();
    }
    EXPECT_TRUE(finished);
  });
}

TEST(Server, a_client_that_was_stale_gets_its_caps_back_when_it_renews) {
  run_simulated([](sim::Host& host) -> Task<> {
    MemoryStore store;
    Server server(host, store, test_options());
    co_await boot(server, true);
    Client client(host, server, 7);
    co_await client.open();
    std::uint64_t tid = client.send(Client::create("f"));
    co_await client.safe(tid);
    (void)client.caps();
    EXPECT_TRUE(co_await host.clock().sleep(70s));
    auto told = client.take(ClientSession::message_type);
    EXPECT_EQ(told.size(), 1u);
    if (told.empty()) co_return;
    EXPECT_EQ(msg::read_message<ClientSession>(told[0])->op, ClientSession::Op::stale);
    ClientSession renew;
    renew.op = ClientSession::Op::request_renew_caps;
    server.on_message(client.connection, msg::make_message(renew));
    std::vector<ClientCaps> granted = client.caps();
    EXPECT_EQ(granted.size(), 2u) << "the file and its directory";
    for (const ClientCaps& each : granted) EXPECT_EQ(each.op, ClientCaps::Op::grant);
    co_await server.stop();
  });
}

TEST(Server, nobody_is_evicted_for_what_was_kept_from_us) {
  run_simulated([](sim::Host& host) -> Task<> {
    MemoryStore store;
    Server server(host, store, test_options());
    bool listening = false;
    server.set_listening([&listening] { return listening; });
    co_await boot(server, true);
    Client client(host, server, 7);
    co_await client.open();
    EXPECT_TRUE(co_await host.clock().sleep(1h));
    EXPECT_TRUE(client.take(ClientSession::message_type).empty());
    listening = true;
    EXPECT_TRUE(co_await host.clock().sleep(50s));
    EXPECT_TRUE(client.take(ClientSession::message_type).empty()) << "silence counts from when we listen again";
    EXPECT_TRUE(co_await host.clock().sleep(20s));
    EXPECT_EQ(client.take(ClientSession::message_type).size(), 1u);
    co_await server.stop();
  });
}

TEST(Server, a_damaged_journal_stops_it_and_says_where) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      std::uint64_t tid = client.send(Client::create("f"));
      co_await client.safe(tid);
      co_await server.stop();
    }
    std::string& segment = store.metadata[Journal::object(1)].bytes;
    segment[segment.size() / 2] ^= 1;
    Server server(shard, store, test_options());
    Result<> replayed = co_await server.replay();
    EXPECT_EQ(replayed.error(), make_error_code(Errc::malformed));
    EXPECT_NE(server.problem().find("200.00000001"), std::string::npos) << server.problem();
    co_await server.stop();
  });
}

}  // namespace
}  // namespace spirula::mds
