#pragma once
#include <fmt/core.h>

#include <string_view>

namespace spirula {

enum class LogLevel : int { error = 0, warning = 1, info = 2, debug = 3, trace = 4 };

/// One line a call: time, level, subsystem, text. Subsystem is a short literal ("msg", "osd", ...). Thread-safe.
/// Secrets are never logged. Errors, warnings and infos of one subsystem beyond log_lines_per_second_max are counted
/// instead of written, so that a misbehaving peer cannot fill the log disk; debug and trace lines are not limited.
inline constexpr unsigned log_lines_per_second_max = 200;
bool log_enabled(std::string_view subsystem, LogLevel level);
void log_line(std::string_view subsystem, LogLevel level, std::string_view text);

/// Everything up to `level` is written for `subsystem`; an empty subsystem sets the default (info).
void log_set_level(std::string_view subsystem, LogLevel level);
/// Appends to this file from now on (standard error until then). False if it cannot be opened.
bool log_to_file(const char* path);

template <class... A>
void log_at(LogLevel level, std::string_view subsystem, fmt::format_string<A...> format, A&&... args) {
  if (log_enabled(subsystem, level)) log_line(subsystem, level, fmt::vformat(format, fmt::make_format_args(args...)));
}
template <class... A>
void log_error(std::string_view subsystem, fmt::format_string<A...> format, A&&... args) {
  log_at(LogLevel::error, subsystem, format, std::forward<A>(args)...);
}
template <class... A>
void log_warning(std::string_view subsystem, fmt::format_string<A...> format, A&&... args) {
  log_at(LogLevel::warning, subsystem, format, std::forward<A>(args)...);
}
template <class... A>
void log_info(std::string_view subsystem, fmt::format_string<A...> format, A&&... args) {
  log_at(LogLevel::info, subsystem, format, std::forward<A>(args)...);
}
template <class... A>
void log_debug(std::string_view subsystem, fmt::format_string<A...> format, A&&... args) {
  log_at(LogLevel::debug, subsystem, format, std::forward<A>(args)...);
}
template <class... A>
void log_trace(std::string_view subsystem, fmt::format_string<A...> format, A&&... args) {
  log_at(LogLevel::trace, subsystem, format, std::forward<A>(args)...);
}

}  // namespace spirula
