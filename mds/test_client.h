#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "base/simulation.h"
#include "mds/memory_store.h"
#include "mds/server.h"

/// A client of the server without a network, for unit tests.
namespace spirula::mds {

using msg::ClientCaps;
using msg::ClientReply;
using msg::ClientRequest;
using msg::ClientSession;
using msg::InodeStat;
using msg::MdsOp;

/// A connection that only remembers what the server said.
class FakeConnection : public msg::Connection {
 public:
  FakeConnection(Shard& shard, std::int64_t id) : shard_(shard), id_(id) { identity_.caps = "allow rw"; }
  Shard& shard() const override { return shard_; }
  void send(msg::Message message) override { received.push_back(std::move(message)); }
  void close() override { closed_ = true; }
  bool closed() const override { return closed_; }
  msg::EntityName peer_name() const override { return {msg::EntityType::client, id_}; }
  msg::AddressVector peer_address() const override { return {}; }
  std::uint64_t peer_features() const override { return msg::features::all; }
  const msg::Identity& identity() const override { return identity_; }
  msg::AuthSession* auth_session() const override { return nullptr; }
  bool is_lossy() const override { return false; }
  bool is_secure() const override { return false; }

  std::vector<msg::Message> received;
  msg::Identity identity_;

 private:
  Shard& shard_;
  std::int64_t id_;
  bool closed_ = false;
};

struct ParsedReply {
  ClientReply head;
  std::optional<InodeStat> dir, target;
  std::vector<std::pair<std::string, InodeStat>> entries;
  std::uint16_t flags = 0;
};

/// A client of the server, without a network.
class Client {
 public:
  Client(Shard& shard, Server& server, std::int64_t id, std::uint64_t last_tid = 0)
      : shard_(shard), server_(server), tid_(last_tid), connection(std::make_shared<FakeConnection>(shard, id)) {}

  Task<> open() {
    ClientSession body;
    body.features.bits = 0xffff;
    server_.on_message(connection, msg::make_message(body));
    co_await until([&] { return !take(ClientSession::message_type).empty(); });
  }
  /// Sends it; returns its tid.
  std::uint64_t send(ClientRequest request, std::uint64_t tid = 0) {
    if (!tid) tid = ++tid_;
    request.flags |= ClientRequest::flag_want_dentry;
    request.stamp = {100, 0};
    server_.on_message(connection, msg::make_message(request, tid));
    return tid;
  }
  /// The first reply to it, early or not.
  Task<ParsedReply> reply(std::uint64_t tid) {
    ParsedReply parsed;
    co_await until([&] {
      for (auto it = connection->received.begin(); it != connection->received.end(); ++it) {
        if (it->type != ClientReply::message_type || it->tid != tid) continue;
        parsed = parse(*it);
        connection->received.erase(it);
        return true;
      }
      return false;
    });
    co_return parsed;
  }
  Task<ParsedReply> call(ClientRequest request) {
    std::uint64_t tid = send(std::move(request));
    co_return co_await reply(tid);
  }
  Task<> safe(std::uint64_t tid) {
    for (;;) {
      ParsedReply parsed = co_await reply(tid);
      if (parsed.head.safe) co_return;
    }
  }
  std::vector<ClientCaps> caps() {
    std::vector<ClientCaps> all;
    for (msg::Message& message : take(ClientCaps::message_type)) all.push_back(*msg::read_message<ClientCaps>(message));
    return all;
  }
  void tell(const ClientCaps& body, std::uint64_t tid = 0) {
    server_.on_message(connection, msg::make_message(body, tid));
  }
  std::vector<msg::Message> take(std::uint16_t type) {
    std::vector<msg::Message> taken;
    std::erase_if(connection->received, [&](msg::Message& message) {
      if (message.type != type) return false;
      taken.push_back(message);
      return true;
    });
    return taken;
  }
  Task<> until(std::function<bool()> done) {
    for (int i = 0; i < 5000 && !done(); ++i) (void)co_await shard_.clock().sleep(std::chrono::milliseconds(1));
  }
  static ParsedReply parse(const msg::Message& message) {
    ParsedReply parsed;
    parsed.head = *msg::read_message<ClientReply>(message);
    Decoder trace(parsed.head.trace);
    if (parsed.head.has_dentry) {
      parsed.dir = trace.read<InodeStat>();
      (void)trace.read<msg::DirStat>();
      (void)trace.read<std::string>();
      (void)trace.read<msg::LeaseStat>();
    }
    if (parsed.head.has_target) parsed.target = trace.read<InodeStat>();
    EXPECT_FALSE(trace.failed());
    EXPECT_EQ(trace.remaining(), 0u);
    if (parsed.head.op == MdsOp::readdir && parsed.head.result == 0) {
      Decoder extra(parsed.head.extra);
      (void)extra.read<msg::DirStat>();
      std::uint32_t count = extra.read<std::uint32_t>();
      parsed.flags = extra.read<std::uint16_t>();
      for (; count; --count) {
        std::string name = extra.read<std::string>();
        (void)extra.read<msg::LeaseStat>();
        parsed.entries.emplace_back(name, extra.read<InodeStat>());
      }
      EXPECT_FALSE(extra.failed());
    }
    return parsed;
  }

