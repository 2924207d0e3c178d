#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/crash/campaign.h"
#include "tests/crash/worker.h"
#include "tests/crash/write_back.h"

namespace spirula::crash {
namespace {

bool slow() {
  return std::getenv("SPIRULA_SLOW") != nullptr;
}
/// Of the workloads: SPIRULA_SEED repeats one.
std::uint64_t first_seed() {
  const char* text = std::getenv("SPIRULA_SEED");
  return text ? std::strtoull(text, nullptr, 10) : 1;
}

/// Each campaign has a file system of its own, so they run side by side.
void run_side_by_side(std::vector<Campaign> campaigns) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (Campaign& campaign : campaigns) {
    if (const char* points = std::getenv("SPIRULA_POINTS")) {
      campaign.points = static_cast<unsigned>(std::atoi(points));
      campaign.at_least = {};
    }
    workers.push_back(std::make_unique<Worker>(
        "seed" + std::to_string(campaign.seed),
        [campaign](const std::string& directory) { return run_campaign(campaign, directory); }));
  }
  for (auto& worker : workers) EXPECT_EQ(worker->join(std::chrono::minutes(60)), "");
}

TEST(FilestoreCrash, acknowledged_transactions_survive_power_failures) {
  for (unsigned round = 0; round < (slow() ? 3 : 1); ++round) {
    Campaign campaign;
    campaign.points = slow() ? 500 : 200;
    campaign.at_least = {.all = campaign.points + 25,
                         .inside_recovery = 25,
                         .at_staging_reuse = 0,
                         .damaged_snapshot = 10,
                         .btrfs_checks = 10};
    campaign.workload = {.depth = 4, .steps = 200, .steps_per_commit = 60};
    std::vector<Campaign> campaigns(2, campaign);
    for (unsigned i = 0; i < 2; ++i) campaigns[i].seed = first_seed() + round * 2 + i;
    run_side_by_side(campaigns);
  }
}

TEST(FilestoreCrash, staged_payloads_survive_power_failures) {
  Campaign campaign;
  campaign.large = true;
  campaign.points = slow() ? 500 : 25;
  campaign.points_at_staging_reuse = slow() ? 250 : 25;
  campaign.at_least = {.all = campaign.points + 25,
                       .inside_recovery = 0,
                       .at_staging_reuse = 25,
                       .damaged_snapshot = 1,
                       .btrfs_checks = 2};
  campaign.workload = {.depth = 4, .steps = 100, .steps_per_commit = 15};
  std::vector<Campaign> campaigns(2, campaign);
  for (unsigned i = 0; i < 2; ++i) campaigns[i].seed = first_seed() + 100 + i;
  run_side_by_side(campaigns);
}

TEST(FilestoreCrash, data_that_write_back_could_not_write_are_not_lost) {
  Worker worker("write_back", run_write_back_failure);
  EXPECT_EQ(worker.join(std::chrono::minutes(2)), "");
}

TEST(FilestoreCrash, killed_fifty_times) {
  KillCampaign campaign{.seed = first_seed() + 200, .kills = slow() ? 500u : 50u};
  Worker worker("kill", [&](const std::string& directory) { return run_kill_campaign(campaign, directory); });
  EXPECT_EQ(worker.join(std::chrono::minutes(50)), "");
}

}  // namespace
}  // namespace spirula::crash
