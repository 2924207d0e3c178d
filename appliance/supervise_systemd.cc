#include <fmt/format.h>

#include <charconv>
#include <set>

#include "appliance/files.h"
#include "appliance/supervisor.h"
#include "appliance/tools.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace {

std::string unit_of(const std::string& name) {
  return "spirula-" + name + ".service";
}

/// A unit that is started again for ever, and is not slowed by systemd's own limit on starts.
std::string unit_text(const Service& service) {
  std::string command;
  for (const auto& each : service.argv) command += (command.empty() ? "" : " ") + each;
  return fmt::format(
      "[Unit]\nDescription=Spirula {}\nStartLimitIntervalSec=0\nAfter=network.target\n\n"
      "[Service]\nExecStart={}\nRestart=always\nRestartSec=1\nTimeoutStopSec=30\nLimitNOFILE=65536\n"
      "NoNewPrivileges=true\nProtectHome=true\nOOMScoreAdjust=-500\n",
      service.name, command);
}

class Systemd : public Supervisor {
 public:
  explicit Systemd(BlockingPool& workers) : workers_(workers) {}

  Task<Result<>> start(Service service) override {
    Result<> done;
    std::string words;
    co_await workers_.run([&] { done = start_blocking(service, words); });
    if (!done) log_error("service", "{} cannot be started: {}", service.name, words);
    if (done) names_.insert(service.name);
    co_return done;
  }

  Task<Result<>> stop(std::string name) override {
    Result<> done;
    co_await workers_.run([&] {
      std::string words;
      auto stopped = need_tool({"systemctl", "stop", unit_of(name)}, words);
      if (!stopped) done = stopped.error();
    });
    names_.erase(name);
    co_return done;
  }

  Task<std::map<std::string, ServiceStatus>> status() override {
    std::map<std::string, ServiceStatus> all;
    std::set<std::string> names = names_;
    co_await workers_.run([&] {
      for (const auto& name : names) {
        auto shown = run_tool({"systemctl", "show", "--property=ActiveState,NRestarts", unit_of(name)});
        ServiceStatus& status = all[name];
        if (!shown) continue;
        status.running = shown->output.find("ActiveState=active") != std::string::npos;
        constexpr std::string_view key = "NRestarts=";
        if (auto at = shown->output.find(key); at != std::string::npos) {
          const char* begin = shown->output.data() + at + key.size();
          std::from_chars(begin, shown->output.data() + shown->output.size(), status.restarts);
        }
      }
    });
    co_return all;
  }

  Task<> close() override { co_return; }
  bool outlives_us() const override { return true; }

 private:
  static Result<> start_blocking(const Service& service, std::string& words) {
    const std::string path = "/run/systemd/system/" + unit_of(service.name), text = unit_text(service);
    auto known = read_file(path);
    if (!known || *known != text) {
      TRY(make_folder("/run/systemd/system", 0755));
      TRY(write_file(path, text, 0644));
      TRY(need_tool({"systemctl", "daemon-reload"}, words));
    }
    TRY(need_tool({"systemctl", "start", unit_of(service.name)}, words));
    return {};
  }

  BlockingPool& workers_;
  std::set<std::string> names_;
};

}  // namespace

std::unique_ptr<Supervisor> supervise_with_systemd(BlockingPool& workers) {
  return std::make_unique<Systemd>(workers);
}

}  // namespace spirula::appliance
