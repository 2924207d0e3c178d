#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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
    std::string text;         ///< of a failure, or for people
    std::string output;
  };
  /// For commands that say why in their own words; `output` is shaped in the same way.
  using FullHandler = std::move_only_function<Task<Answer>(Arguments)>;

  /// `command` as typed, "perf dump"; `arguments` in the notation of command descriptions
  /// ("name=var,type=CephString,req=false"), empty for none.
  void add(std::string command, std::string arguments, std::string help, Handler handler);
  void add_full(std::string command, std::string arguments, std::string help, FullHandler handler);
  /// Further arguments with which a command that was added may be called.
  void add_form(const std::string& command, std::string arguments);
  /// `request`: one JSON object, or the bare words of a command without arguments. EINVAL for what is not known.
  Task<Answer> run(std::string request);

 private:
  struct Command {
    std::vector<std::string> forms;  ///< arguments, one of them
    std::string help;
    FullHandler handler;
  };
  std::string help() const;
  std::string descriptions() const;

  std::map<std::string, Command> commands_;
};

}  // namespace spirula::msg
