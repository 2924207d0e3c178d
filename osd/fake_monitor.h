#pragma once
#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "maps/mon_map.h"
#include "maps/osd_map.h"
#include "msg/cephx_server.h"
#include "msg/daemon_messages.h"
#include "msg/messenger.h"
#include "msg/mon_messages.h"

namespace spirula::osd {

/// A monitor that knows only what an OSD and its clients must hear. For tests.
using msg::Epoch;
using msg::PgId;

class FakeMonitor : public msg::Dispatcher {
 public:
  FakeMonitor(Shard& host, const std::string& address, std::uint16_t port = 3300)
      : admission_([this] { return ++last_global_id_; }) {
    msg::MessengerOptions options;
    options.name = {msg::EntityType::mon, 0};
    options.policy_for = [](msg::EntityType) { return msg::Policy{}; };
    options.auth_service = &admission_;
    options.nonce = 0;  // as monitors have it: clients know the address from their configuration
    options.shards = {&host};
    messenger_ = msg::Messenger::create(host, options, *this);
    Endpoint at = *Endpoint::parse(address);
    at.port = port;
    EXPECT_TRUE(messenger_->bind(at));
    map.fsid.bytes[0] = 9;
    map.epoch = Epoch(1);
    map.osds.resize(1);
    map.osds[0].state = maps::osd_state::exists;
    map.osds[0].weight = maps::weight_in;
  }
  Task<> stop() { return messenger_->stop(); }

  /// The next epoch, to whoever is there.
  void publish() {
    ++map.epoch;
    for (auto& connection : connections_) send_map(connection);
  }
  void create_pool(std::int64_t pool_id, const std::string& name, std::uint32_t pg_num) {
    maps::Pool pool;
    pool.pg_num = pool.pgp_num = pg_num;
    pool.flags |= maps::Pool::creating;
    map.pools[pool_id] = pool;
    map.pool_names[pool_id] = name;
    for (std::uint32_t seed = 0; seed < pg_num; ++seed) map.pg_temp[{pool_id, seed}] = {0};
    publish();
  }

  void on_message(msg::ConnectionRef connection, msg::Message message) override {
    switch (message.type) {
      case msg::MonGetMap::message_type:
        return send_monmap(connection);
      case msg::MonSubscribe::message_type: {
        auto wanted = msg::read_message<msg::MonSubscribe>(message);
        if (!wanted) return;
        if (wanted->what.contains("monmap")) send_monmap(connection);
        if (wanted->what.contains("config")) connection->send(msg::make_message(msg::ConfigMessage{}));
        if (wanted->what.contains("osdmap")) {
          connections_.push_back(connection);
          send_map(connection);
        }
        return;
      }
      case msg::MonGetVersion::message_type: {
        auto asked = msg::read_message<msg::MonGetVersion>(message);
        msg::MonGetVersionReply reply{asked->handle, map.epoch.value, 1};
        return connection->send(msg::make_message(reply, message.tid));
      }
      case msg::OsdBoot::message_type: {
        auto boot = msg::read_message<msg::OsdBoot>(message);
        ++boots;
        if (!accept_boots) return;
        map.osds[0].state |= maps::osd_state::up;
        map.osds[0].client = boot->client_address;
        return publish();
      }
      case msg::OsdBeacon::message_type:
        for (auto& report : msg::read_message<msg::OsdBeacon>(message)->pgs) reports[report.pg] = report;
        return;
      case msg::OsdMarkMeDown::message_type:
        map.osds[0].state &= ~maps::osd_state::up;
        publish();
        return connection->send(msg::make_message(msg::DaemonReply{0, map.epoch, ""}, message.tid));
      default:
        return;
    }
  }
  void on_reset(msg::ConnectionRef connection) override { std::erase(connections_, connection); }

  maps::OsdMap map;
  int boots = 0;
  bool accept_boots = true;
  std::map<PgId, msg::PgReport> reports;

 private:
  void send_map(const msg::ConnectionRef& connection) {
    msg::OsdMapMessage message;
    message.fsid = map.fsid;
    message.oldest = message.newest = map.epoch;
    message.full[map.epoch] = map.encode_map();
    connection->send(msg::make_message(message));
  }
  void send_monmap(const msg::ConnectionRef& connection) {
    maps::MonMap all;
    all.fsid = map.fsid;
    all.epoch = Epoch(1);
    all.monitors["a"].name = "a";
    all.monitors["a"].addresses = messenger_->address();
    all.ranks = {"a"};
    connection->send(msg::make_message(msg::MonMapMessage{encode(all)}));
  }
  std::uint64_t last_global_id_ = 5000;
  msg::NoneService admission_;
  std::unique_ptr<msg::Messenger> messenger_;
  std::vector<msg::ConnectionRef> connections_;
};

}  // namespace spirula::osd
