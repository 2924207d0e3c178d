#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "base/task_group.h"
#include "mds/load_session.h"
#include "mds/types.h"

/// mds-load -c CONF [--sessions N] [--depth N] [--seconds N] [--count N] [--files N] create|stat|unlink: keeps an MDS
/// busy, ours or a stock one, with many sessions that speak the clients' protocol and little else. Each has its own
/// directory, /load.N, and `depth` requests under way. `create` makes empty files there and gives their caps back, as a
/// client that closes and forgets them; `stat` looks names up at random; `unlink` removes them all, however long it
/// takes. Prints one line of JSON; "cpu_seconds" is what it spent itself meanwhile.
namespace {

using namespace spirula;
using mds::LoadSession;
using msg::ClientRequest;
using msg::MdsOp;

constexpr const char* usage =
    "usage: mds-load -c CONF [--sessions N] [--depth N] [--seconds N] [--count N] [--files N] create|stat|unlink\n";

constexpr Option tool_options[] = {
    {.name = "sessions",
     .type = OptionType::integer,
     .default_value = "16",
     .description = "clients",
     .min = 1,
     .max = 1024},
    {.name = "depth",
     .type = OptionType::integer,
     .default_value = "8",
     .description = "requests under way, each client",
     .min = 1,
     .max = 1024},
    {.name = "seconds",
     .type = OptionType::duration,
     .default_value = "5",
     .description = "how long at most",
     .min = 0.1,
     .max = 86400},
    {.name = "count",
     .type = OptionType::integer,
     .default_value = "0",
     .description = "how many at most; 0: any",
     .min = 0,
     .max = 1e12},
    {.name = "files",
     .type = OptionType::integer,
     .default_value = "0",
     .description = "in how many of a directory's names stat looks; 0: all",
     .min = 0,
     .max = 1e12},
    {.name = "timeout",
     .type = OptionType::duration,
     .default_value = "60",
     .description = "of one request",
     .min = 0.1,
     .max = 3600},
};

enum class Verb { create, stat, unlink };

struct Load {
  Shard& shard;
  Config& config;
  Verb verb;
  MonotonicTime until;
  std::uint64_t left = ~std::uint64_t{0};  ///< requests that may still begin
  std::uint64_t operations = 0;
  std::string problem;
};

struct Worker {
  Load& load;
  unsigned number;
  std::unique_ptr<LoadSession> session;
  std::uint64_t dir = 0, files = 0, next = 0;
};

ClientRequest named(MdsOp op, std::uint64_t dir, std::string name) {
  ClientRequest request;
  request.op = op;
  request.path = {dir, std::move(name)};
  return request;
}

ClientRequest next_request(Worker& worker) {
  auto file = [](std::uint64_t index) { return fmt::format("file{}", index); };
  switch (worker.load.verb) {
    case Verb::create: {
      ClientRequest request = named(MdsOp::create, worker.dir, file(worker.next++));
      ClientRequest::Open open;
      open.flags = ClientRequest::Open::create | ClientRequest::Open::exclusive | ClientRequest::Open::write_only;
      open.mode = 0644;
      request.set(open);
      request.flags |= ClientRequest::flag_want_dentry;
      return request;
    }
    case Verb::stat: {
      ClientRequest request = named(MdsOp::lookup, worker.dir, file(worker.load.shard.random().below(worker.files)));
      request.set(ClientRequest::Getattr{mds::cap::pin | mds::cap::any_shared});
      return request;
    }
    case Verb::unlink:
      return named(MdsOp::unlink, worker.dir, file(worker.next++));
  }
  __builtin_unreachable();
}

/// While there is time, and until so many have begun; what is to be unlinked is all unlinked.
std::optional<ClientRequest> request_in_time(Worker& worker) {
  Load& load = worker.load;
  const bool goes_on = load.verb == Verb::unlink ? worker.next < worker.files : load.shard.clock().now() < load.until;
  if (!goes_on || !load.left || !load.problem.empty()) return std::nullopt;
  --load.left;
  return next_request(worker);
}

Task<> keep_busy(Worker& worker) {
  Load& load = worker.load;
  const auto depth = static_cast<std::size_t>(load.config.integer("depth"));
  auto source = [&worker] { return request_in_time(worker); };
  auto answered = co_await worker.session->keep_busy(depth, source);
  if (answered)
    load.operations += *answered;
  else
    load.problem = answered.error().message();
}

/// Its own directory, made if it is not there.
Task<Result<>> enter(Worker& worker) {
  const std::string name = fmt::format("load.{}", worker.number);
  ClientRequest look = named(MdsOp::lookup, 1, name);
  look.set(ClientRequest::Getattr{mds::cap::pin | mds::cap::any_shared});
  CO_TRY(LoadSession::Answer answer, co_await worker.session->call(look));
  if (answer.result == -2) {
    ClientRequest make = named(MdsOp::mkdir, 1, name);
    make.flags |= ClientRequest::flag_want_dentry;
    make.set(ClientRequest::Mknod{0755, 0});
    CO_TRY(answer, co_await worker.session->call(make));
  }
  if (answer.result < 0) co_return from_errno(-answer.result);
  worker.dir = answer.ino;
  worker.files = answer.files;
  const auto most = static_cast<std::uint64_t>(worker.load.config.integer("files"));
  if (worker.load.verb == Verb::stat && most) worker.files = std::min(worker.files, most);
  if (worker.load.verb == Verb::create) worker.next = worker.files;
  if (worker.load.verb == Verb::stat && !worker.files) co_return Errc::not_found;
  co_return Result<>{};
}

Task<> prepare(Worker& worker) {
  auto opened =
      co_await LoadSession::open(worker.load.shard, worker.load.config, worker.load.config.duration("timeout"));
  if (!opened) {
    worker.load.problem = "a session does not open: " + opened.error().message();
    co_return;
  }
  worker.session = *std::move(opened);
  Result<> entered = co_await enter(worker);
  if (!entered) worker.load.problem = "its directory: " + entered.error().message();
}

Task<> leave(Worker& worker) {
  if (worker.session) co_await worker.session->close();
}

Task<int> run(Shard& shard, Config& config, Verb verb) {
  Load load{.shard = shard, .config = config, .verb = verb};
  std::vector<std::unique_ptr<Worker>> workers;
  TaskGroup tasks(shard);
  for (unsigned i = 0; i < config.integer("sessions"); ++i) {
    workers.push_back(std::make_unique<Worker>(load, i));
    tasks.spawn(prepare(*workers.back()));
  }
  co_await tasks.join();
  const MonotonicTime began = shard.clock().now();
  load.until = began + config.duration("seconds");
  if (std::int64_t count = config.integer("count")) load.left = static_cast<std::uint64_t>(count);
  const std::clock_t cpu_before = std::clock();
  for (auto& worker : workers)
    if (load.problem.empty()) tasks.spawn(keep_busy(*worker));
  co_await tasks.join();
  const double seconds = std::chrono::duration<double>(shard.clock().now() - began).count();
  const double cpu_seconds = static_cast<double>(std::clock() - cpu_before) / CLOCKS_PER_SEC;
  for (auto& worker : workers) tasks.spawn(leave(*worker));
  co_await tasks.join();
  if (!load.problem.empty()) {
    fmt::print(stderr, "a request failed: {}\n", load.problem);
    co_return 1;
  }
  fmt::print("{{\"operations\": {}, \"seconds\": {:.3f}, \"per_second\": {:.1f}, \"cpu_seconds\": {:.3f}}}\n",
             load.operations, seconds, static_cast<double>(load.operations) / seconds, cpu_seconds);
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  log_set_level("", LogLevel::warning);
  Config config("client", "admin");
  config.add(tool_options);
  if (auto status = read_command_line(config, usage, argc, argv)) return *status;
  const auto& words = config.positional();
  std::optional<Verb> verb;
  if (words.size() == 1) {
    if (words[0] == "create") verb = Verb::create;
    if (words[0] == "stat") verb = Verb::stat;
    if (words[0] == "unlink") verb = Verb::unlink;
  }
  if (!verb) {
    fmt::print(stderr, "{}", usage);
    return 1;
  }
  return run_main([&config, verb](Shard& shard) { return run(shard, config, *verb); });
}
