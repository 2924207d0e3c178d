#include "filestore/model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>

#include "base/coroutine.h"
#include "base/shard.h"
#include "filestore/filestore.h"
#include "filestore/inspector.h"
#include "filestore/memory_store.h"
#include "filestore/test_disk.h"

namespace spirula::filestore {
namespace {

using testing::RandomWork;
using testing::TestDisk;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Random transactions into the store and into a MemoryStore, side by side; every read must agree, while transactions
/// are pending, while they are applied, across commits, and after the store has been closed or abandoned and reopened.
class Model : public ::testing::TestWithParam<Integrity> {};

TEST_P(Model, store_and_model_agree) {
  // The same promises are kept in both modes; most of the work goes to the default.
  std::uint64_t usual = GetParam() == Integrity::index_checksums ? 100'000 : 20'000;
  if (std::getenv("SPIRULA_SLOW")) usual = 1'000'000;
  std::uint64_t transactions = from_environment("SPIRULA_MODEL_TRANSACTIONS", usual);
  std::uint64_t seed = from_environment("SEED", static_cast<std::uint64_t>(::getpid()));
  SCOPED_TRACE(fmt::format("SEED={}", seed));
  ShardThread thread("model");
  auto run = [&](auto task) {
    return boost::asio::co_spawn(thread.shard().context(), std::move(task), boost::asio::use_future).get();
  };
  TestDisk disk;
  disk.format(GetParam());
  FilestoreOptions options = disk.options();
  options.commit_interval_min = options.commit_interval_max = std::chrono::milliseconds(150);
  options.memory_bytes_max = 24 << 20;
  options.staged_bytes_min = 48 << 10;
  options.shared_checksums_min = 0;
  std::unique_ptr<Filestore> store;
  auto open = [&] {
    auto opened = Filestore::open(options);
    ASSERT_TRUE(opened) << opened.error().message();
    store = std::move(*opened);
  };
  open();
  auto model = MemoryStore::make();
  RandomWork work(seed, 192 << 10);

  /// Submitted together, so that they are pending together; the order is that of the calls.
  auto submit = [&](std::vector<RandomWork::Submit> batch) -> Task<std::string> {
    std::vector<Task<Result<>>> waiting;
    std::vector<int> expected;
    for (auto& each : batch) {
      auto in_model = co_await model->submit(each.collection, each.transaction);
      expected.push_back(in_model ? 0 : to_wire(in_model.error()));
      waiting.push_back(store->submit(each.collection, std::move(each.transaction)));
    }
    // While they are on their way, reads see them already.
    ObjectId object = work.some_object(work.some_collection());
    std::string early = co_await testing::difference(*store, *model, object);
    if (!early.empty()) co_return "pending: " + early;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      Result<> done = co_await std::move(waiting[i]);
      int code = done ? 0 : to_wire(done.error());
      if (code != expected[i]) co_return fmt::format("submit answers {}, the model {}", code, expected[i]);
    }
    for (int i = 0; i < 2; ++i) {
      CollectionId collection = work.some_collection();
      std::string found = co_await testing::difference(*store, *model, work.some_object(collection));
      if (!found.empty()) co_return found;
      if (work.random().below(4) == 0) found = co_await testing::difference(*store, *model, collection, false);
      if (!found.empty()) co_return found;
      // A listing is taken up again anywhere, also where there is nothing (any more).
      ObjectId start = work.some_object(collection);
      auto page = co_await store->list(collection, start, 3);
      auto model_page = co_await model->list(collection, start, 3);
      if (page.has_value() != model_page.has_value()) co_return std::string("list: one of them has none");
      if (page && (page->objects != model_page->objects || page->next != model_page->next))
        co_return fmt::format("lists from {} differ", start.describe());
    }
    co_return std::string{};
  };

  ASSERT_EQ(run(submit(work.prepare())), "");
  for (std::uint64_t done = 0; done < transactions;) {
    if (done > transactions / 10 * 9) work.make_objects_of(1 << 20);
    std::vector<RandomWork::Submit> batch;
    for (std::uint64_t i = work.random().below(24); i < 24; ++i) batch.push_back(work.next());
    done += batch.size();
    ASSERT_EQ(run(submit(std::move(batch))), "") << "after " << done;
    std::uint64_t chance = work.random().below(300);
    if (chance == 0) {
      if (work.random().below(2)) {
        run(store->stop());
        store.reset();
      } else {
        store.reset();  // nothing in memory or in the page cache counts: opening goes back to a snapshot
      }
      open();
      ASSERT_TRUE(store);
      ASSERT_EQ(run(testing::difference(*store, *model)), "") << "after reopening at " << done;
    } else if (chance == 1) {
      ASSERT_TRUE(run(store->commit()));
    } else if (chance == 2) {
      ASSERT_EQ(run(testing::difference(*store, *model)), "") << "after " << done;
    }
  }
  ASSERT_EQ(run(testing::difference(*store, *model)), "");
  ASSERT_TRUE(run(store->commit()));
  EXPECT_EQ(store->statistics().object_count, model->statistics().object_count);
  EXPECT_GT(store->statistics().bytes_available, 0u);
  auto every = run(store->collections());
  ASSERT_TRUE(every);
  for (const CollectionInfo& each : *every) {  // what the medium has is good
    auto page = run(store->list(each.id, std::nullopt, 1'000));
    ASSERT_TRUE(page);
    for (const ObjectId& object : page->objects) {
      auto bad = run(store->verify(object, 0, ~std::uint64_t{0}));
      ASSERT_TRUE(bad) << bad.error().message();
      EXPECT_TRUE(bad->empty()) << object.describe();
    }
  }
  run(store->stop());
  store.reset();
  auto inspector = Inspector::open(disk.mount_point(), std::nullopt);
  ASSERT_TRUE(inspector);
  auto problems = (*inspector)->check(true);
  ASSERT_TRUE(problems);
  EXPECT_EQ(fmt::format("{}", fmt::join(*problems, "\n")), "");
}

INSTANTIATE_TEST_SUITE_P(Integrity, Model, ::testing::Values(Integrity::index_checksums, Integrity::btrfs_checksums),
                         [](const auto& info) {
                           return info.param == Integrity::index_checksums ? "index_checksums" : "btrfs_checksums";
                         });

}  // namespace
}  // namespace spirula::filestore
