#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/log_capture.h"
#include "base/simulation.h"
#include "filestore/memory_store.h"
#include "osd/fake_monitor.h"
#include "osd/options.h"
#include "osd/osd.h"

/// The whole daemon against a monitor that knows only what it must, in a simulated world.
namespace spirula::osd {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t pool_id = 3;

class FakeClient : public msg::Dispatcher {
 public:
  explicit FakeClient(sim::Host& host)
      : host_(host), auth_(msg::KeyName{static_cast<std::uint32_t>(msg::EntityType::client), "admin"}) {
    msg::MessengerOptions options;
    options.name = {msg::EntityType::client, 4100};
    options.policy_for = [](msg::EntityType) { return msg::Policy{}; };
    options.auth_client = &auth_;
    options.shards = {&host};
    messenger_ = msg::Messenger::create(host, options, *this);
  }
  Task<> stop() { return messenger_->stop(); }
  void connect(const msg::AddressVector& to) { osd_ = messenger_->connect(host_, msg::EntityType::osd, to); }
  void on_message(msg::ConnectionRef, msg::Message message) override {
    if (message.type == msg::OsdReply::message_type) replies.push_back(*msg::read_osd_reply(message));
    if (message.type == msg::OsdMapMessage::message_type) ++maps_told;
  }
  void send(const std::string& name, OsdOp op, Epoch epoch, std::uint64_t tid) {
    msg::OsdRequest request;
    request.pg.pg = {pool_id, 1};
    request.hash = 0x101;
    request.epoch = epoch;
    request.flags = msg::request_flag::ondisk;
    request.locator.pool = pool_id;
    request.object = name;
    request.ops.push_back(std::move(op));
    osd_->send(msg::make_osd_request(std::move(request), tid));
  }
  /// Any bytes as a message of any type.
  void send_raw(std::uint16_t type, std::string_view front) {
    msg::Message message;
    message.type = type;
    message.version = message.compat = 1;
    message.front = Buffer::copy_of(front);
    osd_->send(std::move(message));
  }
  std::vector<msg::OsdReply> replies;
  int maps_told = 0;

 private:
  sim::Host& host_;
  msg::NoneClient auth_;
  std::unique_ptr<msg::Messenger> messenger_;
  msg::ConnectionRef osd_;
};

struct World {
  explicit World(std::uint64_t seed)
      : simulation(seed),
        mon_host(simulation.add_host()),
        osd_host(simulation.add_host()),
        client_host(simulation.add_host()),
        config("osd", "") {
    config.add(options());
    EXPECT_TRUE(config.parse_arguments({"-i", "0", "--mon-host", mon_host.address() + ":3300", "--public-addr",
                                        osd_host.address(), "--admin-socket", "", "--auth-client-required", "none",
                                        "--auth-cluster-required", "none", "--auth-service-required", "none"}))
        << config.problem();
  }
  std::unique_ptr<filestore::ObjectStore> make_store() { return filestore::MemoryStore::make(); }
  Task<> format(filestore::ObjectStore& store) {
    Superblock superblock;
    superblock.cluster = monitor->map.fsid;
    superblock.whoami = 0;
    EXPECT_TRUE(co_await MapHistory::format(store, superblock));
  }
  Task<> pass(Duration time) { (void)co_await osd_host.clock().sleep(time); }