  static ClientRequest request(MdsOp op, std::string path, std::string path2 = {}) {
    ClientRequest body;
    body.op = op;
    body.path = {1, std::move(path)};
    if (!path2.empty()) body.path2 = {1, std::move(path2)};
    return body;
  }
  static ClientRequest create(std::string path, std::uint32_t flags = 0102) {
    ClientRequest body = request(MdsOp::create, std::move(path));
    ClientRequest::Open open;
    open.flags = flags;
    open.mode = 0644;
    body.set(open);
    return body;
  }
  static ClientRequest setattr(std::uint64_t ino, const ClientRequest::Setattr& args) {
    ClientRequest body = request(MdsOp::setattr, "");
    body.path = {ino, ""};
    body.set(args);
    return body;
  }
  static ClientRequest set_xattr(std::string path, std::string name, std::size_t bytes) {
    ClientRequest body = request(MdsOp::set_xattr, std::move(path));
    body.path2 = {0, std::move(name)};
    body.data = BufferList(Buffer::copy_of(std::string(bytes, 'x')));
    return body;
  }
  static ClientRequest getattr(std::string path) {
    ClientRequest body = request(MdsOp::getattr, std::move(path));
    body.set(ClientRequest::Getattr{cap::any_shared});
    return body;
  }

 private:
  Shard& shard_;
  Server& server_;
  std::uint64_t tid_;

 public:
  std::shared_ptr<FakeConnection> connection;
};

inline ServerOptions test_options() {
  ServerOptions options;
  options.journal_interval = std::chrono::milliseconds(5);
  options.data_pools = {3};
  return options;
}

inline void run(std::function<Task<>(Shard&)> test) {
  run_main([test](Shard& shard) -> Task<int> {
    co_await test(shard);
    co_return 0;
  });
}

inline Task<> boot(Server& server, bool fresh) {
  if (fresh) {
    EXPECT_TRUE(co_await server.format());
  } else {
    EXPECT_TRUE(co_await server.replay()) << server.problem();
    EXPECT_TRUE(co_await server.reconnect());
  }
  co_await server.activate();
}

/// A server over an empty store.
struct Fresh {
  Fresh(Shard& on, ServerOptions options) : shard(on), server(on, store, std::move(options)) {}
  Shard& shard;
  MemoryStore store;
  Server server;
};

/// Runs a test with one.
inline void serve(std::function<Task<>(Fresh&)> test, ServerOptions options = test_options()) {
  run([test, options](Shard& shard) -> Task<> {
    Fresh fresh(shard, options);
    co_await boot(fresh.server, true);
    co_await test(fresh);
    co_await fresh.server.stop();
  });
}

/// Whose journal is written when somebody waits for it, and not before.
inline ServerOptions hurried_options() {
  ServerOptions options = test_options();
  options.journal_interval = std::chrono::seconds(10);
  return options;
}

/// A server that starts again, and one client of the life before, which has its connection at once and comes back when
/// it is told to. What it sends in between it sends early.
class Restarted {
 public:
  Restarted(Shard& shard, MemoryStore& store, std::int64_t client_id = 7, std::uint64_t last_tid = 100)
      : server(shard, store, test_options()),
        client(shard, server, client_id, last_tid),
        shard_(shard),
        group_(shard) {}

  Task<> begin() {
    EXPECT_TRUE(co_await server.replay()) << server.problem();
    group_.spawn(reconnect());
    (void)co_await shard_.clock().sleep(std::chrono::milliseconds(2));
  }
  /// The caps the client says it has.
  void bring(std::vector<msg::CapReconnect> caps) {
    msg::ClientReconnect message;
    message.caps = std::move(caps);
    server.on_message(client.connection, msg::make_reconnect(message));
  }
  Task<> activate() {
    co_await group_.join();
    EXPECT_TRUE(reconnected_);
    co_await server.activate();
  }
  static msg::CapReconnect cap(std::uint64_t ino, std::string name, cap::Bits issued, std::uint64_t id = 2) {
    return {ino, std::move(name), id, 0, issued, 1, ino > 1, {}, {}, 0};
  }
  static msg::CapReconnect root() { return cap(1, "", cap::pin | cap::any_shared, 1); }

  Server server;
  Client client;

 private:
  Task<> reconnect() { reconnected_ = bool(co_await server.reconnect()); }

  Shard& shard_;
  TaskGroup group_;
  bool reconnected_ = false;
};

/// The same in virtual time, for what takes minutes.
inline void run_simulated(std::function<Task<>(sim::Host&)> test) {
  sim::Simulation world(1);
  sim::Host& host = world.add_host();
  world.run(test(host));
}

}  // namespace spirula::mds
