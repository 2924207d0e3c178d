#pragma once
#include <atomic>
#include <cstdint>
#include <functional>

#include "base/result.h"

/// Where tests let the disk fail: a call at each of these asks fault_at() first. Nothing but tests arms one.
namespace spirula::filestore {

enum class FaultPoint : std::uint8_t {
  none,
  journal_write,
  staging_write,
  staging_reuse,  ///< of a part of a ring that has held other payloads
  staging_sync,
  data_write,
  clone,
  index_write,
  sync,
  commit_point,
  snapshot,
  write_back,
};

namespace faults {

/// From the `after`-th call on, every call at `point` fails with `code`, until clear(). One point at a time.
void inject(FaultPoint point, Errc code, int after);
/// Calls `seen` from every call at `point`, on its thread, and lets it go on afterwards, until clear(). Instead of a
/// fault.
void watch(FaultPoint point, std::function<void()> seen);
void clear();
/// Calls that failed since inject().
int hits();

inline std::atomic<FaultPoint> armed{FaultPoint::none};
Result<> at_armed(FaultPoint point);

}  // namespace faults

inline Result<> fault_at(FaultPoint point) {
  if (faults::armed.load(std::memory_order_relaxed) != point) [[likely]]
    return {};
  return faults::at_armed(point);
}

}  // namespace spirula::filestore
