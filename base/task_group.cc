#include "base/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <list>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/wait.h"

namespace spirula {
namespace asio = boost::asio;

struct TaskGroup::State {
  explicit State(Shard& s) : shard(s) {}
  Shard& shard;
  std::list<asio::cancellation_signal> running;
  bool cancelled = false;
  WaitList drained;
};

namespace {

/// Cancellation reaches a task as an error from what it waits on, not as an exception.
Task<void> without_throwing(Task<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

}  // namespace

TaskGroup::TaskGroup(Shard& shard) : state_(std::make_shared<State>(shard)) {}

TaskGroup::~TaskGroup() {
  CHECK(state_->running.empty(), "stop() a TaskGroup before it goes");
}

void TaskGroup::spawn(Task<void> task) {
  if (state_->cancelled) return;
  auto state = state_;
  auto place = state->running.emplace(state->running.end());
  asio::co_spawn(state->shard.context(), without_throwing(std::move(task)),
                 asio::bind_cancellation_slot(place->slot(), [state, place](std::exception_ptr failure) {
                   if (failure) {
                     try {
                       std::rethrow_exception(failure);
                     } catch (const std::exception& error) {
                       log_error("task", "a task ended with an exception: {}", error.what());
                     }
                     CHECK(false, "no exception leaves a task");
                   }
                   state->running.erase(place);
                   if (state->running.empty()) state->drained.wake_all();
                 }));
}

void TaskGroup::cancel() {
  if (state_->cancelled) return;
  state_->cancelled = true;
  // A task that ends erases its own entry, but only from the loop: the list is stable here.
  for (auto& signal : state_->running) signal.emit(asio::cancellation_type::all);
}

bool TaskGroup::cancelled() const {
  return state_->cancelled;
}
std::size_t TaskGroup::size() const {
  return state_->running.size();
}

Task<> TaskGroup::join() {
  auto state = state_;
  while (!state->running.empty())
    if (!co_await state->drained.wait()) break;
}

Task<> TaskGroup::stop() {
  cancel();
  co_await join();
}

}  // namespace spirula
