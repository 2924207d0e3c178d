#pragma once
#include "base/result.h"
#include "base/task_group.h"
#include "base/wait.h"

namespace spirula::mds {

/// Many tasks, up to so many at once; none is started once one has failed. In the frame of the coroutine that joins it.
class Parallel {
 public:
  Parallel(Shard& shard, std::size_t at_once) : slots_(at_once), group_(shard) {}

  /// Until there is room for one more. What a task failed with, or Errc::cancelled: start none.
  Task<Result<>> room();
  /// After room().
  void spawn(Task<Result<>> task);
  /// Until all have ended; the first failure.
  Task<Result<>> join();

 private:
  Task<> run(Task<Result<>> task);

  Result<> outcome_;
  Budget slots_;
  TaskGroup group_;
};

}  // namespace spirula::mds
