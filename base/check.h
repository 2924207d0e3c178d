#pragma once
#include <string_view>

/// CHECK(condition) or CHECK(condition, "what was expected"): an invariant of ours. It stays on in release builds and
/// stops the daemon: a stopped daemon is repaired by its peers, a wrong one spreads. Nothing that a packet, a disk
/// block or a user can cause is ever a CHECK; that is a Result.
#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    if (!(condition)) [[unlikely]]                                                                 \
      ::spirula::check_failed(#condition, __FILE__, __LINE__, ::spirula::check_text(__VA_ARGS__)); \
  } while (false)

namespace spirula {
constexpr std::string_view check_text(std::string_view text = {}) {
  return text;
}

/// Logs the broken invariant with its place and a stack address list, then aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line, std::string_view text);
}  // namespace spirula
