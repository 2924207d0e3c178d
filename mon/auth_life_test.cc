#include <gtest/gtest.h>

#include "base/log_capture.h"
#include "maps/daemon_link.h"
#include "mon/test_monitor.h"
#include "msg/cephx_crypto.h"

/// Days of logins: secrets rotate, tickets are renewed, and nobody is locked out.
namespace spirula::mon {
namespace {

using namespace std::chrono_literals;

msg::Keyring keys_for_tests() {
  SeededRandom random(7);
  std::string text;
  for (const char* name : {"mon.", "osd.0", "osd.1"})
    text += fmt::format("[{}]\nkey = {}\ncaps mon = \"{}\"\ncaps osd = \"allow *\"\n", name,
                        msg::CryptoKey::generate(random, {}).print(), *name == 'm' ? "allow *" : "allow profile osd");
  return *msg::Keyring::parse(text);
}

/// An OSD as far as authentication goes: it admits by tickets and counts who comes.
struct Osd : msg::Dispatcher {
  Osd(TestMonitor& all, int id, const msg::Keyring& keyring)
      : host(all.world.add_host()), at(*Endpoint::parse(host.address() + ":6800")), config("osd", std::to_string(id)) {
    auto key = keyring.find(*msg::KeyName::parse(fmt::format("osd.{}", id)));
    CHECK(key.has_value());
    Result<> parsed = config.parse_file_text(fmt::format("[global]\nmon host = {}\npublic addr = {}\nkey = {}\n",
                                                         all.config.text("mon_host"), at.describe(), key->print()));
    CHECK(parsed.has_value());
    maps::DaemonLink::Plan plan;
    plan.name = {msg::EntityType::osd, id};
    plan.policy_for = [](msg::EntityType) { return msg::Policy{}; };
    plan.shards = {&host};
    Result<> listening = link.listen(std::move(plan), *this);
    CHECK(listening.has_value());
  }
  void on_message(msg::ConnectionRef, msg::Message) override {}
  void on_accept(msg::ConnectionRef) override { ++accepted; }

  sim::Host& host;
  Endpoint at;
  Config config;
  maps::DaemonLink link{host, config};
  int accepted = 0;
};

TEST(AuthLife, secrets_rotate_for_days_and_tickets_are_renewed) {
  LogCapture log;
  const msg::Keyring keyring = keys_for_tests();
  TestMonitor all(keyring);
  EXPECT_TRUE(all.config.set("auth_mon_ticket_ttl", "43200"));
  struct Both {
    TestMonitor& all;
    Osd first, second;
  } both{all, {all, 0, keyring}, {all, 1, keyring}};
  auto body = [](Both& t) -> Task<> {
    for (Osd* each : {&t.first, &t.second}) {
      Result<> in = co_await each->link.log_in();
      EXPECT_TRUE(in);
    }
    auto newest = [&](msg::EntityType service) { return t.all.monitor->state().auth().secrets(service).version_max; };
    auto before = newest(msg::EntityType::osd), login_before = newest(msg::EntityType::auth);
    constexpr int hours = 40;  // tickets for OSDs live one, a login twelve
    for (int hour = 0; hour < hours; ++hour) {
      (void)co_await t.all.host.clock().sleep(1h);
      auto connection =
          t.second.link.messenger().connect(t.second.host, msg::EntityType::osd, t.first.link.messenger().address());
      (void)co_await t.all.host.clock().sleep(2s);
      EXPECT_EQ(t.first.accepted, hour + 1) << "in hour " << hour;
      connection->close();
    }
    EXPECT_GE(newest(msg::EntityType::osd), before + hours - 3);
    EXPECT_GE(newest(msg::EntityType::auth), login_before + 1);
    EXPECT_LE(newest(msg::EntityType::auth), login_before + 3) << "they outlive the logins that they seal";
    EXPECT_LE(t.all.monitor->state().auth().secrets(msg::EntityType::osd).keys.size(), 3u);
    for (Osd* each : {&t.first, &t.second}) co_await each->link.stop();
  };
  all.run(+body, both);
  EXPECT_EQ(log.lines("renew"), std::vector<std::string>()) << "no ticket was refused";
}

}  // namespace
}  // namespace spirula::mon
