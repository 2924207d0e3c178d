#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/task_group.h"
#include "tests/simulation/cluster.h"

namespace spirula::simulation {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using librados::ObjectRef;

/// An object of which snapshots were taken goes to an empty disk once, and its clones share with it what they did.
Task<> recover_clones(Cluster& cluster) {
  constexpr std::uint64_t size = 1 << 20, change = 8192;
  co_await cluster.start();
  ObjectRef big{cluster.pool, "big", "", ""};
  std::string content(size, 'x');
  EXPECT_TRUE(co_await cluster.objecter().write_full(big, BufferList(Buffer::copy_of(content))));
  msg::SnapContext context;
  std::map<SnapId, std::string> then;
  for (std::uint64_t i = 0; i < 3; ++i) {
    SnapId snap = co_await cluster.take_snapshot();
    then[snap] = content;
    context.sequence = snap;
    context.snaps.insert(context.snaps.begin(), snap);
    std::string text(change, static_cast<char>('a' + i));
    content.replace(i * 3 * change + 100, change, text);
    librados::Operation operation;
    operation.write(i * 3 * change + 100, BufferList(Buffer::copy_of(text))).snap_context = context;
    EXPECT_TRUE(co_await cluster.objecter().execute(big, std::move(operation)));
  }
  co_await cluster.settle(5min);
  std::string where =
      co_await cluster.command(R"({"prefix": "osd map", "pool": "p", "object": "big", "format": "json"})");
  json::value map = json::parse(where);
  auto primary = static_cast<unsigned>(map.at("acting_primary").as_int64());
  unsigned victim = (primary + 1) % 3;
  co_await cluster.kill(victim);
  co_await cluster.replace_disk(victim);
  co_await cluster.restart(victim);
  co_await cluster.settle(10min);
  EXPECT_EQ(co_await cluster.compare_copies(), "");
  std::int64_t sent = co_await cluster.sum("num_bytes_recovered");
  EXPECT_GE(sent, static_cast<std::int64_t>(size));
  EXPECT_LT(sent, static_cast<std::int64_t>(size + 3 * 2 * change)) << "clones were sent whole";
  for (const auto& [snap, text] : then) {
    librados::Operation operation;
    operation.read(0, 2 * size).snap = snap;
    auto read = co_await cluster.objecter().execute(big, std::move(operation));
    EXPECT_TRUE(read);
    if (read) EXPECT_TRUE(read->data(0)->flatten().text() == text) << snap.value;
  }
  co_await cluster.stop();
}

constexpr int lacking = 160;  ///< objects; no PG has more changes than a log keeps
ObjectRef some_object(Cluster& cluster, int number) {
  return {cluster.pool, fmt::format("o{}", number), "", ""};
}
BufferList text(std::string_view text) {
  return BufferList(Buffer::copy_of(text));
}

/// osd.2 lacks all objects, by the log, and gets none.
Task<> fall_behind(Cluster& cluster) {
  co_await cluster.start();
  for (std::string_view content : {"one", "two"}) {
    if (content == "two") {
      co_await cluster.settle(5min);
      co_await cluster.command(R"({"prefix": "osd set", "key": "norecover"})");
      co_await cluster.kill(2);
    }
    for (int i = 0; i < lacking; ++i)
      EXPECT_TRUE(co_await cluster.objecter().write_full(some_object(cluster, i), text(content)));
  }
  co_await cluster.restart(2);
  co_await cluster.pass(30s);
  EXPECT_EQ(co_await cluster.sum("num_objects_degraded"), lacking);
}

Task<> change(Cluster& cluster, int number, std::int64_t& degraded_after) {
  EXPECT_TRUE(co_await cluster.objecter().append(some_object(cluster, number), text("!")));
  degraded_after = std::min(degraded_after, co_await cluster.sum("num_objects_degraded"));
}

/// Some clients change what lacks a copy, while all of it is being copied.
Task<> recover_in_order(Cluster& cluster) {
  co_await fall_behind(cluster);
  std::int64_t degraded = lacking;
  co_await change(cluster, 0, degraded);
  EXPECT_EQ(degraded, lacking - 1) << "nothing but what a client waits for";

  co_await cluster.command(R"({"prefix": "osd unset", "key": "norecover"})");
  while (co_await cluster.sum("num_objects_degraded") == degraded) co_await cluster.pass(100us);
  {
    TaskGroup work(cluster.client_host());
    for (int i = 1; i < lacking; i += lacking / 8) work.spawn(change(cluster, i, degraded));
    co_await work.join();
  }
  EXPECT_GT(degraded, lacking / 2) << "clients waited while others were copied";
  co_await cluster.settle(5min);
  EXPECT_EQ(co_await cluster.compare_copies(), "");
  co_await cluster.stop();
}

/// Nobody waits for the objects, and the disks have no room: they are not copied before there is some.
Task<> recover_when_there_is_room(Cluster& cluster) {
  co_await fall_behind(cluster);
  co_await cluster.command(R"({"prefix": "osd set-full-ratio", "ratio": 0.0})");
  co_await cluster.pass(30s);
  co_await cluster.command(R"({"prefix": "osd unset", "key": "norecover"})");
  co_await cluster.pass(60s);
  EXPECT_EQ(co_await cluster.sum("num_objects_degraded"), lacking);
  std::string state = co_await cluster.command(R"({"prefix": "pg stat"})");
  EXPECT_NE(state.find("recovery_toofull"), std::string::npos) << state;
  EXPECT_TRUE(co_await cluster.objecter().read(some_object(cluster, 0), 0, 10));
  co_await cluster.command(R"({"prefix": "osd set-full-ratio", "ratio": 0.95})");
  co_await cluster.settle(5min);
  EXPECT_EQ(co_await cluster.compare_copies(), "");
  co_await cluster.stop();
}

TEST(Recovery, what_clients_wait_for_comes_first) {
  Cluster cluster(6, 3, 3, 2);
  cluster.world.run(recover_in_order(cluster), 24h);
}

TEST(Recovery, objects_do_not_go_to_a_full_disk) {
  Cluster cluster(7, 3, 3, 2);
  cluster.world.run(recover_when_there_is_room(cluster), 24h);
}

TEST(Recovery, clones_share_with_their_head_what_they_shared) {
  Cluster cluster(5, 3, 3, 2);
  cluster.world.run(recover_clones(cluster), 24h);
}

}  // namespace
}  // namespace spirula::simulation
