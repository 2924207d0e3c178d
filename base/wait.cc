#include "base/wait.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>

#include "base/check.h"
#include "base/coroutine.h"

namespace spirula {
namespace asio = boost::asio;

struct WaitList::Waiter {
  std::move_only_function<void()> resume;
  std::error_code outcome;
  bool woken = false;
  std::list<std::shared_ptr<Waiter>>::iterator place;

  void wake(std::error_code why) {
    CHECK(!woken);
    woken = true;
    outcome = why;
    auto go = std::move(resume);
    go();
  }
};

struct WaitList::State {
  std::list<std::shared_ptr<Waiter>> waiting;

  void remove_and_wake(const std::shared_ptr<Waiter>& waiter, std::error_code why) {
    if (waiter->woken) return;
    auto keep = waiter;
    waiting.erase(keep->place);
    keep->wake(why);
  }
};

WaitList::WaitList() : state_(std::make_shared<State>()) {}
WaitList::~WaitList() {
  while (!state_->waiting.empty()) state_->remove_and_wake(state_->waiting.front(), make_error_code(Errc::cancelled));
}

bool WaitList::empty() const {
  return state_->waiting.empty();
}

std::size_t WaitList::wake_one() {
  if (state_->waiting.empty()) return 0;
  state_->remove_and_wake(state_->waiting.front(), {});
  return 1;
}

std::size_t WaitList::wake_all() {
  std::size_t count = 0;
  while (wake_one()) ++count;
  return count;
}

namespace {

/// Suspends until waiter->resume is called; a cancellation of the task calls `cancelled`.
template <class Waiter, class OnCancel>
auto suspend(std::shared_ptr<Waiter> waiter, OnCancel on_cancel) {
  return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [waiter, on_cancel](auto handler) mutable {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign([on_cancel](asio::cancellation_type) mutable { on_cancel(); });
        waiter->resume = [handler = std::move(handler), slot]() mutable {
          if (slot.is_connected()) slot.clear();
          auto executor = asio::get_associated_executor(handler);
          asio::post(executor, std::move(handler));
        };
      },
      asio::use_awaitable);
}

}  // namespace

Task<Result<>> WaitList::wait() {
  auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return Errc::cancelled;
  auto state = state_;
  auto waiter = std::make_shared<Waiter>();
  waiter->place = state->waiting.insert(state->waiting.end(), waiter);
  co_await suspend(waiter, [state, weak = std::weak_ptr(waiter)] {
    if (auto strong = weak.lock()) state->remove_and_wake(strong, make_error_code(Errc::cancelled));
  });
  if (waiter->outcome) co_return waiter->outcome;
  co_return Result<>{};
}

Task<Result<>> WaitList::wait_until(Clock& clock, MonotonicTime deadline) {
  auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return Errc::cancelled;
  auto state = state_;
  auto waiter = std::make_shared<Waiter>();
  waiter->place = state->waiting.insert(state->waiting.end(), waiter);
  auto timer =
      clock.call_at(deadline, [state, waiter] { state->remove_and_wake(waiter, make_error_code(Errc::timed_out)); });
  co_await suspend(waiter, [state, weak = std::weak_ptr(waiter)] {
    if (auto strong = weak.lock()) state->remove_and_wake(strong, make_error_code(Errc::cancelled));
  });
  clock.cancel(timer);
  if (waiter->outcome) co_return waiter->outcome;
  co_return Result<>{};
}

void Event::set() {
  set_ = true;
  waiters_.wake_all();
}

Task<Result<>> Event::wait() {
  if (set_) co_return Result<>{};
  co_return co_await waiters_.wait();
}

Task<Result<>> Event::wait_until(Clock& clock, MonotonicTime deadline) {
  if (set_) co_return Result<>{};
  co_return co_await waiters_.wait_until(clock, deadline);
}

bool Budget::try_acquire(std::uint64_t amount) {
  amount = clamp(amount);
  if (queued_ > 0 || available_ < amount) return false;
  available_ -= amount;
  return true;
}

Task<Result<>> Budget::acquire(std::uint64_t amount) {
  amount = clamp(amount);
  // Only the head of the queue may take what is there; everybody else lines up behind it.
  if (queued_ == 0 && available_ >= amount) {
    available_ -= amount;
    co_return Result<>{};
  }
  ++queued_;
  Result<> woken = co_await waiters_.wait();
  while (woken && available_ < amount) woken = co_await waiters_.wait();
  --queued_;
  if (woken) available_ -= amount;
  if (available_ > 0) waiters_.wake_one();
  co_return woken;
}

void Budget::release(std::uint64_t amount) {
  available_ += clamp(amount);
  CHECK(available_ <= total_);
  waiters_.wake_one();
}

}  // namespace spirula
