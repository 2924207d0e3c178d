#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/crash/campaign.h"
#include "tests/crash/worker.h"

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

TEST(FilestoreCrash, acknowledged_transactions_survive_power_failures) {
  // Each workload has a file system of its own, so they run side by side.
  unsigned rounds = slow() ? 5 : 1;
  for (unsigned round = 0; round < rounds; ++round) {
    std::vector<std::unique_ptr<Worker>> workers;
    for (unsigned i = 0; i < 2; ++i) {
      Campaign campaign;
      campaign.seed = first_seed() + round * 2 + i;
      campaign.points = slow() ? 1000 : 250;
      if (const char* points = std::getenv("SPIRULA_POINTS"))
        campaign.points = static_cast<unsigned>(std::atoi(points));
      campaign.workload = {.depth = 4, .steps = 200, .steps_per_commit = 60};
      workers.push_back(std::make_unique<Worker>("power" + std::to_string(i), [campaign](const std::string& directory) {
        return run_campaign(campaign, directory);
      }));
    }
    for (auto& worker : workers) EXPECT_EQ(worker->join(std::chrono::minutes(60)), "");
  }
}

}  // namespace
}  // namespace spirula::crash
