#pragma once
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.h"

namespace spirula {

/// For tests: what is logged while it lives, instead of on standard error. One at a time.
class LogCapture {
 public:
  LogCapture() {
    close(mkstemp(path_));
    log_to_file(path_);
  }
  ~LogCapture() {
    log_to_file("/dev/stderr");
    unlink(path_);
  }
  LogCapture(const LogCapture&) = delete;

  /// The lines so far that have every one of `words` in them.
  template <class... Words>
  std::vector<std::string> lines(const Words&... words) const {
    std::vector<std::string> found;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);)
      if (((line.find(words) != line.npos) && ...)) found.push_back(line);
    return found;
  }

 private:
  char path_[32] = "/tmp/spirula-log-XXXXXX";
};

}  // namespace spirula
