#include "filestore/faults.h"

#include <mutex>

namespace spirula::filestore::faults {
namespace {

std::atomic<Errc> code_now;
std::atomic<int> left{0}, failed{0};
std::mutex watching;
std::function<void()> watcher;

}  // namespace

void inject(FaultPoint point, Errc code, int after) {
  code_now = code;
  left = after;
  failed = 0;
  armed = point;
}
void watch(FaultPoint point, std::function<void()> seen) {
  std::lock_guard lock(watching);
  watcher = std::move(seen);
  armed = point;
}
void clear() {
  armed = FaultPoint::none;
  std::lock_guard lock(watching);
  watcher = nullptr;
}
int hits() {
  return failed;
}

Result<> at_armed(FaultPoint point) {
  {
    std::lock_guard lock(watching);
    if (watcher) {
      watcher();
      return {};
    }
  }
  if (left.fetch_sub(1) > 0) return {};
  left = 0;
  if (armed != point) return {};
  ++failed;
  return code_now.load();
}

}  // namespace spirula::filestore::faults
