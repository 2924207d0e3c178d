#include "mon/monitor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/simulation.h"
#include "maps/mon_client.h"
#include "mon/mkfs.h"
#include "mon/options.h"
#include "mon/test_storage.h"
#include "msg/cephx_client.h"
#include "msg/peer_router.h"

/// A monitor and stand-ins for daemons in a simulated world: every second here is a virtual one.
namespace spirula::mon {
namespace {

using namespace std::chrono_literals;

const msg::Uuid fsid = *msg::Uuid::parse("11111111-2222-3333-4444-555555555555");

/// An OSD or MDS as far as the monitor can tell: it logs in, keeps its maps, and says what it is told to.
class Daemon {
 public:
  Daemon(sim::Host& host, msg::EntityType type, std::string id, Endpoint monitor, std::uint16_t port)
      : auth_(name_of(type, id)), clients_(host, client_options(name_of(type, id), monitor)) {
    router_.route(msg::EntityType::mon, clients_);
    msg::MessengerOptions options;
    options.name = {type, type == msg::EntityType::osd ? std::stoll(id) : -1};
    options.policy_for = [](msg::EntityType) { return msg::Policy{}; };
    options.auth_client = &auth_;
    options.shards = {&host};
    messenger_ = msg::Messenger::create(host, std::move(options), router_);
    address_ = msg::Address::msgr2(*Endpoint::parse(fmt::format("{}:{}", host.address(), port)), 5);
    clients_.on<msg::FsMapMessage>([this](msg::FsMapMessage message) {
      fs = *decode<maps::FsMap>(message.map);
      clients_.got("fsmap", message.epoch.value);
    });
    clients_.on<msg::OsdMapMessage>([this](msg::OsdMapMessage message) { take(message); });
    clients_.on<msg::MdsBeaconAck>([this](msg::MdsBeaconAck message) { ack = message; });
    clients_.subscribe("osdmap", 0);
    clients_.subscribe("fsmap", 0);
    clients_.start(*messenger_);
  }

  maps::MonClient& monitors() { return clients_; }
  const msg::AddressVector& address() const { return address_; }
  std::uint64_t gid() const { return clients_.global_id(); }

  void boot(std::int32_t osd) {
    msg::OsdBoot message;
    message.cluster = fsid;
    message.osd = osd;
    message.store.bytes[0] = static_cast<std::uint8_t>(osd + 1);
    message.client_address = message.cluster_address = address_;
    message.space = {1ull << 40, 1ull << 39, 0, 0, 0};
    message.metadata["hostname"] = "box";
    clients_.send(message);
  }
  void beacon(std::int32_t osd, msg::Epoch oldest_needed = {}) {
    msg::OsdBeacon message;
    message.osd = osd;
    message.map = map.epoch;
    message.oldest_needed = oldest_needed;
    message.space = {1ull << 40, 1ull << 39, 0, 0, 0};
    clients_.send(message);
  }
  void beacon(const std::string& name, msg::MdsState wanted) {
    msg::MdsBeacon message;
    message.cluster = fsid;
    message.gid = gid();
    message.name = name;
    message.address = address_;
    message.wanted = wanted;
    message.sequence = ++sequence_;
    clients_.send(message);
  }
  msg::MdsState state() const {
    for (const auto& each : fs.file_systems)
      if (auto found = each.mds_map.daemons.find(maps::MdsGid(gid())); found != each.mds_map.daemons.end())
        return found->second.state;
    return fs.standbys.contains(maps::MdsGid(gid())) ? msg::MdsState::standby : msg::MdsState::dne;
  }
  Task<> stop() {
    co_await clients_.stop();
    co_await messenger_->stop();
  }

  maps::OsdMap map;
  maps::FsMap fs;
  msg::MdsBeaconAck ack;

 private:
  static msg::KeyName name_of(msg::EntityType type, std::string id) {
    return {static_cast<std::uint32_t>(type), std::move(id)};
  }
  static maps::MonClientOptions client_options(msg::KeyName name, Endpoint monitor) {
    maps::MonClientOptions options;
    options.monitors = {monitor};
    options.name = std::move(name);
    return options;
  }
  void take(const msg::OsdMapMessage& message) {
    for (const auto& [epoch, bytes] : message.full)
      if (epoch > map.epoch) map = *maps::OsdMap::decode_map(bytes);
    for (const auto& [epoch, bytes] : message.incrementals)
      if (epoch == map.epoch.next()) EXPECT_TRUE(map.apply(*maps::OsdMapIncremental::decode_map(bytes)));
    clients_.got("osdmap", map.epoch.value);
  }

