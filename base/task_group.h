#pragma once
#include <memory>

#include "base/shard.h"
#include "base/task.h"

namespace spirula {

/// The tasks a service has started; every task belongs to one. Lives on one shard.
/// stop() = close the door, cancel, join. Destroying a group that still has tasks is a CHECK failure.
class TaskGroup {
 public:
  explicit TaskGroup(Shard& shard);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task` on the group's shard (called there). After cancel() it is dropped unstarted.
  void spawn(Task<void> task);
  /// Every wait and stream operation of the tasks, present and future, ends with Errc::cancelled.
  void cancel();
  bool cancelled() const;
  /// Until no task is left.
  Task<> join();
  Task<> stop();
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace spirula
