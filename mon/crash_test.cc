#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "base/random.h"
#include "base/shard.h"
#include "mon/decider.h"
#include "mon/test_state.h"

/// A monitor's deciding half in a process of its own, killed in the middle of it.
namespace spirula::mon {
namespace {

constexpr int decisions_wanted = 1000;

struct Store {
  std::string path;
  Store() {
    char name[] = "/tmp/spirula-mon-crash-XXXXXX";
    path = ::mkdtemp(name);
    auto storage = open_log_directory(path);
    EXPECT_TRUE(storage);
    EXPECT_TRUE(DecisionLog::create(**storage, TestState().state.save()));
  }
  ~Store() { std::filesystem::remove_all(path); }

  struct Opened {
    std::unique_ptr<DecisionLog> log;
    State state;
  };
  Opened open() const {
    Opened opened;
    auto storage = open_log_directory(path);
    EXPECT_TRUE(storage);
    DecisionLog::Restored restored;
    auto log = DecisionLog::open(std::move(*storage), restored);
    EXPECT_TRUE(log) << restored.problem;
    opened.log = std::move(*log);
    opened.state = *State::load(restored.checkpoint);
    for (auto& [number, record] : restored.records) EXPECT_TRUE(opened.state.apply(*decode<Decision>(record)));
    return opened;
  }
};

/// In the child: decides from `from` on, a few at a time, and writes the number of each decided one to `out`.
class Stream {
 public:
  Stream(Decider& decider, int from, int out) : decider_(decider), next_(from), out_(out) {}
  std::future<void> finished() { return finished_.get_future(); }
  void start() {
    for (int i = 0; i < 4; ++i) submit_next();
  }

 private:
  void submit_next() {
    if (next_ >= decisions_wanted) return;
    int i = next_++;
    decider_.submit(
        [i](Draft& draft) {
          ConfigKeyService::Change change;
          change.keys[fmt::format("{:04}", i)] = std::string(static_cast<std::size_t>(i % 500), 'x');
          return draft.change<ConfigKeyService>(change);
        },
        [this, i](Result<> result) {
          if (!result || ::write(out_, &i, sizeof i) != sizeof i) _exit(1);
          if (i + 1 == decisions_wanted) return finished_.set_value();
          submit_next();
        });
  }

  Decider& decider_;
  int next_;
  int out_;
  std::promise<void> finished_;
};

[[noreturn]] void decide_until_killed(const Store& store, int from, int out) {
  auto opened = store.open();
  ShardThread shard("crash");
  Decider decider(shard.shard(), std::move(opened.log), opened.state);
  Stream stream(decider, from, out);
  auto finished = stream.finished();
  shard.shard().post([&] { stream.start(); });
  finished.wait();
  _exit(0);
}

TEST(Crash, no_acknowledged_decision_is_lost_when_the_monitor_is_killed) {
  Store store;
  SeededRandom random(20'261'122);
  int acknowledged = 0, kills = 0;
  while (acknowledged < decisions_wanted) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) decide_until_killed(store, acknowledged, pipe[1]);
    ::close(pipe[1]);
    int number = 0, stop_after = acknowledged + 1 + static_cast<int>(random.below(120));
    while (::read(pipe[0], &number, sizeof number) == sizeof number) {
      ASSERT_EQ(number, acknowledged) << "acknowledged in order";
      acknowledged = number + 1;
      if (acknowledged == stop_after) {
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(3000)));
        ::kill(child, SIGKILL);
        ++kills;
      }
    }
    ::close(pipe[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    auto opened = store.open();
    const auto& keys = opened.state.config_key().keys();
    ASSERT_GE(keys.size(), static_cast<std::size_t>(acknowledged));
    int expected = 0;
    for (const auto& [key, value] : keys) {
      ASSERT_EQ(key, fmt::format("{:04}", expected)) << "no gap";
      ASSERT_EQ(value.size(), static_cast<std::size_t>(expected % 500));
      ++expected;
    }
    acknowledged = expected;  // decided but not acknowledged any more: as good
  }
  EXPECT_GT(kills, 5);
}

}  // namespace
}  // namespace spirula::mon
