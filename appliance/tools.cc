#include "appliance/tools.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "appliance/limits.h"

extern char** environ;

namespace spirula::appliance {
namespace {

struct Pipe {
  int read_end = -1, write_end = -1;
  ~Pipe() {
    close(read_end);
    close(write_end);
  }
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = ends[0];
    write_end = ends[1];
    return true;
  }
  static void close(int& descriptor) {
    if (descriptor >= 0) ::close(std::exchange(descriptor, -1));
  }
};

/// Takes what is there; false at the end.
bool take(int descriptor, std::string& into) {
  char piece[4096];
  ssize_t count = ::read(descriptor, piece, sizeof piece);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count == 0) return false;
  if (into.size() < limits::tool_output_bytes_max) into.append(piece, static_cast<std::size_t>(count));
  return true;
}

}  // namespace

Result<ToolResult> run_tool(const std::vector<std::string>& argv, std::chrono::seconds timeout) {
  Pipe out, err;
  if (!out.open() || !err.open()) return last_errno();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write_end, 2);
  std::vector<char*> arguments;
  for (const auto& each : argv) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  int failure = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure) return from_errno(failure);
  Pipe::close(out.write_end);
  Pipe::close(err.write_end);

  ToolResult result;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool late = false;
  while (out.read_end >= 0 || err.read_end >= 0) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd ends[] = {{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}};
    int ready = left.count() > 0 ? ::poll(ends, 2, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      late = true;
      ::kill(pid, SIGKILL);
      break;
    }
    if (ends[0].revents && !take(out.read_end, result.output)) Pipe::close(out.read_end);
    if (ends[1].revents && !take(err.read_end, result.words)) Pipe::close(err.read_end);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) return Errc::timed_out;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

Result<std::string> need_tool(const std::vector<std::string>& argv, std::string& words, std::chrono::seconds timeout) {
  auto done = run_tool(argv, timeout);
  if (!done) {
    words = fmt::format("{}: {}", argv[0], done.error().message());
    return done.error();
  }
  if (!done->fine()) {
    std::string said = done->words.empty() ? done->output : done->words;
    while (said.ends_with('\n')) said.pop_back();
    words = fmt::format("{}: {}", argv[0], said.empty() ? fmt::format("exit status {}", done->status) : said);
    return Errc::io;
  }
  return std::move(done->output);
}

}  // namespace spirula::appliance
