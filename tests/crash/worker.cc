#include "tests/crash/worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/crash/block_device.h"

namespace spirula::crash {
namespace {

namespace fs = std::filesystem;

void remove_leftovers(const fs::path& base) {
  for (const auto& entry : fs::directory_iterator(base)) {
    std::string name = entry.path().filename();
    int pid = std::atoi(name.c_str());
    if (pid > 0 && ::kill(pid, 0) < 0) fs::remove_all(entry.path());
  }
}

}  // namespace

Worker::Worker(const std::string& name, const Body& body) : name_(name) {
  fs::path base = fs::absolute("build/crash");
  fs::create_directories(base);
  remove_leftovers(base);
  directory_ = base / fmt::format("{}-{}", ::getpid(), name);
  fs::create_directories(directory_);
  process_ = std::make_unique<ChildProcess>("", [&] {
    enter_own_mount_namespace();
    std::string report = body(directory_);
    std::ofstream(directory_ + "/report") << report;
    return report.empty() ? 0 : 1;
  });
}

Worker::~Worker() {
  process_.reset();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::string Worker::join(std::chrono::seconds deadline) {
  int status = process_->wait(deadline);
  if (status == 0) return {};
  std::string report = tail_of(directory_ + "/report");
  if (report.empty()) report = fmt::format("worker ended with status {}", status);
  std::string kept = fs::absolute("build/crash-kept-" + name_);
  fs::remove_all(kept);
  fs::rename(directory_, kept);
  return report + "\nrecording and ledger are kept in " + kept;
}

}  // namespace spirula::crash
