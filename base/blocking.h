#pragma once
#include <functional>
#include <memory>

#include "base/task.h"

namespace spirula {

/// Threads for calls that block (btrfs ioctls, fsync). The awaiting coroutine goes on, on its own shard, when the call
/// has returned; it cannot be cancelled in between.
class BlockingPool {
 public:
  BlockingPool(const char* name, unsigned threads);
  /// Finishes what was queued, then joins.
  ~BlockingPool();
  Task<> run(std::move_only_function<void()> call);
  /// Queues `call` without waiting for it; it must hand its result on by itself (Shard::post).
  void post(std::move_only_function<void()> call);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula
