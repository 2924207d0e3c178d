#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/task_group.h"
#include "tests/simulation/cluster.h"

/// Nothing that was acknowledged is lost, whatever dies; and when the world calms down, all copies are equal.
namespace spirula::simulation {
namespace {

using namespace std::chrono_literals;

/// Works on one object, one operation after the other, and knows what must be there.
struct Writer {
  librados::ObjectRef object;
  std::string expected;
  bool exists = false;
  std::uint64_t done = 0, number = 0;
  bool wrong = false;
};

struct History {
  Cluster cluster;
  std::vector<Writer> writers;
  bool over = false;
  std::uint64_t digest = 1469598103934665603ull;

  History(std::uint64_t seed, unsigned osds, unsigned size, unsigned min_size) : cluster(seed, osds, size, min_size) {}
  void note(std::uint64_t what) { digest = (digest ^ what) * 1099511628211ull; }
};

Task<> read_back(History& history, Writer& writer) {
  auto data = co_await history.cluster.objecter().read(writer.object, 0, 1 << 20);
  if (history.over && !data && data.error() == make_error_code(Errc::cancelled)) co_return;
  if (!data) {
    bool absent = data.error() == make_error_code(Errc::not_found);
    if (writer.exists || !absent) {
      writer.wrong = true;
      ADD_FAILURE() << writer.object.name << " after " << writer.done << ": " << data.error().message();
    }
    co_return;
  }
  std::string text = data->flatten().to_string();
  if (writer.exists && text == writer.expected) co_return;
  writer.wrong = true;
  ADD_FAILURE() << writer.object.name << " after " << writer.done << " changes is \"" << text << "\", not \""
                << writer.expected << "\"";
}

Task<> work(History& history, Writer& writer) {
  auto& cluster = history.cluster;
  Random& random = cluster.client_host().random();
  while (!history.over && !writer.wrong) {
    std::string text = fmt::format("{}.{} ", writer.object.name, ++writer.number);
    auto dice = random.below(10);
    Result<> result;
    std::string after = writer.expected;
    bool exists = true;
    if (dice < 3) {
      after = text;
      result = co_await cluster.objecter().write_full(writer.object, BufferList(Buffer::copy_of(text)));
    } else if (dice < 7) {
      after += text;
      result = co_await cluster.objecter().append(writer.object, BufferList(Buffer::copy_of(text)));
    } else if (dice < 8 && writer.exists) {
      after.clear();
      exists = false;
      result = co_await cluster.objecter().remove(writer.object);
    } else if (dice < 9) {
      librados::Operation operation;
      operation.create(false).omap_set({{"k" + std::to_string(writer.number % 5), Buffer::copy_of(text)}});
      auto answered = co_await cluster.objecter().execute(writer.object, std::move(operation));
      if (!answered) result = answered.error();
    } else {
      co_await read_back(history, writer);
      continue;
    }
    if (!result) {
      if (!history.over) ADD_FAILURE() << writer.object.name << ": " << result.error().message();
      co_return;
    }
    writer.expected = after;
    writer.exists = exists;
    ++writer.done;
    history.note(static_cast<std::uint64_t>(cluster.world.clock().now().time_since_epoch().count()));
    (void)co_await cluster.client_host().clock().sleep(std::chrono::milliseconds(random.below(200)));
  }
}

Task<> trouble(History& history, unsigned osds, unsigned rounds, bool disks) {
  Cluster& cluster = history.cluster;
  Random& random = cluster.world.random();
  co_await cluster.pass(10s);
  for (unsigned round = 0; round < rounds; ++round) {
    co_await cluster.pass(std::chrono::milliseconds(500 + random.below(8000)));
    auto victim = static_cast<unsigned>(random.below(osds));
    switch (random.below(disks ? 6 : 5)) {
      case 0:
      case 1:
        cluster.hold(victim);
        co_await cluster.pass(std::chrono::milliseconds(random.below(30)));
        [[fallthrough]];
      case 2: {
        co_await cluster.kill(victim);
        co_await cluster.pass(std::chrono::milliseconds(100 + random.below(12'000)));
        co_await cluster.restart(victim);
        break;
      }
      case 3: {
        auto other = (victim + 1 + static_cast<unsigned>(random.below(osds - 1))) % osds;
        cluster.world.partition(cluster.host(victim), cluster.host(other));
        co_await cluster.pass(std::chrono::milliseconds(100 + random.below(20'000)));
        cluster.world.heal();
        break;
      }
      case 4:
        co_await cluster.command(fmt::format(R"({{"prefix": "osd out", "ids": ["{}"]}})", victim));
        co_await cluster.pass(std::chrono::milliseconds(100 + random.below(10'000)));
        co_await cluster.command(fmt::format(R"({{"prefix": "osd in", "ids": ["{}"]}})", victim));
        break;
      default:
        // A disk may only be lost while the others have everything.
        if (!co_await cluster.settle(10min)) co_return;
        co_await cluster.kill(victim);
        co_await cluster.replace_disk(victim);
        co_await cluster.pass(std::chrono::milliseconds(random.below(5000)));
        co_await cluster.restart(victim);
        if (!co_await cluster.settle(10min)) co_return;
        break;
    }
  }
}

Task<> live(History& history, unsigned osds, unsigned rounds, bool disks) {
  Cluster& cluster = history.cluster;
  co_await cluster.start();
  for (int i = 0; i < 16; ++i) {
    Writer writer;
    writer.object = {cluster.pool, "o" + std::to_string(i), "", ""};
    history.writers.push_back(std::move(writer));
  }
  {
    TaskGroup writers(cluster.client_host());
    for (Writer& writer : history.writers)
      cluster.client_host().post([&writers, &history, &writer] { writers.spawn(work(history, writer)); });
    co_await trouble(history, osds, rounds, disks);
    history.over = true;
    co_await cluster.pass(1s);
    co_await writers.join();
  }
  co_await cluster.settle(10min);
  std::uint64_t done = 0;
  for (Writer& writer : history.writers) {
    co_await read_back(history, writer);
    done += writer.done;
  }
  EXPECT_GT(done, 100u);
  EXPECT_EQ(co_await cluster.compare_copies(), "");
  history.note(done);
  co_await cluster.stop();
}

std::uint64_t run(std::uint64_t seed, unsigned osds, unsigned size, unsigned min_size, unsigned rounds, bool disks) {
  History history(seed, osds, size, min_size);
  history.cluster.world.run(live(history, osds, rounds, disks), 24h);
  return history.digest;
}

TEST(Replication, three_copies_are_written_and_equal) {
  run(1, 3, 3, 2, 0, false);
}

TEST(Replication, acknowledged_writes_survive_whatever_dies) {
  for (std::uint64_t seed : sim::seeds(4)) {
    SCOPED_TRACE(fmt::format("SEED={}", seed));
    run(seed, 3, seed % 2 ? 2 : 3, seed % 2 ? 1 : 2, 8, true);
    if (HasFailure()) return;
  }
}

TEST(Replication, a_seed_replays_exactly) {
  EXPECT_EQ(run(7, 3, 3, 2, 4, false), run(7, 3, 3, 2, 4, false));
}

}  // namespace
}  // namespace spirula::simulation
