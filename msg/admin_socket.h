#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"
#include "msg/daemon_commands.h"

namespace spirula {
class TaskGroup;
}

namespace spirula::msg {

/// The unix socket that `ceph daemon PATH command...` talks to (Ceph: src/common/admin_socket.cc): one JSON object
/// ended by a NUL, answered by a big-endian 32-bit length and that many bytes; an error is printed as
/// "ERROR: (errno) text". "0" (the protocol's version) is built in. Lives on one shard; stop() before destruction.
class AdminSocket {
 public:
  /// Errc of listening on `path`; a stale socket there is replaced. No socket if `path` is empty. `commands` outlives
  /// it.
  static Result<std::unique_ptr<AdminSocket>> open(Shard& shard, std::string path, DaemonCommands& commands);
  ~AdminSocket();
  Task<> stop();

 private:
  AdminSocket(Shard& shard, std::string path, DaemonCommands& commands);
  Task<> serve();
  Task<> serve_one(std::unique_ptr<Stream> stream);

  Shard& shard_;
  std::string path_;
  DaemonCommands& commands_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<TaskGroup> tasks_;
};

}  // namespace spirula::msg
