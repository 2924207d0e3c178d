#pragma once
#include <memory>

#include "base/shard.h"
#include "base/task_group.h"

namespace spirula::mon {

/// The old port, 6789, where clients of Ceph's first wire protocol look for a monitor. That protocol is not spoken:
/// whoever starts it is told to the log and cut off, so that an operator who forgot `ms_mode=` finds out why a mount
/// hangs. Lives on one shard; stop() before destruction.
class LegacyPort {
 public:
  /// Errc of listening.
  static Result<std::unique_ptr<LegacyPort>> open(Shard& shard, Endpoint at);
  Task<> stop();

 private:
  LegacyPort(Shard& shard, std::unique_ptr<Listener> listener);
  Task<> serve();
  Task<> turn_away(std::unique_ptr<Stream> stream);
  void explain(const Endpoint& from, std::string_view banner);

  Shard& shard_;
  std::unique_ptr<Listener> listener_;
  MonotonicTime explained_;
  TaskGroup tasks_;
};

}  // namespace spirula::mon
