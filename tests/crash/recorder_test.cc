#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "tests/crash/crash_point.h"
#include "tests/crash/file_workload.h"
#include "tests/crash/recorded_disk.h"
#include "tests/crash/worker.h"

namespace spirula::crash {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;
DiskImage blank_disk() {
  return DiskImage({mebibyte, 512 * mebibyte});
}

/// Crash points that contradict the ledger.
std::string crash_files(const std::string& directory, FileWorkload workload, unsigned points) {
  std::string recording_path, ledger_path = directory + "/ledger";
  std::uint64_t started = 0;
  {
    RecordedDisk disk(blank_disk(), directory, "recording");
    recording_path = disk.recording_path();
    disk.make_btrfs();
    CHECK(disk.mount().empty());
    ChildProcess worker(directory + "/workload.log", [&] {
      Ledger ledger(ledger_path, recording_path);
      run_file_workload(workload, disk.mount_point(), ledger);
      return 0;
    });
    CHECK(worker.wait(std::chrono::seconds(100)) == 0);
  }
  auto recording = std::make_shared<Recording>(*Recording::open(recording_path));
  LedgerHistory history(ledger_path);
  started = history.first_position();
  CrashPoints moments(blank_disk(), recording, btrfs_part, FlushScope::disk);
  std::size_t first = 0, last = moments.records().size();
  while (first < last && moments.records()[first].end <= started) ++first;

  SeededRandom random(workload.seed);
  std::vector<std::size_t> counts;
  for (unsigned i = 0; i < points; ++i) counts.push_back(first + random.below(last - first + 1));
  std::ranges::sort(counts);
  std::string report;
  unsigned wrong = 0;
  for (std::size_t count : counts) {
    moments.advance(count);
    RecordedDisk disk(moments.crashed(SeededRandom(random.next())), directory, "trial");
    std::string problem = disk.mount();
    if (problem.empty()) problem = check_file_workload(workload, disk.mount_point(), history.at(moments.position()));
    if (!problem.empty() && ++wrong <= 5) report += fmt::format("after record {}: {}\n", count, problem);
  }
  if (wrong) report += fmt::format("{} of {} crash points are wrong\n", wrong, points);
  return report;
}

TEST(Recorder, what_was_synced_is_there_after_every_crash) {
  unsigned points = std::getenv("SPIRULA_SLOW") ? 500 : 60;
  Worker worker(
      "files", [&](const std::string& directory) { return crash_files(directory, {.seed = 1, .steps = 600}, points); });
  EXPECT_EQ(worker.join(std::chrono::seconds(500)), "");
}

TEST(Recorder, a_promise_without_a_sync_is_found) {
  Worker worker("lies", [](const std::string& directory) {
    return crash_files(directory, {.seed = 2, .steps = 200, .lie = true}, 10);
  });
  EXPECT_NE(worker.join(std::chrono::seconds(100)).find("crash points are wrong"), std::string::npos);
  std::filesystem::remove_all("build/crash-kept-lies");  // nothing to look into
}

}  // namespace
}  // namespace spirula::crash
