#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/crash/recording.h"

namespace spirula::crash {

/// What a workload asked for and what was promised to it, with the time of each as a position in the recording. Kept
/// outside the recorded disk, line by line in a file, so that it outlives a killed workload.
/// A lane is a sequence of steps, numbered from 1, that are submitted in order.
class Ledger {
 public:
  /// Times are taken from the recording at that path; an empty path: every time is 0.
  Ledger(const std::string& path, const std::string& recording_path);
  /// Call before the step is submitted.
  void submitted(std::uint32_t lane, std::uint64_t step) { add(0, lane, step); }
  /// Call after its success was reported.
  void acknowledged(std::uint32_t lane, std::uint64_t step) { add(1, lane, step); }
  /// Now begins something worth a crash of its own.
  void worth_a_crash() { add(2, 0, 0); }

 private:
  void add(std::uint32_t kind, std::uint32_t lane, std::uint64_t step);
  FileDescriptor file_, recording_;
};

/// What must be found: of each lane at least the steps up to `acknowledged`, none beyond `submitted`.
struct Bounds {
  std::uint64_t acknowledged = 0, submitted = 0;
};

class LedgerHistory {
 public:
  explicit LedgerHistory(const std::string& path);
  /// At a crash at this position of the recording.
  std::map<std::uint32_t, Bounds> at(std::uint64_t position) const;
  /// Where several lanes number their steps together: the last step before which all are acknowledged at that position.
  std::uint64_t complete_until(std::uint32_t first_lane, std::uint32_t lanes, std::uint64_t position) const;
  /// When the first step was submitted.
  std::uint64_t first_position() const { return events_.empty() ? 0 : events_.front().position; }
  std::map<std::uint32_t, Bounds> at_end() const { return at(UINT64_MAX); }
  /// When each thing that is worth a crash began.
  std::vector<std::uint64_t> worth_a_crash() const;

 private:
  friend class Ledger;
  struct Event {
    std::uint32_t kind, lane;
    std::uint64_t step, position;
  };
  std::vector<Event> events_;
};

}  // namespace spirula::crash
