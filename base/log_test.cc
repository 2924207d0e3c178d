#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace spirula {
namespace {

TEST(Log, levels_and_limits) {
  char path[] = "/tmp/spirula-log-XXXXXX";
  int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  ASSERT_TRUE(log_to_file(path));
  log_set_level("chatty", LogLevel::debug);
  log_debug("quiet", "not written");
  log_debug("chatty", "written {}", 1);
  for (unsigned i = 0; i < 5 * log_lines_per_second_max; ++i) log_info("flood", "line {}", i);
  ASSERT_TRUE(log_to_file("/dev/stderr"));
  std::ifstream file(path);
  unsigned lines = 0, floods = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    EXPECT_EQ(line.find("not written"), line.npos);
    if (line.find("flood") != line.npos) ++floods;
  }
  EXPECT_EQ(lines, floods + 1);
  EXPECT_GE(floods, log_lines_per_second_max);
  EXPECT_LE(floods, 2 * log_lines_per_second_max) << "at most two seconds' worth";
  log_set_level("chatty", LogLevel::info);
  unlink(path);
}

}  // namespace
}  // namespace spirula