  sim::Simulation simulation;
  sim::Host &mon_host, &osd_host, &client_host;
  std::optional<FakeMonitor> monitor;  ///< made inside the simulation, where its host is
  std::optional<FakeClient> client;
  Config config;
};

OsdOp data(OpCode code, std::string_view text) {
  OsdOp op(code);
  op.extent().length = text.size();
  op.input = BufferList(Buffer::copy_of(text));
  return op;
}

/// `body` with an OSD that serves a pool of four PGs.
Task<> with_osd(World& world, Task<> (*body)(World&, Osd&)) {
  world.monitor.emplace(world.mon_host, world.mon_host.address());
  world.client.emplace(world.client_host);
  auto store = world.make_store();
  co_await world.format(*store);
  {
    Osd osd(world.osd_host, world.config, std::move(store));
    EXPECT_TRUE(co_await osd.start());
    co_await world.pass(500ms);
    EXPECT_TRUE(osd.is_serving());
    world.monitor->create_pool(pool_id, "p", 4);
    co_await world.pass(3s);
    world.client->connect(osd.address());
    co_await body(world, osd);
    co_await osd.stop();
    EXPECT_FALSE(world.monitor->map.is_up(0)) << "a daemon that stops in order says so";
  }
  co_await world.client->stop();
  co_await world.monitor->stop();
}

Task<> serve_a_pool(World& world, Osd& osd) {
  EXPECT_EQ(world.monitor->reports.size(), 4u);
  for (auto& [pg, report] : world.monitor->reports) EXPECT_TRUE(report.state & msg::pg_state::active);

  Epoch now = world.monitor->map.epoch;
  world.client->send("o", data(OpCode::writefull, "text"), now, 1);
  world.client->send("o", data(OpCode::read, ""), now, 2);
  co_await world.pass(1s);
  EXPECT_EQ(world.client->replies.size(), 2u);
  EXPECT_EQ(world.client->replies.at(0).result, 0);
  EXPECT_EQ(world.client->replies.at(1).ops.at(0).output.flatten().text(), "text");

  // A client with a newer map waits for us to get it; one with an older map is told.
  world.client->send("o", data(OpCode::read, ""), now.next(), 3);
  co_await world.pass(1s);
  EXPECT_EQ(world.client->replies.size(), 2u);
  world.monitor->publish();
  co_await world.pass(1s);
  EXPECT_EQ(world.client->replies.size(), 3u);
  EXPECT_EQ(world.client->maps_told, 0);
  world.client->send("o", data(OpCode::read, ""), now, 4);
  co_await world.pass(1s);
  EXPECT_EQ(world.client->replies.size(), 4u);
  EXPECT_EQ(world.client->maps_told, 1);

  // Marked down by mistake: it comes back as another incarnation.
  auto before = osd.address();
  world.monitor->map.osds[0].state &= ~maps::osd_state::up;
  world.monitor->publish();
  co_await world.pass(5s);
  EXPECT_TRUE(osd.is_serving());
  EXPECT_NE(osd.address(), before);

  // Blocklisted clients are turned away.
  world.client->send("o", data(OpCode::read, ""), world.monitor->map.epoch, 5);
  co_await world.pass(1s);
  EXPECT_EQ(world.client->replies.size(), 5u);

  // The pool goes, and its PGs with it.
  world.monitor->map.pools.clear();
  world.monitor->map.pg_temp.clear();
  world.monitor->publish();
  co_await world.pass(3s);
  world.monitor->reports.clear();
  co_await world.pass(70s);
  EXPECT_TRUE(world.monitor->reports.empty());
}

TEST(Daemon, boots_serves_and_goes) {
  World world(1);
  world.simulation.run(with_osd(world, serve_a_pool), 1h);
}

/// What a client that has logged in may send: one line says what and from whom, and the daemon goes on.
Task<> take_bad_messages(World& world, Osd& osd) {
  LogCapture log;
  world.client->send_raw(0x7abc, "whatever");
  co_await world.pass(1s);
  EXPECT_EQ(log.lines("0x7abc", "not understood", world.client_host.address()).size(), 1u);
  for (auto type : {msg::OsdRequest::message_type, msg::Command::message_type}) {
    auto before = log.lines("does not decode").size();
    world.client->connect(osd.address());
    world.client->send_raw(type, "\xff\xff\xff");
    co_await world.pass(1s);
    EXPECT_EQ(log.lines("does not decode", world.client_host.address()).size(), before + 1) << type;
  }
  world.client->connect(osd.address());
  world.client->send("o", data(OpCode::writefull, "text"), world.monitor->map.epoch, 9);
  co_await world.pass(1s);
  EXPECT_EQ(world.client->replies.size(), 1u);
}

TEST(Daemon, bad_messages_end_at_most_their_session) {
  World world(2);
  world.simulation.run(with_osd(world, take_bad_messages), 1h);
}

/// A client that speaks of maps that nobody has: what it asks waits, within bounds, and nobody else does.
Task<> hear_of_the_future(World& world, Osd& osd) {
  const Epoch now = world.monitor->map.epoch, never(0xffffffff);
  msg::OsdMapMessage maps;
  maps.fsid = world.monitor->map.fsid;
  maps.full[never] = Buffer::copy_of("a map from a client");
  maps.newest = never;
  world.client->send_raw(msg::OsdMapMessage::message_type, msg::make_message(maps).front.text());
  world.client->send("o", data(OpCode::writefull, "later"), never, 1);
  co_await world.pass(10s);
  EXPECT_TRUE(world.client->replies.empty());
  EXPECT_EQ(osd.epoch(), now) << "maps are the monitor's to make";
  EXPECT_TRUE(osd.is_serving());

  LogCapture log;
  const std::string much(1 << 20, 'x');
  FakeClient another(world.client_host);
  another.connect(osd.address());
  for (std::uint64_t tid = 2; tid < 2 + (std::uint64_t{32} << 20) / much.size(); ++tid)  // osd_client_message_size_cap
    world.client->send("o", data(OpCode::writefull, much), never, tid);
  another.send("o", data(OpCode::writefull, "now"), now, 1);
  co_await world.pass(10s);
  EXPECT_EQ(log.lines("too much waits", world.client_host.address()).size(), 1u);
  EXPECT_EQ(another.replies.size(), 1u);
  another.send("o", data(OpCode::read, ""), now, 2);
  co_await world.pass(1s);
  EXPECT_EQ(another.replies.at(1).ops.at(0).output.flatten().text(), "now");
  EXPECT_TRUE(world.client->replies.empty());
  co_await another.stop();
}

TEST(Daemon, maps_from_the_future_do_no_harm) {
  World world(3);
  world.simulation.run(with_osd(world, hear_of_the_future), 1h);
}

}  // namespace
}  // namespace spirula::osd
