#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/net.h"
#include "base/result.h"

namespace spirula {

enum class OptionType { text, integer, size, real, boolean, duration };

/// One row of an option table: the whole truth about an option. Tables are constexpr arrays; each program adds its own.
struct Option {
  const char* name;  ///< words joined by '_'
  OptionType type = OptionType::text;
  const char* default_value = "";
  const char* description = "";
  double min = std::numeric_limits<double>::lowest();  ///< bounds in units of the value: a number, bytes, seconds
  double max = std::numeric_limits<double>::max();
  char letter = 0;  ///< a one-letter form on the command line: -p
};

/// The configuration of one program, as ceph.conf and Ceph's command lines have it. Later sources win:
/// defaults, file ([global], [osd], [osd.3]), the monitor's central configuration, the command line, a running
/// override.
///   int main(int argc, char** argv) {
///     Config config("osd", "");
///     config.add(osd_options);
///     if (!config.parse(argc, argv)) { fmt::print(stderr, "{}\n", config.problem()); return 1; }
/// Thread-safe once parsed: any shard may read, one may change.
class Config {
 public:
  /// `type`: what kind of entity the program is unless -n says otherwise ("osd", "client"); `default_id`: its id
  /// unless -i or -n names one ("admin" for tools; empty for daemons, whose id must be given).
  Config(std::string type, std::string default_id);
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  /// Rows live as long as the program. Two rows of one name are a CHECK failure.
  void add(std::span<const Option> rows);

  /// CEPH_ARGS, the command line and the file it names (-c FILE, or $CEPH_CONF, or /etc/ceph/$cluster.conf if it is
  /// there). Understands --option=value, --option value, --flag, --no-flag, the letters of the tables and
  /// -c -i -n -k -m -f -d. Errc::invalid: problem() says what is wrong.
  Result<> parse(int argc, const char* const* argv);
  Result<> parse_arguments(const std::vector<std::string>& arguments);
  /// The text of a ceph.conf; options we do not know are skipped, for such files are shared with other programs.
  Result<> parse_file_text(std::string_view text);
  const std::string& problem() const { return problem_; }
  /// What is left of the command line.
  const std::vector<std::string>& positional() const { return positional_; }
  /// Every option with its default and description.
  std::string help() const;

  const std::string& cluster() const { return cluster_; }
  const std::string& type() const { return type_; }
  const std::string& id() const { return id_; }
  std::string name() const { return type_ + "." + id_; }

  /// The value of an option of that type, $variables expanded. An unknown name is a CHECK failure.
  std::string text(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  std::uint64_t size(std::string_view name) const;
  double real(std::string_view name) const;
  bool flag(std::string_view name) const;
  Duration duration(std::string_view name) const;
  /// Somebody set it: it does not merely have its default.
  bool is_set(std::string_view name) const;

  bool knows(std::string_view name) const;
  /// A running override (admin socket, tell). Errc::not_found, Errc::invalid.
  Result<> set(std::string_view name, std::string_view value);
  /// Replaces all that the monitor's central configuration said. What is unknown or out of bounds is skipped.
  void set_from_monitor(const std::map<std::string, std::string>& values);
  /// Called after set() or set_from_monitor() changed the value of `name`; on the changing thread.
  void on_change(std::string name, std::function<void()> observer);
  /// Every option and its value, for `config show`.
  std::map<std::string, std::string> show() const;

 private:
  enum Layer { from_file, from_monitor, from_command_line, from_override, layer_count };
  struct Slot {
    const Option* row = nullptr;
    std::string values[layer_count];
    bool present[layer_count] = {};
  };

  const Slot& slot(std::string_view name) const;
  std::string raw(std::string_view name) const;  // with mutex_ held
  std::string expand(std::string_view value, int depth) const;
  Result<> assign(std::string_view name, std::string_view value, Layer layer);
  Result<> wrong(std::string text);
  Result<> read_long(const std::vector<std::string>& arguments, std::size_t& at, bool naming_pass);
  Result<> read_letter(const std::vector<std::string>& arguments, std::size_t& at, bool naming_pass);
  Result<> take_named(std::string_view name, std::string_view value, bool naming_pass);
  Result<> read_arguments(const std::vector<std::string>& arguments, bool naming_pass);
  Result<> read_file();
  void apply_debug_levels() const;
  void notify(const std::vector<std::string>& names);

  mutable std::mutex mutex_;
  std::map<std::string, Slot, std::less<>> slots_;
  std::map<std::string, std::string> debug_;  // debug_<subsystem> lines, whichever the subsystems are
  std::multimap<std::string, std::function<void()>> observers_;
  std::string cluster_ = "ceph", type_, id_, conf_, problem_;
  std::vector<std::string> positional_;
};

/// "mon host": where the monitors are, msgr2 addresses only, in the order given. Understands
/// "10.0.0.1,10.0.0.2:3300", "[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0],[...]", IPv6 in brackets and host names (looked
/// up, blocking). v1 entries are skipped. Errc::invalid if nothing usable is left.
Result<std::vector<Endpoint>> parse_mon_host(std::string_view text);

/// "4M", "1.5GiB", "4096"; Errc::invalid. And "30", "0.5s", "100ms", "5m", "2h", "1d" in seconds.
Result<std::uint64_t> parse_size(std::string_view text);
Result<double> parse_seconds(std::string_view text);

}  // namespace spirula
