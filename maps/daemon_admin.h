#pragma once
#include <memory>

#include "base/config.h"
#include "base/task_group.h"
#include "msg/admin_socket.h"
#include "msg/daemon_commands.h"
#include "msg/message.h"
#include "msg/messenger.h"

namespace spirula::maps {

/// What people ask an OSD or MDS directly: `ceph daemon` over its admin socket, `ceph tell` over the network. Version
/// and configuration are offered by every daemon. Lives on one shard; stop() must complete before destruction.
class DaemonAdmin {
 public:
  DaemonAdmin(Shard& shard, Config& config);

  /// Before open().
  msg::DaemonCommands& commands() { return commands_; }
  /// Serves admin_socket. A failure is logged: the daemon goes on without it.
  void open();
  /// An MCommand; answered on `connection`. `allowed`: whether the sender's key lets it command us. On any shard.
  void on_command(const msg::ConnectionRef& connection, const msg::Message& message, bool allowed);
  Task<> stop();

 private:
  Task<> answer(msg::ConnectionRef connection, std::uint64_t tid, std::string request);

  Shard& shard_;
  Config& config_;
  msg::DaemonCommands commands_;
  std::unique_ptr<msg::AdminSocket> socket_;
  TaskGroup tasks_;
};

}  // namespace spirula::maps
