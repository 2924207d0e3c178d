#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"
#include "base/task_group.h"

namespace spirula::appliance {

enum class JobState { running, done, failed };

/// Long work, as the page shows it. Survives a reload of the page, not a restart of the daemon.
struct Job {
  std::uint64_t id = 0;
  std::string kind;   ///< "setup"
  std::string title;  ///< for people
  JobState state = JobState::running;
  double progress = 0;                  ///< 0 to 1
  std::string step;                     ///< what is being done, for people
  std::string error;                    ///< what went wrong and what to do
  std::int64_t started = 0, ended = 0;  ///< seconds since 1970
};
boost::json::object to_json(const Job& job);

/// All jobs, newest last. Lives on one shard; stop() before destruction.
class JobBoard {
 public:
  explicit JobBoard(Shard& shard) : shard_(shard), tasks_(shard) {}

  /// What the work of a job is given to say how far it is. Lives until the work ends.
  class Progress {
   public:
    void at(double progress, std::string step);
    /// What to tell the owner when the work then returns an error; without it, the error's own text.
    void failed(std::string words);

   private:
    friend class JobBoard;
    Progress(JobBoard& board, std::shared_ptr<Job> job) : board_(board), job_(std::move(job)) {}
    JobBoard& board_;
    std::shared_ptr<Job> job_;
  };
  using Work = std::function<Task<Result<>>(Progress&)>;

  /// Errc::busy while one of the same kind runs.
  Result<std::uint64_t> start(std::string kind, std::string title, Work work);
  const Job* find(std::uint64_t id) const;
  const Job* running(const std::string& kind) const;
  boost::json::array list() const;
  /// Grows with every change of any job.
  std::uint64_t version() const { return version_; }
  Task<> stop();

 private:
  Task<> run(std::shared_ptr<Job> job, Work work);
  Shard& shard_;
  TaskGroup tasks_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::uint64_t last_id_ = 0, version_ = 0;
};

}  // namespace spirula::appliance
