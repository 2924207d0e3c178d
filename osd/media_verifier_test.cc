#include "osd/media_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/coroutine.h"
#include "base/simulation.h"
#include "base/task_group.h"
#include "osd/map_history.h"
#include "osd/options.h"
#include "osd/store_for_tests.h"

namespace spirula::osd {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class DamagedStore : public StoreForTests {
 public:
  std::set<std::string> damaged;
  std::uint64_t looked = 0;  ///< bytes
  Task<Result<std::vector<Extent>>> verify(ObjectId object, std::uint64_t offset, std::uint64_t length) override {
    auto found = objects.find(object);
    if (found == objects.end()) co_return Errc::not_found;
    looked += std::min<std::uint64_t>(length, found->second.data.size() - offset);
    std::vector<Extent> bad;
    if (offset == 0 && damaged.contains(object.name)) bad.push_back({4096, 4096});
    co_return bad;
  }
  Task<> fill(int count) {
    Transaction own;
    own.create_collection(0);
    EXPECT_TRUE(co_await submit(MapHistory::collection(), std::move(own)));
    Transaction make;
    make.create_collection(0);
    for (int i = 0; i < count; ++i) {
      ObjectId id;
      id.pool = 1;
      id.hash = static_cast<std::uint32_t>(i);
      id.name = "o" + std::to_string(i);
      make.write(id, 0, Buffer::zeros(32 << 10));
    }
    EXPECT_TRUE(co_await submit({1, 0}, std::move(make)));
  }
};

struct World {
  World() : host(simulation.add_host()), config("osd", "") {
    config.add(options());
    EXPECT_TRUE(
        config.parse_arguments({"-i", "0", "--osd-verify-interval", "1d", "--osd-verify-bytes-per-second", "1M"}));
  }
  std::unique_ptr<MediaVerifier> make() {
    return std::make_unique<MediaVerifier>(
        host, config, store,
        MediaVerifier::Surroundings{[this] { return may_begin; },
                                    [this](msg::LogPriority, std::string text) { said += text + "\n"; }});
  }
  Task<> pass(Duration time) { (void)co_await host.clock().sleep(time); }

  sim::Simulation simulation{1};
  sim::Host& host;
  Config config;
  DamagedStore store;
  bool may_begin = true;
  std::string said;
};

Task<> find_and_forget(World& world) {
  co_await world.store.fill(640);  // 20 s
  auto verifier = world.make();
  TaskGroup tasks(world.host);
  tasks.spawn(verifier->run());
  co_await world.pass(10s);
  std::uint64_t looked = world.store.looked;
  EXPECT_GT(looked, 9u << 20) << "a store that was never verified is begun with at once";
  EXPECT_LT(looked, 11u << 20) << "at its pace";
  co_await world.pass(15s);
  EXPECT_EQ(world.store.looked, 20u << 20);
  EXPECT_EQ(world.said, "verified 640 objects, 20971520 bytes: 0 damaged\n");
  EXPECT_FALSE(verifier->health());

  world.store.damaged = {"o5", "o600"};
  co_await world.pass(12h);
  EXPECT_FALSE(verifier->health());
  co_await world.pass(13h);
  auto health = verifier->health();
  EXPECT_TRUE(health);
  if (health) EXPECT_THAT(health->summary, HasSubstr("2 objects with data that do not verify, among them"));
  EXPECT_THAT(world.said, HasSubstr("o5:0 does not verify at 4096~4096"));
  EXPECT_THAT(verifier->status(), HasSubstr(R"("damaged_objects":2)"));

  // It says so until a whole pass has found it well, also after a restart.
  co_await tasks.stop();
  TaskGroup again(world.host);
  verifier = world.make();
  world.store.damaged = {};
  world.may_begin = false;
  again.spawn(verifier->run());
  co_await world.pass(30h);
  EXPECT_TRUE(verifier->health()) << "nodeep-scrub holds passes back";
  verifier->begin_now();
  co_await world.pass(10s);
  EXPECT_TRUE(verifier->health());
  EXPECT_THAT(verifier->status(), HasSubstr(R"("state":"verifying")"));
  co_await world.pass(15s);
  EXPECT_FALSE(verifier->health());
  EXPECT_THAT(verifier->status(), HasSubstr(R"("state":"idle")"));
  co_await again.stop();
}

TEST(MediaVerifier, finds_damage_names_it_and_takes_it_back) {
  World world;
  world.simulation.run(find_and_forget(world), 96h);
}

Task<> begin_anew(World& world) {
  co_await world.store.fill(3'200);  // 100 s
  auto verifier = world.make();
  TaskGroup tasks(world.host);
  tasks.spawn(verifier->run());
  co_await world.pass(70s);
  world.store.damaged = {"o2"};  // which the pass has left behind
  verifier->begin_now();
  co_await world.pass(90s);
  EXPECT_TRUE(verifier->health());
  co_await tasks.stop();
}

TEST(MediaVerifier, who_asks_gets_a_whole_pass) {
  World world;
  world.simulation.run(begin_anew(world), 96h);
}

Task<> go_on_after_a_restart(World& world) {
  co_await world.store.fill(3'200);  // 100 s
  world.store.damaged = {"o2"};
  {
    auto verifier = world.make();
    TaskGroup tasks(world.host);
    tasks.spawn(verifier->run());
    co_await world.pass(70s);
    EXPECT_TRUE(verifier->health()) << "it is told as soon as it is found";
    co_await tasks.stop();
  }
  std::uint64_t before = world.store.looked;
  auto verifier = world.make();
  TaskGroup tasks(world.host);
  tasks.spawn(verifier->run());
  co_await world.pass(60s);
  EXPECT_THAT(verifier->status(), HasSubstr(R"("state":"idle")"));
  EXPECT_THAT(verifier->status(), HasSubstr(R"("objects":3200)"));
  EXPECT_LT(world.store.looked - before, 45u << 20);
  EXPECT_TRUE(verifier->health());
  co_await tasks.stop();
}

TEST(MediaVerifier, goes_on_after_a_restart_where_it_was) {
  World world;
  world.simulation.run(go_on_after_a_restart(world), 1h);
}

}  // namespace
}  // namespace spirula::osd
