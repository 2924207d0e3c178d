#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <thread>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/filestore.h"
#include "filestore/inspector.h"
#include "filestore/memory_store.h"
#include "filestore/model.h"
#include "filestore/test_disk.h"

/// kill -9 under load: a child process writes, its parent kills it, opens the store and compares it with the model.
/// Transaction number n also writes n into its collection's metadata, so the store itself says how far it came.
namespace spirula::filestore {
namespace {

using testing::RandomWork;
using testing::TestDisk;

constexpr char counter[] = "count";

RandomWork::Submit numbered(RandomWork& work, std::uint64_t number) {
  RandomWork::Submit submit = work.next();
  submit.transaction.collection_set({{counter, Buffer::copy_of(std::to_string(number))}});
  return submit;
}

FilestoreOptions options_of(const std::string& path, const std::string& journal) {
  FilestoreOptions options;
  options.shared_checksums_min = 0;
  options.path = path;
  options.journal = journal;
  options.apply_threads = 2;
  options.commit_interval_min = options.commit_interval_max = std::chrono::milliseconds(120);
  return options;
}

/// The child: not a test of its own; run by the other one with its work in the environment.
TEST(KillChild, writes_until_killed) {
  const char* path = std::getenv("KILL_PATH");
  if (!path) GTEST_SKIP();
  auto opened = Filestore::open(options_of(path, std::getenv("KILL_JOURNAL")));
  CHECK(opened.has_value());
  Filestore& store = **opened;
  RandomWork work(std::strtoull(std::getenv("KILL_SEED"), nullptr, 10), 200'000);
  std::uint64_t start = std::strtoull(std::getenv("KILL_START"), nullptr, 10);
  std::uint64_t number = 0;
  while (number < start) (void)numbered(work, ++number);
  ShardThread thread("child");
  auto writer = [&]() -> Task<int> {
    for (;;) {
      std::uint64_t mine = ++number;
      RandomWork::Submit submit = numbered(work, mine);
      Task<Result<>> waiting = store.submit(submit.collection, std::move(submit.transaction));
      Result<> done = co_await std::move(waiting);
      if (done) CHECK(::write(STDOUT_FILENO, &mine, sizeof mine) == sizeof mine);
    }
  };
  std::vector<std::future<int>> writers;
  for (int i = 0; i < 16; ++i)
    writers.push_back(boost::asio::co_spawn(thread.shard().context(), writer(), boost::asio::use_future));
  for (auto& each : writers) each.get();
}

TEST(Kill, what_was_acknowledged_survives_kill_9) {
  const char* text = std::getenv("SPIRULA_KILL_ROUNDS");
  int rounds = text ? std::atoi(text) : 5;
  std::uint64_t seed =
      std::getenv("SEED") ? std::strtoull(std::getenv("SEED"), nullptr, 10) : static_cast<std::uint64_t>(::getpid());
  SCOPED_TRACE(fmt::format("SEED={}", seed));
  TestDisk disk;
  disk.format();
  ShardThread thread("kill");
  auto run = [&](auto task) {
    return boost::asio::co_spawn(thread.shard().context(), std::move(task), boost::asio::use_future).get();
  };
  auto model = MemoryStore::make();
  RandomWork work(seed, 200'000);
  SeededRandom dice(seed + 1);
  {
    auto store = Filestore::open(disk.options());
    ASSERT_TRUE(store);
    for (auto& each : work.prepare()) {
      ASSERT_TRUE(run(model->submit(each.collection, each.transaction)));
      ASSERT_TRUE(run((*store)->submit(each.collection, std::move(each.transaction))));
    }
    run((*store)->stop());
  }
  std::uint64_t number = 0;
  for (int round = 0; round < rounds; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::unsetenv("GTEST_TOTAL_SHARDS");
      ::setenv("KILL_PATH", disk.mount_point().c_str(), 1);
      ::setenv("KILL_JOURNAL", disk.journal_device().c_str(), 1);
      ::setenv("KILL_SEED", std::to_string(seed).c_str(), 1);
      ::setenv("KILL_START", std::to_string(number).c_str(), 1);
      // gtest's own lines would mix with the numbers: brief, and those that remain are not eight bytes of number.
      ::execl("/proc/self/exe", "kill", "--gtest_filter=KillChild.*", "--gtest_brief=1", nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::string bytes;
    char block[4096];
    auto hear = [&] {
      ssize_t got = ::read(ends[0], block, sizeof block);
      if (got > 0) bytes.append(block, static_cast<std::size_t>(got));
      return got > 0;
    };
    // The first has done something, however slow the machine; the others die at any moment, also while they open.
    while (round == 0 && bytes.size() < 200 * sizeof number && hear()) continue;
    std::this_thread::sleep_for(std::chrono::milliseconds(150 + dice.below(700)));
    ::kill(child, SIGKILL);
    while (hear()) continue;
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    if (auto note = bytes.find("gtest_main.cc\n"); note != std::string::npos) bytes.erase(0, note + 14);
    std::uint64_t acknowledged = number;
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      std::uint64_t value;
      std::memcpy(&value, bytes.data() + at, 8);
      acknowledged = std::max(acknowledged, value);
    }

    auto opened = Filestore::open(options_of(disk.mount_point(), disk.journal_device()));
    ASSERT_TRUE(opened) << opened.error().message();
    Filestore& store = **opened;
    std::uint64_t reached = 0;
    auto all = run(store.collections());
    ASSERT_TRUE(all);
    for (const CollectionInfo& each : *all) {
      auto value = run(store.collection_get(each.id, {counter}));
      ASSERT_TRUE(value);
      if (value->contains(counter))
        reached = std::max<std::uint64_t>(reached, std::stoull(value->at(counter).to_string()));
    }
    EXPECT_GE(reached, acknowledged) << "round " << round;
    while (number < reached) {
      RandomWork::Submit submit = numbered(work, ++number);
      (void)run(model->submit(submit.collection, std::move(submit.transaction)));
    }
    ASSERT_EQ(run(testing::difference(store, *model)), "") << "round " << round << ", " << reached << " transactions";
    // Now and then the next round begins with a journal to replay again.
    if (dice.below(2)) {
      run(store.stop());
      auto inspector = Inspector::open(disk.mount_point(), std::nullopt);
      ASSERT_TRUE(inspector);
      auto problems = (*inspector)->check(true);
      ASSERT_TRUE(problems);
      EXPECT_EQ(fmt::format("{}", fmt::join(*problems, "\n")), "") << "round " << round;
    }
    ::testing::Test::RecordProperty("transactions", std::to_string(reached));
  }
  EXPECT_GT(number, 100u) << "the child did nothing";
}

}  // namespace
}  // namespace spirula::filestore
