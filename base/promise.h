#pragma once
#include <memory>
#include <optional>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/wait.h"

namespace spirula {

/// One value handed from whoever completes something to the one coroutine that waits for it, on one shard. Copies
/// share it. Included by sources, not headers (forward-declare `template <class T> class Promise;`).
template <class T>
class Promise {
 public:
  /// The first value counts; later ones are ignored.
  void set(Result<T> value) {
    if (state_->value) return;
    state_->value.emplace(std::move(value));
    state_->ready.set();
  }
  bool is_set() const { return state_->value.has_value(); }
  Task<Result<T>> get() {
    auto state = state_;
    CO_TRY(co_await state->ready.wait());
    co_return std::move(*state->value);
  }
  /// Errc::timed_out at `deadline`.
  Task<Result<T>> get_until(Clock& clock, MonotonicTime deadline) {
    auto state = state_;
    CO_TRY(co_await state->ready.wait_until(clock, deadline));
    co_return std::move(*state->value);
  }

 private:
  struct State {
    Event ready;
    std::optional<Result<T>> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace spirula
