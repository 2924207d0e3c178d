#include "base/metrics.h"

#include <gtest/gtest.h>

namespace spirula {
namespace {

using namespace std::chrono_literals;

TEST(Metrics, counts_and_shows) {
  Metrics metrics;
  Counter& ops = metrics.counter("osd", "op", "client operations");
  ops.add();
  metrics.counter("osd", "op", "").add(4);
  EXPECT_EQ(ops.value(), 5u) << "one figure for one name";
  metrics.gauge("osd", "in_flight", "operations being worked on").set(-2);
  EXPECT_EQ(metrics.to_json(), R"({"osd":{"in_flight":-2,"op":5}})");
  EXPECT_NE(metrics.to_prometheus().find("# TYPE spirula_osd_op counter\nspirula_osd_op 5\n"), std::string::npos);
}

TEST(Metrics, timings) {
  Timing timing;
  EXPECT_EQ(timing.percentile(0.5), 0ns);
  for (int i = 0; i < 99; ++i) timing.record(100us);
  timing.record(1h);
  EXPECT_EQ(timing.percentile(0.5), 128us);
  EXPECT_EQ(timing.percentile(1), Timing::upper_bound(Timing::buckets - 1));
  timing.record(-1ns);
  EXPECT_EQ(timing.in_bucket(0), 1u);
}

}  // namespace
}  // namespace spirula
