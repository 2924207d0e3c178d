#pragma once
#include <boost/json/object.hpp>
#include <functional>

#include "appliance/jobs.h"
#include "appliance/router.h"
#include "base/metrics.h"

namespace spirula::appliance {

/// What goes on: jobs, events, metrics, the OpenAPI document. Lives on one shard; outlives the router.
class LiveApi {
 public:
  LiveApi(Shard& shard, JobBoard& jobs, Sessions& sessions, Metrics& metrics)
      : shard_(shard), jobs_(jobs), sessions_(sessions), metrics_(metrics) {}
  void add_to(Router& router);
  /// What the dashboard shows, newest; sent as an event whenever `status_version` has grown.
  std::function<boost::json::object()> status = [] { return boost::json::object(); };
  std::function<std::uint64_t()> status_version = [] { return std::uint64_t{0}; };

 private:
  Task<HttpResponse> list_jobs(Call call);
  Task<HttpResponse> get_job(Call call);
  Task<HttpResponse> listen(Call call);
  Task<HttpResponse> get_metrics(Call call);

  Shard& shard_;
  JobBoard& jobs_;
  Sessions& sessions_;
  Metrics& metrics_;
};

}  // namespace spirula::appliance
