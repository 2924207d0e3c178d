#include <fmt/format.h>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "msg/cephx_client.h"
#include "msg/keyring.h"
#include "msg/messenger.h"

/// login-load -c CONF [--seconds N] [--parallel N]: clients that prove to a monitor who they are, get their tickets and
/// leave, over and over; for tests/bench-monitor. Prints one line: logins, seconds, logins a second.
namespace {

using namespace spirula;

constexpr const char* usage = "usage: login-load -c CONF [--seconds N] [--parallel N]\n";

constexpr Option tool_options[] = {
    {"seconds", OptionType::duration, "3", "how long", 0.1, 3600},
    {"parallel", OptionType::integer, "16", "clients at a time", 1, 1024},
    {"timeout", OptionType::duration, "30", "of one login", 0.1, 600},
};

struct Load {
  Shard& shard;
  msg::KeyName name;
  msg::CryptoKey key;
  msg::AddressVector monitor;
  Duration timeout{};
  MonotonicTime until;
  unsigned logins = 0;
  std::string problem;
};

struct Visit : msg::Dispatcher {
  Event over;
  bool stood = false;
  std::error_code failed;
  void on_message(msg::ConnectionRef, msg::Message) override {}
  void on_connect(msg::ConnectionRef) override {
    stood = true;
    over.set();
  }
  void on_connect_failed(msg::ConnectionRef, std::error_code why) override {
    failed = why;  // it is tried again: ceph-mon turns clients away while it has no number for them at hand
    if (why == make_error_code(Errc::access)) over.set();
  }
};

Task<> come_and_go(Load& load) {
  constexpr auto services = static_cast<std::uint32_t>(msg::EntityType::mon) |
                            static_cast<std::uint32_t>(msg::EntityType::osd) |
                            static_cast<std::uint32_t>(msg::EntityType::mds);
  while (load.problem.empty() && load.shard.clock().now() < load.until) {
    msg::CephxClient login(load.name, load.key, services, msg::EntityType::none, load.shard.random(),
                           load.shard.clock());
    Visit visit;
    msg::MessengerOptions options;
    options.name = {msg::EntityType::client, -1};
    options.policy_for = [](msg::EntityType) { return msg::Policy{}; };
    options.auth_client = &login;
    auto messenger = msg::Messenger::create(load.shard, options, visit);
    (void)messenger->connect(load.shard, msg::EntityType::mon, load.monitor);
    Result<> ended = co_await visit.over.wait_until(load.shard.clock(), load.shard.clock().now() + load.timeout);
    if (!visit.stood) load.problem = ended ? visit.failed.message() : ended.error().message();
    load.logins += visit.stood;
    co_await messenger->stop();
  }
}

Task<int> run(Shard& shard, Config& config) {
  auto name = msg::KeyName::parse(config.name());
  auto keyring = msg::Keyring::load(config.text("keyring"));
  auto key = name && keyring ? keyring->find(*name) : Result<msg::CryptoKey>(Errc::not_found);
  auto monitors = parse_mon_host(config.text("mon_host"));
  if (!key || !monitors) {
    fmt::print(stderr, "no monitor, or no key for {} in \"{}\"\n", config.name(), config.text("keyring"));
    co_return 1;
  }
  MonotonicTime began = shard.clock().now();
  Load load{shard, *name, *key, msg::AddressVector(msg::Address::msgr2(monitors->front(), 0))};
  load.timeout = config.duration("timeout");
  load.until = began + config.duration("seconds");
  TaskGroup clients(shard);
  for (std::int64_t i = 0; i < config.integer("parallel"); ++i) clients.spawn(come_and_go(load));
  co_await clients.join();
  if (!load.problem.empty()) {
    fmt::print(stderr, "a login failed: {}\n", load.problem);
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
  if (auto status = read_command_line(config, usage, argc, argv)) return *status;
  return run_main([&config](Shard& shard) { return run(shard, config); });
}
