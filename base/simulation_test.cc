#include "base/simulation.h"

#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/task_group.h"

namespace spirula::sim {
namespace {

using namespace std::chrono_literals;

/// Answers every byte with the same byte until the stream ends.
Task<> echo(Host& host, Listener& at) {
  for (;;) {
    auto stream = co_await at.accept(host);
    if (!stream) co_return;
    std::byte bytes[64];
    for (;;) {
      auto got = co_await (*stream)->read_some(bytes);
      if (!got) break;
      ByteView pieces[] = {ByteView(bytes, *got)};
      Result<> sent = co_await (*stream)->write(pieces);
      if (!sent) break;
    }
  }
}

/// How many of 100 one-byte questions were answered, and when the last one was.
struct Outcome {
  int answered = 0;
  MonotonicTime end;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Task<> ask(Host& host, Endpoint to, Outcome& outcome) {
  for (int i = 0; i < 100; ++i) {
    auto stream = co_await host.network().connect(host, to);
    if (!stream) continue;
    ByteView question[] = {as_bytes("?")};
    std::byte answer[1];
    if (!co_await (*stream)->write(question)) continue;
    if (co_await (*stream)->read_exact(answer)) ++outcome.answered;
  }
  outcome.end = host.clock().now();
}

Outcome play(std::uint64_t seed) {
  Simulation world(seed);
  world.faults().reset_chance = 0.1;
  Host &server = world.add_host(), &client = world.add_host();
  auto listener = server.network().listen(server, {});
  TaskGroup group(server);
  group.spawn(echo(server, **listener));
  Outcome outcome;
  world.run(ask(client, (*listener)->local(), outcome));
  world.run(group.stop());
  return outcome;
}

TEST(Simulation, a_seed_decides_everything) {
  Outcome first = play(1);
  EXPECT_LT(first.answered, 100);
  EXPECT_GT(first.answered, 50);
  EXPECT_EQ(play(1), first);
  EXPECT_NE(play(2).end, first.end);
}

TEST(Simulation, time_passes_only_for_those_who_wait) {
  Simulation world(1);
  MonotonicTime begin = world.clock().now();
  auto nap = [](Clock& clock) -> Task<> { EXPECT_TRUE(co_await clock.sleep(10h)); };
  world.run(nap(world.clock()));
  EXPECT_EQ(world.clock().now() - begin, 10h);
}

TEST(Simulation, a_partition_delays_and_power_off_breaks) {
  Simulation world(3);
  Host &server = world.add_host(), &client = world.add_host();
  auto listener = server.network().listen(server, {});
  TaskGroup group(server), clients(client);
  group.spawn(echo(server, **listener));
  Outcome outcome;
  clients.spawn(ask(client, (*listener)->local(), outcome));
  world.partition(server, client);
  world.run_for(1h);
  EXPECT_EQ(outcome.answered, 0);
  world.heal();
  world.run_for(1s);
  EXPECT_EQ(outcome.answered, 100);

  server.power_off();
  Outcome after;
  world.run(ask(client, (*listener)->local(), after));
  EXPECT_EQ(after.answered, 0);
  world.run(group.stop());
  world.run(clients.stop());
}

}  // namespace
}  // namespace spirula::sim
