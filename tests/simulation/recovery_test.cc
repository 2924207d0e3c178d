#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/simulation/cluster.h"

namespace spirula::simulation {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

/// An object of which snapshots were taken goes to an empty disk once, and its clones share with it what they did.
Task<> recover_clones(Cluster& cluster) {
  constexpr std::uint64_t size = 1 << 20, change = 8192;
  co_await cluster.start();
  librados::ObjectRef big{cluster.pool, "big", "", ""};
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
  std::string query =
      fmt::format(R"({{"prefix": "query", "pgid": "{}"}})", std::string_view(map.at("pgid").as_string()));
  auto answer = co_await cluster.osd(primary).commands().run(query);
  EXPECT_EQ(answer.result, 0) << answer.text;
  std::int64_t sent =
      json::parse(answer.output).at("info").at("stats").at("stat_sum").at("num_bytes_recovered").as_int64();
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

TEST(Recovery, clones_share_with_their_head_what_they_shared) {
  Cluster cluster(5, 3, 3, 2);
  cluster.world.run(recover_clones(cluster), 24h);
}

}  // namespace
}  // namespace spirula::simulation
