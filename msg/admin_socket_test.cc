#include "msg/admin_socket.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/blocking.h"
#include "base/coroutine.h"

namespace spirula::msg {
namespace {

/// What the stock tool prints for `command`.
std::string ceph_daemon(const std::string& path, const std::string& command) {
  std::string line =
      "/usr/bin/python3 -c 'import sys, ceph_daemon; sys.stdout.write(ceph_daemon.admin_socket(sys.argv[1], "
      "sys.argv[2:]).decode())' " +
      path + " " + command + " 2>&1";
  FILE* pipe = popen(line.c_str(), "r");
  std::string text;
  char part[512];
  while (std::size_t got = fread(part, 1, sizeof part, pipe)) text.append(part, got);
  pclose(pipe);
  return text;
}

TEST(AdminSocket, the_stock_tool_talks_to_it) {
  std::string path = "/tmp/spirula-admin-" + std::to_string(getpid()) + ".asok";
  run_main([path](Shard& shard) -> Task<int> {
    DaemonCommands commands;
    auto socket = AdminSocket::open(shard, path, commands);
    EXPECT_TRUE(socket);
    commands.add("perf dump", "name=logger,type=CephString,req=false", "counters",
                 [](DaemonCommands::Arguments arguments) -> Task<Result<std::string>> {
                   co_return "counters of " + arguments["logger"] + "\n";
                 });
    commands.add("fail", "", "fails",
                 [](DaemonCommands::Arguments) -> Task<Result<std::string>> { co_return Errc::busy; });
    commands.add("list", "", "lists",
                 [](DaemonCommands::Arguments) -> Task<Result<std::string>> { co_return "[1,{\"two\":2}]"; });
    BlockingPool pool("tool", 1);
    std::string dump, fail, help, list, unknown;
    co_await pool.run([&] {
      dump = ceph_daemon(path, "perf dump osd");
      fail = ceph_daemon(path, "fail");
      help = ceph_daemon(path, "help");
      list = ceph_daemon(path, "list");
      unknown = ceph_daemon(path, "nonsense");
    });
    EXPECT_EQ(dump, "counters of osd\n");
    EXPECT_TRUE(fail.starts_with("ERROR: (16)")) << fail;
    EXPECT_NE(help.find("    \"perf dump\": \"counters\""), help.npos) << help;
    EXPECT_EQ(list, "[\n    1,\n    {\n        \"two\": 2\n    }\n]\n");
    EXPECT_NE(unknown.find("invalid command"), unknown.npos) << unknown;
    co_await (*socket)->stop();
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    co_return 0;
  });
}

}  // namespace
}  // namespace spirula::msg
