#include "appliance/live_api.h"

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include <charconv>

#include "appliance/limits.h"
#include "base/coroutine.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

/// Events for one listener, for as long as its session lasts: `jobs` and `status`, each as a whole whenever it changed.
class Listener : public EventSource {
 public:
  Listener(Shard& shard, JobBoard& jobs, Sessions& sessions, LiveApi& api, std::string session)
      : shard_(shard), jobs_(jobs), sessions_(sessions), api_(api), session_(std::move(session)) {}

  Task<Result<std::string>> next() override {
    constexpr auto pause = std::chrono::milliseconds(250);
    const MonotonicTime until = shard_.clock().now() + limits::event_seconds_max;
    for (;;) {
      if (!sessions_.is_open(session_, shard_.clock().now())) co_return Errc::closed;
      std::string text;
      if (std::exchange(jobs_seen_, jobs_.version() + 1) != jobs_.version() + 1)
        text += fmt::format("event: jobs\ndata: {}\n\n", json::serialize(json::object{{"jobs", jobs_.list()}}));
      if (std::exchange(status_seen_, api_.status_version() + 1) != api_.status_version() + 1)
        text += fmt::format("event: status\ndata: {}\n\n", json::serialize(api_.status()));
      if (!text.empty()) co_return text;
      if (shard_.clock().now() >= until) co_return std::string(": still here\n\n");
      CO_TRY(co_await shard_.clock().sleep(pause));
    }
  }

 private:
  Shard& shard_;
  JobBoard& jobs_;
  Sessions& sessions_;
  LiveApi& api_;
  std::string session_;
  std::uint64_t jobs_seen_ = 0, status_seen_ = 0;  ///< the version sent, plus one
};

}  // namespace

void LiveApi::add_to(Router& router) {
  router.add(
      {"GET", "/api/v1/jobs", Access::viewer, "long work, running and done", "", action(this, &LiveApi::list_jobs)});
  router.add(
      {"GET", "/api/v1/jobs/{id}", Access::viewer, "one job and how far it is", "", action(this, &LiveApi::get_job)});
  router.add({"GET", "/api/v1/events", Access::viewer, "server-sent events: jobs and status, whenever they change", "",
              action(this, &LiveApi::listen)});
  router.add({"GET", "/metrics", Access::metrics, "figures in Prometheus's text format", "",
              action(this, &LiveApi::get_metrics)});
  router.add({"GET", "/api/v1/openapi.json", Access::open, "this document", "",
              [&router](Call) -> Task<HttpResponse> { co_return ok(router.openapi()); }});
}

Task<HttpResponse> LiveApi::list_jobs(Call) {
  co_return ok(json::object{{"jobs", jobs_.list()}});
}

Task<HttpResponse> LiveApi::get_job(Call call) {
  const std::string& text = call.parts[0];
  std::uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const Job* job = error == std::errc{} && end == text.data() + text.size() ? jobs_.find(id) : nullptr;
  if (!job) co_return fail(404, "no_job", "There is no such job; the box may have been restarted since.");
  co_return ok(to_json(*job));
}

Task<HttpResponse> LiveApi::listen(Call call) {
  HttpResponse response{.type = "text/event-stream"};
  response.events = std::make_shared<Listener>(shard_, jobs_, sessions_, *this, call.session.id);
  co_return response;
}

Task<HttpResponse> LiveApi::get_metrics(Call) {
  co_return HttpResponse{.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.to_prometheus()};
}

}  // namespace spirula::appliance