  msg::NoneClient auth_;
  maps::MonClient clients_;
  msg::PeerRouter router_;
  std::unique_ptr<msg::Messenger> messenger_;
  msg::AddressVector address_;
  std::uint64_t sequence_ = 0;
};

struct MonitorTest : testing::Test {
  sim::Simulation world{20'261'122};
  sim::Host& host = world.add_host();
  Endpoint at = *Endpoint::parse(host.address() + ":3300");
  Config config{"mon", "a"};
  MemoryStorage::Disk disk;
  std::unique_ptr<Monitor> monitor;

  MonitorTest() {
    config.add(options());
    EXPECT_TRUE(
        config.parse_file_text(fmt::format("[global]\nmon host = {}\npublic addr = {}\n"
                                           "auth service required = none\nmon data = /\n"
                                           "mon legacy port = 0\nosd pool default size = 1\n",
                                           at.describe(), at.describe())));
    auto state = initial_state(fsid, "a", msg::Address::msgr2(at, 0), {}, msg::Time{1'700'000'000, 0});
    MemoryStorage storage(disk);
    EXPECT_TRUE(DecisionLog::create(storage, state->save()));
  }
  Task<> start() {
    auto opened = Monitor::open(host, config, std::make_unique<MemoryStorage>(disk));
    EXPECT_TRUE(opened);
    monitor = std::move(*opened);
    auto started = co_await monitor->start();
    EXPECT_TRUE(started);
  }
  Task<> stop() {
    co_await monitor->stop();
    monitor.reset();
  }
  Task<> pass(Duration time) { (void)co_await world.clock().sleep(time); }
  Task<CommandResult> command(std::string json) {
    auto result = co_await monitor->run_command(json, "", "test");
    co_return result;
  }
  Task<> make_file_system() {
    for (auto json : {R"({"prefix": "osd pool create", "pool": "md", "pg_num": 4})",
                      R"({"prefix": "osd pool create", "pool": "dt", "pg_num": 4})",
                      R"({"prefix": "fs new", "fs_name": "cfs", "metadata": "md", "data": "dt"})"}) {
      auto result = co_await command(json);
      EXPECT_EQ(result.result, 0) << result.text;
    }
  }
  std::unique_ptr<Daemon> daemon(msg::EntityType type, std::string id, std::uint16_t port = 6800) {
    return std::make_unique<Daemon>(world.add_host(), type, std::move(id), at, port);
  }
};

TEST_F(MonitorTest, an_osd_that_falls_silent_is_down_and_later_out) {
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    auto osd = t.daemon(msg::EntityType::osd, "0"), watcher = t.daemon(msg::EntityType::osd, "1");
    for (int i = 0; i < 20; ++i) {
      co_await t.pass(1s);
      osd->boot(0);
      watcher->boot(1);
    }
    EXPECT_TRUE(osd->map.is_up(0) && osd->map.is_up(1));
    EXPECT_TRUE(osd->map.is_in(0));
    for (int i = 0; i < 12; ++i) {  // a minute of beacons: nobody is suspected
      co_await t.pass(5s);
      osd->beacon(0);
      watcher->beacon(1);
    }
    EXPECT_TRUE(watcher->map.is_up(0) && watcher->map.is_up(1));
    auto silent_since = t.world.clock().now();
    while (watcher->map.is_up(0) && t.world.clock().now() - silent_since < 60s) {
      co_await t.pass(1s);
      watcher->beacon(1);
    }
    auto took = t.world.clock().now() - silent_since;
    EXPECT_GE(took, 20s);
    EXPECT_LE(took, 23s);
    EXPECT_TRUE(watcher->map.is_up(1));
    EXPECT_TRUE(watcher->map.is_in(0));
    for (int i = 0; i < 110; ++i) {  // nine minutes
      co_await t.pass(5s);
      watcher->beacon(1);
    }
    EXPECT_TRUE(watcher->map.is_in(0));
    for (int i = 0; i < 14; ++i) {
      co_await t.pass(5s);
      watcher->beacon(1);
    }
    EXPECT_FALSE(watcher->map.is_in(0));
    osd->boot(0);
    co_await t.pass(2s);
    EXPECT_TRUE(watcher->map.is_up(0) && watcher->map.is_in(0)) << "back, and in again by itself";
    co_await osd->stop();
    co_await watcher->stop();
    co_await t.stop();
  };
  world.run(body(*this));
}

TEST_F(MonitorTest, an_osd_is_down_once_enough_others_have_missed_it_for_long_enough) {
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    std::vector<std::unique_ptr<Daemon>> osds;
    for (std::int32_t i = 0; i < 4; ++i) osds.push_back(t.daemon(msg::EntityType::osd, std::to_string(i)));
    for (int i = 0; i < 4; ++i) {
      co_await t.pass(1s);
      for (std::int32_t id = 0; id < 4; ++id) osds[static_cast<std::size_t>(id)]->boot(id);
    }
    const auto& map = [&]() -> const maps::OsdMap& { return t.monitor->state().osd().map(); };
    EXPECT_EQ(map().count_up(), 4u);
    auto report = [&](std::int32_t reporter, Duration silent, bool alive = false) {
      msg::OsdFailure failure;
      failure.reporter = reporter;
      failure.target = 0;
      failure.target_address = osds[0]->address();
      failure.failed_for_ms =
          static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(silent).count());
      failure.alive = alive;
      osds[static_cast<std::size_t>(reporter)]->monitors().send(failure);
    };
    report(1, 30s);
    co_await t.pass(1s);
    EXPECT_TRUE(map().is_up(0)) << "one reporter is not enough";
    report(2, 5s);
    co_await t.pass(1s);
    EXPECT_TRUE(map().is_up(0)) << "the second has not missed it for the grace";
    report(1, 0s, true);
    report(2, 25s);
    co_await t.pass(1s);
    EXPECT_TRUE(map().is_up(0)) << "the first has heard of it again";
    osds[0]->beacon(0);  // that the monitor hears it does not mean that its peers do
    co_await t.pass(1s);
    report(3, 25s);
    co_await t.pass(1s);
    EXPECT_FALSE(map().is_up(0));
    for (std::int32_t i = 1; i < 4; ++i) EXPECT_TRUE(map().is_up(i));
    for (auto& osd : osds) co_await osd->stop();
    co_await t.stop();
  };
  world.run(body(*this));
}

TEST_F(MonitorTest, old_maps_are_kept_by_number_and_age_and_for_who_needs_them) {
  EXPECT_TRUE(config.set("mon_min_osdmap_epochs", "20"));
  EXPECT_TRUE(config.set("mon_osdmap_keep", "60"));
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    auto osd = t.daemon(msg::EntityType::osd, "0");
    co_await t.pass(2s);
    osd->boot(0);
    co_await t.pass(1s);
    auto many = [&](int count) -> Task<> {
      for (int i = 0; i < count; ++i) {
        auto set = co_await t.command(i % 2 ? R"({"prefix": "osd unset", "key": "noout"})"
                                            : R"({"prefix": "osd set", "key": "noout"})");
        EXPECT_EQ(set.result, 0);
      }
    };
    auto first = [&] { return t.monitor->state().osd().first(); };
    auto epoch = [&] { return t.monitor->state().osd().epoch(); };
    auto start = first();
    co_await many(60);
    auto needed = msg::Epoch(epoch().value - 40);
    co_await t.pass(5s);
    EXPECT_EQ(first(), start) << "they are young, and an OSD has not said what it needs";
    for (int i = 0; i < 16; ++i) {
      co_await t.pass(5s);
      osd->beacon(0, needed);
    }
    EXPECT_EQ(first(), needed) << "as far as the OSD lets us";
    auto keeps = epoch();
    for (int i = 0; i < 3; ++i) {
      co_await t.pass(5s);
      osd->beacon(0, keeps);
    }
    EXPECT_EQ(first().value, epoch().value - 20) << "by number";
    co_await many(60);
    for (int i = 0; i < 3; ++i) {
      co_await t.pass(5s);
      osd->beacon(0, epoch());
    }
    EXPECT_EQ(first(), keeps) << "by age: what came since is young";
    co_await osd->stop();
    co_await t.stop();
  };
  world.run(body(*this));
}

