#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "base/blocking.h"
#include "base/shard.h"
#include "base/task.h"
#include "base/task_group.h"
#include "mon/decision_log.h"
#include "mon/state.h"

namespace spirula::mon {

/// The one way to change the monitor's state. A proposal drafts changes from the state as every earlier proposal leaves
/// it; what is drafted becomes a decision, is made durable, then becomes the state. Proposals that arrive while a
/// decision is on its way to disk share the next one, and so one sync. A consensus among several monitors takes the
/// place of the log's append(); nothing above notices.
/// Lives on one shard; stop() before destruction.
class Decider {
 public:
  /// Drafts, or says why not; then nothing of it is kept. Must not wait.
  using Proposal = std::move_only_function<Result<>(Draft&)>;
  /// Told once the proposal is decided and state() shows it, or that it failed: the proposal's own error, or the disk's
  /// (Errc::no_space: refused for now; Errc::outcome_unknown: after a restart it may turn out decided).
  using Done = std::move_only_function<void(Result<>)>;

  Decider(Shard& shard, std::unique_ptr<DecisionLog> log, State state);
  ~Decider();

  const State& state() const { return state_; }
  std::uint64_t sequence() const { return log_->sequence(); }
  /// The disk's last answer: what it is that keeps decisions from being made, if anything.
  const Result<>& disk() const { return disk_; }
  /// Called after each decision, before the proposers are told.
  void on_decided(std::move_only_function<void(const State& before)> observer) { observer_ = std::move(observer); }

  void submit(Proposal proposal, Done done);
  /// Errc::again when proposals_max are waiting already; Errc::cancelled while stopping.
  Task<Result<>> decide(Proposal proposal);
  Task<> stop();

 private:
  struct Waiting {
    Proposal proposal;
    Done done;
  };
  Task<> work();
  Task<Result<>> make_durable(Buffer record);
  Task<> on_disk(std::move_only_function<void()> call);
  Task<> checkpoint_if_due();

  std::unique_ptr<DecisionLog> log_;
  State state_;
  Result<> disk_;
  std::move_only_function<void(const State&)> observer_;
  std::deque<Waiting> waiting_;
  bool working_ = false;
  bool stopping_ = false;
  std::unique_ptr<BlockingPool> disk_pool_;
  TaskGroup tasks_;
};

namespace limits {
inline constexpr std::size_t proposals_max = 16'384;        ///< waiting; more are refused with EAGAIN
inline constexpr std::size_t proposals_per_decision = 512;  ///< so that one decision stays some megabytes at most
inline constexpr std::uint64_t log_bytes_max = 16 << 20;    ///< then a checkpoint: bounds replay at start
}  // namespace limits

}  // namespace spirula::mon
