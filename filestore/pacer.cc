#include "filestore/pacer.h"

#include <algorithm>

namespace spirula::filestore {
namespace {

/// Long enough to contain a hold of application as a rule.
constexpr std::chrono::milliseconds window(2'000);
constexpr std::chrono::microseconds delay_max(50'000);

}  // namespace

void Pacer::applied(std::uint64_t bytes, std::uint64_t backlog, Clock::time_point now) {
  std::lock_guard lock(mutex_);
  if (backlog < soft()) {  // the rate is that of what arrives, not of what could be done
    measured_from_ = {};
    return;
  }
  if (measured_from_ == Clock::time_point{}) {
    measured_from_ = now;
    measured_bytes_ = 0;
    return;
  }
  measured_bytes_ += bytes;
  if (now - measured_from_ < window) return;
  double seconds = std::chrono::duration<double>(now - measured_from_).count();
  rate_ = (rate_ + 2 * static_cast<double>(measured_bytes_) / seconds) / 3;
  measured_from_ = now;
  measured_bytes_ = 0;
}

std::chrono::microseconds Pacer::delay(std::uint64_t bytes, std::uint64_t backlog) const {
  if (backlog <= soft()) return {};
  double full = static_cast<double>(std::min(backlog, backlog_max_) - soft()) /
                static_cast<double>(std::max<std::uint64_t>(backlog_max_ - soft(), 1));
  std::lock_guard lock(mutex_);
  // In balance with what is applied at half of what lies above the soft limit.
  double seconds = static_cast<double>(bytes) / std::max(rate_, 1e6) * 2 * full;
  return std::min(std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6)), delay_max);
}

}  // namespace spirula::filestore
