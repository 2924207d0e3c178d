#include "base/program.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "base/log.h"

namespace spirula {

std::optional<int> read_command_line(Config& config, const char* about, int argc, const char* const* argv) {
  if (!config.parse(argc, argv)) {
    fmt::print(stderr, "{}\n(--help lists the options)\n", config.problem());
    return 1;
  }
  if (!config.flag("help")) return std::nullopt;
  fmt::print("{}\n{}", about, config.help());
  return 0;
}

void begin_daemon(const Config& config) {
  if (std::string file = config.text("log_file"); !file.empty() && !config.flag("log_to_stderr"))
    if (!log_to_file(file.c_str())) log_error("base", "cannot log to {}", file);
  constexpr rlim_t descriptors = 65536;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < descriptors) {
    limit.rlim_cur = std::min<rlim_t>(descriptors, limit.rlim_max);
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (std::string file = config.text("pid_file"); !file.empty())
    if (!(std::ofstream(file) << ::getpid() << '\n')) log_error("base", "cannot write the process id to {}", file);
}

}  // namespace spirula
