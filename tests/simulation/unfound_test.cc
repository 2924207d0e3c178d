#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/task_group.h"
#include "tests/simulation/cluster.h"

/// Objects whose newest state is only on an OSD that does not come back: clients wait for them, people see them, and
/// once that OSD is called lost they can be given up.
namespace spirula::simulation {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
using librados::ObjectRef;
using Answer = Cluster::Answer;

constexpr unsigned pgs = Cluster::pgs;

BufferList bytes(std::string_view text) {
  return BufferList(Buffer::copy_of(text));
}

/// In worlds of odd seeds clients are asked at once to keep what waits, in others once room is short.
constexpr std::uint64_t asks_at_once = 11, asks_late = 12;

struct Unfound {
  explicit Unfound(std::uint64_t seed) : cluster(seed, 3, 3, 1) {}
  Cluster cluster;
  SnapId snap;
  std::string heard;  ///< by a client that had to wait

  ObjectRef object(std::string name) { return {cluster.pool, std::move(name), "", ""}; }
  Task<std::string> content(std::string name, SnapId at = msg::snap_head) {
    librados::Operation operation;
    operation.read(0, 16 << 20).snap = at;
    auto answer = co_await cluster.objecter().execute(object(std::move(name)), std::move(operation));
    if (!answer) co_return answer.error() == make_error_code(Errc::not_found) ? "nothing" : answer.error().message();
    co_return answer->data(0)->flatten().to_string();
  }
  Task<> command(std::string text) { (void)co_await cluster.command("{" + text + "}"); }
};

Task<> wait_for(Unfound& world, std::string name) {
  world.heard = co_await world.content(std::move(name));
}

/// What only osd.0 has is: a and the snapped s changed, n new, r removed.
Task<> lose(Unfound& world) {
  Cluster& cluster = world.cluster;
  for (const char* name : {"a", "r", "s", "untouched"})
    EXPECT_TRUE(co_await cluster.objecter().write_full(world.object(name), bytes("one")));
  world.snap = co_await cluster.take_snapshot();
  msg::SnapContext context;
  context.sequence = world.snap;
  context.snaps = {world.snap};
  EXPECT_TRUE(co_await cluster.objecter().append(world.object("s"), bytes(" two"), context));
  co_await cluster.settle(5min);
  co_await world.command(R"("prefix": "osd set", "key": "norecover")");
  for (unsigned osd : {1, 2}) co_await cluster.kill(osd);
  for (const char* name : {"a", "n"})
    EXPECT_TRUE(co_await cluster.objecter().write_full(world.object(name), bytes("lost")));
  EXPECT_TRUE(co_await cluster.objecter().append(world.object("s"), bytes(" lost"), context));
  EXPECT_TRUE(co_await cluster.objecter().remove(world.object("r")));
  for (unsigned osd : {1, 2}) co_await cluster.restart(osd);
  co_await cluster.pass(30s);
  co_await cluster.kill(0);
  co_await cluster.pass(60s);
}

Task<std::set<std::string>> listed(Unfound& world) {
  std::set<std::string> all;
  for (unsigned seed = 0; seed < pgs; ++seed) {
    Answer list = co_await world.cluster.ask(seed, "list_unfound");
    EXPECT_EQ(list.result, 0) << list.text;
    json::value value = json::parse(list.output);
    for (const auto& each : value.at("objects").as_array()) {
      all.insert(std::string(each.at("oid").at("oid").as_string()));
      EXPECT_NE(each.at("need").as_string(), each.at("have").as_string());
      EXPECT_EQ(value.at("might_have_unfound").at(0).at("osd").as_string(), "0");
      EXPECT_EQ(value.at("might_have_unfound").at(0).at("status").as_string(), "osd is down");
    }
  }
  co_return all;
}

Task<> give_up(Unfound& world, bool revert) {
  Cluster& cluster = world.cluster;
  co_await cluster.start();
  co_await lose(world);
  std::set<std::string> expected{"a", "n", "s"};
  EXPECT_EQ(co_await listed(world), expected);
  EXPECT_EQ(co_await cluster.sum("num_objects_unfound"), 3);
  EXPECT_EQ(co_await world.content("untouched"), "one");
  std::string health = co_await cluster.command(R"({"prefix": "health", "detail": "detail"})");
  EXPECT_NE(health.find("OBJECT_UNFOUND"), std::string::npos) << health;

  TaskGroup waiting(cluster.client_host());
  waiting.spawn(wait_for(world, "a"));
  co_await cluster.pass(5s);
  EXPECT_EQ(world.heard, "");
  std::string how = fmt::format(R"(, "mulcmd": "{}")", revert ? "revert" : "delete");
  unsigned refused = 0;
  for (unsigned seed = 0; seed < pgs; ++seed) {
    Answer answer = co_await world.cluster.ask(seed, "mark_unfound_lost", how);
    refused += answer.result == -EINVAL;
    if (answer.result == 0) EXPECT_EQ(answer.text, "pg has no unfound objects");
    EXPECT_EQ((co_await world.cluster.ask(seed, "mark_unfound_lost", R"(, "mulcmd": "both")")).result, -EINVAL);
  }
  EXPECT_GT(refused, 0u) << "osd.0 may still come";

  co_await world.command(R"("prefix": "osd lost", "id": 0, "yes_i_really_mean_it": true)");
  co_await cluster.pass(5s);
  for (unsigned seed = 0; seed < pgs; ++seed) {
    Answer answer = co_await world.cluster.ask(seed, "mark_unfound_lost", how);
    EXPECT_EQ(answer.result, 0) << answer.text;
  }
  co_await world.command(R"("prefix": "osd unset", "key": "norecover")");
  co_await waiting.join();
  EXPECT_TRUE((co_await listed(world)).empty());
  EXPECT_EQ(world.heard, revert ? "one" : "nothing");
  // And when the lost one comes after all, nothing changes.
  for (bool again : {false, true}) {
    if (again) {
      co_await cluster.restart(0);
      co_await cluster.settle(10min);
    }
    EXPECT_EQ(co_await world.content("a"), revert ? "one" : "nothing");
    EXPECT_EQ(co_await world.content("n"), "nothing");
    EXPECT_EQ(co_await world.content("r"), "nothing");
    EXPECT_EQ(co_await world.content("s"), revert ? "one two" : "nothing");
    EXPECT_EQ(co_await world.content("s", world.snap), "one") << "a snapshot was not asked to go";
    EXPECT_EQ(co_await world.content("untouched"), "one");
  }
  EXPECT_EQ(co_await cluster.compare_copies(), "");
  // a, s with its clone, untouched; or the clone, its whiteout, untouched
  EXPECT_EQ(co_await cluster.sum("num_objects"), revert ? 4 : 3);
  EXPECT_EQ(co_await cluster.sum("num_bytes"), revert ? 3 + 7 + 3 + 3 : 3 + 3);
  // They go on as objects do.
  EXPECT_TRUE(co_await cluster.objecter().append(world.object("a"), bytes("!")));
  EXPECT_EQ(co_await world.content("a"), revert ? "one!" : "!");
  co_await cluster.stop();
}

TEST(Unfound, objects_go_back_to_what_was_before) {
  for (std::uint64_t seed : {asks_at_once, asks_late}) {
    Unfound world(seed);
    world.cluster.world.run(give_up(world, true), 24h);
  }
}

TEST(Unfound, objects_are_deleted) {
  for (std::uint64_t seed : {asks_at_once, asks_late}) {
    Unfound world(seed);
    world.cluster.world.run(give_up(world, false), 24h);
  }
}

Task<> append(Unfound& world, unsigned client, char letter) {
  BufferList data(Buffer::copy_of(std::string(512 << 10, letter)));
  EXPECT_TRUE(co_await world.cluster.objecter(client).append(world.object("a"), std::move(data)));
}

Task<> wait_for_snapshot(Unfound& world) {
  world.heard = co_await world.content("s", world.snap);
}

/// One and a half times as much as an OSD holds of clients' requests waits for one object, in order.
Task<> crowd(Unfound& world) {
  Cluster& cluster = world.cluster;
  co_await cluster.start();
  co_await lose(world);
  TaskGroup waiting(cluster.client_host());
  const std::string letters = "abcdefghijklmnopqrstuvwx";
  for (char letter : letters) waiting.spawn(append(world, 0, letter));
  waiting.spawn(append(world, 1, '!'));
  waiting.spawn(wait_for_snapshot(world));
  co_await cluster.pass(5s);
  for (unsigned number = 0; number < 32; ++number) {
    BufferList data(Buffer::copy_of(std::string(1 << 20, 'o')));
    ObjectRef other = world.object(fmt::format("other{}", number));
    EXPECT_TRUE(co_await cluster.objecter(number % 2).write_full(std::move(other), std::move(data)));
  }
  EXPECT_EQ(world.heard, "");

  co_await world.command(R"("prefix": "osd lost", "id": 0, "yes_i_really_mean_it": true)");
  co_await world.command(R"("prefix": "osd unset", "key": "norecover")");
  co_await cluster.pass(5s);
  for (unsigned seed = 0; seed < pgs; ++seed) {
    Answer answer = co_await cluster.ask(seed, "mark_unfound_lost", R"(, "mulcmd": "revert")");
    EXPECT_EQ(answer.result, 0) << answer.text;
  }
  co_await waiting.join();
  EXPECT_EQ(world.heard, "one");
  std::string text = co_await world.content("a");
  EXPECT_EQ(text.size(), 3 + (letters.size() + 1) * (512 << 10));
  std::string order;  // of the one client's; the other's may be anywhere
  for (std::size_t at = 3; at < text.size(); at += 512 << 10)
    if (text[at] != '!') order += text[at];
  EXPECT_EQ(order, letters);
  co_await cluster.stop();
}

TEST(Unfound, what_waits_for_an_object_leaves_room_for_others) {
  for (std::uint64_t seed : {asks_at_once, asks_late}) {
    Unfound world(seed);
    world.cluster.world.run(crowd(world), 24h);
  }
}

}  // namespace
}  // namespace spirula::simulation
