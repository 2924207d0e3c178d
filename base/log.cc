#include "base/log.h"

#include <fcntl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace spirula {
namespace {

constexpr std::size_t line_bytes_max = 4096;

/// Lines of one subsystem in one second.
struct Allowance {
  std::time_t second = 0;
  unsigned written = 0, dropped = 0;
};

struct State {
  std::mutex mutex;
  std::map<std::string, LogLevel, std::less<>> levels;
  std::map<std::string, Allowance, std::less<>> allowances;
};
State& state() {
  static State instance;
  return instance;
}
std::atomic<int> file{STDERR_FILENO};
std::atomic<int> default_level{static_cast<int>(LogLevel::info)};
/// The highest level any subsystem has, so that a disabled line costs one load.
std::atomic<int> level_max{static_cast<int>(LogLevel::info)};

/// How many lines were dropped before this one, or nothing if this one is to be dropped too.
std::optional<unsigned> admit(std::string_view subsystem, std::time_t second) {
  std::lock_guard lock(state().mutex);
  auto it = state().allowances.find(subsystem);
  if (it == state().allowances.end()) it = state().allowances.emplace(subsystem, Allowance{}).first;
  Allowance& allowance = it->second;
  unsigned dropped = 0;
  if (allowance.second != second) {
    dropped = allowance.dropped;
    allowance = {second, 0, 0};
  }
  if (allowance.written == log_lines_per_second_max) {
    ++allowance.dropped;
    return std::nullopt;
  }
  ++allowance.written;
  return dropped;
}

}  // namespace

bool log_enabled(std::string_view subsystem, LogLevel level) {
  if (static_cast<int>(level) > level_max.load(std::memory_order_relaxed)) return false;
  std::lock_guard lock(state().mutex);
  auto it = state().levels.find(subsystem);
  int limit = it == state().levels.end() ? default_level.load() : static_cast<int>(it->second);
  return static_cast<int>(level) <= limit;
}

void log_set_level(std::string_view subsystem, LogLevel level) {
  std::lock_guard lock(state().mutex);
  if (subsystem.empty())
    default_level = static_cast<int>(level);
  else
    state().levels[std::string(subsystem)] = level;
  int highest = default_level;
  for (const auto& [name, each] : state().levels) highest = std::max(highest, static_cast<int>(each));
  level_max = highest;
}

bool log_to_file(const char* path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return false;
  int old = file.exchange(fd);
  if (old != STDERR_FILENO) close(old);
  return true;
}

void log_line(std::string_view subsystem, LogLevel level, std::string_view text) {
  static constexpr const char* names[] = {"error", "warn ", "info ", "debug", "trace"};
  timeval now;
  gettimeofday(&now, nullptr);
  unsigned dropped = 0;
  if (level <= LogLevel::info) {
    auto admitted = admit(subsystem, now.tv_sec);
    if (!admitted) return;
    dropped = *admitted;
  }
  // What a peer has put into a line must not end it, nor fill the disk.
  std::string safe(text.substr(0, line_bytes_max));
  for (char& c : safe)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  tm parts;
  gmtime_r(&now.tv_sec, &parts);
  std::string line =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z {} {:<9} {}{}\n", parts.tm_year + 1900, parts.tm_mon + 1,
                  parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_usec, names[static_cast<int>(level)],
                  subsystem, safe, dropped ? fmt::format(" ({} lines before this one were left out)", dropped) : "");
  // One write a line keeps lines of several threads whole; a full log disk must not stop the daemon.
  [[maybe_unused]] ssize_t written = write(file.load(), line.data(), line.size());
}

}  // namespace spirula
