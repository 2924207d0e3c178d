#include "base/task_group.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <list>
#include <utility>
#include <vector>

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
  std::vector<std::move_only_function<void()>> cancelled_joiners;
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
                   if (!state->running.empty()) return;
                   state->drained.wake_all();
                   for (auto& resume : std::exchange(state->cancelled_joiners, {})) resume();
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

/// Until the last task is gone, whatever becomes of the awaiting task.
static Task<> until_drained(auto& state) {
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&state](auto handler) {
        state.cancelled_joiners.push_back([handler = std::move(handler)]() mutable {
          auto executor = asio::get_associated_executor(handler);
          asio::post(executor, std::move(handler));
        });
      },
      asio::use_awaitable);
}

Task<> TaskGroup::join() {
  auto state = state_;
  while (!state->running.empty()) {
    Result<> woken = co_await state->drained.wait();
    if (woken) continue;
    // We are cancelled, and so are the tasks from now on; but they may refer to what we own, so we still wait for them.
    cancel();
    if (!state->running.empty()) co_await until_drained(*state);
  }
}

Task<> TaskGroup::stop() {
  cancel();
  co_await join();
}

}  // namespace spirula
