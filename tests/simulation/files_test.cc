#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log.h"
#include "tests/simulation/file_world.h"

/// Clients of the file system, whose server dies at any moment, and they with it.
namespace spirula::simulation {
namespace {

bool slow() {
  return std::getenv("SPIRULA_SLOW") != nullptr;
}

std::uint64_t run(std::uint64_t seed, FileWorld::Plan plan, std::uint64_t* changes = nullptr) {
  log_set_level("mds", LogLevel::error);
  FileWorld world(seed, plan);
  world.run();
  if (changes) *changes = world.changes();
  return world.digest;
}

TEST(Files, nothing_confirmed_or_seen_is_lost_whoever_dies) {
  for (std::uint64_t seed : sim::seeds(slow() ? 5000 : 300)) {
    SCOPED_TRACE(fmt::format("SEED={}", seed));
    run(seed, {});
    if (HasFailure()) return;
  }
}

TEST(Files, the_server_dies_at_every_change_of_an_object) {
  FileWorld::Plan plan{.clients = 2, .steps = 15, .clients_die = false, .crash_at = ~std::uint64_t{0}};
  std::uint64_t changes = 0;
  run(1, plan, &changes);
  EXPECT_GT(changes, 20u);
  const std::uint64_t step = slow() ? 1 : 3;
  for (std::uint64_t seed = 1; seed <= (slow() ? 100u : 1u); ++seed) {
    for (plan.crash_at = 1; plan.crash_at <= changes; plan.crash_at += step) {
      SCOPED_TRACE(fmt::format("SEED={}, change {}", seed, plan.crash_at));
      run(seed, plan);
      if (HasFailure()) return;
    }
  }
}

TEST(Files, a_seed_replays_exactly) {
  EXPECT_EQ(run(5, {}), run(5, {}));
}

}  // namespace
}  // namespace spirula::simulation
