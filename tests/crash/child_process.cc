#include "tests/crash/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/check.h"

namespace spirula::crash {

ChildProcess::ChildProcess(const std::string& log_path, const std::function<int()>& body) {
  int parent = ::getpid();
  std::fflush(nullptr);
  pid_ = ::fork();
  CHECK(pid_ >= 0, "no more processes");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  if (!log_path.empty()) {
    int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK(log >= 0);
    ::dup2(log, 1);
    ::dup2(log, 2);
  }
  int status = body();
  std::fflush(nullptr);
  ::_exit(status);  // no destructors: what they would take down belongs to the parent
}

ChildProcess::~ChildProcess() {
  kill();
}

void ChildProcess::reap(int status) {
  pid_ = 0;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool ChildProcess::running() {
  int status = 0;
  if (pid_ && ::waitpid(pid_, &status, WNOHANG) == pid_) reap(status);
  return pid_ != 0;
}

int ChildProcess::wait(std::chrono::milliseconds deadline) {
  if (!running()) return status_;
  int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  CHECK(handle >= 0);
  pollfd waiting{handle, POLLIN, 0};
  ::poll(&waiting, 1, static_cast<int>(deadline.count()));
  ::close(handle);
  if (!running()) return status_;
  kill();
  return -1;
}

void ChildProcess::kill() {
  if (!running()) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  reap(status);
}

int run_command(const std::vector<std::string>& words, const std::string& log_path,
                std::chrono::milliseconds deadline) {
  ChildProcess child(log_path, [&] {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    return 127;
  });
  return child.wait(deadline);
}

std::string tail_of(const std::string& path, std::size_t bytes_max) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  std::string text = all.str();
  return text.size() > bytes_max ? text.substr(text.size() - bytes_max) : text;
}

}  // namespace spirula::crash
