#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>

#include "mds/test_client.h"

/// The bound on memory: what is dropped comes back, and clients are asked for what they hold.
namespace spirula::mds {
namespace {

using namespace std::chrono_literals;

/// The client gives back every cap it has.
void release_all(Server& server, Client& client, std::int64_t id) {
  msg::ClientCapRelease release;
  server.tree().for_each([&](Inode& inode) {
    if (const Cap* cap = inode.caps.find(ClientId{id}))
      release.items.push_back({inode.ino().value, cap->id, 0, cap->sequence});
  });
  server.on_message(client.connection, msg::make_message(release));
}

ServerOptions small_cache(std::uint64_t bytes) {
  ServerOptions options = test_options();
  options.cache_bytes_max = bytes;
  return options;
}

/// All names of a directory, as a client that asks for a part at a time hears them.
Task<std::vector<std::string>> list_all(Client& client, std::string path, std::uint32_t part) {
  std::vector<std::string> names;
  std::string last;
  for (;;) {
    ClientRequest request = Client::request(MdsOp::readdir, path);
    ClientRequest::Readdir args;
    args.entries_max = part;
    args.flags = ClientRequest::Readdir::flag_bit_flags;
    request.set(args);
    if (!last.empty()) request.path2 = {0, last};
    ParsedReply reply = co_await client.call(request);
    EXPECT_EQ(reply.head.result, 0);
    if (reply.head.result || (reply.entries.empty() && !(reply.flags & 1))) co_return names;
    for (auto& [name, stat] : reply.entries) names.push_back(name);
    if (reply.flags & 1) co_return names;
    last = names.back();
  }
}

TEST(ServerCache, a_directory_larger_than_memory_is_made_listed_and_removed) {
  run([](Shard& shard) -> Task<> {
    constexpr int count = 6'000;
    MemoryStore store;
    const ServerOptions options = small_cache(1 << 20);
    std::set<std::string> names;
    {
      Server server(shard, store, options);
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      (void)co_await client.call(Client::request(MdsOp::mkdir, "d"));
      std::size_t largest = 0;
      for (int i = 0; i < count; ++i) {
        std::string name = fmt::format("file-{}", i);
        ParsedReply made = co_await client.call(Client::create("d/" + name));
        EXPECT_EQ(made.head.result, 0);
        names.insert(name);
        if (i % 200 != 199) continue;
        release_all(server, client, 7);
        EXPECT_TRUE(co_await server.flush_journal());
        // (What one looks at for each request is bounded; the rest is found later.)
        for (int more = 0; more < 20; ++more) (void)co_await client.call(Client::getattr("d"));
        largest = std::max(largest, server.tree().bytes() + server.figures().waiting_bytes);
      }
      EXPECT_LT(largest, 2u << 20) << "with what waits to be written back";
      EXPECT_GT(server.figures().dropped, count / 2u);
      ParsedReply again = co_await client.call(Client::request(MdsOp::mkdir, "d/file-17"));
      EXPECT_EQ(again.head.result, -17);
      ParsedReply missing = co_await client.call(Client::request(MdsOp::lookup, "d/none"));
      EXPECT_EQ(missing.head.result, -2);
      std::vector<std::string> listed = co_await list_all(client, "d", 500);
      EXPECT_EQ(listed.size(), names.size()) << "nothing twice";
      EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), names);
      server.tree().verify();
      EXPECT_TRUE(co_await server.write_back_all());
      ClientSession close;
      close.op = ClientSession::Op::request_close;
      server.on_message(client.connection, msg::make_message(close));
      EXPECT_TRUE(co_await server.flush_journal());
      co_await server.stop();
    }
    Server server(shard, store, options);
    co_await boot(server, false);
    Client client(shard, server, 8);
    co_await client.open();
    ParsedReply refused = co_await client.call(Client::request(MdsOp::rmdir, "d"));
    EXPECT_EQ(refused.head.result, -39);
    int removed = 0;
    for (const std::string& name : names) {
      ParsedReply gone = co_await client.call(Client::request(MdsOp::unlink, "d/" + name));
      EXPECT_EQ(gone.head.result, 0);
      // What was just removed, and is stored still, must not come back.
      if (++removed % 500 == 0) {
        std::vector<std::string> listed = co_await list_all(client, "d", 700);
        EXPECT_EQ(listed.size(), names.size() - static_cast<std::size_t>(removed));
        release_all(server, client, 8);
      }
    }
    ParsedReply gone = co_await client.call(Client::request(MdsOp::rmdir, "d"));
    EXPECT_EQ(gone.head.result, 0);
    server.tree().verify();
    co_await server.stop();
  });
}

