#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/log_capture.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "msg/cephx_client.h"
#include "msg/frame.h"
#include "msg/fuzz_frames.h"
#include "msg/messenger.h"
#include "msg/test_cluster.h"

/// Whatever a stranger sends, it is told no or cut off, in time; one line in the log says what and from whom, and the
/// next honest peer is served. Over IPv4 and IPv6.
namespace spirula::msg {
namespace {

using namespace std::chrono_literals;

struct Guests : Dispatcher {
  std::vector<ConnectionRef> accepted;
  std::size_t messages = 0, resets = 0;
  std::error_code failed;
  Event event;
  void on_accept(ConnectionRef c) override { accepted.push_back(c); }
  void on_connect(ConnectionRef) override { event.set(); }
  void on_message(ConnectionRef, Message) override {
    ++messages;
    event.set();
  }
  void on_reset(ConnectionRef) override {
    ++resets;
    event.set();
  }
  void on_connect_failed(ConnectionRef, std::error_code why) override { failed = why; }
};

/// Passes one connection on, and keeps what the caller says.
class Recorder {
 public:
  Recorder(Shard& shard, Endpoint target) : shard_(shard), target_(target), tasks_(shard) {
    Endpoint here = target;
    here.port = 0;
    listener_ = *shard.network().listen(shard, here);
    tasks_.spawn(serve());
  }
  Endpoint endpoint() const { return listener_->local(); }
  Task<std::string> stop() {
    listener_->close();
    if (from_) from_->close();
    if (to_) to_->close();
    co_await tasks_.stop();
    co_return said_;
  }

 private:
  Task<> serve() {
    auto stream = co_await listener_->accept(shard_);
    if (!stream) co_return;
    auto onward = co_await shard_.network().connect(shard_, target_);
    if (!onward) co_return;
    from_ = std::move(*stream);
    to_ = std::move(*onward);
    tasks_.spawn(carry(*from_, *to_, &said_));
    tasks_.spawn(carry(*to_, *from_, nullptr));
  }
  Task<> carry(Stream& from, Stream& to, std::string* copy) {
    std::byte buffer[4096];
    while (true) {
      auto got = co_await from.read_some(buffer);
      if (!got) break;
      ByteView piece[] = {ByteView(buffer, *got)};
      if (copy) copy->append(as_text(piece[0]));
      auto put = co_await to.write(piece);
      if (!put) break;
    }
  }

  Shard& shard_;
  Endpoint target_;
  TaskGroup tasks_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Stream> from_, to_;
  std::string said_;
};

/// A server, and what strangers do to it.
struct Gate {
  Gate(Shard& s, const std::string& address) : shard(s), at(*Endpoint::parse(address)) {
    tickets.set_secrets(keys.secrets(EntityType::osd));
    options.policy_for = [](EntityType) { return Policy{}; };
    options.handshake_timeout = 10s;
  }
  void open(EntityType self, AuthService& admits) {
    options.name = {self, 0};
    options.auth_service = &admits;
    server = Messenger::create(shard, options, guests);
    EXPECT_TRUE(server->bind(at));
    at = server->address().msgr2().endpoint;
  }
  Task<> close() {
    guests.accepted.clear();
    co_await server->stop();
  }

  /// Sends bytes and then reads until the server ends the stream; what is logged of it meanwhile. `hang_up`: we end it.
  Task<std::vector<std::string>> visit(std::string bytes, bool hang_up) {
    auto stream = co_await shard.network().connect(shard, at);
    EXPECT_TRUE(stream);
    from = (*stream)->local().describe();
    ByteView piece[] = {as_bytes(bytes)};
    if (!bytes.empty()) (void)co_await (*stream)->write(piece);
    if (hang_up) {
      (void)co_await shard.clock().sleep(2ms);
      (*stream)->close();
      for (int i = 0; i < 1000 && log.lines(from).empty(); ++i) (void)co_await shard.clock().sleep(1ms);
    } else {
      std::byte back[4096];
      Result<std::size_t> got = std::size_t{0};
      while (got) got = co_await (*stream)->read_some(back);
    }
    (void)co_await shard.clock().sleep(2ms);
    co_return log.lines(from);
  }

