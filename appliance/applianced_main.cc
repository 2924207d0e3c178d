#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>
#include <filesystem>

#include "appliance/access_api.h"
#include "appliance/box_api.h"
#include "appliance/console.h"
#include "appliance/files.h"
#include "appliance/http_server.h"
#include "appliance/live_api.h"
#include "appliance/options.h"
#include "appliance/page.h"
#include "appliance/tls.h"
#include "base/coroutine.h"
#include "base/log.h"

/// applianced: owns the box. Serves the page and the API in the foreground until SIGTERM.
namespace {

using namespace spirula;
using namespace spirula::appliance;

int complain(std::string_view what, std::string_view why) {
  fmt::print(stderr, "applianced: {}: {}\n", what, why);
  return 1;
}

BoxOptions box_options(const Config& config) {
  BoxOptions options;
  options.places = {.state = config.text("state"),
                    .address = config.text("address"),
                    .mon_port = static_cast<unsigned>(config.integer("mon_port"))};
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
  const std::string state = config.text("state"), address = config.text("address");
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
  auto identity = load_or_make_identity(state, {documents->current().name + ".local", "localhost"}, {address});
  if (!identity) co_return complain(state + "/tls.crt", identity.error().message());
  if (auto made = make_folder(state + "/log", 0700); !made) co_return complain(state, made.error().message());

  constexpr unsigned worker_threads = 2;
  BlockingPool workers("worker", worker_threads);
  Metrics metrics;
  Sessions sessions;
  JobBoard jobs(shard);
  auto supervisor = kind == "systemd" ? supervise_with_systemd(workers) : supervise_children(shard, state + "/log");
  Box box(shard, box_options(config), *documents, jobs, *supervisor, workers);
  Watcher watcher(shard, box, *documents, workers, metrics);
  auto access = AccessApi::open(shard, *documents, sessions, workers, metrics, state);
  LiveApi live(shard, jobs, sessions, metrics);
  live.status = [&] { return watcher.status(); };
  live.status_version = [&] { return watcher.version(); };
  BoxApi boxes(shard, *documents, box, watcher);
  const PageFiles page;
  Router router(shard, sessions);
  std::unique_ptr<HttpServer> server;
  std::optional<Console> console;
  int status = 0;
  if (access) {
    (*access)->add_to(router);
    live.add_to(router);
    boxes.add_to(router);
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
    if (auto path = config.text("console_file"); !path.empty()) {
      console.emplace(shard, Console::Fixed{path, url, identity->fingerprint, config.flag("console_mounts")}, **access,
                      *documents, box);
      console->start();
    }
    box.start();
    watcher.start();
    co_await wait_for_termination(shard);
    log_info("box", "stopping");
    co_await server->stop();
  }
  if (console) co_await console->stop();
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
    fmt::print("{}", config.help());
    return 0;
  }
  return run_main([&](Shard& shard) { return serve(shard, config); });
}
