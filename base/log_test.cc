#include "base/log.h"

#include <gtest/gtest.h>

#include "base/log_capture.h"

namespace spirula {
namespace {

TEST(Log, levels_and_limits) {
  LogCapture log;
  log_set_level("chatty", LogLevel::debug);
  log_debug("quiet", "not written");
  log_debug("chatty", "written {}", 1);
  for (unsigned i = 0; i < 5 * log_lines_per_second_max; ++i) log_info("flood", "line {}", i);
  EXPECT_TRUE(log.lines("not written").empty());
  std::size_t floods = log.lines("flood").size();
  EXPECT_EQ(log.lines().size(), floods + 1);
  EXPECT_GE(floods, log_lines_per_second_max);
  EXPECT_LE(floods, 2 * log_lines_per_second_max) << "at most two seconds' worth";
  log_set_level("chatty", LogLevel::info);
}

TEST(Log, what_a_peer_says_stays_on_its_line) {
  LogCapture log;
  log_info("odd", "there is no client.{}", "a\n2026-01-01 error odd everything is lost\x1b[0m");
  log_info("odd", "{}", std::string(20'000, 'x'));
  ASSERT_EQ(log.lines().size(), 2u);
  EXPECT_EQ(log.lines("client.a?2026").size(), 1u);
  EXPECT_LT(log.lines()[1].size(), 5'000u);
}

}  // namespace
}  // namespace spirula
