#include "tests/crash/ledger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/check.h"

namespace spirula::crash {

Ledger::Ledger(const std::string& path, const std::string& recording_path)
    : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600)) {
  CHECK(file_);
  if (recording_path.empty()) return;
  recording_ = FileDescriptor(::open(recording_path.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(recording_);
}

void Ledger::add(std::uint32_t kind, std::uint32_t lane, std::uint64_t step) {
  struct stat status{};
  if (recording_) CHECK(::fstat(recording_.get(), &status) == 0);
  LedgerHistory::Event event{kind, lane, step, static_cast<std::uint64_t>(status.st_size)};
  CHECK(::write(file_.get(), &event, sizeof event) == sizeof event);
}

LedgerHistory::LedgerHistory(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  CHECK(file && ::fstat(file.get(), &status) == 0);
  events_.resize(static_cast<std::size_t>(status.st_size) / sizeof(Event));
  auto bytes = static_cast<ssize_t>(events_.size() * sizeof(Event));
  CHECK(::read(file.get(), events_.data(), static_cast<std::size_t>(bytes)) == bytes);
}

std::map<std::uint32_t, Bounds> LedgerHistory::at(std::uint64_t position) const {
  std::map<std::uint32_t, Bounds> lanes;
  for (const Event& event : events_) {
    if (event.kind == 2) continue;
    Bounds& bounds = lanes[event.lane];
    // A step submitted when the recording was exactly this long can have left nothing in it yet.
    if (event.kind == 0 && event.position < position) bounds.submitted = std::max(bounds.submitted, event.step);
    if (event.kind == 1 && event.position <= position) bounds.acknowledged = std::max(bounds.acknowledged, event.step);
  }
  return lanes;
}

std::vector<std::uint64_t> LedgerHistory::worth_a_crash() const {
  std::vector<std::uint64_t> positions;
  for (const Event& event : events_)
    if (event.kind == 2) positions.push_back(event.position);
  return positions;
}

std::uint64_t LedgerHistory::complete_until(std::uint32_t first_lane, std::uint32_t lanes,
                                            std::uint64_t position) const {
  std::set<std::uint64_t> open;
  std::uint64_t last = 0;
  for (const Event& event : events_) {
    if (event.lane < first_lane || event.lane >= first_lane + lanes) continue;
    if (event.kind == 0 && event.position < position) {
      last = std::max(last, event.step);
      open.insert(event.step);
    }
    if (event.kind == 1 && event.position <= position) open.erase(event.step);
  }
  return open.empty() ? last : *open.begin() - 1;
}

}  // namespace spirula::crash
