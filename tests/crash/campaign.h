#pragma once
#include <string>
#include <vector>

#include "tests/crash/crash_point.h"
#include "tests/crash/store_workload.h"

namespace spirula::crash {

/// How often each kind of crash was tried.
struct TrialCounts {
  unsigned all = 0;
  unsigned inside_recovery = 0;   ///< of a power failure before
  unsigned at_staging_reuse = 0;  ///< while a payload was put where another one had been
  unsigned damaged_snapshot = 0;
  unsigned btrfs_checks = 0;
};

/// One recorded workload on a store, and crash points in it, each rebuilt, mounted, opened and checked.
struct Campaign {
  std::uint64_t seed = 0;
  unsigned lanes = 4;
  bool large = false;      ///< mostly writes of megabytes: the staging rings go round
  StoreWorkload workload;  ///< run twice, with an orderly stop in between; the second run just ends
  unsigned points = 0;
  unsigned points_in_mkfs = 8;               ///< besides, while the store is being made
  unsigned points_per_recovery = 8;          ///< every so many points, recovery itself is recorded ...
  unsigned crashes_per_recovery = 2;         ///< ... and crashes so many times
  unsigned points_per_damaged_snapshot = 8;  ///< every so many points, the newest snapshot cannot be read
  unsigned points_per_btrfs_check = 20;
  unsigned points_at_staging_reuse = 0;  ///< besides
  TrialCounts at_least;                  ///< fewer are a failure
};

/// In a Worker. What is wrong, empty if nothing; counts go to standard error.
std::string run_campaign(const Campaign& campaign, const std::string& directory);

/// A process at work on a store is killed `kills` times, each time at a random moment; between, another opens the
/// store, compares everything and ends without stopping it. One store, and one history, from the first to the last.
struct KillCampaign {
  std::uint64_t seed = 0;
  unsigned lanes = 4, kills = 0;
  std::chrono::milliseconds life_min{50}, life_max{700};
};
std::string run_kill_campaign(const KillCampaign& campaign, const std::string& directory);

}  // namespace spirula::crash
