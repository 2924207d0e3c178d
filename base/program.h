#pragma once
#include <optional>

#include "base/config.h"

namespace spirula {

/// What the mains of all our programs do alike. `about` is the first lines of --help: "cosd: stores objects. usage: …".
/// Reads the command line and what it names. A value: the program ends with this exit status, and all is said.
std::optional<int> read_command_line(Config& config, const char* about, int argc, const char* const* argv);

/// A daemon's surroundings: logs to log_file (to standard error where that is refused), room for descriptors (a
/// client's connection is one, and so is a data file being read), and the process id in pid_file.
void begin_daemon(const Config& config);

}  // namespace spirula
