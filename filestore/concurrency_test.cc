#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <future>
#include <latch>

#include "filestore/faults.h"
#include "filestore/store_fixture.h"

/// In order within a collection, side by side across collections.
namespace spirula::filestore {
namespace {

using testing::pattern;

ObjectId of_pool(std::int64_t pool, const std::string& name) {
  ObjectId id = testing::named(name);
  id.pool = pool;
  return id;
}

/// The first call at a place stands still until it is let go; the others pass.
class Obstacle {
 public:
  explicit Obstacle(FaultPoint point) {
    faults::watch(point, [this] {
      if (taken_.exchange(true)) return;
      reached_.count_down();
      open_.wait();
    });
  }
  ~Obstacle() {
    let_go();
    faults::clear();
  }
  void wait_until_reached() { reached_.wait(); }
  void let_go() {
    if (!gone_) open_.count_down();
    gone_ = true;
  }

 private:
  std::atomic<bool> taken_{false};
  bool gone_ = false;
  std::latch reached_{1}, open_{1};
};

class ConcurrencyTest : public testing::StoreFixture {
 protected:
  static constexpr CollectionId slow{1, 0}, other{2, 0};  // lanes of their own
  static constexpr std::size_t staged_bytes = 600'000, small_bytes = 20'000;

  void SetUp() override {
    StoreFixture::SetUp();
    for (CollectionId id : {slow, other}) {
      Transaction make;
      make.create_collection(0);
      ASSERT_TRUE(run(store_->submit(id, std::move(make))));
    }
  }
  void TearDown() override {
    faults::clear();
    StoreFixture::TearDown();
  }
  Transaction write(const CollectionId& id, const std::string& name, std::size_t size, unsigned seed) {
    Transaction t;
    t.write(of_pool(id.pool, name), 0, pattern(size, seed));
    t.set_attribute(of_pool(id.pool, name), "seed", Buffer::copy_of(std::to_string(seed)));
    return t;
  }
  /// Submits without waiting; completions are noted in the order in which they come.
  std::future<bool> begin(const CollectionId& id, Transaction transaction, unsigned number) {
    auto ended = std::make_shared<std::promise<bool>>();
    auto task = [](Filestore& store, CollectionId where, Transaction what, unsigned its, std::vector<unsigned>& order,
                   std::shared_ptr<std::promise<bool>> tell) -> Task<> {
      Result<> done = co_await store.submit(where, std::move(what));
      order.push_back(its);
      tell->set_value(done.has_value());
    };
    boost::asio::co_spawn(shard_->shard().context(), task(*store_, id, std::move(transaction), number, order_, ended),
                          boost::asio::detached);
    return ended->get_future();
  }
  static bool waits(std::future<bool>& each) {
    return each.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout;
  }
  std::string seed_of(const CollectionId& id, const std::string& name) {
    auto value = run(store_->get_attribute(of_pool(id.pool, name), "seed"));
    return value ? value->to_string() : value.error().message();
  }

  std::vector<unsigned> order_;  ///< on the shard's thread
};

TEST_F(ConcurrencyTest, a_payload_that_takes_long_to_stage_holds_only_its_own_collection) {
  Obstacle staging(FaultPoint::staging_write);
  auto large = begin(slow, write(slow, "large", staged_bytes, 1), 1);
  staging.wait_until_reached();
  auto behind = begin(slow, write(slow, "small", small_bytes, 2), 2);
  EXPECT_TRUE(run(store_->submit(other, write(other, "small", small_bytes, 3))));
  EXPECT_TRUE(run(store_->submit(other, write(other, "large", staged_bytes, 4))));  // the other ring
  EXPECT_TRUE(waits(behind));
  EXPECT_TRUE(waits(large));
  staging.let_go();
  EXPECT_TRUE(large.get());
  EXPECT_TRUE(behind.get());
  EXPECT_EQ(order_, (std::vector<unsigned>{1, 2}));
}

TEST_F(ConcurrencyTest, an_apply_that_takes_long_holds_only_its_own_lane_and_no_acknowledgement) {
  ASSERT_TRUE(run(store_->commit()));
  Obstacle applying(FaultPoint::data_write);
  ASSERT_TRUE(run(store_->submit(slow, write(slow, "object", small_bytes, 1))));
  applying.wait_until_reached();
  ASSERT_TRUE(run(store_->submit(slow, write(slow, "object", small_bytes, 2))));
  std::uint64_t waiting = store_->unapplied_bytes();
  EXPECT_GT(waiting, 2 * small_bytes);
  for (unsigned i = 0; i < 50; ++i)
    ASSERT_TRUE(run(store_->submit(other, write(other, "object" + std::to_string(i), small_bytes, i))));
  for (int i = 0; i < 500 && store_->unapplied_bytes() > waiting; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(store_->unapplied_bytes(), waiting) << "the other collection's were not applied meanwhile";
  EXPECT_EQ(seed_of(slow, "object"), "2");  // what is durable is readable at once
  EXPECT_EQ(*run(store_->read(of_pool(1, "object"), 0, small_bytes)), BufferList(pattern(small_bytes, 2)));
  applying.let_go();
  ASSERT_TRUE(run(store_->commit()));
  EXPECT_EQ(store_->unapplied_bytes(), 0u);
  EXPECT_EQ(*run(store_->read(of_pool(1, "object"), 0, small_bytes)), BufferList(pattern(small_bytes, 2)));
}

/// Of every size, so that some go to staging and some straight into the journal.
TEST_F(ConcurrencyTest, transactions_of_one_collection_complete_and_apply_in_their_order) {
  std::vector<unsigned> expected;
  std::vector<std::future<bool>> all;
  for (unsigned i = 0; i < 300; ++i) {
    std::size_t size = i % 7 == 0 ? staged_bytes : i % 3 == 0 ? small_bytes : 100;
    all.push_back(begin(slow, write(slow, "object" + std::to_string(i % 5), size, i), i));
    expected.push_back(i);
    if (i % 60 == 30) ASSERT_TRUE(run(store_->commit()));
  }
  for (auto& each : all) EXPECT_TRUE(each.get());
  EXPECT_EQ(order_, expected);
  auto look = [&] {
    for (unsigned i = 295; i < 300; ++i) EXPECT_EQ(seed_of(slow, "object" + std::to_string(i % 5)), std::to_string(i));
  };
  look();
  crash();
  open();
  look();
}

}  // namespace
}  // namespace spirula::filestore