TEST_F(MonitorTest, a_broken_connection_is_forgiven_for_a_while) {
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    auto osd = t.daemon(msg::EntityType::osd, "0");
    co_await t.pass(2s);
    osd->boot(0);
    co_await t.pass(1s);
    osd->beacon(0);
    EXPECT_TRUE(t.monitor->state().osd().map().is_up(0));
    co_await osd->stop();
    co_await t.pass(2s);
    EXPECT_TRUE(t.monitor->state().osd().map().is_up(0));
    co_await t.pass(4s);
    EXPECT_FALSE(t.monitor->state().osd().map().is_up(0));
    co_await t.stop();
  };
  world.run(body(*this));
}

TEST_F(MonitorTest, a_standby_replaces_a_silent_mds_and_nobody_else_does) {
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    co_await t.make_file_system();
    auto first = t.daemon(msg::EntityType::mds, "x", 6810), second = t.daemon(msg::EntityType::mds, "y", 6811);
    co_await t.pass(2s);
    first->beacon("x", msg::MdsState::boot);
    co_await t.pass(1s);
    EXPECT_EQ(first->state(), msg::MdsState::creating);
    EXPECT_EQ(first->ack.state, msg::MdsState::creating);
    first->beacon("x", msg::MdsState::active);
    co_await t.pass(1s);
    EXPECT_EQ(first->state(), msg::MdsState::active);
    co_await t.pass(40s);
    EXPECT_EQ(first->state(), msg::MdsState::active) << "nobody is there to take over";
    EXPECT_NE(first->fs.file_systems[0].mds_map.daemons.begin()->second.laggy_since, msg::Time{});
    first->beacon("x", msg::MdsState::active);
    co_await t.pass(1s);
    EXPECT_EQ(first->fs.file_systems[0].mds_map.daemons.begin()->second.laggy_since, msg::Time{});

    second->beacon("y", msg::MdsState::boot);
    co_await t.pass(1s);
    EXPECT_EQ(second->state(), msg::MdsState::standby);
    for (int i = 0; i < 20; ++i) {
      co_await t.pass(1s);
      second->beacon("y", msg::MdsState::standby);
    }
    EXPECT_EQ(second->state(), msg::MdsState::replay);
    EXPECT_EQ(first->state(), msg::MdsState::dne);
    const auto& mds = second->fs.file_systems[0].mds_map;
    EXPECT_GE(second->map.epoch, mds.last_failure_osd_epoch);
    EXPECT_TRUE(second->map.is_blocklisted(first->address(), second->map.modified));
    co_await first->stop();
    co_await second->stop();
    co_await t.stop();
  };
  world.run(body(*this));
}

