#include <unistd.h>

#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>
#include <filesystem>

#include "appliance/access_api.h"
#include "appliance/accounts_api.h"
#include "appliance/addresses.h"
#include "appliance/backup_api.h"
#include "appliance/box_api.h"
#include "appliance/console.h"
#include "appliance/doorstep.h"
#include "appliance/files.h"
#include "appliance/http_server.h"
#include "appliance/live_api.h"
#include "appliance/options.h"
#include "appliance/page.h"
#include "appliance/settings_api.h"
#include "appliance/setup_file.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/task_group.h"
#include "base/wait.h"

/// applianced: owns the box. Serves the page and the API in the foreground until SIGTERM.
namespace {

using namespace spirula;
using namespace spirula::appliance;

int complain(std::string_view what, std::string_view why) {
  fmt::print(stderr, "applianced: {}: {}\n", what, why);
  return 1;
}

/// The owner chose "reset the password" in the boot menu, which takes being at the box: a new claim code is shown, and
/// all accounts are gone. Once a boot; `boot_file` is in memory. `state`: the folder where the code is kept.
void reset_access(DocumentStore& documents, const std::string& boot_file, const std::string& state) {
  auto text = read_file(boot_file);
  const std::string done = boot_file + ".reset-done";
  if (!text || text->find("reset=access") == text->npos || read_file(done)) return;
  // The code of the first claim can be there still, if the power went soon after that.
  ::unlink((state + "/claim-code").c_str());
  Document document = documents.current();
  document.accounts.clear();
  document.metrics_token_hash.clear();
  document.network = {};
  if (documents.save(std::move(document)) && write_file(done, "", 0600))
    log_warning("box", "password and address were reset from the boot menu");
}

constexpr const char* no_address = "127.0.0.1";

/// This machine's address, for which we wait a moment after a start; without a network the box serves itself.
Task<std::string> find_address(Shard& shard, std::string wished) {
  if (wished != "auto") co_return wished;
  constexpr int tries = 20;
  for (int i = 0; i < tries; ++i) {
    if (auto address = primary_address()) co_return *address;
    if (!co_await shard.clock().sleep(std::chrono::milliseconds(500))) break;
  }
  co_return no_address;
}

/// Ends us when the address is another one: systemd starts us again, and everything follows from the new address.
Task<> watch_address(Shard& shard, std::string address, Event& over) {
  while (co_await shard.clock().sleep(std::chrono::seconds(3))) {
    auto now = primary_address();
    if (!now || *now == address) continue;
    log_warning("box", "the address was {} and is {} now: starting anew", address, *now);
    over.set();
    co_return;
  }
}

Task<> watch_signals(Shard& shard, Event& over) {
  co_await wait_for_termination(shard);
  over.set();
}

BoxOptions box_options(const Config& config, const std::string& address) {
  BoxOptions options;
  options.places = {.state = config.text("state"),
                    .address = address,
                    .mon_port = static_cast<unsigned>(config.integer("mon_port")),
                    .daemon_port = static_cast<unsigned>(config.integer("daemon_port"))};
  options.programs = config.text("programs");
  if (options.programs.empty()) {
    std::error_code error;
    options.programs = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  }
  const std::string all = config.text("disks");
  for (std::size_t at = 0; at < all.size();) {
    std::size_t end = std::min(all.find(',', at), all.size());
    if (end > at) options.disks_only.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return options;
}

/// "https://192.168.1.5:8443/": where a browser on this network finds us.
std::string page_url(Endpoint at, const std::string& address) {
  const bool any = at.address == decltype(at.address){};
  std::string host = at.describe();
  host = any ? (address.find(':') == address.npos ? address : "[" + address + "]") : host.substr(0, host.rfind(':'));
  constexpr std::uint16_t https_port = 443;
  return at.port == https_port ? fmt::format("https://{}/", host) : fmt::format("https://{}:{}/", host, at.port);
}

Task<int> serve(Shard& shard, Config& config) {
  const std::string state = config.text("state");
  const bool follow = config.text("address") == "auto";
  const std::string address = co_await find_address(shard, config.text("address"));
  auto at = Endpoint::parse(config.text("page_address"));
  if (!at) co_return complain("--page-address", "not an address with a port");
  if (!Endpoint::parse(address)) co_return complain("--address", "not an address");
  const std::string kind = config.text("supervisor");
  if (kind != "children" && kind != "systemd") co_return complain("--supervisor", "neither children nor systemd");
  if (auto made = make_folder(state, 0700); !made) co_return complain(state, made.error().message());
  std::string problem;
  auto documents = DocumentStore::open(state, problem);
  if (!documents) co_return complain(state + "/config.json", problem);
  if (!documents->notice().empty()) log_warning("box", "{}", documents->notice());
  if (auto boot = config.text("boot_file"); !boot.empty()) reset_access(*documents, boot, state);
  std::string notice = documents->notice();
  if (auto file = config.text("setup_file"); !file.empty())
    if (auto wrong = apply_setup_file(file, state, *documents); !wrong.empty()) notice = wrong;
  if (follow && address == no_address)
    notice = "No network: connect a network cable. The address appears here a moment later.";
  auto identity = load_or_make_identity(state, {documents->current().name + ".local", "localhost"}, {address});
  if (!identity) co_return complain(state + "/tls.crt", identity.error().message());
  if (auto made = make_folder(state + "/log", 0700); !made) co_return complain(state, made.error().message());

  constexpr unsigned worker_threads = 2;
  BlockingPool workers("worker", worker_threads);
  Metrics metrics;
  Sessions sessions;
  JobBoard jobs(shard);
  auto supervisor = kind == "systemd" ? supervise_with_systemd(workers) : supervise_children(shard, state + "/log");
  Box box(shard, box_options(config, address), *documents, jobs, *supervisor, workers);
  Watcher watcher(shard, box, *documents, workers, metrics);
  AccountsApi accounts(*documents, sessions, workers);
  auto access = AccessApi::open(shard, *documents, sessions, workers, metrics, state);
  LiveApi live(shard, jobs, sessions, metrics);
  live.status = [&] { return watcher.status(); };
  live.status_version = [&] { return watcher.version(); };
  BoxApi boxes(shard, *documents, box, watcher);
  const PageFiles page;
  NetworkKeeper network(shard, *documents, workers, config.text("network_folder"));
  const TlsIdentity own_making = *identity;
  if (auto own = load_own_identity(state)) identity = own;
  Router router(shard, sessions);
  std::unique_ptr<HttpServer> server;
  std::optional<Doorstep> doorstep;
  std::unique_ptr<HttpServer> door;
  std::optional<Console> console;
  BackupApi backups(shard, *documents, box, jobs);
  SettingsApi settings(shard, *documents, network, workers, *identity,
                       {.state = state,
                        .address = address,
                        .set_clock = config.flag("set_clock"),
                        .set_name = config.flag("set_name"),
                        .own_making = own_making,
                        .use = [&](const TlsIdentity& other) { return server->use(other); }});
  TaskGroup tasks(shard);
  Event over;
  int status = 0;
  if (access) {
    (*access)->add_to(router);
    accounts.add_to(router);
    live.add_to(router);
    boxes.add_to(router);
    backups.add_to(router);
    settings.add_to(router);
    router.page = [&page](const HttpRequest& request) { return page.get(request); };
    auto opened = HttpServer::open(shard, *at, &*identity, router);
    if (opened)
      server = std::move(*opened);
    else
      status = complain(config.text("page_address"), opened.error().message());
  } else {
    status = complain(state, access.error().message());
  }
  if (server) {
    const std::string url = page_url(server->local(), address);
    log_info("page", "serving {}, certificate {}", url, identity->fingerprint);
    Console::Fixed fixed{.file = config.text("console_file"),
                         .issue = config.text("issue_file"),
                         .page = url,
                         .fingerprint = [&] { return settings.fingerprint(); },
                         .notice = notice,
                         .mounts = config.flag("console_mounts")};
    if (!fixed.file.empty() || !fixed.issue.empty()) {
      console.emplace(shard, std::move(fixed), **access, *documents, box, workers);
      console->start();
    }
    if (auto where = config.text("door_address"); !where.empty()) {
      doorstep.emplace(url, [&] { return settings.fingerprint(); });
      auto opened = Endpoint::parse(where);
      if (opened) {
        auto served = HttpServer::open(shard, *opened, nullptr, *doorstep);
        if (served) door = std::move(*served);
      }
      if (!door) log_warning("page", "cannot serve {}", where);
    }
    co_await network.start();
    settings.start();
    box.start();
    watcher.start();
    tasks.spawn(watch_signals(shard, over));
    if (follow) tasks.spawn(watch_address(shard, address, over));
    (void)co_await over.wait();
    log_info("box", "stopping");
    co_await tasks.stop();
    if (door) co_await door->stop();
    co_await server->stop();
  }
  if (console) co_await console->stop();
  co_await settings.stop();
  co_await network.stop();
  co_await watcher.stop();
  co_await jobs.stop();
  co_await box.stop();
  co_return status;
}

}  // namespace

int main(int argc, char** argv) {
  // Idle most of its life on a small box: one arena, and pages go back.
  ::mallopt(M_ARENA_MAX, 1);
  Config config("appliance", "");
  config.add(options());
  if (!config.parse_arguments({argv + 1, argv + argc})) return complain("command line", config.problem());
  if (config.flag("help")) {
    fmt::print("applianced: owns the box and serves its page, in the foreground until SIGTERM.\n\n{}", config.help());
    return 0;
  }
  return run_main([&](Shard& shard) { return serve(shard, config); });
}
