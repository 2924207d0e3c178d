#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "appliance/supervisor.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/task_group.h"

namespace spirula::appliance {
namespace {

using namespace std::chrono_literals;

constexpr Duration look_every = 100ms;
constexpr Duration grace = 20s;  ///< between SIGTERM and SIGKILL
constexpr Duration pause_min = 500ms, pause_max = 30s;
/// Who ran for so long has not been dying all the time.
constexpr Duration settled_after = 60s;

struct Child {
  Service service;
  pid_t pid = 0;  ///< 0 while it waits to be started again
  unsigned restarts = 0;
  Duration pause = pause_min;
  MonotonicTime started{}, start_at{};
};

class Children : public Supervisor {
 public:
  Children(Shard& shard, std::string log_folder) : shard_(shard), log_folder_(std::move(log_folder)), tasks_(shard) {
    tasks_.spawn(watch());
  }

  Task<Result<>> start(Service service) override {
    if (children_.contains(service.name)) co_return Result<>{};
    Child child{.service = std::move(service)};
    CO_TRY(launch(child));
    std::string name = child.service.name;
    children_.emplace(std::move(name), std::move(child));
    co_return Result<>{};
  }

  Task<Result<>> stop(std::string name) override {
    auto node = children_.extract(name);
    if (node.empty()) co_return Result<>{};
    Child& child = node.mapped();
    if (child.pid == 0) co_return Result<>{};
    ::kill(child.pid, SIGTERM);
    const MonotonicTime kill_at = shard_.clock().now() + grace;
    while (!is_gone(child.pid)) {
      if (shard_.clock().now() >= kill_at) {
        log_warning("service", "{} does not end and is killed", name);
        ::kill(child.pid, SIGKILL);
        ::waitpid(child.pid, nullptr, 0);
        break;
      }
      (void)co_await shard_.clock().sleep(look_every);
    }
    co_return Result<>{};
  }

  Task<std::map<std::string, ServiceStatus>> status() override {
    std::map<std::string, ServiceStatus> all;
    for (const auto& [name, child] : children_) all[name] = {.running = child.pid != 0, .restarts = child.restarts};
    co_return all;
  }

  Task<> close() override {
    co_await tasks_.stop();
    while (!children_.empty()) {
      // Clients of others first: those started last.
      auto last = std::ranges::max_element(children_, {}, [](const auto& each) { return each.second.started; });
      std::string name = last->first;
      (void)co_await stop(name);
    }
  }

  bool outlives_us() const override { return false; }

 private:
  static bool is_gone(pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; }

  /// On the shard's thread, which lives as long as the process: PDEATHSIG is about the thread that forked.
  Result<> launch(Child& child) {
    const std::string output = log_folder_ + "/" + child.service.name + ".out";
    std::vector<char*> argv;
    for (const auto& each : child.service.argv) argv.push_back(const_cast<char*>(each.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_t pid = ::fork();
    if (pid < 0) return last_errno();
    if (pid == 0) {  // only calls that are safe between fork and exec
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::setsid();
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      int null = ::open("/dev/null", O_RDONLY);
      int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      if (null >= 0) ::dup2(null, 0);
      if (out >= 0) {
        ::dup2(out, 1);
        ::dup2(out, 2);
      }
      ::close_range(3, ~0u, 0);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    child.pid = pid;
    child.started = shard_.clock().now();
    log_info("service", "{} runs as {}", child.service.name, pid);
    return {};
  }

  void look_after(Child& child) {
    const MonotonicTime now = shard_.clock().now();
    if (child.pid != 0 && is_gone(child.pid)) {
      child.pid = 0;
      ++child.restarts;
      child.pause = now - child.started > settled_after ? pause_min : std::min(child.pause * 2, pause_max);
      child.start_at = now + child.pause;
      log_error("service", "{} has died and is started again", child.service.name);
    }
    if (child.pid == 0 && now >= child.start_at && !launch(child)) child.start_at = now + child.pause;
  }

  Task<> watch() {
    while (co_await shard_.clock().sleep(look_every))
      for (auto& [name, child] : children_) look_after(child);
  }

  Shard& shard_;
  std::string log_folder_;
  std::map<std::string, Child> children_;
  TaskGroup tasks_;
};

}  // namespace

std::unique_ptr<Supervisor> supervise_children(Shard& shard, std::string log_folder) {
  return std::make_unique<Children>(shard, std::move(log_folder));
}

}  // namespace spirula::appliance
