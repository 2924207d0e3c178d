#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/random.h"
#include "base/task_group.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/register_history.h"

/// Nothing that was acknowledged is lost or happens twice, whatever dies; every object is one register for all its
/// clients; snapshots keep what they were taken of; watchers are told. When the world calms down, all copies are equal.
namespace spirula::simulation {
namespace {

using namespace std::chrono_literals;
using librados::ObjectRef;

struct Plan {
  unsigned osds = 3, size = 3, min_size = 2;
  unsigned rounds = 4;  ///< of trouble
  bool disks = true;    ///< some of it: a disk is lost
};

/// An object that several clients change and read at the same time.
struct Shared {
  ObjectRef object;
  RegisterHistory history;
};

/// An object whose only client takes snapshots of it.
struct Snapped {
  ObjectRef object;
  std::optional<std::string> now;
  std::map<SnapId, std::optional<std::string>> then;
  msg::SnapContext context;
};

struct History {
  Cluster cluster;
  std::vector<Shared> shared;
  std::vector<Snapped> snapped;
  bool over = false;
  std::uint64_t number = 0, answered = 0, notified = 0;
  std::uint64_t digest = 1469598103934665603ull;

  History(std::uint64_t seed, const Plan& plan) : cluster(seed, plan.osds, plan.size, plan.min_size) {}
  void note(std::uint64_t what) { digest = (digest ^ what) * 1099511628211ull; }
  Random& random() { return cluster.world.random(); }
  Task<> rest() {
    ++answered;
    note(static_cast<std::uint64_t>(cluster.world.clock().now().time_since_epoch().count()));
    return cluster.pass(std::chrono::milliseconds(random().below(400)));
  }
};

BufferList bytes(std::string_view text) {
  return BufferList(Buffer::copy_of(text));
}

/// One operation of one client on an object of many.
Task<> do_one(History& history, Shared& shared, librados::Objecter& objecter) {
  using Kind = RegisterHistory::Kind;
  using Outcome = RegisterHistory::Outcome;
  std::string text = fmt::format("{} ", ++history.number);
  auto dice = history.random().below(10);
  Kind kind = dice < 2   ? Kind::write_full
              : dice < 5 ? Kind::append
              : dice < 6 ? Kind::create_exclusive
              : dice < 7 ? Kind::remove
                         : Kind::read;
  librados::Operation operation;
  switch (kind) {
    case Kind::write_full:
      operation.write_full(bytes(text));
      break;
    case Kind::append:
      operation.append(bytes(text)).omap_set({{"k" + std::to_string(history.number % 5), Buffer::copy_of(text)}});
      break;
    case Kind::create_exclusive:
      operation.create(true);
      break;
    case Kind::remove:
      operation.remove();
      break;
    case Kind::read:
      operation.read(0, 1 << 20);
      break;
  }
  std::size_t called = shared.history.call(kind, text);
  auto answer = co_await objecter.execute(shared.object, std::move(operation));
  Outcome outcome = Outcome::done;
  std::string found;
  if (!answer && answer.error() == make_error_code(Errc::not_found)) {
    outcome = Outcome::not_found;
  } else if (!answer && answer.error() == make_error_code(Errc::exists)) {
    outcome = Outcome::exists;
  } else if (!answer) {
    ADD_FAILURE() << shared.object.name << ": " << answer.error().message();
  } else if (kind == Kind::read) {
    found = answer->data(0)->flatten().to_string();
  }
  shared.history.answer(called, outcome, std::move(found));
}

Task<> change_shared(History& history, Shared& shared, librados::Objecter& objecter) {
  while (!history.over) {
    co_await do_one(history, shared, objecter);
    co_await history.rest();
  }
}

Task<> expect_content(History& history, const Snapped& snapped, SnapId snap,
                      const std::optional<std::string>& content) {
  librados::Operation operation;
  operation.read(0, 1 << 20).snap = snap;
  auto answer = co_await history.cluster.objecter().execute(snapped.object, std::move(operation));
  std::string what = fmt::format("{} at {:x}", snapped.object.name, snap.value);
  if (!content) {
    EXPECT_FALSE(answer) << what << ": " << answer->data(0)->flatten().to_string();
    if (!answer) EXPECT_EQ(answer.error(), make_error_code(Errc::not_found)) << what;
  } else if (answer) {
    EXPECT_EQ(answer->data(0)->flatten().to_string(), *content) << what;
  } else {
    ADD_FAILURE() << what << ": " << answer.error().message();
  }
}

Task<> change_snapped(History& history, Snapped& snapped) {
  auto& cluster = history.cluster;
  while (!history.over) {
    std::string text = fmt::format("{} ", ++history.number);
    auto dice = history.random().below(10);
    Result<> done;
    if (dice < 2) {
      SnapId snap = co_await cluster.take_snapshot();
      snapped.then[snap] = snapped.now;
      snapped.context.sequence = snap;
      snapped.context.snaps.insert(snapped.context.snaps.begin(), snap);
    } else if (dice < 3 && snapped.then.size() > 2) {
      SnapId snap = std::next(snapped.then.begin(), static_cast<long>(history.random().below(3)))->first;
      co_await cluster.remove_snapshot(snap);
      snapped.then.erase(snap);
      std::erase(snapped.context.snaps, snap);
    } else if (dice < 4 && !snapped.then.empty()) {
      const auto& [snap, content] = *std::prev(snapped.then.end());
      co_await expect_content(history, snapped, snap, content);
    } else if (dice < 5 && !snapped.then.empty()) {
      const auto& [snap, content] = *snapped.then.begin();
      librados::Operation operation;
      operation.rollback(snap).snap_context = snapped.context;
      auto answer = co_await cluster.objecter().execute(snapped.object, std::move(operation));
      bool absent = !answer && answer.error() == make_error_code(Errc::not_found);
      // Nothing then: what is there now goes; ENOENT if nothing is.
      if (!answer && !(absent && !content)) done = answer.error();
      snapped.now = content;
    } else if (dice < 6) {
      bool was_there = snapped.now.has_value();
      done = co_await cluster.objecter().remove(snapped.object, snapped.context);
      if (!was_there && !done && done.error() == make_error_code(Errc::not_found)) done = {};
      snapped.now.reset();
    } else {
      done = co_await cluster.objecter().append(snapped.object, bytes(text), snapped.context);
      snapped.now = snapped.now.value_or("") + text;
    }
    if (!done) ADD_FAILURE() << snapped.object.name << ": " << done.error().message();
    co_await history.rest();
  }
}

/// A client that watches an object, and starts over when it is told that its watch is lost.
struct Watcher {
  librados::Objecter& objecter;
  ObjectRef object;
  std::uint64_t cookie = 0;
  bool watching = false;
  std::set<std::string> heard;
};

Task<> watch(History& history, Watcher& watcher) {
  librados::Objecter::WatchEvents events;
  events.on_notify = [&watcher](std::uint64_t, const Buffer& payload) {
    watcher.heard.insert(payload.to_string());
    return Buffer::copy_of("yes");
  };
  events.on_lost = [&watcher](std::error_code) { watcher.watching = false; };
  while (!history.over) {
    if (!watcher.watching) {
      watcher.watching = true;
      auto cookie = co_await watcher.objecter.watch(watcher.object, events, 10s);
      if (cookie)
        watcher.cookie = *cookie;
      else
        watcher.watching = false;
    }
    co_await history.cluster.pass(500ms);
  }
}

/// Whoever is listed as having answered has heard it.
Task<> notify(History& history, Watcher& watcher) {
  while (!history.over) {
    std::string text = fmt::format("n{}", ++history.number);
    auto told = co_await history.cluster.objecter().notify(watcher.object, Buffer::copy_of(text), 5s);
    if (told && !told->replies.empty()) {
      EXPECT_TRUE(watcher.heard.contains(text)) << text;
      ++history.notified;
    }
    co_await history.rest();
  }
}

Task<> trouble(History& history, Plan plan) {
  Cluster& cluster = history.cluster;
  Random& random = history.random();
  const unsigned osds = plan.osds;
  co_await cluster.pass(5s);
  for (unsigned round = 0; round < plan.rounds; ++round) {
    co_await cluster.pass(std::chrono::milliseconds(500 + random.below(5000)));
    auto victim = static_cast<unsigned>(random.below(osds));
    switch (random.below(plan.disks ? 8 : 7)) {
      case 0:
      case 1:
        cluster.hold(victim);
        co_await cluster.pass(std::chrono::milliseconds(random.below(30)));
        [[fallthrough]];
      case 2:
        co_await cluster.kill(victim);
        co_await cluster.pass(std::chrono::milliseconds(100 + random.below(12'000)));
        co_await cluster.restart(victim);
        break;
      case 3:
        // Cut off from another OSD, or from a client.
        if (auto other = static_cast<unsigned>(random.below(osds)); other != victim)
          cluster.world.partition(cluster.host(victim), cluster.host(other));
        else
          cluster.world.partition(cluster.host(victim), cluster.client_host());
        if (random.below(2)) {
          co_await cluster.pass(std::chrono::milliseconds(100 + random.below(15'000)));
          cluster.world.heal();
          break;
        }
        // It dies before anybody sees that it was cut off: what only it has, it may not have acknowledged.
        co_await cluster.pass(std::chrono::milliseconds(random.below(4'000)));
        co_await cluster.kill(victim);
        cluster.world.heal();
        co_await cluster.pass(std::chrono::milliseconds(100 + random.below(20'000)));
        co_await cluster.restart(victim);
        break;
      case 4: {
        // Out, dead or alive: others take its place, and what it comes back with is old.
        bool dead = random.below(2);
        if (dead) co_await cluster.kill(victim);
        co_await cluster.command(fmt::format(R"({{"prefix": "osd out", "ids": ["{}"]}})", victim));
        co_await cluster.pass(std::chrono::milliseconds(100 + random.below(20'000)));
        if (dead) co_await cluster.restart(victim);
        co_await cluster.command(fmt::format(R"({{"prefix": "osd in", "ids": ["{}"]}})", victim));
        break;
      }
      case 5:
        // Streams break now and then.
        cluster.world.faults().reset_chance = 0.01;
        co_await cluster.pass(std::chrono::milliseconds(random.below(5'000)));
        cluster.world.faults().reset_chance = 0;
        break;
      case 6: {
        // The power fails everywhere, or for some.
        std::vector<unsigned> victims;
        bool everywhere = random.below(2);
        for (unsigned osd = 0; osd < osds; ++osd)
          if (everywhere || random.below(2)) victims.push_back(osd);
        for (unsigned osd : victims)
          if (random.below(2)) cluster.hold(osd);
        co_await cluster.pass(std::chrono::milliseconds(random.below(30)));
        for (unsigned osd : victims) co_await cluster.kill(osd);
        for (unsigned osd : victims) {
          co_await cluster.pass(std::chrono::milliseconds(random.below(everywhere ? 3'000 : 12'000)));
          co_await cluster.restart(osd);
        }
        break;
      }
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

Task<> live(History& history, Plan plan) {
  constexpr int shared_count = 8, snapped_count = 4;
  Cluster& cluster = history.cluster;
  co_await cluster.start();
  for (int i = 0; i < shared_count; ++i) history.shared.push_back({{cluster.pool, fmt::format("o{}", i), "", ""}, {}});
  for (int i = 0; i < snapped_count; ++i)
    history.snapped.push_back({{cluster.pool, fmt::format("s{}", i), "", ""}, {}, {}, {}});
  ObjectRef watched{cluster.pool, "w", "", ""};
  EXPECT_TRUE(co_await cluster.objecter().write_full(watched, bytes("watched")));
  Watcher watcher{cluster.objecter(1), watched, 0, false, {}};
  {
    TaskGroup work(cluster.client_host());
    for (Shared& each : history.shared)
      for (unsigned client : {0, 0, 1}) work.spawn(change_shared(history, each, cluster.objecter(client)));
    for (Snapped& each : history.snapped) work.spawn(change_snapped(history, each));
    work.spawn(watch(history, watcher));
    work.spawn(notify(history, watcher));
    co_await trouble(history, plan);
    // The world is calm: now everything has to come to its end.
    co_await cluster.settle(10min);
    std::uint64_t before = history.notified;
    for (int i = 0; i < 30 && history.notified == before; ++i) co_await cluster.pass(1s);
    EXPECT_GT(history.notified, before) << "a watcher is not told";
    history.over = true;
    co_await work.join();
  }
  co_await cluster.settle(10min);
  for (Shared& each : history.shared) {
    // With what is there in the end.
    std::size_t called = each.history.call(RegisterHistory::Kind::read);
    auto data = co_await cluster.objecter().read(each.object, 0, 1 << 20);
    if (!data) EXPECT_EQ(data.error(), make_error_code(Errc::not_found));
    each.history.answer(called, data ? RegisterHistory::Outcome::done : RegisterHistory::Outcome::not_found,
                        data ? data->flatten().to_string() : "");
    EXPECT_EQ(each.history.check(), "") << each.object.name;
  }
  for (Snapped& each : history.snapped) {
    co_await expect_content(history, each, msg::snap_head, each.now);
    for (const auto& [snap, content] : each.then) co_await expect_content(history, each, snap, content);
  }
  EXPECT_GT(history.answered, 200u);
  EXPECT_EQ(co_await cluster.compare_copies(), "");
  history.note(history.answered);
  co_await cluster.stop();
}

std::uint64_t run(std::uint64_t seed, const Plan& plan) {
  History history(seed, plan);
  history.cluster.world.run(live(history, plan), 24h);
  return history.digest;
}

/// Every size that so many OSDs can hold, up to four copies, with every min_size.
Plan plan_of(std::uint64_t seed) {
  SeededRandom dice(seed);
  Plan plan;
  plan.osds = 3 + static_cast<unsigned>(dice.below(3));
  plan.size = 2 + static_cast<unsigned>(dice.below(std::min(plan.osds, 4u) - 1));
  plan.min_size = 1 + static_cast<unsigned>(dice.below(plan.size));
  plan.rounds = 2 + static_cast<unsigned>(dice.below(5));
  return plan;
}

TEST(Replication, three_copies_are_written_and_equal) {
  Plan calm;
  calm.rounds = 0;
  run(1, calm);
}

/// SPIRULA_SLOW: 10,000 seeds. SEED=N: that one alone; SEEDS=N or SEEDS=FIRST-LAST: those.
TEST(Replication, acknowledged_writes_survive_whatever_dies) {
  constexpr std::uint64_t some = 100, many = 10'000;
  const std::uint64_t count = std::getenv("SPIRULA_SLOW") ? many : some;
  for (std::uint64_t seed : sim::seeds(count)) {
    Plan plan = plan_of(seed);
    SCOPED_TRACE(fmt::format("SEED={}: {} OSDs, size {}, min_size {}", seed, plan.osds, plan.size, plan.min_size));
    run(seed, plan);
    if (HasFailure()) return;
  }
}

TEST(Replication, a_seed_replays_exactly) {
  Plan plan;
  plan.rounds = 3;
  plan.disks = false;
  EXPECT_EQ(run(7, plan), run(7, plan));
}

}  // namespace
}  // namespace spirula::simulation
