#include <fmt/format.h>
#include <unistd.h>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "mds/mds.h"

using namespace spirula;

namespace {

constexpr const char* about =
    "cmds: the metadata server.\n"
    "usage: cmds -i NAME -c CONF    serve in the foreground until SIGTERM\n";

Task<> watch_signals(Shard& shard, Event& signalled, Event& over) {
  co_await wait_for_termination(shard);
  signalled.set();
  over.set();
}

/// 0: told to end; 1: cannot start; 2: replaced or broken, another life may begin.
Task<int> serve(Shard& shard, Config& config) {
  int status = 0;
  {
    mds::Mds daemon(shard, config);
    TaskGroup tasks(shard);
    Event signalled;
    tasks.spawn(watch_signals(shard, signalled, daemon.over()));
    auto start = [](mds::Mds& d, int& code) -> Task<> {
      Result<> started = co_await d.start();
      if (started || started.error() == Errc::cancelled) co_return;
      log_error("mds", "cannot start: {}", started.error().message());
      code = 1;
      d.over().set();
    };
    tasks.spawn(start(daemon, status));
    (void)co_await daemon.over().wait();
    if (!signalled.is_set() && status == 0) status = 2;
    log_info("mds", "stopping");
    co_await tasks.stop();
    co_await daemon.stop(signalled.is_set());
  }
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  Config config("mds", "");
  config.add(mds::options());
  if (auto status = read_command_line(config, about, argc, argv)) return *status;
  if (config.id().empty()) {
    fmt::print(stderr, "cmds: -i names the MDS\n");
    return 1;
  }
  begin_daemon(config);
  int status = run_main([&](Shard& shard) -> Task<int> { return serve(shard, config); });
  if (status != 2) return status;
  // Replaced: a new process is a new MDS to the monitor, and may be a standby.
  ::usleep(500'000);
  ::execv("/proc/self/exe", argv);
  return 1;
}
