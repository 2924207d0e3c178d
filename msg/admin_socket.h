#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/shard.h"
#include "base/task.h"

namespace spirula {
class TaskGroup;
}

namespace spirula::msg {

/// The unix socket that `ceph daemon PATH command...` talks to (Ceph: src/common/admin_socket.cc): one JSON object
/// ended by a NUL, answered by a big-endian 32-bit length and that many bytes. Lives on one shard; stop() before
/// destruction. "help", "get_command_descriptions" and "0" (the protocol's version) are built in.
class AdminSocket {
 public:
  /// What a command was called with: "prefix" and its arguments, each as text (a list's elements joined by spaces).
  using Arguments = std::map<std::string, std::string>;
  /// Text to print; if it is JSON, indented unless "format" asks for "json". An error is printed as "ERROR: (errno)
  /// text".
  using Handler = std::move_only_function<Task<Result<std::string>>(Arguments)>;

  /// Errc of listening on `path`; a stale socket there is replaced.
  static Result<std::unique_ptr<AdminSocket>> open(Shard& shard, std::string path);
  ~AdminSocket();

  /// `command` as typed, "perf dump"; `arguments` in the notation of command descriptions
  /// ("name=var,type=CephString,req=false"), empty for none. Before or while serving, on the socket's shard.
  void add(std::string command, std::string arguments, std::string help, Handler handler);
  Task<> stop();

 private:
  struct Command;
  AdminSocket(Shard& shard, std::string path);
  Task<> serve();
  Task<> serve_one(std::unique_ptr<Stream> stream);
  Task<std::string> run(std::string request);
  std::string help() const;
  std::string descriptions() const;

  Shard& shard_;
  std::string path_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<TaskGroup> tasks_;
  std::map<std::string, std::unique_ptr<Command>> commands_;
};

}  // namespace spirula::msg
