#include "filestore/faults.h"

namespace spirula::filestore::faults {
namespace {

std::atomic<Errc> code_now;
std::atomic<int> left{0}, failed{0};

}  // namespace

void inject(FaultPoint point, Errc code, int after) {
  code_now = code;
  left = after;
  failed = 0;
  armed = point;
}
void clear() {
  armed = FaultPoint::none;
}
int hits() {
  return failed;
}

Result<> at_armed(FaultPoint point) {
  if (left.fetch_sub(1) > 0) return {};
  left = 0;
  if (armed != point) return {};
  ++failed;
  return code_now.load();
}

}  // namespace spirula::filestore::faults
