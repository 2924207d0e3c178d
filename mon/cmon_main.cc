#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/shard.h"
#include "mon/admin.h"
#include "mon/mkfs.h"
#include "mon/monitor.h"
#include "mon/options.h"

/// cmon: the monitor. `cmon --mkfs -i ID -c CONF --keyring FILE` makes its store; `cmon -i ID -c CONF` serves in the
/// foreground until SIGTERM.
namespace {

using namespace spirula;

Task<int> serve(Shard& shard, Config& config) {
  auto monitor = mon::Monitor::open(shard, config);
  if (!monitor) co_return 1;
  auto started = co_await (*monitor)->start();
  int status = 0;
  if (started) {
    auto admin = mon::open_admin_socket(shard, config, **monitor);
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
  if (!config.parse(argc, argv)) {
    fmt::print(stderr, "cmon: {}\n", config.problem());
    return 1;
  }
  if (config.flag("mkfs")) {
    std::string problem;
    if (mon::make_store(config, problem)) return 0;
    fmt::print(stderr, "cmon: {}\n", problem);
    return 1;
  }
  if (auto path = config.text("log_file"); !path.empty() && !log_to_file(path.c_str())) {
    fmt::print(stderr, "cmon: cannot write {}\n", path);
    return 1;
  }
  if (auto path = config.text("pid_file"); !path.empty()) std::ofstream(path) << getpid() << '\n';
  return run_main([&config](Shard& shard) { return serve(shard, config); });
}