  /// What an honest client says from its banner to its first message.
  Task<std::string> record(AuthClient& client, EntityType peer) {
    Recorder recorder(shard, at);
    Guests self;
    MessengerOptions mine;
    mine.name = {EntityType::client, -1};
    mine.policy_for = [](EntityType) { return Policy{}; };
    mine.auth_client = &client;
    auto messenger = Messenger::create(shard, mine, self);
    // The server knows itself by another address than the recorder's.
    server->set_address(AddressVector(Address::msgr2(recorder.endpoint(), 0)));
    auto connection = messenger->connect(shard, peer, AddressVector(Address::msgr2(recorder.endpoint(), 0)));
    std::size_t before = guests.messages;
    connection->send(Message{.type = 1});
    for (int i = 0; i < 5000 && guests.messages == before; ++i) (void)co_await shard.clock().sleep(1ms);
    EXPECT_GT(guests.messages, before);
    connection.reset();
    co_await messenger->stop();
    co_return co_await recorder.stop();
  }
  Task<> expect_served(AuthClient& client, EntityType peer) {
    std::string said = co_await record(client, peer);
    EXPECT_FALSE(said.empty());
  }

  Shard& shard;
  Endpoint at;
  LogCapture log;
  test::Keys keys;
  SeededRandom random{5};
  CephxMonitorService monitor{keys, random};
  CephxTicketService tickets{EntityType::osd, random, [this] { return keys.now(); }};
  NoneService none{[] { return std::uint64_t{4001}; }};
  NoneClient claim{*KeyName::parse("client.a")};
  MessengerOptions options;
  Guests guests;
  std::unique_ptr<Messenger> server;
  std::string from;
};

class BadInput : public testing::TestWithParam<const char*> {
 protected:
  void run(Task<> (*test)(Gate&)) {
    run_main([address = std::string(GetParam()), test](Shard& shard) -> Task<int> {
      Gate gate(shard, address);
      co_await test(gate);
      co_await gate.close();
      co_return 0;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Addresses, BadInput, testing::Values("127.0.0.1", "[::1]"),
                         [](const auto& info) { return info.param[0] == '[' ? "ipv6" : "ipv4"; });

/// A login that must fail, and the one line about it.
Task<> expect_refused(Gate& gate, AuthClient& client, EntityType peer, std::string why) {
  Guests self;
  MessengerOptions mine;
  mine.name = {EntityType::client, -1};
  mine.policy_for = [](EntityType) { return Policy{}; };
  mine.auth_client = &client;
  auto messenger = Messenger::create(gate.shard, mine, self);
  std::size_t before = gate.log.lines("turned away").size();
  auto connection = messenger->connect(gate.shard, peer, gate.server->address());
  for (int i = 0; i < 5000 && !self.failed; ++i) (void)co_await gate.shard.clock().sleep(1ms);
  EXPECT_TRUE(self.failed);
  connection->close();
  co_await messenger->stop();
  for (int i = 0; i < 5000 && gate.log.lines("turned away").size() == before; ++i)
    (void)co_await gate.shard.clock().sleep(1ms);
  auto lines = gate.log.lines("turned away");
  EXPECT_EQ(lines.size(), before + 1);
  EXPECT_NE(lines.back().find(why), std::string::npos) << lines.back();
  EXPECT_TRUE(gate.guests.accepted.empty());
}

TEST_P(BadInput, a_wrong_key_an_unknown_name_and_a_key_without_capabilities) {
  run([](Gate& gate) -> Task<> {
    gate.open(EntityType::mon, gate.monitor);
    gate.keys.add("client.a", {{"mon", "allow *"}});
    CryptoKey useless = gate.keys.add("client.useless", {{"osd", "allow *"}});
    CryptoKey other = CryptoKey::generate(gate.random, {});
    auto login = [&](const char* name, CryptoKey key) {
      return std::make_unique<CephxClient>(*KeyName::parse(name), key, 4, EntityType::none, gate.random,
                                           gate.shard.clock());
    };
    auto wrong = login("client.a", other), unknown = login("client.b", other),
         powerless = login("client.useless", useless);
    co_await expect_refused(gate, *wrong, EntityType::mon, "wrong key for client.a");
    co_await expect_refused(gate, *unknown, EntityType::mon, "there is no client.b");
    co_await expect_refused(gate, *powerless, EntityType::mon, "client.useless has no mon capabilities");
  });
}

TEST_P(BadInput, no_authentication_where_it_is_demanded) {
  run([](Gate& gate) -> Task<> {
    gate.open(EntityType::mon, gate.monitor);
    co_await expect_refused(gate, gate.claim, EntityType::mon, "no way of authentication that we allow");
  });
}

TEST_P(BadInput, a_login_cut_short_anywhere_or_played_back) {
  run([](Gate& gate) -> Task<> {
    gate.open(EntityType::mon, gate.monitor);
    CephxClient login(*KeyName::parse("client.a"), gate.keys.add("client.a", {{"mon", "allow *"}}), 4, EntityType::none,
                      gate.random, gate.shard.clock());
    std::string said = co_await gate.record(login, EntityType::mon);
    gate.guests.accepted.clear();
    for (std::size_t size = 0; size < said.size(); size += 1 + size / 12) {
      auto lines = co_await gate.visit(said.substr(0, size), true);
      EXPECT_EQ(lines.size(), 1u) << size << " of " << said.size() << " bytes";
    }
    auto lines = co_await gate.visit(said, false);
    EXPECT_EQ(lines.size(), 1u);
    if (!lines.empty()) EXPECT_NE(lines[0].find("wrong key for client.a"), std::string::npos) << lines[0];
    EXPECT_TRUE(gate.guests.accepted.empty());
    co_await gate.expect_served(login, EntityType::mon);
  });
}

TEST_P(BadInput, an_authorizer_played_back) {
  run([](Gate& gate) -> Task<> {
    // A monitor beside, for the ticket.
    Guests others;
    MessengerOptions options = gate.options;
    options.name = {EntityType::mon, 0};
    options.auth_service = &gate.monitor;
    auto monitor = Messenger::create(gate.shard, options, others);
    EXPECT_TRUE(monitor->bind(gate.at));
    CephxClient login(*KeyName::parse("client.a"), gate.keys.add("client.a", {{"mon", "allow *"}, {"osd", "allow *"}}),
                      4, EntityType::none, gate.random, gate.shard.clock());
    Guests self;
    options.name = {EntityType::client, -1};
    options.auth_service = nullptr;
    options.auth_client = &login;
    auto client = Messenger::create(gate.shard, options, self);
    auto to_monitor = client->connect(gate.shard, EntityType::mon, monitor->address());
    Result<> in = co_await self.event.wait_until(gate.shard.clock(), gate.shard.clock().now() + 5s);
    EXPECT_TRUE(in);
    gate.open(EntityType::osd, gate.tickets);
    std::string said = co_await gate.record(login, EntityType::osd);
    gate.guests.accepted.clear();
    auto lines = co_await gate.visit(said, false);
    EXPECT_EQ(lines.size(), 1u);
    if (!lines.empty())
      EXPECT_NE(lines[0].find("the ticket of client.a comes with the answer to another challenge"), std::string::npos);
    EXPECT_TRUE(gate.guests.accepted.empty());
    to_monitor.reset();
    others.accepted.clear();
    co_await client->stop();
    co_await monitor->stop();
  });
}

TEST_P(BadInput, strangers_and_other_protocols) {
  run([](Gate& gate) -> Task<> {
    gate.open(EntityType::mon, gate.none);
    std::vector<std::pair<std::string, const char*>> visits{
        {std::string("ceph v027\0\0\0\0", 13), "ms_mode="},
        {"GET / HTTP/1.0\r\n\r\n", "does not speak Ceph's protocol"},
        {std::string("ceph v2\n\xff\xff", 10), "malformed"},
        {std::string("ceph v2\n\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 26), "does not speak msgr2.1"},
    };
    for (const auto& [bytes, why] : visits) {
      auto lines = co_await gate.visit(bytes, false);
      EXPECT_EQ(lines.size(), 1u) << why;
      if (!lines.empty()) EXPECT_NE(lines[0].find(why), std::string::npos) << lines[0];
    }
    co_await gate.expect_served(gate.claim, EntityType::mon);
  });
}

/// What a peer that is let in may still send: auth none signs nothing, so its login can be played back.
TEST_P(BadInput, frames_that_are_damaged_oversized_or_make_no_sense) {
  run([](Gate& gate) -> Task<> {
    gate.options.message_bytes_max = 100'000;
    gate.open(EntityType::mon, gate.none);
    std::string said = co_await gate.record(gate.claim, EntityType::mon);
    auto frame = [](std::initializer_list<unsigned> recipe) {
      std::vector<std::byte> bytes;
      for (unsigned each : recipe) bytes.push_back(static_cast<std::byte>(each));
      return frames_from(bytes);
    };
    constexpr unsigned message = 17, two_segments = 1, huge = 0x20, wrong_preamble = 0x40, wrong_control = 0x80;
    std::vector<std::pair<const char*, std::vector<std::byte>>> frames{
        {"preamble", frame({message, wrong_preamble, 41, 0})},
        {"control", frame({message, wrong_control, 41, 0})},
        {"control of no header", frame({message, 0, 5, 0})},
        {"tag", frame({99, 0, 5, 0})},
        {"tag of a handshake", frame({static_cast<unsigned>(Tag::client_ident), 0, 5, 0})},
        {"oversized", frame({message, two_segments | huge, 0, 0, 0xff, 0x7f})},
    };
    for (const auto& [what, bytes] : frames) {
      gate.guests.accepted.clear();
      std::size_t resets = gate.guests.resets;
      auto lines = co_await gate.visit(said + std::string(as_text(bytes)), false);
      EXPECT_EQ(gate.guests.accepted.size(), 1u) << what;
      EXPECT_EQ(gate.guests.resets, resets + 1) << what;
      lines = gate.log.lines("stream ended", what == std::string("oversized") ? "too large" : "malformed");
      EXPECT_FALSE(lines.empty()) << what;
      if (!lines.empty()) EXPECT_NE(lines.back().find("client.4001"), std::string::npos) << lines.back();
    }
    EXPECT_EQ(gate.log.lines("stream ended").size(), frames.size()) << "one line each";
    co_await gate.expect_served(gate.claim, EntityType::mon);
  });
}

TEST_P(BadInput, half_open_handshakes_end_at_their_deadline) {
  run([](Gate& gate) -> Task<> {
    gate.options.handshake_timeout = 100ms;
    gate.open(EntityType::mon, gate.none);
    for (std::string said : {std::string(), std::string("ceph v2\n")}) {
      MonotonicTime before = gate.shard.clock().now();
      auto lines = co_await gate.visit(said, false);
      EXPECT_GE(gate.shard.clock().now() - before, 95ms);
      EXPECT_EQ(lines.size(), 1u);
      if (!lines.empty()) EXPECT_NE(lines[0].find("takes too long"), std::string::npos) << lines[0];
    }
    co_await gate.expect_served(gate.claim, EntityType::mon);
  });
}

TEST_P(BadInput, no_more_handshakes_and_connections_than_allowed) {
  run([](Gate& gate) -> Task<> {
    gate.options.handshakes_max = 3;
    gate.options.connections_max = 2;
    gate.open(EntityType::mon, gate.none);
    std::vector<std::unique_ptr<Stream>> half_open;
    for (int i = 0; i < 3; ++i) {
      auto stream = co_await gate.shard.network().connect(gate.shard, gate.at);
      EXPECT_TRUE(stream);
      half_open.push_back(std::move(*stream));
    }
    (void)co_await gate.shard.clock().sleep(20ms);
    auto lines = co_await gate.visit("", false);
    EXPECT_EQ(lines.size(), 1u);
    if (!lines.empty()) EXPECT_NE(lines[0].find("turned away: 0 connections, 3 handshakes"), std::string::npos);
    for (auto& stream : half_open) stream->close();
    half_open.clear();

    Guests self;
    MessengerOptions mine = gate.options;
    mine.auth_service = nullptr;
    mine.auth_client = &gate.claim;
    std::vector<std::unique_ptr<Messenger>> clients;
    for (int i = 0; i < 2; ++i) {
      mine.name = {EntityType::client, i + 1};
      clients.push_back(Messenger::create(gate.shard, mine, self));
      (void)clients.back()->connect(gate.shard, EntityType::mon, gate.server->address());
    }
    for (int i = 0; i < 5000 && gate.guests.accepted.size() < 2; ++i) (void)co_await gate.shard.clock().sleep(1ms);
    EXPECT_EQ(gate.guests.accepted.size(), 2u);
    lines = co_await gate.visit("", false);
    EXPECT_EQ(lines.size(), 1u);
    if (!lines.empty()) EXPECT_NE(lines[0].find("turned away: 2 connections"), std::string::npos);
    gate.guests.accepted.clear();
    for (auto& client : clients) co_await client->stop();
    for (int i = 0; i < 5000 && gate.guests.resets < 2; ++i) (void)co_await gate.shard.clock().sleep(1ms);
    co_await gate.expect_served(gate.claim, EntityType::mon);
  });
}

TEST_P(BadInput, an_idle_connection_is_closed) {
  run([](Gate& gate) -> Task<> {
    gate.options.keepalive_interval = 20ms;
    gate.options.idle_max = 100ms;
    gate.open(EntityType::mon, gate.none);
    std::string said = co_await gate.record(gate.claim, EntityType::mon);
    std::size_t resets = gate.guests.resets;
    co_await gate.visit(said, false);  // returns: the server ends it
    EXPECT_EQ(gate.guests.resets, resets + 1);
    EXPECT_EQ(gate.log.lines("client.4001", "silent for too long").size(), 1u);
  });
}

}  // namespace
}  // namespace spirula::msg
