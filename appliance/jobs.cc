#include "appliance/jobs.h"

#include "appliance/limits.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

std::int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

json::object to_json(const Job& job) {
  constexpr const char* states[] = {"running", "done", "failed"};
  return {{"id", job.id},
          {"kind", job.kind},
          {"title", job.title},
          {"state", states[static_cast<int>(job.state)]},
          {"progress", job.progress},
          {"step", job.step},
          {"error", job.error},
          {"started", job.started},
          {"ended", job.ended}};
}

void JobBoard::Progress::at(double progress, std::string step) {
  log_info("job", "{} {}: {}", job_->kind, job_->id, step);
  job_->progress = progress;
  job_->step = std::move(step);
  ++board_.version_;
}

void JobBoard::Progress::failed(std::string words) {
  job_->error = std::move(words);
}

Result<std::uint64_t> JobBoard::start(std::string kind, std::string title, Work work) {
  if (running(kind)) return Errc::busy;
  auto job = std::make_shared<Job>();
  job->id = ++last_id_;
  job->kind = std::move(kind);
  job->title = std::move(title);
  job->started = seconds(shard_.clock().wall());
  jobs_.push_back(job);
  for (auto it = jobs_.begin(); jobs_.size() > limits::jobs_kept_max && it != jobs_.end();)
    it = (*it)->state == JobState::running ? it + 1 : jobs_.erase(it);
  ++version_;
  tasks_.spawn(run(job, std::move(work)));
  return job->id;
}

Task<> JobBoard::run(std::shared_ptr<Job> job, Work work) {
  Progress progress(*this, job);
  Result<> done = co_await work(progress);
  job->ended = seconds(shard_.clock().wall());
  if (done) {
    job->state = JobState::done;
    job->progress = 1;
    job->error.clear();
  } else {
    job->state = JobState::failed;
    if (job->error.empty()) job->error = done.error().message();
    log_error("job", "{} {} failed: {}", job->kind, job->id, job->error);
  }
  ++version_;
}

const Job* JobBoard::find(std::uint64_t id) const {
  for (const auto& job : jobs_)
    if (job->id == id) return job.get();
  return nullptr;
}

const Job* JobBoard::running(const std::string& kind) const {
  for (const auto& job : jobs_)
    if (job->kind == kind && job->state == JobState::running) return job.get();
  return nullptr;
}

json::array JobBoard::list() const {
  json::array all;
  for (const auto& job : jobs_) all.push_back(to_json(*job));
  return all;
}

Task<> JobBoard::stop() {
  co_await tasks_.stop();
}

}  // namespace spirula::appliance
