#include "mon/decider.h"

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"

namespace spirula::mon {

Decider::Decider(Shard& shard, std::unique_ptr<DecisionLog> log, State state)
    : log_(std::move(log)), state_(std::move(state)), tasks_(shard) {
  if (log_->blocks()) disk_pool_ = std::make_unique<BlockingPool>("mon-log", 1);
}

Decider::~Decider() = default;

void Decider::submit(Proposal proposal, Done done) {
  if (stopping_) return done(Errc::cancelled);
  if (waiting_.size() >= limits::proposals_max) return done(Errc::again);
  waiting_.push_back({std::move(proposal), std::move(done)});
  if (working_) return;
  working_ = true;
  tasks_.spawn(work());
}

Task<Result<>> Decider::decide(Proposal proposal) {
  Promise<bool> decided;
  submit(std::move(proposal), [decided](Result<> result) mutable {
    if (result)
      decided.set(true);
    else
      decided.set(result.error());
  });
  auto result = co_await decided.get();
  CO_TRY(result);
  co_return Result<>();
}

Task<> Decider::work() {
  while (!waiting_.empty()) {
    struct Told {
      Done done;
      Result<> result;
    };
    std::vector<Told> told;
    Decision decision;
    State next = state_;
    while (!waiting_.empty() && told.size() < limits::proposals_per_decision) {
      Waiting one = std::move(waiting_.front());
      waiting_.pop_front();
      Draft draft(next);
      auto drafted = one.proposal(draft);
      if (drafted && !draft.empty()) {
        next = draft.state();
        for (const auto& step : draft.decision().steps) decision.steps.push_back(step);
      }
      told.push_back({std::move(one.done), std::move(drafted)});
    }
    Result<> durable;
    if (!decision.steps.empty()) {
      durable = co_await make_durable(encode(decision));
      if (durable) {
        State before = std::exchange(state_, std::move(next));
        if (observer_) observer_(before);
      }
    }
    // A proposal that changed nothing may have seen drafts that failed, so it shares their fate.
    for (auto& each : told) each.done(each.result && !durable ? durable : each.result);
    co_await checkpoint_if_due();
  }
  working_ = false;
}

Task<> Decider::on_disk(std::move_only_function<void()> call) {
  if (disk_pool_)
    co_await disk_pool_->run(std::move(call));
  else
    call();
}

Task<Result<>> Decider::make_durable(Buffer record) {
  Result<> result;
  co_await on_disk([&] { result = log_->append(record); });
  if (!result && disk_)
    log_error("mon", "decisions are refused: the log cannot be written: {}", result.error().message());
  if (result && !disk_) log_info("mon", "the log can be written again");
  disk_ = result;
  co_return result;
}

Task<> Decider::checkpoint_if_due() {
  if (log_->bytes_since_checkpoint() < limits::log_bytes_max || !disk_) co_return;
  Buffer bytes = state_.save();
  Result<> result;
  co_await on_disk([&] { result = log_->checkpoint(bytes); });
  if (!result) log_error("mon", "checkpoint failed, the log grows on: {}", result.error().message());
}

Task<> Decider::stop() {
  stopping_ = true;
  co_await tasks_.join();
}

}  // namespace spirula::mon
