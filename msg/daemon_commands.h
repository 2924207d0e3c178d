#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"

namespace spirula::msg {

/// The commands that a daemon answers itself, to `ceph daemon` over its admin socket and to `ceph tell` (MCommand).
/// "help" and "get_command_descriptions" are built in. Lives on one shard.
class DaemonCommands {
 public:
  /// What a command was called with: "prefix" and its arguments, each as text (a list's elements joined by spaces).
  using Arguments = std::map<std::string, std::string>;
  /// Text to print; if it is JSON, it is indented unless "format" asks for "json".
  using Handler = std::move_only_function<Task<Result<std::string>>(Arguments)>;
  struct Answer {
    std::int32_t result = 0;  ///< negative errno
    std::string text;         ///< of a failure
    std::string output;
  };

  /// `command` as typed, "perf dump"; `arguments` in the notation of command descriptions
  /// ("name=var,type=CephString,req=false"), empty for none.
  void add(std::string command, std::string arguments, std::string help, Handler handler);
  /// `request`: one JSON object, or the bare words of a command without arguments. EINVAL for what is not known.
  Task<Answer> run(std::string request);

 private:
  struct Command {
    std::string arguments, help;
    Handler handler;
  };
  std::string help() const;
  std::string descriptions() const;

  std::map<std::string, Command> commands_;
};

}  // namespace spirula::msg
