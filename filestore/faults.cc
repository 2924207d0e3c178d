#include "filestore/faults.h"

#include <memory>
#include <mutex>

namespace spirula::filestore::faults {
namespace {

std::atomic<Errc> code_now;
std::atomic<int> left{0}, failed{0};
std::mutex watching;
std::shared_ptr<const std::function<void()>> watcher;

}  // namespace

void inject(FaultPoint point, Errc code, int after) {
  code_now = code;
  left = after;
  failed = 0;
  armed = point;
}
void watch(FaultPoint point, std::function<void()> seen) {
  std::lock_guard lock(watching);
  watcher = std::make_shared<const std::function<void()>>(std::move(seen));
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
  std::unique_lock lock(watching);
  if (auto seen = watcher) {
    lock.unlock();  // it may take its time
    (*seen)();
    return {};
  }
  lock.unlock();
  if (left.fetch_sub(1) > 0) return {};
  left = 0;
  if (armed != point) return {};
  ++failed;
  return code_now.load();
}

}  // namespace spirula::filestore::faults
