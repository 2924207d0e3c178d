#include "mds/parallel.h"

#include "base/coroutine.h"

namespace spirula::mds {

Task<Result<>> Parallel::room() {
  Result<> slot = co_await slots_.acquire(1);
  if (!slot && outcome_) outcome_ = slot;
  if (slot && !outcome_) slots_.release(1);
  co_return outcome_;
}

void Parallel::spawn(Task<Result<>> task) {
  group_.spawn(run(std::move(task)));
}

Task<> Parallel::run(Task<Result<>> task) {
  Result<> done = co_await std::move(task);
  if (!done && outcome_) outcome_ = done;
  slots_.release(1);
}

Task<Result<>> Parallel::join() {
  co_await group_.join();
  co_return outcome_;
}

}  // namespace spirula::mds
