#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace spirula::crash {

/// A forked copy of this (single-threaded) process that runs one function and exits with what it returns. It dies with
/// its parent, however that ends; the destructor kills it.
class ChildProcess {
 public:
  /// Standard output and error go to `log_path`, or stay when it is empty.
  ChildProcess(const std::string& log_path, const std::function<int()>& body);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool running();
  /// Its exit status; 128 + signal if one ended it; -1 if it had to be killed at the deadline.
  int wait(std::chrono::milliseconds deadline);
  void kill();

 private:
  void reap(int status);
  int pid_ = 0, status_ = 0;
};

/// The words of a command, run without a shell; -1 if it cannot be started or takes longer than the deadline.
int run_command(const std::vector<std::string>& words, const std::string& log_path,
                std::chrono::milliseconds deadline = std::chrono::seconds(60));

/// The last bytes of a file, for failure reports.
std::string tail_of(const std::string& path, std::size_t bytes_max = 4000);

}  // namespace spirula::crash
