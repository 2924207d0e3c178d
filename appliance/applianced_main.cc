#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>

#include "appliance/access_api.h"
#include "appliance/files.h"
#include "appliance/http_server.h"
#include "appliance/live_api.h"
#include "appliance/options.h"
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

Task<int> serve(Shard& shard, Config& config) {
  const std::string state = config.text("state");
  auto at = Endpoint::parse(config.text("page_address"));
  if (!at) co_return complain("--page-address", "not an address with a port");
  if (auto made = make_folder(state, 0700); !made) co_return complain(state, made.error().message());
  std::string problem;
  auto documents = DocumentStore::open(state, problem);
  if (!documents) co_return complain(state + "/config.json", problem);
  auto identity = load_or_make_identity(state, {documents->current().name + ".local", "localhost"}, {"127.0.0.1"});
  if (!identity) co_return complain(state + "/tls.crt", identity.error().message());

  constexpr unsigned worker_threads = 2;
  BlockingPool workers("worker", worker_threads);
  Metrics metrics;
  Sessions sessions;
  JobBoard jobs(shard);
  auto access = AccessApi::open(shard, *documents, sessions, workers, metrics, state);
  if (!access) co_return complain(state, access.error().message());
  LiveApi live(shard, jobs, sessions, metrics);
  Router router(shard, sessions);
  (*access)->add_to(router);
  live.add_to(router);
  auto server = HttpServer::open(shard, *at, &*identity, router);
  if (!server) co_return complain(config.text("page_address"), server.error().message());
  log_info("page", "serving at {}, certificate {}", (*server)->local().describe(), identity->fingerprint);
  if (auto path = config.text("console_file"); !path.empty()) {
    std::string text =
        fmt::format("page https://{}/\nfingerprint {}\n", (*server)->local().describe(), identity->fingerprint);
    if (!(*access)->claim_code().empty()) text += fmt::format("code {}\n", (*access)->claim_code());
    if (auto written = write_file(path, text, 0600); !written) log_warning("page", "cannot write {}", path);
  }
  co_await wait_for_termination(shard);
  co_await (*server)->stop();
  co_await jobs.stop();
  co_return 0;
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
