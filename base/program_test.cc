#include "base/program.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace spirula {
namespace {

std::optional<int> read(Config& config, std::vector<const char*> words) {
  words.insert(words.begin(), "program");
  return read_command_line(config, "program: for a test.\n", static_cast<int>(words.size()), words.data());
}

TEST(Program, HelpNeedsNothingElse) {
  Config config("osd", "");
  testing::internal::CaptureStdout();
  EXPECT_EQ(read(config, {"--help"}), 0);
  std::string said = testing::internal::GetCapturedStdout();
  EXPECT_TRUE(said.starts_with("program: for a test.\n"));
  EXPECT_NE(said.find("--mon-host, -m"), said.npos);
}

TEST(Program, WhatIsNotKnownEndsIt) {
  Config config("osd", "");
  testing::internal::CaptureStderr();
  EXPECT_EQ(read(config, {"--no-such-thing=1"}), 1);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("unknown option"), std::string::npos);
}

TEST(Program, ADaemonLeavesItsProcessId) {
  auto file = std::filesystem::temp_directory_path() / ("program_test." + std::to_string(::getpid()));
  Config config("osd", "");
  std::string option = "--pid-file=" + file.string();
  ASSERT_EQ(read(config, {"-i", "0", option.c_str()}), std::nullopt);
  begin_daemon(config);
  int pid = 0;
  std::ifstream(file) >> pid;
  EXPECT_EQ(pid, ::getpid());
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace spirula
