#include "filestore/pacer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace spirula::filestore {
namespace {

using std::chrono::milliseconds;

TEST(Pacer, nobody_waits_for_lanes_that_keep_up) {
  Pacer pacer(32 << 20);
  EXPECT_EQ(pacer.delay(1 << 20, 4 << 20).count(), 0);
}

/// A writer who always has more, lanes that stand still for 0.4 s in every 3: his longest pause stays small.
TEST(Pacer, a_hold_of_application_is_spread_out) {
  constexpr std::uint64_t backlog_max = 32 << 20, batch = 64 << 10;
  constexpr double apply_rate = 40e6;
  Pacer pacer(backlog_max);
  Pacer::Clock::time_point now{std::chrono::hours(1)};
  auto begin = now;
  double backlog = 0, answered = 0;
  std::chrono::microseconds longest{};
  while (now - begin < std::chrono::seconds(30)) {
    // The journal takes 100 us for a batch.
    auto step = std::chrono::microseconds(100) + pacer.delay(batch, static_cast<std::uint64_t>(backlog));
    double seconds = std::chrono::duration<double>(now - begin).count();
    if (seconds > 10) longest = std::max(longest, std::chrono::duration_cast<std::chrono::microseconds>(step));
    bool held = std::fmod(seconds, 3.0) > 2.6;
    now += step;
    if (backlog + batch <= backlog_max) {
      backlog += batch;
      answered += batch;
    } else if (seconds > 10) {
      ADD_FAILURE() << "stands still at " << seconds;
      return;
    }
    if (held) continue;
    double can = std::min(backlog, apply_rate * std::chrono::duration<double>(step).count());
    backlog -= can;
    pacer.applied(static_cast<std::uint64_t>(can), static_cast<std::uint64_t>(backlog), now);
  }
  EXPECT_LT(longest, milliseconds(8));
  EXPECT_GT(answered / 30, apply_rate * 0.7);  // he gets what the lanes manage
}

}  // namespace
}  // namespace spirula::filestore
