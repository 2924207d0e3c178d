#pragma once
#include <functional>
#include <memory>
#include <string>

#include "tests/crash/child_process.h"

namespace spirula::crash {

/// A process with mounts of its own and a folder of its own under build/crash, in which `body` runs; what `body`
/// returns is its report, empty if all is well. However it or this process ends, its mounts and loop devices end with
/// it; folders left by a killed run are removed by the next.
class Worker {
 public:
  using Body = std::function<std::string(const std::string& directory)>;
  Worker(const std::string& name, const Body& body);
  ~Worker();
  /// The report, or what became of the worker instead. `kept` has the folder's new place if there is something to
  /// report.
  std::string join(std::chrono::seconds deadline);

 private:
  std::string name_, directory_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace spirula::crash
