#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/coroutine.h"
#include "base/log.h"
#include "mds/mds.h"

using namespace spirula;

namespace {

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
  if (!config.parse(argc, argv)) {
    fmt::print(stderr, "cmds: {}\n", config.problem());
    return 1;
  }
  if (config.id().empty()) {
    fmt::print(stderr, "cmds: -i names the MDS\n");
    return 1;
  }
  if (std::string file = config.text("log_file"); !file.empty() && !config.flag("log_to_stderr"))
    if (!log_to_file(file.c_str())) fmt::print(stderr, "cmds: cannot log to {}\n", file);
  constexpr rlim_t descriptors = 65536;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < descriptors) {
    limit.rlim_cur = std::min<rlim_t>(descriptors, limit.rlim_max);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (std::string file = config.text("pid_file"); !file.empty()) std::ofstream(file) << ::getpid() << "\n";
  int status = run_main([&](Shard& shard) -> Task<int> { return serve(shard, config); });
  if (status != 2) return status;
  // Replaced: a new process is a new MDS to the monitor, and may be a standby.
  ::usleep(500'000);
  ::execv("/proc/self/exe", argv);
  return 1;
}
