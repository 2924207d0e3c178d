#include <gtest/gtest.h>

#include "mon/test_monitor.h"

/// What peers subscribe to, by every name that stock clients use.
namespace spirula::mon {
namespace {

using namespace std::chrono_literals;

struct Subscriptions : testing::Test, TestMonitor {
  void run(Task<> (*test)(Subscriptions&)) { TestMonitor::run(test, *this); }

  void subscribe(const msg::FakeConnectionRef& peer, const std::string& what, std::uint64_t start, bool once) {
    msg::MonSubscribe wanted;
    wanted.what[what] = {start, static_cast<std::uint8_t>(once ? msg::SubscribeItem::flag_onetime : 0)};
    monitor->on_message(peer, msg::make_message(wanted));
  }
  Task<std::size_t> arrived(msg::FakeConnectionRef peer, std::uint16_t type) {
    (void)co_await host.clock().sleep(2s);
    std::size_t count = 0;
    for (const auto& message : peer->sent) count += message.type == type;
    peer->sent.clear();
    co_return count;
  }
  Task<> change_everything(msg::FakeConnectionRef admin, int round) {
    for (const std::string& json :
         {fmt::format(R"({{"prefix": "osd pool create", "pool": "new{}", "pg_num": 1}})", round),
          fmt::format(R"({{"prefix": "config set", "who": "global", "name": "debug_osd", "value": "{}"}})", round),
          fmt::format(R"({{"prefix": "fs set", "fs_name": "cfs", "var": "max_file_size", "val": "{}"}})",
                      (1ull << 40) + static_cast<unsigned>(round))}) {
      std::int32_t result = co_await command(admin, json);
      EXPECT_EQ(result, 0) << json;
    }
  }
};

TEST_F(Subscriptions, every_name_once_and_on) {
  run([](Subscriptions& t) -> Task<> {
    auto admin = t.client(1, "allow *");
    for (auto json : {R"({"prefix": "osd pool create", "pool": "md", "pg_num": 4})",
                      R"({"prefix": "osd pool create", "pool": "dt", "pg_num": 4})",
                      R"({"prefix": "fs new", "fs_name": "cfs", "metadata": "md", "data": "dt"})"}) {
      std::int32_t result = co_await t.command(admin, json);
      EXPECT_EQ(result, 0) << json;
    }
    struct Kind {
      const char* name;
      std::uint16_t type;
      bool changes;  // by change_everything()
    };
    const Kind kinds[] = {
        {"monmap", msg::MonMapMessage::message_type, false}, {"config", msg::ConfigMessage::message_type, true},
        {"osdmap", msg::OsdMapMessage::message_type, true},  {"mgrmap", msg::MgrMapMessage::message_type, false},
        {"mdsmap", msg::MdsMapMessage::message_type, true},  {"mdsmap.1", msg::MdsMapMessage::message_type, true},
        {"fsmap", msg::FsMapMessage::message_type, true},    {"fsmap.user", msg::FsMapUserMessage::message_type, true}};
    int number = 10;
    std::vector<msg::FakeConnectionRef> on, once;
    for (const auto& kind : kinds) {
      for (bool single : {false, true}) {
        auto peer = t.client(++number, "allow r");
        peer->sent.clear();
        t.subscribe(peer, kind.name, 0, single);
        std::size_t came = co_await t.arrived(peer, kind.type);
        EXPECT_EQ(came, 1u) << kind.name;
        (single ? once : on).push_back(peer);
      }
    }
    for (int round : {1, 2}) {
      co_await t.change_everything(admin, round);
      for (std::size_t i = 0; i < std::size(kinds); ++i) {
        std::size_t came = co_await t.arrived(on[i], kinds[i].type);
        if (kinds[i].changes)
          EXPECT_GE(came, 1u) << kinds[i].name;
        else
          EXPECT_EQ(came, 0u) << kinds[i].name;
        came = co_await t.arrived(once[i], kinds[i].type);
        EXPECT_EQ(came, 0u) << kinds[i].name << " was asked for once";
      }
    }
  });
}

TEST_F(Subscriptions, a_start_that_is_yet_to_come_waits_for_it_and_an_old_one_gets_what_follows) {
  run([](Subscriptions& t) -> Task<> {
    auto admin = t.client(1, "allow *");
    auto create = [&](int number) {
      return t.command(admin, fmt::format(R"({{"prefix": "osd pool create", "pool": "p{}", "pg_num": 1}})", number));
    };
    for (int i = 0; i < 3; ++i) {
      std::int32_t made = co_await create(i);
      EXPECT_EQ(made, 0);
    }
    auto epoch = t.monitor->state().osd().epoch().value;
    auto later = t.client(2, "allow r"), behind = t.client(3, "allow r");
    later->sent.clear();
    behind->sent.clear();
    t.subscribe(later, "osdmap", epoch + 1, true);
    t.subscribe(behind, "osdmap", epoch - 1, true);
    (void)co_await t.host.clock().sleep(2s);
    EXPECT_EQ(later->take(msg::OsdMapMessage::message_type).type, 0) << "not yet";
    auto maps = msg::read_message<msg::OsdMapMessage>(behind->take(msg::OsdMapMessage::message_type));
    EXPECT_TRUE(maps.has_value());
    if (maps) {
      EXPECT_TRUE(maps->full.empty()) << "incrementals lead there";
      EXPECT_EQ(maps->incrementals.size(), 2u);
    }
    std::int32_t made = co_await create(9);
    EXPECT_EQ(made, 0);
    std::size_t came = co_await t.arrived(later, msg::OsdMapMessage::message_type);
    EXPECT_EQ(came, 1u);
  });
}

TEST_F(Subscriptions, nothing_comes_without_the_capability_for_it) {
  run([](Subscriptions& t) -> Task<> {
    auto peer = t.client(2, "allow service mon r");
    peer->sent.clear();
    for (const char* what : {"osdmap", "fsmap", "fsmap.user", "mdsmap", "mdsmap.7", "nothing of that name"})
      t.subscribe(peer, what, 0, false);
    (void)co_await t.host.clock().sleep(2s);
    for (const auto& message : peer->sent)
      EXPECT_TRUE(message.type == msg::MonSubscribeAck::message_type) << "a message of type " << message.type;
    EXPECT_FALSE(peer->closed());
  });
}

}  // namespace
}  // namespace spirula::mon
