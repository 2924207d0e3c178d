#include "base/check.h"

#include <execinfo.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"

namespace spirula {

void check_failed(const char* condition, const char* file, int line, std::string_view text) {
  log_error("check", "{}:{}: CHECK({}) failed{}{}", file, line, condition, text.empty() ? "" : ": ", text);
  void* frames[48];
  int count = backtrace(frames, 48);
  backtrace_symbols_fd(frames, count, STDERR_FILENO);
  std::abort();
}

}  // namespace spirula
