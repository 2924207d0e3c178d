#include <fmt/format.h>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "base/shard.h"
#include "mon/admin.h"
#include "mon/mkfs.h"
#include "mon/monitor.h"
#include "mon/options.h"
#include "msg/admin_socket.h"

namespace {

using namespace spirula;

constexpr const char* about =
    "cmon: the monitor.\n"
    "usage: cmon --mkfs -i ID -c CONF --keyring FILE    make its store, with the keys in FILE, and exit\n"
    "       cmon -i ID -c CONF                          serve in the foreground until SIGTERM\n";

Task<int> serve(Shard& shard, Config& config) {
  auto monitor = mon::Monitor::open(shard, config);
  if (!monitor) co_return 1;
  auto started = co_await (*monitor)->start();
  int status = 0;
  if (started) {
    msg::DaemonCommands commands;
    mon::add_admin_commands(commands, **monitor);
    auto admin = msg::AdminSocket::open(shard, config.text("admin_socket"), commands);
    if (!admin) log_warning("mon", "no admin socket: {}", admin.error().message());
    co_await wait_for_termination(shard);
    log_info("mon", "terminating");
    if (admin && *admin) co_await (*admin)->stop();
  } else {
    log_error("mon", "cannot start: {}", started.error().message());
    status = 1;
  }
  co_await (*monitor)->stop();
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  Config config("mon", "");
  config.add(mon::options());
  if (auto status = read_command_line(config, about, argc, argv)) return *status;
  if (config.flag("mkfs")) {
    std::string problem;
    if (mon::make_store(config, problem)) return 0;
    fmt::print(stderr, "cmon: {}\n", problem);
    return 1;
  }
  begin_daemon(config);
  return run_main([&config](Shard& shard) { return serve(shard, config); });
}