TEST_F(MonitorTest, a_restart_keeps_what_was_decided_and_everybody_comes_back) {
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    co_await t.make_file_system();
    auto osd = t.daemon(msg::EntityType::osd, "0");
    co_await t.pass(2s);
    osd->boot(0);
    co_await t.pass(1s);
    Buffer before = t.monitor->state().save();
    co_await t.stop();
    co_await t.pass(30s);
    co_await t.start();
    EXPECT_TRUE(t.monitor->state().osd().map().is_up(0));
    EXPECT_EQ(t.monitor->state().osd().map().encode_map(), State::load(before)->osd().map().encode_map());
    for (int i = 0; i < 12; ++i) {
      co_await t.pass(5s);
      osd->beacon(0);
    }
    EXPECT_TRUE(t.monitor->state().osd().map().is_up(0));
    auto made = co_await t.command(R"({"prefix": "osd pool create", "pool": "after", "pg_num": 4})");
    EXPECT_EQ(made.result, 0);
    co_await t.pass(1s);
    EXPECT_TRUE(osd->map.pool_by_name("after")) << "its subscription goes on";
    co_await osd->stop();
    co_await t.stop();
  };
  world.run(body(*this));
}

TEST_F(MonitorTest, a_full_disk_refuses_decisions_and_serves_on) {
  auto body = [](MonitorTest& t) -> Task<> {
    co_await t.start();
    auto watcher = t.daemon(msg::EntityType::osd, "1");
    co_await t.pass(2s);
    t.disk.room = 10;
    auto refused = co_await t.command(R"({"prefix": "osd pool create", "pool": "p", "pg_num": 4})");
    EXPECT_EQ(refused.result, -ENOSPC);
    co_await t.pass(1s);
    EXPECT_TRUE(watcher->map.pools.empty());
    auto health = co_await t.command(R"({"prefix": "health"})");
    EXPECT_TRUE(health.output.starts_with("HEALTH_ERR")) << health.output;
    t.disk.room = SIZE_MAX;
    auto made = co_await t.command(R"({"prefix": "osd pool create", "pool": "p", "pg_num": 4})");
    EXPECT_EQ(made.result, 0);
    co_await t.pass(1s);
    EXPECT_EQ(watcher->map.pools.size(), 1u);
    co_await watcher->stop();
    co_await t.stop();
  };
  world.run(body(*this));
}

}  // namespace
}  // namespace spirula::mon