/// Random changes in a tree of which next to nothing stays in memory, against a plain map of what must be there.
TEST(ServerCache, nothing_is_lost_or_comes_back_when_memory_is_very_short) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    run([seed](Shard& shard) -> Task<> {
      MemoryStore store;
      std::mt19937 random(seed);
      // From nearly nothing to "directories are read whole and dropped in parts".
      Server server(shard, store, small_cache(seed % 2 ? 1'000 : 150'000));
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      std::map<std::string, std::uint64_t> model;  // path → inode
      std::vector<std::string> dirs{"a", "b", "c"};
      for (const std::string& dir : dirs) (void)co_await client.call(Client::request(MdsOp::mkdir, dir));
      auto any_path = [&] { return fmt::format("{}/{}", dirs[random() % 3], random() % 60); };
      for (int step = 0; step < 3'000; ++step) {
        const std::string path = any_path(), other = any_path();
        const bool there = model.contains(path), other_there = model.contains(other);
        switch (random() % 6) {
          case 0:
          case 1: {
            ParsedReply made = co_await client.call(Client::request(MdsOp::mknod, path));
            EXPECT_EQ(made.head.result, there ? -17 : 0) << path;
            if (!there && made.target) model[path] = made.target->ino;
            break;
          }
          case 2: {
            ParsedReply gone = co_await client.call(Client::request(MdsOp::unlink, path));
            EXPECT_EQ(gone.head.result, there ? 0 : -2) << path;
            model.erase(path);
            break;
          }
          case 3: {
            ParsedReply moved = co_await client.call(Client::request(MdsOp::rename, other, path));
            EXPECT_EQ(moved.head.result, there ? 0 : -2) << path << " to " << other;
            if (there && path != other && !(other_there && model[other] == model[path])) {
              model[other] = model[path];
              model.erase(path);
            }
            break;
          }
          case 4: {
            ParsedReply linked = co_await client.call(Client::request(MdsOp::link, other, path));
            EXPECT_EQ(linked.head.result, !there ? -2 : other_there ? -17 : 0) << path << " also " << other;
            if (there && !other_there) model[other] = model[path];
            break;
          }
          default: {
            ParsedReply stat = co_await client.call(Client::getattr(path));
            EXPECT_EQ(stat.head.result, there ? 0 : -2) << path;
            if (stat.target && there) EXPECT_EQ(stat.target->ino, model[path]) << path;
          }
        }
        if (random() % 4 == 0) release_all(server, client, 7);
        if (random() % 50 == 0) (void)co_await server.flush_journal();
        if (random() % 200 == 0) EXPECT_TRUE(co_await server.write_back_all());
        if (random() % 300 == 0) {
          std::size_t count = 0;
          for (const std::string& dir : dirs) {
            std::vector<std::string> listed = co_await list_all(client, dir, 1 + random() % 30);
            for (const std::string& name : listed) EXPECT_TRUE(model.contains(dir + "/" + name)) << name;
            count += listed.size();
          }
          EXPECT_EQ(count, model.size());
          server.tree().verify();
        }
        if (testing::Test::HasFailure()) break;
      }
      if (seed % 2) EXPECT_GT(server.figures().dropped, 100u);
      server.tree().verify();
      co_await server.stop();
    });
  }
}

TEST(ServerCache, clients_are_asked_for_the_caps_they_hold) {
  run_simulated([](sim::Host& host) -> Task<> {
    MemoryStore store;
    Server server(host, store, small_cache(1 << 20));
    co_await boot(server, true);
    Client client(host, server, 7);
    co_await client.open();
    for (int i = 0; i < 3'000; ++i) (void)co_await client.call(Client::create(fmt::format("f{}", i)));
    EXPECT_TRUE(co_await host.clock().sleep(2s));
    std::vector<msg::Message> told = client.take(ClientSession::message_type);
    EXPECT_FALSE(told.empty());
    if (told.empty()) co_return;
    auto recall = msg::read_message<ClientSession>(told.back());
    EXPECT_EQ(recall->op, ClientSession::Op::recall_state);
    EXPECT_LT(recall->caps_max, 2'000u);
    EXPECT_GE(recall->caps_max, 100u);
    release_all(server, client, 7);
    EXPECT_TRUE(co_await server.flush_journal());
    EXPECT_TRUE(co_await host.clock().sleep(3s));
    EXPECT_LE(server.tree().bytes(), 1u << 20);
    (void)client.take(ClientSession::message_type);
    EXPECT_TRUE(co_await host.clock().sleep(5s));
    EXPECT_TRUE(client.take(ClientSession::message_type).empty()) << "and left in peace when all is well";
    co_await server.stop();
  });
}

TEST(ServerCache, an_old_backtrace_does_not_hide_the_right_one) {
  run([](Shard& shard) -> Task<> {
    MemoryStore store;
    std::uint64_t ino = 0;
    {
      Server server(shard, store, test_options());
      co_await boot(server, true);
      Client client(shard, server, 7);
      co_await client.open();
      (void)co_await client.call(Client::request(MdsOp::mkdir, "d"));
      ParsedReply made = co_await client.call(Client::request(MdsOp::mknod, "d/f"));
      if (!made.target) co_return;
      ino = made.target->ino;
      EXPECT_TRUE(co_await server.write_back_all());
      co_await server.stop();
    }
    // As if the file had been elsewhere when its layout named another pool (here: the metadata pool, looked at first).
    store.metadata[MetadataStore::data_object(Ino{ino}, 0)].parent = encode(Backtrace{Ino{ino}, {inos::root, "gone"}});
    ServerOptions options = test_options();
    options.reconnect_timeout = 1ms;
    Server server(shard, store, options);
    co_await boot(server, false);
    Client client(shard, server, 8);
    co_await client.open();
    ClientRequest by_number = Client::request(MdsOp::getattr, "");
    by_number.path = {ino, ""};
    ParsedReply stat = co_await client.call(by_number);
    EXPECT_EQ(stat.head.result, 0);
    co_await server.stop();
  });
}

}  // namespace
}  // namespace spirula::mds
