#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "librados/cluster.h"

/// cmon-command -c CONF [--in-file FILE] '{"prefix": "osd pool ls"}': one command to the monitor, for tests
/// and scripts that cannot wait for the `ceph` command's 0.2 s of Python. Prints what the command prints; its status
/// text goes to standard error. Exit status: 0, or 1 if the command or the way to it failed.
namespace {

using namespace spirula;

constexpr const char* usage = "usage: cmon-command -c CONF '{\"prefix\": ...}'\n";

constexpr Option tool_options[] = {
    {"in_file", OptionType::text, "", "send this file with the command; - for standard input"},
    {"timeout", OptionType::duration, "60", "how long to wait for the monitors and the answer", 0.001, 86400},
};

bool read_file(const std::string& path, Buffer& into) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file) return false;
    text << file.rdbuf();
  }
  into = Buffer::copy_of(text.str());
  return true;
}

Task<int> run(Shard& shard, Config& config) {
  Buffer input;
  if (std::string path = config.text("in_file"); !path.empty() && !read_file(path, input)) {
    fmt::print(stderr, "cannot read {}\n", path);
    co_return 1;
  }
  Duration timeout = config.duration("timeout");
  auto line = co_await librados::Cluster::connect(shard, config, timeout);
  if (!line) {
    fmt::print(stderr, "cannot reach the monitors: {}\n", line.error().message());
    co_return 1;
  }
  auto reply = co_await (*line)->monitors().command(config.positional()[0], input, timeout);
  co_await (*line)->stop();
  if (!reply) {
    fmt::print(stderr, "{}\n", reply.error().message());
    co_return 1;
  }
  Buffer out = reply->data.flatten();
  std::fwrite(out.data(), 1, out.size(), stdout);
  if (!out.empty() && !out.text().ends_with('\n')) std::fputc('\n', stdout);
  if (!reply->text.empty()) fmt::print(stderr, "{}\n", reply->text);
  if (reply->result < 0 && reply->text.empty()) fmt::print(stderr, "{}\n", from_wire(reply->result).message());
  co_return reply->result == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  log_set_level("", LogLevel::warning);
  Config config("client", "admin");
  config.add(tool_options);
  if (auto status = read_command_line(config, usage, argc, argv)) return *status;
  if (config.positional().size() != 1) {
    fmt::print(stderr, "{}", usage);
    return 1;
  }
  return run_main([&config](Shard& shard) { return run(shard, config); });
}
