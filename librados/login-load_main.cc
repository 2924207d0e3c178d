#include <fmt/format.h>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/task_group.h"
#include "librados/cluster.h"

/// login-load -c CONF [--seconds N] [--parallel N]: clients that log in, take the monitor's first maps and leave, over
/// and over; for tests/bench-monitor. Prints one line: logins, seconds, logins a second.
namespace {

using namespace spirula;

constexpr Option tool_options[] = {
    {"seconds", OptionType::duration, "3", "how long", 0.1, 3600},
    {"parallel", OptionType::integer, "16", "clients at a time", 1, 1024},
    {"timeout", OptionType::duration, "30", "of one login", 0.1, 600},
};

struct Load {
  Shard& shard;
  Config& config;
  MonotonicTime until;
  unsigned logins = 0;
  std::error_code failed;
};

Task<> come_and_go(Load& load) {
  while (!load.failed && load.shard.clock().now() < load.until) {
    auto cluster = co_await librados::Cluster::connect(load.shard, load.config, load.config.duration("timeout"));
    if (!cluster) {
      load.failed = cluster.error();
      co_return;
    }
    ++load.logins;
    co_await (*cluster)->stop();
  }
}

Task<int> run(Shard& shard, Config& config) {
  MonotonicTime began = shard.clock().now();
  Load load{shard, config, began + config.duration("seconds")};
  TaskGroup clients(shard);
  for (std::int64_t i = 0; i < config.integer("parallel"); ++i) clients.spawn(come_and_go(load));
  co_await clients.join();
  if (load.failed) {
    fmt::print(stderr, "a login failed: {}\n", load.failed.message());
    co_return 1;
  }
  double seconds = std::chrono::duration<double>(shard.clock().now() - began).count();
  fmt::print("{} logins in {:.3f} seconds: {:.1f}\n", load.logins, seconds, load.logins / seconds);
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  log_set_level("", LogLevel::warning);
  Config config("client", "admin");
  config.add(tool_options);
  if (!config.parse(argc, argv)) {
    fmt::print(stderr, "{}\n", config.problem());
    return 1;
  }
  return run_main([&config](Shard& shard) { return run(shard, config); });
}
