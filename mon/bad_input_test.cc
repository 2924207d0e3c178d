#include <gtest/gtest.h>

#include "base/log_capture.h"
#include "mon/test_monitor.h"
#include "msg/pool_stats.h"

/// What a client that has logged in may send a monitor: it gets an error or loses its connection, one line in the log
/// says why, and the monitor goes on. (Who does not even log in: msg/bad_input_test.cc. Damaged logs and full disks:
/// decision_log_test.cc, monitor_test.cc.)
namespace spirula::mon {
namespace {

struct BadInput : testing::Test, TestMonitor {
  LogCapture log;

  void run(Task<> (*test)(BadInput&)) { TestMonitor::run(test, *this); }
};

TEST_F(BadInput, a_message_of_no_known_type) {
  run([](BadInput& all) -> Task<> {
    auto from = all.client(1, "allow *");
    all.send(from, 0x7abc, "whatever");
    EXPECT_FALSE(from->closed());
    EXPECT_EQ(all.log.lines("10.9.9.1").size(), 1u);
    EXPECT_EQ(all.log.lines("10.9.9.1", "0x7abc", "not understood").size(), 1u);
    std::int32_t served = co_await all.command(from, R"({"prefix": "fsid"})");
    EXPECT_EQ(served, 0);
  });
}

TEST_F(BadInput, a_message_that_does_not_decode) {
  run([](BadInput& all) -> Task<> {
    int number = 0;
    for (std::uint16_t type :
         {msg::MonSubscribe::message_type, msg::MonCommand::message_type, msg::Statfs::message_type,
          msg::PoolOp::message_type, msg::Auth::message_type, msg::GetPoolStats::message_type, msg::Log::message_type,
          msg::OsdBoot::message_type, msg::MdsBeacon::message_type}) {
      auto from = all.client(++number, "allow *");
      all.send(from, type, "\xff\xff\xff");
      EXPECT_TRUE(from->closed()) << type;
      auto lines = all.log.lines(fmt::format("10.9.9.{}:", number));
      EXPECT_EQ(lines.size(), 1u) << type;
      if (!lines.empty()) EXPECT_NE(lines[0].find("does not decode"), std::string::npos) << lines[0];
    }
    std::int32_t served = co_await all.command(all.client(20, "allow *"), R"({"prefix": "fsid"})");
    EXPECT_EQ(served, 0);
  });
}

TEST_F(BadInput, a_daemon_s_message_from_a_client) {
  run([](BadInput& all) -> Task<> {
    auto from = all.client(1, "allow *");
    all.monitor->on_message(from, msg::make_message(msg::OsdBoot{}));
    EXPECT_EQ(all.log.lines("10.9.9.1").size(), 1u);
    EXPECT_EQ(all.log.lines("10.9.9.1", "not theirs to send").size(), 1u);
    EXPECT_TRUE(all.monitor->state().osd().map().osds.empty());
    co_return;
  });
}

TEST_F(BadInput, a_command_that_makes_no_sense) {
  run([](BadInput& all) -> Task<> {
    int number = 0;
    for (const char* json :
         {"", "{", "[]", "17", "{\"prefix\": 5}", "{\"prefix\": \"osd explode\"}", "{\"pool\": \"x\"}",
          "{\"prefix\": \"osd pool create\"}", "{\"prefix\": \"osd pool create\", \"pool\": {\"a\": 1}}",
          "{\"prefix\": \"osd in\", \"ids\": {\"a\": 1}}", "\xff\xfe{}"}) {
      auto from = all.client(++number, "allow *");
      std::int32_t result = co_await all.command(from, json);
      EXPECT_EQ(result, -22) << json;
      EXPECT_EQ(all.log.lines(fmt::format("10.9.9.{}:", number)).size(), 1u) << json;
      EXPECT_FALSE(from->closed());
    }
    std::string deep(20'000, '[');
    auto from = all.client(40, "allow *");
    std::int32_t result = co_await all.command(from, deep);
    EXPECT_EQ(result, -22);
    EXPECT_EQ(all.log.lines("10.9.9.40:").size(), 1u);
  });
}

TEST_F(BadInput, capabilities_that_do_not_parse_allow_nothing) {
  run([](BadInput& all) -> Task<> {
    auto from = all.client(1, "allow everything to everybody");
    auto lines = all.log.lines("10.9.9.1");
    EXPECT_EQ(lines.size(), 1u);
    if (!lines.empty()) EXPECT_NE(lines[0].find("do not parse"), std::string::npos) << lines[0];
    std::int32_t result = co_await all.command(from, R"({"prefix": "osd dump"})");
    EXPECT_EQ(result, -13);
    // Nor can such be given to a key.
    auto admin = all.client(2, "allow *");
    result = co_await all.command(
        admin, R"({"prefix": "auth get-or-create", "entity": "client.x", "caps": ["mon", "allow everything"]})");
    EXPECT_EQ(result, -22);
  });
}

}  // namespace
}  // namespace spirula::mon
