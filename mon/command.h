#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "mon/state.h"
#include "msg/types.h"

namespace spirula {
class Config;
class Metrics;
struct Option;
}  // namespace spirula

namespace spirula::mon {

class ClusterStats;
class Decider;
class MdsWatch;
class SessionList;

/// What a command prints and returns: `result` is 0 or a negative errno, `text` goes to the user's standard error,
/// `output` to the standard output (it may be binary).
struct CommandResult {
  int result = 0;
  std::string text;
  std::string output;

  static CommandResult fail(int negative_errno, std::string text) { return {negative_errno, std::move(text), {}}; }
  static CommandResult fail(std::error_code error, std::string text) { return {to_wire(error), std::move(text), {}}; }
  static CommandResult say(std::string text) { return {0, std::move(text), {}}; }
  static CommandResult print(std::string output, std::string text = {}) {
    return {0, std::move(text), std::move(output)};
  }
};

/// What commands know beside the replicated state. None of it may reach a state machine but through a change.
struct Surroundings {
  msg::Time now;
  MonotonicTime monotonic;
  double uptime_seconds = 0;
  Random& random;
  const Config& config;
  std::span<const Option> option_rows;  ///< the monitor's options
  const ClusterStats& stats;
  const MdsWatch& mds;
  const SessionList& sessions;
  const Decider& decider;
  const Metrics& metrics;
};

enum class OutputFormat { plain, json, json_pretty };

/// The arguments of one command, checked against its signature.
class Arguments {
 public:
  bool has(std::string_view name) const { return values_.contains(name); }
  /// The text of an argument; empty if it was not given.
  std::string text(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name) const;
  std::optional<double> real(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;
  /// As text, for capabilities that name arguments.
  std::map<std::string, std::string> all() const;
  void set(std::string name, std::vector<std::string> values) { values_[std::move(name)] = std::move(values); }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/// One invocation.
struct CommandCall {
  const State& state;  ///< for a change: as the draft has it before the command
  const Surroundings& around;
  const Arguments& arguments;
  OutputFormat format = OutputFormat::plain;
  std::string input;   ///< -i FILE
  std::string caller;  ///< "client.admin"
  std::string typed;   ///< the command line, more or less, for logs

  bool is_plain() const { return format == OutputFormat::plain; }
  /// In the JSON style asked for; pretty when none was.
  CommandResult json(const Json& value, std::string text = {}) const;
};

/// One command. At most one of `read` and `change` is set; with neither it is refused (EOPNOTSUPP), and `help` is why.
/// Ceph: MonCommands.h.
struct CommandRow {
  /// Words, then arguments as "name=pool,type=CephPoolname" (Ceph: "descriptor language" of src/mon/MonCommands.h).
  const char* signature;
  const char* help;
  const char* module;      ///< the service whose capability is needed
  const char* permission;  ///< "r", "rw", "rwx": the access needed there
  CommandResult (*read)(const CommandCall&) = nullptr;
  CommandResult (*change)(const CommandCall&, Draft&) = nullptr;

  bool is_refused() const { return !read && !change; }
};

/// A request: which row, and with what.
struct ParsedCommand {
  const CommandRow* row = nullptr;  ///< null for get_command_descriptions, which anybody may ask
  std::string prefix;
  Arguments arguments;
  OutputFormat format = OutputFormat::plain;
};

/// All commands of the monitor.
class CommandTable {
 public:
  explicit CommandTable(std::vector<std::span<const CommandRow>> tables);
  ~CommandTable();
  CommandTable(const CommandTable&) = delete;

  struct Problem {
    int result = 0;
    std::string text;
  };
  /// Takes {"prefix": "osd pool create", "pool": "x", ...} apart. False: `problem` says why, as the user shall read it.
  bool parse(const std::string& json, ParsedCommand& command, Problem& problem) const;
  /// The JSON that `get_command_descriptions` answers.
  const std::string& descriptions() const { return descriptions_; }

 private:
  struct Entry;
  static bool check(const Entry& entry, const JsonObject& request, Arguments& arguments, Problem& problem);
  std::multimap<std::string, Entry, std::less<>> entries_;
  std::string descriptions_;
};

/// Everything there is.
const CommandTable& all_commands();
/// What `ceph tell mon.ID` and the admin socket understand.
const CommandTable& tell_commands();
std::span<const CommandRow> tell_rows();
/// What we say our version is, in the words of `ceph versions`.
const char* own_version();

}  // namespace spirula::mon
